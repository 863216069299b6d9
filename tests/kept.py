"""What takes long to make and is kept from run to run: each kind in a folder of its own."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(os.environ.get("DISKLOCK_TEST_CACHE", "/var/cache/disklock-tests"))


class Failed(Exception):
    """Something that the tests need cannot be had; the text says what, and why."""


def run(*command, **options):
    """Runs a command and returns its output; whatever it says goes into the error if it fails."""
    try:
        done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, **options)
    except FileNotFoundError as problem:
        raise Failed(f"{problem.filename} is missing: run tools/packages test") from problem
    if done.returncode != 0:
        output = b"".join(text if isinstance(text, bytes) else text.encode() for text in (done.stdout, done.stderr))
        raise Failed(f"{' '.join(map(str, command))} ended with {done.returncode}\n{output.decode(errors='replace')[-4000:]}")
    return done.stdout


def prepare(kind, circumstances, make):
    """
    Returns the folder of this kind that was made under these circumstances (bytes), and an open file: as long as that is open,
    nobody replaces the folder. Where there is none, `make` is called with an empty folder first, and what was there is removed.
    """
    place = FOLDER / kind
    folder = place / hashlib.sha256(circumstances).hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    lock = open(place / "lock", "w", encoding="utf-8")
    fcntl.flock(lock, fcntl.LOCK_SH)
    if not folder.exists():
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            replace_by(folder, make)
        fcntl.flock(lock, fcntl.LOCK_SH)
    return folder, lock


def replace_by(folder, make):
    for old in folder.parent.glob("*/"):
        shutil.rmtree(old)
    unfinished = folder.parent / "unfinished"
    unfinished.mkdir()
    make(unfinished)
    unfinished.rename(folder)
