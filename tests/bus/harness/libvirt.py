"""The real libvirtd with its QEMU driver, in mount, network and UTS namespaces of its own.

There it has folders of the test's in place of its own, and the private bus for the system's. Its QEMUs are real too, and
their processors emulated; the guests have no operating system. What is not private is the disk images.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from .process import Process, wait_until
from .service import build_dir

LIBRARIES = next(Path("/usr/lib").glob("*/libvirt"), Path("/usr/lib/libvirt"))
REAPER = Path(__file__).resolve().parent / "reap.py"
OWN_FOLDERS = ("run", "etc/libvirt", "var/lib/libvirt", "var/log/libvirt")
CACHE = "var/cache/libvirt"
# libvirt drops nothing here, but looks for its users all the same. The last process keeps the namespaces.
# Another release's root sees nothing of this machine but the folder for temporary files, and is not written to.
ENTER = """
set -e
hostname "$2"
mount --make-rprivate / 2>/dev/null || nsenter --mount=/proc/self/ns/mnt mount --make-rprivate /
for folder in run etc/libvirt var/lib/libvirt var/log/libvirt var/cache/libvirt etc/passwd etc/group; do
    mount --bind "$1/$folder" "$3/$folder"
done
[ "$3" = / ] || for folder in proc dev sys tmp; do
    mount --rbind "/$folder" "$3/$folder"
done
# Where the hook looks for what it loads.
[ "$3" != / ] || mount --bind "$1/plugins/lock-driver" "$4"
exec chroot "$3" sleep infinity
"""
QEMU_CONF = """
security_driver = "none"
cgroup_controllers = []
stdio_handler = "file"
"""
# Simpler than as shipped, and faster.
PLAIN_CONF = """
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
namespaces = []
"""
LIBVIRTD_CONF = """
auth_unix_rw = "none"
log_outputs = "2:stderr"
"""


class VirshError(Exception):
    """What virsh said, without its "error: "."""


def _add_user(file, line):
    """`file` with `line` in it, unless it has a line of that name."""
    text = Path(file).read_text()
    known = {entry.split(":")[0] for entry in text.splitlines()}
    return text if line.split(":")[0] in known else f"{text}{line}\n"


class Libvirt:
    """One host's libvirtd. `cache`: a folder that outlives the test, because asking QEMU what it can do takes seconds;
    `lock_manager`: None for none; `hook`: has libvirt our hook; `root`: of a Debian whose libvirt and QEMU they
    are to be; `plain`: QEMU runs as root and in libvirtd's mount namespace."""

    def __init__(self, bus, cache, lock_manager="disklock", name="alpha", hook=False, root="/", plain=True):
        self.bus = bus
        self.name = name
        self.folder = bus.folder / f"libvirt-{name}"
        for place in OWN_FOLDERS:
            (self.folder / place).mkdir(parents=True)
        (self.folder / CACHE).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / CACHE).symlink_to(cache)
        (self.folder / "etc/passwd").write_text(_add_user("/etc/passwd", "libvirt-qemu:x:64055:64055::/:/usr/sbin/nologin"))
        (self.folder / "etc/group").write_text(_add_user("/etc/group", "libvirt-qemu:x:64055:"))
        lock = f'lock_manager = "{lock_manager}"\n' if lock_manager else ""
        (self.folder / "etc/libvirt/qemu.conf").write_text(QEMU_CONF + lock + (PLAIN_CONF if plain else ""))
        # Two hosts of one machine would have one UUID, and libvirt would not migrate between them.
        (self.folder / "etc/libvirt/libvirtd.conf").write_text(f'{LIBVIRTD_CONF}host_uuid = "{uuid.uuid4()}"\n')
        if hook:
            self._install_hook()
        self._gather_plugins()
        # Its packages bring some of them; of the rest libvirtd itself makes those that it misses.
        for place in (*OWN_FOLDERS, CACHE):
            Path("/", place).mkdir(exist_ok=True)
        self._reapers = []
        self.keeper = Process(f"namespaces-{name}", [
            "unshare", "--mount", "--uts", "--net", "--propagation", "unchanged", "sh", "-c", ENTER, "sh", self.folder, name, root,
            LIBRARIES / "lock-driver"], bus.folder)
        wait_until(self._is_entered, "the namespaces")
        self.start()

    def _is_entered(self):
        assert self.keeper.is_alive(), f"the namespaces could not be made:\n{self.keeper.output()}"
        return Path(f"/proc/{self.keeper.pid}/comm").read_text() == "sleep\n"

    def _install_hook(self):
        """As `disklockctl libvirt enable` does. libvirt gives hooks an environment of its own: it finds the bus where it is usually."""
        self.hook = self.folder / "etc/libvirt/hooks/qemu.d/disklock"
        self.hook.parent.mkdir(parents=True)
        self.hook.symlink_to(build_dir() / "client/libvirt/disklock-libvirt-hook")
        (self.folder / "run/dbus").mkdir()
        (self.folder / "run/dbus/system_bus_socket").symlink_to(self.bus.address.removeprefix("unix:path="))

    def _gather_plugins(self):
        """Of the drivers only QEMU's: the others would look at this machine's networks and disks."""
        self.plugins = self.folder / "plugins"
        for kind in ("connection-driver", "lock-driver"):
            (self.plugins / kind).mkdir(parents=True)
        driver = "connection-driver/libvirt_driver_qemu.so"
        (self.plugins / driver).symlink_to(LIBRARIES / driver)
        for file in (LIBRARIES / "lock-driver/lockd.so", build_dir() / "client/libvirt/disklock.so"):
            shutil.copy(file, self.plugins / "lock-driver")

    @property
    def inside(self):
        """What to put before a command that is to run in this host."""
        return ["nsenter", f"--target={self.keeper.pid}", "--mount", "--uts", "--net", "--root", "--wd=/", "--"]

    def environment(self, **more):
        return self.bus.environment(LIBVIRT_DRIVER_DIR=str(self.plugins / "connection-driver"),
                                    LIBVIRT_LOCK_MANAGER_PLUGIN_DIR=str(self.plugins / "lock-driver"), **more)

    def spawn(self, program):
        """Runs a program of this host, with no end but close(): who reaps for it, and its pid."""
        file = self.folder / f"{program}.pid"
        file.unlink(missing_ok=True)
        reaper = Process(f"{program}-{self.name}", [sys.executable, REAPER, file, *self.inside, program], self.bus.folder,
                         env=self.environment())
        self._reapers.append(reaper)
        return reaper, int(wait_until(lambda: file.exists() and file.read_text(), f"the pid of {program}"))

    # ---- libvirtd ----

    def start(self):
        """Until it answers calls."""
        reaper, self.daemon_pid = self.spawn("libvirtd")

        def ready():
            assert self.is_alive(), f"libvirtd ended:\n{reaper.output()}"
            return self._run("uri").returncode == 0
        wait_until(ready, "libvirtd")

    def is_alive(self):
        return Path(f"/proc/{self.daemon_pid}").exists()

    def stop(self, number=signal.SIGTERM):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.daemon_pid, number)
        wait_until(lambda: not self.is_alive(), "libvirtd to end")

    def kill(self):
        self.stop(signal.SIGKILL)

    def restart(self, kill=True):
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def close(self):
        """With all that runs in it: a QEMU is no child of anybody's."""
        namespace = os.readlink(f"/proc/{self.keeper.pid}/ns/net")
        self.kill()
        for task in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(task / "ns/net") == namespace and int(task.name) != self.keeper.pid:
                    os.kill(int(task.name), signal.SIGKILL)
                    wait_until(lambda: not (task / "exe").exists(), f"process {task.name} to end")
            except OSError:
                continue
        for process in (*self._reapers, self.keeper):
            process.kill()

    # ---- its domains ----

    def _run(self, *arguments, timeout=None):
        return subprocess.run([*self.inside, "virsh", "--connect", "qemu:///system", "--quiet", *map(str, arguments)],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, env=self.environment(), check=False, timeout=timeout)

    def virsh(self, *arguments, timeout=None):
        """What it printed; VirshError where it failed."""
        done = self._run(*arguments, timeout=timeout)
        if done.returncode != 0:
            raise VirshError(done.stderr.strip().removeprefix("error: "))
        return done.stdout.strip()

    def refused(self, *arguments, timeout=None):
        """What virsh says of what it could not do."""
        try:
            said = self.virsh(*arguments, timeout=timeout)
        except VirshError as error:
            return str(error)
        raise AssertionError(f"virsh {arguments} was done: {said}")

    def file(self, xml):
        """A file that has `xml` in it, for virsh."""
        file = self.folder / "xml"
        file.write_text(xml)
        return file

    def create(self, xml):
        """Starts a domain."""
        return self.virsh("create", self.file(xml))

    def refused_create(self, xml, timeout=None):
        return self.refused("create", self.file(xml), timeout=timeout)

    def pid(self, name="web01"):
        """QEMU's."""
        return int((self.folder / f"run/libvirt/qemu/{name}.pid").read_text())

    def state(self, name="web01"):
        """"running", "paused", "shut off"…"""
        return self.virsh("domstate", name)

    def running(self):
        """The names of the domains whose process is there."""
        return set(self.virsh("list", "--name").split())
