"""Who has an image on an NFS export, on which host: told by an extended attribute, by version 4.2, or by a file beside it."""

from contextlib import contextmanager

from nfs import MOUNTED, locks_at_server, make_image, take_locks_away, two_hosts, unlock_filesystem


@contextmanager
def allowing_files(host):
    """Meanwhile records may be written beside an image."""
    before = host.service.policy_file.read_text(encoding="utf-8")
    host.service.policy_file.write_text(before.replace("backend=fcntl\n", "backend=fcntl\nholder-file=true\n"), encoding="utf-8")
    host.root.call("Reload")
    try:
        yield
    finally:
        host.service.policy_file.write_text(before, encoding="utf-8")
        host.root.call("Reload")


def disk_of(name):
    return make_image(name), MOUNTED["4.2"] / name


def test_inspect_and_the_refusal_name_host_and_machine(world):
    a, b = two_hosts(world)
    _, disk = disk_of("named.img")
    lease = a.root.acquire(disk, owner="web01")
    report = b.root.inspect(disk)
    assert report["state"] == "held-elsewhere" and report["available"] == [], report
    assert [(holder["owner"], holder["host"], holder["host-name"], holder["unconfirmed"]) for holder in report["holders"]] == [
        ("web01", "a", "host-a", False)]
    assert "web01 on host host-a (a) since " in b.root.refused_acquire(disk).message
    lease.release()
    report = b.root.inspect(disk)
    assert report["state"] == "free" and report["holders"] == [], report


def test_readers_of_both_hosts_are_named_on_both(world):
    a, b = two_hosts(world)
    _, disk = disk_of("readers.img")
    a.root.acquire(disk, "read-only", owner="web01")
    b.root.acquire(disk, "shared", owner="web02")
    for host in (a, b):
        holders = host.root.inspect(disk)["holders"]
        assert sorted((holder["owner"], holder["unconfirmed"]) for holder in holders) == [("web01", False), ("web02", False)]


def test_a_host_whose_locks_the_server_took_leaves_a_record_that_is_unconfirmed(world):
    a, b = two_hosts(world)
    image, disk = disk_of("expired.img")
    a.root.acquire(disk, owner="web01")
    error = b.root.refused("Fence", "(ssa{sv})", str(disk), "a", {})
    assert error.name == "Unsupported" and "host-a" in error.message and "/clients/*/info" in error.message and "echo expire" in error.message, error
    a.service.crash()
    take_locks_away(a)
    assert not any("WRITE" in line for line in locks_at_server(image))
    report = b.root.inspect(disk)
    assert report["state"] == "free" and [holder["unconfirmed"] for holder in report["holders"]] == [True], report
    assert b.root.call("Fence", "(ssa{sv})", str(disk), "a", {}) == (1,)
    assert b.root.inspect(disk)["holders"] == []
    a.service.start()


def test_where_the_filesystem_has_no_attributes_a_file_beside_the_image_says_it_if_the_rule_allows(world):
    a, b = two_hosts(world)
    image = make_image("beside.img")
    disk = MOUNTED["3"] / image.name
    lease = a.root.acquire(disk, owner="web01")
    assert b.root.inspect(disk)["holders"] == []
    lease.release()
    with allowing_files(a), allowing_files(b):
        for mode in ("exclusive", "shared"):
            lease = a.root.acquire(disk, mode, owner="web01")
            report = b.root.inspect(disk)
            assert [(holder["owner"], holder["host"], holder["unconfirmed"]) for holder in report["holders"]] == [("web01", "a", False)], report
            assert report["state"] == "held-elsewhere" and "exclusive" not in report["available"], report
            assert len(list(image.parent.glob(f".{image.name}.disklock-*"))) == 1
            lease.release()
        assert list(image.parent.glob(f".{image.name}.disklock-*")) == []


def test_by_version_3_a_lock_that_stands_is_not_called_fenced_beside_another_hosts(world):
    a, b = two_hosts(world)
    image = make_image("standing.img")
    disk = MOUNTED["3"] / image.name
    with allowing_files(a), allowing_files(b):
        b.root.acquire(disk, "read-only", owner="web02")
        for mode in ("read-only", "shared"):
            lease = a.root.acquire(disk, mode, owner="web01")
            error = b.root.refused("Fence", "(ssa{sv})", str(disk), "a", {})
            assert error.name == "Unsupported" and "it is locked by host a, " in error.message and "unlock_ip" in error.message, error
            assert "a" in [holder["host"] for holder in b.root.inspect(disk)["holders"]]
            lease.release()
        a.root.acquire(disk, "read-only", owner="web01")
        unlock_filesystem()
        assert b.root.call("Fence", "(ssa{sv})", str(disk), "a", {}) == (1,)


CLUSTER_DISK = "rbd://mon/pool/web01"


@contextmanager
def lockspace_by_version_3(*hosts, more=""):
    """Meanwhile disks of the network have their lock files on the mount by version 3."""
    before = {host: host.service.policy_file.read_text(encoding="utf-8") for host in hosts}
    for host, text in before.items():
        changed = text.replace(f"lockspace={MOUNTED['4.2']}/locks\n", f"lockspace={MOUNTED['3']}/locks\n{more}\n")
        assert changed != text
        host.service.policy_file.write_text(changed, encoding="utf-8")
        host.root.call("Reload")
    try:
        yield
    finally:
        for host, text in before.items():
            host.release_all()
            host.service.policy_file.write_text(text, encoding="utf-8")
            host.root.call("Reload")


def test_by_version_3_those_who_share_a_disk_of_a_lockspace_are_named(world):
    a, b = two_hosts(world)
    with lockspace_by_version_3(a, b):
        for mode in ("shared", "read-only", "exclusive"):
            lease = a.root.acquire(CLUSTER_DISK, mode, owner="web01")
            report = b.root.inspect(CLUSTER_DISK)
            assert [(holder["owner"], holder["unconfirmed"]) for holder in report["holders"]] == [("web01", False)], (mode, report)
            assert report["state"] == "held-elsewhere" and "version 3" in report["unseen-loss"], (mode, report)
            lease.release()


def test_by_version_3_a_lockspace_refuses_strict_readers_whom_it_could_not_keep_apart(world):
    a, b = two_hosts(world)
    with lockspace_by_version_3(a, b, more="readers=strict"):
        for host, mode in ((a, "shared"), (b, "read-only")):
            error = host.root.refused_acquire(CLUSTER_DISK, mode)
            assert error.name == "Unsupported" and f"the lockspace {MOUNTED['3']}/locks" in error.message, error
        a.root.acquire(CLUSTER_DISK)
        assert b.root.refused_acquire(CLUSTER_DISK).name == "Busy"


def test_by_version_3_a_lockspace_is_refused_where_every_loss_is_to_be_seen(world):
    a, _ = two_hosts(world)
    with lockspace_by_version_3(a, more="unseen-loss=refuse"):
        error = a.root.refused_acquire(CLUSTER_DISK)
        assert error.name == "Unsupported" and "unseen-loss=refuse" in error.message and "version 3" in error.message, error
