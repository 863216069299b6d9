"""A host: disklockd with an id, a runtime folder and a bus of its own, asked by root. A guest can have several."""

import signal

from harness import Bus, Client, Process, Service, wait_until

# What the holder of a host's namespaces does in them: its name, and a /run of its own, in which udev's is the guest's.
SET_UP = """
set -e
echo "$0" >/proc/sys/kernel/hostname
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir -p /mnt/udev /mnt/lock
mount --bind /run/udev /mnt/udev
mount --no-mtab --move /mnt /run
if [ -e /sys/class/net/lo ]; then ip link set lo up; fi
echo ready
exec sleep infinity
"""


class Host:
    """The guest itself, or, with apart=True, one beside it: with mounts, a network and a name of its own, as another computer has. `managed`: as Service's."""

    def __init__(self, world, name, policy, apart=False, managed=None):
        self.name = name
        self._world = world
        self.folder = world.folder / f"host-{name}" if apart else world.folder
        self.folder.mkdir(exist_ok=True)
        self._namespaces = self._make_namespaces() if apart else None
        self.bus = Bus(self.folder)
        self.service = Service(self.bus, f"[Host]\nid={name}\n{policy}", under=self._enter(), managed=managed)
        self.root = Client(self.bus)

    def _make_namespaces(self):
        holder = Process("namespaces", ["unshare", "--mount", "--uts", "--net", "--propagation", "slave", "sh", "-c", SET_UP, f"host-{self.name}"],
                         self.folder)
        wait_until(lambda: "ready" in holder.output() or not holder.is_alive(), f"the namespaces of host {self.name}")
        assert holder.is_alive(), f"host {self.name} cannot be made:\n{holder.output()}"
        return holder

    @property
    def namespaces(self):
        """The process whose namespaces they are."""
        return self._namespaces.pid

    def _enter(self):
        """What a command begins with that is to run on this host."""
        return ["nsenter", f"--target={self.namespaces}", "--mount", "--uts", "--net", "--"] if self._namespaces else []

    def run(self, *command):
        """Runs a command on this host to its end, and returns its output."""
        return self._world.run(*self._enter(), *command)

    def start(self, name, *command):
        """A Process on this host; ends with the guest at the latest."""
        return Process(name, [*self._enter(), *command], self.folder)

    def release_all(self):
        for lease in self.root.list():
            self.root.release(lease)

    def assert_alive(self):
        assert self.service.process.is_alive(), f"disklockd of host {self.name} ended:\n{self.service.process.output()}"

    def lose_power(self):
        """All of it ends at once, and nothing is put in order. What waits for a storage that does not answer may stay for ever."""
        for process in (self.service.process, self._namespaces):
            process.signal(signal.SIGKILL)
        self.root.close()
        self.bus.close()
        self.folder.rename(self.folder.with_name(f"{self.folder.name}-before"))

    def close(self):
        """The service must end by SIGTERM, and must not have complained of anything."""
        try:
            self.service.stop()
        finally:
            self.service.close()
            self.root.close()
            self.bus.close()
            if self._namespaces:
                self._namespaces.kill()
