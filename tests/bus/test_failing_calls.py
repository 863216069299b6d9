"""Every system call that can fail fails once, by each of its errors: tests/tools/calls.c has which."""

import itertools
import os
import re
from collections import Counter
from contextlib import suppress

import pytest

from harness import EVERY, NAME, BusError, Injection, wait_until
from sweep import GONE

# Memory and threads: without them GLib ends the process, which is the death of test_death.py.
MAY_KILL = ("mmap", "mprotect", "brk", "clone", "clone3")
# What systemd is told by; what it has not heard it hears with the next change of the store.
TELLS = ("socket", "getsockopt", "setsockopt", "sendmsg")
# Of GLib, where a connection ends in the midst of its own work.
LAST_WORDS = ("Error while sending AddMatch() message", "_g_dbus_method_invocation_new: assertion 'G_IS_DBUS_CONNECTION (connection)' failed")
# A caller that is asked about anew, after a loss of the bus, has one beside that of the leases that it took before.
RENEWED = Counter({"anon_inode:[pidfd]": 1})
# With DISKLOCK_SWEEP=every each, or else one of so many.
STEP = {"fail": 1 if EVERY else 4, "wait": 1 if EVERY else 20}


@pytest.fixture(params=["fail", "wait"])
def what(request):
    """Failures of calls that do something, and of those that only wait."""
    return request.param


class Outcome:
    """What came of an operation: it was granted; or there was an error; or neither, where the connection to the bus failed."""

    def __init__(self, operate):
        self.granted, self.error = False, None
        try:
            operate()
            self.granted = True
        except BusError as error:
            if error.name not in GONE:
                self.error = error

    def __str__(self):
        return "granted" if self.granted else str(self.error or "no answer")

    def is_clear(self):
        """An error says which disk, and is no riddle."""
        return self.error is None or (self.error.name == "BackendFailed" and re.search(r"\.img\b", self.error.message))

    def allows(self, number):
        """May so many leases have come of it, if it was to be one?"""
        return number == 1 if self.granted else number == 0 if self.error else number <= 1


def is_of(met, names):
    return any(f" in {name} of" in met for name in names)


def accept_death(service, met):
    """GLib's last words, or the sanitizers', are no complaint; nor are those of its D-Bus, where G_DEBUG makes them last ones."""
    output = service.process.output()
    assert service.process.wait() != 0
    assert is_of(met, MAY_KILL) or any(words in output for words in LAST_WORDS), output
    service.process.log.write_text("")


def bring_back(world, met):
    """It is alive, or died for want of memory, and is on the bus."""
    service = world.service
    wait_until(lambda: not service.process.is_alive() or world.bus.has_owner(NAME), "the service to be on the bus again")
    if service.process.is_alive():
        return True
    accept_death(service, met)
    service.manager.read()
    service.start()
    return False


class Sweep:
    """For each error of each call of operate(what prepare() made): an answer, and what must hold, of which judge(that, outcome)
    knows the half that is the operation's."""

    def __init__(self, world, what):
        self.world, self.what = world, what
        self.fds = None

    def measure(self, prepare, operate):
        operate(prepare())
        self.world.clear()
        self.world.check()
        self.fds = self.world.service.descriptors()

    def closed(self):
        return self.world.service.descriptors() - self.fds in (Counter(), RENEWED)

    def run(self, prepare, operate, judge):
        for number in itertools.count(1, STEP[self.what] * self.world.step):
            if not self.fds:
                self.measure(prepare, operate)
            made = prepare()
            injection = Injection(self.world.folder, self.what, number)
            injection.attach(self.world.service.pid)
            outcome = Outcome(lambda: operate(made))
            met = injection.met()
            injection.close()
            print(number, met, outcome)
            try:
                if not bring_back(self.world, met):
                    self.fds = None
                assert outcome.is_clear()
                self.world.leases()  # or the judge would ask a service that is just coming back to the bus
                judge(made, outcome)
                self.world.check(unsaid=is_of(met, TELLS))
                self.world.clear()
                wait_until(lambda: not self.fds or self.closed(), "the descriptors to be closed")
            except Exception as error:
                raise AssertionError(f"{number}: {met or 'no failure'}: {outcome}") from error
            if not met:
                assert outcome.granted
                return


@pytest.fixture
def sweep(world, what):
    return Sweep(world, what).run


def nothing():
    return None


def is_good(lease):
    """It is held; where the storage gave no answer, it is once it gives one."""
    if lease["State"] == "at-risk":
        lease.call("Check")
    return lease["State"] == "active"


# ---- what is granted ----

def test_acquire(world, sweep):
    leases = []

    def judge(_, outcome):
        assert outcome.allows(len(world.on(world.disk)))
        assert not outcome.granted or is_good(leases[-1])
    sweep(nothing, lambda _: leases.append(world.acquire(world.disk)), judge)


def test_acquire_of_a_set(world, sweep):
    def judge(_, outcome):
        both = len(world.on(world.disk)), len(world.on(world.other))
        assert both[0] == both[1] and outcome.allows(both[0])
    sweep(nothing, lambda _: world.root.acquire_set([(world.disk, "exclusive"), (world.other, "shared")]), judge)


def test_hold(world, sweep):
    keeps = []

    def judge(_, outcome):
        if outcome.granted:
            assert len(world.on(world.disk)) == 1
            os.close(keeps.pop())
        # Whoever got no descriptor holds nothing.
        wait_until(lambda: not world.on(world.disk), "the lease to end")
    sweep(nothing, lambda _: keeps.append(world.root.hold(world.disk)[1]), judge)


# ---- what ends ----

def test_release(world, sweep):
    def judge(_, outcome):
        assert not world.on(world.disk) or not outcome.granted
    sweep(lambda: world.acquire(world.disk), lambda lease: lease.release(), judge)


def test_break(world, sweep):
    def judge(lease, outcome):
        assert lease["State"] == "broken" if outcome.granted else lease["State"] in ("active", "broken")
    sweep(lambda: world.acquire(world.disk), lambda lease: world.root.call("Break", "(osa{sv})", str(lease), "test", {}), judge)


# ---- what changes ----

@pytest.mark.parametrize("modes", [("read-only", "exclusive"), ("exclusive", "read-only")], ids="-".join)
def test_convert(world, sweep, modes):
    def judge(lease, outcome):
        mode = lease["Mode"]
        assert mode == modes[1] if outcome.granted else mode == modes[0] if outcome.error else mode in modes
        assert is_good(lease)
    sweep(lambda: world.acquire(world.disk, modes[0]), lambda lease: lease.call("Convert", "(s)", modes[1]), judge)


def test_suspend(world, sweep):
    def judge(lease, outcome):
        assert lease["State"] == "suspended" if outcome.granted else lease["State"] in ("suspended", "active")
    sweep(lambda: world.acquire(world.disk), lambda lease: lease.call("Suspend"), judge)


def test_resume(world, sweep):
    def prepare():
        lease = world.acquire(world.disk)
        lease.call("Suspend")
        return lease

    def judge(lease, outcome):
        assert is_good(lease) if outcome.granted else lease["State"] in ("suspended", "active")
    sweep(prepare, lambda lease: lease.call("Resume"), judge)


def test_check(world, sweep):
    def judge(lease, outcome):
        assert is_good(lease)
    sweep(lambda: world.acquire(world.disk), lambda lease: lease.call("Check"), judge)


def test_inspect(world, sweep):
    sweep(nothing, lambda _: world.root.inspect(world.disk), lambda *_: None)


def test_adopt_of_a_set(world, sweep):
    owner = {"owner": "web02", "adopt": True}

    def prepare():
        return [world.acquire(path, **owner) for path in (world.disk, world.other)]

    def judge(leases, outcome):
        lifetimes = [lease["Lifetime"] for lease in leases]
        assert lifetimes == ["process"] * 2 if outcome.granted else lifetimes == ["persistent"] * 2 if outcome.error else len(set(lifetimes)) == 1
    disks = [(world.disk, "exclusive"), (world.other, "exclusive")]
    sweep(prepare, lambda _: world.root.acquire_set(disks, lifetime="process", pid=os.getpid(), **owner), judge)


# ---- the start ----

class Gone(Exception):
    """The connection to the bus failed."""


def listed(world):
    try:
        return world.root.list()
    except BusError as error:
        assert error.name in GONE, error
        raise Gone from error


def has_settled(service):
    return service.manager.has_said("READY") or not service.process.is_alive()


def start_and_fail(world, what, number):
    """A start with that failure, which it gets over or ends by. Returns what was met."""
    service, manager = world.service, world.service.manager
    injection = Injection(world.folder, what, number)
    manager.tracer = injection.before_command()
    said = len(service.process.output())
    service.process = manager.start()
    manager.tracer = []
    wait_until(lambda: has_settled(service) or is_of(injection.met(), MAY_KILL), "the start or its end")
    with suppress(AssertionError):
        # Without its first thread for such work GLib waits for one for ever. systemd waits for 90 seconds.
        wait_until(lambda: has_settled(service), "the start or its end", patience=5)
    met = injection.met()
    if service.process.is_alive():
        return met
    status, output = service.process.wait(), service.process.output()[said:]
    if status < 0 or is_of(met, MAY_KILL):
        accept_death(service, met)
        return met
    assert status > 0 and output, f"{met}: it ended with {status} and said nothing"
    return met


def test_start(world, what):
    world.acquire(world.image("keep.img"), lifetime="process", pid=os.getpid())
    _, keep = world.root.hold(world.disk)
    world.standing = world.root.list()
    for number in itertools.count(1, world.step * (1 if EVERY else 9)):
        world.service.crash()
        met = start_and_fail(world, what, number)
        print(number, met, "up" if world.service.manager.has_said("READY") else "ended")
        try:
            if world.service.manager.has_said("READY"):
                wait_until(lambda: world.bus.has_owner(NAME), "the service to be on the bus again")
                with suppress(Gone):  # the failure comes now, and is the connection's
                    assert set(listed(world)) == set(world.standing)
            world.service.crash()
            world.service.start()
            world.check()
        except Exception as error:
            raise AssertionError(f"{number}: {met or 'no failure'}") from error
        if not met:
            os.close(keep)
            return
