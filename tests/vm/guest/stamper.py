"""A writer that goes past the cache, as a VM's disk does: it stamps pages of a disk one after the other, and checks that nobody else has.

Usage: stamper.py NODE SIDE
Writes a line for each page: when it began, the number of the error or 0, and whose stamp stood in the place of its own or "-".
"""

import itertools
import mmap
import os
import struct
import sys
import time

START, PAGES, SIZE = 2 << 20, 16, 4096
STAMP = struct.Struct("<8s16sQ")  # a mark, whose it is, when the write began (ns, CLOCK_MONOTONIC)
MARK = b"disklock"


def read_stamp(fd, page, buffer):
    """(side, begun), or None where there is none."""
    os.preadv(fd, [buffer], START + page * SIZE)
    mark, side, begun = STAMP.unpack_from(buffer)
    return (side.rstrip(b"\0").decode(), begun) if mark == MARK else None


def stamps(node):
    """Of all pages that have one."""
    fd, buffer = os.open(node, os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, SIZE)
    try:
        return [stamp for stamp in (read_stamp(fd, page, buffer) for page in range(PAGES)) if stamp]
    finally:
        os.close(fd)


def main(node, side):
    fd, buffer = os.open(node, os.O_RDWR | os.O_DIRECT), mmap.mmap(-1, SIZE)
    written = {}
    for page in itertools.cycle(range(PAGES)):
        begun, error, other = time.monotonic_ns(), 0, "-"
        try:
            found = read_stamp(fd, page, buffer)
            if written.get(page, found) != found:
                other = found[0] if found else "nobody"
            STAMP.pack_into(buffer, 0, MARK, side.encode(), begun)
            os.pwrite(fd, buffer, START + page * SIZE)
            written[page] = side, begun
        except OSError as problem:
            error = problem.errno
            written.clear()  # the disk is another's, for all that is known
        print(begun, error, other, flush=True)
        time.sleep(0.001)


if __name__ == "__main__":
    main(*sys.argv[1:])
