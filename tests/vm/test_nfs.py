"""Two hosts on one NFS server: what one has, the other does not get, by both versions of the protocol."""

from contextlib import closing

from nfs import MOUNTED, has_lock, locks_at_server, make_image, two_hosts
from virtlockd import Virtlockd

VERSIONS = list(MOUNTED)


def disk_of(name, version):
    """A new image; where both hosts have it."""
    make_image(name)
    return MOUNTED[version] / name


def test_an_exclusive_lease_refuses_every_mode_on_the_other_host(world):
    a, b = two_hosts(world)
    for version in VERSIONS:
        disk = disk_of(f"exclusive-{version}.img", version)
        a.root.acquire(disk, owner="web01")
        for mode in ("exclusive", "shared", "read-only"):
            error = b.root.refused_acquire(disk, mode)
            whom = "web01 on host host-a (a)" if version == "4.2" else "another host"  # version 3 has no attributes
            assert error.name == "Busy" and str(disk) in error.message and whom in error.message, error


def test_the_server_knows_the_lock_and_whose_it_is(world):
    a, b = two_hosts(world)
    for version in VERSIONS:
        image = make_image(f"known-{version}.img")
        disk = MOUNTED[version] / image.name
        assert not any("WRITE" in line for line in locks_at_server(image))
        lease = a.root.acquire(disk)
        if version == "4.2":
            assert has_lock(a, image) and not has_lock(b, image)
        else:
            assert any("WRITE" in line for line in locks_at_server(image)), locks_at_server(image)
        lease.release()
        assert not any("WRITE" in line for line in locks_at_server(image)), locks_at_server(image)


def test_shared_and_read_only_leases_stand_together_on_both_hosts(world):
    a, b = two_hosts(world)
    for version in VERSIONS:
        for mine, theirs in (("shared", "shared"), ("read-only", "read-only"), ("shared", "read-only"), ("read-only", "shared")):
            disk = disk_of(f"{mine}-{theirs}-{version}.img", version)
            a.root.acquire(disk, mine)
            b.root.acquire(disk, theirs)
            assert a.root.refused_acquire(disk).name == "Busy" and b.root.refused_acquire(disk).name == "Busy"


def test_what_one_host_releases_the_other_gets(world):
    a, b = two_hosts(world)
    for version in VERSIONS:
        disk = disk_of(f"released-{version}.img", version)
        for giver, taker in ((a, b), (b, a)):
            lease = giver.root.acquire(disk)
            assert taker.root.refused_acquire(disk).name == "Busy"
            lease.release()
            taker.root.acquire(disk).release()


def test_who_waits_gets_the_disk_when_the_other_host_releases_it(world):
    a, b = two_hosts(world)
    for version in VERSIONS:
        disk = disk_of(f"waited-{version}.img", version)
        lease = a.root.acquire(disk)
        waiting = b.root.start_acquire(disk, wait=60000)
        b.root.call("CanAcquire", "(ss)", str(disk), "exclusive")  # answered after the other call has begun
        assert not waiting.done
        lease.release()
        waiting.result()
        assert a.root.refused_acquire(disk).name == "Busy"


def test_who_waits_in_vain_is_told_who_is_in_the_way(world):
    a, b = two_hosts(world)
    disk = disk_of("in-vain.img", "4.2")
    a.root.acquire(disk)
    error = b.root.refused_acquire(disk, wait=1500)
    assert error.name == "TimedOut" and "on host host-a" in error.message and str(disk) in error.message, error


def test_a_conversion_is_refused_while_the_other_host_stands_in_the_way(world):
    a, b = two_hosts(world)
    for version in VERSIONS:
        disk = disk_of(f"converted-{version}.img", version)
        mine, theirs = a.root.acquire(disk, "shared"), b.root.acquire(disk, "shared")
        assert mine.refused("Convert", "(s)", "exclusive").name == "Busy"
        theirs.release()
        mine.call("Convert", "(s)", "exclusive")
        assert b.root.refused_acquire(disk, "read-only").name == "Busy"


def test_the_hosts_go_by_names_of_their_own(world):
    a, b = two_hosts(world)
    assert (a.root.get("HostId"), b.root.get("HostId")) == ("a", "b")


def test_virtlockd_on_one_host_and_a_lease_on_the_other_exclude_each_other(world):
    a, b = two_hosts(world)
    with closing(Virtlockd(a)) as virtlockd:
        for version in VERSIONS:
            disk = disk_of(f"virtlockd-{version}.img", version)
            assert virtlockd.acquire(disk)
            for mode in ("exclusive", "shared", "read-only"):
                error = b.root.refused_acquire(disk, mode)
                assert error.name == "Busy" and "another host" in error.message, error
            assert virtlockd.release(disk)
            lease = b.root.acquire(disk)
            assert not virtlockd.acquire(disk) and not virtlockd.acquire(disk, shared=True)
            lease.release()
            assert virtlockd.acquire(disk) and virtlockd.release(disk)


def test_what_virtlockd_shares_a_shared_lease_shares_too(world):
    a, b = two_hosts(world)
    with closing(Virtlockd(a)) as virtlockd:
        for version in VERSIONS:
            disk = disk_of(f"shared-virtlockd-{version}.img", version)
            assert virtlockd.acquire(disk, shared=True)
            b.root.acquire(disk, "shared")
            assert b.root.refused_acquire(disk, "exclusive").name == "Busy"
            assert virtlockd.release(disk)
