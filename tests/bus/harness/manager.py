"""A stand-in for systemd as the service sees it: sd_notify(3), the descriptor store, and the start with what is stored.

It keeps what systemd keeps, in the order in which systemd hands it over (newest first), and reads every message that was sent
before a death before it starts the service again, as PID 1 does.
"""

import array
import contextlib
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from gi.repository import GLib

from .process import Process, wait_until

LARGEST = 1 << 16
LAUNCHER = Path(__file__).resolve().parent / "launch.py"


class Manager:
    """One unit. `command`: what it starts; `store`: FileDescriptorStoreMax=, 0 for none; `tracer`: a command before it that
    keeps its pid (`strace -D`, say)."""

    def __init__(self, folder, command, environment, store=40000, watchdog=None, tracer=()):
        self.folder, self.command, self.environment = folder, list(map(str, command)), environment
        self.max, self.watchdog, self.tracer = store, watchdog, list(map(str, tracer))
        self.stored = []  # of (name, descriptor), newest first
        self.messages = []  # each a dictionary, of the run that goes on
        self.process = None
        self._path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._socket.bind(str(self._path))
        self._path.chmod(0o777)
        # The kernel lets few messages wait: who sends one more waits until they are read.
        self.listen()
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    # ---- the unit ----

    def start(self):
        """Starts the unit with what is stored; see wait_for()."""
        assert self.process is None or not self.process.is_alive()
        self.read()
        self.messages = []
        names, fds = [name for name, _ in self.stored], [fd for _, fd in self.stored]
        environment = {**self.environment, "NOTIFY_SOCKET": str(self._path)}
        if self.max:
            environment["FDSTORE"] = str(self.max)
        if self.watchdog:
            environment |= {"WATCHDOG_USEC": str(int(self.watchdog * 1000000))}
        # The launcher puts the descriptors where they belong, says whose pid they are for, and becomes the unit.
        (self.folder / "store.json").write_text(json.dumps([names, fds]))
        launch = [sys.executable, LAUNCHER, self.folder / "store.json", *self.tracer, *self.command]
        self.process = Process(Path(self.command[0]).name, launch, self.folder, env=environment, pass_fds=fds)
        return self.process

    def wait_for(self, field, value="1"):
        """Until the unit has said FIELD=VALUE."""
        def said():
            if self.has_said(field, value):
                return True
            assert self.process.is_alive(), (f"{self.process.name} ended with {self.process.wait()} before {field}={value}:\n"
                                             f"{self.process.output()}")
            return False
        wait_until(said, f"{field}={value}")

    def has_said(self, field, value="1"):
        self.read()
        return any(message.get(field) == value for message in self.messages)

    def kill(self):
        """SIGKILL; then what it had sent is read."""
        self.process.signal(signal.SIGKILL)
        status = self.process.wait()
        self.read()
        return status

    def stop(self):
        """SIGTERM, and what `systemctl restart` does between the two halves: the store stays."""
        status = self.process.stop() if self.process.is_alive() else self.process.wait()
        self.read()
        return status

    # ---- the store ----

    def _on_input(self, *_):
        self.read()
        return GLib.SOURCE_CONTINUE

    def deafen(self):
        """Reads nothing until listen()."""
        GLib.source_remove(self._watch)
        self._watch = None

    def listen(self):
        self._watch = GLib.io_add_watch(self._socket.fileno(), GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN, self._on_input)

    def read(self):
        """Takes in every message that has arrived."""
        while self._watch is not None:
            try:
                text, ancillary, _, _ = self._socket.recvmsg(LARGEST, socket.CMSG_SPACE(1024 * 4), socket.MSG_CMSG_CLOEXEC)
            except BlockingIOError:
                return
            self._take(text.decode(errors="replace"), _descriptors(ancillary))

    def _take(self, text, fds):
        message = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        self.messages.append(message)
        name = message.get("FDNAME", "stored")
        if message.get("FDSTOREREMOVE") == "1":
            self.drop(name)
        if message.get("FDSTORE") == "1":
            for fd in fds:
                self._store(name, fd)
            return
        for fd in fds:
            os.close(fd)

    def _store(self, name, fd):
        if len(self.stored) >= self.max:
            os.close(fd)
        else:
            self.stored.insert(0, (name, fd))

    def drop(self, name=None):
        """Closes what is stored under `name`, or everything: what `systemctl stop` does unless the store is preserved."""
        for stored, fd in self.stored:
            if name in (None, stored):
                with contextlib.suppress(OSError):  # its filesystem's server may have ended: it is closed all the same
                    os.close(fd)
        self.stored = [(stored, fd) for stored, fd in self.stored if name not in (None, stored)]

    def names(self):
        self.read()
        return [name for name, _ in self.stored]

    def close(self):
        if self.process and self.process.is_alive():
            self.process.kill()
        self.drop()
        if self._watch is not None:
            GLib.source_remove(self._watch)
        self._socket.close()
        self._path.unlink(missing_ok=True)


def _descriptors(ancillary):
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[:len(data) - len(data) % fds.itemsize])
    return fds.tolist()
