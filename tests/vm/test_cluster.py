"""GFS2 and OCFS2 in a cluster (of one host, for want of a second kernel): a lease is a lock that dlm_controld keeps, and is asked of it."""

import signal

from cluster import MOUNTED, locks_of_cluster, make_image, two_services
from harness import Signals, wait_until

SHOWN = {"exclusive": "WR 0", "shared": "RD 0", "read-only": "RD 0"}


def test_a_lease_is_a_lock_of_the_cluster(world):
    _, a, b = two_services(world)
    for filesystem, mode, shown in ((filesystem, mode, shown) for filesystem in MOUNTED for mode, shown in SHOWN.items()):
        disk = make_image(f"{mode}.img", filesystem)
        lease = a.root.acquire(disk, mode, owner="web01")
        assert locks_of_cluster(world, disk) == [shown]
        error = b.root.refused_acquire(disk)
        assert error.name == "Busy" and "web01 on host host-a (a)" in error.message, error
        report = b.root.inspect(disk)
        assert report["state"] == "held-elsewhere" and report["reach"] == "every host" and "unseen-loss" not in report, report
        assert lease.call("Check") == ("active",)
        lease.release()
        assert locks_of_cluster(world, disk) == [] and b.root.inspect(disk)["state"] == "free"


def test_leases_that_share_stand_together_and_convert(world):
    _, a, b = two_services(world)
    for filesystem in MOUNTED:
        disk = make_image("shared.img", filesystem)
        mine, theirs = a.root.acquire(disk, "shared"), b.root.acquire(disk, "read-only")
        assert locks_of_cluster(world, disk) == ["RD 0", "RD 0"]
        assert mine.refused("Convert", "(s)", "exclusive").name == "Busy"
        theirs.release()
        mine.call("Convert", "(s)", "exclusive")
        assert locks_of_cluster(world, disk) == ["WR 0"] and b.root.refused_acquire(disk, "read-only").name == "Busy"


def test_a_lease_outlives_the_service(world):
    _, a, b = two_services(world)
    disk = make_image("kept.img")
    lease = a.root.acquire(disk)
    for keeps_descriptors in (True, False):
        a.service.crash()
        assert locks_of_cluster(world, disk) == ["WR 0"]
        if not keeps_descriptors:
            a.service.manager.drop()
        a.service.start()
        assert lease["State"] == "active" and lease.call("Check") == ("active",), lease["BrokenReason"]
        assert locks_of_cluster(world, disk) == ["WR 0"] and b.root.refused_acquire(disk).name == "Busy"


def test_a_cluster_that_does_not_answer_puts_a_lease_at_risk(world):
    """As when it has lost its quorum: then nobody gets a lock."""
    manager, a, _ = two_services(world)
    lease = a.root.acquire(make_image("silent.img"))
    signals = Signals(a.bus)
    manager.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: lease["State"] == "broken", "the lease to break")
    finally:
        manager.signal(signal.SIGCONT)
    assert "at risk for longer" in lease["BrokenReason"], lease["BrokenReason"]
    assert any("did not answer" in why for _, why in signals.named("LeaseAtRisk")), signals.seen
