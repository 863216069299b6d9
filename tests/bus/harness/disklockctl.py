"""The command line client, run as people and scripts run it."""

import fcntl
import os
import pty
import shutil
import struct
import subprocess
import termios

from .process import PATIENCE, wait_until
from .service import build_dir


class Disklockctl:
    """Runs disklockctl on the bus of the test; what it started and is still there ends with the test."""

    def __init__(self, bus):
        self.bus = bus
        # A copy: the build may stand where only root can go.
        self.binary = shutil.copy(build_dir() / "client" / "disklockctl", bus.folder)
        self._started = []

    def environment(self, **more):
        environment = self.bus.environment(
            **{"LC_ALL": "C.UTF-8", "TERM": "xterm", "G_DEBUG": "fatal-criticals", **more})
        if "NO_COLOR" not in more:
            environment.pop("NO_COLOR", None)
        return environment

    def start(self, *arguments, uid=None, environment=None, **options):
        """Starts it, and returns the Popen; its output is piped unless `options` say otherwise."""
        user = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                    "cwd": self.bus.folder, "text": True, **user, **options}
        child = subprocess.Popen([self.binary, *map(os.fsencode, arguments)],
                                 env=self.environment(**(environment or {})), **settings)
        self._started.append(child)
        return child

    def __call__(self, *arguments, **how):
        """Runs it to its end; the answer has returncode, stdout and stderr."""
        child = self.start(*arguments, **how)
        stdout, stderr = child.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(child.args, child.returncode, stdout, stderr)

    def on_terminal(self, *arguments, columns=80, answer=None, **how):
        """Runs it on a terminal of its own, types `answer`, and returns the exit code and what the terminal was sent."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        child = self.start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                           preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0), **how)
        os.close(theirs)
        if answer is not None:
            os.write(ours, f"{answer}\n".encode())
        shown = read_to_end(ours)
        os.close(ours)
        return child.wait(PATIENCE), shown.decode()

    def close(self):
        for child in self._started:
            if child.poll() is None:
                child.kill()
                child.wait()
            for stream in (child.stdout, child.stderr):
                if stream:
                    stream.close()


def read_to_end(terminal):
    """What comes out of a terminal until nobody holds its other side."""
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 65536)
        except OSError:
            return shown


class Lines:
    """What a running program writes to stdout, line by line, as it comes."""

    def __init__(self, child):
        self.lines, self._rest, self._fd = [], "", child.stdout.fileno()
        os.set_blocking(self._fd, False)

    def _read(self):
        try:
            self._rest += os.read(self._fd, 65536).decode()
        except BlockingIOError:
            return
        *new, self._rest = self._rest.split("\n")
        self.lines += new

    def wait_for(self, *words):
        """The first line with all the words."""
        def found():
            self._read()
            return next((line for line in self.lines if all(word in line for word in words)), None)
        return wait_until(found, f"a line with {words}")
