"""Snapshots and block jobs, while the guest runs and while it is paused: after each the leases are exactly the disks in use."""

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
