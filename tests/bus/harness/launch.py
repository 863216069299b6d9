"""launch.py STORE COMMAND…: becomes COMMAND, with the descriptors that the file STORE lists from 3 on, as sd_listen_fds(3)
wants them."""

import json
import os
import sys

FIRST_FD = 3


def arrange(fds):
    """Moves each to its place; who is in the way steps aside first. There may be nearly as many as the process may have open."""
    at = {fd: index for index, fd in enumerate(fds)}
    for index in range(len(fds)):
        place, fd = FIRST_FD + index, fds[index]
        if place == fd:
            os.set_inheritable(fd, True)
            continue
        if place in at:
            moved = os.dup(place)
            other = at.pop(place)
            at[moved], fds[other] = other, moved
        os.dup2(fd, place)
        os.close(fd)
        del at[fd]


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
