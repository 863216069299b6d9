"""wait=: the disk the moment it is free, first come, first served."""

from harness import wait_until


def start_waiting(client, disk, mode="exclusive", **options):
    """Sends the call, and gives the service time to put it into the queue: nothing on the bus shows who waits."""
    waiter = client.start_acquire(disk, mode, wait=60000, **options)
    for _ in range(3):
        client.refused_acquire(disk)
    assert not waiter.done
    return waiter


def test_a_waiter_gets_the_disk_when_it_is_released(root, disk):
    holder = root.acquire(disk, owner="web01")
    waiter = start_waiting(root, disk, owner="db01")
    root.release(holder)
    lease, token = waiter.result()
    assert token > holder.token
    assert root.get("Owner", lease, "org.disklock.DiskLock1.Lease") == "db01"


def test_waiters_are_served_first_come_first_served(root, disk):
    holder = root.acquire(disk)
    waiters = [start_waiting(root, disk, owner=f"vm{number}") for number in range(8)]
    served = holder.path
    for number, waiter in enumerate(waiters):
        root.release(served)
        served, _ = waiter.result()
        assert not any(later.done for later in waiters[number + 1:])
        assert root.get("Owner", served, "org.disklock.DiskLock1.Lease") == f"vm{number}"


def test_who_asks_without_waiting_does_not_overtake_a_waiter(root, disk):
    holder = root.acquire(disk, "shared")
    waiter = start_waiting(root, disk, "exclusive")
    assert root.refused_acquire(disk, "shared").name == "Busy"
    root.release(holder)
    waiter.result()


def test_waiters_that_go_together_get_the_disk_together(root, disk):
    holder = root.acquire(disk, "exclusive")
    waiters = [start_waiting(root, disk, "shared") for _ in range(3)]
    root.release(holder)
    assert len({waiter.result()[0] for waiter in waiters}) == 3


def test_waiting_ends_when_its_time_is_over(root, disk):
    root.acquire(disk, owner="web01")
    error = root.refused_acquire(disk, wait=200)
    assert error.name == "TimedOut"
    assert str(disk) in error.message and "web01" in error.message


def test_a_waiter_whose_time_is_over_no_longer_stands_in_the_way(root, disk):
    holder = root.acquire(disk, "shared")
    root.refused_acquire(disk, "exclusive", wait=100)
    root.acquire(disk, "shared")
    assert holder["State"] == "active"


def test_waiting_for_a_free_disk_is_no_wait(root, disk):
    root.acquire(disk, wait=60000)


def test_a_waiter_gets_the_disk_when_the_holder_leaves_the_bus(root, client, disk):
    holder = client()
    holder.acquire(disk, lifetime="connection")
    waiter = start_waiting(root, disk)
    holder.close()
    waiter.result()


def test_a_waiter_gets_the_disk_when_the_lease_is_broken(root, disk):
    holder = root.acquire(disk)
    waiter = start_waiting(root, disk)
    root.call("Break", "(osa{sv})", holder.path, "revoked", {})
    waiter.result()


def test_a_waiter_that_vanishes_is_forgotten(root, client, disk):
    holder = root.acquire(disk)
    vanished = client()
    start_waiting(vanished, disk)
    patient = start_waiting(root, disk)
    vanished.close()
    root.release(holder)
    lease, _ = patient.result()
    wait_until(lambda: root.list().keys() == {lease}, "only the patient one to hold the disk")

