"""
Runs the measurements that take many descriptors in a guest (tests/vm/README.md), whose root may have as many as it wants. The
arguments are those of bench.py.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vm"))
import cache  # noqa: E402
import machine  # noqa: E402

MEMORY = 2560  # MiB; the kernel's part of 100,000 open and locked files among them


def main():
    build = Path(os.environ["DISKLOCK_BUILD"]).resolve()
    with tempfile.TemporaryDirectory(prefix="disklock-bench-") as folder:
        command = machine.command(cache.prepare(), build, Path(folder), "bench", ["--emulated", *sys.argv[1:]], MEMORY)
        guest = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")
        lines = []
        for line in guest.stdout:
            lines.append(line.rstrip())
            print(lines[-1], flush=True)
        guest.wait()
        if not any(line.startswith("Files of 0 bytes") for line in lines):
            print(*(Path(folder) / "console.log").read_text(errors="replace").splitlines()[-20:], sep="\n")
            sys.exit("tools/bench: the guest ended before its time")
    sys.exit(1 if any("NOT REACHED" in line for line in lines) else 0)


try:
    main()
except cache.Failed as problem:
    sys.exit(f"tools/bench: {problem}")
