"""SIGKILL at every system call of every operation, each followed by a start on what was left."""

import fcntl
import itertools
import os
import struct
import threading
from collections import Counter

import pytest

from harness import DEATH, BusError, Injection, wait_until

POLICY = """
[Rule everything]
backend=fcntl;host
check-interval=3600
"""
F_OFD_SETLKW = 38
LOCKED = {"exclusive": "WRITE", "shared": "READ", "read-only": "READ"}


class World:
    """The service with leases, and what must be true of them at any time."""

    def __init__(self, service, client, image, folder):
        self.service, self.root, self.image, self.folder = service, client(), image, folder
        self.disk, self.other = image("disk.img"), image("other.img")
        self.token = 0
        self.held = self.acquire(image("held.img"), owner="web01")
        self.read = self.acquire(image("read.img"), "read-only")
        self.acquire(image("read.img"), "read-only")
        self.suspended = self.acquire(image("suspended.img"))
        self.suspended.call("Suspend")
        self.standing = self.root.list()

    def acquire(self, path, *arguments, **values):
        lease = self.root.acquire(path, *arguments, **values)
        assert lease.token > self.token
        self.token = lease.token
        return lease

    def on(self, path):
        """The leases of a disk."""
        return [lease for lease in self.root.list().values() if lease["Path"] == str(path)]

    def locks(self):
        """What /proc/locks has on the disks: (name, kind) → how often."""
        names = {os.stat(path).st_ino: path.name for path in self.disk.parent.iterdir()}
        found = Counter()
        with open("/proc/locks", encoding="ascii") as file:
            for line in file:
                words = line.split()
                inode = int(words[5].split(":")[2]) if words[1] == "OFDLCK" else 0
                if inode in names:
                    found[names[inode], words[3]] += 1
        return found

    def explained(self):
        """What the leases explain of that."""
        return Counter((os.path.basename(lease["Path"]), LOCKED[lease["Mode"]]) for lease in self.root.list().values()
                       if lease["State"] in ("active", "at-risk"))

    def check(self):
        """No lease is lost, nothing is locked that no lease explains, and nobody gets what somebody has."""
        leases = self.root.list()
        for path, before in self.standing.items():
            assert {**leases[path], "CheckedAt": 0} == {**before, "CheckedAt": 0}
        wait_until(lambda: self.locks() == self.explained(), "the locks to be those of the leases")
        kept = [lease for lease in leases.values() if lease["State"] not in ("suspended", "broken")]
        fds = len(kept) + sum(lease["Lifetime"] == "fd" for lease in kept)
        wait_until(lambda: len(self.service.manager.names()) == fds, "the store to have what it needs")
        for path in (self.disk, self.other):
            if any(lease["State"] != "broken" for lease in self.on(path)):
                assert self.root.refused_acquire(path).name == "Busy"
            else:
                self.acquire(path, wait=30000).release()

    def clear(self):
        """Ends what the operation left."""
        for path in set(self.root.list()) - set(self.standing):
            self.root.release(path)

    def kill_at(self, number, operate):
        """Runs operate() until the service dies at that call. Returns whether the operation was answered for, and which call
        it was."""
        injection = Injection(self.folder, DEATH, number)
        injection.attach(self.service.pid)
        answered = False
        try:
            operate()
            answered = True
            self.root.list()
        except BusError as error:
            assert error.name in ("NoReply", "ServiceUnknown", "NameHasNoOwner"), error
        met = injection.met()
        if met:
            self.service.process.wait()
            self.service.manager.read()
            self.service.start()
        injection.close()
        return answered, met

    def sweep(self, prepare, operate, judge):
        """For each call of operate(what prepare() made): death, a start, and what must hold, of which judge(that, answered)
        knows the half that is the operation's."""
        for number in itertools.count(1):
            made = prepare()
            answered, met = self.kill_at(number, lambda: operate(made))
            try:
                judge(made, answered)
                self.check()
            except Exception as error:
                raise AssertionError(f"{number}: {met or 'no death'}, {'' if answered else 'not '}answered") from error
            self.clear()
            if not met:
                print(f"{number - 1} deaths")
                assert answered
                return


class Waiter:
    """Another program that waits in the kernel for a lock: it gets it in the first moment in which nobody has it."""

    def __init__(self, path):
        self.locked = False
        self._fd = os.open(path, os.O_RDWR)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        wait_until(lambda: self._waits(os.fstat(self._fd).st_ino), "the kernel to have it wait")

    def _run(self):
        fcntl.fcntl(self._fd, F_OFD_SETLKW, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
        self.locked = True
        os.close(self._fd)

    @staticmethod
    def _waits(inode):
        with open("/proc/locks", encoding="ascii") as file:
            return any(words[1] == "->" and words[6].endswith(f":{inode}") for words in map(str.split, file))

    def join(self):
        self._thread.join()


@pytest.fixture
def world(start_service, client, image, folder):
    world = World(start_service(POLICY, managed={}), client, image, folder)
    held = Waiter(folder / "disks" / "held.img")
    yield world
    assert not held.locked


def nothing():
    return None


# ---- what is granted ----

def test_acquire(world):
    def judge(_, answered):
        leases = world.on(world.disk)
        assert len(leases) == 1 if answered else len(leases) <= 1
        assert all(lease["State"] == "active" for lease in leases)
    world.sweep(nothing, lambda _: world.acquire(world.disk), judge)


def test_acquire_to_read(world):
    def judge(_, answered):
        assert len(world.on(world.disk)) == 1 if answered else len(world.on(world.disk)) <= 1
    world.sweep(nothing, lambda _: world.acquire(world.disk, "read-only"), judge)


def test_acquire_of_a_set(world):
    def judge(_, answered):
        both = len(world.on(world.disk)), len(world.on(world.other))
        assert both == (1, 1) if answered else both in ((0, 0), (1, 1))
    world.sweep(nothing, lambda _: world.root.acquire_set([(world.disk, "exclusive"), (world.other, "shared")]), judge)


def test_hold(world):
    keeps = []

    def judge(_, answered):
        # Whoever got no descriptor holds nothing.
        if not answered:
            wait_until(lambda: not world.on(world.disk), "the lease to end")
        else:
            assert len(world.on(world.disk)) == 1
            os.close(keeps.pop())
            wait_until(lambda: not world.on(world.disk), "the lease to end")
    world.sweep(nothing, lambda _: keeps.append(world.root.hold(world.disk)[1]), judge)


# ---- what ends ----

def test_release(world):
    def judge(_, answered):
        assert not world.on(world.disk) if answered else len(world.on(world.disk)) <= 1
    world.sweep(lambda: world.acquire(world.disk), lambda lease: lease.release(), judge)


def test_break(world):
    def judge(_, answered):
        lease, = world.on(world.disk)
        assert lease["State"] == "broken" if answered else lease["State"] in ("active", "broken")
    world.sweep(lambda: world.acquire(world.disk),
                lambda lease: world.root.call("Break", "(osa{sv})", str(lease), "test", {}), judge)


def test_break_that_kills(world, process):
    def prepare():
        child = process()
        return world.acquire(world.disk, pid=child.pid, on_break="kill"), child

    def judge(made, answered):
        lease, = world.on(world.disk)
        assert lease["State"] == "broken" if answered else lease["State"] in ("active", "broken")
        if lease["State"] == "broken":
            wait_until(lambda: made[1].poll() is not None, "the process to be killed")
        else:
            assert made[1].poll() is None
    world.sweep(prepare, lambda made: world.root.call("Break", "(osa{sv})", str(made[0]), "test", {}), judge)


# ---- what changes ----

@pytest.mark.parametrize("modes", [("read-only", "exclusive"), ("exclusive", "read-only"), ("shared", "exclusive")], ids="-".join)
def test_convert(world, modes):
    waiters = []

    def prepare():
        lease = world.acquire(world.disk, modes[0])
        waiters.append(Waiter(world.disk))
        return lease

    def judge(lease, answered):
        assert lease["State"] == "active"
        assert lease["Mode"] == modes[1] if answered else lease["Mode"] in modes
        # Whatever the mode was, at no time was there no lock.
        assert not waiters[-1].locked
        world.check()
        lease.release()
        waiters.pop().join()
    world.sweep(prepare, lambda lease: lease.call("Convert", "(s)", modes[1]), judge)


def test_suspend(world):
    def judge(lease, answered):
        assert lease["State"] == "suspended" if answered else lease["State"] in ("suspended", "active")
    world.sweep(lambda: world.acquire(world.disk), lambda lease: lease.call("Suspend"), judge)


def test_resume(world):
    def prepare():
        lease = world.acquire(world.disk)
        lease.call("Suspend")
        return lease

    def judge(lease, answered):
        assert lease["State"] == "active" if answered else lease["State"] in ("suspended", "active")
    world.sweep(prepare, lambda lease: lease.call("Resume"), judge)


# ---- the end and the start of the service ----

def test_start(world, process):
    """With leases of every kind: each start dies a call later than the one before."""
    def prepare():
        broken = world.acquire(world.disk)
        world.root.call("Break", "(osa{sv})", str(broken), "test", {})
        child = process()
        leases = [world.acquire(world.other, "shared") for _ in range(2)]
        leases += [world.acquire(world.disk, lifetime="process", pid=child.pid)]
        keep = world.root.hold(world.image("keep.img"))
        return broken, leases, keep, child
    service, manager = world.service, world.service.manager
    broken, leases, (kept, keep), child = prepare()
    for number in itertools.count(1):
        ended = world.acquire(world.image("ended.img"), lifetime="process", pid=(short := process()).pid)
        service.crash()
        short.kill()
        short.wait()
        injection = Injection(world.folder, DEATH, number)
        manager.tracer = injection.before_command()
        service.process = manager.start()
        wait_until(lambda: manager.has_said("READY") or not manager.process.is_alive(), "the start or its end")
        met = injection.met()
        manager.tracer = []
        service.crash()
        service.start()
        try:
            assert broken["State"] == "broken"
            assert [lease["State"] for lease in leases] == ["active"] * 3 and kept["State"] == "active"
            wait_until(lambda: not ended.exists(), "the lease of a process that ended to end")
            world.check()
        except Exception as error:
            raise AssertionError(f"{number}: {met or 'no death'}") from error
        if not met:
            print(f"{number - 1} deaths")
            break
    os.close(keep)
    child.kill()
    child.wait()
