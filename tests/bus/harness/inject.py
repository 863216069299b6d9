"""Death at, or failure of, one system call of the service, by its number."""

import os
import subprocess

from .service import build_dir

# What changes something outside of the process is where its death makes a difference; with DISKLOCK_SWEEP=every each call counts.
EVERY = os.environ.get("DISKLOCK_SWEEP") == "every"
DEATH = "kill" if EVERY else "marks"
# A start is counted from the loader on, or else from where the service takes its runtime folder.
FROM = "" if EVERY else "/run/lock"


class Injection:
    """`what`: DEATH or "fail", see tests/tools/inject.c. It is the `number`th call that is met."""

    def __init__(self, folder, what, number):
        self._report = folder / "inject.report"
        self._report.write_text("")
        self._command = [build_dir() / "tests" / "tools" / "inject", what, str(number), self._report]
        self._child = None

    def attach(self, pid):
        """Begins to count."""
        self._child = subprocess.Popen([*self._command, str(pid)], stdout=subprocess.PIPE)
        assert self._child.stdout.readline() == b"ready\n"

    def before_command(self):
        """What to put before a command that is to be watched from its start."""
        return [*self._command, FROM]

    def met(self):
        """What happened to which call; "" if there was none of that number."""
        return self._report.read_text().strip()

    def close(self):
        if self._child:
            self._child.terminate()
            self._child.wait()
            self._child.stdout.close()
