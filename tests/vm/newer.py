"""A guest with a kernel newer than the machine's release has, for what that one does not know yet. All else is as in cache.py."""

import contextlib
import os
from pathlib import Path

import cache
import kept

# Debian's current kernel. The keyring is in every Debian root.
SOURCE = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie-backports main\n"
PREFERENCES = "Package: linux-*\nPin: release n=trixie-backports\nPin-Priority: 990\n"


@contextlib.contextmanager
def apt_that_knows_it(folder):
    """With lists of its own, in which the machine's own sources are too."""
    apt = folder / "apt"
    (apt / "lists/partial").mkdir(parents=True)
    own = Path("/etc/apt/sources.list")
    (apt / "sources.list").write_text((own.read_text(encoding="utf-8") if own.exists() else "") + "\n" + SOURCE, encoding="utf-8")
    (apt / "preferences").write_text(PREFERENCES, encoding="utf-8")
    settings = {"Dir::Etc::sourcelist": apt / "sources.list", "Dir::Etc::preferences": apt / "preferences", "Dir::State::lists": apt / "lists",
                "Dir::Cache::pkgcache": "", "Dir::Cache::srcpkgcache": "", "APT::Sandbox::User": "root"}
    (apt / "apt.conf").write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()), encoding="utf-8")
    before = os.environ.get("APT_CONFIG")
    os.environ["APT_CONFIG"] = str(apt / "apt.conf")
    try:
        kept.run("apt-get", "update")
        yield
    finally:
        del os.environ["APT_CONFIG"]
        if before is not None:
            os.environ["APT_CONFIG"] = before
        kept.run("rm", "-r", apt)


def make(folder):
    with apt_that_knows_it(folder):
        cache.make(folder)


def prepare():
    """As cache.prepare()."""
    circumstances = Path("/var/lib/dpkg/status").read_bytes() + Path(cache.__file__).read_bytes() + Path(__file__).read_bytes()
    return cache.Boot(*kept.prepare("guest-newer", circumstances, make))
