"""A host that loses a LUN: its writes end at the target, and its lease is broken with the reason, while both sides write all the time."""

import errno

from initiators import ask, fresh_initiators, preempt, register, registered_keys, reservation, unregister
from writers import Writer, assert_handed_over, now


def both_write(world, a, b):
    """A has the disk."""
    writers = Writer(world, a.node, "a"), Writer(world, b.node, "b")
    writers[0].wait_for_writes()
    writers[1].wait_for_errors()
    return writers


def rob(world, a, stranger):
    """Has a stranger preempt it, who then has the disk; returns when that was done."""
    key, = registered_keys(world, stranger)
    # Else a check that comes between the two finds the stranger, and the key is given back before it can be preempted.
    with a.between_two_checks():
        register(world, stranger, 0x5)
        preempt(world, stranger, 0x5, key)
    return now()


def test_a_preempted_host_writes_no_more_and_its_lease_is_broken(world):
    a, b, stranger = fresh_initiators(world)
    lease = a.acquire()
    writer_a, writer_b = both_write(world, a, b)
    robbed = rob(world, a, stranger)
    reason = a.wait_for_loss(lease)
    world.say(f"an exclusive lease whose key was preempted was broken after {(now() - robbed) / 1e9:.2f} s, with checks every 0.3 s")
    assert reason == "preempted by another host"
    writer_a.wait_for_errors()
    assert set(writer_a.errors()) == {errno.EBADE} and not writer_a.writes(robbed)
    unregister(world, stranger, 0x5)
    b.acquire()
    moment = now()
    writer_b.wait_for_writes()
    writer_a.wait_for_errors()
    assert_handed_over(writer_a, writer_b, moment)


def test_a_release_hands_the_disk_over_between_two_writes(world):
    a, b, _ = fresh_initiators(world)
    lease = a.acquire()
    writer_a, writer_b = both_write(world, a, b)
    waiting = b.root.start_acquire(b.node, wait=50000)
    lease.release()
    waiting.result()
    moment = now()
    writer_b.wait_for_writes()
    assert_handed_over(writer_a, writer_b, moment)


def test_one_of_two_that_share_is_preempted_and_the_other_goes_on(world):
    a, b, stranger = fresh_initiators(world)
    lost, kept = a.acquire("shared"), b.acquire("shared")
    preempt(world, b.node, b.key(world), a.key(world), kind=7)
    assert a.wait_for_loss(lost) == "preempted by another host"
    assert kept.call("Check") == ("active",) and b.write() is None and a.write() == errno.EBADE
    assert reservation(world, stranger)[0] == "Write Exclusive, all registrants"


def test_a_host_that_lost_the_disk_comes_back_under_another_key(world):
    a, _, stranger = fresh_initiators(world)
    lease = a.acquire()
    before = registered_keys(world, stranger)
    rob(world, a, stranger)
    a.wait_for_loss(lease)
    unregister(world, stranger, 0x5)
    a.release(lease)
    a.acquire()
    after = registered_keys(world, stranger)
    assert len(after) == 1 and after != before and after[0][:14] == before[0][:14], (before, after)


def test_a_registration_that_others_cleared_is_a_loss(world):
    a, _, stranger = fresh_initiators(world)
    lease = a.acquire()
    with a.between_two_checks():
        register(world, stranger, 0x5)
        ask(world, stranger, "--out", "--clear", "--param-rk=0x5")
    assert a.wait_for_loss(lease) == "registration gone"


def test_a_stranger_that_registers_beside_an_exclusive_lease_breaks_it(world):
    a, _, stranger = fresh_initiators(world)
    lease = a.acquire()
    register(world, stranger, 0x5)
    assert a.wait_for_loss(lease) == "another host has registered"


def test_a_reset_of_the_lun_changes_nothing(world):
    a, b, stranger = fresh_initiators(world)
    lease = a.acquire()
    before = registered_keys(world, stranger), reservation(world, stranger)
    writer_a, writer_b = both_write(world, a, b)
    world.run("sg_reset", "--device", "--no-escalate", stranger)
    writer_a.wait_for_writes()
    assert lease.call("Check") == ("active",)
    for writer in (writer_a, writer_b):
        writer.stop()
    assert (registered_keys(world, stranger), reservation(world, stranger)) == before
    assert not writer_b.writes() and not writer_a.overwritten()


def test_the_service_of_the_winner_may_be_killed(world):
    a, b, stranger = fresh_initiators(world)
    a.acquire()
    writer_a, writer_b = both_write(world, a, b)
    rob(world, a, stranger)
    unregister(world, stranger, 0x5)
    b.acquire()
    moment = now()
    b.kill()
    writer_b.wait_for_writes()
    b.start()
    writer_a.wait_for_errors()
    assert_handed_over(writer_a, writer_b, moment)
