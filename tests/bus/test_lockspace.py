"""Two hosts that share a lockspace."""

import hashlib

import harness

DISK = "rbd://mon/pool/web01"


def test_an_exclusive_lease_refuses_every_mode_on_the_other_host(hosts):
    alpha, beta = hosts
    lease = alpha.root.acquire(DISK)
    assert lease["Backend"] == "lockspace"
    for mode in ("exclusive", "shared", "read-only"):
        error = beta.root.refused_acquire(DISK, mode)
        assert error.name == "Busy" and DISK in error.message, error


def test_the_lock_file_is_called_by_a_hash_of_the_disks_identity(hosts, lockspace):
    alpha, _ = hosts
    alpha.root.acquire(DISK)
    identity = alpha.root.inspect(DISK)["disk"]
    assert lockspace / f"{hashlib.sha256(identity.encode()).hexdigest()}.lock" in lockspace.iterdir()


def test_shared_and_read_only_leases_stand_together_on_both_hosts(hosts):
    alpha, beta = hosts
    for number, (mine, theirs) in enumerate((("shared", "shared"), ("read-only", "read-only"), ("shared", "read-only"))):
        disk = f"{DISK}-{number}"
        alpha.root.acquire(disk, mine)
        beta.root.acquire(disk, theirs)
        assert alpha.root.refused_acquire(disk).name == "Busy" and beta.root.refused_acquire(disk).name == "Busy"


def test_what_one_host_releases_the_other_gets(hosts):
    alpha, beta = hosts
    alpha.root.acquire(DISK).release()
    lease = beta.root.acquire(DISK)
    assert alpha.root.refused_acquire(DISK).name == "Busy"
    lease.release()
    alpha.root.acquire(DISK)


def test_who_waits_gets_the_disk_when_the_other_host_releases_it(hosts):
    alpha, beta = hosts
    lease = alpha.root.acquire(DISK)
    waiting = beta.root.start_acquire(DISK, wait=60000)
    beta.root.call("CanAcquire", "(ss)", DISK, "exclusive")  # answered after the other call has begun
    assert not waiting.done
    lease.release()
    waiting.result()
    assert alpha.root.refused_acquire(DISK).name == "Busy"


def test_what_a_host_suspends_the_other_gets_and_it_takes_again(hosts):
    alpha, beta = hosts
    mine = alpha.root.acquire(DISK)
    mine.call("Suspend")
    theirs = beta.root.acquire(DISK)
    assert mine.refused("Resume").name == "Busy"
    theirs.release()
    mine.call("Resume")
    assert beta.root.refused_acquire(DISK).name == "Busy"


def test_a_lease_whose_lock_file_is_deleted_is_broken(hosts, lockspace):
    alpha, _ = hosts
    signals = harness.Signals(alpha.bus)
    lease = alpha.root.acquire(DISK)
    next(lockspace.iterdir()).unlink()
    _, reason, _ = signals.wait_for("LeaseBroken", lambda path, *_: path == str(lease))
    assert reason == "lock file deleted or replaced"


def test_a_folder_that_others_may_write_is_refused(hosts, lockspace):
    alpha, _ = hosts
    lockspace.chmod(0o777)
    error = alpha.root.refused_acquire(DISK)
    assert error.name == "BackendFailed" and "may be written by others than root" in error.message, error
