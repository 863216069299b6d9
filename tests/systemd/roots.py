"""The roots of Debian that are booted: made by mmdebstrap once, and kept."""

import platform
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import debian  # noqa: E402
import kept  # noqa: E402

RELEASES = {"12": "bookworm", "13": "trixie"}
# What disklockd takes, and python3-gi for the callers.
PACKAGES = ["systemd-sysv", "dbus", "polkitd", "libjson-glib-1.0-0", "libxml2", "libglib2.0-0", "python3-gi"]


def releases():
    """Those that what is built here runs on: this machine's own and the later ones. Likewise this program prints them."""
    own = platform.freedesktop_os_release().get("VERSION_ID", "")
    found = [number for number in RELEASES if own in RELEASES and int(number) >= int(own)]
    if not found:
        raise kept.Failed("these tests take Debian 12 or 13: what is built elsewhere runs on neither")
    return found


def prepare(release):
    """Returns the root's folder, and an open file: as long as that is open, nobody replaces the root."""
    if not shutil.which("systemd-nspawn"):
        raise kept.Failed("systemd-nspawn is missing: install the package systemd-container, or run tools/packages test")
    return debian.prepare(f"debian{release}", RELEASES[release], PACKAGES)


if __name__ == "__main__":
    try:
        print(*(f"debian{release}" for release in releases()))
    except kept.Failed as problem:
        sys.exit(str(problem))
