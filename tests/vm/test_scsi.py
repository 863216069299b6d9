"""SCSI disks and their partitions, under every name that leads to them."""

from storage import make_partitions, names_of, scsi_disk


def test_a_disk_is_one_by_its_node_and_by_its_ids(world):
    disk = scsi_disk("plain-a")
    world.assert_one_disk(disk, *names_of(world, disk, "id"))


def test_a_disk_is_one_by_its_node_and_by_its_path(world):
    disk = scsi_disk("plain-a")
    world.assert_one_disk(disk, *names_of(world, disk, "path"))


def test_a_disk_is_one_by_nodes_made_in_different_places(world):
    disk, node = scsi_disk("plain-a"), "/tmp/node"
    world.run("cp", "--archive", disk, node)
    world.later("rm", node)
    world.assert_one_disk(disk, node)


def test_a_disk_has_the_identity_that_its_target_gives_it(world):
    assert world.root.inspect(scsi_disk("plain-a"))["wwid"] == "naa.5000c50000000a01"


def test_two_disks_are_apart(world):
    world.assert_apart(scsi_disk("plain-a"), scsi_disk("plain-b"))


def test_a_partition_and_its_whole_disk_overlap(world):
    disk = scsi_disk("plain-a")
    for partition in make_partitions(world, disk):
        world.assert_overlap(partition, disk)


def test_a_partition_is_one_by_its_node_and_by_its_uuid(world):
    first, _ = make_partitions(world, scsi_disk("plain-a"))
    world.assert_one_disk(first, *names_of(world, first, "partuuid"), *names_of(world, first, "id"))


def test_two_partitions_of_a_disk_are_apart(world):
    world.assert_apart(*make_partitions(world, scsi_disk("plain-a")))
