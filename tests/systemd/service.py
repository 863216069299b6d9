"""disklockd as a unit of systemd."""

import signal

from harness import Client, wait_until
from machine import UNIT


class Service:
    def __init__(self, machine):
        self.machine = machine
        machine.run("systemctl", "reset-failed")
        machine.run("systemctl", "start", UNIT)
        self._cursor = machine.journal("--lines=0", "--show-cursor").partition("cursor: ")[2].strip()

    @property
    def pid(self):
        """In the machine; 0: it does not run."""
        return int(self.machine.show("MainPID"))

    def systemctl(self, verb):
        self.machine.run("systemctl", verb, UNIT)

    def kill(self, number=signal.SIGKILL):
        """Kills it and waits until systemd has started it again."""
        before = self.pid
        self.machine.run("systemctl", "kill", f"--signal={int(number)}", UNIT)
        self.wait_for_another(before)

    def wait_for_another(self, before):
        wait_until(lambda: self.pid not in (before, 0) and self.machine.show("ActiveState") == "active",
                   "systemd to start the service again")

    def said(self):
        """What it and systemd said of it since the test began."""
        return self.machine.journal(f"--unit={UNIT}", f"--after-cursor={self._cursor}", "--output=cat")

    def close(self):
        """Takes all leases away, and the policy of the test; then nothing may be stored."""
        self.machine.run("systemctl", "reload-or-restart", UNIT)
        root = Client(self.machine, 0)
        for owner in {lease["Owner"] for lease in root.list().values()}:
            root.call("ReleaseOwner", "(s)", owner)
        wait_until(lambda: self.machine.show("NFileDescriptorStore") == "0", "the descriptor store to be empty")
        root.close()
