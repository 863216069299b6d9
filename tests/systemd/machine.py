"""A Debian that systemd-nspawn boots from a kept root, with disklockd installed by `meson install`.

Everything of it lives in namespaces for processes and mounts and in memory: when its first process ends, however, the kernel
ends the rest and unmounts everything. What it leaves is an empty control group, which is removed by whoever comes next.
"""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import harness
from harness import Process, wait_until
from harness.process import children_of, signal_last_of

UNIT = "disklockd.service"
IMAGES = Path("/images")
CALLERS = Path(harness.__file__).parent  # the program of the callers is run there, under the same name
PREFIX = "disklock-test-"
# $1: what is installed; $2: the root of Debian; $3: a folder for mounts; $4: where the callers' program is
BOOT = """
set -eu
mount -t tmpfs -o mode=755 disklock-test "$3"
mkdir "$3/changes" "$3/work" "$3/root"
mount -t overlay -o "lowerdir=$1:$2,upperdir=$3/changes,workdir=$3/work" disklock-test "$3/root"
exec systemd-nspawn --quiet --directory="$3/root" --register=no --keep-unit --private-network --machine=disklock-test \
    --console=pipe --tmpfs=/images:mode=755 --bind-ro="$4" --boot
"""


def install(folder):
    """What a package of disklock would bring, and its unit enabled."""
    folder.mkdir(mode=0o755)
    for command in (["meson", "install", "-C", harness.build_dir(), "--no-rebuild", "--destdir", folder],
                    ["systemctl", f"--root={folder}", "enable", UNIT]):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}"


class ControlGroup:
    """One of our own below that in which we are: systemd in the container takes what it is in for the whole tree."""

    def __init__(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
            found = [line.split()[4] for line in mounts if " - cgroup2 " in line]
        assert found, "systemd takes control groups of version 2, and none are mounted here"
        own = re.search(r"^0::/(.*)$", Path("/proc/self/cgroup").read_text(), re.M)[1]
        parent = Path(found[0]) / own
        for old in parent.glob(f"{PREFIX}*"):
            if not Path(f"/proc/{old.name.removeprefix(PREFIX).split('-')[0]}").exists():
                self._remove(old)
        self.path = parent / f"{PREFIX}{os.getpid()}-{time.monotonic_ns()}"
        self.path.mkdir()

    def processes(self, unit):
        """Of a unit in the container, by the numbers that they have here."""
        return [int(pid) for pid in (self.path / "payload" / unit / "cgroup.procs").read_text().split()]

    def _remove(self, path):
        for folder, _, _ in os.walk(path, topdown=False):
            os.rmdir(folder)

    def close(self):
        wait_until(lambda: "populated 0" in (self.path / "cgroup.events").read_text(), "the control group to be empty")
        self._remove(self.path)


class Machine:
    """Boots at once; `root` and `installed` are only read. To callers it is a bus."""

    address = "unix:path=/run/dbus/system_bus_socket"

    def __init__(self, root, installed, folder):
        self.folder = folder
        (folder / "mounts").mkdir()
        self._group = ControlGroup()
        join = ["sh", "-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"', self._group.path]
        alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "--mount", "--propagation=private"]
        self.process = Process("console", [*join, *alone, "sh", "-c", BOOT, "sh", installed, root, folder / "mounts", CALLERS], folder,
                               env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"})
        try:
            self._boot()
        except BaseException:
            self.close()
            raise

    def _boot(self):
        self._wait_for(lambda: (self._group.path / "payload/init.scope").exists() and self._group.processes("init.scope"),
                       "systemd to start")
        self.init = self._group.processes("init.scope")[0]
        self._wait_for(lambda: self.try_to("systemctl", "is-system-running", "--wait").stdout.strip() in ("running", "degraded"),
                       "systemd to have booted")
        self.state_after_boot = self.show("ActiveState")
        # 254 is the first to know FileDescriptorStorePreserve=.
        self.keeps_descriptors = int(re.search(r"systemd (\d+)", self.run("systemctl", "--version"))[1]) >= 254
        # As the trigger of Debian's package does after an installation.
        self.run("journalctl", "--update-catalog")

    def _wait_for(self, condition, what):
        def met():
            assert self.process.is_alive(), f"the container ended before {what}:\n{self.process.output()}"
            return condition()
        wait_until(met, what)

    @property
    def enter(self):
        """What to put before a command that is to run in the container."""
        return ["nsenter", f"--target={self.init}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wdns=/", "--"]

    def try_to(self, *command, **options):
        """Runs a command in the container; returns the CompletedProcess."""
        return subprocess.run([*self.enter, *map(str, command)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=harness.PATIENCE, **options)

    def run(self, *command):
        """Runs a command that must succeed, and returns what it printed."""
        done = self.try_to(*command)
        assert done.returncode == 0, f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def outside(self, path):
        """The same file for the test."""
        return Path(f"/proc/{self.init}/root{path}")

    def show(self, name, unit=UNIT):
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def journal(self, *arguments):
        return self.run("journalctl", "--no-pager", "--quiet", "--boot", *arguments)

    def close(self):
        # unshare(1) lives until the namespace's first process has ended, and that ends last.
        for child in children_of(self.process.pid):
            os.kill(child, signal.SIGKILL)
        self.process.wait()
        self._group.close()


class Inner(Process):
    """A program in a machine; `pid` is its number there."""

    def __init__(self, name, uid, command, machine):
        become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--pdeathsig=KILL", "--"]
        super().__init__(f"{name}-{time.monotonic_ns()}", [*machine.enter, "sh", "-c", 'echo $$; exec "$@"', "sh", *become, *command],
                         machine.folder)
        wait_until(lambda: self.output().endswith("\n"), f"{command[0]} to start")

    @property
    def pid(self):
        return int(self.output().split()[0])

    def signal(self, number):
        if self.is_alive():
            signal_last_of(super().pid, number)
