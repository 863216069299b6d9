"""The service itself, as it is run by hand: a runtime folder, a policy file, the private bus."""

import os
import re
import signal
from collections import Counter
from pathlib import Path

from .client import NAME
from .manager import Manager
from .process import Process

SOURCE = Path(__file__).resolve().parents[3]
POLICY = """
[Rule everything]
backend=fcntl;host
fallback=host
unreachable-after=2
check-interval=0.2
"""
# What it must never say, whatever happens to it: its libraries' complaints, and the sanitizers'.
COMPLAINT = re.compile(r"CRITICAL|ERROR \*\*|GLib[\w-]*-WARNING|\w+Sanitizer|runtime error:|Assertion")


def build_dir():
    """The build to test: $DISKLOCK_BUILD, else build/."""
    return Path(os.environ.get("DISKLOCK_BUILD", SOURCE / "build")).resolve()


def policy_files():
    """Our polkit actions, as built."""
    return list((build_dir() / "polkit").glob("*.policy"))


class Service:
    """disklockd. `fake`: the build for tests that also has the scriptable backend. `under`: what to put before its command;
    `more`: for its environment. `managed`: options of a Manager, which starts it then; None: it runs as by hand."""

    def __init__(self, bus, policy=POLICY, fake=False, under=(), managed=None, **more):
        self.bus = bus
        self.under = under
        self.more = more
        self.manager = None
        self.folder = bus.folder / "service"
        self.folder.mkdir(exist_ok=True)
        self.runtime = self.folder / "run"
        self.policy_file = self.folder / "disklock.conf"
        self.policy_file.write_text(policy)
        self.fake = self.folder / "fake"
        self.fake.mkdir(exist_ok=True)
        self.binary = build_dir() / "service" / ("disklockd-fake" if fake else "disklockd")
        if managed is not None:
            self.manager = Manager(self.folder, self._command(), self._environment(), **managed)
        self.start()

    def _command(self):
        return [*self.under, self.binary, "--runtime-dir", self.runtime, "--config", self.policy_file]

    def _environment(self):
        return self.bus.environment(
            G_DEBUG="fatal-criticals", DISKLOCK_FAKE_DIR=str(self.fake),
            ASAN_OPTIONS="detect_leaks=1:abort_on_error=0:exitcode=99", UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1",
            **self.more)

    def start(self):
        """Until it answers calls."""
        self.launch()
        self.wait()

    def launch(self):
        """Begins to start it, for which there need be no bus; see wait()."""
        if self.manager:
            self.process = self.manager.start()
        else:
            self.process = Process("disklockd", self._command(), self.bus.folder, env=self._environment())

    def wait(self):
        """Until it answers calls."""
        if self.manager:
            self.manager.wait_for("READY")
        self.bus.wait_for_name(NAME, self.process)

    def tell_fake(self, call, *words):
        """Tells the scriptable backend how to meet every "acquire", "check", "convert" or "release" from now on; no words: well. "main-loop", "hang":
        the service's main thread does nothing more."""
        unfinished = self.fake / ".new"
        unfinished.write_text(" ".join(words))
        unfinished.rename(self.fake / call)

    @property
    def pid(self):
        return self.process.pid

    def open_files(self):
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def descriptors(self):
        """What it has open: (what, how often)."""
        folder = f"/proc/{self.pid}/fd"
        found = Counter()
        for number in os.listdir(folder):
            try:
                found[re.sub(r"\d+", "N", os.readlink(f"{folder}/{number}"))] += 1
            except FileNotFoundError:
                pass  # closed meanwhile
        return found

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))

    def stop(self):
        """Ends it as systemd would, and says what was wrong with how it lived and ended."""
        status = self.process.stop() if self.process.is_alive() else self.process.wait()
        output = self.process.output()
        assert status == 0, f"disklockd ended with {status}:\n{output}"
        assert not COMPLAINT.search(output), f"disklockd complained:\n{output}"

    def crash(self):
        """SIGKILL: nothing is put in order."""
        self.process.signal(signal.SIGKILL)
        self.process.wait()
        if self.manager:
            self.manager.read()

    def restart(self, kill=True):
        """Ends it, by SIGKILL or as systemd would, and starts it again on what it left."""
        if kill:
            self.crash()
        else:
            self.stop()
        self.start()

    def close(self):
        if self.manager:
            self.manager.close()
