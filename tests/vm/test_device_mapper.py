"""Mapped devices and what they are made of."""

from storage import make_partitions, map_linear, names_of, node_of, scsi_disk

HALF = 131072  # sectors: 64 MiB


def map_front(world):
    return map_linear(world, "front", scsi_disk("plain-a"), 0, HALF)


def test_a_mapped_device_is_one_by_all_its_names(world):
    mapped = map_front(world)
    world.assert_one_disk(mapped, node_of(mapped), *names_of(world, mapped, "id"))


def test_a_mapped_device_and_its_parent_are_related(world):
    world.assert_related(map_front(world), scsi_disk("plain-a"))


def test_a_lease_of_a_mapped_device_refuses_its_parent(world):
    world.assert_lease_refuses(map_front(world), scsi_disk("plain-a"))


def test_the_parent_of_a_mapped_device_is_in_use(world):
    map_front(world)
    world.assert_in_use(scsi_disk("plain-a"), "dm", "front")


def test_two_devices_mapped_on_different_parts_of_a_disk_are_apart(world):
    world.assert_apart(map_front(world), map_linear(world, "back", scsi_disk("plain-a"), HALF, HALF))


def test_a_device_mapped_on_a_mapped_device_overlaps_all_below_it(world):
    above = map_linear(world, "above", map_front(world), 0, HALF // 2)
    for below in (map_front(world), scsi_disk("plain-a")):
        world.assert_related(above, below)
        world.assert_lease_refuses(above, below)


def test_a_disk_is_in_use_when_a_device_is_mapped_on_its_partition(world):
    first, second = make_partitions(world, "/dev/nvme0n1")
    mapped = map_linear(world, "in-partition", first, 0, HALF // 4)
    world.assert_related(mapped, "/dev/nvme0n1")
    world.assert_in_use("/dev/nvme0n1", "dm", "in-partition")
    world.assert_apart(mapped, second)


def test_a_lease_of_a_parent_refuses_a_device_that_is_mapped_on_it_later(world):
    world.root.acquire(scsi_disk("plain-b"), owner="web01")
    error = world.root.refused_acquire(map_linear(world, "late", scsi_disk("plain-b"), 0, HALF))
    assert error.name == "Busy" and "web01" in error.message, error
