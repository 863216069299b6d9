"""Who has a disk on another host: what Inspect says of it, and what the refused are told."""

import os

import pytest

import harness
from conftest import ALICE

DISK = "rbd://mon/pool/web01"
HEADER = 1024  # bytes before the first record


def only_holder(report):
    assert len(report["holders"]) == 1, report
    return report["holders"][0]


def lock_file(lockspace):
    """That of the only disk."""
    return next(lockspace.iterdir())


def test_inspect_names_host_machine_and_time_on_the_other_host(hosts):
    alpha, beta = hosts
    lease = alpha.root.acquire(DISK, owner="web01", owner_uuid="5d1f0a6e-0000-4000-8000-000000000001")
    report = beta.root.inspect(DISK)
    holder = only_holder(report)
    assert report["state"] == "held-elsewhere" and report["available"] == []
    assert holder["host"] == "alpha" and holder["host-name"] == "alpha-node"
    assert holder["owner"] == "web01" and holder["owner-uuid"] == "5d1f0a6e-0000-4000-8000-000000000001"
    assert holder["mode"] == "exclusive" and holder["lease"] == str(lease).rpartition("/")[2]
    assert abs(holder["since"] - lease["AcquiredAt"]) < 5_000_000
    assert holder["this-host"] is False and holder["unconfirmed"] is False


def test_each_host_sees_its_own_lease_once_and_the_others_beside_it(hosts):
    alpha, beta = hosts
    alpha.root.acquire(DISK, "shared", owner="web01")
    beta.root.acquire(DISK, "read-only", owner="web02")
    for host, mine, theirs in ((alpha, "web01", "web02"), (beta, "web02", "web01")):
        report = host.root.inspect(DISK)
        assert report["state"] == "held" and report["available"] == ["shared", "read-only"]
        assert {holder["owner"]: holder["this-host"] for holder in report["holders"]} == {mine: True, theirs: False}


def test_what_is_released_is_free_on_the_other_host(hosts):
    alpha, beta = hosts
    alpha.root.acquire(DISK).release()
    report = beta.root.inspect(DISK)
    assert report["state"] == "free" and report["holders"] == []


def test_the_refused_are_told_host_and_machine(hosts):
    alpha, beta = hosts
    alpha.root.acquire(DISK, owner="web01")
    error = beta.root.refused_acquire(DISK, "read-only")
    assert error.name == "Busy"
    assert f"{DISK} is held exclusively by web01 on host alpha-node (alpha) since " in error.message, error
    error = beta.root.refused_acquire(DISK, wait=50)
    assert error.name == "TimedOut" and "web01 on host alpha-node (alpha)" in error.message, error


def test_who_cannot_resume_is_told_host_and_machine(hosts):
    alpha, beta = hosts
    lease = beta.root.acquire(DISK, owner="db01")
    lease.call("Suspend")
    alpha.root.acquire(DISK, owner="web01")
    error = lease.refused("Resume")
    assert error.name == "Busy", error
    assert f"{DISK} is held exclusively by web01 on host alpha-node (alpha) since " in error.message, error
    assert lease["State"] == "suspended"


def test_who_cannot_convert_is_told_of_the_other_host_and_not_of_itself(hosts):
    alpha, beta = hosts
    lease = beta.root.acquire(DISK, "shared", owner="db01")
    alpha.root.acquire(DISK, "read-only", owner="web01")
    error = lease.refused("Convert", "(s)", "exclusive")
    assert error.name == "Busy" and "web01 on host alpha-node (alpha)" in error.message, error
    assert "db01" not in error.message and "more in the way" not in error.message, error
    assert lease["Mode"] == "shared" and lease.call("Check") == ("active",)


def test_the_record_of_a_killed_host_is_unconfirmed_and_refuses_nobody(hosts):
    alpha, beta = hosts
    alpha.root.acquire(DISK, owner="web01")
    alpha.service.crash()
    report = beta.root.inspect(DISK)
    assert report["state"] == "free" and "exclusive" in report["available"]
    assert only_holder(report)["unconfirmed"] is True and only_holder(report)["owner"] == "web01"
    beta.root.acquire(DISK, owner="web02")
    assert only_holder(beta.root.inspect(DISK))["owner"] == "web02"


@pytest.mark.parametrize("content", [b"disklock-holder 1 host=gamma mode=excl", b"\xff" * 4096, b"\0" * 1024, b""],
                         ids=["torn", "garbage", "empty", "untouched"])
def test_what_stands_in_the_file_grants_nothing(hosts, lockspace, content):
    alpha, beta = hosts
    lease = alpha.root.acquire(DISK, owner="web01")
    with open(lock_file(lockspace), "r+b") as file:
        os.pwrite(file.fileno(), content, HEADER)
    assert beta.root.refused_acquire(DISK).name == "Busy"
    report = beta.root.inspect(DISK)
    assert report["state"] == "held-elsewhere" and report["available"] == [], report
    assert lease.call("Check") == ("active",)


def test_who_may_not_inspect_is_not_told_whose_the_disk_is(hosts):
    alpha, beta = hosts
    polkit = harness.Polkit(beta.bus, harness.policy_files())
    try:
        polkit.allow(ALICE, "acquire")
        alpha.root.acquire(DISK, owner="web01")
        alice = harness.Client(beta.bus, ALICE)
        error = alice.refused_acquire(DISK)
        assert error.name == "Busy" and "alpha" not in error.message and "held" not in error.message, error
        polkit.allow(ALICE, "acquire", "inspect")
        assert "web01 on host alpha-node (alpha)" in alice.refused_acquire(DISK).message
        alice.close()
    finally:
        polkit.close()


def test_nobody_is_told_whose_the_disk_is_for_what_he_calls_himself(hosts):
    alpha, beta = hosts
    polkit = harness.Polkit(beta.bus, harness.policy_files())
    try:
        polkit.allow(ALICE, "acquire")
        polkit.add_rule("""polkit.addRule(function(action, subject) {
            if (action.id == "org.disklock.disklock1.inspect" && (action.lookup("owner") == "web01" || action.lookup("mode")))
                return polkit.Result.YES;
        });""")
        alpha.root.acquire(DISK, owner="secret01")
        alice = harness.Client(beta.bus, ALICE)
        error = alice.refused_acquire(DISK, owner="web01")
        assert error.name == "Busy" and "secret01" not in error.message and "alpha" not in error.message, error
        polkit.add_rule(f"""polkit.addRule(function(action, subject) {{
            if (action.id == "org.disklock.disklock1.inspect" && action.lookup("path") == "{DISK}" && action.lookup("disk"))
                return polkit.Result.YES;
        }});""")
        assert "secret01 on host alpha-node (alpha)" in alice.refused_acquire(DISK, owner="web01").message
        alice.close()
    finally:
        polkit.close()


def test_a_lockspace_that_is_gone_is_a_problem_and_no_freedom(hosts, lockspace):
    _, beta = hosts
    lockspace.rmdir()
    report = beta.root.inspect(DISK)
    assert report["state"] == "unknown" and report["available"] == [] and "does not exist" in report["problem"], report
