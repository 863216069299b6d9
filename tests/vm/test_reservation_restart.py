"""A reservation outlives the service that took it, and a boot: it is gone on with, or found for what it is."""

import errno

from initiators import fresh_initiators, preempt, register, registered_keys, reservation, unregister, write_through
from writers import Writer


def test_a_service_that_was_killed_goes_on_with_its_reservation(world):
    a, b, stranger = fresh_initiators(world)
    lease = a.acquire()
    before = registered_keys(world, stranger), reservation(world, stranger)
    a.kill()
    assert a.write() is None and b.write() == errno.EBADE
    assert b.refused().name == "Busy"
    a.start()
    assert (registered_keys(world, stranger), reservation(world, stranger)) == before
    assert a.check(lease) == "active" and a.write() is None and b.write() == errno.EBADE
    a.release(lease)
    assert registered_keys(world, stranger) == []


def test_leases_that_share_a_reservation_are_taken_up_together(world):
    a, b, stranger = fresh_initiators(world)
    leases = [a.acquire("shared"), a.acquire("shared")]
    b.acquire("shared")
    a.kill()
    a.start()
    a.release(leases[0])
    assert a.check(leases[1]) == "active" and a.write() is None
    a.release(leases[1])
    assert len(registered_keys(world, stranger)) == 1 and a.write() == errno.EBADE and b.write() is None


def test_what_was_preempted_while_no_service_ran_is_broken_and_not_taken_again(world):
    a, b, stranger = fresh_initiators(world)
    lease = a.acquire()
    key = registered_keys(world, stranger)[0]
    a.kill()
    register(world, stranger, 0x5)
    preempt(world, stranger, 0x5, key)
    unregister(world, stranger, 0x5)
    b.acquire()
    a.start()
    assert a.state(lease) == ("broken", "preempted by another host")
    assert len(registered_keys(world, stranger)) == 1 and b.write() is None and a.write() == errno.EBADE


def test_what_a_host_has_left_of_before_its_boot_is_taken_over_under_another_key(world):
    a, _, stranger = fresh_initiators(world)
    a.acquire()
    old = registered_keys(world, stranger)
    a.reboot()
    a.acquire("shared")
    new = registered_keys(world, stranger)
    assert len(new) == 1 and new != old and a.write() is None


def test_what_a_host_has_left_keeps_others_out_until_it_cleans_it(world):
    a, b, stranger = fresh_initiators(world)
    a.acquire()
    intruder = Writer(world, b.node, "b")
    a.reboot()
    assert b.refused().name == "Busy"
    lease = a.acquire()
    intruder.wait_for_errors()
    assert not intruder.writes() and a.write() is None
    lease.release()
    assert registered_keys(world, stranger) == []
    b.acquire()
    intruder.wait_for_writes()
    intruder.stop()


def test_a_registration_that_no_lease_explains_is_gone_after_the_start(world):
    a, b, stranger = fresh_initiators(world)
    for mode in ("exclusive", "shared"):
        a.kill_before_it_is_written_down(lambda mode=mode: a.acquire(mode))
        assert len(registered_keys(world, stranger)) == 1
        a.start()
        assert registered_keys(world, stranger) == [] and reservation(world, stranger) is None
    b.acquire()


def test_a_start_that_is_killed_leaves_such_a_registration_to_the_next(world):
    a, _, stranger = fresh_initiators(world)
    a.kill_before_it_is_written_down(a.acquire)
    # The disk does not answer at this start.
    with a.offline():
        a.start()
        assert not a.root.list()
        a.kill()
    assert len(registered_keys(world, stranger)) == 1
    a.start()
    assert registered_keys(world, stranger) == []


def test_a_registration_that_a_lease_shares_stays_at_the_start(world):
    a, _, stranger = fresh_initiators(world)
    lease = a.acquire("shared")
    a.kill_before_it_is_written_down(lambda: a.acquire("shared"))
    a.start()
    assert len(registered_keys(world, stranger)) == 1 and a.check(lease) == "active" and a.write() is None
    a.release(lease)
    assert registered_keys(world, stranger) == []


def test_a_start_takes_away_nobody_elses_registration(world):
    a, b, stranger = fresh_initiators(world)
    a.kill_before_it_is_written_down(lambda: a.acquire("shared"))
    kept = b.acquire("shared")
    register(world, stranger, int(a.key(world), 16))
    assert len(registered_keys(world, stranger)) == 3
    a.start()
    keys = registered_keys(world, stranger)
    assert len(keys) == 2 and b.key(world) in keys and b.write() is None and write_through(stranger) is None, keys
    kept.release()


def test_a_target_that_cannot_keep_registrations_is_refused_with_what_it_lacks(world):
    a, _, stranger = fresh_initiators(world)
    world.run("mv", "/var/target/pr", "/var/target/away")
    world.later("mv", "/var/target/away", "/var/target/pr")
    error = a.refused()
    assert error.name == "Unreachable" and "/var/target/pr" in error.message, error
    assert registered_keys(world, stranger) == []


def test_a_strangers_registration_is_never_touched(world):
    a, _, stranger = fresh_initiators(world)
    register(world, stranger, 0x1234)
    for mode in ("exclusive", "shared"):
        error = a.refused(mode)
        assert error.name == "Busy" and "0x0000000000001234" in error.message and "not disklock" in error.message, error
    assert registered_keys(world, stranger) == ["0x1234"]
    assert write_through(stranger) is None


def test_two_hosts_of_one_id_do_not_take_each_other_for_themselves(world):
    a, b, stranger = fresh_initiators(world)
    lease = a.acquire()
    keys = registered_keys(world, stranger)
    b.set_policy(name="a")
    b.be_clone_of(a)
    error = b.refused()
    assert error.name == "Busy" and "same id" in error.message, error
    assert registered_keys(world, stranger) == keys
    assert a.check(lease) == "active" and a.write() is None and b.write() == errno.EBADE
