"""disklockctl run: a disk is held exactly as long as a command lives."""

import os
import signal

import pytest

from harness import Lines, wait_until

# Says its pid, and ends when its stdin does.
SAY_AND_WAIT = ["sh", "-c", "echo pid $$; exec cat >&2"]
OWN_FAILURES = 110


@pytest.fixture
def start(ctl):
    """Starts `run` with a command that says its pid and waits; returns the process, the pid, and the pipe that ends it."""
    pipes = []

    def start(disk, command=SAY_AND_WAIT, options=()):
        reading, writing = os.pipe()
        pipes.append(os.fdopen(writing, "wb"))
        child = ctl.start("run", *options, disk, "--", *command, stdin=reading)
        os.close(reading)
        pid = int(Lines(child).wait_for("pid").split()[-1])
        return child, pid, pipes[-1]
    yield start
    for pipe in pipes:
        pipe.close()


def is_free(root, disk):
    return root.inspect(disk)["state"] == "free"


@pytest.mark.parametrize("code", [0, 1, 77, 255])
def test_the_commands_exit_code_is_passed_on(ctl, service, disk, code):
    assert ctl("run", disk, "--", "sh", "-c", f"exit {code}").returncode == code


def test_the_end_by_a_signal_is_128_and_its_number(ctl, service, disk):
    assert ctl("run", disk, "--", "sh", "-c", "kill -KILL $$").returncode == 128 + signal.SIGKILL


def test_a_command_that_is_not_there_is_127(ctl, root, disk):
    done = ctl("run", disk, "--", "no-such-command")
    assert done.returncode == 127
    assert "no-such-command" in done.stderr
    wait_until(lambda: is_free(root, disk), "the disk to be free")


def test_a_command_that_cannot_be_executed_is_126(ctl, service, disk):
    assert ctl("run", disk, "--", disk).returncode == 126


def test_the_disk_is_held_while_the_command_lives_and_free_after(start, root, disk):
    child, pid, pipe = start(disk, options=["--owner=web01", "--mode=shared"])
    [lease] = root.list().values()
    assert lease["Owner"] == "web01"
    assert lease["Mode"] == "shared"
    assert lease["Lifetime"] == "fd"
    assert lease["Pid"] == pid
    pipe.close()
    assert child.wait(60) == 0
    wait_until(lambda: is_free(root, disk), "the disk to be free")


def test_the_owner_is_the_commands_name(start, root, disk):
    start(disk)
    [lease] = root.list().values()
    assert lease["Owner"] == "sh"


def test_the_command_finds_its_lease_and_token_in_the_environment(start, root, disk, folder):
    said = folder / "said"
    start(disk, command=["sh", "-c", f"echo $DISKLOCK_LEASE $DISKLOCK_TOKEN >{said}; echo pid $$; exec cat"])
    [lease] = root.list().values()
    assert said.read_text().split() == [lease["Id"], str(lease["Token"])]


def test_a_busy_disk_starts_no_command(ctl, root, disk):
    root.acquire(disk)
    done = ctl("run", disk, "--", "echo", "started")
    assert done.returncode == OWN_FAILURES + 3
    assert done.stdout == ""


def test_the_disk_stays_held_when_disklockctl_is_killed(start, root, disk):
    child, pid, pipe = start(disk)
    child.kill()
    child.wait()
    assert not is_free(root, disk)
    os.kill(pid, 0)
    pipe.close()
    wait_until(lambda: is_free(root, disk), "the disk to be free")


def test_a_command_that_closes_its_descriptors_keeps_the_disk(start, root, disk):
    closes = ["python3", "-c", "import os, sys; os.closerange(3, 4096); print('pid', os.getpid(), flush=True); sys.stdin.read()"]
    child, _, pipe = start(disk, command=closes)
    assert not is_free(root, disk)
    pipe.close()
    assert child.wait(60) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_are_passed_on(start, root, disk, number):
    child, _, _ = start(disk)
    child.send_signal(number)
    assert child.wait(60) == 128 + number
    wait_until(lambda: is_free(root, disk), "the disk to be free")


def test_a_command_that_heeds_a_signal_ends_in_its_own_way(start, service, disk):
    heeds = ["sh", "-c", "trap 'exit 9' TERM; echo pid $$; while :; do sleep 0.1; done"]
    child, _, _ = start(disk, command=heeds)
    child.terminate()
    assert child.wait(60) == 9


def test_disklockctl_that_is_ended_while_it_waits_starts_nothing(ctl, root, disk):
    lease = root.acquire(disk)
    child = ctl.start("run", "--wait=60", disk, "--", "echo", "started")
    # Its thread for the bus comes after the process that is to be the command.
    wait_until(lambda: len(os.listdir(f"/proc/{child.pid}/task")) > 1, "disklockctl to ask for the disk")
    child.terminate()
    assert child.wait(60) == -signal.SIGTERM
    lease.release()
    wait_until(lambda: is_free(root, disk), "the disk to be free")
    assert child.stdout.read() == ""


def test_on_break_meets_the_command(ctl, start, root, disk):
    child, _, _ = start(disk, options=["--on-break=kill"])
    [lease] = root.list()
    root.call("Break", "(osa{sv})", lease, "maintenance", {})
    assert child.wait(60) == 128 + signal.SIGKILL


def test_options_behind_the_command_are_the_commands(ctl, service, disk):
    assert ctl("run", disk, "--", "echo", "--mode=shared", "--", "-x").stdout == "--mode=shared -- -x\n"


@pytest.mark.parametrize("arguments", [["disk.img"], ["disk.img", "--"], ["--", "true"], ["--nonsense", "x", "--", "true"]])
def test_wrong_usage_is_told_apart_from_the_commands_codes(ctl, arguments):
    assert ctl("run", *arguments).returncode == OWN_FAILURES + 2
