"""A disk is taken, asked about, given back and lost."""

import os
import re

import pytest
from gi.repository import GLib

from harness import BusError

SINCE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"


def test_a_granted_lease_is_an_object_with_the_callers_words(root, disk):
    lease = root.acquire(disk, owner="web01", owner_uuid="6c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a11", why="nightly backup")
    assert re.fullmatch(r"/org/disklock/DiskLock1/lease/[0-9a-f]{32}", lease.path)
    assert lease["Id"] == lease.path[-32:]
    assert lease["Path"] == str(disk)
    assert lease["Mode"] == "exclusive"
    assert lease["State"] == "active"
    assert lease["Owner"] == "web01"
    assert lease["OwnerUuid"] == "6c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a11"
    assert lease["Why"] == "nightly backup"
    assert lease["Uid"] == 0
    assert lease["Pid"] == os.getpid()
    assert lease["Lifetime"] == "persistent"
    assert lease["OnBreak"] == "signal"
    assert lease["BrokenReason"] == ""


def test_a_second_exclusive_lease_is_refused_and_told_who_holds_the_disk(root, disk):
    root.acquire(disk, owner="web01")
    error = root.refused_acquire(disk, owner="db01")
    assert error.name == "Busy"
    for word in (str(disk), "web01", "exclusive", str(os.getpid())):
        assert word in error.message
    assert re.search(SINCE, error.message)


@pytest.mark.parametrize("first, second, together", [
    ("exclusive", "exclusive", False), ("exclusive", "shared", False), ("exclusive", "read-only", False),
    ("shared", "exclusive", False), ("shared", "shared", True), ("shared", "read-only", True),
    ("read-only", "exclusive", False), ("read-only", "shared", True), ("read-only", "read-only", True),
])
def test_modes(root, disk, first, second, together):
    root.acquire(disk, first)
    if together:
        root.acquire(disk, second)
    else:
        assert root.refused_acquire(disk, second).name == "Busy"


@pytest.mark.parametrize("form", ["raw", "qcow2"])
def test_release_frees_the_disk(root, image, form):
    path = image(form=form)
    lease = root.acquire(path)
    root.release(lease)
    assert not lease.exists()
    root.acquire(path)


def test_a_lease_releases_itself(root, disk):
    lease = root.acquire(disk)
    lease.release()
    assert not lease.exists()
    root.acquire(disk)


def test_what_was_released_cannot_be_released_again(root, disk):
    lease = root.acquire(disk)
    root.release(lease)
    assert root.refused("Release", "(o)", lease.path).name == "NoSuchLease"


@pytest.mark.parametrize("path", ["/", "/org/disklock/DiskLock1", "/org/disklock/DiskLock1/lease/" + "0" * 32,
                                  "/org/disklock/DiskLock1/lease/nonsense", "/somewhere/else"])
def test_release_of_what_is_no_lease(root, path):
    assert root.refused("Release", "(o)", path).name == "NoSuchLease"


def test_release_owner_gives_back_every_lease_of_that_name_and_no_other(root, image):
    first, second, other = image("a"), image("b"), image("c")
    root.acquire(first, owner="web01")
    root.acquire(second, owner="web01")
    kept = root.acquire(other, owner="web010")
    assert root.call("ReleaseOwner", "(s)", "web01") == (2,)
    assert root.call("ReleaseOwner", "(s)", "web01") == (0,)
    root.acquire(first)
    root.acquire(second)
    assert kept["State"] == "active"


def test_tokens_grow_with_every_grant(root, image):
    tokens = [root.acquire(image(f"{number}.img")).token for number in range(20)]
    assert tokens == sorted(set(tokens))


def test_tokens_grow_over_a_restart(root, service, disk):
    before = root.acquire(disk)
    root.release(before)
    service.stop()
    service.start()
    assert root.acquire(disk).token > before.token


def test_inspect_of_a_free_disk(root, disk):
    report = root.inspect(disk)
    assert report["path"] == str(disk)
    assert report["kind"] == "file"
    assert report["rule"] == "everything"
    assert report["backend"] == "fcntl"
    assert report["state"] == "free"
    assert report["holders"] == [] and report["foreign"] == []


def test_inspect_says_who_holds_a_disk(root, disk):
    lease = root.acquire(disk, "shared", owner="web01")
    report = root.inspect(disk)
    assert report["state"] == "held"
    assert report["disk"] == lease["Disk"]
    holder, = report["holders"]
    assert lease.path.endswith(holder["lease"])
    assert holder["mode"] == "shared"
    assert holder["owner"] == "web01"
    assert holder["uid"] == 0
    assert holder["pid"] == os.getpid()
    assert holder["host"] == root.get("HostId")
    assert holder["since"] == lease["AcquiredAt"]
    assert holder["this-host"] is True


def test_inspect_takes_no_lock(root, disk):
    root.inspect(disk)
    root.acquire(disk)


def test_a_replaced_image_breaks_its_lease(root, signals, image):
    disk, other = image("disk.img"), image("other.img")
    lease = root.acquire(disk)
    other.rename(disk)
    path, reason, _ = signals.wait_for("LeaseBroken")
    assert path == lease.path
    assert str(disk) not in reason
    assert lease["State"] == "broken"
    assert lease["BrokenReason"] == reason


def test_a_deleted_image_breaks_its_lease(root, signals, disk):
    lease = root.acquire(disk)
    disk.unlink()
    assert signals.wait_for("LeaseBroken")[0] == lease.path


def test_an_image_that_is_moved_stays_locked_under_its_new_name(root, signals, image):
    """Whoever has it open goes on writing to it: the disk is the file, not the name."""
    disk = image("disk.img")
    lease = root.acquire(disk)
    moved = disk.rename(disk.with_name("elsewhere.img"))
    assert lease.call("Check") == ("active",)
    assert root.refused_acquire(moved).name == "Busy"
    root.acquire(image("disk.img"))
    moved.unlink()
    assert signals.wait_for("LeaseBroken")[0] == lease.path


def test_an_image_in_a_renamed_folder_stays_locked(root, disk):
    lease = root.acquire(disk)
    folder = disk.parent.rename(disk.parent.with_name("moved"))
    assert lease.call("Check") == ("active",)
    assert root.refused_acquire(folder / disk.name).name == "Busy"


def test_other_files_in_the_folder_do_not_matter(root, signals, image):
    disk, other = image("disk.img"), image("other.img")
    lease = root.acquire(disk)
    other.unlink()
    other.with_name("new.img").write_text("")
    disk.write_bytes(b"\1" * 4096)
    disk.chmod(0o644)
    assert lease.call("Check") == ("active",)
    assert signals.named("LeaseBroken") == []


def test_a_new_image_under_an_old_name_can_be_acquired(root, signals, image):
    disk, other = image("disk.img"), image("other.img")
    broken = root.acquire(disk)
    other.rename(disk)
    signals.wait_for("LeaseBroken")
    root.acquire(disk)
    assert broken["State"] == "broken"


def test_a_broken_lease_stays_until_its_owner_releases_it(root, signals, disk):
    lease = root.acquire(disk)
    disk.unlink()
    signals.wait_for("LeaseBroken")
    assert root.list(state="broken").keys() == {lease.path}
    root.release(lease)
    assert not lease.exists()
    assert root.list() == {}


def test_an_administrator_breaks_a_lease(root, signals, disk):
    lease = root.acquire(disk, owner="web01")
    root.call("Break", "(osa{sv})", lease.path, "the host is taken down", {})
    assert signals.wait_for("LeaseBroken")[0] == lease.path
    assert lease["State"] == "broken"
    assert "the host is taken down" in lease["BrokenReason"]
    root.acquire(disk, owner="db01")
    assert root.refused("Break", "(osa{sv})", lease.path, "again", {}).name == "LeaseLost"


def test_a_lease_is_listed_with_its_properties(root, image):
    first = root.acquire(image("a"), owner="web01")
    second = root.acquire(image("b"), "shared", owner="db01")
    assert root.list() == {lease.path: lease.client.get_all(lease.path, "org.disklock.DiskLock1.Lease")
                           for lease in (first, second)}


@pytest.mark.parametrize("filters", [{"owner": "web01"}, {"path": None}, {"state": "active", "owner": "web01"}])
def test_listing_can_be_narrowed(root, image, filters):
    wanted, other = image("a"), image("b")
    lease = root.acquire(wanted, owner="web01")
    root.acquire(other, owner="db01")
    if "path" in filters:
        filters = {"path": str(wanted)}
    assert root.list(**filters).keys() == {lease.path}


def test_the_path_filter_knows_the_path_that_was_asked_for_and_where_it_led_and_no_other(root, disk):
    link, other = disk.with_name("link.img"), disk.with_name("other-link.img")
    link.symlink_to(disk)
    other.symlink_to(disk)
    lease = root.acquire(link)
    assert root.list(path=str(link)).keys() == root.list(path=str(disk)).keys() == {lease.path}
    for nothing in (str(other), f"{disk.parent}/*", str(disk.parent), str(disk)[:-1], f"{disk.parent}/./{disk.name}", ""):
        assert root.list(path=nothing) == {}


def test_listing_goes_on_page_by_page(root, image):
    leases = {root.acquire(image(f"{number}.img")).path for number in range(7)}
    page, after = root.call("ListLeases", "(a{sv})", {"limit": GLib.Variant("u", 3)})
    assert len(page) == 3 and after
    assert root.list(limit=3).keys() == leases


def test_convert_changes_the_mode(root, disk):
    lease = root.acquire(disk, "exclusive")
    assert root.refused_acquire(disk, "shared").name == "Busy"
    lease.call("Convert", "(s)", "shared")
    assert lease["Mode"] == "shared"
    root.acquire(disk, "shared")


def test_convert_that_cannot_be_leaves_the_lease_as_it_was(root, disk):
    lease = root.acquire(disk, "shared")
    root.acquire(disk, "shared")
    assert lease.refused("Convert", "(s)", "exclusive").name == "Busy"
    assert lease["Mode"] == "shared" and lease["State"] == "active"


def test_suspend_keeps_the_disk_on_this_host(root, disk):
    lease = root.acquire(disk)
    lease.call("Suspend")
    assert lease["State"] == "suspended"
    assert root.refused_acquire(disk).name == "Busy"
    lease.call("Resume")
    assert lease["State"] == "active"


def test_check_asks_now(root, disk):
    lease = root.acquire(disk)
    before = lease["CheckedAt"]
    assert lease.call("Check") == ("active",)
    assert lease["CheckedAt"] > before


def test_check_finds_a_loss(root, disk):
    lease = root.acquire(disk)
    disk.unlink()
    assert lease.call("Check") == ("broken",)


def test_the_error_for_a_missing_lease_object(root):
    with pytest.raises(BusError) as caught:
        root.get("State", "/org/disklock/DiskLock1/lease/" + "f" * 32, "org.disklock.DiskLock1.Lease")
    assert caught.value.name in ("NoSuchLease", "UnknownObject", "UnknownMethod")

