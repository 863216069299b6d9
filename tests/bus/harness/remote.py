"""A caller that is a process of its own under another uid, and the test's end of the line to it.

One JSON object a line in both directions over a socket; descriptors travel beside it. Bodies of messages are the GVariant's
own bytes, so that what arrives is exactly what was sent.
"""

import base64
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import gi
gi.require_version("Gio", "2.0")
from gi.repository import Gio, GLib  # noqa: E402

PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4
LARGEST = 1 << 20


def pack(variant):
    return [variant.get_type_string(), base64.b64encode(variant.get_data_as_bytes().get_data() or b"").decode()]


def unpack(packed):
    # From a variant that is untrusted the type's own checks make a valid one.
    data = GLib.Bytes.new(base64.b64decode(packed[1]))
    return GLib.Variant.new_from_bytes(GLib.VariantType(packed[0]), data, False)


class Line:
    """One end of the line: sends objects, calls back with those that come."""

    def __init__(self, end, on_object, on_end):
        self._end, self._on_object, self._on_end = end, on_object, on_end
        self._text, self._fds = b"", []
        self._watch = GLib.io_add_watch(end.fileno(), GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP,
                                        self._on_input)

    def send(self, thing, fds=()):
        text = json.dumps({**thing, "fds": len(fds)}).encode() + b"\n"
        sent = socket.send_fds(self._end, [text], list(fds))
        self._end.sendall(text[sent:])

    def _on_input(self, *_):
        text, fds, _, _ = socket.recv_fds(self._end, LARGEST, 16)
        if not text:
            self._watch = 0
            self._on_end()
            return GLib.SOURCE_REMOVE
        self._text += text
        self._fds += fds
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            thing = json.loads(line)
            count = thing.pop("fds")
            mine, self._fds = self._fds[:count], self._fds[count:]
            self._on_object(thing, mine)
        return GLib.SOURCE_CONTINUE

    def close(self):
        if self._watch:
            GLib.source_remove(self._watch)
        self._watch = 0
        self._end.close()


class RemoteProcess:
    """The test's end: a transport for Client. `pid` is its number where it runs, which may be a container."""

    def __init__(self, bus, uid, gids, pending_class, error_class, wait_until, signal_last_of):
        self._pending_class, self._error_class, self._signal = pending_class, error_class, signal_last_of
        self._calls, self._next = {}, 0
        ours, theirs = socket.socketpair()
        self._child = subprocess.Popen(
            [*bus.enter, "/usr/bin/python3", Path(__file__), str(uid), bus.address, str(theirs.fileno()), *map(str, gids)],
            pass_fds=[theirs.fileno()])
        theirs.close()
        self._line = Line(ours, self._on_reply, self._on_end)
        self.name = self.pid = None
        wait_until(lambda: self.name, "the caller to be on the bus")

    def send(self, destination, path, interface, member, body, fds, flags, timeout):
        self._next += 1
        pending = self._calls[self._next] = self._pending_class()
        self._line.send({"id": self._next, "to": [destination, path, interface, member], "body": pack(body),
                         "flags": int(flags), "timeout": timeout}, fds)
        return pending

    def _on_reply(self, reply, fds):
        if "name" in reply:
            self.name, self.pid = reply["name"], reply["pid"]
            return
        pending = self._calls.pop(reply["id"])
        if "error" in reply:
            pending.fail(self._error_class(*reply["error"]))
        else:
            pending.succeed(unpack(reply["body"]).unpack(), fds)

    def _on_end(self):
        self.name = self.name or "nobody"
        for pending in self._calls.values():
            pending.fail(self._error_class("gone", "the calling process ended"))
        self._calls.clear()

    def close(self, signal_number=signal.SIGKILL):
        if self._child.poll() is None:
            self._signal(self._child.pid, signal.SIGCONT)
            self._signal(self._child.pid, signal_number)
        self._child.wait()
        self._line.close()
        self._on_end()


class Caller:
    """The other end: does as it is told until the line ends."""

    def __init__(self, uid, gids, address, end):
        become(uid, gids)
        self._loop = GLib.MainLoop()
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        self._connection = Gio.DBusConnection.new_for_address_sync(address, flags, None, None)
        self._line = Line(end, self._on_call, self._loop.quit)
        self._line.send({"name": self._connection.get_unique_name(), "pid": os.getpid()})

    def run(self):
        self._loop.run()

    def _on_call(self, call, fds):
        descriptors = Gio.UnixFDList.new()
        for fd in fds:
            descriptors.append(fd)
            os.close(fd)
        self._connection.call_with_unix_fd_list(
            *call["to"], unpack(call["body"]), None, Gio.DBusCallFlags(call["flags"]), call["timeout"] * 1000,
            descriptors, None, self._on_reply, call["id"])

    def _on_reply(self, connection, result, number):
        try:
            values, received = connection.call_with_unix_fd_list_finish(result)
            fds = received.steal_fds() if received else []
            self._line.send({"id": number, "body": pack(values)}, fds)
            for fd in fds:
                os.close(fd)
        except GLib.Error as error:
            name = Gio.dbus_error_get_remote_error(error) or f"{error.domain}-{error.code}"
            self._line.send({"id": number, "error": [name, error.message.removeprefix(f"GDBus.Error:{name}: ")]})


def become(uid, gids):
    """Everything root's is given up; the kernel ends us with the test."""
    os.setgroups(gids)
    os.setgid(uid)
    os.setuid(uid)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_DUMPABLE, 1)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    Caller(int(sys.argv[1]), [int(word) for word in sys.argv[4:]], sys.argv[2], socket.socket(fileno=int(sys.argv[3]))).run()
