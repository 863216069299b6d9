#!/usr/bin/python3
"""Runs the demonstration, which looks itself whether all that it shows comes about, and what it leaves."""

import re
import subprocess
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]


class Demo(unittest.TestCase):
    def test_it_shows_the_main_job_and_ends_well(self):
        demo = subprocess.run([SOURCE / "tools/demo"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
        self.assertEqual(demo.returncode, 0, demo.stdout + demo.stderr)
        for shown in ("is held exclusively by web01", "in-use", "LeaseBroken", "AcquireFd"):
            self.assertRegex(demo.stdout, re.escape(shown))


if __name__ == "__main__":
    unittest.main(verbosity=2)
