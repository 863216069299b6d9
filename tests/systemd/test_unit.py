"""What the unit allows the service, and what systemd does for it."""

import fcntl
import signal
from pathlib import Path

from harness import lock_of, wait_until
from machine import UNIT

ALICE, BOB = 5, 9  # users that every Debian has
# CAP_DAC_OVERRIDE, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SYS_PTRACE: linux/capability.h
CAPABILITIES = 1 << 1 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 19
HOLD_READ_LOCK = """
import fcntl, sys, time
file = open(sys.argv[1], "rb")
fcntl.lockf(file, fcntl.LOCK_SH, 1, 100)
print("locked", flush=True)
time.sleep(1000)
"""


def test_the_service_starts_at_boot(machine):
    assert machine.state_after_boot == "active"


# ---- the sandbox ----

def test_the_sandbox_stands(machine, service):
    status = dict(line.split(":\t", 1) for line in machine.outside(f"/proc/{service.pid}/status").read_text().splitlines())
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == CAPABILITIES
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_with_the_rights_for_reservations_it_listens_to_the_kernels_events(machine, service, setting):
    """In a network namespace of its own: what listens there is its own. 15: NETLINK_KOBJECT_UEVENT, group 1: the kernel's."""
    shipped = (Path(__file__).resolve().parents[2] / "data/50-reservations.conf").read_text(encoding="utf-8")
    setting(shipped.partition("[Service]\n")[2])
    service.systemctl("restart")
    sockets = map(str.split, machine.outside(f"/proc/{service.pid}/net/netlink").read_text().splitlines()[1:])
    assert [(protocol, groups) for _, protocol, _, groups, *_ in sockets if protocol == "15" and groups != "00000000"] == [("15", "00000001")]


def test_the_service_stays_in_the_mount_namespace_of_its_callers(machine, service):
    assert machine.run("readlink", f"/proc/{service.pid}/ns/mnt") == machine.run("readlink", "/proc/1/ns/mnt")


def test_another_users_image_is_locked(machine, client, image):
    machine.run("install", "--directory", "--mode=700", f"--owner={ALICE}", "/images/alice")
    machine.run("install", "--mode=600", f"--owner={ALICE}", image(), "/images/alice/disk.img")
    lease = client().acquire("/images/alice/disk.img")
    assert (lease["State"], lease["Backend"]) == ("active", "fcntl")
    assert lock_of(machine.outside("/images/alice/disk.img")) == fcntl.F_WRLCK


def test_another_users_lock_is_seen_and_named(machine, client, image, process):
    disk = image()
    machine.outside(disk).chmod(0o644)
    holder = process(BOB, "python3", "-c", HOLD_READ_LOCK, disk)
    wait_until(lambda: "locked" in holder.output(), "the lock")
    found = client().inspect(disk)
    assert found["state"] == "in-use"
    assert [use["pid"] for use in found["foreign"]] == [holder.pid]


def test_the_machines_polkit_decides(machine, client, image):
    machine.run("systemctl", "start", "polkit.service")
    assert client(BOB).refused_acquire(image()).name == "InteractiveAuthorizationRequired"


# ---- leases that break ----

def test_a_replaced_image_kills_its_process_and_no_other(machine, client, image, process):
    victim, other = process(BOB, "sleep", "1000"), process(BOB, "sleep", "1000")
    lease = client().acquire(image(), pid=victim.pid, on_break="kill")
    machine.run("mv", image("other.img"), "/images/disk.img")
    assert victim.wait() == -signal.SIGKILL
    wait_until(lambda: lease["State"] == "broken", "the lease to break")
    assert lease["BrokenReason"] == "replaced"
    assert other.is_alive()


# ---- reload ----

def test_a_reload_takes_a_new_policy(machine, service, client, image, replaced):
    replaced("/etc/disklock/disklock.conf.d/10-test.conf", b"[Rule images]\nmatch-path=/images/*\ndeny=true\n")
    root = client()
    lease = root.acquire(image("before.img"))
    service.systemctl("reload")
    assert root.refused_acquire(image()).name == "PolicyDenied"
    assert lease["State"] == "active"


def test_a_reload_of_a_policy_with_mistakes_fails_and_changes_nothing(machine, service, client, image, replaced):
    replaced("/etc/disklock/disklock.conf.d/10-test.conf", b"[Rule images]\nbackend=nonsense\n")
    before = service.pid
    assert machine.try_to("systemctl", "reload", UNIT).returncode != 0
    assert "10-test.conf:2" in service.said()
    assert service.pid == before
    client().acquire(image())


# ---- the journal ----

def test_the_journal_explains_its_entries(machine, client, image):
    root = client()
    lease = root.acquire(image(), owner="web01")

    def explained():
        """journald writes down what it is told when it gets to it."""
        said = machine.journal("--catalog", f"--unit={UNIT}", f"DISKLOCK_LEASE={str(lease)[-32:]}")
        return "Subject: A disk was locked" in said and said
    said = wait_until(explained, "the entry of the lease")
    assert f"web01 (process {root.pid}, uid 0) holds the disk" in said


# ---- the watchdog ----

def test_the_service_answers_the_watchdog(machine, service, setting):
    setting("WatchdogSec=4")
    service.systemctl("restart")
    before, heard = service.pid, machine.show("WatchdogTimestampMonotonic")
    wait_until(lambda: machine.show("WatchdogTimestampMonotonic") != heard, "an answer")
    assert service.pid == before


def test_a_service_that_stands_still_is_started_again_with_its_leases(machine, service, held, setting):
    setting("WatchdogSec=4")
    service.systemctl("restart")
    before = service.pid
    machine.run("systemctl", "kill", "--signal=STOP", UNIT)
    service.wait_for_another(before)
    assert "Watchdog timeout" in service.said()
    held.assert_unchanged()
