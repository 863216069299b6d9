"""Disks that come and go while a domain is there, and those that several domains have."""

from types import SimpleNamespace

import pytest

from harness import VirshError, wait_until
from harness.domain import disk, small_domain
from vm import Vm


def cdrom(source="", target="sda"):
    return (f"<disk type='file' device='cdrom'><driver name='qemu' type='qcow2'/>{source}"
            f"<target dev='{target}' bus='scsi'/><readonly/></disk>")


def medium(path):
    return f"<source file='{path}'/>"


def test_a_plugged_disk_is_leased_until_it_is_unplugged(vm, qcow2):
    vm.attach(disk(qcow2("data.qcow2"), "sda", form="qcow2", bus="scsi"))
    vm.has(base="exclusive", data="exclusive")
    vm.detach("sda")
    vm.has(base="exclusive")
    vm.runs()


def test_a_disk_plugged_while_paused_lets_the_domain_resume(libvirt, root, qcow2):
    vm = Vm(libvirt, root, qcow2("base.qcow2"), paused=True)
    vm.attach(disk(qcow2("data.qcow2"), "sda", form="qcow2", bus="scsi"))
    vm.runs()
    vm.has(base="exclusive", data="exclusive")


def test_plugging_a_disk_that_another_has_names_the_other(vm, qcow2, libvirt):
    data = disk(qcow2("data.qcow2"), "sda", form="qcow2", bus="scsi")
    libvirt.create(small_domain(data, name="db01"))
    assert "data.qcow2 is held exclusively by db01" in vm.refused_attach(data)
    assert str(vm.path("data.qcow2")) not in vm.open_images()
    vm.runs()


def change_media(libvirt, *command):
    """The firmware looks for a medium to start from meanwhile, and may shut the tray between libvirt's opening it and taking the medium out.
    Where it does that by a reset of the bus, QEMU does not tell, and libvirt, which opens no tray that it knows to be open, goes on failing."""
    def changed():
        try:
            libvirt.virsh(*command)
        except VirshError as problem:
            if "is not open" not in str(problem):
                raise
            libvirt.virsh("qemu-monitor-command", command[1], '{"execute": "blockdev-open-tray", "arguments": {"id": "scsi0-0-0", "force": true}}')
            return False
        return True
    wait_until(changed, "the tray to stay open")


def test_media_are_leased_read_only_while_they_are_in(libvirt, root, qcow2):
    first, second = qcow2("first.qcow2"), qcow2("second.qcow2")
    libvirt.create(small_domain(cdrom(medium(first))))
    assert root.held() == {str(first): "read-only"}
    change_media(libvirt, "change-media", "web01", "sda", second, "--update", "--force")
    assert root.held() == {str(second): "read-only"}
    change_media(libvirt, "change-media", "web01", "sda", "--eject", "--force")
    assert root.held() == {}
    change_media(libvirt, "change-media", "web01", "sda", first, "--insert")
    assert root.held() == {str(first): "read-only"}


def test_a_paused_domain_has_the_medium_that_is_in(libvirt, root, qcow2):
    base, first, second = qcow2("base.qcow2"), qcow2("first.qcow2"), qcow2("second.qcow2", qcow2("lower.qcow2"))
    libvirt.create(small_domain(disk(base, form="qcow2"), cdrom(medium(first))))
    libvirt.virsh("suspend", "web01")
    own = {str(base): "exclusive"}
    assert root.held() == {**own, str(first): "read-only"}
    change_media(libvirt, "change-media", "web01", "sda", second, "--update", "--force")
    assert root.held() == {**own, str(second): "read-only", str(second.with_name("lower.qcow2")): "read-only"}
    change_media(libvirt, "change-media", "web01", "sda", "--eject", "--force")
    assert root.held() == own
    change_media(libvirt, "update-device", "web01", libvirt.file(cdrom(medium(first))), "--force")
    assert root.held() == {**own, str(first): "read-only"}
    libvirt.virsh("resume", "web01")
    assert root.held() == {**own, str(first): "read-only"}
    assert {lease["State"] for lease in root.list().values()} == {"active"}
    libvirt.virsh("destroy", "web01")
    wait_until(lambda: not root.list(), "the leases to end")


def test_a_paused_domain_is_refused_a_medium_that_is_being_written(libvirt, root, qcow2):
    path = qcow2("written.qcow2")
    libvirt.create(small_domain(disk(path, form="qcow2"), name="db01"))
    libvirt.create(small_domain(cdrom(), name="web01"))
    libvirt.virsh("suspend", "web01")
    assert "is held exclusively by db01" in libvirt.refused("change-media", "web01", "sda", path, "--insert")
    libvirt.virsh("resume", "web01")
    assert root.held() == {str(path): "exclusive"}


def test_a_medium_that_is_being_written_is_refused(libvirt, root, qcow2):
    path = qcow2("written.qcow2")
    libvirt.create(small_domain(disk(path, form="qcow2"), name="db01"))
    libvirt.create(small_domain(cdrom(), name="web01"))
    assert "is held exclusively by db01" in libvirt.refused("change-media", "web01", "sda", path, "--insert")
    assert root.held() == {str(path): "exclusive"}


def test_two_domains_share_a_disk_that_both_call_shareable(libvirt, root, image):
    path = image()
    for name in ("web01", "web02"):
        libvirt.create(small_domain(disk(path, inside="<shareable/>"), name=name))
    assert [lease["Mode"] for lease in root.list().values()] == ["shared", "shared"]
    assert "web0" in libvirt.refused_create(small_domain(disk(path), name="web03"))


def test_two_domains_read_a_disk_that_both_call_read_only(libvirt, root, image):
    path = image()
    for name in ("web01", "web02"):
        libvirt.create(small_domain(disk(path, inside="<readonly/>"), name=name))
    assert [lease["Mode"] for lease in root.list().values()] == ["read-only", "read-only"]
    assert "is held read-only by" in libvirt.refused_create(small_domain(disk(path), name="web03"))
    libvirt.virsh("destroy", "web01")
    assert "is held read-only by web02" in libvirt.refused_create(small_domain(disk(path), name="web03"))


# ---- disks that have a backing chain ----

def plugged(path, target="sda", form="qcow2"):
    return disk(path, target, form=form, bus="scsi")


def test_a_plugged_disk_is_leased_with_its_backing_chain_until_it_is_unplugged(vm, qcow2):
    middle = qcow2("middle.qcow2", qcow2("lower.qcow2"))
    vm.attach(plugged(qcow2("data.qcow2", middle)))
    vm.has(base="exclusive", data="exclusive", middle="read-only", lower="read-only")
    vm.detach("sda")
    vm.has(base="exclusive")
    vm.runs()


def test_a_base_that_another_disk_of_the_domain_has_too_stays_leased(running, qcow2):
    lower = qcow2("lower.qcow2")
    running.attach(plugged(qcow2("first.qcow2", lower)))
    running.attach(plugged(qcow2("second.qcow2", lower), "sdb"))
    assert len(running.root.list()) == 4
    running.detach("sda")
    running.has(base="exclusive", second="exclusive", lower="read-only")
    running.detach("sdb")
    running.has(base="exclusive")


def test_a_medium_is_leased_with_its_backing_chain_while_it_is_in(libvirt, root, qcow2):
    lower, other = qcow2("lower.qcow2"), qcow2("other.qcow2")
    first, second = qcow2("first.qcow2", lower), qcow2("second.qcow2", other)
    libvirt.create(small_domain(cdrom()))
    # Not change-media: it calls what is put into an empty drive raw.
    change_media(libvirt, "update-device", "web01", libvirt.file(cdrom(medium(first))), "--force")
    assert root.held() == {str(first): "read-only", str(lower): "read-only"}
    change_media(libvirt, "change-media", "web01", "sda", second, "--update", "--force")
    assert root.held() == {str(second): "read-only", str(other): "read-only"}
    change_media(libvirt, "change-media", "web01", "sda", "--eject", "--force")
    assert root.held() == {}


def test_plugging_a_disk_whose_base_is_written_names_who_writes(running, qcow2, libvirt):
    lower = qcow2("lower.qcow2")
    data = plugged(qcow2("data.qcow2", lower))
    libvirt.create(small_domain(disk(lower, form="qcow2"), name="db01"))
    assert "lower.qcow2 is held exclusively by db01" in running.refused_attach(data)
    assert running.open_images() == {str(running.base)}
    assert running.root.held() == {str(running.base): "exclusive", str(lower): "exclusive"}


def test_nobody_writes_to_the_base_of_a_plugged_disk(running, qcow2, libvirt):
    lower = qcow2("lower.qcow2")
    running.attach(plugged(qcow2("data.qcow2", lower)))
    assert "lower.qcow2 is held read-only by web01" in libvirt.refused_create(small_domain(disk(lower, form="qcow2"), name="db01"))


@pytest.fixture
def split(qcow2, folder):
    """A qcow2 image, data.qcow2, whose data are in a file of their own."""
    return SimpleNamespace(data=str(folder / "chain/data.raw"), image=str(qcow2("data.qcow2", data=folder / "chain/data.raw")))


def test_a_plugged_disk_is_leased_with_its_data_file_until_it_is_unplugged(vm, split, qcow2):
    with_data = {str(vm.base): "exclusive", split.image: "exclusive", split.data: "exclusive"}
    vm.attach(plugged(split.image))
    assert vm.open_images() == set(with_data)
    # Its own once QEMU is seen to write to it: the header alone says nothing.
    wait_until(lambda: vm.root.held() == with_data, "the data file's lease to become exclusive")
    # Not given back by who looks whether QEMU has opened it.
    vm.attach(plugged(qcow2("other.qcow2"), "sdb"))
    vm.detach("sdb")
    assert vm.root.held() == with_data
    vm.detach("sda")
    vm.has(base="exclusive")
    vm.runs()


def test_plugging_a_disk_whose_data_file_another_holds_names_the_other(running, split, libvirt):
    libvirt.create(small_domain(disk(split.data), name="db01"))
    assert "data.raw is held exclusively by db01" in running.refused_attach(plugged(split.image))
    assert running.open_images() == {str(running.base)}
    assert running.root.held() == {str(running.base): "exclusive", split.data: "exclusive"}
    libvirt.virsh("destroy", "db01")
    running.attach(plugged(split.image))
    wait_until(lambda: running.root.held()[split.data] == "exclusive", "the data file's lease to become exclusive")
    assert "data.raw is held exclusively by web01" in libvirt.refused_create(small_domain(disk(split.data), name="db01"))


def test_the_data_file_of_a_disk_that_was_there_from_the_beginning_goes_with_it(service, start_libvirt, root, split, qcow2):
    """The hook has taken it."""
    libvirt = start_libvirt(hook=True)
    base = qcow2("base.qcow2")
    libvirt.create(small_domain(disk(base, form="qcow2"), plugged(split.image)))
    assert root.held() == {str(base): "exclusive", split.image: "exclusive", split.data: "exclusive"}
    libvirt.virsh("detach-disk", "web01", "sda")
    wait_until(lambda: root.held() == {str(base): "exclusive"}, "the leases of the disk to end")


def test_a_medium_is_leased_with_its_data_file_while_it_is_in(libvirt, root, split):
    libvirt.create(small_domain(cdrom()))
    change_media(libvirt, "update-device", "web01", libvirt.file(cdrom(medium(split.image))), "--force")
    assert root.held() == {split.image: "read-only", split.data: "read-only"}
    change_media(libvirt, "change-media", "web01", "sda", "--eject", "--force")
    assert root.held() == {}


def test_a_data_file_that_a_guest_named_in_its_raw_disk_is_given_back(running, split):
    running.attach(plugged(split.image, form="raw"))
    wait_until(lambda: running.root.held() == {str(running.base): "exclusive", split.image: "exclusive"}, "the other's disk to be free")


def test_what_a_guest_wrote_into_its_raw_disk_keeps_nobody_from_a_disk(running, qcow2):
    data = qcow2("data.qcow2", qcow2("others.qcow2"))
    running.attach(plugged(data, form="raw"))
    wait_until(lambda: running.root.held() == {str(running.base): "exclusive", str(data): "exclusive"}, "the other's disk to be free")


def test_what_a_guest_wrote_into_its_raw_disk_does_not_keep_it_from_being_plugged(running, qcow2):
    running.attach(plugged(qcow2("data.qcow2", "/nowhere/base.qcow2"), form="raw"))
    running.has(base="exclusive", data="exclusive")


def test_a_data_file_of_which_the_kernel_does_not_say_whether_it_is_open_is_given_back(running, qcow2, folder, remote):
    """A guest has named it in its raw disk."""
    named = folder / "chain" / ("x" * 100)
    data = qcow2("data.qcow2", data=named)
    slashes = "/" * (len(str(named)) - len(str(remote.disks[0])))
    data.write_bytes(data.read_bytes().replace(str(named).encode(), f"{slashes}{remote.disks[0]}".encode()))
    running.attach(plugged(data, form="raw"))
    assert len(running.root.held()) == 3
    wait_until(lambda: running.root.held() == {str(running.base): "exclusive", str(data): "exclusive"}, "the other's disk to be free")
