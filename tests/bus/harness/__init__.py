"""A private world for one test: a system bus, polkit, the service and its callers.

Nothing of it touches the machine's own bus, polkit or sessions, and nothing of it outlives the test.
"""

from .bus import Bus
from .client import BusError, Client, Lease, LEASE, MANAGER, NAME, OBJECT, PROPERTIES, Signals, options
from .disklockctl import Disklockctl, Lines
from .hang_fs import HangFs
from .hosts import Host
from .inject import DEATH, EVERY, Injection
from .journal import Journal
from .libvirt import Libvirt, VirshError
from .locks import Witness, kernel_locks, lock_of
from .manager import Manager
from .polkit import Agent, Polkit
from .process import PATIENCE, Process, start_with_pid, wait_until
from .qemu import start_qemu, still_obeys, wait_for_qemu
from .service import POLICY, SOURCE, Service, build_dir, policy_files
from .slow_bus import SlowBus

__all__ = [
    "Agent", "Bus", "BusError", "Client", "DEATH", "Disklockctl", "EVERY", "HangFs", "Host", "Injection", "Journal", "LEASE", "Lease", "Libvirt", "Lines", "MANAGER", "Manager", "NAME", "OBJECT", "PATIENCE", "POLICY", "PROPERTIES", "Polkit", "Process",
    "SOURCE", "Service", "Signals", "SlowBus", "VirshError", "Witness", "build_dir", "kernel_locks", "lock_of", "options", "policy_files", "start_qemu", "start_with_pid", "still_obeys",
    "wait_for_qemu", "wait_until",
]
