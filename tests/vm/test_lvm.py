"""Logical volumes, and the physical volume that they are made of."""

from storage import deactivate_volume_group, make_snapshot, make_volume_group, mount, names_of, node_of, rename_volume, scsi_disk


def make_volumes(world):
    return make_volume_group(world, scsi_disk("plain-a"))


def test_a_volume_is_one_by_all_its_names(world):
    volume, _ = make_volumes(world)
    world.assert_one_disk(volume, "/dev/mapper/vm--disks-web", node_of(volume), *names_of(world, volume, "id"))


def test_two_volumes_of_a_group_are_apart(world):
    world.assert_apart(*make_volumes(world))


def test_a_volume_and_its_physical_volume_are_related(world):
    for volume in make_volumes(world):
        world.assert_related(volume, scsi_disk("plain-a"))


def test_a_lease_of_a_volume_refuses_its_physical_volume(world):
    volume, _ = make_volumes(world)
    world.assert_lease_refuses(volume, scsi_disk("plain-a"))


def test_the_physical_volume_of_an_active_group_is_in_use(world):
    make_volumes(world)
    world.assert_in_use(scsi_disk("plain-a"), "lvm", "LVM volume", "vm--disks")


def test_the_physical_volume_of_an_inactive_group_is_free(world):
    make_volumes(world)
    deactivate_volume_group(world)
    assert world.root.inspect(scsi_disk("plain-a"))["state"] == "free"
    world.root.acquire(scsi_disk("plain-a"))


def test_a_lease_of_a_physical_volume_refuses_volumes_that_are_activated_later(world):
    volume, _ = make_volumes(world)
    deactivate_volume_group(world)
    world.root.acquire(scsi_disk("plain-a"), owner="web01")
    world.change("vgchange", "--quiet", "--activate", "y", "vm-disks")
    error = world.root.refused_acquire(volume)
    assert error.name == "Busy" and "web01" in error.message, error


def test_a_mounted_volume_is_refused_with_the_mount_point(world):
    _, volume = make_volumes(world)
    mount(world, volume, "/mnt/guest-data")
    world.assert_in_use(volume, "mount", "/mnt/guest-data")


def test_a_renamed_volume_is_the_same_disk(world):
    volume, _ = make_volumes(world)
    before = world.disk_of(volume)
    assert world.disk_of(rename_volume(world, "web", "www")) == before


def test_a_volume_that_is_renamed_under_its_lease_is_refused_by_its_new_name(world):
    volume, _ = make_volumes(world)
    world.root.acquire(volume, owner="web01")
    error = world.root.refused_acquire(rename_volume(world, "web", "www"))
    assert error.name == "Busy" and "web01" in error.message, error


def test_a_volume_that_is_activated_under_another_number_is_the_same_disk(world):
    first, second = make_volumes(world)
    before = world.disk_of(first), node_of(first)
    deactivate_volume_group(world)
    for volume in (second, first):
        world.change("lvchange", "--quiet", "--activate", "y", volume.removeprefix("/dev/"))
    assert node_of(first) != before[1], "it has the same number again, and nothing is shown"
    assert world.disk_of(first) == before[0]


def test_a_volume_and_its_snapshot_are_apart(world):
    volume, _ = make_volumes(world)
    snapshot = make_snapshot(world, volume)
    world.assert_apart(volume, snapshot)


def test_a_snapshot_and_the_physical_volume_overlap(world):
    volume, _ = make_volumes(world)
    snapshot = make_snapshot(world, volume)
    world.assert_related(snapshot, scsi_disk("plain-a"))
    world.assert_lease_refuses(snapshot, scsi_disk("plain-a"))
