"""libvirt's own lock manager on one of the hosts, asked as libvirtd asks it (src/locking/lock_protocol.x of libvirt)."""

import socket
import struct
import uuid
from pathlib import Path

from harness import wait_until

PROGRAM, VERSION = 0x0EA7BEEF, 1
REGISTER, ACQUIRE, RELEASE = 1, 6, 7
SHARED = 1
HEADER = struct.Struct(">IIIIII")  # program, version, procedure, type (0: call, 1: reply), serial, status (0: done, 1: refused)


def text(value):
    data = value.encode()
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


class Virtlockd:
    """A client of virtlockd on `host`, for one virtual machine; the locks end with it."""

    def __init__(self, host):
        self._daemon = host.start("virtlockd", "virtlockd")
        self._vm = host.start("virtlockd-vm", "sleep", "infinity")  # virtlockd ends whoever still has a lock when its client goes
        path = Path(f"/proc/{host.namespaces}/root/run/libvirt/virtlockd-sock")
        self._socket = socket.socket(socket.AF_UNIX)
        wait_until(lambda: self._connects_to(path) or not self._daemon.is_alive(), "virtlockd")
        assert self._daemon.is_alive(), self._daemon.output()
        self._serial = 0
        assert self._call(REGISTER, uuid.uuid4().bytes + text("web01") + struct.pack(">III", 1, self._vm.pid, 0)), "virtlockd knows no client"

    def _connects_to(self, path):
        try:
            self._socket.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True

    def _call(self, procedure, body):
        """Was it done?"""
        self._serial += 1
        message = HEADER.pack(PROGRAM, VERSION, procedure, 0, self._serial, 0) + body
        self._socket.sendall(struct.pack(">I", len(message) + 4) + message)
        reply = self._receive(struct.unpack(">I", self._receive(4))[0] - 4)
        return HEADER.unpack_from(reply)[5] == 0

    def _receive(self, count):
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            assert more, f"virtlockd hung up: {self._daemon.output()}"
            data += more
        return data

    def acquire(self, disk, shared=False):
        return self._call(ACQUIRE, text("") + text(str(disk)) + struct.pack(">I", SHARED if shared else 0))

    def release(self, disk):
        return self._call(RELEASE, text("") + text(str(disk)) + struct.pack(">I", 0))

    def close(self):
        self._socket.close()
        for process in (self._vm, self._daemon):
            process.kill()
