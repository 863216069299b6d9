"""Two hosts and one LUN: who may write is what the target says, asked by sg_persist."""

import ctypes
import errno
import os

from initiators import fresh_initiators, registered_keys, reservation, write_through
from storage import make_partitions, scsi_disk

EXCLUSIVE = "Write Exclusive, registrants only"
SHARED = "Write Exclusive, all registrants"
IN_CLOSE_WRITE = 8


def test_an_exclusive_lease_is_a_reservation_for_registrants_only(world):
    a, _, stranger = fresh_initiators(world)
    a.acquire()
    keys = registered_keys(world, stranger)
    assert len(keys) == 1 and keys[0].startswith("0x646c"), keys
    assert reservation(world, stranger) == (EXCLUSIVE, keys[0])


def test_an_exclusive_lease_refuses_the_other_host_and_names_its_key(world):
    a, b, _ = fresh_initiators(world)
    a.acquire()
    key = registered_keys(world, a.node)[0]
    for mode in ("exclusive", "shared"):
        error = b.refused(mode)
        assert error.name == "Busy" and key in error.message and b.node in error.message, error
    assert registered_keys(world, a.node) == [key]


def test_the_target_refuses_the_writes_of_everybody_else(world):
    a, b, stranger = fresh_initiators(world)
    a.acquire()
    assert a.write() is None
    assert b.write() == errno.EBADE
    assert write_through(stranger) == errno.EBADE


def test_a_release_leaves_nothing_and_hands_over(world):
    a, b, stranger = fresh_initiators(world)
    a.acquire().release()
    assert registered_keys(world, stranger) == [] and reservation(world, stranger) is None
    b.acquire()
    assert b.write() is None and a.write() == errno.EBADE


def test_shared_leases_of_two_hosts_stand_together(world):
    a, b, stranger = fresh_initiators(world)
    first, second = a.acquire("shared"), b.acquire("shared")
    assert reservation(world, stranger)[0] == SHARED and len(registered_keys(world, stranger)) == 2
    assert a.write() is None and b.write() is None and write_through(stranger) == errno.EBADE
    first.release()
    assert b.write() is None and a.write() == errno.EBADE
    assert second.call("Check") == ("active",)
    second.release()
    assert registered_keys(world, stranger) == []


def test_a_shared_lease_refuses_an_exclusive_one_of_the_other_host(world):
    a, b, _ = fresh_initiators(world)
    a.acquire("shared")
    error = b.refused()
    assert error.name == "Busy", error
    assert len(registered_keys(world, a.node)) == 1


def test_a_disk_that_knows_no_reservations_is_refused(world):
    a, _, _ = fresh_initiators(world)
    disk = scsi_disk("plain-a")  # QEMU's own
    error = a.root.refused_acquire(disk)
    assert error.name == "Unsupported" and disk in error.message and "no persistent reservations" in error.message, error


def test_a_partition_is_refused_as_a_reservation_is_of_the_whole_disk(world):
    a, _, _ = fresh_initiators(world)
    partition = make_partitions(world, scsi_disk("plain-b"))[0]
    error = a.root.refused_acquire(partition)
    assert error.name == "Unsupported" and partition in error.message and "partition" in error.message, error


def test_no_disk_is_closed_that_was_open_for_writing_for_being_asked_about_or_taken(world):
    """udev would look at it anew, and everybody who watches its links."""
    a, _, _ = fresh_initiators(world)
    libc = ctypes.CDLL(None)
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert watch >= 0 and libc.inotify_add_watch(watch, a.node.encode(), IN_CLOSE_WRITE) >= 0
    a.root.inspect(a.node)
    lease = a.acquire()
    lease.call("Check")
    lease.call("Convert", "(s)", "shared")
    lease.release()
    try:
        raise AssertionError(f"it was: {os.read(watch, 1 << 16)}")
    except BlockingIOError:
        pass
    with open(a.node, "wb"):
        pass
    assert os.read(watch, 1 << 16)
    os.close(watch)
