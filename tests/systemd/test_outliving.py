"""What ends and begins again under a real systemd, and the leases that live on."""

import fcntl
import signal
import subprocess

import pytest
from harness import LEASE, lock_of, wait_until
from machine import UNIT

BINARY = "/usr/libexec/disklockd"
UNIT_FILE = "/usr/lib/systemd/system/disklockd.service"
DISK = "/images/persistent.img"


def refused(witness):
    """Ends the witness: it never got the lock."""
    witness.stop()
    return not witness.locked


def wait_for_name(machine):
    wait_until(lambda: machine.try_to("busctl", "status", "org.disklock.DiskLock1").returncode == 0, "the name to be on the bus")


# ---- the process ends, its descriptors stay ----

def test_leases_outlive_a_restart(service, held, witness):
    other, before = witness(DISK), service.pid
    service.systemctl("restart")
    assert service.pid not in (before, 0)
    held.assert_unchanged()
    assert refused(other)


def test_leases_outlive_a_kill(service, held, witness):
    other = witness(DISK)
    service.kill()
    held.assert_unchanged()
    assert refused(other)


def test_a_service_that_is_ended_by_hand_is_started_again(service, held):
    service.kill(signal.SIGTERM)
    held.assert_unchanged()


def test_leases_outlive_an_upgrade_to_another_build(machine, service, held, witness, replaced):
    other = witness(DISK)
    subprocess.run(["strip", "-o", machine.folder / "disklockd", machine.outside(BINARY)], check=True)
    newer = (machine.folder / "disklockd").read_bytes()
    replaced(BINARY, newer, 0o755)
    replaced(UNIT_FILE, machine.outside(UNIT_FILE).read_bytes().replace(b"Description=", b"Description=Newer "))
    machine.run("systemctl", "daemon-reload")
    held.assert_unchanged()
    service.systemctl("restart")
    assert machine.outside(f"/proc/{service.pid}/exe").read_bytes() == newer
    assert machine.show("Description").startswith("Newer ")
    held.assert_unchanged()
    assert refused(other)


def test_leases_outlive_an_upgrade_of_systemd(machine, service, held, witness):
    other = witness(DISK)
    machine.run("systemctl", "daemon-reexec")
    held.assert_unchanged()
    service.kill()
    held.assert_unchanged()
    assert refused(other)


def test_a_thousand_leases_outlive_a_kill(service, client, image):
    root = client()
    root.acquire_set([(image(f"{number}.img"), "exclusive") for number in range(1000)])
    service.kill()
    assert [lease["State"] for lease in root.list().values()] == ["active"] * 1000


def test_calls_that_arrive_while_leases_are_taken_up_wait_for_it(machine, service, client, image):
    paths, before = [image(f"{number}.img") for number in range(1000)], service.pid
    client().acquire_set([(path, "exclusive") for path in paths], owner="web01")
    machine.run("systemctl", "kill", "--signal=KILL", UNIT)
    wait_until(lambda: service.pid != before, "the service to be gone")
    done = machine.try_to("sh", "-c", f"disklockctl acquire --owner=late {paths[-1]} & disklockctl list --no-legend; wait $!")
    assert done.returncode == 3 and "web01" in done.stderr, done
    assert len(done.stdout.splitlines()) == 1000, done.stdout


def test_what_ended_meanwhile_is_not_held(service, client, image):
    root, holder = client(), client()
    holder.acquire(image(), lifetime="process")
    service.machine.run("systemctl", "kill", "--signal=STOP", "disklockd")
    holder.close()
    service.kill()
    wait_until(lambda: not root.list(), "the lease to end")
    root.acquire("/images/disk.img")


def wait_until_given_up(held):
    """systemd closes what it gives up beside its main loop (asynchronous_close() in its src/basic/async.h): later than it says so."""
    wait_until(lambda: not held.read_locks(), "the locks to be given up")


# ---- the unit is stopped: from systemd 254 on the descriptors stay ----

def test_leases_outlive_a_stop_and_a_start(machine, service, held):
    service.systemctl("stop")
    assert service.pid == 0
    if machine.keeps_descriptors:
        assert held.read_locks() == held.locks
    else:
        wait_until_given_up(held)
    service.systemctl("start")
    if not machine.keeps_descriptors:  # disklockd(8): it goes on as one of the process
        held.properties["descriptor"]["Lifetime"] = "process"
    held.assert_unchanged()


def test_who_comes_while_the_service_is_stopped(machine, service, held):
    """gets the disk if nobody keeps the lock, and that breaks the lease; else nobody gets it."""
    service.systemctl("stop")
    with open(machine.outside(DISK), "r+b") as other:
        try:
            fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
            locked = True
        except OSError:
            locked = False
        service.systemctl("start")
        assert locked != machine.keeps_descriptors
        broken = held.observer.get_all(held.leases["persistent"], LEASE)
    assert broken["State"] == ("broken" if locked else "active")
    assert broken["BrokenReason"] == ("lock taken by another holder" if locked else "")


def test_the_first_call_starts_the_service(machine, service, held):
    service.systemctl("stop")
    assert "persistent.img" in machine.run("disklockctl", "list")
    assert service.pid != 0
    assert [properties["State"] for properties in held.read().values()] == ["active"] * len(held.leases)
    held.assert_closed()


def test_the_locks_of_a_stopped_service_can_be_given_up(machine, service, held):
    service.systemctl("stop")
    if machine.keeps_descriptors:
        machine.run("systemctl", "clean", "--what=fdstore", "disklockd")
    wait_until_given_up(held)
    service.systemctl("start")
    held.properties["descriptor"]["Lifetime"] = "process"
    held.assert_unchanged()


# ---- the bus ends ----

def test_leases_outlive_a_restart_of_the_bus(machine, service, held, witness, client):
    other, before = witness(DISK), service.pid
    machine.run("systemctl", "restart", "dbus.service")
    held.observer = client()
    wait_for_name(machine)
    held.assert_unchanged()
    held.observer.call("Claim", path=str(held.leases["connection"]), interface=LEASE)
    assert service.pid == before
    assert refused(other)


@pytest.mark.parametrize("order", ["bus first", "service first", "at once"])
def test_leases_outlive_a_restart_of_the_bus_and_a_kill(machine, service, held, witness, client, order):
    other, before = witness(DISK), service.pid
    commands = ["systemctl restart dbus.service", f"systemctl kill --signal=KILL {UNIT}"]
    if order == "service first":
        commands.reverse()
    machine.run("sh", "-ec", " & ".join(commands) + "; wait" if order == "at once" else "; ".join(commands))
    service.wait_for_another(before)
    wait_for_name(machine)
    held.observer = client()
    held.assert_unchanged()
    held.observer.call("Claim", path=str(held.leases["connection"]), interface=LEASE)
    assert refused(other)


# ---- leases end all the same ----

def test_leases_end_as_ever_after_a_restart(machine, service, held):
    service.systemctl("restart")
    for lease in held.leases.values():
        lease.release()
    assert held.observer.list() == {}
    assert all(lock_of(machine.outside(path)) == fcntl.F_UNLCK for path in held.paths())
