"""Many callers at once, and callers that vanish at the worst moment."""

import os
import signal

import pytest

from conftest import ALICE
from harness import BusError, wait_until

CROWD = 64


@pytest.fixture
def crowd(root, client):
    """So many connections to the bus."""
    return [client() for _ in range(CROWD)]


def outcome(pending):
    """The lease, or the name of the error."""
    try:
        return pending.result()[0]
    except BusError as error:
        return error.name


def test_a_crowd_fights_for_one_disk_and_one_gets_it(root, crowd, disk):
    outcomes = [outcome(pending) for pending in [caller.start_acquire(disk) for caller in crowd]]
    assert outcomes.count("Busy") == CROWD - 1
    assert root.list().keys() == set(outcomes) - {"Busy"}


def test_a_crowd_that_waits_for_one_disk_is_served_one_by_one(root, crowd, disk):
    waiting = {caller: caller.start_acquire(disk, wait=60000) for caller in crowd}
    while waiting:
        served = wait_until(lambda: [caller for caller, pending in waiting.items() if pending.done], "the next")
        assert len(served) == 1
        lease, _ = waiting.pop(served[0]).result()
        assert root.list().keys() == {lease}
        served[0].release(lease)
    assert root.list() == {}


def test_a_crowd_gets_a_disk_each(root, crowd, image):
    disks = [image(f"{number}.img") for number in range(CROWD)]
    leases = [pending.result() for pending in [caller.start_acquire(disk) for caller, disk in zip(crowd, disks)]]
    assert len({lease for lease, _ in leases}) == len({token for _, token in leases}) == CROWD
    assert root.get("LeaseCount") == CROWD


def test_a_crowd_fights_for_many_disks_under_all_their_names(root, crowd, image):
    disks = [image(f"{number}.img") for number in range(8)]
    for number, disk in enumerate(disks):
        os.link(disk, disk.with_name(f"link{number}.img"))
    wanted = [[*disks, *(disk.with_name(f"link{number}.img") for number, disk in enumerate(disks))][i % 16]
              for i in range(CROWD)]
    outcomes = [outcome(pending) for pending in
                [caller.start_acquire(disk) for caller, disk in zip(crowd, wanted)]]
    granted = [outcome for outcome in outcomes if outcome != "Busy"]
    assert len(granted) == 8
    assert len({properties["Disk"] for properties in root.list().values()}) == 8


def test_callers_that_vanish_while_waiting_leave_nothing(root, service, client, disk):
    holder = root.acquire(disk)
    before = service.open_files()
    for _ in range(4):
        vanishing = [client() for _ in range(8)]
        for caller in vanishing:
            caller.start_acquire(disk, wait=60000)
        for caller in vanishing:
            caller.close()
    root.release(holder)
    root.acquire(disk, wait=60000).release()
    wait_until(lambda: root.list() == {} and service.open_files() <= before, "nothing to be left")


def test_callers_that_vanish_right_after_asking_leave_no_connection_lease(root, service, client, image):
    disks = [image(f"{number}.img") for number in range(16)]
    for disk in disks:
        caller = client(0) if disk is disks[0] else client()
        caller.start_acquire(disk, lifetime="connection")
        caller.close()
    for disk in disks:
        root.acquire(disk, wait=60000)
    assert root.get("LeaseCount") == len(disks)


def test_holders_that_vanish_before_the_reply_leave_no_lease(root, client, image):
    """Nobody ever had the descriptor that keeps the lease."""
    disks = [image(f"{number}.img") for number in range(16)]
    for disk in disks:
        caller = client()
        caller.start("Hold", "(ssa{sv})", str(disk), "exclusive", {})
        caller.close()
    for disk in disks:
        root.acquire(disk, wait=60000)


def test_a_process_killed_before_the_reply_leaves_no_process_lease(root, service, client, disk):
    caller = client(0)
    service.process.signal(signal.SIGSTOP)
    caller.start_acquire(disk, lifetime="process")
    # The bus has passed the call on once it answers what the caller sent after it.
    caller.call("GetId", destination="org.freedesktop.DBus", path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus")
    caller.close()
    service.process.signal(signal.SIGCONT)
    root.acquire(disk, wait=60000)


def test_callers_that_vanish_while_polkit_is_asked_leave_nothing(polkit, root, service, client, disk):
    polkit.allow(ALICE)
    root.acquire(disk).release()
    before = service.open_files()
    polkit.stop()
    callers = [client(ALICE) for _ in range(4)]
    for caller in callers:
        caller.start_acquire(disk, lifetime="persistent")
    root.inspect(disk)
    for caller in callers:
        caller.close()
    root.inspect(disk)
    polkit.cont()
    root.acquire(disk, wait=60000).release()
    wait_until(lambda: root.list() == {} and service.open_files() <= before, "nothing to be left")


def test_a_caller_that_polkit_lets_wait_holds_up_nobody(polkit, root, client, disk):
    polkit.stop()
    alice = client(ALICE)
    pending = alice.start_acquire(disk)
    for _ in range(20):
        root.release(root.acquire(disk))
    polkit.cont()
    assert pending.error().name in ("NotAuthorized", "InteractiveAuthorizationRequired")


def test_ten_thousand_leases(root, service, folder):
    disks = folder / "disks"
    disks.mkdir(exist_ok=True)
    paths = [disks / f"{number}.img" for number in range(10000)]
    for path in paths:
        path.write_bytes(b"\0")
    # Some descriptors are opened when they are needed first, and stay.
    root.acquire(paths[0]).release()
    before = service.open_files()
    held = []
    for start in range(0, len(paths), 100):
        pending = [root.start_acquire(path) for path in paths[start:start + 100]]
        held += [call.result()[0] for call in pending]
    assert len(set(held)) == root.get("LeaseCount") == 10000
    assert len(root.list()) == 10000
    assert root.refused_acquire(paths[5000]).name == "Busy"
    assert root.inspect(paths[9999])["state"] == "held"
    for start in range(0, len(held), 100):
        for call in [root.start("Release", "(o)", lease) for lease in held[start:start + 100]]:
            call.result()
    assert root.list() == {} and root.get("LeaseCount") == 0
    wait_until(lambda: service.open_files() <= before, "the descriptors to be closed")


def test_flooding_callers_do_not_shut_others_out(root, client, disk, image):
    """A caller that asks and asks and never reads its answers harms itself alone."""
    other = image("other.img")
    flood = client()
    for _ in range(500):
        flood.start("Inspect", "(s)", str(other))
    root.release(root.acquire(disk))
    flood.close()
