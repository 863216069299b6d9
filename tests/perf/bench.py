"""Measures the service beside a bare GDBus service and prints what it has to reach. Called by tools/bench, and in its guest."""

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bus"))
import harness  # noqa: E402

PROGRAMS = harness.build_dir() / "tests" / "perf"
NOOP = "org.disklock.Perf"
NOOP_POLICY = f'<policy user="root"><allow own="{NOOP}"/><allow send_destination="{NOOP}"/></policy>'
# In front of the shipped policy: what lies in this folder is locked by the table alone.
HOST_RULE = "[Rule by-host]\nmatch-path={}/by-host/*\nmatch-kind=file\nbackend=host\ncheck-interval=60\n\n"
BACKENDS = ("fcntl", "host")
NETWORK = "network disks"  # by the table alone: nothing of theirs is open here, so there may be as many as one likes
CLIENTS = 8
FILES_A_FOLDER = 1000
SET = 64
RETURN = 10_000  # leases of a service that is killed
SPARE_DESCRIPTORS = 1000  # what the service has open beside its leases
CHECK_INTERVAL = 10  # seconds, of the MANY leases that the monitor is to bear
CHECKS_MEASURED = 20  # seconds
SHIPPED_INTERVAL = 60
MANY = 100_000
# Where runtime folders lie: in memory, as /run does.
RUNTIME = Path("/dev/shm")


class PerfBus(harness.Bus):
    """A bus with the no-op service on it, too."""

    def __init__(self, folder):
        folder.mkdir()
        super().__init__(folder)
        self.noop = harness.Process("noop-service", [PROGRAMS / "noop-service"], folder, env=self.environment())
        self.wait_for_name(NOOP, self.noop)

    def _config(self):
        return super()._config().replace("</busconfig>", f"{NOOP_POLICY}</busconfig>")

    def close(self):
        self.noop.stop()
        super().close()


class World:
    """A bus of its own, and the service on it with the shipped policy, but for the interval of the checks, in seconds. `disks`: where
    make_disks() made them."""

    def __init__(self, disks, interval=SHIPPED_INTERVAL):
        self.folder = Path(tempfile.mkdtemp(prefix="disklock-bench-", dir=RUNTIME))
        self.folder.chmod(0o755)
        self.bus = PerfBus(self.folder / "bus")
        policy = HOST_RULE.format(disks) + (harness.SOURCE / "data" / "disklock.conf").read_text()
        policy = re.sub(r"^check-interval=.*$", f"check-interval={interval}", policy, flags=re.M)
        # An emulated processor takes its time; what is measured is not whether it is too slow.
        policy = re.sub(r"^unreachable-after=.*$", "", policy, flags=re.M)
        self.service = harness.Service(self.bus, re.sub(r"^(backend=.*)$", r"\1\nunreachable-after=900", policy, flags=re.M))

    def private_memory(self):
        """In bytes: what the service has for itself."""
        text = Path(f"/proc/{self.service.pid}/smaps_rollup").read_text()
        return 1024 * sum(int(size) for size in re.findall(r"^Private_(?:Clean|Dirty): +(\d+) kB", text, re.M))

    def cpu_time(self):
        """Of the service so far, in seconds."""
        fields = Path(f"/proc/{self.service.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        self.service.stop()
        self.bus.close()
        shutil.rmtree(self.folder)


class Table:
    """The figures, printed as they come."""

    def __init__(self):
        self.missed = 0
        self._row("figure", "measured", "target", "")

    def _row(self, name, measured, target, verdict):
        print(f"{name:<58} {measured:>12} {target:>12}  {verdict}".rstrip(), flush=True)

    def tell(self, name, measured):
        """A figure without a target, for comparison."""
        self._row(name, measured, "", "")

    def hold(self, name, value, limit, form, at_least=False):
        """A figure with a target: at most `limit`, or at least."""
        good = value >= limit if at_least else value <= limit
        self.missed += not good
        self._row(name, form.format(value), (">= " if at_least else "<= ") + form.format(limit), "ok" if good else "NOT REACHED")


def make_disks(folder, backend, count):
    """Many small images, 1,000 in each folder."""
    paths = []
    for index in range(count):
        place = folder / f"by-{backend}" / f"{index // FILES_A_FOLDER:03}"
        if index % FILES_A_FOLDER == 0:
            place.mkdir(parents=True)
        paths.append(f"{place}/{index:06}.img")
        os.close(os.open(paths[-1], os.O_CREAT | os.O_WRONLY, 0o600))
    return paths


def call_client(*words, text=None):
    return subprocess.run([PROGRAMS / "client", *map(str, words)], input=text, text=True, check=True, stdout=subprocess.PIPE).stdout


def values(output, key):
    """The values of `key` in the client's output, a line each."""
    return [float(value) for value in re.findall(rf"\b{key}=(\S+)", output)]


def measure_latency(table, world, disks, size):
    address = world.bus.address
    for backend in disks:
        disk, other = disks[backend][:2]
        output = call_client("latency", size, 20, address, "-", address, "=", address, f"+{other}", address, disk)
        (noop, least, bare, pair), (*_, late) = values(output, "median"), values(output, "p99")
        table.tell(f"two no-op calls (beside {backend})", f"{noop:.0f} us")
        table.tell(f"Acquire + Release, {backend} (99th percentile {late:.0f} us)", f"{pair:.0f} us")
        table.tell("  messages of that size and an empty job, in no-op calls", f"{least / noop:.2f}")
        table.tell("  with the kernel's calls of a lock, likewise", f"{bare / noop:.2f}")
        table.hold(f"  in two no-op calls, {backend}", pair / noop, 1.5, "{:.2f}")


def measure_rate(table, world, disks, size):
    address = world.bus.address
    for backend in disks:
        # Time enough for all of them to connect and warm up.
        begin = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 + 1_500_000
        clients = [subprocess.Popen([PROGRAMS / "client", "rate", str(begin), str(size), "250", address, "-", address, "=",
                                     address, f"+{disks[backend][CLIENTS + i]}", address, disks[backend][i]],
                                    stdout=subprocess.PIPE, text=True) for i in range(CLIENTS)]
        outputs = [client.communicate()[0] for client in clients]
        if any(client.returncode for client in clients):
            sys.exit("tools/bench: a client failed")
        noop, least, bare, ours = (sum(column) / (size * 0.25) for column in zip(*(values(output, "calls") for output in outputs)))
        table.tell(f"{CLIENTS} clients, no-op (beside {backend})", f"{noop:.0f}/s")
        table.tell(f"{CLIENTS} clients, Acquire and Release, {backend}", f"{ours:.0f}/s")
        table.tell("  messages of that size and an empty job, likewise", f"{least / noop:.2f}")
        table.tell("  with the kernel's calls of a lock, likewise", f"{bare / noop:.2f}")
        table.hold(f"  part of the no-op rate, {backend}", ours / noop, 0.8, "{:.2f}", at_least=True)


def measure_set(table, world, disks, size):
    for backend in disks:
        output = call_client("set", max(size // 5, 2), 10, world.bus.address, text="\n".join(disks[backend][:SET]) + "\n")
        one, several = values(output, "median")
        table.tell(f"Acquire of one disk, {backend}", f"{one:.0f} us")
        table.tell(f"AcquireSet of {SET} disks, {backend}", f"{several:.0f} us")
        table.hold(f"  the latter in the former, {backend}", several / one, 8, "{:.2f}")


def checks_as_of_many(count):
    """The interval, in seconds, at which `count` leases are asked after as often as MANY are in CHECK_INTERVAL."""
    return CHECK_INTERVAL * count / MANY


def measure_checks(table, world, backend, count, interval, emulated):
    """What the monitor takes of a processor, when nothing else is done."""
    duration = max(CHECKS_MEASURED, 2 * interval)
    time.sleep(interval)
    before = world.cpu_time()
    time.sleep(duration)
    part = (world.cpu_time() - before) / duration
    table.tell(f"a check of one of {count} leases, {backend}", f"{part * interval / count * 1e6:.1f} us")
    if not emulated:
        table.hold(f"  of a processor, {count / interval:.0f} checks a second, {backend}", part * 100, 3, "{:.1f} %")


def measure_bare_checks(table, backend, disks, interval):
    """What the kernel alone takes of that: the same calls for the same files, at the same pace, by a program that does nothing else."""
    output = subprocess.run([PROGRAMS / "bare-checks", backend, str(interval), str(CHECKS_MEASURED)], input="\n".join(disks) + "\n",
                            text=True, check=True, stdout=subprocess.PIPE).stdout
    bare, = values(output, "us")
    table.tell(f"  the kernel's calls of a check alone, {backend}", f"{bare:.1f} us")


def measure_many(table, folder, backend, disks, size, emulated):
    """Two services take turns: one that holds leases of all disks but one, and one that holds none."""
    spare, held = disks
    interval = SHIPPED_INTERVAL if emulated else checks_as_of_many(len(held))
    empty, full = World(folder, interval), World(folder, interval)
    for world in empty, full:
        call_client("latency", 10, 20, world.bus.address, spare)
    before = full.private_memory()
    seconds, = values(call_client("fill", full.bus.address, 32, text="\n".join(held) + "\n"), "seconds")
    memory = (full.private_memory() - before) / len(held)
    table.tell(f"{len(held)} leases taken, {backend}", f"{len(held) / seconds:.0f}/s")
    table.hold(f"  private memory a lease, {backend}", memory / 1024, 1.5, "{:.2f} KiB")

    output = call_client("latency", size, 20, empty.bus.address, spare, full.bus.address, spare)
    none, many = values(output, "median")
    table.tell(f"Acquire + Release with no lease held, {backend}", f"{none:.0f} us")
    table.tell(f"Acquire + Release with {len(held)} held, {backend}", f"{many:.0f} us")
    table.hold(f"  the latter in the former, {backend}", many / none, 1.1, "{:.2f}")
    measure_checks(table, full, backend, len(held), interval, emulated)
    full.close()
    empty.close()
    if backend != NETWORK and not emulated:
        measure_bare_checks(table, backend, held, interval)


def measure_return(table, folder, disks):
    """A service with a descriptor store is killed, and starts again."""
    bus = PerfBus(folder / "return")
    policy = (harness.SOURCE / "data" / "disklock.conf").read_text()
    service = harness.Service(bus, policy, managed={})
    root, held = harness.Client(bus), disks[:RETURN]
    for first in range(0, len(held), 500):
        root.acquire_set([(path, "exclusive") for path in held[first:first + 500]])
    service.crash()
    service.manager.read()
    service.start()
    told = re.findall(r"(\d+) leases were taken up again in ([0-9.]+) s: 0 are broken, 0 at risk, 0 have ended", service.process.output())
    (count, seconds), = told
    table.hold(f"{count} leases back after SIGKILL, fcntl", float(seconds), 2, "{:.2f} s")
    service.stop()
    service.close()
    bus.close()


def leases_possible(wanted):
    """As many leases as descriptors allow; a container may be denied more than it was given."""
    most = int(Path("/proc/sys/fs/nr_open").read_text())
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    except (OSError, ValueError):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    possible = min(wanted, most - SPARE_DESCRIPTORS)
    if possible < wanted:
        print(f"Only {possible} leases of files instead of {wanted}: a process may have {most} descriptors here. See --guest.\n")
    return possible


def measure_calls(table, folder, disks, size):
    hop, = values(subprocess.run([PROGRAMS / "hop"], text=True, check=True, stdout=subprocess.PIPE).stdout, "median")
    table.tell("a job of the pool that does nothing", f"{hop:.0f} us")
    world = World(folder)
    measure_latency(table, world, disks, size)
    measure_rate(table, world, disks, size // 5)
    measure_set(table, world, disks, size)
    world.close()


def measure(folder, options):
    possible = leases_possible(options.leases)
    table = Table()
    disks = {backend: make_disks(folder, backend, max(possible + 1, 2 * CLIENTS, SET)) for backend in options.backends}
    if not options.emulated:
        measure_calls(table, folder, disks, options.size)
    if options.leases:
        if "fcntl" in disks and not options.emulated:
            measure_return(table, folder, disks["fcntl"])
        for backend in disks:
            measure_many(table, folder, backend, (disks[backend][0], disks[backend][1:]), options.size, options.emulated)
    if options.leases > possible:
        held = [f"rbd://monitor/images/{index:06}" for index in range(options.leases)]
        measure_many(table, folder, NETWORK, (next(iter(disks.values()))[0], held), options.size, options.emulated)
    return table.missed


def main():
    parser = argparse.ArgumentParser(prog="tools/bench")
    parser.add_argument("--leases", type=int, default=MANY, metavar="N", help=f"how many to hold (default: {MANY}; 0: leave that out)")
    parser.add_argument("--size", type=int, default=100, metavar="N", help="blocks of 20 that are measured (default: 100)")
    parser.add_argument("--emulated", action="store_true", help="the processor is: only what does not depend on how fast it is")
    parser.add_argument("--backends", nargs="*", choices=BACKENDS, default=BACKENDS, help="of the leases")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="disklock-bench-"))
    folder.chmod(0o755)
    try:
        missed = measure(folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\nFiles of 0 bytes, 1,000 in a folder, on the filesystem of the temporary folder; the medians of calls that take turns.")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
