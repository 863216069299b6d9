#!/usr/bin/python3
"""Installs into an empty folder as a Debian package would, and looks at everything that came to lie there."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests" / "bus"))
sys.dont_write_bytecode = True

from gi.repository import GLib  # noqa: E402
from harness import bus as bus_module  # noqa: E402

NAME = "org.disklock.DiskLock1"
ACTIONS = {f"org.disklock.disklock1.{name}" for name in (
    "acquire", "acquire-fd", "acquire-for-others", "release-any", "inspect", "break", "fence", "reload")}
NOBODY = 65534
REFUSED = "Call failed: Access denied\n"  # what busctl prints where the bus lets a message not through
HOOK = "usr/bin/disklock-libvirt-hook"
PROGRAMS = {"usr/bin/disklockctl", "usr/libexec/disklockd", HOOK}
# What AppArmor lets libvirt's daemons execute beside libvirt's own programs: src/security/apparmor/usr.sbin.libvirtd.in and
# usr.sbin.virtqemud.in of libvirt, on Debian /etc/apparmor.d/usr.sbin.libvirtd of libvirt-daemon-system. A `*` is no `/`:
# apparmor.d(5). What counts is the path that a link leads to.
EXECUTABLE_BY_LIBVIRTD = ("/bin/*", "/sbin/*", "/usr/bin/*", "/usr/sbin/*")
FILES = PROGRAMS | {
    f"usr/lib/{sysconfig.get_config_var('MULTIARCH')}/libvirt/lock-driver/disklock.so",
    "usr/lib/disklock/disklock.conf",
    "usr/lib/systemd/catalog/disklock.catalog",
    "usr/lib/systemd/system/disklockd.service",
    "usr/share/bash-completion/completions/disklockctl",
    f"usr/share/dbus-1/interfaces/{NAME}.Lease.xml",
    f"usr/share/dbus-1/interfaces/{NAME}.Manager.xml",
    f"usr/share/dbus-1/system-services/{NAME}.service",
    f"usr/share/dbus-1/system.d/{NAME}.conf",
    "usr/share/doc/disklock/examples/50-reservations.conf",
    "usr/share/doc/disklock/examples/fence_disklock",
    "usr/share/doc/disklock/examples/50-disklock-libvirt.rules",
    "usr/share/locale/de/LC_MESSAGES/disklock.mo",
    "usr/share/man/man1/disklockctl.1",
    "usr/share/man/man5/disklock.conf.5",
    f"usr/share/man/man5/{NAME}.5",
    "usr/share/man/man8/disklockd.8",
    "usr/share/polkit-1/actions/org.disklock.disklock1.policy",
}
EMPTY_FOLDERS = {"etc/disklock/disklock.conf.d"}


def run(*command, **options):
    """Runs a command that must succeed, and returns what it printed."""
    result = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, **options)
    assert result.returncode == 0, f"{command} ended with {result.returncode}:\n{result.stdout}"
    return result.stdout


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="disklock-install-"))
        cls.folder.chmod(0o755)
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        build, cls.root = cls.folder / "build", cls.folder / "root"
        run("meson", "setup", build, "--prefix=/usr", "--sysconfdir=/etc", "--libexecdir=libexec", "-Dbuildtype=plain",
            cwd=SOURCE)
        run("ninja", "-C", build)
        run("meson", "install", "-C", build, "--no-rebuild", env={**os.environ, "DESTDIR": str(cls.root)})

    def read(self, name):
        return (self.root / name).read_text()

    def test_everything_lies_where_debian_expects_it_and_nothing_else(self):
        found = {str(path.relative_to(self.root)) for path in self.root.rglob("*")
                 if not path.is_dir() or not any(path.iterdir())}
        self.assertEqual(found, FILES | EMPTY_FOLDERS)

    def test_only_programs_can_be_executed(self):
        executable = {name for name in FILES if os.access(self.root / name, os.X_OK)}
        self.assertEqual(executable, PROGRAMS)

    def test_apparmor_lets_libvirtd_execute_the_hook(self):
        places = [pattern.replace("*", "[^/]+") for pattern in EXECUTABLE_BY_LIBVIRTD]
        for program in (HOOK, "usr/bin/disklockctl"):
            self.assertTrue(any(re.fullmatch(place, f"/{program}") for place in places), program)
        # What `disklockctl libvirt enable` makes the link lead to.
        self.assertIn(f"/{HOOK}\0".encode(), (self.root / "usr/bin/disklockctl").read_bytes())

    def test_the_hook_needs_no_library_that_may_just_be_replaced(self):
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "--dynamic", self.root / HOOK))
        self.assertLessEqual(set(needed), {"libc.so.6", "libdl.so.2"})
        # And finds what it loads.
        library = next(name for name in FILES if name.endswith("/disklock.so"))
        self.assertIn(f"/{Path(library).parent}\0".encode(), (self.root / HOOK).read_bytes())
        self.assertIn(" dlk_hook_run", run("nm", "--dynamic", "--defined-only", self.root / library))

    def test_nothing_names_the_folder_it_was_built_in(self):
        for name in FILES - PROGRAMS:
            self.assertNotIn(str(self.folder).encode(), (self.root / name).read_bytes(), name)

    def test_program_takes_the_shipped_policy_for_the_systems(self):
        self.assertIn(b"/etc/disklock\0", (self.root / "usr/libexec/disklockd").read_bytes())

    def test_shipped_policy_is_valid(self):
        run(self.root / "usr/libexec/disklockd", "--check-config",
            "--config", self.root / "usr/lib/disklock/disklock.conf")

    def test_xml_is_well_formed_and_the_policy_valid(self):
        for name in FILES:
            if name.endswith((".xml", ".policy")) or "/system.d/" in name:
                run("xmllint", "--nonet", "--noout", self.root / name)
        run("xmllint", "--nonet", "--noout", "--dtdvalid", "/usr/share/polkit-1/policyconfig-1.dtd",
            self.root / "usr/share/polkit-1/actions/org.disklock.disklock1.policy")

    def test_actions_are_those_of_the_contract_and_keep_no_yes(self):
        tree = ElementTree.parse(self.root / "usr/share/polkit-1/actions/org.disklock.disklock1.policy")
        answers = {}
        for action in tree.iter("action"):
            defaults = action.find("defaults")
            answers[action.get("id")] = [defaults.find(tag).text
                                         for tag in ("allow_any", "allow_inactive", "allow_active")]
        free = {f"org.disklock.disklock1.{name}" for name in ("acquire-fd", "inspect")}
        self.assertEqual(answers, {action: ["auth_admin", "auth_admin", "yes" if action in free else "auth_admin"]
                                   for action in ACTIONS})

    def test_prompts_name_the_disk_in_every_language(self):
        tree = ElementTree.parse(self.root / "usr/share/polkit-1/actions/org.disklock.disklock1.policy")
        language = "{http://www.w3.org/XML/1998/namespace}lang"
        for action in tree.iter("action"):
            messages = {message.get(language): message.text for message in action.iter("message")}
            self.assertEqual(set(messages), {None, "de"}, action.get("id"))
            for message in messages.values():
                self.assertEqual("$(path)" in message, not action.get("id").endswith(".reload"), message)

    def test_translations_are_whole(self):
        for language in (SOURCE / "po" / "LINGUAS").read_text().split():
            printed = run("msgfmt", "--check", "--statistics", "--output-file=/dev/null", SOURCE / f"po/{language}.po",
                          env={**os.environ, "LC_ALL": "C"})
            self.assertRegex(printed, r"^\d+ translated messages\.$")

    def test_man_pages_have_no_mistakes(self):
        for name in FILES:
            if "/man/" in name:
                printed = run("man", "--warnings", "--local-file", self.root / name,
                              env={**os.environ, "LC_ALL": "C.UTF-8", "MANROFFSEQ": "t", "MANWIDTH": "100"})
                self.assertIn("SEE ALSO", printed.upper(), name)

    def test_unit_is_valid_and_tightly_bounded(self):
        unit = self.folder / "disklockd.service"
        unit.write_text(self.read("usr/lib/systemd/system/disklockd.service").replace(
            "/usr/libexec/", f"{self.root}/usr/libexec/"))
        complaints = run("systemd-analyze", "verify", "--man=no", unit).splitlines()
        # systemd knows it from 254 on, and passes over it before that.
        self.assertEqual([line for line in complaints if "Unknown key 'FileDescriptorStorePreserve'" not in line], [])
        run("systemd-analyze", "security", "--no-pager", "--offline=yes", "--threshold=34", unit)

    def test_unit_stays_in_the_mount_namespace_of_the_host(self):
        unit = self.read("usr/lib/systemd/system/disklockd.service")
        for setting in ("PrivateTmp=", "PrivateDevices=", "ProtectSystem=", "ProtectHome=", "ProtectProc=",
                        "ProcSubset=", "ProtectKernelTunables=", "ProtectKernelModules=", "ProtectKernelLogs=",
                        "ProtectControlGroups=", "ReadOnlyPaths=", "InaccessiblePaths=", "TemporaryFileSystem=", "BindPaths="):
            self.assertNotIn(f"\n{setting}", unit)
        self.assertIn("\nPrivateMounts=no\n", unit)

    def test_activation_starts_the_unit(self):
        service = GLib.KeyFile()
        service.load_from_file(str(self.root / f"usr/share/dbus-1/system-services/{NAME}.service"), 0)
        group = "D-BUS Service"
        self.assertEqual(service.get_string(group, "Name"), NAME)
        self.assertEqual(service.get_string(group, "SystemdService"), "disklockd.service")
        self.assertEqual(service.get_string(group, "Exec"), "/usr/libexec/disklockd")

    def complete(self, *words):
        script = """source "$1"; COMP_WORDS=("${@:2}"); COMP_CWORD=$(($# - 2))
                    _disklockctl; printf '%s\\n' "${COMPREPLY[@]}" """
        return run("bash", "-c", script, "bash", self.root / "usr/share/bash-completion/completions/disklockctl",
                   "disklockctl", *words).split()

    def test_completion_knows_the_commands(self):
        self.assertEqual(self.complete("re"), ["release", "reload"])

    def test_completion_knows_values_and_options(self):
        self.assertEqual(self.complete("acquire", "--mode", "s"), ["shared"])
        self.assertEqual(self.complete("break", "--r"), ["--reason"])

    def start_bus(self):
        """A dbus-daemon with the installed rules; root, which is us, has the service's name."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        folder.chmod(0o755)
        bus_module.OUR_CONFIG = self.root / f"usr/share/dbus-1/system.d/{NAME}.conf"
        bus = bus_module.Bus(folder)
        self.addCleanup(bus.close)
        return bus

    def call_as_nobody(self, bus, *call):
        """What busctl says of a call by nobody; the service is there but has no objects."""
        return subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "busctl",
                               f"--address={bus.address}", "call", *call], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout

    def own_name(self, bus):
        answer = bus.watcher.call_sync(
            "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
            GLib.Variant("(su)", (NAME, 0)), None, 0, -1, None)
        self.assertEqual(answer.unpack(), (1,))

    def test_root_alone_may_have_the_name(self):
        bus = self.start_bus()
        printed = self.call_as_nobody(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                      "RequestName", "su", NAME, "0")
        self.assertEqual(printed, REFUSED)
        self.own_name(bus)

    def test_everybody_may_call_what_the_contract_has(self):
        bus = self.start_bus()
        self.own_name(bus)
        for interface, member in ((f"{NAME}.Manager", "Reload"), (f"{NAME}.Lease", "Release"),
                                  ("org.freedesktop.DBus.Properties", "GetAll"),
                                  ("org.freedesktop.DBus.Introspectable", "Introspect"),
                                  ("org.freedesktop.DBus.Peer", "Ping")):
            printed = self.call_as_nobody(bus, NAME, "/org/disklock/DiskLock1", interface, member)
            self.assertNotEqual(printed, REFUSED, interface)

    def test_nobody_may_call_anything_else(self):
        bus = self.start_bus()
        self.own_name(bus)
        printed = self.call_as_nobody(bus, NAME, "/org/disklock/DiskLock1", "org.example.Other", "Reload")
        self.assertEqual(printed, REFUSED)


if __name__ == "__main__":
    unittest.main()
