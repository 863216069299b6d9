"""adopt: who starts a VM takes its disks first, and says later for which process."""


import pytest

from conftest import ALICE
from harness import options, wait_until

UUID = "6c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a11"
VM = {"owner": "web01", "owner_uuid": UUID, "adopt": True}


@pytest.fixture
def prepare(client):
    """Takes disks as a program that has ended when the VM's process begins."""
    def prepare(*disks, **options):
        caller = client(0)
        leases = caller.acquire_set(disks, **{**VM, **options})
        caller.close()
        return [lease.path for lease in leases]
    return prepare


def test_a_lease_is_adopted_with_its_token(root, prepare, process, disk):
    [lease] = prepare((disk, "exclusive"))
    token = root.list()[lease]["Token"]
    adopted = root.acquire(disk, lifetime="process", pid=process().pid, **VM)
    assert (adopted.path, adopted.token) == (lease, token)
    assert len(root.list()) == 1


def test_an_adopted_lease_ends_with_its_new_process(root, prepare, process, disk):
    prepare((disk, "exclusive"))
    child = process()
    lease = root.acquire(disk, lifetime="process", pid=child.pid, **VM)
    assert (lease["Pid"], lease["Lifetime"]) == (child.pid, "process")
    child.kill()
    child.wait()
    wait_until(lambda: not lease.exists(), "the lease to end")


def test_what_was_said_anew_replaces_what_was_said(root, prepare, process, disk):
    prepare((disk, "exclusive"), why="starting", on_break="kill")
    lease = root.acquire(disk, lifetime="process", pid=process().pid, why="running", on_break="pause", **VM)
    assert (lease["Why"], lease["OnBreak"]) == ("running", "pause")


def test_what_was_not_said_anew_stays(root, prepare, process, disk):
    prepare((disk, "exclusive"), why="starting", on_break="kill")
    lease = root.acquire(disk, lifetime="process", pid=process().pid, **VM)
    assert (lease["Why"], lease["OnBreak"]) == ("starting", "kill")


def test_another_name_of_the_disk_finds_its_lease(root, prepare, process, disk, folder):
    link = folder / "link.img"
    link.symlink_to(disk)
    [lease] = prepare((disk, "exclusive"))
    assert root.acquire(link, lifetime="process", pid=process().pid, **VM).path == lease


def test_a_set_adopts_what_it_can_and_takes_the_rest(root, prepare, process, image):
    first, second = image("1.img"), image("2.img")
    [lease] = prepare((first, "exclusive"))
    leases = root.acquire_set([(second, "exclusive"), (first, "exclusive")], lifetime="process", pid=process().pid, **VM)
    assert leases[1].path == lease
    assert root.held() == {str(first): "exclusive", str(second): "exclusive"}


def test_a_set_that_is_refused_leaves_what_it_would_have_adopted(root, prepare, process, image):
    first, second = image("1.img"), image("2.img")
    [lease] = prepare((first, "exclusive"))
    before = root.list()[lease]
    root.acquire(second, owner="db01")
    error = root.refused_acquire_set([(first, "exclusive"), (second, "exclusive")], lifetime="process",
                                     pid=process().pid, **VM)
    assert error.name == "Busy" and "db01" in error.message
    assert {**root.list()[lease], "CheckedAt": 0} == {**before, "CheckedAt": 0}


def test_the_same_call_twice_changes_nothing(root, process, image):
    disks, pid = [(image("1.img"), "exclusive"), (image("2.img"), "read-only")], process().pid
    first = root.acquire_set(disks, lifetime="process", pid=pid, **VM)
    second = root.acquire_set(disks, lifetime="process", pid=pid, **VM)
    assert [str(lease) for lease in first] == [str(lease) for lease in second]


def test_a_stronger_lease_is_adopted_as_it_is(root, prepare, process, disk):
    [lease] = prepare((disk, "exclusive"))
    adopted = root.acquire(disk, "read-only", lifetime="process", pid=process().pid, **VM)
    assert (adopted.path, adopted["Mode"]) == (lease, "exclusive")


def test_a_weaker_lease_is_not_adopted(root, prepare, process, disk):
    prepare((disk, "read-only"))
    assert root.refused_acquire(disk, "exclusive", lifetime="process", pid=process().pid, **VM).name == "Busy"


def test_a_living_process_keeps_its_lease(root, process, disk):
    first, second = process(), process()
    lease = root.acquire(disk, lifetime="process", pid=first.pid, **VM)
    error = root.refused_acquire(disk, lifetime="process", pid=second.pid, **VM)
    assert error.name == "Busy" and str(first.pid) in error.message
    assert lease["Pid"] == first.pid


@pytest.mark.parametrize("other", [{"owner": "web02"}, {"owner_uuid": UUID.replace("6", "7")}, {"adopt": False}])
def test_nobody_else_adopts(root, prepare, process, disk, other):
    prepare((disk, "exclusive"))
    assert root.refused_acquire(disk, lifetime="process", pid=process().pid, **{**VM, **other}).name == "Busy"


def test_another_user_adopts_nothing(polkit, root, client, prepare, disk):
    polkit.allow(ALICE)
    prepare((disk, "exclusive"))
    assert client(ALICE).refused_acquire(disk, **VM).name == "Busy"


def test_a_suspended_lease_stays_suspended(root, prepare, process, disk):
    [lease] = prepare((disk, "exclusive"))
    root.call("Suspend", path=lease, interface="org.disklock.DiskLock1.Lease")
    assert root.acquire(disk, lifetime="process", pid=process().pid, **VM)["State"] == "suspended"


def test_a_broken_lease_is_not_adopted(root, prepare, process, disk):
    [lease] = prepare((disk, "exclusive"))
    root.call("Break", "(osa{sv})", lease, "for the test", {})
    adopted = root.acquire(disk, lifetime="process", pid=process().pid, **VM)
    assert adopted.path != lease and adopted["State"] == "active"


def test_hold_does_not_adopt(root, disk):
    error = root.refused("Hold", "(ssa{sv})", str(disk), "exclusive", options({"adopt": True}))
    assert error.name == "InvalidArgs" and "adopt" in error.message


def test_an_adopted_disk_does_not_count_again(start_service, client, process, disk):
    start_service("[Limits]\nleases=1\n[Rule all]\nbackend=host\n")
    caller, pid = client(), process().pid
    caller.acquire(disk, lifetime="process", pid=pid, **VM)
    caller.acquire(disk, lifetime="process", pid=pid, **VM)
