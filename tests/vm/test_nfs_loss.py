"""A host whose lock on NFS is gone: its lease is broken within the time that its rule promises, and says why."""

import time

from harness import BusError, Signals, wait_until
from nfs import (EXPORT, LEASE, MOUNTED, add_client, locks_at_server, make_image, reboot, take_locks_away, two_hosts, unlock_filesystem,
                 unplugged)

TAKEN = "lock taken by another holder"
REVOKED = "lock taken away by the server"


def wait_until_broken(world, lease, what, promised):
    """Says how long it took; returns the reason. The promise is for whoever reads: nothing fails by it on a slow machine."""
    began = time.monotonic()
    wait_until(lambda: lease["State"] == "broken", f"the lease to break: {what}")
    world.say(f"{what}: broken after {time.monotonic() - began:.1f} s, promised are {promised} s")
    return lease["BrokenReason"]


def leased(host, name, version):
    make_image(name)
    return MOUNTED[version] / name, host.root.acquire(MOUNTED[version] / name, owner="web01")


def is_granted(host, disk):
    """Now? The server lets whoever asks wait for the one that is cut off."""
    try:
        host.root.acquire(disk)
    except BusError as error:
        assert error.name in ("Busy", "Unreachable"), error
        return False
    return True


def test_what_the_server_takes_away_is_lost_though_nobody_has_taken_it(world):
    a, _ = two_hosts(world)
    disk, lease = leased(a, "revoked.img", "4.2")
    take_locks_away(a)
    assert wait_until_broken(world, lease, "taken away by the server", 3) == REVOKED
    assert a.root.acquire(disk)["State"] == "active"


def test_an_empty_disk_is_watched_too(world):
    a, _ = two_hosts(world)
    make_image("empty.img", size=0)
    lease = a.root.acquire(MOUNTED["4.2"] / "empty.img")
    take_locks_away(a)
    assert wait_until_broken(world, lease, "an empty disk, taken away by the server", 3) == REVOKED


def test_a_lock_in_a_lockspace_is_watched_too(world):
    a, b = two_hosts(world)
    disk = "rbd://mon/pool/web01"
    lease = a.root.acquire(disk)
    assert a.root.inspect(disk)["reach"] == "every host" and b.root.refused_acquire(disk).name == "Busy"
    take_locks_away(a)
    assert wait_until_broken(world, lease, "a lock in a lockspace, taken away by the server", 3) == REVOKED
    b.root.acquire(disk)


def test_what_the_other_host_has_taken_is_lost(world):
    a, b = two_hosts(world)
    for version, take_away in (("4.2", lambda: take_locks_away(a)), ("3", unlock_filesystem)):
        disk, lease = leased(a, f"stolen-{version}.img", version)
        take_away()
        stolen = b.root.acquire(disk, owner="db01")
        assert wait_until_broken(world, lease, f"taken by the other host, version {version}", 3) in (TAKEN, REVOKED)
        assert stolen["State"] == "active"
        assert a.root.refused_acquire(disk).name == "Busy"


def test_version_3_does_not_show_a_loss_that_nobody_used(world):
    a, _ = two_hosts(world)
    disk, lease = leased(a, "unseen.img", "3")
    unlock_filesystem()
    assert not any("WRITE" in line for line in locks_at_server(EXPORT / disk.name))
    assert lease.call("Check") == ("active",)
    assert "version 3" in a.root.inspect(disk)["unseen-loss"]


def test_a_host_that_is_cut_off_longer_than_its_lock_lives_breaks_its_lease_by_itself(world):
    a, b = two_hosts(world)
    disk, lease = leased(a, "cut-off.img", "4.2")
    signals = Signals(a.bus)
    with unplugged(world, a):
        reason = wait_until_broken(world, lease, "cut off from the server", 1 + 2 + 4)
        assert "at risk for longer" in reason, reason
        assert any("did not answer" in why for _, why in signals.named("LeaseAtRisk")), signals.seen
        began = time.monotonic()
        wait_until(lambda: is_granted(b, disk), "the disk on the other host")
        world.say(f"the other host had it {time.monotonic() - began:.1f} s later; the server keeps it for {LEASE} s")
    assert a.root.refused_acquire(disk).name == "Busy"


def test_a_short_cut_leaves_the_lease_alone(world):
    a, b = two_hosts(world)
    disk, lease = leased(a, "short-cut.img", "4.2")
    signals = Signals(a.bus)
    with unplugged(world, a):
        signals.wait_for("LeaseAtRisk")
    signals.wait_for("LeaseRestored")
    assert lease["State"] == "active" and b.root.refused_acquire(disk).name == "Busy"


def test_a_disk_that_the_other_host_replaces_is_lost(world):
    a, b = two_hosts(world)
    for version in MOUNTED:
        disk, lease = leased(a, f"replaced-{version}.img", version)
        make_image(f"new-{version}.img")
        b.run("mv", disk.parent / f"new-{version}.img", disk)
        assert wait_until_broken(world, lease, f"replaced by the other host, version {version}", 3) in ("replaced", "deleted")


def test_a_host_that_reboots_has_lost_its_leases_and_finds_nothing_of_its_own_in_the_way(world):
    _, b = two_hosts(world)
    c = add_client(world, "c")
    disks = [leased(c, f"rebooted-{version}.img", version)[0] for version in MOUNTED]
    c = reboot(world, c)
    assert not c.root.list()
    for disk in disks:
        b.root.acquire(disk, wait=60000).release()
        c.root.acquire(disk)
