"""What ends a lease: nothing, a process, a connection, a descriptor."""

import os
import signal
import subprocess

import pytest
from gi.repository import GLib

from harness import LEASE, options, start_with_pid, wait_until


def end(child):
    child.kill()
    child.wait()


def wait_for_end_of(lease):
    wait_until(lambda: not lease.exists(), "the lease to end")


def test_a_persistent_lease_outlives_its_caller(root, client, disk):
    caller = client(0)
    lease = caller.acquire(disk)
    caller.close()
    assert root.refused_acquire(disk).name == "Busy"
    assert root.get("State", lease.path, LEASE) == "active"


def test_persistent_is_the_default(root, disk):
    assert root.acquire(disk)["Lifetime"] == "persistent"


def test_a_process_lease_ends_with_its_caller(root, client, disk):
    caller = client(0)
    lease = caller.acquire(disk, lifetime="process")
    lease.client = root
    assert lease["Pid"] == caller.pid
    caller.close()
    wait_for_end_of(lease)
    root.acquire(disk)


def test_a_process_lease_outlives_the_connection(root, client, disk):
    caller = client()
    lease = caller.acquire(disk, lifetime="process")
    lease.client = root
    caller.close()
    assert lease["State"] == "active"


def test_a_process_lease_for_another_process_ends_with_that(root, process, disk):
    child = process()
    lease = root.acquire(disk, lifetime="process", pid=child.pid)
    assert lease["Pid"] == child.pid
    end(child)
    wait_for_end_of(lease)
    root.acquire(disk)


def test_a_zombie_holds_no_disk(root, process, disk):
    child = process()
    lease = root.acquire(disk, lifetime="process", pid=child.pid)
    child.kill()
    wait_for_end_of(lease)


def test_a_process_lease_by_pidfd(root, process, disk):
    child = process()
    pidfd = os.pidfd_open(child.pid)
    pending = root.start("Acquire", "(ssa{sv})", str(disk), "exclusive",
                         options({"lifetime": "process", "pidfd": 0}), fds=[pidfd])
    os.close(pidfd)
    path, _ = pending.result()
    assert root.get("Pid", path, LEASE) == child.pid
    end(child)
    wait_until(lambda: root.list() == {}, "the lease to end")


def test_the_pidfd_of_a_process_that_has_ended_is_refused(root, process, disk):
    child = process()
    pidfd = os.pidfd_open(child.pid)
    end(child)
    error = root.start("Acquire", "(ssa{sv})", str(disk), "exclusive",
                       options({"lifetime": "process", "pidfd": 0}), fds=[pidfd]).error()
    os.close(pidfd)
    assert error.name == "InvalidArgs"
    root.acquire(disk)


def test_a_descriptor_that_is_no_pidfd_is_refused(root, disk):
    with open("/dev/null") as file:
        error = root.start("Acquire", "(ssa{sv})", str(disk), "exclusive",
                           options({"lifetime": "process", "pidfd": 0}), fds=[file.fileno()]).error()
    assert error.name == "InvalidArgs" and "pidfd" in error.message


@pytest.mark.parametrize("index", [1, 7, 0x7fffffff, -1])
def test_a_pidfd_that_did_not_come_along_is_refused(root, disk, index):
    with open("/dev/null") as file:
        error = root.start("Acquire", "(ssa{sv})", str(disk), "exclusive",
                           options({"lifetime": "process", "pidfd": index}), fds=[file.fileno()]).error()
    assert error.name == "InvalidArgs" and "descriptor" in error.message
    assert root.list() == {}


@pytest.mark.parametrize("pid", [0x7fffffff, 0x80000000, 0xffffffff])
def test_a_pid_that_nobody_has_is_refused(root, disk, pid):
    error = root.refused_acquire(disk, lifetime="process", pid=pid)
    assert error.name == "InvalidArgs" and str(pid) in error.message


def test_pid_and_pidfd_exclude_each_other(root, disk):
    pidfd = os.pidfd_open(os.getpid())
    error = root.start("Acquire", "(ssa{sv})", str(disk), "exclusive",
                       options({"lifetime": "process", "pidfd": 0, "pid": os.getpid()}), fds=[pidfd]).error()
    os.close(pidfd)
    assert error.name == "InvalidArgs"


def test_a_reused_pid_is_not_mistaken_for_its_predecessor(root, signals, service, process, disk):
    """The service is stopped while a process ends and another one gets its number: that one is never signalled."""
    child = process()
    lease = root.acquire(disk, lifetime="process", pid=child.pid, on_break="kill")
    service.process.signal(signal.SIGSTOP)
    number = child.pid
    end(child)
    successor = start_with_pid(number)
    disk.unlink()
    service.process.signal(signal.SIGCONT)
    wait_until(lambda: not lease.exists() or lease["State"] == "broken", "the lease to end")
    assert successor.poll() is None
    successor.kill()
    successor.wait()


def test_a_connection_lease_ends_with_the_connection(root, client, disk):
    caller = client()
    lease = caller.acquire(disk, lifetime="connection")
    lease.client = root
    assert lease["State"] == "active"
    caller.close()
    wait_for_end_of(lease)
    root.acquire(disk)


def test_a_connection_lease_ends_when_its_caller_is_killed(root, client, disk):
    caller = client(0)
    lease = caller.acquire(disk, lifetime="connection")
    lease.client = root
    caller.close()
    wait_for_end_of(lease)


def test_hold_lasts_as_long_as_the_descriptor(root, disk):
    lease, keep = root.hold(disk)
    assert lease["Lifetime"] == "fd"
    assert lease["State"] == "active"
    os.close(keep)
    wait_for_end_of(lease)
    root.acquire(disk)


def test_hold_lasts_as_long_as_any_copy_of_the_descriptor(root, disk):
    lease, keep = root.hold(disk)
    child = subprocess.Popen(["sleep", "1000"], pass_fds=[keep])
    os.close(keep)
    assert lease.call("Check") == ("active",)
    assert root.refused_acquire(disk).name == "Busy"
    end(child)
    wait_for_end_of(lease)


def test_what_a_holder_writes_to_the_descriptor_changes_nothing(root, disk):
    lease, keep = root.hold(disk)
    try:
        os.write(keep, b"x" * 100)
    except OSError:
        pass
    assert lease.call("Check") == ("active",)
    os.close(keep)
    wait_for_end_of(lease)


def test_a_held_lease_can_be_released_before_its_descriptor_is_closed(root, disk):
    lease, keep = root.hold(disk)
    lease.release()
    root.acquire(disk)
    os.close(keep)
    assert len(root.list()) == 1


def test_hold_outlives_the_connection(root, client, disk):
    caller = client()
    lease, keep = caller.hold(disk)
    lease.client = root
    caller.close()
    assert lease["State"] == "active"
    os.close(keep)
    wait_for_end_of(lease)


def test_hold_refuses_another_lifetime(root, disk):
    error = root.refused("Hold", "(ssa{sv})", str(disk), "exclusive", options({"lifetime": "process"}))
    assert error.name == "InvalidArgs" and "lifetime" in error.message


def test_a_lifetime_of_fd_is_for_hold(root, disk):
    error = root.refused_acquire(disk, lifetime="fd")
    assert error.name == "InvalidArgs" and "Hold" in error.message


def test_on_break_kill_meets_the_process(root, process, disk):
    child = process()
    root.acquire(disk, pid=child.pid, on_break="kill")
    disk.unlink()
    assert child.wait(60) == -signal.SIGKILL


def test_on_break_terminate_meets_the_process(root, process, disk):
    child = process()
    root.acquire(disk, pid=child.pid, on_break="terminate")
    disk.unlink()
    assert child.wait(60) == -signal.SIGTERM


def test_on_break_pause_stops_the_process(root, process, disk):
    child = process()
    root.acquire(disk, pid=child.pid, on_break="pause")
    disk.unlink()
    wait_until(lambda: f"{child.pid} (sleep) T" in open(f"/proc/{child.pid}/stat").read(), "the process to be stopped")


def test_on_break_signal_leaves_the_process_alone(root, signals, process, disk):
    child = process()
    root.acquire(disk, pid=child.pid)
    disk.unlink()
    signals.wait_for("LeaseBroken")
    assert child.poll() is None


def test_a_suspended_lease_still_ends_with_its_process(root, process, disk):
    child = process()
    lease = root.acquire(disk, lifetime="process", pid=child.pid)
    lease.call("Suspend")
    end(child)
    wait_for_end_of(lease)


def test_the_end_is_announced(root, signals, client, disk):
    caller = client()
    lease = caller.acquire(disk, lifetime="connection")
    caller.close()
    signals.wait_for("LeasesChanged", lambda acquired, released: lease.path in released)


def test_an_unknown_lifetime_is_refused(root, disk):
    error = root.refused_acquire(disk, lifetime=GLib.Variant("s", "forever"))
    assert error.name == "InvalidArgs" and "lifetime" in error.message and "forever" in error.message
