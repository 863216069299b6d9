"""NVMe namespaces: of the emulated controller, which has no identity to offer but its serial number, and of the kernel's target."""

from storage import connect_namespace, make_partitions, names_of

NGUID = "d1501c4b-6e76-4d65-8a0c-0000000000a1"
WWID = f"eui.{NGUID.replace('-', '')}"


def test_a_namespace_is_one_by_its_node_and_by_its_ids(world):
    world.assert_one_disk("/dev/nvme0n1", *names_of(world, "/dev/nvme0n1", "id"))


def test_two_namespaces_of_a_controller_are_apart(world):
    world.assert_apart("/dev/nvme0n1", "/dev/nvme0n2")


def test_a_partition_and_its_namespace_overlap(world):
    first, second = make_partitions(world, "/dev/nvme0n2")
    world.assert_overlap(first, "/dev/nvme0n2")
    world.assert_apart(first, second)


def test_a_namespace_has_the_identity_that_its_target_gives_it(world):
    for node in connect_namespace(world, NGUID):
        assert world.root.inspect(node)["wwid"] == WWID


def test_a_namespace_that_is_reached_by_two_controllers_is_one_disk(world):
    world.assert_one_disk(*connect_namespace(world, NGUID), f"/dev/disk/by-id/nvme-{WWID}")
