"""Real storage: loop devices, partitions, filesystems and mounts, all gone after the test."""

import ctypes
import fcntl
import os
import struct
import subprocess
from pathlib import Path

LOOP_CTL_GET_FREE, LOOP_CONFIGURE = 0x4C82, 0x4C0A
LOOP_CONFIG_SIZE, LOOP_FLAGS_AT = 304, 60
# Detached with its last user, and its partitions with it.
AUTOCLEAR_PARTSCAN = 4 | 8
BLKPG, BLKPG_ADD_PARTITION = 0x1269, 1
MIB = 1 << 20


class Loop:
    """A loop device. The kernel detaches it when its last user has closed it, so it cannot outlive the test's process."""

    def __init__(self, file):
        config = bytearray(LOOP_CONFIG_SIZE)
        backing = os.open(file, os.O_RDWR)
        struct.pack_into("I", config, 0, backing)
        struct.pack_into("I", config, LOOP_FLAGS_AT, AUTOCLEAR_PARTSCAN)
        control = os.open("/dev/loop-control", os.O_RDWR)
        while not self._configure(control, bytes(config)):
            pass
        os.close(control)
        os.close(backing)

    def _configure(self, control, config):
        self.node = Path(f"/dev/loop{fcntl.ioctl(control, LOOP_CTL_GET_FREE)}")
        self._fd = os.open(self.node, os.O_RDWR)
        try:
            fcntl.ioctl(self._fd, LOOP_CONFIGURE, config)
            return True
        except OSError:  # somebody else took it in between
            os.close(self._fd)
            return False

    def add_partition(self, number):
        """Tells the kernel of a partition of a MiB, at MiB `number`."""
        # struct blkpg_partition and blkpg_ioctl_arg of linux/blkpg.h; Debian 13 has no addpart.
        partition = ctypes.create_string_buffer(struct.pack("qqi64s64s4x", number * MIB, MIB, number, b"", b""))
        fcntl.ioctl(self._fd, BLKPG, struct.pack("iii4xP", BLKPG_ADD_PARTITION, 0, len(partition) - 1, ctypes.addressof(partition)))
        return Path(f"{self.node}p{number}")

    def close(self):
        if self._fd is not None:
            os.close(self._fd)
        self._fd = None


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"


class Storage:
    """Makes storage below `folder`."""

    def __init__(self, folder):
        self.folder = folder / "storage"
        self.folder.mkdir()
        self._loops, self._mounts = [], []

    def file(self, name="backing.img", mebibytes=8):
        path = self.folder / name
        with open(path, "wb") as file:
            file.truncate(mebibytes * MIB)
        return path

    def loop(self, file=None):
        self._loops.append(Loop(file or self.file()))
        return self._loops[-1]

    def mount(self, what, name, *options):
        """Mounts on a new folder and returns that."""
        point = self.folder / name
        point.mkdir(exist_ok=True)
        run("mount", *options, what, point)
        self._mounts.append(point)
        return point

    def bind(self, source, name):
        return self.mount(source, name, "--bind")

    def filesystem(self, kind, mebibytes=8):
        """A loop device with a filesystem on it."""
        loop = self.loop(self.file(f"{kind}.img", mebibytes))
        run(f"mkfs.{kind}", "-q", loop.node)
        return loop

    def unmount(self, point):
        """At once for everybody to see; what still has it open goes on with it."""
        self._mounts.remove(point)
        run("umount", "--lazy", point)

    def close(self):
        for point in reversed(list(self._mounts)):
            self.unmount(point)
        for loop in self._loops:
            loop.close()
