"""What the storage does to leases, on a backend that does as it is told."""

import pytest

from harness import LEASE, BusError, wait_until

POLICY = """
[Rule patient]
match-path=*patient*
backend=fake
check-interval=0.1
risk-timeout=600
unreachable-after=1

[Rule everything]
backend=fake;host
check-interval=0.1
risk-timeout=1
unreachable-after=1
"""


@pytest.fixture
def service(start_service):
    return start_service(POLICY, fake=True)


@pytest.fixture
def patient(image):
    """An image whose rule lets a lease be at risk for long."""
    return image("patient.img")


def state_becomes(lease, state):
    wait_until(lambda: lease["State"] == state, f"the state {state}")


def test_a_lock_that_is_lost_breaks_the_lease(root, service, signals, disk):
    lease = root.acquire(disk)
    service.tell_fake("check", "lost")
    assert signals.wait_for("LeaseBroken")[0] == lease.path
    assert lease["State"] == "broken"


def test_a_lock_that_cannot_be_proved_is_at_risk_and_may_come_back(root, service, signals, patient):
    lease = root.acquire(patient)
    service.tell_fake("check", "unknown", "the server is away")
    path, reason = signals.wait_for("LeaseAtRisk")
    assert path == lease.path and "the server is away" in reason
    assert lease["State"] == "at-risk"
    service.tell_fake("check")
    assert signals.wait_for("LeaseRestored") == (lease.path,)
    assert lease["State"] == "active"


def test_a_lease_too_long_at_risk_is_broken(root, service, signals, disk):
    lease = root.acquire(disk)
    service.tell_fake("check", "unknown", "the server is away")
    signals.wait_for("LeaseAtRisk")
    assert signals.wait_for("LeaseBroken")[0] == lease.path
    assert lease["State"] == "broken"


def test_a_lease_at_risk_still_keeps_others_out(root, service, signals, patient):
    root.acquire(patient)
    service.tell_fake("check", "unknown", "the server is away")
    signals.wait_for("LeaseAtRisk")
    assert root.refused_acquire(patient).name == "Busy"


def test_a_check_that_hangs_puts_the_lease_at_risk(root, service, signals, patient):
    lease = root.acquire(patient)
    service.tell_fake("check", "hang")
    assert signals.wait_for("LeaseAtRisk")[0] == lease.path
    assert lease["State"] == "at-risk"
    service.tell_fake("check")
    signals.wait_for("LeaseRestored")


def heard_of(signals, lease):
    """What was said of the lease, in this order: signals, and its state as a property."""
    said = []
    for name, path, _, values in signals.seen:
        if name == "PropertiesChanged" and path == lease.path and "State" in values[1]:
            said.append(values[1]["State"])
        elif name.startswith("LeaseA") or name in ("LeaseRestored", "LeaseBroken", "Broken"):
            said.append(name)
    return said


def test_who_listens_hears_of_risk_restoration_and_break_in_this_order(root, service, signals, patient):
    lease = root.acquire(patient)
    service.tell_fake("check", "unknown", "the server is away")
    signals.wait_for("LeaseAtRisk")
    service.tell_fake("check")
    signals.wait_for("LeaseRestored")
    service.tell_fake("check", "lost")
    signals.wait_for("LeaseBroken")
    wait_until(lambda: heard_of(signals, lease)[-1:] == ["broken"], "the last of them")
    assert heard_of(signals, lease) == ["LeaseAtRisk", "at-risk", "LeaseRestored", "active", "LeaseBroken", "Broken", "broken"]


def test_the_time_of_the_last_check_is_that_of_the_last_proof(root, service, signals, patient):
    lease = root.acquire(patient)
    before = lease["CheckedAt"]
    wait_until(lambda: lease["CheckedAt"] > before, "a check")
    service.tell_fake("check", "unknown", "the server is away")
    signals.wait_for("LeaseAtRisk")
    last = lease["CheckedAt"]
    assert lease.call("Check") == ("at-risk",)
    assert lease["CheckedAt"] == last
    service.tell_fake("check")
    signals.wait_for("LeaseRestored")
    assert lease["CheckedAt"] > last


def test_an_acquire_that_fails_says_so_and_leaves_nothing(root, service, disk):
    service.tell_fake("acquire", "fail", "no locks available")
    error = root.refused_acquire(disk)
    assert error.name == "BackendFailed" and "no locks available" in error.message
    service.tell_fake("acquire")
    root.acquire(disk)


def test_another_host_that_holds_the_disk_is_busy(root, service, disk):
    service.tell_fake("acquire", "busy", "held by host otherhost")
    error = root.refused_acquire(disk)
    assert error.name == "Busy" and "otherhost" in error.message


def test_an_acquire_that_hangs_is_unreachable_and_the_disk_stays_usable(root, service, disk):
    service.tell_fake("acquire", "hang")
    error = root.refused_acquire(disk)
    assert error.name == "Unreachable" and str(disk) in error.message
    service.tell_fake("acquire")
    root.acquire(disk, wait=60000)


def test_a_lock_that_comes_too_late_is_given_back(root, service, disk):
    """The caller was told no: what the storage grants afterwards is nobody's."""
    service.tell_fake("acquire", "delay", "2000")
    assert root.refused_acquire(disk).name == "Unreachable"
    service.tell_fake("acquire")
    root.acquire(disk, wait=60000)


def test_a_slow_acquire_holds_up_nobody_else(root, service, image):
    slow, quick = image("slow.img"), image("quick.img")
    service.tell_fake("acquire", "delay", "900")
    pending = root.start_acquire(slow)
    root.call("CanAcquire", "(ss)", str(quick), "exclusive")
    root.acquire(quick, backend="host")
    assert not pending.done
    pending.result()


def test_a_release_that_hangs_is_unreachable_and_keeps_others_out_until_it_is_done(root, service, disk):
    lease = root.acquire(disk)
    service.tell_fake("release", "hang")
    assert root.refused("Release", "(o)", lease.path).name == "Unreachable"
    assert root.refused_acquire(disk).name in ("Busy", "Unreachable")
    service.tell_fake("release")
    root.acquire(disk, wait=60000)


def test_a_convert_that_fails_leaves_the_mode(root, service, disk):
    lease = root.acquire(disk, "shared")
    service.tell_fake("convert", "fail", "no")
    assert lease.refused("Convert", "(s)", "exclusive").name == "BackendFailed"
    assert lease["Mode"] == "shared" and lease["State"] == "active"
    service.tell_fake("convert")
    lease.call("Convert", "(s)", "exclusive")
    assert lease["Mode"] == "exclusive"


def test_resume_that_finds_another_host_leaves_the_lease_suspended(root, service, disk):
    lease = root.acquire(disk)
    lease.call("Suspend")
    service.tell_fake("acquire", "busy", "held by host otherhost")
    assert lease.refused("Resume").name == "Busy"
    assert lease["State"] == "suspended"
    service.tell_fake("acquire")
    lease.call("Resume")
    assert lease["State"] == "active"


def test_a_suspended_lease_is_not_checked_for_a_lock_that_it_does_not_have(root, service, disk):
    lease = root.acquire(disk)
    lease.call("Suspend")
    service.tell_fake("check", "lost")
    assert lease.call("Check") == ("suspended",)
    service.tell_fake("check")


def test_a_broken_lease_does_nothing_more(root, service, signals, disk):
    lease = root.acquire(disk)
    service.tell_fake("check", "lost")
    signals.wait_for("LeaseBroken")
    for member, arguments in (("Convert", ("(s)", "shared")), ("Suspend", ()), ("Resume", ())):
        assert lease.refused(member, *arguments).name == "LeaseLost"
    assert lease.call("Check") == ("broken",)


def test_release_while_a_check_is_under_way(root, service, disk):
    lease = root.acquire(disk)
    service.tell_fake("check", "delay", "300")
    checking = root.start("Check", path=lease.path, interface=LEASE)
    root.release(lease)
    try:
        checking.result()
    except BusError as error:
        assert error.name in ("NoSuchLease", "UnknownObject", "UnknownMethod")
    root.acquire(disk)


def test_the_service_ends_while_the_storage_hangs(root, service, disk):
    """Its end does not wait for a thread that nobody can wake."""
    service.tell_fake("acquire", "hang")
    pending = root.start_acquire(disk)
    assert pending.error().name == "Unreachable"
    service.stop()
