"""A domain's disks are its own from before QEMU opens them until QEMU is gone."""

import os
import signal

from harness import wait_until
from harness.domain import disk, small_domain


def test_a_domain_that_starts_takes_its_disks(libvirt, root, image):
    first, second = image("1.img"), image("2.img")
    libvirt.create(small_domain(disk(first), disk(second, "vdb", inside="<readonly/>"), name="web01"))
    assert root.held() == {str(first): "exclusive", str(second): "read-only"}


def test_leases_are_named_for_the_domain_and_end_with_its_process(libvirt, root, image):
    libvirt.create(small_domain(disk(image()), name="web01"))
    [lease] = root.list().values()
    assert lease["Owner"] == "web01"
    assert lease["OwnerUuid"] == libvirt.virsh("domuuid", "web01")
    assert (lease["Lifetime"], lease["Pid"]) == ("process", libvirt.pid("web01"))


def test_who_is_refused_reads_who_has_the_disk(libvirt, image):
    path = image()
    libvirt.create(small_domain(disk(path), name="web01"))
    said = libvirt.refused_create(small_domain(disk(path), name="web02"))
    assert f"{path} is held exclusively by web01 (qemu-system-x86, pid {libvirt.pid('web01')}, uid 0)" in said
    assert libvirt.running() == {"web01"}


def test_another_name_of_the_disk_is_refused_too(libvirt, image, folder):
    path, link = image(), folder / "link.img"
    os.link(path, link)
    libvirt.create(small_domain(disk(path), name="web01"))
    assert "held exclusively by web01" in libvirt.refused_create(small_domain(disk(link), name="web02"))


def test_a_refused_start_leaves_no_lease(libvirt, root, image):
    first, second = image("1.img"), image("2.img")
    libvirt.create(small_domain(disk(first), name="web01"))
    libvirt.refused_create(small_domain(disk(second), disk(first, "vdb"), name="web02"))
    assert root.held() == {str(first): "exclusive"}


def test_after_destroy_there_is_no_lease(libvirt, root, image):
    path = image()
    libvirt.create(small_domain(disk(path), name="web01"))
    libvirt.virsh("destroy", "web01")
    wait_until(lambda: not root.list(), "the leases to end")
    libvirt.create(small_domain(disk(path), name="web02"))


def test_a_killed_qemu_leaves_no_lease(libvirt, root, image):
    libvirt.create(small_domain(disk(image()), name="web01"))
    os.kill(libvirt.pid("web01"), signal.SIGKILL)
    wait_until(lambda: not root.list(), "the leases to end")


def test_a_qemu_of_another_user_in_a_namespace_of_its_own_is_locked_too(service, start_libvirt, root, image):
    libvirt = start_libvirt(plain=False)
    path = image()
    libvirt.create(small_domain(disk(path), name="web01"))
    assert os.stat(f"/proc/{libvirt.pid('web01')}").st_uid != 0
    assert root.held() == {str(path): "exclusive"}
    assert "is held exclusively by web01" in libvirt.refused_create(small_domain(disk(path), name="web02"))
    libvirt.virsh("destroy", "web01")
    wait_until(lambda: not root.list(), "the leases to end")
