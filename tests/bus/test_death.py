"""SIGKILL at every system call of every operation, each followed by a start on what was left."""

import itertools
import os

import pytest

from harness import DEATH, BusError, Injection, wait_until
from sweep import Waiter, every_backend


def kill_at(world, number, operate):
    """Runs operate() until the service dies at that call. Returns whether the operation was answered for, and which call
    it was."""
    injection = Injection(world.folder, DEATH, number)
    injection.attach(world.service.pid)
    answered = False
    try:
        operate()
        answered = True
        world.root.list()
    except BusError as error:
        assert error.name in ("NoReply", "ServiceUnknown", "NameHasNoOwner"), error
    met = injection.met()
    if met:
        world.service.process.wait()
        world.service.manager.read()
        world.service.start()
    injection.close()
    return answered, met


def sweep(world, prepare, operate, judge):
    """For each call of operate(what prepare() made): death, a start, and what must hold, of which judge(that, answered)
    knows the half that is the operation's."""
    for number in itertools.count(1, world.step):
        made = prepare()
        answered, met = kill_at(world, number, lambda: operate(made))
        try:
            judge(made, answered)
            world.check()
        except Exception as error:
            raise AssertionError(f"{number}: {met or 'no death'}, {'' if answered else 'not '}answered") from error
        world.clear()
        if not met:
            print(f"{number // world.step} deaths")
            assert answered
            return


def nothing():
    return None


# ---- what is granted ----

@every_backend
def test_acquire(world):
    def judge(_, answered):
        leases = world.on(world.disk)
        assert len(leases) == 1 if answered else len(leases) <= 1
        assert all(lease["State"] == "active" for lease in leases)
    sweep(world, nothing, lambda _: world.acquire(world.disk), judge)


def test_acquire_to_read(world):
    def judge(_, answered):
        assert len(world.on(world.disk)) == 1 if answered else len(world.on(world.disk)) <= 1
    sweep(world, nothing, lambda _: world.acquire(world.disk, "read-only"), judge)


def test_acquire_of_a_set(world):
    def judge(_, answered):
        both = len(world.on(world.disk)), len(world.on(world.other))
        assert both == (1, 1) if answered else both in ((0, 0), (1, 1))
    sweep(world, nothing, lambda _: world.root.acquire_set([(world.disk, "exclusive"), (world.other, "shared")]), judge)


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
    sweep(world, nothing, lambda _: keeps.append(world.root.hold(world.disk)[1]), judge)


# ---- what ends ----

@every_backend
def test_release(world):
    def judge(_, answered):
        assert not world.on(world.disk) if answered else len(world.on(world.disk)) <= 1
    sweep(world, lambda: world.acquire(world.disk), lambda lease: lease.release(), judge)


def test_break(world):
    def judge(_, answered):
        lease, = world.on(world.disk)
        assert lease["State"] == "broken" if answered else lease["State"] in ("active", "broken")
    sweep(world, lambda: world.acquire(world.disk),
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
    sweep(world, prepare, lambda made: world.root.call("Break", "(osa{sv})", str(made[0]), "test", {}), judge)


# ---- what changes ----

@every_backend
@pytest.mark.parametrize("modes", [("read-only", "exclusive"), ("exclusive", "read-only"), ("shared", "exclusive")], ids="-".join)
def test_convert(world, modes):
    waiters = []

    def prepare():
        lease = world.acquire(world.disk, modes[0])
        waiters.extend(map(Waiter, world.locked_files(world.disk)))
        return lease

    def judge(lease, answered):
        assert lease["State"] == "active"
        assert lease["Mode"] == modes[1] if answered else lease["Mode"] in modes
        # Whatever the mode was, at no time was there no lock.
        assert len(waiters) == world.parts and not any(waiter.locked for waiter in waiters)
        world.check()
        lease.release()
        while waiters:
            waiters.pop().join()
    sweep(world, prepare, lambda lease: lease.call("Convert", "(s)", modes[1]), judge)


def test_suspend(world):
    def judge(lease, answered):
        assert lease["State"] == "suspended" if answered else lease["State"] in ("suspended", "active")
    sweep(world, lambda: world.acquire(world.disk), lambda lease: lease.call("Suspend"), judge)


@every_backend
def test_resume(world):
    def prepare():
        lease = world.acquire(world.disk)
        lease.call("Suspend")
        return lease

    def judge(lease, answered):
        assert lease["State"] == "active" if answered else lease["State"] in ("suspended", "active")
    sweep(world, prepare, lambda lease: lease.call("Resume"), judge)


# ---- the end and the start of the service ----

@every_backend
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
    for number in itertools.count(1, world.step):
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
            print(f"{number // world.step} deaths")
            break
    os.close(keep)
    child.kill()
    child.wait()
