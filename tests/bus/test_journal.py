"""What the service says in the journal: the real systemd-journald takes it, and journalctl shows it."""

import os
import re
import signal

import pytest

from conftest import ALICE
from harness import SOURCE, Journal, wait_until

POLICY = """
[Rule patient]
match-path=*patient*
backend=fake
check-interval=0.1
risk-timeout=600

[Rule everything]
backend=fake;fcntl;host
check-interval=3600
risk-timeout=1
"""
EVENTS = re.findall(r'\[DLK_EVENT_(\w+)\] = \{ID\("(\w\w)"\)', (SOURCE / "service/base/event.c").read_text())
IDS = {name: f"5bb4a2d3d2fd4d0f9a6c8c1c2f8b7e{last}" for name, last in EVENTS}
INFO, NOTICE, WARNING = "6", "5", "4"


@pytest.fixture
def journal(folder):
    journal = Journal(folder)
    yield journal
    journal.close()


@pytest.fixture
def service(journal, polkit, start_service):
    return start_service(POLICY, fake=True, under=journal.inside)


@pytest.fixture
def said(journal):
    """The first entry of one event, waited for; its priority must be this."""
    def said(event, priority, *matches):
        entry = journal.wait_for(f"MESSAGE_ID={IDS[event]}", *matches)
        assert entry["PRIORITY"] == priority
        return entry
    return said


@pytest.fixture
def program(folder, service, root):
    """Lets every lease that breaks run a shell script."""
    def program(script):
        path = folder / "program"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        service.policy_file.write_text(f"[Rule all]\nbackend=fake\non-break=exec\non-break-allowed=exec\nexec={path}\ngrace=1\n")
        root.call("Reload")
    return program


def identifier(lease):
    return lease.path.rsplit("/", 1)[1]


def is_about(entry, lease, path, owner="web01", uid=0, reason=None):
    """The fields that every entry about a lease has."""
    assert entry["DISKLOCK_LEASE"] == identifier(lease)
    assert entry["DISKLOCK_PATH"] == str(path)
    assert entry["DISKLOCK_DISK"]
    assert entry["DISKLOCK_OWNER"] == owner
    assert entry["DISKLOCK_UID"] == str(uid)
    assert int(entry["DISKLOCK_PID"]) > 0
    assert entry["DISKLOCK_TOKEN"] == str(lease.token)
    assert entry["DISKLOCK_MODE"] and entry["DISKLOCK_BACKEND"] and entry["DISKLOCK_ON_BREAK"]
    assert entry.get("DISKLOCK_REASON") == reason
    assert str(path) in entry["MESSAGE"]
    return True


def test_a_grant_and_its_end(root, said, disk):
    lease = root.acquire(disk, owner="web01")
    granted = said("ACQUIRED", INFO)
    is_about(granted, lease, disk)
    assert granted["DISKLOCK_PID"] == str(os.getpid())
    root.release(lease)
    is_about(said("RELEASED", INFO), lease, disk, reason="released")


def test_a_refusal_by_the_holder_of_the_disk(root, said, disk):
    root.acquire(disk, owner="web01")
    error = root.refused_acquire(disk, owner="web02")
    refused = said("REFUSED", INFO)
    assert refused["DISKLOCK_OWNER"] == "web02" and refused["DISKLOCK_PATH"] == str(disk)
    assert refused["DISKLOCK_REASON"] == error.message
    assert (refused["DISKLOCK_UID"], refused["DISKLOCK_PID"]) == ("0", str(os.getpid()))


def test_a_refusal_by_polkit(service, client, said, disk):
    client(ALICE).refused_acquire(disk, owner="web02")
    refused = said("REFUSED", INFO)
    assert refused["DISKLOCK_UID"] == str(ALICE) and "polkit" in refused["DISKLOCK_REASON"]


def test_the_refusal_of_a_set_names_each_of_its_disks(root, said, image):
    first, second = image("1.img"), image("2.img")
    root.acquire(second)
    root.refused_acquire_set([(first, "exclusive"), (second, "exclusive")])
    assert sorted(said("REFUSED", INFO)["DISKLOCK_PATH"]) == [str(first), str(second)]


def test_conversion_suspension_and_resumption(root, said, disk):
    lease = root.acquire(disk, owner="web01")
    lease.call("Convert", "(s)", "shared")
    converted = said("CONVERTED", INFO)
    is_about(converted, lease, disk)
    assert converted["DISKLOCK_MODE"] == "shared"
    lease.call("Suspend")
    is_about(said("SUSPENDED", INFO), lease, disk)
    lease.call("Resume")
    is_about(said("RESUMED", INFO), lease, disk)


def test_adoption(root, said, disk):
    vm = {"owner": "web01", "owner_uuid": "6c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a11", "adopt": True}
    lease = root.acquire(disk, **vm)
    root.acquire(disk, **vm)
    is_about(said("ADOPTED", INFO), lease, disk)


def test_risk_and_restoration(root, service, said, image):
    path = image("patient.img")
    lease = root.acquire(path, owner="web01")
    service.tell_fake("check", "unknown", "the server is away")
    is_about(said("AT_RISK", WARNING), lease, path, reason="the server is away")
    service.tell_fake("check")
    is_about(said("RESTORED", NOTICE), lease, path)


def test_a_break(root, said, disk):
    lease = root.acquire(disk, owner="web01", backend="fcntl")
    disk.unlink()
    broken = said("BROKEN", WARNING)
    is_about(broken, lease, disk, reason="deleted")
    assert broken["DISKLOCK_ON_BREAK"] == "signal"
    is_about(said("GIVEN_UP", NOTICE), lease, disk, reason="deleted")


def test_a_revocation(root, said, disk):
    lease = root.acquire(disk, owner="web01")
    root.call("Break", "(osa{sv})", lease.path, "host is being emptied", {})
    revoked = said("REVOKED", NOTICE)
    is_about(revoked, lease, disk, reason="host is being emptied")
    assert (revoked["DISKLOCK_BY_UID"], revoked["DISKLOCK_BY_PID"]) == ("0", str(os.getpid()))
    is_about(said("BROKEN", WARNING), lease, disk, reason="host is being emptied")


@pytest.mark.parametrize("call", ["Release", "ReleaseOwner"])
def test_a_forced_release(root, polkit, client, said, journal, image, call):
    path = image("hers.img", owner=ALICE)
    polkit.allow(ALICE, "acquire")
    alice = client(ALICE)
    lease, own = alice.acquire(path, owner="web01"), root.acquire(image(), owner="web01")
    root.call(call, *(("(o)", lease.path) if call == "Release" else ("(s)", "web01")))
    forced = said("FORCED_RELEASE", NOTICE)
    is_about(forced, lease, path, uid=ALICE)
    assert (forced["DISKLOCK_BY_UID"], forced["DISKLOCK_BY_PID"]) == ("0", str(os.getpid()))
    assert journal.entries(f"MESSAGE_ID={IDS['FORCED_RELEASE']}", f"DISKLOCK_LEASE={identifier(own)}") == []


def test_who_releases_his_own_forces_nothing(root, said, journal, disk):
    root.release(root.acquire(disk))
    said("RELEASED", INFO)
    assert journal.entries(f"MESSAGE_ID={IDS['FORCED_RELEASE']}") == []


def test_a_lock_that_the_storage_does_not_take_back(root, service, said, disk):
    lease = root.acquire(disk, owner="web01")
    service.tell_fake("release", "fail", "stale handle")
    root.release(lease)
    is_about(said("RELEASE_FAILED", NOTICE), lease, disk, reason="stale handle")


def test_what_an_on_break_program_prints(root, service, said, journal, disk, program):
    program("echo first; echo second >&2; printf 'no end of line'")
    lease = root.acquire(disk, owner="web01")
    root.call("Break", "(osa{sv})", lease.path, "test", {})
    said("GIVEN_UP", NOTICE)
    printed = lambda: journal.entries(f"MESSAGE_ID={IDS['PROGRAM_SAID']}", f"DISKLOCK_LEASE={identifier(lease)}")
    wait_until(lambda: len(printed()) == 3, "three lines")
    assert [entry["MESSAGE"].rsplit(": ", 1)[1] for entry in printed()] == ["first", "second", "no end of line"]
    assert all(is_about(entry, lease, disk) for entry in printed())


def test_a_program_that_prints_without_end(root, said, journal, disk, program):
    program("yes")
    lease = root.acquire(disk)
    root.call("Break", "(osa{sv})", lease.path, "test", {})
    said("ACTION_FAILED", WARNING)
    printed = sum(len(entry["MESSAGE"].rsplit(": ", 1)[1]) for entry in journal.entries(f"MESSAGE_ID={IDS['PROGRAM_SAID']}"))
    assert printed < 100 * 1024


def test_a_program_that_fails(root, said, disk, program):
    program("exit 3")
    lease = root.acquire(disk, owner="web01")
    root.call("Break", "(osa{sv})", lease.path, "test", {})
    failed = said("ACTION_FAILED", WARNING)
    assert "3" in failed["DISKLOCK_REASON"] and is_about(failed, lease, disk, reason=failed["DISKLOCK_REASON"])


def test_where_there_is_no_process_to_be_stopped_the_disk_is_free(root, said, disk, process):
    child = process()
    lease = root.acquire(disk, owner="web01", pid=child.pid, on_break="kill")
    child.kill()
    child.wait()
    wait_until(lambda: f"pid {child.pid}" not in root.refused_acquire(disk).message, "the service to see the end of the process")
    root.call("Break", "(osa{sv})", lease.path, "test", {})
    failed = said("ACTION_FAILED", WARNING)
    assert failed["DISKLOCK_REASON"] == "the process of the lease is not known, or has ended" and "which is free now" in failed["MESSAGE"]
    root.acquire(disk, owner="web02")


def test_a_policy_that_is_read_and_one_that_is_refused(root, service, said):
    root.call("Reload")
    said("POLICY_READ", NOTICE)
    service.policy_file.write_text("[Rule broken]\nbackend=nonsense\n")
    root.refused("Reload")
    assert "nonsense" in said("POLICY_REFUSED", WARNING)["DISKLOCK_REASON"]


def test_names_from_outside_make_no_line_of_their_own(root, said, folder):
    path = folder / "disks" / "a\nPRIORITY=0\n.img"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x" * 512)
    root.acquire(path, owner="web01")
    granted = said("ACQUIRED", INFO)
    assert granted["DISKLOCK_PATH"] == str(path)
    assert "\n" not in granted["MESSAGE"]


def test_journalctl_explains_an_entry_with_its_own_values(root, journal, said, disk):
    lease = root.acquire(disk, owner="web01", backend="fcntl")
    disk.unlink()
    said("GIVEN_UP", NOTICE)
    shown = journal.journalctl("--catalog", f"MESSAGE_ID={IDS['BROKEN']}")
    assert "The lock of web01 on the disk" in shown and identifier(lease) in shown
    assert "Check the disk's content" in shown
    for entry in (shown, journal.journalctl("--catalog", f"MESSAGE_ID={IDS['ACQUIRED']}")):
        assert "@DISKLOCK" not in entry


def test_what_happens_while_the_bus_is_away(root, service, bus, said):
    bus.process.kill()
    assert said("BUS_LOST", WARNING)["DISKLOCK_REASON"]
    wait_until(service.process.is_alive)


@pytest.fixture
def refused_set(root, folder):
    """A call for so many disks with long names that its entry is larger than a datagram; the disks."""
    def call(number):
        paths = [str(folder / ("x" * 200) / f"{number}-{i}.img") for i in range(1000)]
        assert root.refused_acquire_set([(path, "exclusive") for path in paths]).name
        return paths
    return call


def test_an_entry_that_is_larger_than_a_datagram(refused_set, said):
    paths = refused_set(0)
    assert said("REFUSED", INFO, f"DISKLOCK_PATH={paths[-1]}")["DISKLOCK_PATH"] == paths


def test_large_entries_do_not_wait_for_a_journal_that_hangs_either(root, journal, refused_set, said, disk):
    journal.process.signal(signal.SIGSTOP)
    try:
        for _ in range(600):  # more entries than its socket takes
            root.release(root.acquire(disk))
        refused_set(1)
    finally:
        journal.process.signal(signal.SIGCONT)
    root.release(root.acquire(disk))
    said("ENTRIES_LOST", WARNING)


def test_a_start_says_what_became_of_each_lease(root, service, said, client, process, image):
    paths, child = [image(f"{name}.img") for name in ("kept", "over", "gone")], process()
    kept, over, gone = (root.acquire(path, backend="fcntl", **more)
                        for path, more in zip(paths, ({}, {"lifetime": "process", "pid": child.pid}, {})))
    service.crash()
    child.kill()
    child.wait()
    paths[2].unlink()
    with open(service.runtime / "leases", "ab") as journal:
        journal.write(b"torn")
    service.start()
    assert said("RECOVERED", INFO, f"DISKLOCK_LEASE={identifier(kept)}")["DISKLOCK_REASON"] == "its lock was taken again"
    assert "process" in said("DROPPED", NOTICE, f"DISKLOCK_LEASE={identifier(over)}")["DISKLOCK_REASON"]
    assert said("NOT_RECOVERED", WARNING, f"DISKLOCK_LEASE={identifier(gone)}")["DISKLOCK_REASON"] == "deleted"
    assert said("BROKEN", WARNING, f"DISKLOCK_LEASE={identifier(gone)}")
    assert said("RECORD_DAMAGED", WARNING)["DISKLOCK_FILE"] == str(service.runtime / "leases")
    assert said("RECOVERY_DONE", NOTICE)["MESSAGE"].startswith("3 leases")


def test_a_journal_that_hangs_holds_up_nobody(root, service, journal, said, disk):
    journal.process.signal(signal.SIGSTOP)
    try:
        for _ in range(2000):  # many more entries than its socket takes
            root.release(root.acquire(disk))
    finally:
        journal.process.signal(signal.SIGCONT)
    root.release(root.acquire(disk))
    lost = said("ENTRIES_LOST", WARNING)
    assert int(re.search(r"(\d+) entries were lost", lost["MESSAGE"])[1]) > 1000
