"""Two backends for one disk: both lock it, or neither."""

import signal
import subprocess

import pytest

DISK = "rbd://mon/pool/web01"
POLICY = """
[Rule network]
match-kind=network
backend={backend}
lockspace={lockspace}
reach=host
unreachable-after=2
check-interval=0.2
grace=60
"""


@pytest.fixture
def start_pair(start_host, lockspace):
    def start(name, backend="fake+lockspace", **options):
        return start_host(name, POLICY.format(backend=backend, lockspace=lockspace), fake=True, **options)
    return start


@pytest.fixture
def pair(start_pair):
    """Two hosts whose fake backends know nothing of each other: it is the lockspace that keeps them apart."""
    return [start_pair("alpha"), start_pair("beta")]


def test_a_lease_names_both_and_is_refused_on_the_other_host(pair):
    alpha, beta = pair
    lease = alpha.root.acquire(DISK, owner="web01")
    assert lease["Backend"] == "fake+lockspace"
    assert "web01 on host alpha-node (alpha)" in beta.root.refused_acquire(DISK).message
    report = beta.root.inspect(DISK)
    assert report["backend"] == "fake+lockspace" and report["state"] == "held-elsewhere"
    lease.release()
    beta.root.acquire(DISK)


def test_what_one_part_refuses_the_other_gives_back(pair):
    alpha, beta = pair
    alpha.service.tell_fake("acquire", "busy", "reserved by another host")
    assert "reserved by another host" in alpha.root.refused_acquire(DISK).message
    theirs = beta.root.acquire(DISK)
    alpha.service.tell_fake("acquire")
    assert alpha.root.refused_acquire(DISK).name == "Busy"
    theirs.release()
    alpha.root.acquire(DISK)  # and not "already locked" by what was left of the call before


@pytest.mark.parametrize("part", ["fake", "lockspace"])
def test_either_part_that_loses_its_lock_breaks_the_lease(pair, lockspace, part):
    alpha, beta = pair
    signals = alpha.signals()
    lease = alpha.root.acquire(DISK)
    if part == "fake":
        alpha.service.tell_fake("check", "lost")
    else:
        next(lockspace.iterdir()).unlink()
    signals.wait_for("LeaseBroken", lambda path, *_: path == str(lease))
    beta.root.acquire(DISK)


def test_suspension_gives_both_up_and_resume_takes_both(pair):
    alpha, beta = pair
    lease = alpha.root.acquire(DISK)
    lease.call("Suspend")
    theirs = beta.root.acquire(DISK)
    assert lease.refused("Resume").name == "Busy"
    theirs.release()
    alpha.service.tell_fake("acquire", "busy", "reserved by another host")
    assert lease.refused("Resume").name == "Busy"
    alpha.service.tell_fake("acquire")
    beta.root.acquire(DISK).release()  # the lockspace's part was given back
    lease.call("Resume")
    assert beta.root.refused_acquire(DISK).name == "Busy"


def test_convert_changes_both(pair):
    alpha, beta = pair
    lease = alpha.root.acquire(DISK, "shared")
    theirs = beta.root.acquire(DISK, "shared")
    assert lease.refused("Convert", "(s)", "exclusive").name == "Busy"
    theirs.release()
    lease.call("Convert", "(s)", "exclusive")
    assert lease["Mode"] == "exclusive" and beta.root.refused_acquire(DISK, "shared").name == "Busy"


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "stopped"])
@pytest.mark.parametrize("backend", ["fake+lockspace", "lockspace+fake"])
def test_a_lease_outlives_a_restart_with_both_parts(start_pair, backend, kill):
    alpha, beta = start_pair("alpha", backend, managed={}), start_pair("beta", backend)
    lease = alpha.root.acquire(DISK, owner="web01")
    alpha.service.crash() if kill else alpha.service.stop()
    assert beta.root.refused_acquire(DISK).name == "Busy"  # the lock stands while nobody runs
    alpha.service.start()
    assert lease.call("Check") == ("active",)
    assert beta.root.refused_acquire(DISK).name == "Busy"
    lease.release()
    beta.root.acquire(DISK)


@pytest.mark.parametrize("backend", ["fake+lockspace", "lockspace+fake"])
def test_the_part_that_is_left_keeps_others_out_until_the_machine_is_stopped(start_pair, backend):
    alpha, beta = start_pair("alpha", backend, managed={}), start_pair("beta", backend)
    machine = subprocess.Popen(["sleep", "1000"], preexec_fn=lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN))
    try:
        lease = alpha.root.acquire(DISK, owner="web01", pid=machine.pid, on_break="terminate")
        alpha.service.crash()
        alpha.service.tell_fake("adopt", "lost")
        alpha.service.start()
        assert lease["State"] == "broken"
        assert beta.root.refused_acquire(DISK).name == "Busy"
    finally:
        machine.kill()
        machine.wait()
    beta.root.acquire(DISK, wait=60000)


def test_a_caller_may_not_choose_what_the_rule_does_not_name(pair):
    alpha, _ = pair
    assert alpha.root.refused_acquire(DISK, backend="lockspace").name == "PolicyDenied"
    assert alpha.root.refused_acquire(DISK, backend="lockspace+lockspace").name == "InvalidArgs"
    assert alpha.root.acquire(DISK, backend="fake+lockspace")["Backend"] == "fake+lockspace"


def test_the_host_alone_and_a_lockspace(start_pair):
    alpha, beta = start_pair("alpha", "lockspace+host"), start_pair("beta", "host+lockspace")
    alpha.root.acquire(DISK)
    assert beta.root.refused_acquire(DISK).name == "Busy"


def test_fencing_takes_both_parts(pair):
    alpha, beta = pair
    signals = alpha.signals()
    lease = alpha.root.acquire(DISK)
    assert beta.root.call("Fence", "(ssa{sv})", DISK, "alpha", {}) == (1,)
    signals.wait_for("LeaseBroken", lambda path, *_: path == str(lease))
    beta.service.tell_fake("fence", "fail", "the LUN is gone")
    beta.root.acquire(DISK).release()
    error = beta.root.refused("Fence", "(ssa{sv})", DISK, "alpha", {})
    assert error.name == "BackendFailed" and "the LUN is gone" in error.message, error
