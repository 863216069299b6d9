"""What a test in a guest has at hand: commands, disks, and disklockd on a bus, asked by root."""

import subprocess
import tempfile
from pathlib import Path

from harness import PATIENCE, SOURCE
from host import Host

SHIPPED_POLICY = (SOURCE / "data/disklock.conf").read_text(encoding="utf-8")


class World:
    """One for all tests of a guest; clean() makes it ready for the next one."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="disklock-")
        self.folder = Path(self._folder.name)
        self._hosts = []
        guest = self.add_host("guest", SHIPPED_POLICY, apart=False)
        self.bus, self.service, self.root = guest.bus, guest.service, guest.root
        self._later = []

    def add_host(self, name, policy=SHIPPED_POLICY, apart=True, managed=None):
        """One more Host, for all tests that follow."""
        self._hosts.append(Host(self, name, policy, apart, managed))
        return self._hosts[-1]

    def lose_power(self, host):
        """Takes a host away as if its plug were pulled; its name is free again."""
        self._hosts.remove(host)
        host.lose_power()

    def close(self):
        """Every host's service must end by SIGTERM, and must not have complained of anything."""
        for host in self._hosts:
            host.close()
        self._folder.cleanup()

    def say(self, text):
        """A line for whoever reads the results: a figure, say."""
        print(f"# {text}", flush=True)

    def run(self, *command):
        """Runs a command to its end, and returns its output."""
        done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
                              check=False)
        assert done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def change(self, *command):
        """Likewise; and then waits until udev has seen what came of it."""
        self.run(*command)
        self.run("udevadm", "settle", f"--timeout={PATIENCE}")

    def later(self, *command):
        """A change for clean(); the last one said is the first one made."""
        self._later.append(command)

    def clean(self):
        for host in self._hosts:
            host.release_all()
        problems = []
        while self._later:
            try:
                self.change(*self._later.pop())
            except AssertionError as problem:
                problems.append(str(problem))
        assert not problems, "\n".join(problems)
        for host in self._hosts:
            host.assert_alive()

    # What all names come down to.

    def disk_of(self, path):
        """The canonical identity."""
        return self.root.inspect(path)["disk"]

    def related(self, path):
        """The identities of the disks that overlap."""
        return [disk["disk"] for disk in self.root.inspect(path)["related"]]

    def related_paths(self, path):
        """Where those are that are somewhere."""
        return [disk["path"] for disk in self.root.inspect(path)["related"] if "path" in disk]

    def foreign(self, path):
        """What those who use it without a lease do, and where: {"mount": "/mnt"}."""
        return {user["what"]: user.get("where") for user in self.root.inspect(path)["foreign"]}

    def assert_lease_refuses(self, held, other):
        """A lease by one name refuses the other, and says whose it is."""
        lease = self.root.acquire(held, owner="web01")
        error = self.root.refused_acquire(other, owner="db01")
        assert error.name == "Busy", f"with {held} leased, {other}: {error}"
        assert "web01" in error.message, f"with {held} leased, {other} is refused without saying who has it: {error}"
        lease.release()

    def assert_one_disk(self, *paths):
        """Names of one disk: one identity, and a lease by any refuses the others."""
        identities = {path: self.disk_of(path) for path in paths}
        assert len(set(identities.values())) == 1, f"they are not one disk: {identities}"
        for path in paths[1:]:
            self.assert_lease_refuses(paths[0], path)
            self.assert_lease_refuses(path, paths[0])

    def assert_related(self, one, other):
        """Two disks with data in common: Inspect of each lists the other."""
        for path, relative in ((one, other), (other, one)):
            related, wanted = self.related(path), self.disk_of(relative)
            assert wanted in related, f"{relative} ({wanted}) is not related to {path}, which has {related}"

    def assert_overlap(self, one, other):
        """Two disks with data in common: a lease of any refuses the other."""
        self.assert_related(one, other)
        self.assert_lease_refuses(one, other)
        self.assert_lease_refuses(other, one)

    def assert_apart(self, one, other):
        """Two disks that have nothing in common: both are leased exclusively at once."""
        assert self.disk_of(one) not in self.related(other), f"{one} is related to {other}"
        for lease in [self.root.acquire(one, owner="web01"), self.root.acquire(other, owner="db01")]:
            lease.release()

    def assert_in_use(self, path, what, *words):
        """Somebody uses it without a lease: it is refused, and the message has all of `words`."""
        report = self.root.inspect(path)
        assert report["state"] == "in-use", f"{path} is {report['state']}"
        assert what in self.foreign(path), f"{path} is not in use as {what}: {self.foreign(path)}"
        error = self.root.refused_acquire(path)
        assert error.name == "Busy", f"{path}: {error}"
        for word in (str(Path(path).resolve()), *words):
            assert word in error.message, f"{word} is not named in: {error.message}"
