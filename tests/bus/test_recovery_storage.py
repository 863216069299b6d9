"""The service starts while the storage of some of its leases is silent or in trouble."""

import time
from pathlib import Path

import pytest

from harness import Process, lock_of, wait_until
from test_hung_storage import POLICY

BRIEF = POLICY.replace("risk-timeout=600", "risk-timeout=1")


@pytest.fixture(params=["store", "by hand"])
def managed(request):
    return {} if request.param == "store" else None


@pytest.fixture
def start(remote, start_service, managed):
    # The kernel lets no process end that waits for an answer: so the filesystem answers before the service is stopped.
    yield lambda policy: start_service(policy, managed=managed)
    remote.answer()


def test_a_start_does_not_wait_for_storage_that_hangs(start, remote, client, disk, signals):
    service, root = start(POLICY), client()
    silent = [root.acquire(path) for path in remote.disks[:50]]
    lease = root.acquire(disk)
    service.crash()
    remote.hang()
    service.start()
    assert lease["State"] == "active"
    assert {one["State"] for one in silent} == {"at-risk"}
    wait_until(lambda: {path for path, _ in signals.named("LeaseAtRisk")} >= {str(one) for one in silent}, "the signals")
    assert root.refused_acquire(remote.disks[0]).name in ("Busy", "Unreachable")
    root.release(lease)
    remote.answer()
    wait_until(lambda: {one["State"] for one in silent} == {"active"}, "the storage's answer")
    assert {path for path, in signals.named("LeaseRestored")} == {str(one) for one in silent}
    assert "exclusively" in root.refused_acquire(remote.disks[0]).message
    silent[0].release()
    root.acquire(remote.disks[0])


def test_what_hangs_for_too_long_after_a_start_is_broken(start, remote, client, process, signals):
    service, root, child = start(BRIEF), client(), process()
    lease = root.acquire(remote.disks[0], pid=child.pid, on_break="kill")
    service.crash()
    remote.hang()
    service.start()
    assert "risk-timeout" in signals.wait_for("LeaseBroken", lambda path, *_: path == str(lease))[1]
    assert child.wait(60) == -9
    remote.answer()
    root.acquire(remote.disks[0], wait=30000)


def test_a_release_before_the_storage_has_answered_gives_the_disk_free_when_it_does(start, remote, client):
    service, root = start(POLICY), client()
    lease = root.acquire(remote.disks[0])
    service.crash()
    remote.hang()
    service.start()
    assert lease.refused("Release").name == "Unreachable"
    assert not lease.exists()
    remote.answer()
    root.acquire(remote.disks[0], wait=30000)
    assert lock_of(remote.disks[0]) is not None


@pytest.mark.parametrize("change", [("Convert", "(s)", "shared"), ("Suspend",)], ids=lambda change: change[0])
def test_nothing_is_changed_before_the_storage_has_answered(start, remote, client, change):
    service, root = start(POLICY), client()
    lease = root.acquire(remote.disks[0])
    service.crash()
    remote.hang()
    service.start()
    assert lease.refused(*change).name == "Unreachable"
    remote.answer()
    wait_until(lambda: lease["State"] == "active", "the storage's answer")
    lease.call(*change)


@pytest.mark.parametrize("kind", ["EIO", "ESTALE"])
def test_storage_in_trouble_at_the_start_puts_its_leases_at_risk(start, remote, client, kind):
    service, root = start(POLICY), client()
    lease = root.acquire(remote.disks[0])
    service.crash()
    remote.fail(kind)
    service.start()
    assert lease["State"] == "at-risk"
    remote.answer()
    wait_until(lambda: lease["State"] == "active", "the storage's answer")


# Has one thread that waits for the disk, and one that writes to another file.
STUBBORN = """
import os, signal, sys, threading, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)

def write_elsewhere():
    with open(sys.argv[2], "wb", buffering=0) as out:
        while out.write(b"."):
            time.sleep(0.01)

threading.Thread(target=write_elsewhere, daemon=True).start()
disk = os.open(sys.argv[1], os.O_WRONLY)
while os.pwrite(disk, bytes(4096), 0):
    time.sleep(0.01)
"""


@pytest.fixture
def stubborn(folder):
    """Starts a process that writes to a disk, and has another thread write to a file; it does not end by SIGTERM."""
    children = []

    def begin(disk):
        out = folder / "written-elsewhere"
        children.append(Process("stubborn", ["/usr/bin/python3", "-c", STUBBORN, disk, out], folder))
        wait_until(out.exists, "the process to write")
        return children[-1], out
    yield begin
    for child in children:
        child.kill()


def letters(child):
    """What its threads do: proc_pid_stat(5)."""
    return {stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{child.pid}/task").glob("*/stat")}


def test_who_was_stopped_to_be_killed_is_not_continued_by_the_next_start(start, remote, client, stubborn, disk):
    service, root = start(POLICY.replace("risk-timeout", "grace=1\nrisk-timeout")), client()
    child, out = stubborn(remote.disks[0])
    lease = root.acquire(disk, pid=child.pid, on_break="terminate")
    remote.hang()
    root.call("Break", "(osa{sv})", str(lease), "maintenance", {})
    wait_until(lambda: not letters(child) & {"R", "S"}, "the process to be stopped")
    written = out.stat().st_size
    service.crash()
    service.start()
    time.sleep(1)  # which is its grace
    assert out.stat().st_size == written and not letters(child) & {"R", "S"}
    assert "process is being stopped" in client().refused_acquire(disk).message
    remote.answer()
    assert child.wait(60) == -9
    client().acquire(disk, wait=30000)


def test_who_was_paused_for_one_disk_is_not_continued_after_a_start_to_end_for_another(start, client, stubborn, image):
    service, root = start(POLICY.replace("risk-timeout", "grace=1\nrisk-timeout")), client()
    child, out = stubborn(image("written.img"))
    disk = image("a.img")
    paused = root.acquire(disk, pid=child.pid, on_break="pause")
    other = root.acquire(image("b.img"), pid=child.pid, on_break="terminate")
    root.call("Break", "(osa{sv})", str(paused), "maintenance", {})
    wait_until(lambda: letters(child) == {"T"}, "the process to be paused")
    root.acquire(disk, wait=30000)
    written = out.stat().st_size
    service.crash()
    service.start()
    client().call("Break", "(osa{sv})", str(other), "maintenance", {})
    assert child.wait(60) == -9 and out.stat().st_size == written
