"""`connection` leases, when the bus or the service is started anew: nobody knows then who is still at work."""

import fcntl

import pytest

from conftest import ALICE, BOB
from harness import LEASE, NAME, POLICY, SlowBus, lock_of, wait_until

BRIEF = POLICY + "connection-grace=0.2\n"


@pytest.fixture
def service(start_service):
    return start_service()


@pytest.fixture
def slow_bus(bus):
    """The service's way to the bus: start_service(policy, **slow_bus.environment). Asked for first, it ends last."""
    slow = SlowBus(bus)
    slow.environment = {"DBUS_SYSTEM_BUS_ADDRESS": slow.address}
    yield slow
    slow.close()


def start_bus_anew(bus, service):
    bus.crash()
    bus.start()
    bus.wait_for_name(NAME, service.process)


def claim(client, lease):
    return client.start("Claim", path=str(lease), interface=LEASE)


def wait_for_end_of(lease):
    wait_until(lambda: not lease.exists(), "the lease to end")


# ---- the bus is started anew ----

def test_no_lease_is_lost_with_the_bus(service, bus, client, image, process):
    root = client()
    lifetimes = {"persistent": {}, "process": {"pid": process().pid}, "connection": {}}
    leases = [root.acquire(image(f"{name}.img"), lifetime=name, **more) for name, more in lifetimes.items()]
    held, _keep = root.hold(image("fd.img"))
    start_bus_anew(bus, service)
    again = client()
    for lease in [*leases, held]:
        lease.client = again
        assert lease["State"] == "active"
        assert lock_of(lease["Path"]) == fcntl.F_WRLCK


def test_a_claimed_lease_ends_with_the_claimers_connection(service, bus, client, disk):
    token = (lease := client().acquire(disk, lifetime="connection")).token
    start_bus_anew(bus, service)
    root, owner = client(), client()
    lease.client = root
    claim(owner, lease).result()
    assert lease["State"] == "active" and lease["Lifetime"] == "connection" and lease["Token"] == token
    owner.close()
    wait_for_end_of(lease)
    root.acquire(disk, wait=30000)


def test_a_lease_that_nobody_claims_ends_when_its_grace_is_over(start_service, bus, client, disk):
    service = start_service(BRIEF)
    lease = client().acquire(disk, lifetime="connection")
    start_bus_anew(bus, service)
    lease.client = client()
    wait_for_end_of(lease)
    assert claim(client(), lease).error().name == "NoSuchLease"
    lease.client.acquire(disk, wait=30000)


def test_a_claimed_lease_outlives_the_grace(start_service, bus, client, image):
    service = start_service(BRIEF.replace("0.2", "2"))
    claimed, other = [client().acquire(image(f"{i}.img"), lifetime="connection") for i in range(2)]
    start_bus_anew(bus, service)
    claimed.client = other.client = client()
    claim(claimed.client, claimed).result()
    wait_for_end_of(other)
    assert claimed["State"] == "active"


def test_the_grace_does_not_run_while_there_is_no_bus(start_service, bus, client, disk):
    service = start_service(BRIEF)
    lease = client().acquire(disk, lifetime="connection")
    bus.crash()
    with pytest.raises(AssertionError):
        wait_until(lambda: lock_of(disk) == fcntl.F_UNLCK, "the lock to go", patience=2)
    bus.start()
    bus.wait_for_name(NAME, service.process)
    lease.client = client()
    wait_for_end_of(lease)


def test_a_name_on_another_bus_is_somebody_else(start_service, bus, client, disk):
    """Names are counted from 1 on each bus: the new one gives the old one's to others."""
    service = start_service(BRIEF.replace("0.2", "600"))
    lease = (first := client()).acquire(disk, lifetime="connection")
    start_bus_anew(bus, service)
    while (other := client()).name != first.name:
        assert int(other.name.partition(".")[2]) < int(first.name.partition(".")[2])
    lease.client = client()
    other.close()
    claim(lease.client, lease).result()
    assert lease["State"] == "active"


def test_the_owner_may_claim_over_and_over(service, bus, client, disk):
    lease = client().acquire(disk, lifetime="connection")
    for _ in range(3):
        start_bus_anew(bus, service)
        lease.client = client()
        for _ in range(2):
            claim(lease.client, lease).result()
    assert lease["State"] == "active"


# ---- who may claim what ----

@pytest.fixture
def users(polkit, service):
    polkit.allow(ALICE, "acquire")
    polkit.allow(BOB, "acquire")


def test_only_the_owners_uid_may_claim(users, service, bus, polkit, client, disk):
    lease = client(ALICE).acquire(disk, lifetime="connection")
    start_bus_anew(bus, service)
    for stranger in (client(BOB), client(0)):
        assert claim(stranger, lease).error().name == "NotOwner"
    owner = client(ALICE)
    claim(owner, lease).result()
    lease.client = client()
    owner.close()
    wait_for_end_of(lease)


def test_a_lease_whose_connection_is_there_cannot_be_claimed(service, client, disk):
    owner, other = client(), client()
    lease = owner.acquire(disk, lifetime="connection")
    error = claim(other, lease).error()
    assert error.name == "Busy" and "still there" in error.message
    claim(owner, lease).result()


@pytest.mark.parametrize("lifetime", ["persistent", "process"])
def test_a_lease_that_ends_with_no_connection_cannot_be_claimed(service, client, disk, lifetime):
    root = client()
    error = claim(root, root.acquire(disk, lifetime=lifetime)).error()
    assert error.name == "Unsupported" and lifetime in error.message


def test_a_broken_lease_cannot_be_claimed(service, bus, client, disk):
    lease = client().acquire(disk, lifetime="connection")
    disk.unlink()
    start_bus_anew(bus, service)
    lease.client = client()
    wait_until(lambda: lease["State"] == "broken", "the lease to break")
    assert claim(lease.client, lease).error().name == "LeaseLost"


# ---- the service is started anew, the bus is not ----

@pytest.mark.parametrize("kill", [True, False], ids=["kill", "stop"])
def test_a_connection_that_is_still_there_keeps_its_lease(start_service, client, disk, kill):
    service = start_service(BRIEF.replace("0.2", "1"))
    root, owner = client(), client()
    lease = owner.acquire(disk, lifetime="connection")
    lease.client = root
    for _ in range(2):
        service.restart(kill)
        assert lease["State"] == "active"
        assert "still there" in claim(root, lease).error().message
    owner.close()
    wait_for_end_of(lease)
    root.acquire(disk, wait=30000)


def test_a_connection_that_left_meanwhile_holds_nothing(start_service, client, disk):
    service = start_service(BRIEF.replace("0.2", "600"))
    root, owner = client(), client()
    lease = owner.acquire(disk, lifetime="connection")
    lease.client = root
    service.crash()
    owner.close()
    service.start()
    wait_for_end_of(lease)
    root.acquire(disk, wait=30000)


def test_a_claim_outlives_a_restart_of_the_service(service, bus, client, disk):
    lease = client().acquire(disk, lifetime="connection")
    start_bus_anew(bus, service)
    root, owner = client(), client()
    lease.client = root
    claim(owner, lease).result()
    service.restart()
    assert lease["State"] == "active" and claim(root, lease).error().name == "Busy"
    owner.close()
    wait_for_end_of(lease)


def test_both_are_started_anew(service, bus, client, disk):
    lease = client().acquire(disk, lifetime="connection")
    service.crash()
    bus.crash()
    bus.start()
    service.start()
    lease.client = client()
    assert lease["State"] == "active"
    claim(lease.client, lease).result()
    lease.client.close()
    lease.client = client()
    wait_for_end_of(lease)


# ---- the bus is slow to say who is there ----

def begin_anew(service, slow_bus, how, client):
    """The service is killed, or loses its connection to a bus that goes on."""
    if how == "kill":
        service.restart()
        return
    def owner():
        return client.call("GetNameOwner", "(s)", NAME, path="/org/freedesktop/DBus", interface="org.freedesktop.DBus",
                           destination="org.freedesktop.DBus")
    before = owner()
    slow_bus.cut()
    wait_until(lambda: service.bus.has_owner(NAME) and owner() != before, "the service to be on the bus again")


@pytest.fixture(params=["kill", "cut"])
def how(request):
    return request.param


def hold_and_begin_anew(start_service, slow_bus, client, disk, how, delay):
    """Returns the lease of a connection, and that connection, after the bus was late by delay(words)."""
    service = start_service(POLICY + "connection-grace=0.01\n", **slow_bus.environment)
    root, owner = client(), client()
    lease = owner.acquire(disk, lifetime="connection")
    lease.client = root
    slow_bus.delay = delay
    begin_anew(service, slow_bus, how, root)
    return lease, owner


def test_a_connection_keeps_its_lease_however_late_the_bus_answers(slow_bus, start_service, client, disk, how):
    lease, owner = hold_and_begin_anew(start_service, slow_bus, client, disk, how, lambda words: 0.3)
    assert lease["State"] == "active"
    owner.close()
    wait_for_end_of(lease)


def test_a_connection_of_which_the_bus_does_not_speak_is_asked_after_again(slow_bus, start_service, client, disk, how):
    once = iter([4])  # seconds; the service waits for three
    lease, owner = hold_and_begin_anew(start_service, slow_bus, client, disk, how,
                                       lambda words: next(once, 0) if b"UnixUserID" in words else 0)
    assert lease["State"] == "active"
    owner.close()
    wait_for_end_of(lease)
