"""
Who writes when: on four disks, by both versions of NFS, with and without locks of the writer's own (QEMU has them), a writer
that has a lease stamps the pages, and the next one counts what of the one before it still arrives.
"""

import signal
import time
from pathlib import Path

import nfs
import writer
from harness import BusError, Lease, wait_until
from nfs import MOUNTED, make_image, take_locks_away, unlock_filesystem, unplugged

PROGRAM = Path(writer.__file__)


class Disk:
    """`locked`: who writes to it takes QEMU's locks, too."""

    def __init__(self, name, version, locked):
        self.version, self.locked = version, locked
        self.image = make_image(f"{name}-{version}-{'locked' if locked else 'bare'}.img", writer.PAGES * writer.PAGE)
        self.path = MOUNTED[version] / self.image.name

    def __str__(self):
        return f"NFS {self.version}, a writer {'with locks as QEMU has them' if self.locked else 'without locks of its own'}"


def make_disks(name, versions=tuple(MOUNTED)):
    return [Disk(name, version, locked) for version in versions for locked in (True, False)]


def ask(host, disk, **options):
    """A lease, or why not. The server lets whoever asks wait for a host that is cut off, or busy with having been: he asks again then."""
    def answer():
        try:
            return host.root.acquire(disk.path, **options)
        except BusError as error:
            return None if error.name == "Unreachable" else error
    return wait_until(answer, f"an answer about {disk}")


class Machine:
    """What stands for a virtual machine: a writer, and a lease that is for it, ends with it, and kills it when it breaks."""

    def __init__(self, host, disk, turn, *words):
        self.disk = disk
        words += ("locked",) if disk.locked else ()
        go = host.folder / f"go-{disk.image.name}-{turn}"
        self.process = host.start(f"writer-{disk.image.name}-{turn}", "python3", PROGRAM, disk.path, turn, go, *words)
        self.lease = ask(host, disk, owner=f"turn-{turn}", lifetime="process", pid=self.process.pid, on_break="kill", wait=60000)
        assert isinstance(self.lease, Lease), self.lease
        go.touch()

    def has_stopped(self):
        """Whoever waits for a server that does not answer has been told to, and does nothing more before he does."""
        if not self.process.is_alive():
            return True
        status = dict(line.split(":\t") for line in Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines())
        told = int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)
        return status["State"][0] == "T" or bool(told & 1 << (signal.SIGSTOP - 1))

    def count(self, word):
        return sum(line.split()[0] == word for line in self.process.output().splitlines())

    def problems(self):
        return {word: self.count(word) for word in ("late", "overtaken", "torn", "refused")}

    def wait_for_round(self):
        """Until every page was looked at, and stamped, once more from now on."""
        wanted = self.count("round") + 2
        wait_until(lambda: self.count("round") >= wanted, f"the next round on {self.disk}:\n{self.process.output()[-500:]}")

    def end(self):
        self.process.kill()
        wait_until(lambda: not self.lease.exists(), "the lease to end with its process")


def start(host, disks, turn, *words):
    """`words`: the writer's."""
    machines = [Machine(host, disk, turn, *words) for disk in disks]
    for machine in machines:
        machine.wait_for_round()
    return machines


def wait_until_stopped(world, machines, what, promised):
    """By the broken lease, which says why. No test fails by the time that it took."""
    began, left = time.monotonic(), list(machines)
    while left:
        machine = wait_until(lambda: next((machine for machine in left if machine.has_stopped()), None), f"the writers to be stopped: {what}")
        left.remove(machine)
        world.say(f"{what}; {machine.disk}: stopped after {time.monotonic() - began:.1f} s, promised are {promised} s, "
                  f"broken: {machine.lease['BrokenReason']}")
        assert machine.lease["State"] == "broken"


def assert_undisturbed(machines):
    for machine in machines:
        assert not any(machine.problems().values()), f"{machine.disk}: {machine.problems()}\n{machine.process.output()[-500:]}"


def assert_sole_writers(world, machines, losers, what):
    """The losers are dead, and nothing arrives of them any more, whom the storage kept out where it can; says what had arrived before."""
    for loser in losers:
        wait_until(lambda: not loser.process.is_alive(), f"the writer to be killed: {what}; {loser.disk}")
    before = None
    while before != (before := [machine.problems() for machine in machines]):
        for machine in machines:
            machine.wait_for_round()
    for machine, loser, problems in zip(machines, losers, before):
        assert problems["torn"] == problems["overtaken"] == problems["refused"] == 0, f"{machine.disk}: {problems}"
        assert set(writer.turns(machine.disk.image)) == {int(machine.lease["Owner"].removeprefix("turn-"))}
        is_enforced = machine.disk.version == "4.2" and machine.disk.locked
        world.say(f"{what}; {machine.disk}: {problems['late']} late writes, {loser.count('refused')} refused by the storage"
                  f" ({'enforced' if is_enforced else 'cooperative'})")
        assert not (is_enforced and problems["late"]), f"{machine.disk}: {problems}"


def two_hosts(world):
    """
    By a server that gives no delegations: a client whose state is gone opens its files again, and where the other host has a
    delegation by then waits for its recall in steps of up to 15 seconds (Linux, NFS4_POLL_RETRY_MAX): longer than its lease here.
    """
    Path("/proc/sys/fs/leases-enable").write_text("0", encoding="ascii")
    return nfs.two_hosts(world)


def assert_refused(host, disks):
    for disk in disks:
        answer = ask(host, disk)
        assert isinstance(answer, BusError) and answer.name == "Busy", f"{disk}: {answer}"


def test_who_gets_a_disk_meets_no_write_of_the_one_before(world):
    a, b = two_hosts(world)
    disks = make_disks("handed-over")
    for turn, host in enumerate((a, b, a), 1):
        machines = start(host, disks, turn)
        assert_undisturbed(machines)
        assert [set(writer.turns(disk.image)) for disk in disks] == [{turn}] * len(disks)
        for machine in machines:
            machine.end()


def test_whose_locks_the_server_took_away_is_killed_and_the_other_host_writes_alone(world):
    a, b = two_hosts(world)
    disks = make_disks("taken-away")
    losers = start(a, disks, 1)
    take_locks_away(a)
    unlock_filesystem()
    winners = [Machine(b, disk, 2) for disk in disks]
    wait_until_stopped(world, losers, "taken away by the server", 1 + 2 + 4)
    assert_sole_writers(world, winners, losers, "taken away by the server")


def test_a_host_that_is_cut_off_stops_writing_before_another_begins(world):
    """A server of version 4 gives its locks away when its time is over; one of version 3 keeps them until it is back."""
    a, b = two_hosts(world)
    disks = make_disks("cut-off")
    losers = start(a, disks, 1, "blind")
    with unplugged(world, a):
        wait_until_stopped(world, losers, "cut off", 1 + 2 + 4)
        winners = start(b, [disk for disk in disks if disk.version == "4.2"], 2)
        assert_refused(b, [disk for disk in disks if disk.version == "3"])
    # What the kernel of the first had under way it sends now.
    winners += start(b, [disk for disk in disks if disk.version == "3"], 2)
    assert_sole_writers(world, winners, losers, "cut off, and back")


def test_whoever_writes_goes_on_while_a_service_is_killed_and_started_again_on_either_side(world):
    a, b = two_hosts(world)
    machines = start(a, make_disks("restarted"), 1)
    for host in (a, b):
        host.service.crash()
        if host is a:
            assert_refused(b, [machine.disk for machine in machines])
        host.service.start()
        assert_refused(b, [machine.disk for machine in machines])
        for machine in machines:
            assert machine.lease["State"] == "active", machine.lease["BrokenReason"]
            machine.wait_for_round()
    assert_undisturbed(machines)
