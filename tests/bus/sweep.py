"""What must be true of the service whenever it dies and wherever it fails: for test_death.py and test_failing_calls.py."""

import fcntl
import os
import re
import struct
import threading
from collections import Counter

import pytest
from harness import EVERY, BusError, lock_of, wait_until

POLICY = """
[Rule everything]
backend={backend}
lockspace={lockspace}
reach=host
check-interval=3600
connection-grace=0.01
"""
# The first is swept as a whole. With the others only what is marked so is, and one number in THIN; with DISKLOCK_SWEEP=every
# all is.
BACKENDS = ("fcntl;host", "lockspace", "fcntl+lockspace")
THIN = 16
every_backend = pytest.mark.every_backend
F_OFD_SETLKW = 38
GONE = ("NoReply", "ServiceUnknown", "NameHasNoOwner", "Disconnected")
LOCKED = {"exclusive": "WRITE", "shared": "READ", "read-only": "READ"}


class World:
    """The service with leases, and what must be true of them at any time."""

    def __init__(self, start_service, client, image, folder, backend):
        self.image, self.folder, self.lockspace = image, folder, folder / "lockspace"
        self.lockspace.mkdir(mode=0o700)
        self.step = 1 if EVERY or backend == BACKENDS[0] else THIN
        # How many files are locked for a lease, and how many descriptors keep it.
        self.parts = len(backend.split("+"))
        self.service = start_service(POLICY.format(backend=backend, lockspace=self.lockspace), managed={})
        self.bus, self.root = self.service.bus, client()
        self.disk, self.other = image("disk.img"), image("other.img")
        self.token = 0
        self.held = self.acquire(image("held.img"), owner="web01")
        self.read = self.acquire(image("read.img"), "read-only")
        self.acquire(image("read.img"), "read-only")
        self.acquire(image("connection.img"), lifetime="connection")
        self.suspended = self.acquire(image("suspended.img"))
        self.suspended.call("Suspend")
        self.standing = self.root.list()

    def acquire(self, path, *arguments, **values):
        lease = self.root.acquire(path, *arguments, **values)
        assert lease.token > self.token
        self.token = lease.token
        return lease

    def leases(self):
        """The properties of all leases. A call that failed may have cost the service its connection: it comes back."""
        def ask():
            try:
                return [list(self.root.list().values())]
            except BusError as error:
                assert error.name in GONE, error
                return None
        return wait_until(ask, "the service to be on the bus")[0]

    def on(self, path):
        """The leases of a disk."""
        return [lease for lease in self.leases() if lease["Path"] == str(path)]

    def locked_files(self, path):
        """Where a lease of that disk has its lock: the image itself, or a file of the lockspace, or both."""
        return [file for file, disk in self._lockable().items() if disk == path and lock_of(file) != fcntl.F_UNLCK]

    def _lockable(self):
        """{file: disk}. A file of the lockspace says in its first line by which inode its disk goes."""
        disks = {os.stat(path).st_ino: path for path in self.disk.parent.iterdir()}
        found = {path: path for path in disks.values()}
        for file in self.lockspace.iterdir():
            with open(file, "rb") as content:
                named = re.match(rb"disklock-lock 1 inode:(\d+)\n", content.readline())
            # One that a death left unfinished says nothing, until somebody locks it.
            found[file] = disks[int(named[1])] if named else file
        return found

    def locks(self):
        """What /proc/locks has on the disks and in the lockspace: (name, kind) → how often."""
        disks = {os.stat(file).st_ino: disk.name for file, disk in self._lockable().items()}
        found = Counter()
        with open("/proc/locks", encoding="ascii") as file:
            for line in file:
                words = line.split()
                inode = int(words[5].split(":")[2]) if words[1] == "OFDLCK" else 0
                if inode in disks:
                    found[disks[inode], words[3] if words[6] == "0" else "RECORD"] += 1
        return found

    def explained(self):
        """What the leases explain of that. Each has a record in the lockspace, in a place that it locks."""
        held = [lease for lease in self.leases() if lease["State"] in ("active", "at-risk")]
        locks = Counter()
        for lease in held:
            name = os.path.basename(lease["Path"])
            locks[name, LOCKED[lease["Mode"]]] += self.parts
            if "lockspace" in lease["Backend"]:
                locks[name, "RECORD"] += 1
        return locks

    def check(self, unsaid=0):
        """No lease is lost, nothing is locked that no lease explains, and nobody gets what somebody has. `unsaid`: so many
        descriptors the store may have too many or too few."""
        leases = self.root.list()
        for path, before in self.standing.items():
            assert {**leases[path], "CheckedAt": 0} == {**before, "CheckedAt": 0}
        wait_until(lambda: self.locks() == self.explained(), "the locks to be those of the leases")
        kept = [lease for lease in leases.values() if lease["State"] not in ("suspended", "broken")]
        fds = self.parts * len(kept) + sum(lease["Lifetime"] == "fd" for lease in kept)
        wait_until(lambda: abs(len(self.service.manager.names()) - fds) <= unsaid, "the store to have what it needs")
        for path in (self.disk, self.other):
            if any(lease["State"] != "broken" for lease in self.on(path)):
                assert self.root.refused_acquire(path).name == "Busy"
            else:
                self.acquire(path, wait=30000).release()

    def clear(self):
        """Ends what the operation left."""
        for path in set(self.root.list()) - set(self.standing):
            self.root.release(path)


class Waiter:
    """Another program that waits in the kernel for a lock: it gets it in the first moment in which nobody has it."""

    def __init__(self, path):
        self.locked = False
        self._fd = os.open(path, os.O_RDWR)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        wait_until(lambda: self._waits(os.fstat(self._fd).st_ino), "the kernel to have it wait")

    def _run(self):
        fcntl.fcntl(self._fd, F_OFD_SETLKW, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
        self.locked = True
        os.close(self._fd)

    @staticmethod
    def _waits(inode):
        with open("/proc/locks", encoding="ascii") as file:
            return any(words[1] == "->" and words[6].endswith(f":{inode}") for words in map(str.split, file))

    def join(self):
        self._thread.join()
