"""What a mount of NFS does with locks and with root is seen, said and heeded."""

import os

from harness import wait_until
from nfs import EXPORT, MOUNTED, PROC, SERVER, SQUASHED, has_lock, make_image, take_locks_away, two_hosts

OWNER = 4711  # has no name on any host


def make_squashed_image(name):
    image = make_image(f"squashed/{name}")
    os.chown(image, OWNER, OWNER)
    image.chmod(0o600)
    return image, SQUASHED / name


def test_an_export_that_squashes_root_is_opened_as_the_files_owner(world):
    a, b = two_hosts(world)
    image, disk = make_squashed_image("owned.img")
    lease = a.root.acquire(disk, owner="web01")
    assert has_lock(a, image)
    assert b.root.refused_acquire(disk).name == "Busy"
    assert lease.call("Check") == ("active",)
    assert a.root.inspect(disk)["state"] == "held"


def test_a_lock_on_such_an_export_is_watched(world):
    a, _ = two_hosts(world)
    _, disk = make_squashed_image("watched.img")
    lease = a.root.acquire(disk)
    take_locks_away(a)
    wait_until(lambda: lease["State"] == "broken", "the lease to break")
    assert lease["BrokenReason"] == "lock taken away by the server"


def test_a_lease_on_such_an_export_outlives_the_service(world):
    a, b = two_hosts(world)
    _, disk = make_squashed_image("kept.img")
    lease = a.root.acquire(disk)
    for keeps_descriptors in (True, False):
        a.service.crash()
        if not keeps_descriptors:
            a.service.manager.drop()
        a.service.start()
        assert lease["State"] == "active" and lease.call("Check") == ("active",), lease["BrokenReason"]
        assert b.root.refused_acquire(disk).name == "Busy"


def test_root_alone_is_refused_there(world):
    a, _ = two_hosts(world)
    make_squashed_image("refused.img")
    # The same export by a path that no rule with open-as= matches.
    error = a.root.refused_acquire(MOUNTED["4.2"] / "squashed/refused.img")
    assert error.name == "BackendFailed" and "Permission denied" in error.message, error


def test_a_rule_for_locks_that_reach_other_hosts_refuses_a_mount_that_keeps_them(world):
    a, _ = two_hosts(world)
    make_image("local.img")
    a.run("mkdir", "-p", "/srv/local")
    a.run("mount", "-t", "nfs", "-o", "vers=3,nolock,mountport=20048,mountproto=tcp", f"{SERVER}:{EXPORT}", "/srv/local")
    try:
        error = a.root.refused_acquire("/srv/local/local.img")
        assert error.name == "Unsupported" and "nolock" in error.message and "reach=host" in error.message, error
        error = a.root.refused_acquire("/srv/local/local.img", backend="lockspace")
        assert error.name == "BackendFailed" and "the lockspace /srv/local/locks" in error.message and "nolock" in error.message, error
    finally:
        a.run("umount", "/srv/local")


def test_a_report_says_how_far_a_lock_reaches(world):
    a, _ = two_hosts(world)
    for version in MOUNTED:
        make_image(f"reach-{version}.img")
        report = a.root.inspect(MOUNTED[version] / f"reach-{version}.img")
        assert report["reach"] == "every host" and ("unseen-loss" in report) == (version == "3"), report


def test_a_kernel_that_hides_losses_is_told_of(world):
    a, _ = two_hosts(world)
    make_image("hidden.img")
    parameter = "/sys/module/nfs/parameters/recover_lost_locks"
    world.run("sh", "-c", f"echo Y >{parameter}")
    world.later("sh", "-c", f"echo N >{parameter}")
    assert "recover_lost_locks" in a.root.inspect(MOUNTED["4.2"] / "hidden.img")["unseen-loss"]


def take_all_locks_away():
    """Of every host, by whatever version of 4: to the server they are clients of their own."""
    for client in PROC.glob("clients/*/ctl"):
        client.write_text("expire\n", encoding="ascii")


def test_the_older_versions_of_4_keep_hosts_apart_and_show_a_loss(world):
    a, b = two_hosts(world)
    for version in ("4.0", "4.1"):
        image, folder = make_image(f"version-{version}.img"), f"/srv/version-{version}"
        for host in (a, b):
            host.run("mkdir", "-p", folder)
            host.run("mount", "-t", "nfs", "-o", f"vers={version}", f"{SERVER}:/", folder)
        try:
            disk = f"{folder}/{image.name}"
            assert f"vers={version}" in a.run("grep", folder, "/proc/mounts")
            report = a.root.inspect(disk)
            assert report["reach"] == "every host" and "unseen-loss" not in report, report
            readers = a.root.acquire(disk, "shared"), b.root.acquire(disk, "read-only")
            assert b.root.refused_acquire(disk).name == "Busy"
            for reader in readers:
                reader.release()
            lease = a.root.acquire(disk)
            assert b.root.refused_acquire(disk, "read-only").name == "Busy" and lease.call("Check") == ("active",)
            take_all_locks_away()
            wait_until(lambda: lease["State"] == "broken", f"the lease to break, version {version}")
            assert lease["BrokenReason"] == "lock taken away by the server"
            b.root.acquire(disk).release()
        finally:
            for host in (a, b):
                host.release_all()
                wait_until(lambda: is_unmounted(host, folder), f"{folder} to be unmounted")


def is_unmounted(host, folder):
    """A worker may be about to close what it had open there."""
    try:
        host.run("umount", folder)
    except AssertionError as problem:
        assert "busy" in str(problem), problem
        return False
    return True
