"""One disk by two names is one disk: whoever has it by the one is in the way of whoever wants it by the other."""

import contextlib
import os
import re
import sys

import pytest

from harness import Process, wait_until
from harness.storage import run

# ---- pairs of names: each function makes the storage and returns both ----


def symbolic_link(storage):
    file = storage.file()
    link = file.with_name("link")
    link.symlink_to(file.name)
    return file, link


def hard_link(storage):
    file = storage.file()
    link = file.with_name("hard.img")
    os.link(file, link)
    return file, link


def slashes_and_dots(storage):
    file = storage.file()
    return file, f"{file.parent}//./{file.name}"


def bind_mount_of_the_folder(storage):
    file = storage.file()
    return file, storage.bind(file.parent, "bound") / file.name


def second_mount_of_a_filesystem(storage):
    loop = storage.filesystem("ext4")
    one, two = storage.mount(loop.node, "one"), storage.mount(loop.node, "two")
    run("truncate", "--size=1M", one / "disk.img")
    return one / "disk.img", two / "disk.img"


def bind_mount_of_a_btrfs_subvolume(storage):
    top = storage.mount(storage.filesystem("btrfs", 128).node, "btrfs")
    run("btrfs", "subvolume", "create", top / "sub")
    run("truncate", "--size=1M", top / "sub/disk.img")
    return top / "sub/disk.img", storage.bind(top / "sub", "bound") / "disk.img"


def subvolume_mounted_by_name(storage):
    loop = storage.filesystem("btrfs", 128)
    top = storage.mount(loop.node, "btrfs")
    run("btrfs", "subvolume", "create", top / "sub")
    run("truncate", "--size=1M", top / "sub/disk.img")
    return top / "sub/disk.img", storage.mount(loop.node, "sub", "-o", "subvol=sub") / "disk.img"


def upper_file_of_an_overlay(storage):
    space = storage.mount("tmpfs", "space", "-t", "tmpfs")
    for name in ("lower", "upper", "work"):
        (space / name).mkdir()
    merged = storage.mount("overlay", "merged", "-t", "overlay", "-o",
                           f"lowerdir={space}/lower,upperdir={space}/upper,workdir={space}/work")
    run("truncate", "--size=1M", merged / "disk.img")
    return merged / "disk.img", space / "upper/disk.img"


def node_elsewhere(storage):
    loop = storage.loop()
    node = storage.folder / "node"
    os.mknod(node, 0o60600, os.stat(loop.node).st_rdev)
    return loop.node, node


def link_to_a_node(storage):
    loop = storage.loop()
    link = storage.folder / "by-id"
    link.symlink_to(loop.node)
    return loop.node, link


def partition_and_whole_device(storage):
    loop = storage.loop()
    return loop.add_partition(1), loop.node


def two_loop_devices_on_one_file(storage):
    file = storage.file()
    return storage.loop(file).node, storage.loop(file).node


def one_partition_through_two_loop_devices(storage):
    file = storage.file()
    return storage.loop(file).add_partition(1), storage.loop(file).add_partition(1)


def loop_device_on_a_loop_device(storage):
    lower = storage.loop()
    return lower.node, storage.loop(lower.node).node


def spellings_of_a_network_disk(storage):
    return "rbd://mon1,mon2/pool/image", "RBD://Mon2,Mon1/pool//image"


def transports_of_a_network_disk(storage):
    return "nbd://host/export", "nbd+tcp://host:10809/export"


PAIRS = [symbolic_link, hard_link, slashes_and_dots, bind_mount_of_the_folder, second_mount_of_a_filesystem,
         bind_mount_of_a_btrfs_subvolume, subvolume_mounted_by_name, upper_file_of_an_overlay, node_elsewhere,
         link_to_a_node, partition_and_whole_device, two_loop_devices_on_one_file,
         one_partition_through_two_loop_devices, loop_device_on_a_loop_device, spellings_of_a_network_disk,
         transports_of_a_network_disk]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.__name__)
@pytest.mark.parametrize("way", ["there", "back"])
def test_who_has_a_disk_by_one_name_is_in_the_way_by_the_other(storage, root, pair, way):
    names = pair(storage)
    held, wanted = names if way == "there" else reversed(names)
    lease = root.acquire(held, owner="web01")
    error = root.refused_acquire(wanted, owner="db01")
    assert error.name == "Busy" and "web01" in error.message
    root.release(lease)
    root.release(root.acquire(wanted, owner="db01"))


# ---- what looks alike and is not ----


def partitions_of_one_device(storage):
    loop = storage.loop()
    return loop.add_partition(1), loop.add_partition(2)


def files_of_one_number_in_two_subvolumes(storage):
    top = storage.mount(storage.filesystem("btrfs", 128).node, "btrfs")
    for name in ("a", "b"):
        run("btrfs", "subvolume", "create", top / name)
        run("truncate", "--size=1M", top / name / "disk.img")
    files = top / "a/disk.img", top / "b/disk.img"
    assert os.stat(files[0]).st_ino == os.stat(files[1]).st_ino
    return files


def reflink(storage):
    top = storage.mount(storage.filesystem("btrfs", 128).node, "btrfs")
    (top / "disk.img").write_bytes(b"x" * 65536)
    run("cp", "--reflink=always", top / "disk.img", top / "copy.img")
    return top / "disk.img", top / "copy.img"


def snapshot_of_a_subvolume(storage):
    top = storage.mount(storage.filesystem("btrfs", 128).node, "btrfs")
    run("btrfs", "subvolume", "create", top / "sub")
    run("truncate", "--size=1M", top / "sub/disk.img")
    run("btrfs", "subvolume", "snapshot", top / "sub", top / "snapshot")
    return top / "sub/disk.img", top / "snapshot/disk.img"


def network_disks_of_two_hosts(storage):
    return "rbd://mon1/pool/image", "rbd://mon2/pool/image"


@pytest.mark.parametrize("pair", [partitions_of_one_device, files_of_one_number_in_two_subvolumes, reflink,
                                  snapshot_of_a_subvolume, network_disks_of_two_hosts],
                         ids=lambda pair: pair.__name__)
def test_who_has_one_disk_is_not_in_the_way_of_another(storage, root, pair):
    one, other = pair(storage)
    root.acquire(one)
    root.acquire(other)


# ---- descriptors, and files below loop devices ----


def test_a_disk_of_another_mount_namespace_is_known_by_its_descriptor(storage, root, folder):
    file = storage.file()
    hidden = storage.folder / "hidden"
    hidden.mkdir()
    container = Process("container", [
        "unshare", "--mount", "--propagation", "private", "sh", "-c",
        f"mount --bind {file.parent} {hidden} && touch {folder}/mounted && exec sleep 1000"], folder)
    wait_until((folder / "mounted").exists, "the container's mount")
    fd = os.open(f"/proc/{container.pid}/root{hidden}/{file.name}", os.O_RDWR)
    lease = root.acquire_fd(fd, owner="web01")
    assert "web01" in root.refused_acquire(file).message
    root.release(lease)
    root.acquire(file, owner="web01")
    assert "web01" in root.start_acquire_fd(fd).error().message
    os.close(fd)
    container.kill()


def test_a_loop_device_and_its_file_are_in_each_others_way(storage, root):
    file = storage.file()
    lease = root.acquire(file, owner="web01")
    loop = storage.loop(file)
    partition = loop.add_partition(1)
    for name in (loop.node, partition):
        assert "web01" in root.refused_acquire(name).message
    root.release(lease)
    for name in (loop.node, partition):
        lease = root.acquire(name, owner="db01")
        assert "db01" in root.refused_acquire(file).message
        root.release(lease)


def test_a_file_with_a_loop_device_on_it_is_in_use(storage, root):
    loop = storage.loop(storage.file())
    error = root.refused_acquire(storage.folder / "backing.img")
    assert error.name == "Busy" and str(loop.node) in error.message
    loop.close()
    root.acquire(storage.folder / "backing.img")


# ---- what Inspect says of them ----


def test_inspect_lists_what_overlaps_held_or_not(storage, root):
    file = storage.file()
    loop = storage.loop(file)
    first, second = loop.add_partition(1), loop.add_partition(2)
    lease = root.acquire(first)
    related = {entry["path"]: entry for entry in root.inspect(loop.node)["related"]}
    assert {path: entry["relation"] for path, entry in related.items()} == {
        str(first): "partition", str(second): "partition", str(file): "backing file"}
    assert related[str(first)]["disk"] == lease["Disk"]
    assert related[str(first)]["held"] and not related[str(second)]["held"] and not related[str(file)]["held"]


def test_inspect_of_the_part_names_the_whole(storage, root):
    loop = storage.loop()
    partition = loop.add_partition(1)
    relations = [entry["relation"] for entry in root.inspect(partition)["related"]]
    assert sorted(relations) == ["backing file", "whole disk"]


@pytest.mark.parametrize("kind, mebibytes", [("ext4", 8), ("xfs", 400), ("btrfs", 128)])
def test_a_mounted_filesystem_is_in_use(storage, root, kind, mebibytes):
    loop = storage.filesystem(kind, mebibytes)
    point = storage.mount(loop.node, "mounted")
    report = root.inspect(loop.node)
    assert report["state"] == "in-use"
    assert [(user["what"], user["where"]) for user in report["foreign"]] == [("mount", str(point))]
    for mode in ("exclusive", "shared", "read-only"):
        error = root.refused_acquire(loop.node, mode)
        assert error.name == "Busy" and str(point) in error.message and "unmount" in error.message
    run("umount", point)
    storage._mounts.remove(point)
    root.acquire(loop.node)


def test_a_network_disk_is_kept_from_this_host_alone_and_inspect_says_so(root):
    report = root.inspect("RBD://mon1/pool/image")
    assert (report["kind"], report["disk"]) == ("network", "network:rbd://mon1/pool/image")
    assert (report["backend"], report["reach"], report["state"]) == ("host", "this host", "free")
    lease = root.acquire("rbd://mon1/pool/image")
    assert lease.call("Check") == ("active",)
    lease.call("Convert", "(s)", "shared")
    lease.call("Suspend")
    lease.call("Resume")
    assert root.inspect("rbd://mon1/pool/image")["state"] == "held"


def test_a_file_on_a_filesystem_of_this_host_is_kept_from_this_host_alone_and_inspect_says_why(root, disk):
    report = root.inspect(disk)
    assert report["reach"] == "this host" and "not known to show locks to other hosts" in report["reach-limit"]


@pytest.mark.parametrize("uri", ["rbd://mon1", "nbd://host:99999/x", "http://host/../x"])
def test_a_name_of_no_network_disk_is_refused(root, uri):
    assert root.refused_acquire(uri).name == "InvalidArgs"


def test_disklockctl_takes_network_disks(root, ctl):
    done = ctl("acquire", "rbd://mon1/pool/image")
    assert done.returncode == 0, done.stderr
    assert root.refused_acquire("rbd://mon1/pool/image").name == "Busy"


# ---- the race for a link ----

SWAPPER = """
import os, sys
folder, count = sys.argv[1], int(sys.argv[2])
turn = 0
while True:
    turn ^= 1
    for i in range(count):
        new = f"{folder}/new"
        os.symlink(f"{'ab'[turn]}{i}.img", new)
        os.rename(new, f"{folder}/link{i}")
"""
LINKS, ROUNDS = 100, 100


def locked_inodes(pid):
    """The inodes that the process holds a file lock on, one entry a lock."""
    inodes = []
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        # One that was only looked at may be closed by now.
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/fdinfo/{fd}") as info:
            inodes += re.findall(r"^lock:.* OFDLCK .* \w+:\w+:(\d+) 0 0$", info.read(), re.M)
    return inodes


def test_no_lock_is_on_another_file_than_its_lease_names(storage, service, root, folder):
    """Each link leads now to one file, now to another, and changes all the time."""
    for i in range(LINKS):
        storage.file(f"a{i}.img", 1)
        storage.file(f"b{i}.img", 1)
        (storage.folder / f"link{i}").symlink_to(f"a{i}.img")
    swapper = Process("swapper", [sys.executable, "-c", SWAPPER, storage.folder, LINKS], folder)
    seen = set()
    for _ in range(ROUNDS):
        pending = [root.start_acquire(storage.folder / f"link{i}", owner="racer") for i in range(LINKS)]
        for call in pending:
            call.result()
        named = [lease["Disk"].split(":")[-1] for lease in root.list(owner="racer").values()]
        assert len(named) == LINKS
        assert sorted(locked_inodes(service.pid)) == sorted(named)
        seen.update(named)
        assert root.call("ReleaseOwner", "(s)", "racer") == (LINKS,)
    assert swapper.is_alive()
    swapper.kill()
    assert len(seen) > LINKS, "the links never changed while they were followed"
