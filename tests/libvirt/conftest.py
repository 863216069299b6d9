"""The fixtures of the tests with libvirtd: those of the bus tests, and hosts with libvirt."""

import fcntl
import os
import struct
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bus"))
import harness  # noqa: E402
from vm import Vm  # noqa: E402

pytest_plugins = ["harness.fixtures"]


@pytest.fixture(scope="session")
def cache():
    """What libvirt knows of QEMU, for all tests."""
    with tempfile.TemporaryDirectory(prefix="disklock-libvirt-cache-") as folder:
        yield folder


@pytest.fixture
def start_libvirt(bus, cache):
    """Starts hosts' libvirtds; see harness.Libvirt."""
    hosts = []

    def start(**options):
        hosts.append(harness.Libvirt(bus, **{"cache": cache, **options}))
        return hosts[-1]
    yield start
    for host in hosts:
        host.close()


@pytest.fixture
def libvirt(service, start_libvirt):
    """The host that most tests need: disklockd runs, and libvirtd has the plugin."""
    return start_libvirt()


@pytest.fixture(params=["running", "paused"])
def vm(request, libvirt, root, qcow2):
    """A domain with one disk, base.qcow2, which has nothing left when it is destroyed after the test."""
    machine = Vm(libvirt, root, qcow2("base.qcow2"), paused=request.param == "paused")
    yield machine
    machine.ends()


@pytest.fixture
def running(libvirt, root, qcow2):
    """The same, running."""
    machine = Vm(libvirt, root, qcow2("base.qcow2"))
    yield machine
    machine.ends()


@pytest.fixture
def other_host():
    """Locks an image as disklockd and virtlockd of another host do, by its byte 0; call what it returns to end that."""
    files = []

    def lock(path):
        file = open(path, "r+b")
        files.append(file)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0))
        return file.close
    yield lock
    for file in files:
        file.close()
