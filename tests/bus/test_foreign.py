"""Programs that use a disk without asking us."""

import fcntl
import os
import struct

import pytest

from harness import Process, start_qemu

F_OFD_SETLK = 37


@pytest.fixture
def run_qemu(folder):
    """Starts a real QEMU on an image; it opens it, and its CPUs never run."""
    started = []

    def run(path, form, options=""):
        started.append(start_qemu(folder, f"qemu{len(started)}", f"file={path},format={form}{options}"))
        return started[-1]
    yield run
    for process in started:
        process.kill()


def lock(path, kind, byte, ofd=False):
    """Locks one byte as another program would; the lock lives as long as the file that is returned."""
    file = open(path, "r+b")
    if ofd:
        fcntl.fcntl(file, F_OFD_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0))
    else:
        fcntl.fcntl(file, fcntl.F_SETLK, struct.pack("hhqqi4x", kind, os.SEEK_SET, byte, 1, 0))
    return file


@pytest.mark.parametrize("form", ["raw", "qcow2"])
def test_an_image_that_qemu_writes_is_in_use(root, image, run_qemu, form):
    path = image(form=form)
    qemu = run_qemu(path, form)
    report = root.inspect(path)
    assert report["state"] == "in-use"
    user = next(user for user in report["foreign"] if user["pid"] == qemu.pid)
    assert user["command"].startswith("qemu-system") and user["what"] == "qemu"
    error = root.refused_acquire(path)
    assert error.name == "Busy"
    assert str(path) in error.message and str(qemu.pid) in error.message and "qemu" in error.message


def test_the_image_is_free_once_qemu_has_gone(root, disk, run_qemu):
    qemu = run_qemu(disk, "raw")
    root.refused_acquire(disk)
    qemu.kill()
    root.acquire(disk)


def test_readers_stand_beside_a_reading_qemu(root, disk, run_qemu):
    run_qemu(disk, "raw", ",readonly=on")
    root.acquire(disk, "read-only")


def test_a_lease_for_the_qemu_that_has_the_image_open_is_granted(root, disk, run_qemu):
    qemu = run_qemu(disk, "raw")
    lease = root.acquire(disk, pid=qemu.pid, lifetime="process")
    assert lease["Pid"] == qemu.pid
    assert root.inspect(disk)["state"] == "held"


def test_our_lease_does_not_hinder_the_qemu_that_it_protects(root, disk, run_qemu):
    lease = root.acquire(disk)
    qemu = run_qemu(disk, "raw")
    assert lease.call("Check") == ("active",)
    assert qemu.is_alive()


@pytest.mark.parametrize("ofd", [False, True])
@pytest.mark.parametrize("kind, refused, granted", [
    (fcntl.F_WRLCK, ["exclusive", "shared"], []),
    (fcntl.F_RDLCK, ["exclusive"], ["shared"]),
])
def test_virtlockds_byte_is_respected(service, client, disk, ofd, kind, refused, granted):
    # The lock is this process's; the caller is another one.
    caller = client(0)
    held = lock(disk, kind, 0, ofd)
    assert caller.inspect(disk)["state"] == "in-use"
    for mode in refused:
        assert caller.refused_acquire(disk, mode).name == "Busy"
    for mode in granted:
        caller.release(caller.acquire(disk, mode))
    held.close()
    caller.acquire(disk)


def test_virtlockd_is_kept_out_by_our_lease(root, disk):
    lease = root.acquire(disk)
    with pytest.raises(OSError):
        lock(disk, fcntl.F_RDLCK, 0)
    root.release(lease)
    lock(disk, fcntl.F_WRLCK, 0).close()


def test_a_suspended_lease_lets_other_hosts_in_and_resume_finds_them_there(root, service, disk):
    lease = root.acquire(disk)
    lease.call("Suspend")
    held = lock(disk, fcntl.F_WRLCK, 0, ofd=True)
    assert lease.refused("Resume").name == "Busy"
    assert lease["State"] == "suspended"
    held.close()
    lease.call("Resume")
    assert lease["State"] == "active"
    with pytest.raises(OSError):
        lock(disk, fcntl.F_WRLCK, 0)


def test_the_locks_survive_every_alias_being_opened_and_closed(root, disk):
    root.acquire(disk)
    link = disk.with_name("link.img")
    os.link(disk, link)
    root.inspect(link)
    assert root.refused_acquire(link).name == "Busy"
    with pytest.raises(OSError):
        lock(link, fcntl.F_WRLCK, 0)


def test_inspect_opens_nothing_for_writing(root, disk, folder):
    # A program that is being run cannot be opened for writing at all.
    program = disk.with_name("program")
    program.write_bytes(open("/bin/sleep", "rb").read())
    program.chmod(0o755)
    running = Process("sleeper", [program, "1000"], folder)
    assert root.inspect(program)["kind"] == "file"
    running.kill()
