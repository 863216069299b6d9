"""The administrator's rules, as the bus shows their effect."""

import contextlib
import re
import subprocess

import pytest

from harness import build_dir, wait_until


@pytest.fixture
def root_under(start_service, client):
    """Starts the service under a policy and returns a caller."""
    def start(policy):
        start_service(policy)
        return client()
    return start


def test_the_first_rule_that_matches_counts(root_under, image):
    root = root_under("[Rule first]\nmatch-path=*/a.img\nbackend=host\n[Rule second]\nbackend=fcntl\n")
    assert root.acquire(image("a.img"))["Backend"] == "host"
    assert root.acquire(image("b.img"))["Backend"] == "fcntl"
    assert root.inspect(image("c.img"))["rule"] == "second"


def test_a_rule_that_denies(root_under, image):
    root = root_under("[Rule secret]\nmatch-path=*/secret*\ndeny=true\n[Rule rest]\nbackend=host\n")
    error = root.refused_acquire(image("secret.img"))
    assert error.name == "PolicyDenied" and "secret" in error.message
    root.acquire(image("open.img"))


def test_a_link_to_a_denied_disk_is_denied(root_under, image):
    root = root_under("[Rule secret]\nmatch-path=*/secret*\ndeny=true\n[Rule rest]\nbackend=host\n")
    disk = image("secret.img")
    link = disk.with_name("open.img")
    link.symlink_to(disk)
    assert root.refused_acquire(link).name == "PolicyDenied"


def test_what_no_rule_matches_is_denied(root_under, disk):
    root = root_under("[Rule others]\nmatch-path=/nowhere/*\nbackend=host\n")
    assert root.refused_acquire(disk).name == "PolicyDenied"


def test_modes_that_the_rule_allows(root_under, disk):
    root = root_under("[Rule readers]\nbackend=host\nmodes=read-only;shared\n")
    error = root.refused_acquire(disk, "exclusive")
    assert error.name == "PolicyDenied" and "exclusive" in error.message
    lease = root.acquire(disk, "shared")
    assert lease.refused("Convert", "(s)", "exclusive").name == "PolicyDenied"


def test_strict_readers_tolerate_no_writer(root_under, disk):
    root = root_under("[Rule strict]\nbackend=fcntl\nreaders=strict\n")
    root.acquire(disk, "shared")
    root.acquire(disk, "shared")
    assert root.refused_acquire(disk, "read-only").name == "Busy"


def test_the_backend_may_be_chosen_where_the_rule_allows_it(root_under, image):
    root = root_under("[Rule both]\nmatch-path=*/a*\nbackend=fcntl;host\n[Rule one]\nbackend=fcntl\n")
    assert root.acquire(image("a"), backend="host")["Backend"] == "host"
    error = root.refused_acquire(image("b"), backend="host")
    assert error.name == "PolicyDenied" and "host" in error.message


@contextlib.contextmanager
def loop_device(file):
    device = subprocess.run(["losetup", "--find", "--show", file], check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


@pytest.fixture
def loop(image):
    """A block device, with nothing behind it but an image."""
    with loop_device(image("loop.img")) as device:
        yield device


def test_a_backend_that_cannot_lock_the_disk_is_refused(root_under, loop):
    root = root_under("[Rule all]\nbackend=fcntl\n")
    error = root.refused_acquire(loop)
    assert error.name == "Unsupported" and loop in error.message and "fcntl" in error.message


def test_fallback_host_takes_the_host_alone(root_under, loop):
    root = root_under("[Rule all]\nbackend=fcntl\nfallback=host\n")
    assert root.acquire(loop)["Backend"] == "host"


def test_rules_match_the_kind(root_under, loop, disk):
    root = root_under("[Rule devices]\nmatch-kind=block\nbackend=host\n[Rule files]\nmatch-kind=file\nbackend=fcntl\n")
    assert root.acquire(loop)["Backend"] == "host"
    assert root.inspect(disk)["rule"] == "files"


def test_a_loop_device_and_its_file_are_one_disk(root_under, loop, folder):
    root = root_under("[Rule all]\nbackend=host\n")
    file = folder / "disks" / "loop.img"
    error = root.refused_acquire(file)
    assert error.name == "Busy" and loop in error.message
    root.acquire(loop, owner="web01")
    assert root.inspect(loop)["related"]
    error = root.refused_acquire(file)
    assert error.name == "Busy" and "web01" in error.message


def test_a_loop_device_that_is_set_up_on_a_held_file_is_busy(root_under, disk):
    root = root_under("[Rule all]\nbackend=host\n")
    root.acquire(disk, owner="web01")
    with loop_device(disk) as loop:
        error = root.refused_acquire(loop)
    assert error.name == "Busy" and "web01" in error.message


def test_reload_takes_a_good_policy(root, service, disk):
    service.policy_file.write_text("[Rule closed]\ndeny=true\n")
    root.acquire(disk).release()
    root.call("Reload")
    assert root.refused_acquire(disk).name == "PolicyDenied"


def test_reload_refuses_a_bad_policy_whole_with_every_mistake(root, service, disk):
    service.policy_file.write_text("[Rule a]\nbackend=nonsense\ncheck-interval=soon\n[Rule b]\ndeny=true\n")
    error = root.refused("Reload")
    assert error.name == "BadPolicy"
    for word in (f"{service.policy_file}:2", "nonsense", f"{service.policy_file}:3", "soon"):
        assert word in error.message
    root.acquire(disk)


def test_a_lease_keeps_the_rule_it_was_granted_under(root, service, signals, disk):
    lease = root.acquire(disk)
    service.policy_file.write_text("[Rule closed]\ndeny=true\n")
    root.call("Reload")
    assert lease.call("Check") == ("active",)
    disk.unlink()
    signals.wait_for("LeaseBroken")


def test_the_service_does_not_start_under_a_bad_policy(start_service):
    with pytest.raises(AssertionError, match="nonsense"):
        start_service("[Rule a]\nbackend=nonsense\n")


def test_on_break_of_the_rule_is_the_default(root_under, disk):
    child = subprocess.Popen(["sleep", "1000"])
    root = root_under("[Rule all]\nbackend=host\non-break=kill\ncheck-interval=0.2\n")
    assert root.acquire(disk, pid=child.pid)["OnBreak"] == "kill"
    disk.unlink()
    assert child.wait(60) == -9


def test_on_break_that_the_rule_does_not_allow(root_under, disk):
    root = root_under("[Rule all]\nbackend=host\non-break-allowed=signal;pause\n")
    error = root.refused_acquire(disk, on_break="kill")
    assert error.name == "PolicyDenied" and "kill" in error.message
    root.acquire(disk, on_break="pause")


def test_on_break_exec_runs_the_rules_program(root_under, folder, disk):
    witness, program = folder / "witness", folder / "on-break"
    program.write_text(f'#!/bin/sh\nenv >{witness}.new\nmv {witness}.new {witness}\n')
    program.chmod(0o755)
    root = root_under(f"[Rule all]\nbackend=host\nexec={program}\non-break-allowed=signal;exec\ncheck-interval=0.2\n")
    lease = root.acquire(disk, on_break="exec", owner="web01")
    disk.unlink()
    wait_until(witness.exists, "the program to run")
    text = witness.read_text()
    assert lease["Id"] in text and "web01" in text and str(disk) in text


def test_a_terminated_process_that_does_not_go_is_killed_after_the_grace(root_under, disk):
    child = subprocess.Popen(["sh", "-c", "trap '' TERM; echo ready; while :; do :; done"],
                             stdout=subprocess.PIPE)
    child.stdout.readline()
    root = root_under("[Rule all]\nbackend=host\ngrace=0.2\ncheck-interval=0.2\n")
    root.acquire(disk, pid=child.pid, on_break="terminate")
    disk.unlink()
    assert child.wait(60) == -9


def test_a_rule_for_locks_that_reach_other_hosts_refuses_a_filesystem_of_this_host(root_under, disk):
    root = root_under("[Rule all]\nbackend=fcntl;host\nreach=hosts\n")
    for backend, because in (("fcntl", "not known to show locks to other hosts"), ("host", "the backend host is known to this host alone")):
        error = root.refused_acquire(disk, backend=backend)
        assert error.name == "Unsupported" and str(disk) in error.message, error
        assert because in error.message and "reach=host" in error.message, error
    assert root.inspect(disk)["available"] == []


def test_open_as_a_user_locks_what_he_may_open_and_nothing_else(root_under, disk):
    root = root_under("[Rule all]\nbackend=fcntl\nopen-as=nobody\n")
    disk.chmod(0o600)
    error = root.refused_acquire(disk)
    assert error.name == "BackendFailed" and "as nobody" in error.message, error
    disk.chmod(0o666)
    root.acquire(disk)


def test_open_as_a_user_whom_nobody_knows_is_refused_by_name(root_under, disk):
    error = root_under("[Rule all]\nbackend=fcntl\nopen-as=no-such-user\n").refused_acquire(disk)
    assert error.name == "Unsupported" and "no-such-user" in error.message, error


def test_the_service_checks_a_policy_without_starting(folder):
    policy = folder / "bad.conf"
    policy.write_text("[Rule a]\nbackend=nonsense\n\n[Rule b]\ncolour=red\n")
    done = subprocess.run([build_dir() / "service/disklockd", "--check-config", "--config", policy], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(rf"^.*{policy}:2: .*nonsense", done.stderr, re.M) and re.search(rf"{policy}:5: .*colour", done.stderr), done.stderr
