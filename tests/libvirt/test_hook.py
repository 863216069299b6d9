"""With the hook beside the lock driver every disk of a domain is locked, each once, and whoever is refused reads why."""

import os
import signal

import pytest

from harness import wait_until
from harness.domain import UUID, backing, disk, small_domain


@pytest.fixture
def libvirt(service, start_libvirt):
    """A host whose libvirtd has both the lock driver and the hook."""
    return start_libvirt(hook=True)


@pytest.fixture
def web01(image, qcow2):
    """A domain with a disk on a base, and a cdrom; and the paths of these."""
    base, cdrom = image("base.img"), image("setup.iso")
    overlay = qcow2("web01.qcow2", base, "raw")
    xml = small_domain(disk(overlay, form="qcow2", inside=backing(base)), disk(cdrom, "sda", device="cdrom", bus="scsi"), name="web01")
    return xml, {str(overlay): "exclusive", str(base): "read-only", str(cdrom): "read-only"}


def test_every_disk_of_the_domain_is_leased_once_for_its_qemu(libvirt, root, web01):
    xml, modes = web01
    libvirt.create(xml)
    assert root.held() == modes
    assert len(root.list()) == len(modes)
    assert {(lease["Owner"], lease["Lifetime"], lease["Pid"]) for lease in root.list().values()} == {("web01", "process", libvirt.pid())}


def test_who_wants_the_base_reads_who_reads_it(libvirt, root, web01, image):
    xml, modes = web01
    libvirt.create(xml)
    base = next(path for path in modes if path.endswith("base.img"))
    said = libvirt.refused_create(small_domain(disk(base), name="web02"))
    assert f"{base} is held read-only by web01 (qemu-system-x86, pid {libvirt.pid()}, uid 0)" in said
    assert "hooks/qemu.d/disklock" in said  # before QEMU opened anything
    assert root.held() == modes


@pytest.fixture
def firmware(folder):
    """Makes domains with a firmware of their own, of zeros; the paths of what they have."""
    code = folder / "code.fd"
    code.write_bytes(bytes(128 << 10))

    def make(name, variables):
        variables = folder / variables
        variables.write_bytes(bytes(128 << 10))
        elements = f"<loader readonly='yes' type='pflash'>{code}</loader><nvram>{variables}</nvram>"
        return small_domain(name=name, more="<features><acpi/></features>").replace("</type>", f"</type>{elements}", 1), {str(code): "read-only", str(variables): "exclusive"}
    return make


def test_a_domain_has_its_firmware_and_the_variables_of_that(libvirt, root, firmware):
    xml, modes = firmware("web01", "web01.fd")
    libvirt.create(xml)
    assert root.held() == modes
    assert {lease["Pid"] for lease in root.list().values()} == {libvirt.pid()}
    libvirt.create(firmware("web02", "web02.fd")[0])
    said = libvirt.refused_create(firmware("web03", "web01.fd")[0])
    assert "web01.fd is held exclusively by web01" in said and "hooks/qemu.d/disklock" in said
    for name in ("web01", "web02"):
        libvirt.virsh("destroy", name)
    wait_until(lambda: not root.list(), "the leases to end")


def test_two_domains_on_one_base_run_together(libvirt, root, qcow2, image):
    base = image("base.img")
    for name in ("web01", "web02"):
        libvirt.create(small_domain(disk(qcow2(f"{name}.qcow2", base, "raw"), form="qcow2"), name=name))
    assert libvirt.running() == {"web01", "web02"}
    assert [lease["Mode"] for lease in root.list().values() if lease["Path"] == str(base)] == ["read-only"] * 2


@pytest.mark.parametrize("end", ["destroy", "shutdown by the guest", "killed"])
def test_nothing_is_left_when_the_domain_has_ended(libvirt, root, web01, end):
    xml, _ = web01
    libvirt.create(xml)
    if end == "destroy":
        libvirt.virsh("destroy", "web01")
    else:
        os.kill(libvirt.pid(), signal.SIGKILL if end == "killed" else signal.SIGTERM)
    wait_until(lambda: not root.list(), "the leases to end")
    wait_until(lambda: libvirt.running() == set(), "libvirt to know")
    libvirt.create(xml)


def test_a_start_that_fails_later_leaves_nothing(libvirt, root, web01):
    xml, _ = web01
    said = libvirt.refused_create(xml.replace("<os>", "<os><kernel>/nowhere/kernel</kernel>", 1))
    assert "/nowhere/kernel" in said
    wait_until(lambda: not root.list(), "the leases to end")


def test_a_libvirtd_that_comes_back_locks_what_ran_without(libvirt, root, web01):
    xml, modes = web01
    libvirt.create(xml)
    for lease in root.list():
        root.release(lease)
    libvirt.restart()
    wait_until(lambda: root.held() == modes, "the leases to be taken")
    assert {lease["Pid"] for lease in root.list().values()} == {libvirt.pid()}


def test_a_libvirtd_that_comes_back_locks_what_broke(libvirt, root, web01):
    """As after an outage: docs/operation.md."""
    xml, modes = web01
    libvirt.create(xml)
    for lease in root.list():
        root.call("Break", "(osa{sv})", lease, "the storage was away", {})
    libvirt.restart()
    leases = lambda: {lease["Path"]: lease["Mode"] for lease in root.list().values() if lease["State"] == "active"}
    wait_until(lambda: leases() == modes, "the leases to be taken")
    assert {lease["Pid"] for lease in root.list().values() if lease["State"] == "active"} == {libvirt.pid()}


def test_the_commands_for_a_lease_that_broke_lock_the_disk_of_a_machine_that_runs(libvirt, root, ctl, image):
    """As docs/operation.md has them."""
    disk_path = image("data.img")
    libvirt.create(small_domain(disk(disk_path), name="web01"))
    broken = next(iter(root.list()))
    root.call("Break", "(osa{sv})", broken, "the storage was away", {})
    assert ctl("release", broken).returncode == 0
    assert ctl("acquire", disk_path, "-m", "exclusive").returncode == 3
    done = ctl("acquire", "-l", "process", "-p", str(libvirt.pid()), "-o", "web01", f"--owner-uuid={UUID}", "-m", "exclusive", disk_path)
    assert done.returncode == 0, done.stderr
    assert root.held() == {str(disk_path): "exclusive"}


def test_a_libvirtd_that_comes_back_stops_nobody_whose_disk_is_taken(libvirt, root, web01):
    xml, modes = web01
    libvirt.create(xml)
    for lease in root.list():
        root.release(lease)
    root.acquire(next(path for path in modes if path.endswith("setup.iso")), owner="db01", pid=libvirt.pid())
    libvirt.restart()
    assert libvirt.running() == {"web01"}


def test_a_libvirtd_that_comes_back_stops_nobody_while_what_the_hook_loads_is_not_there(libvirt, web01):
    """As in the midst of an upgrade."""
    libvirt.create(web01[0])
    program = libvirt.hook.readlink()
    libvirt.hook.unlink()
    libvirt.hook.write_text(f'#!/bin/sh\nLIBVIRT_LOCK_MANAGER_PLUGIN_DIR=/nowhere exec {program} "$@"\n')
    libvirt.hook.chmod(0o755)
    libvirt.restart()
    # It waits for libvirtd to be done with the domain.
    libvirt.virsh("suspend", "web01")
    assert libvirt.running() == {"web01"}


def test_a_service_that_stands_still_keeps_no_start_waiting_for_ever(libvirt, service, root, web01):
    xml, _ = web01
    service.process.signal(signal.SIGSTOP)
    try:
        said = libvirt.refused_create(xml, timeout=60)
        assert libvirt.running() == set()
    finally:
        service.process.signal(signal.SIGCONT)
    assert "disklockd does not answer" in said and "hooks/qemu.d/disklock" in said
    libvirt.create(xml)
    assert libvirt.running() == {"web01"}


def test_nothing_starts_where_the_service_does_not_answer(libvirt, service, web01):
    service.stop()
    said = libvirt.refused_create(web01[0])
    assert "disklockd" in said
    assert libvirt.running() == set()
