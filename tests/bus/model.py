"""What the service must answer, said as simply as can be: for test_model.py."""

from dataclasses import dataclass

MODES = ("exclusive", "shared", "read-only")


@dataclass(frozen=True)
class Lease:
    """One lease, as everybody has to see it."""
    path: str  # on the bus
    owner: str
    disk: str
    mode: str
    lifetime: str = "persistent"
    pid: int = 0
    state: str = "active"


@dataclass(frozen=True)
class Operation:
    """What a client asks for, and what came of it."""
    owner: str
    what: str
    disks: tuple = ()  # of (disk, mode)
    lease: str = ""  # whose path
    mode: str = ""
    lifetime: str = "persistent"
    pid: int = 0
    tag: str = ""
    # "granted"; the name of an error; "nothing": it was not answered, and left no trace
    outcome: str = ""
    leases: tuple = ()  # the paths that were granted

    def __str__(self):
        what = " ".join(f"{disk.rsplit('/', 1)[1]} {mode}" for disk, mode in self.disks) or f"{self.lease[-6:]} {self.mode}"
        granted = " ".join(path[-6:] for path in self.leases)
        return f"{self.owner} {self.what} {what} {self.lifetime} {self.pid}: {self.outcome} {granted}"


def conflict(mode, other):
    return "exclusive" in (mode, other)


def keeps_out(leases, disk, mode, but=""):
    """Is somebody in the way? A suspended lease is, a broken one is not."""
    return any(lease.disk == disk and lease.state != "broken" and lease.path != but and conflict(lease.mode, mode)
               for lease in leases.values())


def _replaced(leases, path, **changes):
    return {**leases, path: Lease(**{**leases[path].__dict__, **changes})}


def _acquire(leases, operation):
    if any(keeps_out(leases, disk, mode) for disk, mode in operation.disks):
        return "Busy", leases
    made = {path: Lease(path, operation.owner, disk, mode, operation.lifetime, operation.pid)
            for path, (disk, mode) in zip(operation.leases, operation.disks)}
    return "granted", {**leases, **made}


def may_adopt(lease, operation, alive):
    """Its owner takes a lease on that is strong enough, unless it is for another process that lives."""
    (disk, mode), = operation.disks
    return (lease.disk == disk and lease.owner == operation.owner and lease.mode in (mode, "exclusive") and
            lease.state != "broken" and lease.lifetime != "fd" and (lease.pid == operation.pid or lease.pid not in alive))


def _adopt(leases, operation, alive):
    own = [path for path, lease in leases.items() if may_adopt(lease, operation, alive)]
    if not own:
        return _acquire(leases, operation)
    # Any of them; where it was granted, the answer says which.
    path = operation.leases[0] if operation.leases and operation.leases[0] in own else own[0]
    return "granted", _replaced(leases, path, lifetime=operation.lifetime, pid=operation.pid)


def _change(leases, operation):
    lease = leases.get(operation.lease)
    if lease.state == "broken":
        return "LeaseLost", leases
    if operation.what == "break":
        return "granted", _replaced(leases, lease.path, state="broken")
    if operation.what == "suspend":
        return "granted", _replaced(leases, lease.path, state="suspended")
    if operation.what == "resume":
        return "granted", _replaced(leases, lease.path, state="active")
    if lease.state == "suspended":
        return "Unsupported", leases
    if lease.mode != operation.mode and keeps_out(leases, lease.disk, operation.mode, but=lease.path):
        return "Busy", leases
    return "granted", _replaced(leases, lease.path, mode=operation.mode)


def apply(leases, operation, alive):
    """The answer, and the leases after it. `alive`: the pids of processes that live."""
    if operation.what in ("acquire", "set", "hold"):
        return _acquire(leases, operation)
    if operation.what == "adopt":
        return _adopt(leases, operation, alive)
    if operation.what == "release":
        return "granted", {path: lease for path, lease in leases.items() if path != operation.lease}
    return _change(leases, operation)


def explain(leases, operations, alive, crashed=False):
    """
    Operations that ran at the same time must have answers as if they had run one after the other. Returns the leases after such
    an order; None: there is none. `crashed`: some were not answered, and may have been in the way of others before they came
    to nothing.
    """
    dead_ends = set()

    def search(state, remaining):
        if not remaining:
            return state
        if remaining in dead_ends:
            return None
        for index in remaining:
            operation = operations[index]
            answer, after = apply(state, operation, alive)
            if operation.outcome == "nothing" or (crashed and operation.outcome == "Busy"):
                after = state
            elif answer != operation.outcome or (answer == "granted" and not all(path in after for path in operation.leases)):
                continue
            found = search(after, remaining - {index})
            if found is not None:
                return found
        # What has been applied, not in which order, makes the state.
        dead_ends.add(remaining)
        return None
    return search(leases, frozenset(range(len(operations))))
