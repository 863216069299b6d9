"""A RAID array of the kernel's own and its members."""

from pathlib import Path

from storage import make_array, names_of, node_of, reassemble_array, scsi_disk, stop_array

MEMBERS = ("plain-a", "plain-b")


def test_an_array_is_one_by_all_its_names(world):
    array = make_array(world)
    world.assert_one_disk(array, node_of(array), *names_of(world, array, "id"))


def test_an_array_and_its_members_are_related(world):
    for member in MEMBERS:
        world.assert_related(make_array(world), scsi_disk(member))


def test_a_lease_of_an_array_refuses_its_members(world):
    for member in MEMBERS:
        world.assert_lease_refuses(make_array(world), scsi_disk(member))


def test_the_members_of_a_running_array_are_in_use(world):
    array = Path(node_of(make_array(world))).name
    for member in MEMBERS:
        world.assert_in_use(scsi_disk(member), "md", array)


def test_the_members_of_an_array_that_is_stopped_are_apart(world):
    stop_array(world, make_array(world))
    world.assert_apart(*map(scsi_disk, MEMBERS))


def test_an_array_that_is_assembled_under_another_number_is_the_same_disk(world):
    array = make_array(world)
    before = world.disk_of(array)
    reassemble_array(world, array, "/dev/md77")
    assert world.disk_of("/dev/md77") == before
