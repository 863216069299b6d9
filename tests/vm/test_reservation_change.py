"""What a lease of a LUN is changed to: another mode, another holder; with witnesses who look all the time."""

import errno

from initiators import fresh_initiators, read_through, registered_keys, reservation, write_through
from writers import Witness, Writer

EXCLUSIVE, SHARED = "Write Exclusive, registrants only", "Write Exclusive, all registrants"


def convert(lease, mode):
    lease.call("Convert", "(s)", mode)


def test_a_conversion_lets_the_other_host_in_and_keeps_it_out_again(world):
    a, b, stranger = fresh_initiators(world)
    lease = a.acquire()
    convert(lease, "shared")
    assert reservation(world, stranger)[0] == SHARED
    other = b.acquire("shared")
    assert a.write() is None and b.write() is None
    error = lease.refused("Convert", "(s)", "exclusive")
    assert error.name == "Busy", error
    assert reservation(world, stranger)[0] == SHARED and other.call("Check") == ("active",)
    other.release()
    convert(lease, "exclusive")
    assert reservation(world, stranger)[0] == EXCLUSIVE
    assert b.refused("shared").name == "Busy" and b.write() == errno.EBADE and a.write() is None


def test_no_moment_of_a_conversion_is_unprotected(world):
    a, b, stranger = fresh_initiators(world)
    lease = a.acquire()
    witness, intruder, writer = Witness(world, b.node), Writer(world, stranger, "intruder"), Writer(world, a.node, "a")
    writer.wait_for_writes()
    for _ in range(5):
        convert(lease, "shared")
        witness.wait_for_answers()
        convert(lease, "exclusive")
        witness.wait_for_answers()
    intruder.wait_for_errors()
    writer.stop()
    intruder.stop()
    answers = witness.stop()
    unprotected = [answer for answer in answers if "NO reservation" in answer]
    seen = {kind for kind in (EXCLUSIVE, SHARED) if any(kind in answer for answer in answers)}
    world.say(f"asked {len(answers)} times during ten conversions; the intruder's {len(intruder.errors())} writes were refused")
    assert not unprotected and seen == {EXCLUSIVE, SHARED}, answers[-5:]
    assert not intruder.writes() and not writer.errors() and not writer.overwritten()


def test_two_leases_of_one_host_share_its_registration(world):
    a, _, stranger = fresh_initiators(world)
    first, second = a.acquire("shared"), a.acquire("shared")
    keys = registered_keys(world, stranger)
    assert len(keys) == 1
    first.release()
    assert registered_keys(world, stranger) == keys and a.write() is None
    second.release()
    assert registered_keys(world, stranger) == [] and reservation(world, stranger) is None


def test_one_of_two_leases_that_share_does_not_become_exclusive(world):
    a, _, stranger = fresh_initiators(world)
    first, _ = a.acquire("shared"), a.acquire("shared")
    assert first.refused("Convert", "(s)", "exclusive").name == "Busy"
    assert reservation(world, stranger)[0] == SHARED


def test_strict_readers_keep_others_from_reading_too(world):
    a, b, stranger = fresh_initiators(world)
    a.set_policy(readers="strict")
    lease = a.acquire()
    assert reservation(world, stranger)[0] == "Exclusive Access, registrants only"
    assert read_through(stranger) == errno.EBADE and write_through(stranger) == errno.EBADE and a.write() is None
    convert(lease, "shared")
    assert reservation(world, stranger)[0] == "Exclusive Access, all registrants"
    assert read_through(stranger) == errno.EBADE and b.refused("shared").name == "Busy"
    lease.release()
    assert read_through(stranger) is None


def test_a_read_only_lease_is_refused_with_the_way_to_have_one(world):
    a, _, stranger = fresh_initiators(world)
    error = a.refused("read-only")
    assert error.name == "Unsupported" and "scsi+lockspace" in error.message, error
    assert registered_keys(world, stranger) == []


def test_who_waits_gets_the_disk_when_the_other_host_gives_it_back(world):
    a, b, stranger = fresh_initiators(world)
    lease = a.acquire()
    waiting = b.root.start_acquire(b.node, wait=50000)
    assert b.refused().name == "Busy"
    assert len(registered_keys(world, stranger)) == 1
    lease.release()
    waiting.result()
    assert b.write() is None and a.write() == errno.EBADE


def test_who_waits_in_vain_is_told_who_has_it(world):
    a, b, _ = fresh_initiators(world)
    a.acquire()
    error = b.refused(wait=1500)
    assert error.name == "TimedOut" and registered_keys(world, a.node)[0] in error.message, error
