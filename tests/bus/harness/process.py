"""Processes that end with the test, and waiting without guessing how long."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from gi.repository import GLib

PATIENCE = 120  # seconds: so long that only what never happens runs into it


def wait_until(condition, what="the condition", patience=PATIENCE):
    """Runs the main loop until condition() is true, and returns what it returned."""
    context = GLib.MainContext.default()
    end = time.monotonic() + patience
    while True:
        while context.iteration(False):
            pass
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience} s in vain for {what}")
        time.sleep(0.005)


def children_of(pid):
    """The processes that this one has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def last_of(pid):
    found = children_of(pid)
    return last_of(found[0]) if found else pid


def signal_last_of(pid, number):
    """Signals a child of ours, or the process that it started and waits for, as nsenter(1) does: that has to be killed. Its parent takes
    note and ends; nobody else might, and a namespace for processes is there until every one of them has been waited for."""
    # It may end at any moment by itself.
    with contextlib.suppress(ProcessLookupError, FileNotFoundError):
        os.kill(last_of(pid), number)


class Process:
    """A child whose output goes to a file, and that the kernel kills if the test itself is killed."""

    def __init__(self, name, command, folder, **options):
        self.name = name
        self.log = folder / f"{name}.log"
        with open(self.log, "ab") as log:
            self._child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *map(str, command)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)

    @property
    def pid(self):
        return self._child.pid

    def is_alive(self):
        return self._child.poll() is None

    def output(self):
        return self.log.read_text(errors="replace")

    def signal(self, number):
        if self.is_alive():
            self._child.send_signal(number)

    def wait(self, patience=PATIENCE):
        """Waits for the end and returns the exit status (negative: the signal)."""
        wait_until(lambda: self._child.poll() is not None, f"{self.name} to end", patience)
        return self._child.returncode

    def stop(self):
        """SIGTERM, then SIGKILL for what does not listen; returns the exit status."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.wait()
        except AssertionError:
            self.kill()
            raise

    def kill(self):
        self.signal(signal.SIGKILL)
        return self.wait()


def start_with_pid(number):
    """A process of exactly this pid: the kernel is told which one it gave last, until nobody else forks in between."""
    def start():
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(number - 1))
        child = subprocess.Popen(["sleep", "1000"])
        if child.pid == number:
            return child
        child.kill()
        child.wait()
        return None
    return wait_until(start, f"the kernel to give out pid {number} again")
