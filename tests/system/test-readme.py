#!/usr/bin/python3
"""Pastes the README's session into the shell that the README names, and looks at what it shows."""

import re
import subprocess
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]


def session():
    return re.search(r"```sh\n(.*?)```", (SOURCE / "README.md").read_text(), re.S).group(1)


class Readme(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shell = subprocess.run([SOURCE / "tools/demo", "--shell"], input=session(), capture_output=True, text=True,
                                   timeout=600, check=False)
        cls.shown = cls.shell.stdout + cls.shell.stderr

    def shows(self, pattern):
        self.assertRegex(self.shown, pattern)

    def test_the_disk_is_taken(self):
        self.shows(r'ot "/org/disklock/DiskLock1/lease/[0-9a-f]{32}" \d+')

    def test_the_second_is_told_who_has_it(self):
        self.shows(r"/tmp/other-name\.qcow2 is held exclusively by web01 .* on this host since \d{4}-\d\d-\d\d")

    def test_inspect_says_what_it_is(self):
        self.shows(r'"state" s "held"')

    def test_the_list_shows_it(self):
        self.shows(r"(?m)^[0-9a-f]{8,} .*web01.*/tmp/web01\.qcow2")

    def test_the_disks_of_a_domain_are_taken_and_given_back(self):
        self.shows(r"(?m)^[0-9a-f]{32} .*exclusive +/tmp/web02\.qcow2")
        self.shows(r"(?m)^1 lease released")

    def test_it_is_given_back(self):
        self.shows(r"(?m)^u 1$")

    def test_the_command_runs_while_the_disk_is_held(self):
        self.shows("No errors were found on the image")

    def test_it_ends_well(self):
        self.assertEqual(self.shell.returncode, 0, self.shown)


if __name__ == "__main__":
    unittest.main(verbosity=2)
