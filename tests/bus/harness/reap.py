"""reap.py PIDFILE COMMAND…: runs COMMAND, writes its pid, and reaps whatever it and its children leave behind, until killed.

libvirtd waits for the end of processes that are not its children: were they to stay zombies, or to be reaped late, as by a
container's first process, it would wait for nothing.
"""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main():
    file, *command = sys.argv[1:]
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    pid = os.fork()
    if pid == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.execvp(command[0], command)
    Path(f"{file}.new").write_text(str(pid))
    Path(f"{file}.new").rename(file)
    while True:
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(0.1)


main()
