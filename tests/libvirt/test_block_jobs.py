"""Snapshots and block jobs, while the guest runs and while it is paused: after each the leases are exactly the disks in use.

The host has the hook too, as `disklockctl libvirt enable` sets it up."""

import pytest

from harness import wait_until
from harness.domain import disk, small_domain
from vm import Vm


@pytest.fixture
def libvirt(service, start_libvirt):
    return start_libvirt(hook=True)


def test_a_snapshot_takes_the_overlay_and_keeps_the_base_readable(vm):
    vm.snapshot("over.qcow2")
    vm.has(base="read-only", over="exclusive")
    vm.runs()
    vm.has(base="read-only", over="exclusive")


def test_an_active_commit_gives_the_overlay_back(vm):
    vm.snapshot("over.qcow2")
    vm.virsh("blockcommit", "vda", "--active", "--pivot")
    vm.has(base="exclusive")
    vm.runs()
    vm.has(base="exclusive")


def test_an_active_commit_that_is_abandoned_keeps_both_as_qemu_does(vm):
    vm.snapshot("over.qcow2")
    vm.virsh("blockcommit", "vda", "--active", "--wait")
    vm.virsh("blockjob", "vda", "--abort")
    vm.has(base="exclusive", over="exclusive")
    vm.runs()


def test_an_intermediate_commit_gives_back_what_it_took(vm):
    vm.snapshot("middle.qcow2")
    top = vm.snapshot("top.qcow2")
    vm.virsh("blockcommit", "vda", "--top", vm.path("middle.qcow2"), "--base", vm.base, "--wait")
    vm.has(base="read-only", top="exclusive")
    vm.runs()
    assert top.exists()
    vm.has(base="read-only", top="exclusive")


def test_a_copy_with_pivot_exchanges_the_disks(vm):
    vm.virsh("blockcopy", "vda", vm.path("copy.qcow2"), "--transient-job", "--pivot")
    vm.has(copy="exclusive")
    vm.runs()
    vm.has(copy="exclusive")


def test_a_copy_that_is_abandoned_gives_the_copy_back(vm):
    vm.virsh("blockcopy", "vda", vm.path("copy.qcow2"), "--transient-job", "--wait")
    vm.has(base="exclusive", copy="exclusive")
    vm.virsh("blockjob", "vda", "--abort")
    vm.has(base="exclusive")
    vm.runs()
    vm.has(base="exclusive")


def test_a_pull_gives_back_what_is_pulled_in(vm):
    vm.snapshot("over.qcow2")
    vm.virsh("blockpull", "vda", "--wait")
    vm.has(over="exclusive")
    vm.runs()
    vm.has(over="exclusive")


# ---- a backing chain that was there before ----

@pytest.fixture
def chained(libvirt, root, qcow2):
    """A domain whose disk is over.qcow2, over base.qcow2."""
    base = qcow2("base.qcow2")
    return Vm(libvirt, root, qcow2("over.qcow2", base))


def test_each_disk_of_a_chain_is_leased_once_for_qemu(chained, root):
    chained.has(over="exclusive", base="read-only")
    assert len(root.list()) == 2
    assert {lease["Pid"] for lease in root.list().values()} == {chained.libvirt.pid()}


def test_a_commit_into_the_chain_leaves_what_is_in_use(chained):
    chained.virsh("blockcommit", "vda", "--active", "--pivot")
    chained.has(base="exclusive")


def test_a_pull_of_the_chain_leaves_what_is_in_use(chained):
    chained.virsh("blockpull", "vda", "--wait")
    chained.has(over="exclusive")


def test_a_chain_is_suspended_and_resumed_as_one(chained):
    chained.virsh("suspend")
    assert chained.states() == {"suspended"}
    chained.virsh("resume")
    assert chained.states() == {"active"}
    chained.has(over="exclusive", base="read-only")


def test_a_chain_is_resumed_as_one_after_a_restart_of_libvirtd(chained):
    chained.virsh("suspend")
    chained.libvirt.restart()
    assert chained.states() == {"suspended"}
    chained.virsh("resume")
    assert chained.states() == {"active"}


def test_an_end_leaves_nothing_of_the_chain(chained, root):
    chained.virsh("destroy")
    wait_until(lambda: not root.list(), "the leases to end")


def test_a_start_that_fails_leaves_nothing_of_the_chain(libvirt, root, qcow2):
    path = qcow2("over.qcow2", qcow2("base.qcow2"))
    said = libvirt.refused_create(small_domain(disk(path, form="qcow2"), "<memballoon model='virtio'/>"))
    assert "memballoon" in said or "balloon" in said
    assert root.list() == {}


def test_leases_of_a_chain_outlive_a_restart_of_libvirtd(chained):
    chained.libvirt.restart()
    chained.has(over="exclusive", base="read-only")


# ---- images whose data are in a file of their own ----

def split_image(vm, qcow2, name, base=None):
    return qcow2(f"{name}.qcow2", base, data=vm.path(f"{name}-data.qcow2"))


def has(vm, **modes):
    """At the latest once QEMU was seen to write to the data files."""
    modes = {name.replace("_", "-"): mode for name, mode in modes.items()}
    wait_until(lambda: sorted(vm.root.held().values()) == sorted(modes.values()), "the leases to be settled")
    vm.has(**modes)


def put_over(vm, image):
    """An overlay that is there already, as its maker made it."""
    vm.virsh("snapshot-create-as", "--no-metadata", "--disk-only", "--reuse-external", "--diskspec", f"vda,file={image}")


def test_an_overlay_is_taken_with_its_data_file_and_given_back_with_it(vm, qcow2):
    put_over(vm, split_image(vm, qcow2, "over", vm.base))
    has(vm, base="read-only", over="exclusive", over_data="exclusive")
    vm.virsh("blockcommit", "vda", "--active", "--pivot")
    has(vm, base="exclusive")
    vm.runs()
    has(vm, base="exclusive")


def test_a_snapshot_over_an_image_with_a_data_file_keeps_both(vm, qcow2):
    put_over(vm, split_image(vm, qcow2, "over", vm.base))
    vm.snapshot("top.qcow2")
    has(vm, base="read-only", over="read-only", over_data="exclusive", top="exclusive")
    vm.virsh("blockpull", "vda", "--wait")
    has(vm, top="exclusive")
    vm.runs()


def test_a_commit_into_an_image_with_a_data_file_makes_that_exclusive(libvirt, root, qcow2, folder):
    base = qcow2("base.qcow2", data=folder / "chain/base-data.qcow2")
    vm = Vm(libvirt, root, qcow2("over.qcow2", base))
    has(vm, over="exclusive", base="read-only", base_data="read-only")
    vm.virsh("blockcommit", "vda", "--active", "--pivot")
    has(vm, base="exclusive", base_data="exclusive")
    vm.ends()


def test_an_overlay_whose_data_file_another_holds_is_refused(vm, qcow2):
    over = split_image(vm, qcow2, "over", vm.base)
    data = vm.path("over-data.qcow2")
    lease = vm.root.acquire(data, owner="backup")
    said = vm.refused("snapshot-create-as", "--no-metadata", "--disk-only", "--reuse-external", "--diskspec", f"vda,file={over}")
    assert "over-data.qcow2 is held exclusively by backup" in said
    vm.root.release(lease)
    has(vm, base="exclusive")
    vm.runs()


@pytest.mark.parametrize("end", ["--pivot", "--abort"])
def test_a_copy_into_an_image_with_a_data_file_has_that_while_it_has_the_image(vm, qcow2, end):
    copy = split_image(vm, qcow2, "copy")
    vm.virsh("blockcopy", "vda", copy, "--reuse-external", "--format", "qcow2", "--transient-job", "--wait")
    has(vm, base="exclusive", copy="exclusive", copy_data="exclusive")
    vm.virsh("blockjob", "vda", end)
    if end == "--pivot":
        has(vm, copy="exclusive", copy_data="exclusive")
    else:
        has(vm, base="exclusive")
    vm.runs()
