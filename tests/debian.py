"""Roots of Debian's releases with the packages that a test needs: made by mmdebstrap once, and kept."""

import shutil

import kept


def prepare(kind, release, packages):
    """As kept.prepare(): the folder of a root of `release` ("trixie", "sid") with `packages`, kept under the name `kind`."""
    if not shutil.which("mmdebstrap"):
        raise kept.Failed("mmdebstrap is missing: install the package mmdebstrap, or run tools/packages test")

    def make(folder):
        # A mirror that stands still is a mirror too.
        kept.run("mmdebstrap", "--variant=essential", "--format=directory", f"--include={','.join(packages)}",
                 '--aptopt=Acquire::Check-Valid-Until "false"', "--dpkgopt=path-exclude=/usr/share/doc/*",
                 "--dpkgopt=path-exclude=/usr/share/locale/*", release, folder)
    return kept.prepare(kind, " ".join([release, *packages]).encode(), make)
