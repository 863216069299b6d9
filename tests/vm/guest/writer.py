"""A guest's disk I/O, in the place of a virtual machine: stamps page after page past all caches, and looks at what stood there.

Usage: writer.py DISK TURN GO [locked] [blind]

TURN grows with whoever gets the disk next. It waits for the file GO and then writes until it is ended, whatever the storage
says. `locked`: it takes QEMU's own locks on the image first. `blind`: it reads nothing, so that what it has under way is a
write. It writes a line for each round, and for each page in which it reads

    late TURN      a page that was its own already shows the stamp of an earlier turn
    overtaken TURN a page shows the stamp of a later one: somebody else has the disk
    torn           a page is of two writes
    refused ERRNO  the storage did not take, or give, the page
"""

import errno
import fcntl
import mmap
import os
import struct
import sys
import time
import zlib

PAGE = 4096
PAGES = 8
PAUSE = 0.01  # seconds after each page: the storage is for the others too
STAMP = struct.Struct("<IIQ")  # turn, page, number of the write
SUM = struct.Struct("<I")
QEMU_LOCKS = (100, 101, 201)  # of a raw image that is open for writing
FLOCK = "hhqqi4x"


def make_page(turn, page, number):
    body = (STAMP.pack(turn, page, number) * (PAGE // STAMP.size))[:PAGE - SUM.size]
    return body + SUM.pack(zlib.crc32(body))


def turn_of(data, page):
    """Whose stamp a page bears; 0: nobody's yet; None: it is of two writes, or of another page."""
    if not any(data):
        return 0
    turn, where, _ = STAMP.unpack_from(data)
    if SUM.unpack_from(data, PAGE - SUM.size)[0] != zlib.crc32(data[:-SUM.size]) or where != page:
        return None
    return turn


def turns(path):
    """Whose stamps the pages of an image bear."""
    with open(path, "rb") as image:
        return [turn_of(image.read(PAGE), page) for page in range(PAGES)]


class Writer:
    def __init__(self, disk, turn, locked, blind):
        self.turn, self.number, self.own = turn, 0, set()
        self.steps = (self.stamp,) if blind else (self.look_at, self.stamp)
        self.fd = os.open(disk, os.O_RDWR | os.O_DIRECT)
        self.buffer = mmap.mmap(-1, PAGE)  # O_DIRECT wants it aligned
        for byte in QEMU_LOCKS if locked else ():
            fcntl.fcntl(self.fd, fcntl.F_OFD_SETLK, struct.pack(FLOCK, fcntl.F_RDLCK, os.SEEK_SET, byte, 1, 0))

    def look_at(self, page):
        os.preadv(self.fd, [self.buffer], page * PAGE)
        found = turn_of(bytes(self.buffer), page)
        if found is None:
            print("torn", flush=True)
        elif found > self.turn:
            print("overtaken", found, flush=True)
        elif page in self.own and found < self.turn:
            print("late", found, flush=True)

    def stamp(self, page):
        self.buffer[:] = make_page(self.turn, page, self.number)
        self.own.discard(page)  # until it is known to be written
        os.pwritev(self.fd, [self.buffer], page * PAGE)
        self.own.add(page)
        self.number += 1

    def round(self):
        """Every page: what it shows, then a new stamp."""
        for page in range(PAGES):
            for step in self.steps:
                try:
                    step(page)
                except OSError as error:
                    print("refused", errno.errorcode[error.errno], flush=True)
            time.sleep(PAUSE)
        print("round", flush=True)


def main():
    disk, turn, go = sys.argv[1:4]
    while not os.path.exists(go):
        time.sleep(0.02)
    writer = Writer(disk, int(turn), "locked" in sys.argv[4:], "blind" in sys.argv[4:])
    while True:
        writer.round()


if __name__ == "__main__":
    main()
