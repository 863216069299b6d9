"""The fixtures of the tests with libvirtd: those of the bus tests, and hosts with libvirt."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bus"))
import harness  # noqa: E402

pytest_plugins = ["harness.fixtures"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    """What libvirt knows of QEMU, for all tests."""
    return tmp_path_factory.mktemp("libvirt-cache")


@pytest.fixture
def start_libvirt(bus, cache):
    """Starts hosts' libvirtds; see harness.Libvirt."""
    hosts = []

    def start(**options):
        hosts.append(harness.Libvirt(bus, cache, **options))
        return hosts[-1]
    yield start
    for host in hosts:
        host.close()


@pytest.fixture
def libvirt(service, start_libvirt):
    """The host that most tests need: disklockd runs, and libvirtd has the plugin."""
    return start_libvirt()
