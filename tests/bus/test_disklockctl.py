"""What disklockctl does with the service: its commands, as people and scripts use them."""

import json
import os
import re

import pytest
from gi.repository import GLib

from conftest import ALICE
from harness import SOURCE, Lines, wait_until

COMMANDS = ["list", "show", "inspect", "acquire", "run", "release", "break", "fence", "monitor", "status", "reload", "check-config"]
DONE, FAILURE, USAGE, BUSY, DENIED, UNREACHABLE, MISSING = range(7)


def acquire(ctl, disk, *arguments):
    """The id of a new lease."""
    done = ctl("acquire", "--no-legend", disk, *arguments)
    assert done.returncode == DONE, done.stderr
    return done.stdout.split()[0]


def leases(ctl, *arguments):
    return json.loads(ctl("list", "--json=short", *arguments).stdout)


def test_help_names_every_command_and_every_exit_code(ctl):
    done = ctl("--help")
    assert done.returncode == DONE
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", done.stdout, re.M)
    for code in range(7):
        assert re.search(rf"^  {code}  ", done.stdout, re.M)


def test_help_and_man_page_name_every_variable_of_the_environment_that_is_heeded(ctl):
    cli = SOURCE / "client" / "cli"
    # GIO reads the bus's address itself.
    heeded = {"DBUS_SYSTEM_BUS_ADDRESS"}.union(*(re.findall(r'getenv\("(\w+)"\)', file.read_text()) for file in cli.glob("*.c")))
    in_help = ctl("--help").stdout.partition("\nEnvironment:\n")[2].partition("\n\n")[0]
    in_manual = (SOURCE / "data/man/disklockctl.1.rst").read_text().partition("\nENVIRONMENT\n")[2].partition("\nEXAMPLES\n")[0]
    assert set(re.findall(r"^  (\w+) ", in_help, re.M)) == heeded
    assert set(re.findall(r"^\*\*(\w+)\*\*$", in_manual, re.M)) == heeded


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_of_its_own(ctl, command):
    done = ctl(command, "--help")
    assert done.returncode == DONE
    assert f"disklockctl [OPTION…] {command}" in done.stdout


def test_acquire_prints_the_lease_and_its_token(ctl, root, disk):
    done = ctl("acquire", disk)
    assert done.returncode == DONE, done.stderr
    heading, row = done.stdout.splitlines()
    assert heading.split() == ["LEASE", "TOKEN"]
    lease, token = row.split()
    properties = root.get_all(f"/org/disklock/DiskLock1/lease/{lease}", "org.disklock.DiskLock1.Lease")
    assert properties["Path"] == str(disk)
    assert properties["Token"] == int(token)


def test_acquire_as_json_says_object_id_and_token(ctl, service, disk):
    lease = json.loads(ctl("acquire", "--json=pretty", disk).stdout)
    assert lease["Lease"] == f"/org/disklock/DiskLock1/lease/{lease['Id']}"
    assert lease["Token"] > 0


def test_the_options_of_acquire_reach_the_lease(ctl, service, disk):
    acquire(ctl, disk, "--mode=read-only", "--owner=web01", "--owner-uuid=6c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a11",
            "--why=a reason", "--lifetime=process", f"--pid={os.getpid()}", "--backend=host", "--on-break=terminate")
    [lease] = leases(ctl)
    assert lease["Mode"] == "read-only"
    assert lease["Owner"] == "web01"
    assert lease["OwnerUuid"] == "6c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a11"
    assert lease["Why"] == "a reason"
    assert lease["Lifetime"] == "process"
    assert lease["Pid"] == os.getpid()
    assert lease["Backend"] == "host"
    assert lease["OnBreak"] == "terminate"


def test_a_relative_path_is_taken_from_the_working_directory(ctl, service, disk):
    assert ctl("acquire", f"./{disk.name}", cwd=disk.parent).returncode == DONE
    assert leases(ctl)[0]["Path"] == str(disk)


def test_a_disk_that_somebody_has_is_busy_and_the_message_says_who(ctl, service, disk):
    acquire(ctl, disk, "--owner=web01")
    done = ctl("acquire", disk, "--owner=db01")
    assert done.returncode == BUSY
    assert done.stderr.startswith("disklockctl: ")
    assert "web01" in done.stderr
    assert "GDBus.Error" not in done.stderr
    assert "hint: " in done.stderr


def test_a_wait_in_vain_is_busy(ctl, service, disk):
    acquire(ctl, disk)
    assert ctl("acquire", disk, "--wait=0.2").returncode == BUSY


def test_a_wait_ends_with_the_disk_when_it_is_free(ctl, service, disk):
    first = acquire(ctl, disk)
    waiting = ctl.start("acquire", disk, "--wait=60", "--owner=next")
    assert ctl("release", first).returncode == DONE
    assert waiting.wait(60) == DONE
    assert [lease["Owner"] for lease in leases(ctl)] == ["next"]


def test_list_is_a_table_with_a_total(ctl, service, disk):
    lease = acquire(ctl, disk, "--owner=web01")
    done = ctl()
    heading, row, _, total = done.stdout.splitlines()
    assert heading.split() == ["LEASE", "STATE", "MODE", "OWNER", "PID", "BACKEND", "SINCE", "PATH"]
    for word in (lease[:8], "active", "exclusive", "web01", str(disk)):
        assert word in row.split()
    assert total == "1 lease."


def test_without_legend_a_list_is_its_rows(ctl, service, disk):
    acquire(ctl, disk)
    assert len(ctl("list", "--no-legend").stdout.splitlines()) == 1


def test_options_of_list_need_no_command(ctl, service, image):
    acquire(ctl, image("a.img"), "--owner=a")
    acquire(ctl, image("b.img"), "--owner=b")
    assert [lease["Owner"] for lease in json.loads(ctl("--owner", "b", "--json", "short").stdout)] == ["b"]


@pytest.mark.parametrize("options, owners", [
    (["--owner=a"], ["a"]), (["--uid=root"], ["a", "b"]), (["--uid=5"], []), (["--state=active"], ["a", "b"]),
    (["--state=broken"], []), (["--backend=host"], ["b"]), (["--path=disks/a.img"], ["a"]),
    (["--owner=a", "--backend=host"], []),
])
def test_filters(ctl, service, image, options, owners):
    acquire(ctl, image("a.img"), "--owner=a", "--backend=fcntl")
    acquire(ctl, image("b.img"), "--owner=b", "--backend=host")
    assert sorted(lease["Owner"] for lease in leases(ctl, *options)) == owners


def test_list_goes_through_all_pages(ctl, root, image):
    path = image()
    held = {str(root.acquire(path, "read-only")) for _ in range(1500)}
    assert {lease["Lease"] for lease in leases(ctl)} == held


def test_show_takes_an_id_its_beginning_or_an_object_path(ctl, service, disk):
    lease = acquire(ctl, disk)
    for name in (lease, lease[:4], lease[:12].upper(), f"/org/disklock/DiskLock1/lease/{lease}"):
        done = ctl("show", name)
        assert done.returncode == DONE, done.stderr
        assert lease in done.stdout


def test_show_tells_what_is_known_of_a_lease(ctl, service, disk):
    done = ctl("show", acquire(ctl, disk, "--owner=web01", "--why=a reason"))
    shown = dict(line.strip().split(": ", 1) for line in done.stdout.splitlines())
    assert shown["Path"] == str(disk)
    assert shown["Owner"] == "web01"
    assert shown["Why"] == "a reason"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", shown["Since"])


@pytest.mark.parametrize("name", ["0000", "0" * 32, "/org/disklock/DiskLock1/lease/" + "0" * 32])
@pytest.mark.parametrize("command", [["show"], ["release"], ["break", "--reason=x"]])
def test_a_lease_that_is_not_there_is_missing(ctl, service, command, name):
    done = ctl(*command, name)
    assert done.returncode == MISSING, done.stderr
    assert "hint: " in done.stderr


def test_inspect_says_who_has_a_disk(ctl, service, disk):
    lease = acquire(ctl, disk, "--owner=web01")
    done = ctl("inspect", disk)
    assert done.returncode == DONE, done.stderr
    assert re.search(r"^ *State: held$", done.stdout, re.M)
    assert re.search(rf"^  {lease} .*web01", done.stdout, re.M)


def test_inspect_says_in_words_which_modes_can_be_had(ctl, service, disk):
    assert re.search(r"^ *Available: exclusive, shared, read-only$", ctl("inspect", disk).stdout, re.M)
    acquire(ctl, disk)
    assert re.search(r"^ *Available: none$", ctl("inspect", disk).stdout, re.M)


def test_inspect_as_json_is_the_report(ctl, root, disk):
    report = json.loads(ctl("inspect", "--json=short", disk).stdout)
    assert report["state"] == "free"
    assert report.keys() == root.inspect(disk).keys()


def test_what_is_no_disk_is_missing(ctl, service, folder):
    for command in ("inspect", "acquire"):
        done = ctl(command, folder)
        assert done.returncode == MISSING
        assert str(folder) in done.stderr


def test_release_gives_leases_back(ctl, service, image):
    first, second = acquire(ctl, image("a.img")), acquire(ctl, image("b.img"))
    assert ctl("release", first, second[:8]).returncode == DONE
    assert leases(ctl) == []


def test_release_goes_on_after_a_lease_that_is_not_there(ctl, service, disk):
    lease = acquire(ctl, disk)
    assert ctl("release", "0" * 32, lease).returncode == MISSING
    assert leases(ctl) == []


def test_release_of_an_owner_says_how_many(ctl, service, image):
    acquire(ctl, image("a.img"), "--owner=web01")
    acquire(ctl, image("b.img"), "--owner=web01")
    acquire(ctl, image("c.img"), "--owner=db01")
    assert ctl("release", "--owner=web01").stdout == "2 leases released.\n"
    assert json.loads(ctl("release", "--owner=db01", "--json=short").stdout) == {"Released": 1}


def test_break_revokes_a_lease_and_says_why(ctl, service, disk):
    lease = acquire(ctl, disk)
    assert ctl("break", lease, "--reason=host maintenance").returncode == DONE
    shown = ctl("show", lease).stdout
    assert re.search(r"State: broken$", shown, re.M)
    assert "host maintenance" in shown


def test_break_wants_a_reason(ctl, service, disk):
    done = ctl("break", acquire(ctl, disk))
    assert done.returncode == USAGE
    assert "--reason" in done.stderr


@pytest.mark.parametrize("arguments, answer, code, state", [
    ([], "n", FAILURE, "active"), ([], "y", DONE, "broken"), (["--yes"], None, DONE, "broken"),
])
def test_on_a_terminal_break_asks_first(ctl, service, disk, arguments, answer, code, state):
    lease = acquire(ctl, disk, "--owner=web01")
    status, shown = ctl.on_terminal("break", lease, "--reason=x", *arguments, answer=answer)
    assert status == code
    assert ("[y/N]" in shown and "web01" in shown) == (answer is not None)
    assert leases(ctl)[0]["State"] == state


def test_monitor_tells_what_happens_to_leases(ctl, service, image):
    lines = Lines(ctl.start("monitor"))
    lines.wait_for("service-up")
    first, second = image("a.img"), image("b.img")
    lease = acquire(ctl, first, "--owner=web01")
    lines.wait_for("acquired", lease[:8], "web01", str(first))
    ctl("release", lease)
    lines.wait_for("released", lease[:8], "web01", str(first))
    lease = acquire(ctl, second, "--owner=db01")
    ctl("break", lease, "--reason=host maintenance")
    lines.wait_for("broken", lease[:8], "db01", str(second), "host maintenance")


def test_monitor_as_json_is_one_object_a_line(ctl, service, disk):
    lines = Lines(ctl.start("monitor", "--json=pretty"))
    lines.wait_for("service-up")
    lease = acquire(ctl, disk, "--owner=web01")
    event = json.loads(lines.wait_for("acquired"))
    assert event["Event"] == "acquired"
    assert event["Lease"].endswith(lease)
    assert event["Owner"] == "web01"
    assert event["Path"] == str(disk)
    assert event["Time"] > 0


def test_monitor_says_when_the_service_leaves_and_comes_back(ctl, service):
    lines = Lines(ctl.start("monitor"))
    lines.wait_for("service-up")
    lines.lines.clear()
    service.stop()
    lines.wait_for("service-down")
    service.start()
    lines.wait_for("service-up")


def test_monitor_ends_when_the_bus_does(ctl, bus):
    child = ctl.start("monitor")
    Lines(child).wait_for("service-down")
    bus.process.kill()
    assert child.wait(60) == UNREACHABLE


def test_check_config_counts_the_rules_of_a_good_policy(ctl, folder):
    policy = folder / "good.conf"
    policy.write_text("[Rule a]\nbackend=host\n[Rule b]\ndeny=true\n")
    done = ctl("check-config", policy)
    assert (done.returncode, done.stdout) == (DONE, f"{policy}: 2 rules, good\n")
    assert json.loads(ctl("check-config", "--json=short", policy).stdout) == {"File": str(policy), "Rules": 2}


def test_check_config_names_file_and_line_of_every_mistake(ctl, folder):
    policy = folder / "bad.conf"
    policy.write_text("[Rule a]\nbackend=nonsense\n\n[Rule b]\ncolour=red\n")
    done = ctl("check-config", policy)
    assert done.returncode == FAILURE
    assert re.search(rf"^{policy}:2: .*nonsense", done.stderr, re.M)
    assert re.search(rf"^{policy}:5: .*colour", done.stderr, re.M)


def test_status_says_what_the_service_is(ctl, polkit, root):
    done = ctl("status")
    assert done.returncode == DONE, done.stderr
    shown = dict(line.strip().split(": ", 1) for line in done.stdout.splitlines())
    assert shown["Service"] == shown["Polkit"] == shown["Bus"] == "answers"
    assert shown["Version"] == root.get("Version")
    assert shown["Backends"] == ", ".join(root.get("Backends"))
    assert shown["Leases"] == "0"


def test_status_says_that_polkit_is_not_there(ctl, service):
    assert "Polkit: does not answer: who is not root is refused, but for his own leases" in ctl("status").stdout
    assert json.loads(ctl("status", "--json=short").stdout)["Polkit"] is False


def test_status_without_the_service_says_how_to_start_it(ctl):
    done = ctl("status")
    assert done.returncode == UNREACHABLE
    assert "Service: does not answer" in done.stdout
    assert "systemctl start disklockd" in done.stderr


def test_reload_reads_the_policy_again(ctl, service):
    before = json.loads(ctl("status", "--json=short").stdout)["PolicyGeneration"]
    assert ctl("reload").returncode == DONE
    assert json.loads(ctl("status", "--json=short").stdout)["PolicyGeneration"] == before + 1


def test_reload_of_a_bad_policy_tells_its_mistakes(ctl, service):
    service.policy_file.write_text("[Rule a]\nbackend=nonsense\n")
    done = ctl("reload")
    assert done.returncode == FAILURE
    assert f"{service.policy_file}:2: " in done.stderr


def test_whom_polkit_does_not_allow_is_denied(ctl, polkit, service, disk):
    for command in ("acquire", "inspect"):
        done = ctl(command, disk, uid=ALICE)
        assert done.returncode == DENIED
        assert "hint: " in done.stderr


def test_where_polkit_is_not_there_it_is_not_its_rules_that_are_blamed(ctl, service, disk):
    said = ctl("acquire", disk, uid=ALICE).stderr
    assert "acquire is not allowed: polkit " in said and "see systemctl status polkit" in said and "does not allow" not in said


@pytest.mark.parametrize("arguments", [[], ["--no-ask-password"]])
def test_a_user_without_a_session_is_denied_on_a_terminal_too(ctl, polkit, service, disk, arguments):
    status, shown = ctl.on_terminal("acquire", disk, *arguments, uid=ALICE)
    assert status == DENIED
    assert "hint: " in shown


def test_the_lease_of_another_user_is_not_released(ctl, polkit, service, disk):
    assert ctl("release", acquire(ctl, disk), uid=ALICE).returncode == DENIED


def test_what_the_policy_denies_is_denied(ctl, start_service, disk):
    start_service(policy="[Rule none]\ndeny=true\n")
    assert ctl("acquire", disk).returncode == DENIED


def test_who_may_not_see_the_others_leases_sees_their_own(ctl, polkit, root, client, image):
    root.acquire(image("root.img"), owner="root's")
    with open(image("alice.img", owner=ALICE), "r+b") as disk:
        polkit.allow(ALICE, "acquire-fd")
        client(ALICE).acquire_fd(disk.fileno(), owner="alice's")
    done = ctl("list", "--json=short", uid=ALICE)
    assert done.returncode == DONE, done.stderr
    assert [lease["Owner"] for lease in json.loads(done.stdout)] == ["alice's"]


def test_a_lease_goes_with_the_process_that_it_is_for(ctl, root, disk):
    child = GLib.spawn_async(["/bin/sleep", "600"], flags=GLib.SpawnFlags.DO_NOT_REAP_CHILD)[0]
    acquire(ctl, disk, "--lifetime=process", f"--pid={child}")
    os.kill(child, 9)
    os.waitpid(child, 0)
    wait_until(lambda: not root.list(), "the lease to go")
