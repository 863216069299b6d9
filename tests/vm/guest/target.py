"""The kernel's own SCSI target: one disk that several initiators reach, each with a nexus of its own, as several hosts do."""

from functools import cache
from pathlib import Path

from harness import wait_until

CORE = Path("/sys/kernel/config/target")
SERIAL = "5d1501c4-0000-4000-8000-0000000000e1"


def nexus_name(number):
    return f"naa.600140500000000{number}"


@cache
def load(world):
    world.run("modprobe", "--all", "target_core_mod", "target_core_file", "tcm_loop", "sg")
    if not CORE.exists():
        world.run("mount", "-t", "configfs", "configfs", "/sys/kernel/config")
    # Where the target keeps registrations over a loss of power; it refuses to register without.
    Path("/var/target/pr").mkdir(parents=True, exist_ok=True)


def export(number, store):
    """A SCSI host of its own for `store`."""
    group = CORE / "loopback" / nexus_name(number) / "tpgt_1"
    group.mkdir(parents=True)
    (group / "nexus").write_text(f"naa.600140511111111{number}", encoding="ascii")
    (group / "lun/lun_0").mkdir()
    (group / "lun/lun_0/disk").symlink_to(store)


def nodes():
    """Of the disk, one for each initiator, in the order of their numbers."""
    found = [device for device in Path("/sys/block").glob("sd*") if (device / "device/vendor").read_text(encoding="ascii").startswith("LIO-ORG")]
    return [f"/dev/{device.name}" for device in sorted(found, key=lambda device: int((device / "device").resolve().name.split(":")[0]))]


@cache
def make_shared_disk(world, initiators=2):
    """One disk with so many initiators; returns their nodes."""
    load(world)
    image = world.folder / "shared.img"
    world.run("truncate", "--size=64M", image)
    store = CORE / "core/fileio_1/shared"
    store.mkdir(parents=True)
    (store / "control").write_text(f"fd_dev_name={image},fd_dev_size={64 << 20}", encoding="ascii")
    (store / "wwn/vpd_unit_serial").write_text(SERIAL, encoding="ascii")
    (store / "enable").write_text("1", encoding="ascii")
    for number in range(1, initiators + 1):
        export(number, store)
    wait_until(lambda: len(nodes()) == initiators, "all nodes of the shared disk")
    world.run("udevadm", "settle")
    return tuple(nodes())
