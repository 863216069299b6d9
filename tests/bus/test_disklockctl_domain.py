"""disklockctl domain acquire, release and inspect: a libvirt domain's disks from the command line."""

import fcntl
import json
import os
import re

import pytest

from conftest import ALICE
from harness import Lines
from harness.domain import UUID, backing, disk, domain

DONE, FAILURE, USAGE, BUSY, DENIED, UNREACHABLE, MISSING = range(7)
VERBS = ["acquire", "release", "inspect"]


@pytest.fixture
def xml(folder):
    """Writes a domain's XML to a file and returns its path."""
    def write(*devices, file="web01.xml", **how):
        path = folder / file
        path.write_text(domain(*devices, **how))
        return path
    return write


@pytest.fixture
def two_disks(image, xml):
    """The file of a domain with a disk and a cdrom, and their paths."""
    first, second = image("root.img"), image("setup.iso")
    return xml(disk(first), disk(second, "sda", device="cdrom")), first, second


def rows(done):
    """The cells of a table without headings."""
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_stands_in_the_help_and_has_help_of_its_own(ctl, verb):
    assert re.search(rf"^  domain {verb} ", ctl("--help").stdout, re.M)
    assert re.search(rf"^  domain {verb} ", ctl("domain", "--help").stdout, re.M)
    done = ctl("domain", verb, "--help")
    assert done.returncode == DONE
    assert f"disklockctl [OPTION…] domain {verb} FILE|-" in done.stdout


@pytest.mark.parametrize("arguments", [
    ["domain"], ["domain", "list"], ["domain", "acquire"], ["domain", "release"], ["domain", "inspect"],
    ["domain", "acquire", "a", "b"], ["domain", "acquire", "a", "--mode=shared"], ["domain", "release", "a", "--wait=1"],
])
def test_wrong_usage(ctl, service, arguments):
    done = ctl(*arguments)
    assert done.returncode == USAGE and done.stdout == ""
    assert done.stderr.startswith("disklockctl: ")


# ---- acquire ----

def test_acquire_prints_a_line_for_each_disk(ctl, root, two_disks):
    file, first, second = two_disks
    done = ctl("domain", "acquire", file)
    assert done.returncode == DONE, done.stderr
    heading, *lines = done.stdout.splitlines()
    assert heading.split() == ["LEASE", "TOKEN", "MODE", "PATH"]
    assert [line.split()[2:] for line in lines] == [["exclusive", str(first)], ["read-only", str(second)]]
    for line in lines:
        lease, token, _, path = line.split()
        properties = root.list()[f"/org/disklock/DiskLock1/lease/{lease}"]
        assert (properties["Token"], properties["Path"]) == (int(token), path)


def test_acquire_as_json_says_everything_about_each_lease(ctl, root, two_disks):
    file, first, second = two_disks
    leases = json.loads(ctl("domain", "acquire", "--json=short", file).stdout)
    assert [lease["Path"] for lease in leases] == [str(first), str(second)]
    for lease in leases:
        assert lease["Lease"] == f"/org/disklock/DiskLock1/lease/{lease['Id']}"
        properties = root.list()[lease["Lease"]]
        assert properties.pop("CheckedAt") >= lease["CheckedAt"]
        assert properties.items() <= lease.items()


def test_the_owner_is_the_domain_unless_said_otherwise(ctl, root, image, xml):
    ctl("domain", "acquire", xml(disk(image("a.img")), name="web01"))
    ctl("domain", "acquire", xml(disk(image("b.img")), name="web02"), "--owner=me", "--owner-uuid=0c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a22")
    owners = {(lease["Owner"], lease["OwnerUuid"]) for lease in root.list().values()}
    assert owners == {("web01", UUID), ("me", "0c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a22")}


def test_the_options_of_acquire_reach_every_lease(ctl, root, two_disks):
    done = ctl("domain", "acquire", two_disks[0], "--why=a reason", "--lifetime=process", f"--pid={os.getpid()}", "--backend=host",
               "--on-break=terminate")
    assert done.returncode == DONE, done.stderr
    assert len(root.list()) == 2
    for lease in root.list().values():
        assert (lease["Why"], lease["Lifetime"], lease["Pid"]) == ("a reason", "process", os.getpid())
        assert (lease["Backend"], lease["OnBreak"]) == ("host", "terminate")


def test_the_xml_comes_from_standard_input(ctl, root, two_disks):
    with open(two_disks[0]) as file:
        done = ctl("domain", "acquire", "-", "--no-legend", stdin=file)
    assert done.returncode == DONE, done.stderr
    assert len(rows(done)) == len(root.list()) == 2


def test_a_disk_that_somebody_has_is_busy_and_nothing_is_taken(ctl, root, two_disks):
    file, first, second = two_disks
    root.acquire(second, owner="db01")
    done = ctl("domain", "acquire", file)
    assert done.returncode == BUSY and done.stdout == ""
    assert str(second) in done.stderr and "db01" in done.stderr
    assert root.held() == {str(second): "exclusive"}


def test_a_wait_ends_with_all_disks_when_the_last_is_free(ctl, root, two_disks):
    file, first, second = two_disks
    holder = root.acquire(second)
    waiting = ctl.start("domain", "acquire", "--no-legend", "--wait=60", file)
    lines = Lines(waiting)
    root.release(holder)
    lines.wait_for(str(second))
    assert waiting.wait(60) == DONE
    assert root.held() == {str(first): "exclusive", str(second): "read-only"}


def test_a_wait_in_vain_is_busy(ctl, root, two_disks):
    root.acquire(two_disks[1])
    assert ctl("domain", "acquire", two_disks[0], "--wait=0.2").returncode == BUSY


def test_a_user_who_may_not_is_denied(ctl, service, polkit, two_disks):
    two_disks[0].chmod(0o644)
    assert ctl("domain", "acquire", two_disks[0], uid=ALICE).returncode == DENIED


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("content, words", [
    (b"", ["domain XML"]),
    (b"not XML", ["line 1"]),
    (b"<network/>", ["line 1", "<domain>"]),
    (b"<domain type='kvm'/>", ["line 1", "<name>"]),
    (b"<!DOCTYPE x>\n<domain type='kvm'><name>x</name></domain>", ["DOCTYPE"]),
    (b"<domain type='kvm'><name>\xff</name></domain>", ["UTF-8"]),
    (b"<domain type='kvm'><name>x\0</name></domain>", ["UTF-8"]),
    (b"<domain type='kvm'><name>x</name><!--" + b"x" * (4 << 20) + b"--></domain>", ["4194304"]),
], ids=["empty", "text", "network", "no name", "doctype", "bytes", "nul", "large"])
def test_what_is_no_domain_is_refused_by_name(ctl, service, folder, verb, content, words):
    file = folder / "hostile.xml"
    file.write_bytes(content)
    done = ctl("domain", verb, file)
    assert done.returncode == USAGE and done.stdout == ""
    for word in [str(file), *words]:
        assert word in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_a_file_that_cannot_be_read_is_named(ctl, service, folder, verb):
    for path in (folder / "missing.xml", folder):
        done = ctl("domain", verb, path)
        assert done.returncode == USAGE and str(path) in done.stderr


def test_without_end_standard_input_is_read_to_the_bound_only(ctl, service):
    with open("/dev/zero", "rb") as endless:
        done = ctl("domain", "acquire", "-", stdin=endless)
    assert done.returncode == USAGE and "standard input" in done.stderr and "4194304" in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_no_service_is_unreachable(ctl, bus, two_disks, verb):
    done = ctl("domain", verb, two_disks[0])
    assert done.returncode == UNREACHABLE and done.stdout == ""
    assert done.stderr.count("does not run") == 1


# ---- release ----

def test_release_gives_back_what_the_domain_has_and_says_how_many(ctl, root, two_disks, image):
    file, _, _ = two_disks
    other = image("other.img")
    root.acquire(other, owner="db01")
    ctl("domain", "acquire", file)
    done = ctl("domain", "release", file)
    assert (done.returncode, done.stdout) == (DONE, "2 leases released.\n")
    assert root.held() == {str(other): "exclusive"}


def test_release_of_another_owners_name(ctl, root, two_disks):
    ctl("domain", "acquire", two_disks[0], "--owner=me")
    assert ctl("domain", "release", two_disks[0]).stdout == "0 leases released.\n"
    assert json.loads(ctl("domain", "release", two_disks[0], "--owner=me", "--json=short").stdout) == {"Released": 2}
    assert root.held() == {}


# ---- inspect ----

def test_inspect_of_free_disks_has_a_row_for_each(ctl, root, two_disks):
    file, first, second = two_disks
    done = ctl("domain", "inspect", file)
    assert done.returncode == DONE, done.stderr
    heading, *lines = done.stdout.splitlines()
    assert heading.split() == ["ELEMENT", "MODE", "STATE", "HOLDER", "PATH"]
    assert [line.split() for line in lines] == [["disk", "vda", "exclusive", "free", "-", str(first)],
                                                ["disk", "sda", "read-only", "free", "-", str(second)]]
    assert root.held() == {}


def test_inspect_says_who_has_a_disk_and_that_it_is_not_to_be_had(ctl, root, two_disks):
    file, first, _ = two_disks
    root.acquire(first, "shared", owner="db01")
    done = ctl("domain", "inspect", "--no-legend", file)
    assert done.returncode == BUSY
    assert rows(done)[0] == ["disk", "vda", "exclusive", "held", "db01", "(shared)", str(first)]


def test_a_disk_that_is_held_in_a_mode_that_goes_together_is_to_be_had(ctl, root, two_disks):
    file, _, second = two_disks
    root.acquire(second, "read-only", owner="db01")
    done = ctl("domain", "inspect", "--no-legend", file)
    assert done.returncode == DONE
    assert rows(done)[1] == ["disk", "sda", "read-only", "held", "db01", "(read-only)", str(second)]


def test_readers_that_the_policy_keeps_strict_make_a_shared_disk_not_to_be_had(ctl, start_service, client, two_disks):
    start_service("[Rule everything]\nbackend=host\nreaders=strict\n")
    file, _, second = two_disks
    client().acquire(second, "shared")
    assert ctl("domain", "inspect", file).returncode == BUSY


def test_a_mode_that_the_policy_denies_is_not_to_be_had(ctl, start_service, two_disks):
    start_service("[Rule everything]\nbackend=host\nmodes=read-only\n")
    done = ctl("domain", "inspect", "--json=short", two_disks[0])
    assert done.returncode == BUSY
    assert [disk["available"] for disk in json.loads(done.stdout)] == [False, True]


def test_every_disk_of_a_chain_in_the_xml_is_inspected(ctl, service, image, xml):
    top, base = image("top.qcow2", "qcow2"), image("base.img")
    done = ctl("domain", "inspect", "--no-legend", xml(disk(top, form="qcow2", inside=backing(base))))
    assert done.returncode == DONE
    assert done.stdout.splitlines()[1].startswith("backing file 1 of disk vda  read-only  free")


def test_a_missing_disk_is_told_and_only_one_that_must_be_there_counts(ctl, service, image, xml, folder):
    gone = folder / "gone.iso"
    done = ctl("domain", "inspect", "--no-legend", xml(disk(image()), disk(gone, "sda", device="cdrom", policy="optional")))
    assert (done.returncode, done.stderr) == (DONE, "")
    assert rows(done)[1] == ["disk", "sda", "read-only", "missing", "-", str(gone)]
    done = ctl("domain", "inspect", "--no-legend", xml(disk(image()), disk(gone, "sda", device="cdrom")))
    assert done.returncode == BUSY
    assert "disk sda" in done.stderr and str(gone) in done.stderr


def test_inspect_as_json_has_the_whole_report_of_each_disk(ctl, root, two_disks):
    file, first, second = two_disks
    root.acquire(second, owner="db01")
    disks = json.loads(ctl("domain", "inspect", "--json=short", file).stdout)
    assert [(disk["element"], disk["line"], disk["path"], disk["mode"], disk["state"], disk["available"]) for disk in disks] == [
        ("disk vda", 6, str(first), "exclusive", "free", True), ("disk sda", 7, str(second), "read-only", "held", False)]
    assert disks[1]["report"]["holders"][0]["owner"] == "db01"
    assert disks[0]["report"]["available"] == ["exclusive", "shared", "read-only"]


def test_who_may_not_inspect_is_denied(ctl, service, polkit, two_disks):
    two_disks[0].chmod(0o644)
    assert ctl("domain", "inspect", two_disks[0], uid=ALICE).returncode == DENIED


def test_inspect_of_a_domain_without_disks_is_headings_alone(ctl, service, xml):
    done = ctl("domain", "inspect", xml())
    assert (done.returncode, len(done.stdout.splitlines())) == (DONE, 1)


def test_inspect_names_a_foreign_user_of_a_disk(ctl, service, image, xml):
    path = image()
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = ctl("domain", "inspect", "--no-legend", xml(disk(path)))
    assert rows(done)[0][3:7] == ["in-use", "flock", "(pid", f"{os.getpid()})"]
