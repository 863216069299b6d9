"""disklockctl against everything that goes wrong: wrong usage, a service that fails, texts that mean harm."""

import json
import os
import sys
from pathlib import Path

import pytest

from harness import NAME, Process

DONE, FAILURE, USAGE, BUSY, DENIED, UNREACHABLE, MISSING = range(7)
OURS, STANDARD = f"{NAME}.Error.", "org.freedesktop.DBus.Error."
# An escape sequence, its one-byte form, a bidirectional override, a line of its own, an invisible character.
HOSTILE = "a\x1b]0;owned\x07\x9b31m\u202egnp.exe\nfake: line\u200bz"
HARMFUL = [character for character in HOSTILE if not (character.isprintable() or character == "\n")]
LEASE = "/org/disklock/DiskLock1/lease/"


@pytest.fixture
def stand_in(bus):
    """Puts a service on the bus that gives the answers wanted."""
    processes = []

    def start(**answers):
        answers = {member: answer if isinstance(answer, list) else [answer] for member, answer in answers.items()}
        script = Path(__file__).parent / "stand_in.py"
        process = Process("stand-in", [sys.executable, script, json.dumps(answers)], bus.folder, env=bus.environment())
        processes.append(process)
        bus.wait_for_name(NAME, process)
    yield start
    for process in processes:
        process.kill()


def text(value):
    """GVariant text of a string."""
    return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'


def list_of(*leases):
    rows = ", ".join(f"(objectpath '{LEASE}{number}', {{'Owner': <{text(owner)}>, 'Path': <{text(path)}>}})"
                     for number, owner, path in leases)
    return {"reply": f"(@a(oa{{sv}}) [{rows}], '')"}


@pytest.mark.parametrize("arguments", [
    ["nonsense"], ["--nonsense"], ["list", "extra"], ["show"], ["show", "a", "b"], ["show", "zzzz"], ["show", "abc"],
    ["acquire"], ["acquire", ""], ["acquire", "x", "--mode=write"], ["acquire", "x", "--on-break=shrug"],
    ["acquire", "x", "--wait=soon"], ["acquire", "x", "--wait=-1"], ["acquire", "x", "--wait=nan"],
    ["acquire", "x", "--lifetime=connection"], ["acquire", "x", "--lifetime=process"], ["acquire", "x", "--owner"],
    ["acquire", "x", b"--owner=\xff"], ["release"], ["release", "0123", "--owner=x"], ["break", "0123"],
    ["list", "--json=yaml"], ["list", "--uid=no-such-user"],
])
def test_wrong_usage(ctl, stand_in, arguments):
    stand_in()
    done = ctl(*arguments)
    assert done.returncode == USAGE, done.stderr
    assert done.stderr.startswith("disklockctl: ")
    assert done.stdout == ""


@pytest.mark.parametrize("name, code", [
    (OURS + "Busy", BUSY), (OURS + "TimedOut", BUSY),
    (OURS + "NotAuthorized", DENIED), (OURS + "NotOwner", DENIED), (OURS + "PolicyDenied", DENIED),
    (STANDARD + "AccessDenied", DENIED), (STANDARD + "InteractiveAuthorizationRequired", DENIED),
    (OURS + "Unreachable", UNREACHABLE), (STANDARD + "NoReply", UNREACHABLE), (STANDARD + "ServiceUnknown", UNREACHABLE),
    ("org.freedesktop.systemd1.UnitMasked", UNREACHABLE), (STANDARD + "Spawn.ChildExited", UNREACHABLE),
    (OURS + "NotADisk", MISSING), (OURS + "NoSuchLease", MISSING),
    (STANDARD + "InvalidArgs", USAGE),
    (OURS + "Unsupported", FAILURE), (OURS + "BackendFailed", FAILURE), (OURS + "LimitExceeded", FAILURE),
    (OURS + "LeaseLost", FAILURE), (OURS + "BadPolicy", FAILURE), (STANDARD + "Failed", FAILURE),
    ("com.example.Unheard", FAILURE),
])
@pytest.mark.parametrize("command, base", [(["acquire", "/x"], 0), (["run", "/x", "--", "true"], 110)])
def test_every_error_of_the_bus_has_its_exit_code(ctl, stand_in, command, base, name, code):
    stand_in(Acquire={"error": [name, "what happened"]}, Hold={"error": [name, "what happened"]})
    done = ctl(*command)
    assert done.returncode == base + code
    assert "what happened" in done.stderr
    assert name not in done.stderr


@pytest.mark.parametrize("name, hint", [
    ("org.freedesktop.systemd1.UnitMasked", "systemctl status disklockd"), (OURS + "NotAuthorized", "systemctl status polkit"),
    (OURS + "PolicyDenied", "man disklock.conf"), (OURS + "LimitExceeded", "man disklock.conf"), (OURS + "Busy", "--wait=SECONDS"),
])
def test_a_hint_says_where_to_look(ctl, stand_in, name, hint):
    stand_in(Acquire={"error": [name, "what happened"]})
    hints = [line for line in ctl("acquire", "/x").stderr.splitlines() if line.startswith("hint: ")]
    assert any(hint in line for line in hints), hints


def test_to_wait_is_said_to_those_alone_who_can_and_did_not(ctl, stand_in):
    busy = {"error": [OURS + "Busy", "what happened"]}
    stand_in(Acquire=busy, Fence=busy, Inspect={"reply": "(@a{sv} {'state': <'held'>},)"})
    for arguments in (["acquire", "--wait=1", "/x"], ["fence", "--yes", "/x", "node7"]):
        assert "--wait" not in ctl(*arguments).stderr


def test_without_a_bus_the_address_is_named(ctl, folder):
    address = f"unix:path={folder}/none"
    done = ctl("list", environment={"DBUS_SYSTEM_BUS_ADDRESS": address})
    assert done.returncode == UNREACHABLE
    assert address in done.stderr and "systemctl status dbus" in done.stderr


def test_a_service_that_dies_over_a_call_is_unreachable(ctl, stand_in):
    stand_in(Inspect={"die": True})
    assert ctl("inspect", "/x").returncode == UNREACHABLE


@pytest.mark.parametrize("arguments", [["acquire", "/x"], ["list"], ["inspect", "/x"], ["release", "--owner=x"],
                                       ["release", "0" * 32], ["reload"]])
def test_a_reply_of_the_wrong_type_is_a_failure(ctl, stand_in, arguments):
    garbage = {"reply": "('garbage', [1.5])"}
    stand_in(Acquire=garbage, ListLeases=garbage, Inspect=garbage, ReleaseOwner=garbage, Release=garbage, Reload=garbage)
    done = ctl(*arguments)
    assert done.returncode == FAILURE
    assert done.stderr.startswith("disklockctl: ")


def test_a_hold_without_its_descriptor_starts_no_command(ctl, stand_in):
    stand_in(Hold={"reply": f"(objectpath '{LEASE}0', uint64 1, handle 0)"})
    done = ctl("run", "/x", "--", "echo", "started")
    assert done.returncode == 111
    assert done.stdout == ""


def test_a_list_that_does_not_end_is_a_failure(ctl, stand_in):
    stand_in(ListLeases={"reply": "(@a(oa{sv}) [], 'again')"})
    assert ctl("list").returncode == FAILURE


def test_a_beginning_that_several_leases_share_is_refused(ctl, stand_in):
    stand_in(ListLeases=list_of(("abcd" + "0" * 28, "a", "/a"), ("abcd" + "1" * 28, "b", "/b")))
    done = ctl("show", "abcd")
    assert done.returncode == USAGE
    assert "more digits" in done.stderr


def test_leases_that_begin_alike_are_shown_with_more_digits(ctl, stand_in):
    stand_in(ListLeases=list_of(("abcdabcdab" + "0" * 22, "a", "/a"), ("abcdabcdab" + "1" * 22, "b", "/b")))
    rows = ctl("list", "--no-legend").stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["abcdabcdab0", "abcdabcdab1"]


def assert_harmless(output):
    assert [character for character in HARMFUL if character in output] == []


def test_hostile_names_cannot_act_on_the_terminal(ctl, stand_in):
    stand_in(ListLeases=list_of(("0" * 32, HOSTILE, "/" + HOSTILE)))
    done = ctl("list", "--no-legend")
    assert_harmless(done.stdout)
    assert len(done.stdout.splitlines()) == 1
    assert "gnp.exe" in done.stdout


def test_hostile_reports_cannot_act_on_the_terminal(ctl, stand_in):
    stand_in(Inspect={"reply": f"({{'path': <{text(HOSTILE)}>, {text(HOSTILE)}: <{text(HOSTILE)}>, "
                               f"'foreign': <[{{'command': <{text(HOSTILE)}>, {text(HOSTILE)}: <1>}}]>}},)"})
    done = ctl("inspect", "/x")
    assert done.returncode == DONE
    assert_harmless(done.stdout)
    assert "\nfake: line" not in done.stdout


def test_hostile_error_messages_cannot_act_on_the_terminal(ctl, stand_in):
    stand_in(Acquire={"error": [OURS + "Busy", HOSTILE]})
    done = ctl("acquire", "/x")
    assert_harmless(done.stderr)
    assert "\nfake: line" not in done.stderr


@pytest.mark.parametrize("style", ["short", "pretty"])
def test_json_brings_hostile_names_unchanged_and_harmless(ctl, stand_in, style):
    stand_in(ListLeases=list_of(("0" * 32, HOSTILE, "/\\\"\U0001f4bd\U000e0001")))
    done = ctl("list", f"--json={style}")
    assert_harmless(done.stdout)
    [lease] = json.loads(done.stdout)
    assert lease["Owner"] == HOSTILE
    assert lease["Path"] == "/\\\"\U0001f4bd\U000e0001"


def test_json_numbers_are_exact(ctl, stand_in):
    stand_in(Acquire={"reply": f"(objectpath '{LEASE}0', uint64 18446744073709551615)"})
    assert json.loads(ctl("acquire", "--json=short", "/x").stdout)["Token"] == 18446744073709551615


def test_outside_a_utf8_locale_everything_is_ascii(ctl, stand_in):
    stand_in(ListLeases=list_of(("0" * 32, "wéb\u26db", "/x")))
    shown = ctl("list", "--no-legend", environment={"LC_ALL": "C"}).stdout
    assert shown.isascii()
    assert "w\\u{00e9}b\\u{26db}" in shown


def test_a_table_fits_the_terminal(ctl, stand_in):
    stand_in(ListLeases=list_of(("0" * 32, "an owner with a long name", "/a/path/that/goes/on/and/on/to/disk.img")))
    _, shown = ctl.on_terminal("list", columns=80)
    rows = shown.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
    assert max(map(len, rows)) <= 80
    assert "disk.img" in shown


def test_colours_are_for_terminals_that_want_them(ctl, stand_in):
    stand_in(ListLeases=list_of(("0" * 32, "a", "/a")))
    assert "\x1b[" in ctl.on_terminal("list")[1]
    assert "\x1b" not in ctl.on_terminal("list", environment={"NO_COLOR": "1"})[1]
    assert "\x1b" not in ctl.on_terminal("list", environment={"TERM": "dumb"})[1]
    assert "\x1b" not in ctl("list").stdout


def test_a_file_name_that_is_not_utf8_is_explained(ctl, folder):
    for command in (["acquire"], ["inspect"]):
        done = ctl(*command, os.fsencode(folder) + b"/\xff.img")
        assert done.returncode == USAGE
        assert "UTF-8" in done.stderr
        assert "ln -s" in done.stderr


def test_a_relative_path_in_a_folder_that_is_gone_is_refused(ctl, stand_in, folder):
    stand_in()
    gone = folder / "gone"
    gone.mkdir()
    done = ctl("acquire", "disk.img", preexec_fn=gone.rmdir, cwd=gone)
    assert done.returncode == USAGE
    assert "disk.img" in done.stderr


def test_an_output_that_cannot_be_written_is_a_failure(ctl, stand_in):
    stand_in(ListLeases=list_of(("0" * 32, "a", "/a")))
    with open("/dev/full", "w") as full:
        assert ctl("list", stdout=full).returncode == FAILURE


def test_who_is_refused_the_list_gets_their_own_leases_and_a_note(ctl, stand_in):
    stand_in(ListLeases=[{"error": [OURS + "NotAuthorized", "no"]}, list_of(("0" * 32, "my own", "/a"))])
    done = ctl("list", uid=5)
    assert done.returncode == DONE
    assert "my own" in done.stdout
    assert "your own leases" in done.stderr


def test_root_who_is_refused_the_list_is_denied(ctl, stand_in):
    stand_in(ListLeases=[{"error": [OURS + "NotAuthorized", "no"]}, list_of(("0" * 32, "my own", "/a"))])
    assert ctl("list").returncode == DENIED


def test_the_pages_of_a_list_make_one(ctl, stand_in):
    page = list_of(("0" * 32, "first", "/a"))["reply"].replace("''", "'more'")
    stand_in(ListLeases=[{"reply": page}, list_of(("1" * 32, "second", "/b"))])
    assert [lease["Owner"] for lease in json.loads(ctl("list", "--json=short").stdout)] == ["first", "second"]
