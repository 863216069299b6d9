"""The service ends, by a crash or in order, and starts again: with the descriptor store of a service manager, and by hand."""

import fcntl
import os
import signal
import subprocess
import time

import pytest

from harness import LEASE, BusError, Witness, lock_of, wait_until


@pytest.fixture(params=["store", "by hand"])
def managed(request):
    """Each test that asks for it runs with a service manager that keeps descriptors, and without any."""
    return {} if request.param == "store" else None


@pytest.fixture
def service(start_service, managed):
    return start_service(managed=managed)


@pytest.fixture
def stored(start_service):
    return start_service(managed={})


@pytest.fixture
def witness():
    started = []

    def start(path):
        started.append(Witness(path))
        return started[-1]
    yield start
    for one in started:
        one.close()


@pytest.fixture
def stubborn():
    """A process that SIGTERM does not end."""
    child = subprocess.Popen(["sleep", "1000"], preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
    yield child
    child.kill()
    child.wait()


def told(service, text):
    """Has the service said so?"""
    return text in service.process.output()


# ---- what a lease is, it stays ----

@pytest.mark.parametrize("kill", [True, False], ids=["kill", "stop"])
def test_a_lease_is_after_a_restart_what_it_was(service, client, disk, kill):
    root = client()
    lease = root.acquire(disk, owner="web01", owner_uuid="5ad2ee1e-1bd2-4b1e-a7a0-8a2ec7a6e4d1", why="läuft = gut\\", on_break="pause")
    before = root.get_all(lease, LEASE)
    service.restart(kill)
    after = root.get_all(lease, LEASE)
    assert {**after, "CheckedAt": 0} == {**before, "CheckedAt": 0}
    assert lock_of(disk) == fcntl.F_WRLCK
    assert "web01" in root.refused_acquire(disk).message
    lease.release()
    assert lock_of(disk) == fcntl.F_UNLCK
    root.acquire(disk)


@pytest.mark.parametrize("kill", [True, False], ids=["kill", "stop"])
def test_nobody_gets_the_disk_in_between(stored, client, disk, witness, kill):
    lease = client().acquire(disk)
    other = witness(disk)
    for _ in range(3):
        tries = other.tries
        stored.restart(kill)
        wait_until(lambda: other.tries > tries, "the witness")
    other.stop()
    assert not other.locked
    assert lease["State"] == "active"


def test_shared_and_read_only_leases_come_back_together(service, client, disk):
    root = client()
    leases = [root.acquire(disk, "shared", owner=f"vm{i}") for i in range(3)] + [root.acquire(disk, "read-only")]
    service.restart()
    assert [lease["State"] for lease in leases] == ["active"] * 4
    assert lock_of(disk) == fcntl.F_RDLCK
    for lease in leases:
        assert root.refused_acquire(disk).name == "Busy"
        lease.release()
    assert lock_of(disk) == fcntl.F_UNLCK


def test_tokens_go_on_growing(service, client, image):
    root = client()
    before = root.acquire(image("a.img")).token
    service.restart()
    assert root.acquire(image("b.img")).token > before


def test_a_released_lease_does_not_come_back(service, client, image):
    root = client()
    root.acquire(image("a.img")).release()
    kept = root.acquire(image("b.img"))
    service.restart()
    assert list(root.list()) == [str(kept)]


def test_leases_outlive_many_restarts(service, client, image):
    root = client()
    leases = [root.acquire(image(f"{i}.img")) for i in range(5)]
    for i in range(4):
        service.restart(kill=i % 2 == 0)
        leases[i].release()
    assert [str(leases[4])] == list(root.list())
    assert leases[4]["State"] == "active"


def test_a_network_disk_comes_back_by_its_name(service, client):
    root = client()
    lease = root.acquire("rbd://mon1/pool/web01")
    service.restart()
    assert lease["State"] == "active"
    assert root.refused_acquire("rbd://mon1:6789/pool/web01").name == "Busy"


# ---- what ends a lease, while the service runs or not ----

def test_a_process_lease_ends_with_its_process_after_a_restart(service, client, process, disk):
    child = process()
    lease = client().acquire(disk, lifetime="process", pid=child.pid)
    service.restart()
    assert lease["State"] == "active" and lease["Pid"] == child.pid
    child.kill()
    wait_until(lambda: not lease.exists(), "the lease to end")
    wait_until(lambda: lock_of(disk) == fcntl.F_UNLCK, "the lock to go")


def test_a_process_that_ended_meanwhile_holds_nothing(service, client, process, disk):
    child = process()
    root = client()
    root.acquire(disk, lifetime="process", pid=child.pid)
    service.crash()
    child.kill()
    child.wait()
    service.start()
    wait_until(lambda: not root.list(), "the lease to end")
    root.acquire(disk, wait=30000)


def test_a_persistent_lease_outlives_the_process_that_it_is_for(service, client, process, disk):
    child = process()
    lease = client().acquire(disk, pid=child.pid, on_break="kill")
    service.crash()
    child.kill()
    child.wait()
    service.start()
    assert lease["State"] == "active" and lease["Pid"] == child.pid


def test_a_keep_descriptor_holds_over_a_restart(stored, client, disk):
    lease, keep = client().hold(disk)
    stored.restart()
    assert lease["State"] == "active" and lease["Lifetime"] == "fd"
    os.close(keep)
    wait_until(lambda: not lease.exists(), "the lease to end")
    assert stored.manager.names() == []


def test_a_keep_descriptor_that_was_closed_meanwhile_holds_nothing(stored, client, disk):
    root = client()
    _, keep = root.hold(disk)
    stored.crash()
    os.close(keep)
    stored.start()
    wait_until(lambda: not root.list(), "the lease to end")


def test_without_a_store_a_keep_descriptor_gives_way_to_the_process(start_service, client, disk):
    service, caller, root = start_service(), client(0), client()
    lease, _ = caller.hold(disk)
    lease.client = root
    service.restart()
    assert lease["Lifetime"] == "process" and lease["Pid"] == caller.pid
    caller.close()
    wait_until(lambda: not lease.exists(), "the lease to end")


# ---- states ----

def test_a_suspended_lease_stays_suspended(service, client, disk):
    root = client()
    lease = root.acquire(disk)
    lease.call("Suspend")
    service.restart()
    assert lease["State"] == "suspended" and lock_of(disk) == fcntl.F_UNLCK
    assert root.refused_acquire(disk).name == "Busy"
    lease.call("Resume")
    assert lease["State"] == "active" and lock_of(disk) == fcntl.F_WRLCK


def test_a_resumed_lease_comes_back(service, client, disk, witness):
    lease = client().acquire(disk)
    lease.call("Suspend")
    lease.call("Resume")
    service.restart()
    assert lease["State"] == "active" and lock_of(disk) == fcntl.F_WRLCK


@pytest.mark.parametrize("modes", [("read-only", "exclusive"), ("exclusive", "shared"), ("shared", "read-only", "shared")],
                         ids="-".join)
def test_a_converted_lease_comes_back_in_its_new_mode(service, client, disk, modes):
    lease = client().acquire(disk, modes[0])
    for mode in modes[1:]:
        lease.call("Convert", "(s)", mode)
    service.restart()
    assert lease["State"] == "active" and lease["Mode"] == modes[-1]
    assert lock_of(disk) == (fcntl.F_WRLCK if modes[-1] == "exclusive" else fcntl.F_RDLCK)


def test_a_converted_reader_keeps_its_lock_through_a_restart(stored, client, disk, witness):
    lease = client().acquire(disk, "read-only")
    lease.call("Convert", "(s)", "exclusive")
    other = witness(disk)
    stored.restart()
    other.stop()
    assert not other.locked and lease["Mode"] == "exclusive"
    assert len(stored.manager.names()) == 1


def test_a_converted_reader_keeps_its_lock_though_the_store_is_full(start_service, client, disk, witness):
    service = start_service(managed={"store": 1})
    lease = client().acquire(disk, "read-only")
    lease.call("Convert", "(s)", "exclusive")
    other = witness(disk)
    service.restart()
    other.stop()
    assert not other.locked and lease["Mode"] == "exclusive" and lease.call("Check") == ("active",)
    assert service.manager.names() == ["0"]


def test_a_conversion_that_is_refused_leaves_the_lock_in_the_store_though_it_is_full(start_service, client, disk):
    service = start_service(managed={"store": 1})
    lease = client().acquire(disk, "read-only")
    with open(disk, "rb") as other:
        fcntl.lockf(other, fcntl.LOCK_SH, 1, 0)
        with pytest.raises(BusError, match="Busy"):
            lease.call("Convert", "(s)", "exclusive")
    assert service.manager.names() == ["0"] and lease["Mode"] == "read-only"


STUBBORN = """
[Rule everything]
backend=fcntl
unreachable-after=60
grace=600
on-break-allowed=signal;terminate
"""


def test_a_lease_that_breaks_while_it_is_converted_keeps_its_lock(start_service, remote, client, stubborn):
    """Its process may write until its end: the lock that has moved to a new descriptor meanwhile is kept by that."""
    service, root, disk = start_service(STUBBORN, managed={}), client(), remote.disks[0]
    lease = root.acquire(disk, "read-only", pid=stubborn.pid, on_break="terminate")
    remote.hang()
    try:
        change = root.start("Convert", "(s)", "exclusive", path=lease.path, interface=LEASE)
        root.call("Break", "(osa{sv})", str(lease), "test", {})
    finally:
        remote.answer()
    assert change.error().name == "LeaseLost"
    service.crash()
    assert lock_of(disk) != fcntl.F_UNLCK
    service.start()
    assert lock_of(disk) != fcntl.F_UNLCK and len(service.manager.names()) == 1
    stubborn.kill()
    stubborn.wait()
    wait_until(lambda: lock_of(disk) == fcntl.F_UNLCK, "the lock to go")


def test_a_place_in_the_store_is_not_used_by_a_conversion_that_comes_too_late(start_service, remote, client, disk):
    service, root = start_service(STUBBORN.replace("=60", "=1"), managed={}), client()
    late = root.acquire(remote.disks[0], "read-only")
    remote.hang()
    try:
        assert late.refused("Convert", "(s)", "exclusive").name == "Unreachable"
        other = root.acquire(disk)  # gets the place that the conversion had
    finally:
        remote.answer()
    wait_until(lambda: root.acquire(remote.disks[0], "read-only", wait=30000), "the late conversion to be through")
    service.crash()
    assert lock_of(disk) == fcntl.F_WRLCK and lock_of(remote.disks[0]) == fcntl.F_RDLCK
    service.start()
    assert other["State"] == late["State"] == "active" and len(service.manager.names()) == 3


def test_a_broken_lease_stays_broken_and_readable(service, client, disk):
    root = client()
    lease = root.acquire(disk, owner="web01")
    root.call("Break", "(osa{sv})", str(lease), "test", {})
    service.restart()
    assert lease["State"] == "broken" and lease["BrokenReason"] == "test" and lease["Owner"] == "web01"
    root.acquire(disk)
    lease.release()
    service.restart()
    assert not lease.exists()


def test_a_lease_that_was_being_broken_costs_no_other_one_its_place(service, client, image, stubborn):
    root = client()
    broken = root.acquire(image("a.img"), pid=stubborn.pid, on_break="terminate")
    others = [root.acquire(image(f"{name}.img")) for name in "bcd"]
    root.call("Break", "(osa{sv})", str(broken), "test", {})
    service.restart()
    assert broken["State"] == "broken" and [lease["State"] for lease in others] == ["active"] * 3
    for lease in others:
        lease.release()
    stubborn.kill()
    stubborn.wait()
    wait_until(lambda: lock_of(broken["Path"]) == fcntl.F_UNLCK, "the lock to go")
    assert list(root.list()) == [str(broken)]


def test_an_image_that_was_deleted_meanwhile_breaks_its_lease(service, client, process, disk):
    child = process()
    lease = client().acquire(disk, pid=child.pid, on_break="kill")
    service.crash()
    disk.unlink()
    service.start()
    assert lease["State"] == "broken" and lease["BrokenReason"] == "deleted"
    assert child.wait(60) == -signal.SIGKILL


def test_an_image_that_was_replaced_meanwhile_breaks_its_lease(service, client, image):
    disk, other = image("a.img"), image("b.img")
    lease = client().acquire(disk)
    service.crash()
    other.rename(disk)
    service.start()
    assert lease["State"] == "broken" and lease["BrokenReason"] == "replaced"


def test_an_image_that_was_moved_away_is_still_held_where_its_lock_was_kept(stored, client, disk):
    root = client()
    lease = root.acquire(disk)
    stored.crash()
    moved = disk.rename(disk.with_name("moved.img"))
    stored.start()
    assert lease["State"] == "active"
    assert root.refused_acquire(moved).name == "Busy"


def test_who_takes_the_disk_while_nobody_keeps_it_breaks_the_lease(start_service, client, process, disk):
    service, child = start_service(), process()
    lease = client().acquire(disk, pid=child.pid, on_break="kill")
    service.crash()
    with open(disk, "r+b") as other:
        fcntl.lockf(other, fcntl.LOCK_EX, 1, 0)
        service.start()
        assert lease["State"] == "broken" and lease["BrokenReason"] == "lock taken by another holder"
        assert child.wait(60) == -signal.SIGKILL


def test_a_lock_that_is_closed_late_by_whoever_kept_it_is_taken_again(start_service, client, disk):
    """systemd closes the descriptors of a stopped service beside its main loop: the next start may come before that."""
    service = start_service()
    lease = client().acquire(disk)
    service.crash()
    with open(disk, "r+b") as late:
        fcntl.lockf(late, fcntl.LOCK_EX, 1, 0)
        service.launch()
        time.sleep(0.3)
    service.wait()
    assert lease["State"] == "active"


# ---- what is left of a run ----

def test_the_store_has_one_descriptor_for_each_lease_and_none_for_what_ended(stored, client, image):
    root = client()
    leases = [root.acquire(image(f"{i}.img")) for i in range(3)]
    assert stored.manager.names() == ["2", "1", "0"]
    leases[1].release()
    assert stored.manager.names() == ["2", "0"]
    leases[1] = root.acquire(image("3.img"))
    assert sorted(stored.manager.names()) == ["0", "1", "2"]
    for lease in leases:
        lease.release()
    assert stored.manager.names() == []


def test_a_lock_that_no_lease_explains_is_given_up(stored, client, disk):
    client().acquire(disk)
    stored.crash()
    (stored.runtime / "leases").unlink()
    stored.start()
    wait_until(lambda: lock_of(disk) == fcntl.F_UNLCK, "the lock to go")
    wait_until(lambda: stored.manager.names() == [], "the store to be empty")


def test_a_lease_beyond_the_store_is_taken_again(start_service, client, image):
    service = start_service(managed={"store": 1})
    leases = [client().acquire(image(f"{i}.img")) for i in range(2)]
    assert service.manager.names() == ["0"]
    service.restart()
    assert [lease["State"] for lease in leases] == ["active"] * 2


def test_a_damaged_journal_costs_no_more_than_the_damaged_lines(service, client, image):
    root = client()
    paths = [image(f"{i}.img") for i in range(3)]
    leases = [root.acquire(path) for path in paths]
    service.crash()
    journal = service.runtime / "leases"
    lines = journal.read_bytes().split(b"\n")
    lines[2] = lines[2].replace(b"1.img", b"7.img")
    journal.write_bytes(b"\n".join(lines) + b"+ torn")
    service.start()
    assert [lease.exists() for lease in leases] == [True, False, True]
    assert told(service, "leases, line 3: skipped: its checksum is wrong")
    assert told(service, "leases, line 5: the last line is cut off")
    root.acquire(paths[1], wait=30000)


def test_a_journal_of_an_earlier_boot_is_dropped(service, client, disk):
    root = client()
    root.acquire(disk)
    service.crash()
    journal = service.runtime / "leases"
    text = journal.read_text()
    boot = text.split()[2]
    journal.write_text(text.replace(boot, boot[::-1]))
    service.start()
    assert root.list() == {} and told(service, "earlier boot")
    root.acquire(disk, wait=30000)



def test_a_lock_in_a_lockspace_comes_back(start_service, client, disk, folder, managed):
    lockspace = folder / "lockspace"
    lockspace.mkdir(mode=0o700)
    service = start_service(f"[Rule all]\nbackend=lockspace\nlockspace={lockspace}\nreach=host\n", managed=managed)
    lease = client().acquire(disk)
    service.restart()
    assert lease["State"] == "active" and lease.call("Check") == ("active",)
