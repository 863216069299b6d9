"""A real QEMU loses its storage: it is paused or dead in time, and nobody else is touched."""

import contextlib
import os
from pathlib import Path

import pytest

from harness import start_qemu, still_obeys, wait_until

POLICY = """
[Rule remote]
match-filesystem=fuse*
backend=fcntl
check-interval=0.2
unreachable-after=1
risk-timeout=2
grace=1

[Rule everything]
backend=fcntl
check-interval=0.2
grace=1
"""
PATIENT = POLICY.replace("risk-timeout=2", "risk-timeout=600")


class VirtualMachine:
    """A QEMU and the lease on its disk, for whose end root asked."""

    def __init__(self, folder, root, name, disk, on_break):
        self.folder, self.name, self.disk = folder, name, disk
        self.qemu = start_qemu(folder, name, f"file={disk},format=raw")
        self.lease = root.acquire(disk, owner="customer", pid=self.qemu.pid, on_break=on_break)

    def state(self):
        """The letter of /proc/PID/stat: S sleeps, T is stopped; Z where it is dead."""
        if not self.qemu.is_alive():
            return "Z"
        return Path(f"/proc/{self.qemu.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    def runs(self):
        return self.state() in "RSD" and still_obeys(self.folder, self.name)


@pytest.fixture
def machine(folder, service, root):
    """Starts virtual machines. They end before the service does."""
    machines = []

    def start(name, disk, on_break="pause"):
        machines.append(VirtualMachine(folder, root, name, disk, on_break))
        return machines[-1]
    yield start
    for machine in machines:
        machine.qemu.kill()


@pytest.fixture
def service(remote, start_service):
    yield start_service(POLICY)
    remote.answer()


@pytest.fixture
def bystanders(machine, image, root):
    """Others of the same owner: a VM on another disk, and a lease of no VM."""
    return machine("bystander", image("bystander.img"), "kill"), root.acquire(image("other.img"), owner="customer")


def assert_unharmed(bystanders):
    other_machine, other_lease = bystanders
    assert other_machine.runs() and other_machine.lease["State"] == "active"
    assert other_lease["State"] == "active"


def ends(how, machine):
    wait_until(lambda: machine.state() == how, f"{machine.name} to be {how}")
    wait_until(lambda: machine.lease["State"] == "broken", "the lease to be broken")


@pytest.mark.parametrize("on_break, end", [("pause", "T"), ("terminate", "Z"), ("kill", "Z")])
def test_a_file_that_is_deleted(machine, bystanders, image, on_break, end):
    disk = image("victim.img")
    victim = machine("victim", disk, on_break)
    disk.unlink()
    ends(end, victim)
    assert victim.lease["BrokenReason"] == "deleted"
    assert_unharmed(bystanders)


def test_a_file_that_is_replaced(machine, bystanders, image):
    disk = image("victim.img")
    victim = machine("victim", disk)
    os.rename(image("new.img"), disk)
    ends("T", victim)
    assert victim.lease["BrokenReason"] == "replaced"
    assert_unharmed(bystanders)


@contextlib.contextmanager
def trouble(remote, kind):
    remote.hang() if kind == "hang" else remote.fail(kind)
    try:
        yield
    finally:
        remote.answer()


@pytest.mark.parametrize("kind, on_break, end", [("hang", "pause", "T"), ("hang", "kill", "Z"), ("EIO", "pause", "T"),
                                                 ("EIO", "terminate", "Z"), ("ESTALE", "pause", "T")])
def test_storage_that_does_not_come_back_within_the_risk_timeout(machine, bystanders, remote, signals, kind, on_break, end):
    victim = machine("victim", remote.disks[0], on_break)
    with trouble(remote, kind):
        assert signals.wait_for("LeaseAtRisk")[0] == victim.lease.path
        assert victim.state() in "RSD"  # until the timeout nothing is done to it
        ends(end, victim)
        assert "risk-timeout" in victim.lease["BrokenReason"]
        assert_unharmed(bystanders)


@pytest.mark.parametrize("kind", ["hang", "EIO", "ESTALE"])
def test_storage_that_comes_back_in_time(machine, bystanders, remote, service, root, signals, kind):
    service.policy_file.write_text(PATIENT)
    root.call("Reload")
    victim = machine("victim", remote.disks[0], "kill")
    with trouble(remote, kind):
        path, reason = signals.wait_for("LeaseAtRisk")
        assert path == victim.lease.path and reason
        at_risk_since = victim.lease["CheckedAt"]
    assert signals.wait_for("LeaseRestored") == (victim.lease.path,)
    assert victim.lease["State"] == "active" and victim.runs()
    wait_until(lambda: victim.lease["CheckedAt"] > at_risk_since, "the next check")
    assert signals.named("LeaseBroken") == []
    assert_unharmed(bystanders)


def test_a_paused_machine_keeps_nobody_out_and_its_lease_says_why(machine, image, root):
    disk = image("victim.img")
    victim = machine("victim", disk)
    disk.unlink()
    ends("T", victim)
    root.acquire(image("victim.img"), owner="successor")
    root.release(victim.lease)
    assert victim.state() == "T"  # who releases the lease does not wake it
