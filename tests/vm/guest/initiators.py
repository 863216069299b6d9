"""Hosts that share a disk of SCSI: each has a service, a HostId and a nexus of its own."""

import contextlib
import mmap
import os
import re
import signal
from functools import cache
from pathlib import Path as FilePath

from harness import LEASE, PROPERTIES, Client, Signals
from target import make_shared_disk

POLICY = """
[Rule luns]
match-kind=block
backend=scsi
fallback=refuse
check-interval={check_interval}
risk-timeout={risk_timeout}
unreachable-after=60
readers={readers}
"""
USUAL = {"readers": "together", "risk_timeout": 60, "check_interval": 0.3}


class Initiator:
    """One of them, and the node by which it reaches the disk."""

    def __init__(self, world, name, node):
        self.name, self.node = name, node
        self._host = world.add_host(name, POLICY.format(**USUAL))
        self.service = self._host.service
        self.signals = Signals(self._host.bus)

    def see_no_other_disk(self):
        """Its own node alone, as on a computer of its own; else it would know the paths of the other hosts by their WWID."""
        self._host.run("sh", "-c", 'link=$(readlink "/sys/block/$0") && mount -t tmpfs tmpfs /sys/block && ln -s "$link" "/sys/block/$0"',
                       self.node.rpartition("/")[2])

    @property
    def root(self):
        return self._host.root

    def set_policy(self, name=None, **changes):
        """Until the test is over; `name`: another HostId."""
        text = f"[Host]\nid={name or self.name}\n{POLICY.format(**{**USUAL, **changes})}"
        self.service.policy_file.write_text(text, encoding="utf-8")
        self.root.call("Reload")

    def acquire(self, mode="exclusive", **values):
        return self.root.acquire(self.node, mode, **values)

    def refused(self, mode="exclusive", **values):
        return self.root.refused_acquire(self.node, mode, **values)

    def key(self, world):
        """That it is registered with now: what it can be changed to itself from."""
        for key in registered_keys(world, self.node):
            try:
                ask(world, self.node, "--out", "--register", f"--param-rk={key}", f"--param-sark={key}")
                return key
            except AssertionError:
                continue
        raise AssertionError(f"{self.name} is not registered")

    def fence(self, host):
        """Another host, by its id; returns how many registrations went."""
        return self.root.call("Fence", "(ssa{sv})", self.node, host, {})[0]

    def write(self):
        """None where a write past the cache gets through to the disk, else the number of the error."""
        return write_through(self.node)

    @contextlib.contextmanager
    def between_two_checks(self):
        """The service stands still meanwhile: what is done to the disk in several steps it sees done."""
        self.service.process.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.service.process.signal(signal.SIGCONT)

    @contextlib.contextmanager
    def offline(self):
        """Its node does not answer meanwhile."""
        state = FilePath(f"/sys/block/{self.node.rpartition('/')[2]}/device/state")
        state.write_text("offline\n", encoding="ascii")
        try:
            yield
        finally:
            state.write_text("running\n", encoding="ascii")

    def wait_for_loss(self, lease):
        """Until the lease is broken; returns why."""
        return self.signals.wait_for("LeaseBroken", lambda path, *_: path == str(lease))[1]

    # By path, since the connection that a lease was taken by is gone after a restart.

    def check(self, lease):
        return self.root.call("Check", path=str(lease), interface=LEASE)[0]

    def release(self, lease):
        self.root.call("Release", "(o)", str(lease))

    def state(self, lease):
        """And why, where it is broken."""
        properties = self.root.call("GetAll", "(s)", LEASE, path=str(lease), interface=PROPERTIES)[0]
        return properties["State"], properties["BrokenReason"]

    def kill(self):
        """The service, by SIGKILL; the disk keeps what it knows."""
        self.service.crash()

    def kill_before_it_is_written_down(self, take):
        """What take() registers, the service does not live to write down as a lease; nor did it live to strike out what it gives back."""
        leases = self.service.runtime / "leases"
        before = leases.read_bytes()
        take()
        self.kill()
        leases.write_bytes(before)

    def start(self):
        self.service.start()
        self.root.close()
        self._host.root = Client(self._host.bus)

    @property
    def _generation(self):
        return self.service.runtime / "state/reservation-generation"

    def reboot(self):
        """Killed and started, and told that the boot is another one; what is under /run goes with a boot."""
        self.kill()
        number, _ = self._generation.read_text(encoding="ascii").split()
        self._generation.write_text(f"{number} 00000000-0000-0000-0000-000000000000\n", encoding="ascii")
        (self.service.runtime / "leases").unlink()
        self.start()

    def be_clone_of(self, other):
        """With its keys too, as a copy of its disk has."""
        self.kill()
        self._generation.write_bytes(other._generation.read_bytes())
        self.start()

    def clean(self):
        if not self.service.process.is_alive():
            self.start()
        self.set_policy()
        self._host.release_all()


def past_the_cache(node, flags, access):
    """None where access(fd, page, offset) gets through to the disk, else the number of the error."""
    fd = os.open(node, flags | os.O_DIRECT)
    try:
        access(fd, mmap.mmap(-1, 4096), 1 << 20)
        return None
    except OSError as problem:
        return problem.errno
    finally:
        os.close(fd)


def write_through(node):
    return past_the_cache(node, os.O_WRONLY, os.pwrite)


def read_through(node):
    return past_the_cache(node, os.O_RDONLY, lambda fd, page, offset: os.preadv(fd, [page], offset))


def ask(world, node, *question):
    """sg_persist, which is not ours; a unit attention that is pending is eaten by the first command."""
    for _ in range(5):
        try:
            return world.run("sg_persist", "--no-inquiry", *question, node)
        except AssertionError as problem:
            if "nit attention" not in str(problem):
                raise
            last = problem
    raise last


def register(world, node, key):
    """As who is no disklock does."""
    ask(world, node, "--out", "--register-ignore", f"--param-sark={key:#x}")


def unregister(world, node, key):
    ask(world, node, "--out", "--register", f"--param-rk={key:#x}", "--param-sark=0")


def preempt(world, node, key, victim, kind=5):
    """By the nexus of `node`, which is registered with `key`; `kind`: the reservation's, by SCSI's number."""
    key = key if isinstance(key, str) else f"{key:#x}"
    ask(world, node, "--out", "--preempt", f"--param-rk={key}", f"--param-sark={victim}", f"--prout-type={kind}")


def registered_keys(world, node):
    return sorted(re.findall(r"^\s+(0x[0-9a-f]+)$", ask(world, node, "--read-keys"), re.M))


def reservation(world, node):
    """(type, holder's key) as sg_persist says it, or None."""
    answer = ask(world, node, "--read-reservation")
    if "NO reservation" in answer:
        return None
    return re.search(r"type: (.*)", answer)[1].strip(), re.search(r"Key=(0x[0-9a-f]+)", answer)[1]


@cache
def _initiators(world):
    nodes = make_shared_disk(world, 3)
    return Initiator(world, "a", nodes[0]), Initiator(world, "b", nodes[1]), nodes[2]


def fresh_initiators(world):
    """Two hosts, nobody registered; and a node of the disk by a nexus that neither has: a stranger's."""
    return _fresh(world, *_initiators(world))


class Path:
    """One of several by which a host reaches the disk."""

    def __init__(self, world, multipath, node):
        self.node, self._world, self._map = node, world, multipath
        self._state = FilePath(f"/sys/block/{node.rpartition('/')[2]}/device/state")

    def fail(self):
        self._state.write_text("offline\n", encoding="ascii")

    def bring_back(self):
        """As multipathd does when a path answers again."""
        if self._state.read_text(encoding="ascii").strip() != "running":
            self._state.write_text("running\n", encoding="ascii")
        self._world.run("dmsetup", "message", self._map, "0", "reinstate_path", self.node)


@cache
def _multipath_initiators(world):
    *nodes, other, stranger = make_shared_disk(world, 4)
    world.run("modprobe", "--all", "dm_multipath", "dm_service_time")
    wwid = world.run("/lib/udev/scsi_id", "--whitelisted", f"--device={other}").strip()
    sectors = world.run("blockdev", "--getsz", other).strip()
    table = f"0 {sectors} multipath 1 queue_if_no_path 0 1 1 service-time 0 2 1 {nodes[0]} 1 {nodes[1]} 1"
    world.change("dmsetup", "create", "shared", f"--uuid=mpath-{wwid}", "--table", table)
    paths = [Path(world, "shared", node) for node in nodes]
    b = Initiator(world, "b", other)
    b.see_no_other_disk()
    return Initiator(world, "a", "/dev/mapper/shared"), paths, b, stranger


def fresh_multipath(world):
    """The same where the first host has two paths: (its map, its paths, the other host, the stranger's node)."""
    a, paths, b, stranger = _multipath_initiators(world)
    for path in paths:
        path.bring_back()
    _fresh(world, a, b, stranger)
    return a, paths, b, stranger


def _fresh(world, a, b, stranger):
    for initiator in (a, b):
        initiator.clean()
    if registered_keys(world, stranger):
        register(world, stranger, 0x5)
        ask(world, stranger, "--out", "--clear", "--param-rk=0x5")
    return a, b, stranger
