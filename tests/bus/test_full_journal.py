"""The filesystem of the runtime folder is full: what cannot be written down is not done, and nothing that stands is lost."""

import fcntl
import subprocess

import pytest

from harness import NAME, BusError, Signals, lock_of, wait_until

PAGE = 4096


class Small:
    """A tiny filesystem, for the runtime folder."""

    def __init__(self, path):
        self.path = path
        path.mkdir(parents=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", path], check=True)
        self._ballast = path / "ballast"

    def fill(self):
        with open(self._ballast, "ab", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * PAGE)
            except OSError:
                pass

    def empty(self):
        self._ballast.unlink()

    def close(self):
        subprocess.run(["umount", self.path], check=True)


@pytest.fixture
def small(folder):
    small = Small(folder / "service" / "run")
    yield small
    small.close()


@pytest.fixture(params=["store", "by hand"])
def service(request, small, start_service):
    return start_service(managed={} if request.param == "store" else None)


@pytest.fixture
def first(service, client, disk):
    """A lease whose record is longer than those of the others, and whose process has ended."""
    caller = client(0)
    lease = caller.acquire(disk, owner="web01", why="x" * 200)
    caller.close()
    lease.client = client()
    return lease


@pytest.fixture
def full(first, service, small, client, folder):
    """Takes disks until the journal takes no more; the leases, and what the last one met."""
    root, leases = client(), [first]
    small.fill()
    for i in range(100):
        path = folder / f"{i}.img"
        path.touch()
        pending = root.start_acquire(path)
        try:
            leases.append(type(first)(root, *pending.result()))
        except BusError as error:
            return leases, error, path
    raise AssertionError("the filesystem is never full")


def test_a_lease_that_cannot_be_written_down_is_not_granted(full, service, client):
    leases, error, path = full
    assert error.name == "BackendFailed"
    assert str(service.runtime / "leases") in error.message and "No space left" in error.message
    assert lock_of(path) == fcntl.F_UNLCK and len(client().list()) == len(leases)
    if service.manager:
        assert len(service.manager.names()) == len(leases)


@pytest.mark.parametrize("change", [("Convert", "(s)", "read-only"), ("Suspend",)], ids=lambda change: change[0])
def test_a_change_that_cannot_be_written_down_is_not_made(full, first, service, disk, change):
    before = first["Mode"], first["State"]
    error = first.refused(*change)
    assert error.name == "BackendFailed" and str(service.runtime / "leases") in error.message
    assert (first["Mode"], first["State"]) == before and lock_of(disk) == fcntl.F_WRLCK
    service.restart()
    assert (first["Mode"], first["State"]) == before and lock_of(disk) == fcntl.F_WRLCK


def test_a_suspended_lease_whose_return_cannot_be_written_down_stays_suspended(first, request, service, disk):
    first.call("Suspend")
    request.getfixturevalue("full")
    error = first.refused("Resume")
    assert error.name == "BackendFailed" and str(service.runtime / "leases") in error.message
    assert first["State"] == "suspended"
    wait_until(lambda: lock_of(disk) == fcntl.F_UNLCK, "the lock to go")
    service.restart()
    assert first["State"] == "suspended"


def test_who_cannot_be_written_down_does_not_adopt(full, first, service, client, process, disk):
    error = client().refused_acquire(disk, owner="web01", adopt=True, lifetime="process", pid=process().pid)
    assert error.name == "BackendFailed"
    assert first["Lifetime"] == "persistent" and first["State"] == "active"


def test_releases_go_on_and_last(full, service, client, small):
    leases, _, _ = full
    paths = [lease["Path"] for lease in leases]
    for lease, path in zip(leases[::2], paths[::2]):
        lease.release()
        assert lock_of(path) == fcntl.F_UNLCK
    service.restart()
    assert set(client().list()) == {str(lease) for lease in leases[1::2]}


def test_a_start_on_a_full_filesystem_loses_nothing_and_strikes_out_what_ends(full, service, client):
    leases, _, _ = full
    for _ in range(2):
        service.restart()
        assert {lease["State"] for lease in leases} == {"active"}
        leases.pop().release()
        assert service.process.is_alive()
    service.restart()
    assert set(client().list()) == {str(lease) for lease in leases}


def test_when_there_is_room_again_it_goes_on(full, service, small, client):
    leases, _, path = full
    small.empty()
    leases.append(client().acquire(path))
    service.restart()
    assert set(client().list()) == {str(lease) for lease in leases}


def test_what_happened_meanwhile_is_written_when_there_is_room(full, first, service, small, client, bus, disk):
    heard = Signals(bus)
    first.client.call("Break", "(osa{sv})", str(first), "test", {})
    heard.wait_for("LeaseBroken")
    assert "cannot be written down" in service.process.output()
    small.empty()
    wait_until(lambda: "could be written again" in service.process.output(), "the journal")
    service.restart()
    assert first["State"] == "broken" and first["BrokenReason"] == "test"
    assert len(heard.named("LeaseBroken")) == 1 and bus.has_owner(NAME)
