"""A host whose lock on a share of CIFS is gone: what its lease comes to, and what nobody sees."""

import signal
import time
from contextlib import contextmanager

from cifs import drop, locks_at_server, make_image, two_hosts, unplugged
from harness import BusError, Signals, wait_until


REVOKED = "lock taken away by the server"


def acquire_when_free(host, disk):
    def answer():
        try:
            return host.root.acquire(disk)
        except BusError as error:
            assert error.name in ("Busy", "Unreachable"), error
            return None
    return wait_until(answer, "the disk on the other host")


def wait_until_broken(world, lease, what, promised):
    """Says how long it took; returns the reason. The promise is for whoever reads: nothing fails by it on a slow machine."""
    began = time.monotonic()
    wait_until(lambda: lease["State"] == "broken", f"the lease to break: {what}")
    world.say(f"{what}: broken after {time.monotonic() - began:.1f} s, promised are {promised} s")
    return lease["BrokenReason"]


@contextmanager
def dropped(world, host):
    """The server ends the host's session; meanwhile its service asks for nothing, so that its kernel opens no file again."""
    host.service.process.signal(signal.SIGSTOP)
    try:
        drop(world, host)
        yield
    finally:
        host.service.process.signal(signal.SIGCONT)


def test_what_the_other_host_has_taken_is_lost(world):
    a, b = two_hosts(world)
    for mode in ("exclusive", "shared", "read-only"):
        disk = make_image(f"stolen-{mode}.img")
        lease = a.root.acquire(disk, mode)
        with dropped(world, a):
            stolen = acquire_when_free(b, disk)
        assert wait_until_broken(world, lease, f"{mode}, taken by the other host", 3) == REVOKED
        assert stolen["State"] == "active" and locks_at_server(world, disk) == ["W"]
        assert a.root.refused_acquire(disk, mode).name == "Busy"


def test_what_the_server_takes_away_is_lost_though_nobody_has_it(world):
    a, b = two_hosts(world)
    for mode in ("exclusive", "read-only"):
        disk = make_image(f"revoked-{mode}.img")
        lease = a.root.acquire(disk, mode)
        drop(world, a)
        assert wait_until_broken(world, lease, f"{mode}, taken away by the server", 3) == REVOKED
        assert locks_at_server(world, disk) == []
        b.root.acquire(disk).release()
        a.root.acquire(disk)


def test_a_host_that_is_cut_off_breaks_its_lease_by_itself(world):
    a, b = two_hosts(world)
    disk = make_image("cut-off.img")
    lease = a.root.acquire(disk, owner="web01")
    signals = Signals(a.bus)
    with unplugged(world, a):
        reason = wait_until_broken(world, lease, "cut off from the server", 1 + 2 + 4)
        assert "at risk for longer" in reason, reason
        assert any("did not answer" in why for _, why in signals.named("LeaseAtRisk")), signals.seen
        # The server keeps a silent host's locks until its connection has timed out.
        assert locks_at_server(world, disk) == ["W"] and b.root.refused_acquire(disk).name == "Busy"
    b.root.acquire(disk, wait=50000)


def test_a_short_cut_leaves_the_lease_alone(world):
    a, b = two_hosts(world)
    disk = make_image("short-cut.img")
    lease = a.root.acquire(disk)
    signals = Signals(a.bus)
    with unplugged(world, a):
        signals.wait_for("LeaseAtRisk")
    signals.wait_for("LeaseRestored")
    assert lease["State"] == "active" and b.root.refused_acquire(disk).name == "Busy"


def test_a_dead_host_is_fenced_as_its_refusal_says(world):
    a, b = two_hosts(world)
    disk = make_image("fenced.img")
    a.root.acquire(disk, owner="web01")
    error = b.root.refused("Fence", "(ssa{sv})", str(disk), "a", {})
    assert error.name == "Unsupported" and "host-a" in error.message and "smbcontrol smbd kill-client-ip" in error.message, error
    a.service.crash()
    drop(world, a)
    wait_until(lambda: locks_at_server(world, disk) == [], "the session to end")
    report = b.root.inspect(disk)
    assert report["state"] == "free" and [holder["unconfirmed"] for holder in report["holders"]] == [True], report
    assert b.root.call("Fence", "(ssa{sv})", str(disk), "a", {}) == (1,)
    assert b.root.inspect(disk)["holders"] == []
    b.root.acquire(disk)
    a.service.start()
