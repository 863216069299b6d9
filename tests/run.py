"""Builds disklock twice and runs all tests on both builds. Called by tools/test."""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]
PR_SET_CHILD_SUBREAPER = 36
SUITE_PATIENCE = 3600  # seconds, for a suite as a whole
END_PATIENCE = 60  # seconds, for a suite that was told to end
AGAIN = 3  # so many tests that failed are tried again; where more did, it was no chance
# name, compiler, what meson is told
BUILDS = [
    ("build", "gcc", []),
    ("build-asan", "clang", ["-Db_sanitize=address,undefined", "-Db_lundef=false"]),
]
# What only a guest's kernel has, and a sanitizer should see too.
SANITIZED_GUESTS = ("test_nfs:", "test_reservation:")
QUIET = {"G_DEBUG": "fatal-criticals", "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8",
         "ASAN_OPTIONS": "detect_leaks=1", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}


class Results:
    """Every test case that ran: group, name, and what went wrong with it."""

    def __init__(self):
        self.groups = {}
        self.failures = []
        self.said = []
        self.second = []  # failures of tests that passed when they were tried again
        self.suites = {}  # group: what runs those of its tests that are wanted, for other results
        self._lock = threading.Lock()

    def add(self, group, name, problem=None):
        with self._lock:
            passed, failed = self.groups.get(group, (0, 0))
            self.groups[group] = (passed + (problem is None), failed + (problem is not None))
            if problem is not None:
                self.failures.append((group, name, problem))
            print(f"{'ok    ' if problem is None else 'FAILED'} {group:<16} {name}", flush=True)

    def say(self, *lines):
        """Figures that tests have measured, for whoever reads the results."""
        with self._lock:
            self.said += lines

    def pass_again(self, failure):
        passed, failed = self.groups[failure[0]]
        self.groups[failure[0]] = (passed + 1, failed - 1)
        self.failures.remove(failure)
        self.second.append(failure)

    def print_summary(self):
        for group, name, problem in sorted(self.second):
            print(f"\n--- only at the second try: {group}: {name}\n{problem.strip()}")
        for group, name, problem in sorted(self.failures):
            print(f"\n--- {group}: {name}\n{problem.strip()}")
        if self.said:
            print("\nMeasured in guests:", *self.said, sep="\n  ")
        print()
        for group, (passed, failed) in sorted(self.groups.items()):
            print(f"{group:<16} {passed:5} passed {failed:5} failed")
        passed = sum(passed for passed, _ in self.groups.values())
        print(f"{passed} passed, {len(self.failures)} failed", flush=True)

    def add_junit(self, group, file, status, output):
        """Adds the cases of a JUnit file; a suite that failed without saying in which case is a failure of its own."""
        cases = {}
        if file.exists():
            for case in ElementTree.parse(file).getroot().iter("testcase"):
                name = f"{case.get('classname').split('.')[-1]}: {case.get('name')}"
                problems = [element.get("message") or "" for element in case
                            if element.tag in ("failure", "error", "skipped")]
                problems += [element.text or "" for element in case if element.tag in ("failure", "error")]
                cases.setdefault(name, []).extend(problems)
        for name, problems in cases.items():
            self.add(group, name, "\n".join(problems) if problems else None)
        if not cases or (status != 0 and not any(cases.values())):
            self.add(group, "the suite as a whole", f"it ended with {status}\n{output[-8000:]}")


class Children:
    """Every suite that runs; ended together when the run is."""

    def __init__(self):
        self._running, self._over, self._lock = set(), False, threading.Lock()

    def start(self, command, **options):
        with self._lock:
            if self._over:
                raise InterruptedError("the run is over")
            child = subprocess.Popen(command, start_new_session=True, **options)
            self._running.add(child)
        return child

    def wait(self, child, patience):
        try:
            return child.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            return child.wait()
        finally:
            with self._lock:
                self._running.discard(child)

    def end(self):
        """As Ctrl-C would, so that each puts away what is its own."""
        with self._lock:
            self._over = True
            running = list(self._running)
        for child in running:
            child.send_signal(signal.SIGINT)
        for child in running:
            self.wait(child, END_PATIENCE)


CHILDREN = Children()


def run(command, **environment):
    """Runs a command to its end and returns its status and output."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        child = CHILDREN.start(list(map(str, command)), cwd=SOURCE, stdin=subprocess.DEVNULL, stdout=output,
                               stderr=subprocess.STDOUT, env={**os.environ, **QUIET, **environment})
        status = CHILDREN.wait(child, SUITE_PATIENCE)
        output.seek(0)
        return status, output.read()


def build(name, compiler, options):
    """Configures where that was not done, and compiles; ends the run where that fails."""
    print(f"Building {name}/ with {compiler}", flush=True)
    status, output = 0, ""
    if not (SOURCE / name / "build.ninja").exists():
        status, output = run(["meson", "setup", name, *options], CC=compiler)
    if status == 0:
        status, output = run(["ninja", "-C", name])
    if status != 0:
        sys.exit(f"{output[-12000:]}\n{name}/ does not build with {compiler}\n0 passed, 1 failed")


def scripts(wanted):
    """Checks of the source, and tests that are programs, one case each: group, name and command."""
    checks = subprocess.run(["tools/lint", "--list"], cwd=SOURCE, check=True, capture_output=True, text=True)
    found = [("house", f"lint {check}", ["tools/lint", check]) for check in checks.stdout.split()]
    found.append(("house", "check-layers", ["tests/check-layers"]))
    found += [("system", file.name, [file]) for file in sorted((SOURCE / "tests/system").glob("*"))
              if os.access(file, os.X_OK) and file.is_file()]
    found += [("fuzz", f"fuzz {target}", ["tests/fuzz/run", target, "60"]) for target in ("domain", "image-header", "pr-in")]
    return [script for script in found if wanted(script[1])]


def run_script(results, group, name, command):
    status, output = run(command, DISKLOCK_BUILD=str(SOURCE / "build"))
    results.add(group, name, None if status == 0 else f"it ended with {status}\n{output[-8000:]}")


def run_unit(results, wanted, build_name):
    known = json.loads((SOURCE / build_name / "meson-info" / "intro-tests.json").read_text())
    chosen = [test["name"] for test in known if wanted(test["name"])]
    if not chosen:
        if wanted(""):
            results.add(f"unit {build_name}", "collection", "there are no unit tests")
        return
    junit = SOURCE / build_name / "meson-logs" / "testlog.junit.xml"
    junit.unlink(missing_ok=True)
    status, output = run(["meson", "test", "-C", build_name, "--no-rebuild", "--print-errorlogs", *chosen])
    results.add_junit(f"unit {build_name}", junit, status, output)


def run_pytest(results, wanted, suite, build_name, group, where=""):
    """The tests of a folder that have `where` in their names."""
    results.suites[group] = lambda other, wanted: run_pytest(other, wanted, suite, build_name, group, where)
    pytest = ["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "--tb=short"]
    _, listing = run([*pytest, "--collect-only", "-q", f"tests/{suite}"])
    chosen = [line for line in listing.splitlines() if "::" in line and not line.startswith("ERROR")]
    chosen = [line for line in chosen if where in line and wanted(line)]
    if not chosen:
        if wanted(""):
            results.add(group, "collection", listing)
        return
    junit = SOURCE / build_name / f"{group.replace(' ', '-')}.junit.xml"
    junit.unlink(missing_ok=True)
    status, output = run([*pytest, f"--junitxml={junit}", *chosen], DISKLOCK_BUILD=str(SOURCE / build_name))
    results.add_junit(group, junit, status, output)


def run_systemd(results, wanted, build_name):
    """Tests in containers of their own, those of all releases at once."""
    listing = subprocess.run(["/usr/bin/python3", "tests/systemd/roots.py"], cwd=SOURCE, capture_output=True, text=True)
    if listing.returncode != 0:
        results.add("systemd", "releases", listing.stderr)
    with ThreadPoolExecutor() as executor:
        for done in [executor.submit(run_pytest, results, wanted, "systemd", build_name, f"systemd {release}", release)
                     for release in listing.stdout.split()]:
            done.result()


def run_vm(results, wanted, build_name):
    """Tests in guests of their own. The cases are those that the listing names: one that is not heard of failed."""
    results.suites[f"vm {build_name}"] = lambda other, wanted: run_vm(other, wanted, build_name)
    listing = subprocess.run(["tests/vm/run", "--list"], cwd=SOURCE, check=True, capture_output=True, text=True)
    chosen = [case for case in listing.stdout.splitlines() if wanted(case)]
    if not chosen:
        return
    status, output = run(["tests/vm/run", *chosen], DISKLOCK_BUILD=str(SOURCE / build_name))
    outcome, said = {}, []
    for line in output.splitlines():
        result = re.match(r"(not )?ok \d+ - (.*)$", line)
        if result:
            outcome[result[2]] = "\n".join(said) if result[1] else None
            results.say(*(said if not result[1] else []))
            said = []
        else:
            said.append(line.removeprefix("# "))
    # A guest also says how the service ended.
    for case in dict.fromkeys([*chosen, *outcome]):
        results.add(f"vm {build_name}", case, outcome.get(case, f"tests/vm/run ended with {status}\n{output[-8000:]}"))


def run_guests(results, wanted, plain, sanitized):
    """One after the other: each runs as many guests as there are processors."""
    run_vm(results, wanted, plain)
    run_vm(results, lambda case: wanted(case) and case.startswith(SANITIZED_GUESTS), sanitized)


def children():
    """Processes that have us for a parent: whatever a test left behind ends up here."""
    found = []
    for task in Path("/proc").glob("[0-9]*"):
        try:
            status = (task / "status").read_text()
            command = (task / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
        if re.search(rf"^PPid:\t{os.getpid()}$", status, re.M) and not re.search(r"^State:\tZ", status, re.M):
            found.append((int(task.name), command))
    return found


def kill_children():
    """Ends and returns them."""
    found = children()
    for pid, _ in found:
        os.kill(pid, signal.SIGKILL)
    return found


def check_leftovers(results, folder):
    """No process, no mount, no file of a test may outlive it."""
    left = [f"process {pid}: {command}" for pid, command in kill_children()]
    left += [f"mount: {line}" for line in Path("/proc/self/mounts").read_text().splitlines() if str(folder) in line]
    left += [f"file: {path}" for path in folder.iterdir()]
    results.add("house", "nothing is left behind", "\n".join(left) or None)


def run_everything(results, wanted):
    """Most of the tests wait most of the time, so two suites run at once; what takes longest begins first."""
    names = [name for name, _, _ in BUILDS]
    jobs = [partial(run_pytest, results, wanted, "bus", name, f"bus {name}") for name in reversed(names)]
    # libvirtd has no sanitizers, so the plugin has none either.
    jobs.append(partial(run_pytest, results, wanted, "libvirt", names[0], "libvirt"))
    jobs += [partial(run_guests, results, wanted, *names), partial(run_systemd, results, wanted, names[0])]
    jobs += [partial(run_script, results, *script) for script in scripts(wanted)]
    jobs += [partial(run_unit, results, wanted, name) for name in names]
    executor = ThreadPoolExecutor(max_workers=2)
    try:
        for done in [executor.submit(job) for job in jobs]:
            done.result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def is_case(line, name):
    """Does a line of a suite's listing mean the test that the results call so?"""
    file, _, test = line.partition("::")
    return (f"{Path(file).stem}: {test}" if test else line) == name


def try_again(results):
    """Tests with several real daemons may meet a moment that they did not think of. A failure of that kind is told, and does not
    fail a run of some thousands."""
    if len(results.failures) > AGAIN:
        return
    for failure in list(results.failures):
        group, name, _ = failure
        if group not in results.suites:
            continue
        second = Results()
        results.suites[group](second, lambda line, name=name: is_case(line, name))
        if second.groups and not second.failures:
            results.pass_again(failure)


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    # Whoever ends us ends the suites in order. Under nohup the last would be ignored, by every test too.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    # In a container, or where a service runs the tests, its manager listens; but that is not the manager of what is tested.
    for variable in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
        os.environ.pop(variable, None)
    folder = Path(tempfile.mkdtemp(prefix="disklock-"))
    folder.chmod(0o755)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    results = Results()
    try:
        for arguments in BUILDS:
            build(*arguments)
        run_everything(results, lambda case: name in case)
        if not results.groups:
            results.add("house", name, "there is no test that has this in its name")
        if not name:
            try_again(results)
        check_leftovers(results, folder)
    except KeyboardInterrupt:
        print("Ended before its time", flush=True)
        sys.exit(130)
    finally:
        CHILDREN.end()
        kill_children()
        shutil.rmtree(folder, ignore_errors=True)
    results.print_summary()
    sys.exit(1 if results.failures else 0)


if __name__ == "__main__":
    main()
