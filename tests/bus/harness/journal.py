"""A journal of the test's own: the real systemd-journald, in a mount namespace where its folders are empty."""

import json
import shutil
import subprocess

from .process import Process, wait_until
from .service import SOURCE

JOURNALD = "/usr/lib/systemd/systemd-journald"
CATALOG = SOURCE / "data" / "disklock.catalog"
# $1: the test's folder, with what is to lie over /run/systemd, /run/log and /var/lib/systemd.
ENTER = """
set -e
mkdir -p /run/systemd /run/log
mount --bind "$1/run" /run/systemd
mount --bind "$1/log" /run/log
mount --bind "$1/lib" /var/lib/systemd
exec "$2"
"""


class Journal:
    """Knows the entries of the programs that were started `inside` it."""

    def __init__(self, folder):
        self.folder = folder / "journal"
        for name in ("run/journal", "log/journal", "lib/catalog", "usr/lib/systemd/catalog", "var/lib/systemd/catalog"):
            (self.folder / name).mkdir(parents=True)
        shutil.copy(CATALOG, self.folder / "usr/lib/systemd/catalog")
        subprocess.run(["journalctl", f"--root={self.folder}", "--update-catalog"], check=True)
        shutil.copy(self.folder / "var/lib/systemd/catalog/database", self.folder / "lib/catalog")
        self.process = Process("journald", ["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "sh",
                                            self.folder, JOURNALD], folder)
        wait_until(lambda: (self.folder / "run/journal/socket").exists() and (self.folder / "run/journal/stdout").exists(),
                   "journald")

    @property
    def enter(self):
        return ["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", "--wd=/"]

    @property
    def inside(self):
        """What to put before a command, so that its output goes to this journal, as systemd would have it."""
        return [*self.enter, "systemd-cat", "--level-prefix=false"]

    def journalctl(self, *arguments):
        return subprocess.run([*self.enter, "journalctl", "--directory=/run/log/journal", "--no-pager", "--quiet", *arguments],
                              check=True, capture_output=True, text=True).stdout

    def entries(self, *matches):
        """Of disklock, oldest first: fields with their values; one that is there several times has a list."""
        said = self.journalctl("--output=json", "--all", "GLIB_DOMAIN=disklock", *matches)
        return [json.loads(line) for line in said.splitlines()]

    def wait_for(self, *matches):
        """The first entry that has all of these fields."""
        return wait_until(lambda: self.entries(*matches), f"an entry with {matches}")[0]

    def close(self):
        self.process.stop()
