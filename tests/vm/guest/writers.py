"""What the stampers of stamper.py saw, and the proof that no two of them wrote at a time."""

import sys
import time
from pathlib import Path

import stamper
from harness import Process, wait_until

now = time.monotonic_ns


class Writer:
    """A process that writes to a disk all the time, allowed or not."""

    def __init__(self, world, node, side):
        self.node, self.side = node, side
        self._process = Process(f"writer-{side}-{now()}", [sys.executable, stamper.__file__, node, side], world.folder)

    def _lines(self):
        whole = self._process.output().rpartition("\n")[0]
        lines = [line.split() for line in whole.splitlines()]
        assert all(len(line) == 3 and line[0].isdigit() for line in lines), f"the writer on {self.node} failed:\n{whole[-2000:]}"
        return [(int(begun), int(error), other) for begun, error, other in lines]

    def writes(self, since=0, until=sys.maxsize):
        """When those began that got through."""
        return [begun for begun, error, _ in self._lines() if since <= begun < until and error == 0]

    def errors(self, since=0):
        return [error for begun, error, _ in self._lines() if begun >= since and error != 0]

    def overwritten(self, since=0):
        """By whom, between two of its own writes that both began then or later: of each page it looks first at what it wrote before."""
        later = [other for begun, _, other in self._lines() if begun >= since]
        return [other for other in later[stamper.PAGES:] if other != "-"]

    def wait_for_writes(self, count=3 * stamper.PAGES, since=None):
        since = now() if since is None else since
        wait_until(lambda: len(self.writes(since)) >= count, f"{count} writes of {self.side}")

    def wait_for_errors(self, count=20, since=None):
        since = now() if since is None else since
        wait_until(lambda: len(self.errors(since)) >= count, f"{count} refused writes of {self.side}")

    def stop(self):
        self._process.kill()


def assert_handed_over(loser, winner, moment):
    """
    From `moment` on (now()), when the winner had its lease, nothing of the loser got through, or stands on the disk, or over what the
    winner wrote. Before, when nobody had it, both may have written: neither was asked to wait for a lease.
    """
    for writer in (loser, winner):
        writer.stop()
    late = loser.writes(moment)
    assert not late, f"{len(late)} writes of {loser.side} got through after {winner.side} had the disk"
    left = [begun for side, begun in stamper.stamps(winner.node) if side == loser.side and begun >= moment]
    assert not left, f"pages show writes of {loser.side} after {winner.side} had the disk"
    assert winner.writes(moment) and not winner.overwritten(moment), winner.overwritten(moment)


class Witness:
    """Asks by sg_persist, again and again, who has reserved a disk."""

    def __init__(self, world, node):
        script = f"while :; do sg_persist --no-inquiry --read-reservation {node} 2>&1 | tr '\\n' ' '; echo; done"
        self._process = Process(f"witness-{now()}", ["sh", "-c", script], Path(world.folder))

    def answers(self):
        return self._process.output().splitlines()

    def wait_for_answers(self, count=3):
        have = len(self.answers())
        wait_until(lambda: len(self.answers()) >= have + count, "the witness to look")

    def stop(self):
        """Returns all answers, the last of which may be cut short."""
        self._process.kill()
        return self.answers()[:-1]
