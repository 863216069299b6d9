"""A private system bus: the real dbus-daemon, with Debian's own rules and limits for a system bus."""

import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from gi.repository import Gio, GLib

from .process import Process, wait_until

SOURCE = Path(__file__).resolve().parents[3]
SYSTEM_CONFIG = "/usr/share/dbus-1/system.conf"
POLKIT_CONFIG = "/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf"
OUR_CONFIG = SOURCE / "data" / "org.disklock.DiskLock1.conf"
# What ties the system's bus to the system: its user, its socket, its services and its log.
DROPPED = {"user", "fork", "pidfile", "syslog", "standard_system_servicedirs", "servicehelper", "includedir",
           "include", "listen"}


class Bus:
    """The bus of one test; its socket is open to every uid. `enter`: what to put before a command that is to reach it."""

    enter = ()

    def __init__(self, folder):
        self.folder = folder
        self.address = f"unix:path={folder}/bus"
        config = folder / "bus.conf"
        config.write_text(self._config())
        self._config_file = config
        self._connections = []
        self.start()

    def start(self):
        """Another bus in the place of the one that has ended, if there was one."""
        self.process = Process("dbus-daemon", ["dbus-daemon", "--nofork", f"--config-file={self._config_file}"], self.folder)
        self.watcher = wait_until(self._try_to_connect, "the bus")

    def crash(self):
        """SIGKILL: every connection is closed."""
        self.process.kill()

    def _try_to_connect(self):
        assert self.process.is_alive(), f"dbus-daemon ended:\n{self.process.output()}"
        try:
            return self.connect()
        except GLib.Error:
            return None

    def _config(self):
        tree = ElementTree.parse(SYSTEM_CONFIG).getroot()
        for element in list(tree):
            if element.tag in DROPPED:
                tree.remove(element)
        ElementTree.SubElement(tree, "listen").text = self.address
        for file in (POLKIT_CONFIG, OUR_CONFIG):
            ElementTree.SubElement(tree, "include").text = str(file)
        return ElementTree.tostring(tree, encoding="unicode")

    def environment(self, **more):
        """What a program needs to take this bus for the system's."""
        return {**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address, **more}

    def connect(self):
        """A new connection of this process."""
        flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | Gio.DBusConnectionFlags.MESSAGE_BUS_CONNECTION
        connection = Gio.DBusConnection.new_for_address_sync(self.address, flags, None, None)
        self._connections.append(connection)
        return connection

    def has_owner(self, name):
        answer = self.watcher.call_sync(
            "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner",
            GLib.Variant("(s)", (name,)), None, Gio.DBusCallFlags.NONE, -1, None)
        return answer.unpack()[0]

    def wait_for_name(self, name, process):
        """Until `name` is on the bus; at once an error if the process that should take it ended."""
        def ready():
            assert process.is_alive(), f"{process.name} ended before it was on the bus:\n{process.output()}"
            return self.has_owner(name)
        wait_until(ready, name)

    def close(self):
        for connection in self._connections:
            if not connection.is_closed():
                connection.close_sync(None)
        self.process.stop()
