"""Runs the tests of one file in the guest, each on a clean world, and writes TAP.

Usage: main.py FILE [TEST,TEST...]
"""

import importlib
import os
import sys
import traceback

SOURCE = os.environ["DISKLOCK_SOURCE"]
sys.path[:0] = [f"{SOURCE}/tests/vm/guest", f"{SOURCE}/tests/vm", f"{SOURCE}/tests/bus"]

from world import World  # noqa: E402


def tests_of(file, chosen):
    module = importlib.import_module(file)
    tests = {name.removeprefix("test_"): test for name, test in vars(module).items() if name.startswith("test_")}
    return {name: tests[name] for name in chosen} if chosen else tests


def problem_of(*steps):
    """What went wrong in any of them, or None."""
    problems = []
    for step in steps:
        try:
            step()
        except Exception:  # whatever it was, it is this test's failure
            problems.append(traceback.format_exc())
    return "".join(problems) or None


def report(number, name, problem):
    for line in (problem or "").splitlines():
        print(f"# {line}")
    print(f"{'not ok' if problem else 'ok'} {number} - {name}", flush=True)


def main():
    tests = tests_of(sys.argv[1], [name for name in "".join(sys.argv[2:]).split(",") if name])
    print(f"1..{len(tests) + 1}", flush=True)
    world = World()
    for number, (name, test) in enumerate(tests.items(), 1):
        report(number, name, problem_of(lambda: test(world), world.clean))
    report(len(tests) + 1, "disklockd_ends_well", problem_of(world.close))


main()
