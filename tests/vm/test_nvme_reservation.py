"""Two hosts and one namespace of NVMe: who may write is what the namespace says, asked by nvme-cli. The kernel's target can be reserved since 6.13."""

import errno

from namespace import EXCLUSIVE, SHARED, events_left, fresh_initiators, preempt, register, registered_keys, reservation, unregister
from initiators import write_through
from writers import Writer, assert_handed_over, now

KERNEL = "newer"


def test_an_exclusive_lease_is_a_reservation_for_registrants_only(world):
    a, b, stranger = fresh_initiators(world)
    a.acquire()
    keys = registered_keys(world, stranger)
    assert len(keys) == 1 and keys[0].startswith("0x646c"), keys
    assert reservation(world, stranger) == (EXCLUSIVE, keys)
    error = b.refused()
    assert error.name == "Busy" and keys[0] in error.message, error
    assert a.write() is None and b.write() == errno.EBADE and write_through(stranger) == errno.EBADE


def test_a_release_leaves_nothing_and_hands_over(world):
    a, b, stranger = fresh_initiators(world)
    a.acquire().release()
    assert registered_keys(world, stranger) == [] and reservation(world, stranger) is None
    b.acquire()
    assert b.write() is None and a.write() == errno.EBADE


def test_shared_leases_stand_together_and_end_one_by_one(world):
    a, b, stranger = fresh_initiators(world)
    first, second = a.acquire("shared"), b.acquire("shared")
    assert reservation(world, stranger) == (SHARED, registered_keys(world, stranger)) and len(registered_keys(world, stranger)) == 2
    assert a.write() is None and b.write() is None and write_through(stranger) == errno.EBADE
    first.release()
    assert second.call("Check") == ("active",) and b.write() is None and a.write() == errno.EBADE
    second.release()
    assert registered_keys(world, stranger) == []


def test_a_conversion_lets_the_other_host_in_and_keeps_it_out_again(world):
    a, b, stranger = fresh_initiators(world)
    lease, intruder = a.acquire(), Writer(world, stranger, "intruder")
    for _ in range(5):
        lease.call("Convert", "(s)", "shared")
        assert reservation(world, stranger)[0] == SHARED
        b.acquire("shared").release()
        lease.call("Convert", "(s)", "exclusive")
        assert reservation(world, stranger)[0] == EXCLUSIVE
    assert b.refused("shared").name == "Busy"
    intruder.wait_for_errors()
    intruder.stop()
    assert not intruder.writes()


def test_a_preempted_host_writes_no_more_and_its_lease_is_broken(world):
    a, b, stranger = fresh_initiators(world)
    lease = a.acquire()
    writer_a, writer_b = Writer(world, a.node, "a"), Writer(world, b.node, "b")
    writer_a.wait_for_writes()
    key, = registered_keys(world, stranger)
    # Else a check that comes between the two finds the stranger, and the key is given back before it can be preempted.
    with a.between_two_checks():
        register(world, stranger, 0x5)
        preempt(world, stranger, 0x5, key)
    robbed = now()
    assert a.wait_for_loss(lease) == "preempted by another host"
    world.say(f"a lease of a namespace whose key was preempted was broken after {(now() - robbed) / 1e9:.2f} s, with checks every 0.3 s")
    writer_a.wait_for_errors()
    assert not writer_a.writes(robbed)
    unregister(world, stranger, 0x5)
    b.acquire()
    moment = now()
    writer_b.wait_for_writes()
    assert_handed_over(writer_a, writer_b, moment)


def test_the_controllers_event_tells_of_a_preemption_long_before_the_next_check(world):
    a, b, stranger = fresh_initiators(world)
    a.set_policy(check_interval=3600)
    lease = a.acquire()
    register(world, stranger, 0x5)
    preempt(world, stranger, 0x5, registered_keys(world, stranger)[-1])
    robbed = now()
    assert a.wait_for_loss(lease) == "preempted by another host"
    world.say(f"an event told of a preemption within {(now() - robbed) / 1e9:.2f} s, with checks once an hour")
    assert events_left(world, a.node) == 0  # or a controller tells of no other


def test_a_service_that_was_killed_goes_on_with_its_reservation(world):
    a, b, stranger = fresh_initiators(world)
    lease = a.acquire()
    before = reservation(world, stranger)
    a.kill()
    assert a.write() is None and b.refused().name == "Busy"
    a.start()
    assert reservation(world, stranger) == before and a.check(lease) == "active"
    a.release(lease)
    assert registered_keys(world, stranger) == []


def test_what_a_host_has_left_of_before_its_boot_is_taken_over_under_another_key(world):
    a, _, stranger = fresh_initiators(world)
    a.acquire()
    old = registered_keys(world, stranger)
    a.reboot()
    lease = a.acquire("shared")
    new = registered_keys(world, stranger)
    assert len(new) == 1 and new != old and a.write() is None
    lease.release()
    assert registered_keys(world, stranger) == []


def test_two_hosts_of_one_id_do_not_take_each_other_for_themselves(world):
    a, b, stranger = fresh_initiators(world)
    lease = a.acquire()
    keys = registered_keys(world, stranger)
    b.set_policy(name="a")
    b.be_clone_of(a)
    error = b.refused()
    assert error.name == "Busy" and "same id" in error.message, error
    assert registered_keys(world, stranger) == keys and a.check(lease) == "active" and b.write() == errno.EBADE


def test_a_host_is_fenced_and_nobody_else(world):
    a, b, stranger = fresh_initiators(world)
    lost, kept = a.acquire("shared"), b.acquire("shared")
    assert b.fence("a") == 1
    assert a.wait_for_loss(lost) == "preempted by another host" and a.write() == errno.EBADE
    assert kept.call("Check") == ("active",) and b.write() is None
    kept.release()
    assert registered_keys(world, stranger) == []


def test_a_dead_host_is_fenced_by_one_that_holds_nothing(world):
    a, b, stranger = fresh_initiators(world)
    lease = a.acquire()
    a.kill()
    assert b.fence("a") == 1
    assert registered_keys(world, stranger) == []
    b.acquire()
    assert b.write() is None and a.write() == errno.EBADE
    a.start()
    assert a.state(lease) == ("broken", "preempted by another host")


def test_a_namespace_that_cannot_be_reserved_is_refused(world):
    a, _, _ = fresh_initiators(world)
    error = a.root.refused_acquire("/dev/nvme0n1")
    assert error.name == "Unsupported" and "cannot be reserved" in error.message, error
