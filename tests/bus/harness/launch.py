"""launch.py STORE COMMAND…: becomes COMMAND, with the descriptors that the file STORE lists from 3 on, as sd_listen_fds(3)
wants them."""

import json
import os
import sys

FIRST_FD = 3


def arrange(fds):
    """Moves each to its place; those that are in the way of others step aside first."""
    aside = max([*fds, FIRST_FD + len(fds)]) + 1
    for index, fd in enumerate(fds):
        os.dup2(fd, aside + index)
    for fd in fds:
        os.close(fd)
    for index in range(len(fds)):
        os.dup2(aside + index, FIRST_FD + index)
        os.close(aside + index)


def main():
    store, *command = sys.argv[1:]
    with open(store, encoding="ascii") as file:
        names, fds = json.load(file)
    arrange(fds)
    if fds:
        os.environ |= {"LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(names), "LISTEN_PID": str(os.getpid())}
    if "WATCHDOG_USEC" in os.environ:
        os.environ["WATCHDOG_PID"] = str(os.getpid())
    os.execvp(command[0], command)


main()
