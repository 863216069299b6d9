"""A LUN that one host reaches by two paths: both are registered, and what a path does is nobody's loss."""

import errno

from harness import wait_until
from initiators import fresh_multipath, registered_keys, reservation, write_through
from writers import Witness, Writer


def test_a_lease_registers_every_path_by_one_key(world):
    a, paths, b, stranger = fresh_multipath(world)
    lease = a.acquire()
    keys = registered_keys(world, stranger)
    assert len(keys) == 2 and len(set(keys)) == 1, keys
    assert all(write_through(path.node) is None for path in paths) and b.write() == errno.EBADE
    assert b.refused().name == "Busy"
    lease.release()
    assert registered_keys(world, stranger) == [] and reservation(world, stranger) is None


def test_a_conversion_keeps_the_disk_protected_and_every_path_in_use(world):
    a, _, b, stranger = fresh_multipath(world)
    lease = a.acquire()
    witness, intruder, writer = Witness(world, b.node), Writer(world, stranger, "intruder"), Writer(world, a.node, "a")
    writer.wait_for_writes()
    for _ in range(4):
        lease.call("Convert", "(s)", "shared")
        assert len(registered_keys(world, stranger)) == 2
        b.acquire("shared").release()
        lease.call("Convert", "(s)", "exclusive")
        assert len(registered_keys(world, stranger)) == 2 and b.refused("shared").name == "Busy"
    witness.wait_for_answers()
    intruder.wait_for_errors()
    writer.wait_for_writes()
    for process in (writer, intruder):
        process.stop()
    answers = witness.stop()
    world.say(f"asked {len(answers)} times, {len(intruder.errors())} writes refused, {len(writer.writes())} writes by two paths during eight conversions")
    assert not [answer for answer in answers if "NO reservation" in answer]
    assert not intruder.writes() and not writer.errors() and not writer.overwritten()


def test_a_path_that_fails_and_returns_changes_nothing(world):
    a, paths, b, stranger = fresh_multipath(world)
    lease = a.acquire()
    before = registered_keys(world, stranger), reservation(world, stranger)
    writer, intruder = Writer(world, a.node, "a"), Writer(world, b.node, "b")
    for path in paths:
        path.fail()
        assert lease.call("Check") == ("active",)
        writer.wait_for_writes()
        intruder.wait_for_errors()
        path.bring_back()
        assert (registered_keys(world, stranger), reservation(world, stranger)) == before
        writer.wait_for_writes()
    for process in (writer, intruder):
        process.stop()
    assert not writer.errors() and not writer.overwritten() and not intruder.writes()
    assert lease.call("Check") == ("active",) and all(write_through(path.node) is None for path in paths)


def test_a_path_that_comes_later_is_registered(world):
    a, paths, _, stranger = fresh_multipath(world)
    paths[1].fail()
    a.acquire()
    assert len(registered_keys(world, stranger)) == 1
    paths[1].bring_back()
    wait_until(lambda: len(registered_keys(world, stranger)) == 2, "the other path to be registered")
    assert write_through(paths[1].node) is None


def test_a_release_takes_the_registration_of_a_failed_path_along(world):
    a, paths, b, stranger = fresh_multipath(world)
    lease = a.acquire()
    paths[0].fail()
    lease.release()
    assert registered_keys(world, stranger) == [] and reservation(world, stranger) is None
    b.acquire()
    paths[0].bring_back()
    assert write_through(paths[0].node) == errno.EBADE and b.write() is None


def test_a_conversion_while_the_path_that_reserved_has_failed(world):
    a, paths, b, stranger = fresh_multipath(world)
    lease = a.acquire()
    paths[0].fail()
    lease.call("Convert", "(s)", "shared")
    assert reservation(world, stranger)[0] == "Write Exclusive, all registrants"
    b.acquire("shared")
    assert a.write() is None and b.write() is None
    paths[0].bring_back()
    wait_until(lambda: len(registered_keys(world, stranger)) == 3, "the path to be registered again")
    assert write_through(paths[0].node) is None and lease.call("Check") == ("active",)


def test_a_service_that_starts_while_a_path_has_failed_goes_on(world):
    a, paths, b, stranger = fresh_multipath(world)
    lease = a.acquire()
    paths[0].fail()
    a.kill()
    a.start()
    assert a.check(lease) == "active" and a.write() is None and b.refused().name == "Busy"
    paths[0].bring_back()
    a.release(lease)
    assert registered_keys(world, stranger) == []


def test_a_host_is_fenced_from_all_its_paths(world):
    a, paths, b, stranger = fresh_multipath(world)
    lease = a.acquire()
    paths[1].fail()
    assert b.fence("a") == 2
    assert registered_keys(world, stranger) == []
    b.acquire()
    paths[1].bring_back()
    assert a.wait_for_loss(lease) in ("registration gone", "preempted by another host")
    assert [write_through(path.node) for path in paths] == [errno.EBADE, errno.EBADE] and b.write() is None


def test_a_lease_whose_paths_have_all_failed_is_at_risk_and_recovers(world):
    a, paths, b, _ = fresh_multipath(world)
    lease = a.acquire()
    for path in paths:
        path.fail()
    a.signals.wait_for("LeaseAtRisk", lambda found, *_: found == str(lease))
    assert b.refused().name == "Busy"
    for path in paths:
        path.bring_back()
    a.signals.wait_for("LeaseRestored", lambda found, *_: found == str(lease))
    assert a.write() is None
