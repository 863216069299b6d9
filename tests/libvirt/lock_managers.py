"""A host with one of the two lock managers, so that both can be asked to do the same."""

import os
import signal
import socket
import struct
import subprocess
from pathlib import Path

from harness import Client, Libvirt, wait_until
from harness.service import Service

# QEMU locks image files too, on this host at least. Without that, as on a device that two hosts have, the lock manager is alone.
UNLOCKED = """#!/usr/bin/python3
import os, sys
command = [word.replace('"driver":"file"', '"driver":"file","locking":"off"').replace(
    '"driver":"host_device"', '"driver":"host_device","locking":"off"') for word in sys.argv[1:]]
os.execv("/usr/bin/qemu-system-x86_64", ["qemu-system-x86_64", *command])
"""


class Host:
    """libvirtd with a lock manager. `lone`: an emulator that locks nothing itself."""

    def __init__(self, bus, cache):
        self.bus = bus
        self.lone = Path(cache) / "qemu-without-locks"
        if not self.lone.exists():
            self.lone.write_text(UNLOCKED)
            self.lone.chmod(0o755)

    def close(self):
        self.libvirt.close()

    # What only some lock managers can do.
    def who_holds(self, path):
        raise AssertionError("there is no way to ask")

    def free(self, path):
        raise AssertionError("there is no way to free a lock that is left over")


class Disklock(Host):
    """disklockd, the lock driver and, with `hook`, the hook."""

    def __init__(self, bus, cache, hook=True):
        super().__init__(bus, cache)
        self.service = Service(bus)
        self.libvirt = Libvirt(bus, cache, hook=hook)
        self.client = Client(bus)

    def kill(self):
        self.service.crash()

    def terminate(self):
        self.service.stop()

    def start(self):
        self.service.start()

    def stop(self):
        self.service.process.signal(signal.SIGSTOP)

    def cont(self):
        self.service.process.signal(signal.SIGCONT)

    def who_holds(self, path):
        return {lease["Owner"] for lease in self.client.list(path=str(path)).values()}

    def free(self, path):
        for lease in self.client.list(path=str(path)):
            self.client.call("Break", "(osa{sv})", lease, "it is left over", {})
            self.client.release(lease)

    def steal(self, path):
        """Somebody else whom the lock manager serves gives up a lock that is not his."""
        stranger = Client(self.bus, 5)
        try:
            for lease in self.client.list(path=str(path)):
                assert stranger.refused("Release", "(o)", lease).name in ("NotOwner", "NotAuthorized", "AccessDenied")
        finally:
            stranger.close()

    def close(self):
        self.client.close()
        super().close()
        self.service.stop()
        self.service.close()


class Virtlockd(Host):
    """libvirt's own."""
    PROGRAM, VERSION, REGISTER, RELEASE = 0x0EA7BEEF, 1, 1, 7

    def __init__(self, bus, cache, hook=None):
        super().__init__(bus, cache)
        self.pid = None
        self.libvirt = Libvirt(bus, cache, lock_manager="lockd")
        self.socket = self.libvirt.folder / "run/libvirt/virtlockd-sock"
        self.start()

    def _end(self, number):
        os.kill(self.pid, number)
        wait_until(lambda: not Path(f"/proc/{self.pid}").exists(), "virtlockd to end")

    def kill(self):
        self._end(signal.SIGKILL)

    def terminate(self):
        self._end(signal.SIGTERM)

    def start(self):
        self.socket.unlink(missing_ok=True)
        _, self.pid = self.libvirt.spawn("virtlockd")
        wait_until(self.socket.exists, "virtlockd")

    def stop(self):
        os.kill(self.pid, signal.SIGSTOP)

    def cont(self):
        os.kill(self.pid, signal.SIGCONT)

    def steal(self, path):
        """As a client that claims to be another: who it is it says itself."""
        [name] = self.libvirt.running()
        uuid = bytes.fromhex(self.libvirt.virsh("domuuid", name).replace("-", ""))
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.socket))
            self._call(connection, self.REGISTER, uuid + self._text(name) + struct.pack(">III", 1, self.libvirt.pid(name), 0))
            self._call(connection, self.RELEASE, self._text("") + self._text(str(path)) + struct.pack(">I", 0))

    @staticmethod
    def _text(text):
        text = text.encode()
        return struct.pack(">I", len(text)) + text + b"\0" * (-len(text) % 4)

    def _call(self, connection, procedure, arguments):
        """XDR, as libvirt's remote protocol has it."""
        connection.sendall(struct.pack(">IIIIIII", 28 + len(arguments), self.PROGRAM, self.VERSION, procedure, 0, procedure, 0)
                           + arguments)
        length = struct.unpack(">I", connection.recv(4))[0]
        return connection.recv(length - 4)


def is_locked(path, kind="write"):
    """Does the kernel keep somebody from a lock of byte 0? Asked by a process of its own: in the holder it would say no."""
    script = ("import fcntl, struct, sys\n"
              "file = open(sys.argv[1], 'r+b')\n"
              "kind = fcntl.F_WRLCK if sys.argv[2] == 'write' else fcntl.F_RDLCK\n"
              "answer = fcntl.fcntl(file, fcntl.F_OFD_GETLK, struct.pack('hhqqi4x', kind, 0, 0, 1, 0))\n"
              "print(struct.unpack('hhqqi4x', answer)[0] != fcntl.F_UNLCK)")
    done = subprocess.run(["/usr/bin/python3", "-c", script, path, kind], check=True, capture_output=True, text=True)
    return done.stdout.strip() == "True"
