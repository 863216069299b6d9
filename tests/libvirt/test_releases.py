"""The lock driver that was built here, in the libvirt of Debian's other releases: it loads, a domain starts, and one is refused."""

import sys
from pathlib import Path

import pytest

from harness.domain import disk, small_domain

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import debian  # noqa: E402

PACKAGES = ["libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-clients", "qemu-system-x86"]


@pytest.fixture(scope="module", params=["trixie", "sid"])
def root_of_release(request):
    """The root of a release, with its libvirt and QEMU."""
    folder, lock = debian.prepare(f"libvirt-{request.param}", request.param, PACKAGES)
    with lock:
        yield folder


@pytest.fixture
def libvirt(service, start_libvirt, root_of_release, folder):
    cache = folder / "libvirt-cache"
    cache.mkdir()
    return start_libvirt(root=root_of_release, cache=cache)


def test_a_domain_starts_and_another_is_refused_its_disk(libvirt, root, image):
    path = image()
    libvirt.create(small_domain(disk(path), name="web01"))
    [lease] = root.list().values()
    assert (lease["Owner"], lease["Path"], lease["Mode"], lease["Pid"]) == ("web01", str(path), "exclusive", libvirt.pid("web01"))
    said = libvirt.refused_create(small_domain(disk(path), name="web02"))
    assert f"{path} is held exclusively by web01 (qemu-system-x86, pid {libvirt.pid('web01')}, uid 0)" in said
    assert libvirt.running() == {"web01"}
