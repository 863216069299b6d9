"""Hosts that share storage: each a service with an id, a host name, a runtime folder and a bus of its own."""

from .bus import Bus
from .client import Client, Signals
from .service import Service

# Whatever the kernel calls the host is this service's alone.
AS_HOST = 'hostname "$1"; shift; exec "$@"'


class Host:
    """`name`: its HostId; `node`: by what people know it."""

    def __init__(self, folder, name, policy, node=None, **options):
        self.name, self.node, self.policy = name, node or f"{name}-node", policy
        folder = folder / name
        folder.mkdir(mode=0o755)
        self.bus = Bus(folder)
        self.service = Service(self.bus, f"[Host]\nid={name}\n{policy}",
                               under=["unshare", "--uts", "--mount", "sh", "-c", AS_HOST, "sh", self.node], **options)
        self.root = Client(self.bus)

    def signals(self):
        return Signals(self.bus)

    def close(self):
        try:
            if self.service.process.is_alive():
                self.service.stop()
        finally:
            self.service.close()
            self.root.close()
            self.bus.close()
