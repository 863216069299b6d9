"""How long a domain takes to start, from virsh to running: with no lock manager, with virtlockd and with disklock, in turns.

Called by tools/bench-libvirt. Ends with 1 where disklock adds more than virtlockd does.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "bus"), str(TESTS / "libvirt")]
from harness import Bus, Libvirt  # noqa: E402
from harness.domain import disk, small_domain  # noqa: E402
from lock_managers import Disklock, Virtlockd  # noqa: E402

SIZES = (1, 8, 32)
NOISE = 0.01  # seconds: below this nothing can be told apart


class Unlocked:
    """libvirt without a lock manager."""

    def __init__(self, bus, cache):
        self.libvirt = Libvirt(bus, cache, lock_manager=None)

    def close(self):
        self.libvirt.close()


MANAGERS = {"none": Unlocked, "virtlockd": Virtlockd, "disklock": Disklock,
            "disklock without its hook": lambda bus, cache: Disklock(bus, cache, hook=False)}


def letters(number):
    """sda, …, sdz, sdaa…"""
    return ("" if number < 26 else letters(number // 26 - 1)) + chr(ord("a") + number % 26)


def make_host(name, folder, cache, stack):
    place = folder / name.replace(" ", "-")
    place.mkdir(mode=0o755)
    bus = stack.enter_context(closing(Bus(place)))
    host = stack.enter_context(closing(MANAGERS[name](bus, cache)))
    for number in range(max(SIZES)):
        subprocess.run(["truncate", "-s", "1M", place / f"{number}.img"], check=True)
    host.domains = {size: small_domain(*(disk(place / f"{number}.img", f"sd{letters(number)}", bus="scsi") for number in range(size)))
                    for size in SIZES}
    return host


def measure(host, size):
    """Seconds."""
    file = host.libvirt.file(host.domains[size])
    begin = time.monotonic()
    host.libvirt.virsh("create", file)
    taken = time.monotonic() - begin
    host.libvirt.virsh("destroy", "web01")
    return taken


def run(folder, rounds):
    cache = folder / "cache"
    cache.mkdir()
    taken = {(name, size): [] for name in MANAGERS for size in SIZES}
    with ExitStack() as stack:
        hosts = {name: make_host(name, folder, cache, stack) for name in MANAGERS}
        for host in hosts.values():
            measure(host, 1)
        for _ in range(rounds):
            for size in SIZES:
                for name, host in hosts.items():
                    taken[name, size].append(measure(host, size))
    return {key: statistics.median(values) for key, values in taken.items()}


def cell(medians, name, size):
    median = 1000 * medians[name, size]
    added = median - 1000 * medians["none", size]
    return f"{f'{median:.0f} ({added:+.0f})':>14}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    folder = Path(tempfile.mkdtemp(prefix="disklock-bench-"))
    folder.chmod(0o755)
    try:
        medians = run(folder, parser.parse_args().rounds)
    finally:
        shutil.rmtree(folder)
    print(f"{'median start, ms (added)':28}" + "".join(f"{f'{size} disks':>14}" for size in SIZES))
    for name in MANAGERS:
        print(f"{name:28}" + "".join(cell(medians, name, size) for size in SIZES))
    missed = [size for size in SIZES if medians["disklock", size] > medians["virtlockd", size] + NOISE]
    if missed:
        sys.exit(f"disklock adds more than virtlockd with {missed} disks")


main()
