#!/usr/bin/python3
"""Lets systemd's own tool read the message catalog."""

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

CATALOG = Path(__file__).resolve().parents[2] / "data" / "disklock.catalog"


class Catalog(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Path(tempfile.mkdtemp(prefix="disklock-catalog-"))
        cls.addClassCleanup(shutil.rmtree, cls.root)
        (cls.root / "usr/lib/systemd/catalog").mkdir(parents=True)
        (cls.root / "var/lib/systemd/catalog").mkdir(parents=True)
        shutil.copy(CATALOG, cls.root / "usr/lib/systemd/catalog")
        cls.said = cls.journalctl("--update-catalog")

    @classmethod
    def journalctl(cls, *arguments):
        done = subprocess.run(["journalctl", f"--root={cls.root}", "--no-pager", *arguments], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def test_it_has_no_mistakes(self):
        self.assertEqual(self.said, "")

    def test_all_its_entries_are_known(self):
        written = re.findall(r"^-- ([0-9a-f]{32})$", CATALOG.read_text(), re.M)
        listed = [line.split()[0] for line in self.journalctl("--list-catalog").splitlines()]
        self.assertEqual(sorted(listed), sorted(written))
        self.assertGreater(len(listed), 20)


if __name__ == "__main__":
    unittest.main()
