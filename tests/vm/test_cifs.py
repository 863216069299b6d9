"""Two hosts on one share of CIFS, whose locks are mandatory: what one has, the other does not get, and no machine is kept from its disk."""

from cifs import EXPORT, LOCAL, SHARE, locks_at_server, make_image, mount, two_hosts
from harness import wait_until

MODES = ("exclusive", "shared", "read-only")
PAIRS = (("shared", "shared"), ("read-only", "read-only"), ("shared", "read-only"), ("read-only", "shared"))
# One byte more than 1 GiB: on smaller disks records would never have been in anybody's way.
LARGE = (3 << 29) + 4096

WRITER = """
import os, sys
disk, number = os.open(sys.argv[1], os.O_RDWR), 0
while os.path.exists(sys.argv[2]):
    number += os.pwrite(disk, bytes(4096), 0) // 4096
    os.fsync(disk)
print("wrote", number)
"""


def qemu(host, disk, *commands, locking="off"):
    """What a machine does on its disk; fails where one of the commands does."""
    return host.run("qemu-io", *[word for command in commands for word in ("-c", command)], "--image-opts",
                    f"driver=raw,file.driver=file,file.locking={locking},file.filename={disk}")


def test_an_exclusive_lease_refuses_every_mode_on_the_other_host_and_says_who_has_it(world):
    a, b = two_hosts(world)
    disk = make_image("exclusive.img")
    lease = a.root.acquire(disk, owner="web01")
    for mode in MODES:
        error = b.root.refused_acquire(disk, mode)
        assert error.name == "Busy" and str(disk) in error.message and "web01 on host host-a (a)" in error.message, error
    report = b.root.inspect(disk)
    assert report["state"] == "held-elsewhere" and report["reach"] == "every host", report
    assert [(holder["owner"], holder["host"], holder["unconfirmed"]) for holder in report["holders"]] == [("web01", "a", False)], report
    lease.release()
    report = b.root.inspect(disk)
    assert report["state"] == "free" and report["holders"] == [], report


def test_shared_and_read_only_leases_stand_together_on_both_hosts(world):
    a, b = two_hosts(world)
    for mine, theirs in PAIRS:
        disk = make_image(f"{mine}-{theirs}.img")
        a.root.acquire(disk, mine, owner="web01")
        b.root.acquire(disk, theirs, owner="web02")
        assert locks_at_server(world, disk) == ["R", "R"]
        assert a.root.refused_acquire(disk).name == "Busy" and b.root.refused_acquire(disk).name == "Busy"
        assert sorted(holder["owner"] for holder in a.root.inspect(disk)["holders"]) == ["web01", "web02"]


def test_what_one_host_releases_the_other_gets_though_he_waits(world):
    a, b = two_hosts(world)
    disk = make_image("released.img")
    for giver, taker in ((a, b), (b, a)):
        lease = giver.root.acquire(disk)
        waiting = taker.root.start_acquire(disk, wait=60000)
        taker.root.call("CanAcquire", "(ss)", str(disk), "exclusive")  # answered after the other call has begun
        assert not waiting.done
        lease.release()
        taker.root.release(waiting.result()[0])
        assert locks_at_server(world, disk) == []


def test_who_looks_at_a_lock_does_not_give_it_away(world):
    """Asked by F_OFD_GETLK on its own descriptor, a client would ask the server for the lock once more, and give back the one it has."""
    a, b = two_hosts(world)
    for mode, shown in (("exclusive", "W"), ("shared", "R"), ("read-only", "R")):
        disk = make_image(f"looked-at-{mode}.img")
        lease = a.root.acquire(disk, mode)
        b.root.refused_acquire(disk)  # whom the server has told of the file, a client does not lock it by itself
        for _ in range(3):
            assert lease.call("Check") == ("active",), lease["BrokenReason"]
            for host in (a, b):
                host.root.inspect(disk)
        assert locks_at_server(world, disk) == [shown] and b.root.refused_acquire(disk).name == "Busy"


def test_a_machine_reads_and_writes_the_whole_of_a_disk_that_is_leased(world):
    a, b = two_hosts(world)
    for mode in MODES:
        disk = make_image(f"used-{mode}.img", LARGE)
        a.root.acquire(disk, mode)
        b.root.refused_acquire(disk)
        writes = [f"write {offset} 4k" for offset in (0, 1 << 30, 5 << 28, LARGE - 4096)] if mode != "read-only" else []
        qemu(a, disk, *writes, "read 0 4k", "read 1G 4k", f"read {LARGE - 4096} 4k")
        if mode == "shared":
            b.root.acquire(disk, mode)
            qemu(b, disk, *writes)


def test_qemu_with_locks_of_its_own_cannot_write_there(world):
    """And so needs no asking after. A newer kernel says so only when what was written is flushed."""
    a, b = two_hosts(world)
    disk = make_image("own-locks.img")
    # Else the locks might be known to the host alone.
    reader = b.start("reader", "sh", "-c", 'exec <"$0" && echo open && exec sleep infinity', disk)
    wait_until(lambda: "open" in reader.output(), "the other host to open the disk")
    qemu(a, disk, "write -P 1 0 4k", "flush")
    try:
        qemu(a, disk, "write -P 2 0 4k", "flush", locking="auto")
    except AssertionError as problem:
        assert "Permission denied" in str(problem) or "wrote 4096/4096" in str(problem), problem
    else:
        raise AssertionError("QEMU could write")
    assert set((EXPORT / disk.name).read_bytes()[:4096]) == {1}
    reader.kill()


def test_a_machine_without_a_lease_is_not_disturbed_by_who_asks(world):
    """To ask after the bytes of QEMU's locks would be to lock them for a moment, and what it writes there just then to fail."""
    a, b = two_hosts(world)
    disk = make_image("asked-after.img")
    go_on = a.folder / "go-on"
    go_on.touch()
    writer = a.start("writer", "python3", "-c", WRITER, disk, go_on)
    for _ in range(10):
        b.root.inspect(disk)
        b.root.acquire(disk).release()
    go_on.unlink()
    wait_until(lambda: not writer.is_alive(), "the writer to end")
    assert "wrote" in writer.output() and "Error" not in writer.output(), writer.output()


def test_a_lease_keeps_its_kind_of_lock(world):
    a, b = two_hosts(world)
    disk = make_image("converted.img")
    lease = a.root.acquire(disk)
    for mode in ("shared", "read-only"):
        error = lease.refused("Convert", "(s)", mode)
        assert error.name == "Unsupported" and "CIFS" in error.message, error
    assert locks_at_server(world, disk) == ["W"] and b.root.refused_acquire(disk, "shared").name == "Busy"
    lease.release()
    lease = a.root.acquire(disk, "read-only")
    for mode in ("shared", "read-only", "shared"):
        lease.call("Convert", "(s)", mode)
    assert lease.refused("Convert", "(s)", "exclusive").name == "Unsupported"
    assert lease.call("Check") == ("active",) and b.root.refused_acquire(disk).name == "Busy"
    lease.release()
    b.root.acquire(disk)


def test_a_lease_outlives_the_service(world):
    a, b = two_hosts(world)
    for mode, shown in (("exclusive", "W"), ("shared", "R")):
        disk = make_image(f"kept-{mode}.img")
        lease = a.root.acquire(disk, mode)
        for keeps_descriptors in (True, False):
            a.service.crash()
            if not keeps_descriptors:
                a.service.manager.drop()
            a.service.start()
            assert lease["State"] == "active" and lease.call("Check") == ("active",), lease["BrokenReason"]
            assert b.root.refused_acquire(disk).name == "Busy" and locks_at_server(world, disk) == [shown]


def test_what_cannot_be_had_there_is_refused(world):
    a, _ = two_hosts(world)
    assert "exclusively" in a.root.inspect(make_image("unproved.img"))["unseen-loss"]
    error = a.root.refused_acquire(make_image("proved-1.img"))
    assert error.name == "Unsupported" and "unseen-loss=refuse" in error.message and "CIFS" in error.message, error
    error = a.root.refused_acquire(make_image("strict-1.img"), "read-only")
    assert error.name == "Unsupported" and "readers=strict" in error.message and "CIFS" in error.message, error
    error = a.root.refused_acquire("rbd://mon/pool/web01")
    assert error.name == "BackendFailed" and "the lockspace" in error.message and "CIFS" in error.message, error


def test_a_mount_that_keeps_locks_to_itself_is_recognised(world):
    a, b = two_hosts(world)
    for host in (a, b):
        mount(host, LOCAL, ",nobrl")
    try:
        for name in ("reach-1.img", "here.img"):
            make_image(name)
        report = a.root.inspect(LOCAL / "here.img")
        assert report["reach"] == "this host" and "nobrl" in report["reach-limit"], report
        error = a.root.refused_acquire(LOCAL / "reach-1.img")
        assert error.name == "Unsupported" and "nobrl" in error.message and "reach=host" in error.message, error
        lease = a.root.acquire(LOCAL / "here.img")
        qemu(a, LOCAL / "here.img", "write 0 4k", locking="auto")
        assert locks_at_server(world, SHARE / "here.img") == [] and a.root.refused_acquire(LOCAL / "here.img").name == "Busy"
        b.root.acquire(LOCAL / "here.img").release()
        lease.release()
    finally:
        for host in (a, b):
            host.run("umount", LOCAL)
