"""Two hosts and one LUN: who may write is what the target says, asked by sg_persist."""

import errno

from initiators import fresh_initiators, registered_keys, reservation, write_through

EXCLUSIVE = "Write Exclusive, registrants only"
SHARED = "Write Exclusive, all registrants"


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
