"""Callers: connections of the test itself (root), or whole processes of another uid."""

from gi.repository import Gio, GLib

from .process import PATIENCE, signal_last_of, wait_until
from .remote import RemoteProcess

NAME = "org.disklock.DiskLock1"
OBJECT = "/org/disklock/DiskLock1"
MANAGER = "org.disklock.DiskLock1.Manager"
LEASE = "org.disklock.DiskLock1.Lease"
PROPERTIES = "org.freedesktop.DBus.Properties"
OPTION_TYPES = {"adopt": "b", "backing-files": "b", "pid": "u", "pidfd": "h", "wait": "u", "after": "s", "limit": "u", "uid": "u"}


class BusError(Exception):
    """A D-Bus error: `name` without the service's own prefix, and the message people read."""

    def __init__(self, name, message):
        super().__init__(f"{name}: {message}")
        self.name = name.removeprefix(f"{NAME}.Error.").removeprefix("org.freedesktop.DBus.Error.")
        self.message = message

    @classmethod
    def of(cls, error):
        """From a GLib.Error that came over the bus, or from the lack of an answer."""
        name = Gio.dbus_error_get_remote_error(error) or f"{error.domain}-{error.code}"
        return cls(name, error.message.removeprefix(f"GDBus.Error:{name}: "))


class Pending:
    """A call under way."""

    def __init__(self):
        self.done = False
        self.fds = []
        self._values = None
        self._error = None

    def succeed(self, values, fds):
        self._values, self.fds, self.done = values, fds, True

    def fail(self, error):
        self._error, self.done = error, True

    def result(self, patience=PATIENCE):
        """The values of the reply, or BusError."""
        wait_until(lambda: self.done, "the reply", patience)
        if self._error:
            raise self._error
        return self._values

    def error(self, patience=PATIENCE):
        """The BusError that the call must end with."""
        try:
            values = self.result(patience)
        except BusError as error:
            return error
        raise AssertionError(f"the call was granted: {values}")


class Connection:
    """The transport of this process's own connections. Descriptors that reach a closed one are closed too."""

    def __init__(self, bus):
        self._connection = bus.connect()
        self.name = self._connection.get_unique_name()

    def send(self, destination, path, interface, member, body, fds, flags, timeout):
        pending = Pending()
        descriptors = Gio.UnixFDList.new()
        for fd in fds:
            descriptors.append(fd)

        def on_reply(connection, result):
            try:
                values, received = connection.call_with_unix_fd_list_finish(result)
                wanted = received and not connection.is_closed()
                pending.succeed(values.unpack(), received.steal_fds() if wanted else [])
            except GLib.Error as error:
                pending.fail(BusError.of(error))
        self._connection.call_with_unix_fd_list(
            destination, path, interface, member, body, None, flags, timeout * 1000, descriptors, None, on_reply)
        return pending

    def close(self):
        if not self._connection.is_closed():
            self._connection.close_sync(None)


def options(values):
    """a{sv} of keyword arguments: `on_break="kill"` is the key on-break; a GLib.Variant is taken as it is."""
    made = {}
    for key, value in values.items():
        key = key.replace("_", "-")
        made[key] = value if isinstance(value, GLib.Variant) else GLib.Variant(OPTION_TYPES.get(key, "s"), value)
    return made


class Client:
    """One caller of the service. `uid` None: a connection of the test's own process, which is root's. `gids`: of further groups."""

    def __init__(self, bus, uid=None, gids=()):
        self.transport = Connection(bus) if uid is None else RemoteProcess(bus, uid, gids, Pending, BusError, wait_until, signal_last_of)
        self.name = self.transport.name
        self.pid = getattr(self.transport, "pid", None)

    def start(self, member, signature="()", *arguments, path=OBJECT, interface=MANAGER, destination=NAME, fds=(),
              interactive=False, timeout=PATIENCE):
        """Sends a call and returns it as Pending."""
        flags = Gio.DBusCallFlags.NO_AUTO_START
        if interactive:
            flags |= Gio.DBusCallFlags.ALLOW_INTERACTIVE_AUTHORIZATION
        body = GLib.Variant(signature, arguments)
        return self.transport.send(destination, path, interface, member, body, fds, flags, timeout)

    def call(self, member, signature="()", *arguments, **how):
        return self.start(member, signature, *arguments, **how).result()

    def refused(self, member, signature="()", *arguments, **how):
        """Calls, and returns the BusError that it must end with."""
        return self.start(member, signature, *arguments, **how).error()

    def start_acquire(self, path, mode="exclusive", *, how=None, **values):
        return self.start("Acquire", "(ssa{sv})", str(path), mode, options(values), **(how or {}))

    def acquire(self, path, mode="exclusive", **values):
        return Lease(self, *self.start_acquire(path, mode, **values).result())

    def refused_acquire(self, path, mode="exclusive", **values):
        return self.start_acquire(path, mode, **values).error()

    def start_acquire_fd(self, fd, mode="exclusive", **values):
        return self.start("AcquireFd", "(hsa{sv})", 0, mode, options(values), fds=[fd])

    def acquire_fd(self, fd, mode="exclusive", **values):
        return Lease(self, *self.start_acquire_fd(fd, mode, **values).result())

    def hold(self, path, mode="exclusive", **values):
        """Returns the lease and the descriptor that keeps it."""
        pending = self.start("Hold", "(ssa{sv})", str(path), mode, options(values))
        lease, token, index = pending.result()
        return Lease(self, lease, token), pending.fds[index]

    def start_acquire_set(self, disks, **values):
        """`disks`: (path, mode) pairs."""
        disks = [(str(path), mode) for path, mode in disks]
        return self.start("AcquireSet", "(a(ss)a{sv})", disks, options(values))

    def acquire_set(self, disks, **values):
        return self._leases(self.start_acquire_set(disks, **values))

    def refused_acquire_set(self, disks, **values):
        return self.start_acquire_set(disks, **values).error()

    def start_acquire_domain(self, xml, **values):
        return self.start("AcquireDomain", "(sa{sv})", xml, options(values))

    def acquire_domain(self, xml, **values):
        return self._leases(self.start_acquire_domain(xml, **values))

    def refused_acquire_domain(self, xml, **values):
        return self.start_acquire_domain(xml, **values).error()

    def _leases(self, pending):
        return [Lease(self, *granted) for granted in pending.result()[0]]

    def held(self):
        """Who has what, by path: {path: mode}."""
        return {lease["Path"]: lease["Mode"] for lease in self.list().values()}

    def release(self, lease):
        self.call("Release", "(o)", str(lease))

    def inspect(self, path):
        return self.call("Inspect", "(s)", str(path))[0]

    def list(self, **filters):
        """Every lease, page after page: {object path: properties}."""
        found = {}
        while True:
            leases, after = self.call("ListLeases", "(a{sv})", options(filters))
            found.update(leases)
            if not after:
                return found
            filters["after"] = after

    def get(self, name, path=OBJECT, interface=MANAGER):
        return self.call("Get", "(ss)", interface, name, path=str(path), interface=PROPERTIES)[0]

    def get_all(self, path=OBJECT, interface=MANAGER):
        return self.call("GetAll", "(s)", interface, path=str(path), interface=PROPERTIES)[0]

    def close(self):
        """Leaves the bus."""
        self.transport.close()


class Lease:
    """A lease that a client was granted; str() is its object path."""

    def __init__(self, client, path, token):
        self.client, self.path, self.token = client, path, token

    def __str__(self):
        return self.path

    def __getitem__(self, name):
        """A property."""
        return self.client.get(name, self.path, LEASE)

    def call(self, member, signature="()", *arguments):
        return self.client.call(member, signature, *arguments, path=self.path, interface=LEASE)

    def refused(self, member, signature="()", *arguments):
        return self.client.refused(member, signature, *arguments, path=self.path, interface=LEASE)

    def release(self):
        self.call("Release")

    def exists(self):
        try:
            self.client.get_all(self.path, LEASE)
        except BusError as error:
            assert error.name in ("NoSuchLease", "UnknownObject", "UnknownMethod", "UnknownInterface"), error
            return False
        return True


class Signals:
    """Every signal of the service, in the order in which it came."""

    def __init__(self, bus):
        self.seen = []
        self._connection = bus.connect()
        self._connection.signal_subscribe(NAME, None, None, None, None, 0, self._on_signal)
        # The subscription stands once the bus has answered something sent after it.
        self._connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                   "GetId", None, None, 0, -1, None)

    def _on_signal(self, _connection, _sender, path, interface, member, values):
        self.seen.append((member, path, interface, values.unpack()))

    def named(self, member):
        """The arguments of every signal called so."""
        return [values for name, _, _, values in self.seen if name == member]

    def wait_for(self, member, matches=lambda *_: True):
        """The arguments of the first signal called so whose arguments match."""
        return wait_until(lambda: next((v for v in self.named(member) if matches(*v)), None), member)
