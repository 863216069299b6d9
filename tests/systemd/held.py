"""Leases that processes in the machine hold, and whether they are what they were."""

from harness import LEASE, kernel_locks


class Held:
    """Begins with a lease of each kind, by a name each. `observer` is a caller of root's that holds but one of those that share."""

    def __init__(self, machine, client, image):
        self._machine = machine
        self.observer, holder = client(), client()
        self.pid = holder.pid
        self.leases = {
            "persistent": holder.acquire(image("persistent.img"), owner="web01", on_break="kill"),
            "process": holder.acquire(image("process.img"), lifetime="process"),
            "connection": holder.acquire(image("connection.img"), lifetime="connection"),
            "reader": holder.acquire(image("reader.img"), "read-only", lifetime="process"),
            "sharer": holder.acquire(image("shared.img"), "shared", lifetime="process"),
            "other sharer": self.observer.acquire("/images/shared.img", "shared", lifetime="process"),
        }
        self.leases["descriptor"], self.keep = holder.hold(image("descriptor.img"))
        # What is now is what has to stay.
        self.properties = self.read()
        self.locks = self.read_locks()
        assert len(self.locks) >= len(self.paths()), self.locks

    def read(self):
        """The properties of each lease, but for when it was last looked at."""
        return {name: {**self.observer.get_all(lease, LEASE), "CheckedAt": 0} for name, lease in self.leases.items()}

    def paths(self):
        return sorted({properties["Path"] for properties in self.properties.values()})

    def read_locks(self):
        """What /proc/locks says of their images."""
        return kernel_locks(*map(self._machine.outside, self.paths()))

    def assert_unchanged(self):
        """They are what they were, the kernel says the same, and nobody else gets any of the disks."""
        assert self.read() == self.properties
        assert self.read_locks() == self.locks
        self.assert_closed()

    def assert_closed(self):
        for path in self.paths():
            assert self.observer.refused_acquire(path).name == "Busy", path
