"""The locks that another program meets on an image."""

import fcntl
import os
import struct
import threading

FLOCK = "hhqqi4x"


def lock_of(path, kind=fcntl.F_WRLCK):
    """What another program would meet that wants a lock of this kind on byte 0: the kind of lock that is in its way."""
    fd = os.open(path, os.O_RDWR)
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, struct.pack(FLOCK, kind, os.SEEK_SET, 0, 1, 0))
        return struct.unpack(FLOCK, answer)[0]
    finally:
        os.close(fd)


def kernel_locks(*paths):
    """The lines of /proc/locks about these files, without their numbers: each a list of words; see proc_locks(5)."""
    files = set()
    for path in paths:
        status = os.stat(path)
        files.add(f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}")
    with open("/proc/locks", encoding="ascii") as locks:
        lines = [line.split()[1:] for line in locks]
    return sorted(line for line in lines if files.intersection(line))


class Witness:
    """Another program that tries all the time to lock a file for writing, from now until stop()."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_RDWR)
        self.tries, self.locked = 0, False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set() and not self.locked:
            try:
                fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
                self.locked = True
            except BlockingIOError:
                self.tries += 1

    def stop(self):
        self.close()
        assert self.tries > 0 or self.locked

    def close(self):
        if self._fd is not None:
            self._stop.set()
            self._thread.join()
            os.close(self._fd)
        self._fd = None
