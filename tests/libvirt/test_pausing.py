"""A domain that is paused, saved and restored."""

import pytest

from harness import wait_until
from harness.domain import disk, small_domain
from vm import Vm


def test_a_paused_domain_keeps_its_disks_on_this_host(running, libvirt):
    running.virsh("suspend")
    assert running.states() == {"suspended"}
    assert "is held exclusively by web01" in libvirt.refused_create(
        small_domain(disk(running.base, form="qcow2"), name="web02"))


def test_suspend_and_resume_any_number_of_times(running):
    for _ in range(3):
        running.virsh("suspend")
        running.virsh("suspend")
        assert running.states() == {"suspended"}
        running.virsh("resume")
        assert running.states() == {"active"}
    running.has(base="exclusive")


def test_another_host_may_have_the_disk_while_the_domain_is_paused(running, other_host):
    running.virsh("suspend")
    unlock = other_host(running.base)
    assert f"{running.base} is locked" in running.refused("resume")
    assert (running.libvirt.state(), running.states()) == ("paused", {"suspended"})
    unlock()
    running.virsh("resume")
    assert running.states() == {"active"}


def test_a_resume_that_is_refused_takes_nothing(libvirt, root, qcow2, other_host):
    first, second = qcow2("first.qcow2"), qcow2("second.qcow2")
    libvirt.create(small_domain(disk(first, form="qcow2"), disk(second, "vdb", form="qcow2")))
    libvirt.virsh("suspend", "web01")
    other_host(second)
    libvirt.refused("resume", "web01")
    assert {lease["State"] for lease in root.list().values()} == {"suspended"}
    other_host(first)


def test_a_paused_domain_can_be_destroyed(running, root):
    running.virsh("suspend")
    running.virsh("destroy")
    wait_until(lambda: not root.list(), "the leases to end")


def test_a_saved_domain_has_no_lease_and_takes_them_again_when_restored(running, libvirt, root, folder):
    running.virsh("save", folder / "saved")
    wait_until(lambda: not root.list(), "the leases to end")
    libvirt.virsh("restore", folder / "saved")
    running.has(base="exclusive")
    assert running.states() == {"active"}


@pytest.mark.parametrize("hook", [False, True], ids=["lock driver alone", "with the hook"])
def test_a_paused_domain_that_is_saved_and_restored_has_what_it_uses(service, start_libvirt, root, qcow2, folder, hook):
    libvirt = start_libvirt(hook=hook)
    vm = Vm(libvirt, root, qcow2("base.qcow2"), paused=True)
    vm.virsh("save", folder / "saved")
    wait_until(lambda: not root.list(), "the leases to end")
    libvirt.virsh("restore", folder / "saved")
    # As it was: its disks are its own from the beginning, though its processors stand.
    assert libvirt.state() == "paused"
    vm.has(base="exclusive")
    assert "is held exclusively by web01" in libvirt.refused_create(small_domain(disk(vm.base, form="qcow2"), name="web02"))
    vm.runs()
    vm.has(base="exclusive")
    vm.virsh("destroy")
    wait_until(lambda: not root.list(), "the leases to end")


@pytest.mark.parametrize("saved, restored", [("running", "--paused"), ("paused", "--running")])
def test_a_restore_may_be_told_whether_to_run(libvirt, root, qcow2, folder, saved, restored):
    vm = Vm(libvirt, root, qcow2("base.qcow2"), paused=saved == "paused")
    vm.virsh("save", folder / "saved")
    wait_until(lambda: not root.list(), "the leases to end")
    libvirt.virsh("restore", folder / "saved", restored)
    assert libvirt.state() == restored.removeprefix("--")
    vm.has(base="exclusive")
    vm.paused = restored == "--paused"
    vm.runs()
    vm.virsh("destroy")
    wait_until(lambda: not root.list(), "the leases to end")


def test_a_restore_names_who_has_the_disk_meanwhile(running, libvirt, root, folder):
    running.virsh("save", folder / "saved")
    wait_until(lambda: not root.list(), "the leases to end")
    Vm(libvirt, root, running.base, name="web02")
    assert "is held exclusively by web02" in libvirt.refused("restore", folder / "saved")
    assert libvirt.running() == {"web02"}


def test_a_domain_that_starts_paused_has_its_disks_from_the_beginning(libvirt, root, image):
    path = image()
    libvirt.virsh("create", "--paused", libvirt.file(small_domain(disk(path))))
    assert root.held() == {str(path): "exclusive"}
    assert "is held exclusively by web01" in libvirt.refused_create(small_domain(disk(path), name="web02"))
    libvirt.virsh("resume", "web01")
    assert root.held() == {str(path): "exclusive"}
