"""The guest's disks, and what is built on them: once for all tests of a guest, since it takes time and goes with the guest."""

from functools import cache
from pathlib import Path

from harness import PATIENCE, wait_until


def names_of(world, device, kind):
    """Every link in /dev/disk/by-KIND that leads to a device; udev may know of more, which lead to others that claim them too."""
    links = world.run("udevadm", "info", "--query=symlink", f"--name={device}").split()
    found = [f"/dev/{link}" for link in links if link.startswith(f"disk/by-{kind}/") and node_of(f"/dev/{link}") == node_of(device)]
    assert found, f"{device} has no link in /dev/disk/by-{kind}: {links}"
    return found


def node_of(link):
    """The device's node, as the kernel names it."""
    return str(Path(link).resolve(strict=True))


def scsi_disks(serial):
    """The nodes of all paths to the disk with this serial number, which tests/vm/machine.py gave it."""
    found = [f"/dev/{device.name}" for device in sorted(Path("/sys/block").glob("sd*"))
             if serial.encode() in (device / "device/vpd_pg83").read_bytes()]
    assert found, f"there is no SCSI disk {serial}"
    return found


def scsi_disk(serial):
    disks = scsi_disks(serial)
    assert len(disks) == 1, f"{serial} has {len(disks)} paths: {disks}"
    return disks[0]


@cache
def make_partitions(world, disk):
    """Two partitions; returns their nodes."""
    script = world.folder / "partitions"
    script.write_text("label: gpt\nsize=32MiB\nsize=32MiB\n", encoding="utf-8")
    world.change("sh", "-c", f"sfdisk --quiet {disk} <{script}")
    infix = "p" if disk[-1].isdigit() else ""
    return f"{disk}{infix}1", f"{disk}{infix}2"


def mount(world, device, point):
    """A new filesystem; mounted until the test is over."""
    world.run("mkfs.ext4", "-q", "-F", device)
    world.run("mkdir", "-p", point)
    world.change("mount", device, point)
    world.later("umount", point)


@cache
def map_linear(world, name, disk, start, sectors):
    """A device mapped on a part of a disk; returns its link in /dev/mapper."""
    world.run("modprobe", "dm_mod")
    world.change("dmsetup", "create", name, "--table", f"0 {sectors} linear {disk} {start}")
    return f"/dev/mapper/{name}"


@cache
def make_volume_group(world, disk):
    """The group vm-disks with two volumes; returns their paths."""
    world.run("modprobe", "dm_mod")
    world.run("vgcreate", "--quiet", "vm-disks", disk)
    for volume in ("web", "data"):
        world.change("lvcreate", "--quiet", "--wipesignatures", "n", "--size", "32m", "--name", volume, "vm-disks")
    return "/dev/vm-disks/web", "/dev/vm-disks/data"


def deactivate_volume_group(world):
    """Until the test is over."""
    world.change("vgchange", "--quiet", "--activate", "n", "vm-disks")
    world.later("vgchange", "--quiet", "--activate", "y", "vm-disks")


def rename_volume(world, old, new):
    """Until the test is over; returns its new path."""
    world.change("lvrename", "--quiet", "vm-disks", old, new)
    world.later("lvrename", "--quiet", "vm-disks", new, old)
    return f"/dev/vm-disks/{new}"


def make_snapshot(world, volume):
    """Of a volume, until the test is over; returns its path."""
    world.run("modprobe", "dm_snapshot")
    world.change("lvcreate", "--quiet", "--snapshot", "--extents", "2", "--name", "yesterday", volume)
    world.later("lvremove", "--quiet", "--yes", "vm-disks/yesterday")
    return "/dev/vm-disks/yesterday"


MULTIPATH_CONF = """
defaults {
    find_multipaths greedy
    user_friendly_names no
}
blacklist {
    wwid ".*"
}
blacklist_exceptions {
    wwid "35000c50000000c01"
}
"""


@cache
def make_multipath(world):
    """The map on all paths of the LUN, as multipath-tools sets it up; returns its link in /dev/mapper."""
    Path("/etc/multipath.conf").write_text(MULTIPATH_CONF, encoding="utf-8")
    world.run("modprobe", "--all", "dm_multipath", "dm_service_time")
    world.change("multipath", "-v2")
    device = Path("/dev/mapper/35000c50000000c01")
    assert device.exists(), world.run("multipath", "-v3", "-ll")
    return str(device)


@cache
def make_array(world):
    """A mirror of the two plain disks; returns its path in /dev/md."""
    world.run("modprobe", "raid1")
    world.change("mdadm", "--quiet", "--create", "/dev/md/mirror", "--run", "--level=1", "--metadata=1.2", "--assume-clean",
                 "--raid-devices=2", scsi_disk("plain-a"), scsi_disk("plain-b"))
    return "/dev/md/mirror"


def reassemble_array(world, array, new):
    """Under another name, until the test is over."""
    members = scsi_disk("plain-a"), scsi_disk("plain-b")
    world.change("mdadm", "--quiet", "--stop", array)
    world.later("mdadm", "--quiet", "--assemble", array, *members)
    world.change("mdadm", "--quiet", "--assemble", new, *members)
    world.later("mdadm", "--quiet", "--stop", new)


def stop_array(world, array):
    """Until the test is over."""
    world.change("mdadm", "--quiet", "--stop", array)
    world.later("mdadm", "--quiet", "--assemble", array, scsi_disk("plain-a"), scsi_disk("plain-b"))


@cache
def connect_namespace(world, nguid):
    """A namespace of the kernel's own NVMe target, connected over two controllers; returns the two nodes."""
    image = world.folder / "namespace.img"
    world.run("truncate", "--size=64M", image)
    world.run("modprobe", "--all", "nvmet_tcp", "nvme_tcp")
    world.run("mount", "-t", "configfs", "configfs", "/sys/kernel/config")
    target = Path("/sys/kernel/config/nvmet")
    subsystem, port = target / "subsystems/disklock", target / "ports/1"
    for folder in (subsystem, subsystem / "namespaces/1", port):
        folder.mkdir()
    for file, text in ((subsystem / "attr_allow_any_host", "1"), (subsystem / "namespaces/1/buffered_io", "1"),
                       (subsystem / "namespaces/1/device_path", str(image)), (subsystem / "namespaces/1/device_nguid", nguid),
                       # It has a random UUID unless told otherwise, and that would come before the NGUID.
                       (subsystem / "namespaces/1/device_uuid", "00000000-0000-0000-0000-000000000000"),
                       (subsystem / "namespaces/1/enable", "1"), (port / "addr_trtype", "tcp"),
                       (port / "addr_adrfam", "ipv4"), (port / "addr_traddr", "127.0.0.1"), (port / "addr_trsvcid", "4420")):
        file.write_text(text, encoding="ascii")
    (port / "subsystems/disklock").symlink_to(subsystem)
    for _ in range(2):
        Path("/dev/nvme-fabrics").write_text("transport=tcp,traddr=127.0.0.1,trsvcid=4420,nqn=disklock,duplicate_connect", encoding="ascii")
    wait_until(lambda: len(nodes_of_namespace(nguid)) == 2, "both nodes of the namespace")
    world.run("udevadm", "settle", f"--timeout={PATIENCE}")
    return nodes_of_namespace(nguid)


def nodes_of_namespace(nguid):
    found = [device for device in sorted(Path("/sys/block").glob("nvme*")) if (device / "nguid").exists()]
    return [f"/dev/{device.name}" for device in found if (device / "nguid").read_text(encoding="ascii").strip() == nguid]
