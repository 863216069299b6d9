"""The bus is started anew and the service is killed, in every order: no lease is lost, and nobody else gets a disk."""

import fcntl
import itertools
import os
import signal

import pytest

from harness import LEASE, NAME, Witness, lock_of, wait_until

STEPS = {
    "bus-ends": lambda bus, service: bus.crash(),
    "bus-starts": lambda bus, service: bus.start(),
    "service-ends": lambda bus, service: service.crash(),
    "service-starts": lambda bus, service: service.launch(),
    "both-end": lambda bus, service: kill_both(bus, service),
}


def kill_both(bus, service):
    """Neither sees the other's end."""
    for process in (bus.process, service.process):
        process.signal(signal.SIGKILL)
    bus.crash()
    service.crash()


def is_possible(order):
    return all(order.index(f"{who}-ends") < order.index(f"{who}-starts") for who in ("bus", "service"))


ORDERS = [order for order in itertools.permutations(name for name in STEPS if name != "both-end") if is_possible(order)]
ORDERS += [("both-end", "bus-starts", "service-starts"), ("both-end", "service-starts", "bus-starts")]


@pytest.fixture(params=["stored", "by hand"])
def service(request, start_service):
    return start_service(managed={} if request.param == "stored" else None)


@pytest.fixture
def witnesses(service):
    """Programs that try to lock images all the time: witnesses(paths). By hand there is a moment in which they would get them."""
    started = []

    def start(paths):
        started.extend(map(Witness, paths if service.manager else ()))
        return started
    yield start
    for one in started:
        one.close()


def hold_of_every_lifetime(client, image, process):
    root = client()
    leases = {name: root.acquire(image(f"{name}.img"), lifetime=name) for name in ("persistent", "connection")}
    leases["process"] = root.acquire(image("process.img"), lifetime="process", pid=process().pid)
    leases["fd"], keep = root.hold(image("fd.img"))
    return leases, keep


def read(root, leases):
    """Their properties, but for when they were last looked at."""
    return {name: {**root.get_all(lease, LEASE), "CheckedAt": 0} for name, lease in leases.items()}


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_no_lease_is_lost_and_nobody_else_gets_the_disk(service, bus, client, image, process, witnesses, order):
    leases, keep = hold_of_every_lifetime(client, image, process)
    before = read(client(), leases)
    others = witnesses([lease["Path"] for lease in before.values()])
    for step in order:
        STEPS[step](bus, service)
    service.wait()
    root, owner = client(), client()
    if not service.manager:
        before["fd"]["Lifetime"] = "process"  # disklockd(8): the descriptor's other end is gone
    assert read(root, leases) == before
    for lease in before.values():
        assert lock_of(lease["Path"]) == fcntl.F_WRLCK
        assert root.refused_acquire(lease["Path"]).name == "Busy"
    for other in others:
        other.stop()
        assert not other.locked
    owner.call("Claim", path=str(leases["connection"]), interface=LEASE)
    owner.close()
    wait_until(lambda: str(leases["connection"]) not in root.list(), "the lease to end with the connection that claimed it")
    assert bus.has_owner(NAME)
    os.close(keep)
