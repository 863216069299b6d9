"""One LUN that is reached by two paths. The tests stand in the order of its life: those without a map come first."""

from storage import make_multipath, mount, names_of, node_of, scsi_disk, scsi_disks


def test_the_paths_of_a_lun_are_one_disk(world):
    paths = scsi_disks("lun")
    assert len(paths) == 2, paths
    world.assert_one_disk(*paths)


def test_the_paths_of_a_lun_are_related(world):
    one, other = scsi_disks("lun")
    for path, relative in ((one, other), (other, one)):
        assert relative in world.related_paths(path)


def test_a_lease_of_a_path_refuses_a_map_that_comes_later(world):
    world.root.acquire(scsi_disks("lun")[1], owner="web01")
    error = world.root.refused_acquire(make_multipath(world))
    assert error.name == "Busy" and "web01" in error.message, error


def test_a_map_is_one_disk_by_all_its_names(world):
    device = make_multipath(world)
    world.assert_one_disk(device, node_of(device), *names_of(world, device, "id"))


def test_a_lease_of_a_map_refuses_each_of_its_paths(world):
    device = make_multipath(world)
    for path in scsi_disks("lun"):
        assert world.disk_of(path) == world.disk_of(device)
        world.assert_lease_refuses(device, path)


def test_a_lease_of_a_path_refuses_the_map(world):
    device = make_multipath(world)
    for path in scsi_disks("lun"):
        world.assert_lease_refuses(path, device)


def test_the_paths_of_a_mounted_map_are_in_use(world):
    mount(world, make_multipath(world), "/mnt/guest-data")
    for path in scsi_disks("lun"):
        world.assert_in_use(path, "mount", "/mnt/guest-data")


def test_a_map_and_its_paths_are_related(world):
    device = make_multipath(world)
    related = world.related_paths(device)
    assert set(scsi_disks("lun")) <= set(related), related


def test_a_map_and_another_disk_are_apart(world):
    world.assert_apart(make_multipath(world), scsi_disk("plain-a"))
