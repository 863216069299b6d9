"""Paths are hostile: whatever is no disk is refused with its name, and looking has no side effects."""

import fcntl
import os
import socket
import struct
import subprocess

import pytest
from gi.repository import Gio, GLib

from harness import MANAGER, NAME, OBJECT, wait_until

F_OFD_SETLK = 37


def refused(root, path):
    """Acquire and Inspect agree on what is no disk; the message names the path."""
    error = root.refused_acquire(path)
    assert root.refused("Inspect", "(s)", str(path)).name == error.name
    assert os.path.basename(str(path)) in error.message
    return error


@pytest.mark.parametrize("path", ["disk.img", "./disk.img", "../disk.img", "~/disk.img", ""])
def test_a_relative_path(root, path):
    assert root.refused_acquire(path).name == "InvalidArgs"
    assert root.refused("Inspect", "(s)", path).name == "InvalidArgs"


def test_a_folder(root, folder):
    error = refused(root, folder)
    assert error.name == "NotADisk"


def test_the_root_folder(root):
    assert root.refused_acquire("/").name == "NotADisk"


def test_a_fifo(root, folder):
    os.mkfifo(folder / "fifo")
    assert refused(root, folder / "fifo").name == "NotADisk"


def test_a_socket(root, folder):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "socket"))
    assert refused(root, folder / "socket").name == "NotADisk"
    listener.close()


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero", "/dev/tty", "/dev/ptmx"])
def test_a_character_device(root, path):
    assert refused(root, path).name == "NotADisk"


def test_what_is_missing(root, folder):
    assert refused(root, folder / "missing.img").name == "NotADisk"


def test_what_lies_behind_a_file(root, disk):
    assert refused(root, f"{disk}/part").name == "NotADisk"


def test_a_file_with_a_slash_behind_it(root, disk):
    assert root.refused_acquire(f"{disk}/").name == "NotADisk"


def test_a_loop_of_links(root, folder):
    os.symlink("b", folder / "a")
    os.symlink("a", folder / "b")
    assert refused(root, folder / "a").name == "NotADisk"


def test_a_link_to_itself(root, folder):
    os.symlink("self", folder / "self")
    assert refused(root, folder / "self").name == "NotADisk"


def test_a_link_that_leads_nowhere(root, folder):
    os.symlink("/nowhere/at/all", folder / "link")
    assert refused(root, folder / "link").name == "NotADisk"


@pytest.mark.parametrize("path", ["/proc/self/exe", "/proc/1/root/etc/passwd", "/proc/version", "/proc/self/fd/0",
                                  "/dev/stdin", "/dev/fd/0"])
def test_what_procfs_shows_is_no_disk(root, path):
    assert root.refused_acquire(path).name == "NotADisk"


@pytest.mark.parametrize("length", [256, 4095, 4096, 4097, 65536, 1 << 20])
def test_a_path_that_is_too_long(root, length):
    path = "/tmp/" + "a" * (length - 5)
    error = root.refused_acquire(path)
    assert error.name in ("NotADisk", "InvalidArgs")
    assert len(error.message) < 8192


def test_a_long_path_of_short_parts(root, folder):
    path = f"{folder}/" + "./" * 3000 + "disk.img"
    assert root.refused_acquire(path).name in ("NotADisk", "InvalidArgs")


def test_control_characters_do_not_reach_the_message(root):
    error = root.refused_acquire("/tmp/\x1b[31mred\nfake: line\u2028\u009b")
    assert error.name in ("NotADisk", "InvalidArgs")
    assert error.message.isprintable()


def test_a_name_that_is_not_utf_8_is_reached_by_a_link(root, disk):
    odd = os.fsencode(disk.parent) + b"/\xff\xfe.img"
    os.rename(disk, odd)
    os.symlink(odd, disk)
    lease = root.acquire(disk)
    assert lease["State"] == "active"
    assert root.inspect(disk)["state"] == "held"
    os.unlink(odd)
    wait_until(lambda: lease["State"] == "broken", "the loss to be seen")


def test_a_name_that_is_not_utf_8_is_reached_by_a_descriptor(root, disk):
    odd = os.fsencode(disk.parent) + b"/\xff\xfe.img"
    os.rename(disk, odd)
    fd = os.open(odd, os.O_RDWR)
    lease = root.acquire_fd(fd)
    os.close(fd)
    assert root.list()[lease.path]["Path"].isprintable()


@pytest.mark.parametrize("bad", [b"/tmp/\xff\xfe", b"/tmp/\xed\xa0\x80", b"/tmp/a\0b"])
def test_the_bus_itself_stops_strings_that_are_none(root, bus, service, bad):
    """Neither bytes that are not UTF-8 nor an embedded NUL get past the bus; the sender is cut off and the service lives."""
    placeholder = b"Q" * len(bad)
    message = Gio.DBusMessage.new_method_call(NAME, OBJECT, MANAGER, "Acquire")
    message.set_body(GLib.Variant("(ssa{sv})", (placeholder.decode(), "exclusive", {})))
    message.set_serial(2)
    hello = Gio.DBusMessage.new_method_call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello")
    hello.set_serial(1)
    raw = socket.socket(socket.AF_UNIX)
    raw.connect(bus.address.removeprefix("unix:path="))
    raw.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
    assert raw.recv(1000).startswith(b"OK ")
    raw.sendall(b"BEGIN\r\n" + blob(hello) + blob(message).replace(placeholder, bad))
    raw.settimeout(60)
    while raw.recv(100000):
        pass
    raw.close()
    assert root.list() == {}


def blob(message):
    return message.to_blob(Gio.DBusCapabilityFlags.NONE)


@pytest.mark.parametrize("alias", ["symlink", "hardlink", "double slash", "dots", "bind mount"])
def test_every_path_of_a_disk_is_that_disk(root, disk, folder, alias):
    other = disk.with_name("other-name.img")
    if alias == "symlink":
        other.symlink_to(disk)
    elif alias == "hardlink":
        os.link(disk, other)
    elif alias == "double slash":
        other = f"/{disk.parent}///{disk.name}"
    elif alias == "dots":
        other = f"{disk.parent}/./../{disk.parent.name}/{disk.name}"
    else:
        other.touch()
        subprocess.run(["mount", "--bind", disk, other], check=True)
    try:
        lease = root.acquire(disk)
        assert root.refused_acquire(other).name == "Busy"
        assert root.inspect(other)["disk"] == lease["Disk"]
        root.release(lease)
        root.release(root.acquire(other))
    finally:
        if alias == "bind mount":
            wait_until(lambda: subprocess.run(["umount", other]).returncode == 0, "the mount to be let go")


def test_two_images_are_two_disks(root, image):
    assert root.acquire(image("a"))["Disk"] != root.acquire(image("b"))["Disk"]


def test_an_empty_file_is_a_disk(root, disk):
    disk.write_bytes(b"")
    root.acquire(disk)


def test_a_descriptor_opened_for_reading_proves_reading_alone(root, disk):
    fd = os.open(disk, os.O_RDONLY)
    assert root.start_acquire_fd(fd, "exclusive").error().name == "NotAuthorized"
    assert root.start_acquire_fd(fd, "shared").error().name == "NotAuthorized"
    root.acquire_fd(fd, "read-only")
    os.close(fd)


def test_a_descriptor_opened_with_o_path_proves_nothing(root, disk):
    fd = os.open(disk, os.O_PATH)
    assert root.start_acquire_fd(fd, "read-only").error().name == "NotAuthorized"
    os.close(fd)


def test_a_descriptor_of_a_folder(root, folder):
    fd = os.open(folder, os.O_RDONLY)
    assert root.start_acquire_fd(fd, "read-only").error().name == "NotADisk"
    os.close(fd)


def test_a_descriptor_of_a_pipe(root):
    reading, writing = os.pipe()
    assert root.start_acquire_fd(writing, "exclusive").error().name == "NotADisk"
    os.close(reading)
    os.close(writing)


def test_a_descriptor_of_a_file_without_a_name(root, disk):
    fd = os.open(disk, os.O_RDWR)
    disk.unlink()
    assert root.start_acquire_fd(fd).error().name == "NotADisk"
    os.close(fd)


def test_a_descriptor_that_did_not_come_along(root):
    error = root.refused("AcquireFd", "(hsa{sv})", 0, "exclusive", {})
    assert error.name == "InvalidArgs"


def test_a_client_cannot_unlock_by_its_own_descriptor(root, disk):
    fd = os.open(disk, os.O_RDWR)
    lease = root.acquire_fd(fd)
    fcntl.fcntl(fd, F_OFD_SETLK, struct.pack("hhqqi4x", fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0))
    os.close(fd)
    assert lease.call("Check") == ("active",)
    assert root.refused_acquire(disk).name == "Busy"


def test_looking_leaves_no_descriptor_open(root, service, disk, folder):
    os.mkfifo(folder / "fifo")
    for path in (disk, folder, folder / "fifo", "/dev/null", folder / "missing"):
        root.start("Inspect", "(s)", str(path))
    root.inspect(disk)
    before = service.open_files()
    for _ in range(50):
        for path in (folder, folder / "fifo", "/dev/null", folder / "missing"):
            root.refused("Inspect", "(s)", str(path))
            root.refused_acquire(path)
        root.release(root.acquire(disk))
    wait_until(lambda: service.open_files() <= before, "the descriptors to be closed")
