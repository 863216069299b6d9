"""A SCSI target that does not keep registrations over a loss of power (APTPL), and says so: what leases there are worth."""

import errno
import time

from initiators import ask, registered_keys, reservation
from iscsi import two_hosts


def fresh(world):
    target, a, b = two_hosts(world)
    for host in (a, b):
        host.clean()
    return target, a, b


def test_a_target_that_cannot_keep_registrations_is_registered_with_all_the_same(world):
    _, a, b = fresh(world)
    assert "(PTPL_C): 0" in ask(world, a.node, "--report-capabilities")
    try:
        ask(world, b.node, "--out", "--register-ignore", "--param-sark=0x5", "--param-aptpl")
    except AssertionError as problem:
        assert "llegal" in str(problem), problem
    else:
        raise AssertionError("the target promises to keep the registration")
    lease = a.acquire(owner="web01")
    assert len(registered_keys(world, b.node)) == 1 and "registrants only" in reservation(world, b.node)[0]
    assert a.write() is None and b.write() == errno.EBADE
    assert b.refused().name == "Busy"
    report = b.root.inspect(b.node)
    assert report["state"] == "held-elsewhere" and report["reach"] == "every host", report
    assert report["reservation"]["type"] == "write-exclusive-registrants-only" and len(report["reservation"]["keys"]) == 1, report
    a.release(lease)
    assert registered_keys(world, b.node) == [] and b.write() is None


def test_hosts_share_there_and_hand_over(world):
    _, a, b = fresh(world)
    leases = a.acquire("shared"), b.acquire("shared")
    assert a.write() is None and b.write() is None and len(registered_keys(world, a.node)) == 2
    for host, lease in zip((a, b), leases):
        assert host.check(lease) == "active"
        host.release(lease)
    b.acquire()
    assert a.write() == errno.EBADE


def test_a_target_that_comes_back_without_the_registration_breaks_the_lease(world):
    target, a, b = fresh(world)
    lease = a.acquire()
    assert a.check(lease) == "active"
    target.lose_power()
    target.start()
    back = time.monotonic()
    reason = a.wait_for_loss(lease)
    world.say(f"a target that forgot its registrations: broken {time.monotonic() - back:.2f} s after it was back, with checks every 0.3 s")
    assert reason == "registration gone", reason
    assert registered_keys(world, b.node) == [] and b.write() is None
    b.acquire()
    assert a.write() == errno.EBADE
