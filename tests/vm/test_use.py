"""Disks that the guest's own kernel uses."""

from storage import make_partitions, mount, scsi_disk

MOUNT_POINT = "/mnt/guest-data"


def activate_swap(world, device):
    """Until the test is over."""
    world.run("mkswap", device)
    world.change("swapon", device)
    world.later("swapoff", device)


def test_a_mounted_disk_is_refused_with_the_mount_point(world):
    disk = scsi_disk("plain-a")
    mount(world, disk, MOUNT_POINT)
    world.assert_in_use(disk, "mount", MOUNT_POINT)
    assert world.foreign(disk)["mount"] == MOUNT_POINT


def test_a_disk_is_free_once_it_is_unmounted(world):
    disk = scsi_disk("plain-a")
    mount(world, disk, MOUNT_POINT)
    world.clean()
    assert world.root.inspect(disk)["state"] == "free"
    world.root.acquire(disk)


def test_a_disk_with_a_mounted_partition_is_refused_with_the_mount_point(world):
    disk = scsi_disk("plain-b")
    first, _ = make_partitions(world, disk)
    mount(world, first, MOUNT_POINT)
    world.assert_in_use(first, "mount", MOUNT_POINT)
    world.assert_in_use(disk, "mount", MOUNT_POINT)


def test_the_partition_beside_a_mounted_one_is_free(world):
    first, second = make_partitions(world, scsi_disk("plain-b"))
    mount(world, first, MOUNT_POINT)
    assert world.root.inspect(second)["state"] == "free"
    world.root.acquire(second)


def test_active_swap_is_refused(world):
    disk = scsi_disk("plain-a")
    activate_swap(world, disk)
    world.assert_in_use(disk, "swap", "swap")


def test_a_disk_with_active_swap_on_a_partition_is_refused(world):
    disk = scsi_disk("plain-b")
    _, second = make_partitions(world, disk)
    activate_swap(world, second)
    world.assert_in_use(disk, "swap", "swap")
