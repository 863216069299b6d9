"""What a start of the service makes of what an earlier run left: what it tells, and what hostile or unlucky remains do to it."""

import fcntl
import signal

import pytest

from harness import LEASE, POLICY, Signals, lock_of, start_with_pid, wait_until


@pytest.fixture
def service(start_service):
    return start_service()


@pytest.fixture
def stored(start_service):
    return start_service(managed={})


# ---- what was lost is told, and acted on ----

def test_a_lease_that_the_start_breaks_is_signalled(service, signals, client, disk):
    lease = client().acquire(disk)
    service.crash()
    disk.unlink()
    service.start()
    assert signals.wait_for("LeaseBroken")[:2] == (str(lease), "deleted")
    signals.wait_for("Broken")
    assert [path for name, path, _, _ in signals.seen if name == "Broken"] == [str(lease)]


def test_what_was_signalled_once_is_not_signalled_by_the_next_start(service, signals, client, image):
    root, path = client(), image("1.img")
    first, second = root.acquire(image("0.img")), root.acquire(path)
    root.call("Break", "(osa{sv})", str(first), "test", {})
    service.crash()
    path.unlink()
    service.start()
    signals.wait_for("LeaseBroken", lambda path, *_: path == str(second))
    assert [path for path, *_ in signals.named("LeaseBroken")] == [str(first), str(second)]


def test_a_lease_that_breaks_while_there_is_no_bus_is_signalled_on_the_next(service, bus, client, disk, process):
    child = process()
    lease = client().acquire(disk, pid=child.pid, on_break="kill")
    bus.crash()
    disk.unlink()
    assert child.wait(60) == -signal.SIGKILL
    # Whoever is to hear it has to listen first.
    service.process.signal(signal.SIGSTOP)
    bus.start()
    heard = Signals(bus)
    service.process.signal(signal.SIGCONT)
    assert heard.wait_for("LeaseBroken")[0] == str(lease)


# ---- descriptors ----

def test_a_lock_that_was_taken_again_is_stored_again(stored, client, image):
    """systemd before 254 drops the store when the service is stopped."""
    paths = [image(f"{i}.img") for i in range(3)]
    leases = [client().acquire(path) for path in paths]
    stored.stop()
    stored.manager.drop()
    stored.start()
    assert len(set(stored.manager.names())) == 3
    stored.crash()
    assert [lock_of(path) for path in paths] == [fcntl.F_WRLCK] * 3
    stored.start()
    leases[0].release()
    assert len(stored.manager.names()) == 2


def test_a_manager_that_does_not_read_holds_up_nobody(stored, client, folder):
    """systemd is busy, or hangs: its socket takes some hundred messages, then whoever sends one waits."""
    root, paths = client(), [folder / f"{i}.img" for i in range(700)]
    for path in paths:
        path.touch()
    stored.manager.deafen()
    leases = root.acquire_set([(path, "exclusive") for path in paths[:350]])
    leases += [root.acquire(path) for path in paths[350:]]
    for lease in leases[::2]:
        lease.release()
    stored.manager.listen()
    wait_until(lambda: len(stored.manager.names()) == 350, "the messages")
    stored.crash()
    assert [lock_of(path) for path in paths] == [fcntl.F_UNLCK, fcntl.F_WRLCK] * 350
    stored.start()
    assert {lease["State"] for lease in root.list().values()} == {"active"} and len(root.list()) == 350


# ---- the policy is another ----

def test_readers_stay_together_with_a_writer_under_a_policy_that_would_not_allow_it(service, client, disk):
    root = client()
    leases = [root.acquire(disk, mode) for mode in ("shared", "read-only")]
    service.crash()
    service.policy_file.write_text(POLICY + "readers=strict\n")
    service.start()
    assert [lease["State"] for lease in leases] == ["active"] * 2


@pytest.mark.parametrize("readers", ["strict", "together"])
def test_strict_readers_keep_writers_out_over_a_restart(start_service, client, disk, readers):
    service = start_service(POLICY + "readers=strict\n")
    root = client()
    lease = root.acquire(disk, "read-only")
    service.crash()
    service.policy_file.write_text(POLICY + f"readers={readers}\n")
    service.start()
    assert lease.call("Check") == ("active",)
    assert (root.start_acquire(disk, "shared").error().name == "Busy") if readers == "strict" else root.acquire(disk, "shared")


def test_a_lockspace_that_the_policy_no_longer_names_puts_its_leases_at_risk(start_service, client, disk, folder, signals):
    """Nobody knows where the lock is: with the lockspace back in the policy it is found again."""
    (folder / "locks").mkdir(mode=0o700)
    policy = "[Rule all]\nbackend=lockspace\nreach=host\nrisk-timeout=600\n"
    service = start_service(policy + f"lockspace={folder}/locks\n")
    lease = client().acquire(disk)
    service.crash()
    service.policy_file.write_text(policy)
    service.start()
    assert lease["State"] == "at-risk" and signals.wait_for("LeaseAtRisk")[0] == str(lease)
    service.stop()
    service.policy_file.write_text(policy + f"lockspace={folder}/locks\n")
    service.start()
    assert lease["State"] == "active" and lease.call("Check") == ("active",)


def test_a_backend_that_this_version_does_not_have_breaks_the_lease(start_service, client, process, disk, signals):
    child = process()
    service = start_service(POLICY.replace("fcntl;host", "fake"), fake=True)
    lease = client().acquire(disk, pid=child.pid, on_break="kill")
    service.crash()
    service.policy_file.write_text(POLICY)
    service.binary = service.binary.with_name("disklockd")
    service.start()
    assert "backend" in signals.wait_for("LeaseBroken")[1]
    assert child.wait(60) == -signal.SIGKILL
    wait_until(lambda: lease["State"] == "broken", "the lease")
    client().acquire(disk, wait=30000)


# ---- processes ----

def test_an_adopted_lease_ends_after_a_restart_with_whom_it_was_adopted_for(service, client, process, disk):
    root, first, child = client(), client(0), process()
    prepared = first.acquire(disk, owner="web01")
    first.close()
    lease = root.acquire(disk, owner="web01", lifetime="process", pid=child.pid, adopt=True, why="running", on_break="pause")
    assert str(lease) == str(prepared)
    service.restart()
    assert lease["State"] == "active" and lease["Pid"] == child.pid and lease["Lifetime"] == "process"
    assert lease["Why"] == "running" and lease["OnBreak"] == "pause"
    child.kill()
    wait_until(lambda: not lease.exists(), "the lease to end")
    wait_until(lambda: lock_of(disk) == fcntl.F_UNLCK, "the lock to go")


@pytest.mark.parametrize("lifetime", ["process", "persistent"])
def test_a_process_that_got_the_number_meanwhile_is_a_stranger(service, client, process, disk, lifetime):
    root, child = client(), process()
    lease = root.acquire(disk, lifetime=lifetime, pid=child.pid, on_break="kill")
    service.crash()
    child.kill()
    child.wait()
    successor = start_with_pid(child.pid)
    if lifetime == "persistent":
        disk.unlink()
    service.start()
    wait_until(lambda: not lease.exists() or lease["State"] == "broken", "the lease to end")
    wait_until(lambda: lifetime == "process" or root.get_all(str(lease), LEASE)["BrokenReason"] == "deleted")
    assert successor.poll() is None
    successor.kill()
    successor.wait()


# ---- many ----

def test_ten_thousand_leases_come_back(stored, client, folder):
    root, paths = client(), [folder / f"{i}.img" for i in range(10_000)]
    for path in paths:
        path.touch()
    for i in range(0, len(paths), 500):
        root.acquire_set([(path, "exclusive") for path in paths[i:i + 500]])
    before = root.list()
    stored.crash()
    assert len(stored.manager.names()) == len(paths)
    stored.start()
    after = root.list()
    assert after.keys() == before.keys() and {lease["State"] for lease in after.values()} == {"active"}
    assert {lease["Path"] for lease in after.values()} == {str(path) for path in paths}
    assert len(stored.manager.names()) == len(paths)
    assert {lock_of(path) for path in paths[::100]} == {fcntl.F_WRLCK}
