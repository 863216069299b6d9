"""GFS2 and OCFS2 on one host alone, without a cluster: locks there are this host's, and a rule that asks for more refuses them."""

from pathlib import Path

from storage import scsi_disk

LOCAL = {"gfs2": Path("/srv/gfs2"), "ocfs2": Path("/srv/ocfs2")}
POLICY = "[Rule rest]\nbackend=fcntl\n"


def mount(world, filesystem, disk, *make):
    world.run("modprobe", filesystem)
    world.run(*make, disk)
    world.run("mkdir", "-p", LOCAL[filesystem])
    world.run("mount", "-t", filesystem, disk, LOCAL[filesystem])
    world.later("umount", LOCAL[filesystem])
    image = LOCAL[filesystem] / "disk.img"
    image.write_bytes(bytes(1 << 20))
    return image


def assert_recognised(world, image, word):
    error = world.root.refused_acquire(image)
    assert error.name == "Unsupported" and "reach=hosts" in error.message and word in error.message, error
    host = world.add_host(f"host-of-{image.parent.name}", POLICY)
    report = host.root.inspect(image)
    assert report["reach"] == "this host" and word in report["reach-limit"] and "unseen-loss" not in report, report
    lease = host.root.acquire(image)
    assert lease.call("Check") == ("active",) and host.root.refused_acquire(image, "read-only").name == "Busy"
    lease.call("Convert", "(s)", "shared")
    lease.release()
    assert host.root.inspect(image)["state"] == "free"


def test_gfs2_without_a_cluster_keeps_locks_on_this_host(world):
    image = mount(world, "gfs2", scsi_disk("plain-a"), "mkfs.gfs2", "-q", "-O", "-p", "lock_nolock", "-j", "1", "-J", "8")
    assert_recognised(world, image, "localflocks")


def test_ocfs2_without_a_cluster_keeps_locks_on_this_host(world):
    image = mount(world, "ocfs2", scsi_disk("plain-b"), "mkfs.ocfs2", "-q", "-F", "-M", "local", "-N", "1")
    assert_recognised(world, image, "cluster stack")
