"""What fails with virtlockd, one case after the other, and does not here.

LOCK_MANAGER=lockd runs the same with virtlockd: tools/compare-virtlockd prints what comes of it.
"""

import os
import subprocess
from contextlib import closing

import pytest

from harness import VirshError, wait_until
from harness.domain import disk, small_domain
from harness.storage import Storage
from lock_managers import Disklock, Virtlockd, is_locked

HANG = 60  # seconds, in which whoever does not answer is said to hang


def start_host(bus, cache):
    """With the lock manager of the environment's LOCK_MANAGER."""
    manager = {"disklock": Disklock, "lockd": Virtlockd}[os.environ.get("LOCK_MANAGER", "disklock")]
    return closing(manager(bus, cache))


@pytest.fixture
def host(bus, cache):
    with start_host(bus, cache) as host:
        yield host


def lone_domain(host, path, name="web01", form="raw", **more):
    return small_domain(disk(path, form=form, **more), name=name, emulator=host.lone)


def assert_refused(host, xml):
    """Does the lock manager keep it from starting?"""
    try:
        host.libvirt.create(xml)
    except VirshError as error:
        assert "Failed to get" not in str(error), "QEMU found out, not the lock manager"
        return
    raise AssertionError("two domains write to one disk")


# ---- what both can do ----

def test_0_one_disk_by_one_name_is_locked_once(host, image):
    path = image()
    host.libvirt.create(lone_domain(host, path))
    assert_refused(host, lone_domain(host, path, "web02"))


# ---- 1: one disk by two names ----

@pytest.mark.parametrize("alias", ["symbolic link", "hard link", "double slash"])
def test_1_one_disk_by_two_names_is_locked_once(host, image, folder, alias):
    path, link = image(), folder / "alias.img"
    if alias == "symbolic link":
        link.symlink_to(path)
    elif alias == "hard link":
        os.link(path, link)
    else:
        link = f"/{path}"
    host.libvirt.create(lone_domain(host, path))
    assert_refused(host, lone_domain(host, link, "web02"))


# ---- 2: the end of the daemon ----

def test_2_locks_outlive_kill_9_of_the_daemon(host, image):
    path = image()
    host.libvirt.create(lone_domain(host, path))
    host.kill()
    host.start()
    assert host.libvirt.running() == {"web01"}
    assert_refused(host, lone_domain(host, path, "web02"))


def test_2_domains_outlive_a_stop_of_the_daemon(host, image):
    host.libvirt.create(lone_domain(host, image()))
    pid = host.libvirt.pid()
    host.terminate()
    host.start()
    assert host.libvirt.running() == {"web01"} and os.path.exists(f"/proc/{pid}/exe"), "the domain died with the daemon"


# ---- 3: who it is ----

def test_3_who_is_refused_reads_who_has_the_disk(host, image):
    path = image()
    host.libvirt.create(lone_domain(host, path))
    said = host.libvirt.refused_create(lone_domain(host, path, "web02"))
    assert "web01" in said, f"it says {said.splitlines()[-1]!r}"


def test_3_anybody_who_may_can_ask_who_has_a_disk(host, image):
    path = image()
    host.libvirt.create(lone_domain(host, path))
    assert host.who_holds(path) == {"web01"}


def test_3_a_lock_that_is_left_over_can_be_freed(host, image):
    path = image()
    host.libvirt.create(lone_domain(host, path))
    host.free(path)
    assert not is_locked(path)


# ---- 4: when ----

def test_4_a_conflict_is_found_before_qemu_opens_the_disk(host, image):
    path = image()
    host.libvirt.create(small_domain(disk(path)))
    said = host.libvirt.refused_create(small_domain(disk(path), name="web02"))
    assert 'Failed to get "write" lock' not in said, "QEMU found out, when it had opened the disk"


# ---- 5: what a running domain does ----

def test_5_a_paused_domain_keeps_its_disk(host, image):
    path = image()
    host.libvirt.create(lone_domain(host, path))
    host.libvirt.virsh("suspend", "web01")
    assert_refused(host, lone_domain(host, path, "web02"))


def test_5_a_disk_plugged_while_paused_does_not_stand_in_the_way_of_resume(host, image):
    host.libvirt.create(lone_domain(host, image("1.img")))
    host.libvirt.virsh("suspend", "web01")
    host.libvirt.virsh("attach-device", "web01", host.libvirt.file(disk(image("2.img"), "sda", bus="scsi")))
    host.libvirt.virsh("resume", "web01")


def test_5_a_copy_while_paused_does_not_stand_in_the_way_of_resume(host, qcow2):
    path = qcow2("base.qcow2")
    host.libvirt.create(lone_domain(host, path, form="qcow2"))
    host.libvirt.virsh("suspend", "web01")
    host.libvirt.virsh("blockcopy", "web01", "vda", path.with_name("copy.qcow2"), "--transient-job", "--pivot")
    host.libvirt.virsh("resume", "web01")


def test_5_an_intermediate_commit_gives_back_the_lock_of_the_base(host, qcow2):
    base = qcow2("base.qcow2")
    host.libvirt.create(lone_domain(host, base, form="qcow2"))
    for name in ("middle", "top"):
        host.libvirt.virsh("snapshot-create-as", "web01", "--no-metadata", "--disk-only", "--diskspec",
                           f"vda,file={base.with_name(name + '.qcow2')}")
    host.libvirt.virsh("blockcommit", "web01", "vda", "--top", base.with_name("middle.qcow2"), "--base", base, "--wait")
    assert not is_locked(base, "read"), "the base stays locked"


def test_5_a_backing_file_is_not_written_by_another(host, qcow2):
    base = qcow2("base.qcow2")
    host.libvirt.create(lone_domain(host, qcow2("over.qcow2", base), form="qcow2"))
    assert_refused(host, lone_domain(host, base, "web02", form="qcow2"))


# ---- 6: who may do what ----

def test_6_nobody_gives_up_the_lock_of_another(host, image):
    path = image()
    host.libvirt.create(lone_domain(host, path))
    assert is_locked(path)
    host.steal(path)
    assert is_locked(path), "the lock is gone"


def test_6_a_daemon_that_stands_still_does_not_hang_libvirtd(host, image):
    host.stop()
    try:
        said = host.libvirt.refused_create(lone_domain(host, image()), timeout=HANG)
        assert host.libvirt.running() == set()
        assert "does not answer" in said, f"it says {said.splitlines()[-1]!r}"
    except subprocess.TimeoutExpired as error:
        raise AssertionError("virsh create hangs") from error
    finally:
        host.cont()
    host.libvirt.create(lone_domain(host, image("other.img")))


# ---- 7: block devices ----

def test_7_two_nodes_of_one_block_device_are_one_disk(host, folder):
    with closing(Storage(folder)) as storage:
        device = storage.loop().node
        node = folder / "node"
        os.mknod(node, 0o600 | 0o060000, os.stat(device).st_rdev)

        def block(path, name):
            xml = disk(path).replace("type='file'", "type='block'").replace("file=", "dev=")
            return small_domain(xml, name=name, emulator=host.lone)
        host.libvirt.create(block(device, "web01"))
        assert_refused(host, block(node, "web02"))
        host.libvirt.virsh("destroy", "web01")
        wait_until(lambda: host.libvirt.running() == set(), "the end")
