"""What the bus can be asked, and what it says of itself."""

import re

import pytest

from harness import LEASE, MANAGER, PROPERTIES, wait_until


def test_the_managers_properties(root, image):
    assert re.fullmatch(r"\d+\.\d+\S*", root.get("Version"))
    assert root.get("HostId")
    assert {"host", "fcntl"} <= set(root.get("Backends"))
    assert root.get("LeaseCount") == 0
    root.acquire(image())
    assert root.get("LeaseCount") == 1


def test_the_host_id_is_the_policys_if_it_names_one(start_service, client):
    start_service("[Host]\nid=rack7-node3\n[Rule all]\nbackend=host\n")
    assert client().get("HostId") == "rack7-node3"


def test_the_host_id_stays_over_a_restart(root, service):
    before = root.get("HostId")
    service.stop()
    service.start()
    assert root.get("HostId") == before


def test_acquired_and_released_leases_are_announced(root, signals, disk):
    lease = root.acquire(disk)
    signals.wait_for("LeasesChanged", lambda acquired, released: lease.path in acquired)
    root.release(lease)
    signals.wait_for("LeasesChanged", lambda acquired, released: lease.path in released)


def test_every_lease_is_announced_once(root, signals, image):
    paths = [image(f"{number}.img") for number in range(30)]
    pending = [root.start_acquire(path) for path in paths]
    leases = sorted(call.result()[0] for call in pending)
    for lease in leases:
        root.release(lease)
    announced = lambda side: sorted(path for change in signals.named("LeasesChanged") for path in change[side])
    wait_until(lambda: len(announced(0)) >= 30 and len(announced(1)) >= 30, "the announcements")
    assert announced(0) == leases and announced(1) == leases


def test_signals_hold_no_path_and_no_name(root, signals, image):
    secret = image("secret-project.img")
    lease = root.acquire(secret, owner="secret-owner", why="secret-reason")
    lease.call("Convert", "(s)", "shared")
    lease.call("Suspend")
    lease.call("Resume")
    secret.unlink()
    signals.wait_for("LeaseBroken")
    root.release(lease)
    signals.wait_for("LeasesChanged", lambda acquired, released: lease.path in released)
    assert "secret" not in repr(signals.seen)


def test_a_broken_leases_signal_says_more_by_key(root, signals, process, disk):
    lease = root.acquire(disk, pid=process().pid, on_break="pause")
    disk.unlink()
    details = signals.wait_for("LeaseBroken")[2]
    assert details == {"token": lease["Token"], "backend": lease["Backend"], "on-break": "pause"}


def test_the_services_own_reason_is_told_however_the_owner_is_called(root, signals, disk):
    lease = root.acquire(disk, owner="e")
    disk.unlink()
    assert signals.wait_for("LeaseBroken")[:2] == (lease.path, "deleted")


@pytest.mark.parametrize("reason, told", [
    ("maintenance of the storage", True), ("web010 needs it", True), ("because of web01", False),
    ("web01's disk is wanted", False), ("OWNER web01", False), ("see PATH: full", False), ("it was LINK", False)])
def test_an_administrators_reason_is_told_unless_it_names_path_or_owner(root, signals, disk, reason, told):
    link = disk.with_name("link.img")
    link.symlink_to(disk)
    lease = root.acquire(link, owner="web01")
    reason = reason.replace("PATH", str(disk)).replace("LINK", str(link))
    root.call("Break", "(osa{sv})", lease.path, reason, {})
    expected = reason if told else "revoked by an administrator"
    assert signals.wait_for("LeaseBroken")[1] == expected and signals.wait_for("Broken") == (expected,)
    assert lease["BrokenReason"] == reason


def test_a_broken_lease_says_so_itself_too(root, signals, disk):
    lease = root.acquire(disk)
    disk.unlink()
    reason, = signals.wait_for("Broken")
    assert reason == signals.wait_for("LeaseBroken")[1]
    assert ("Broken", lease.path, LEASE) in [seen[:3] for seen in signals.seen]


def test_the_state_is_announced_as_a_property(root, signals, disk):
    lease = root.acquire(disk)
    lease.call("Suspend")
    lease.call("Resume")
    disk.unlink()
    signals.wait_for("LeaseBroken")
    states = lambda: [values[1]["State"] for name, path, interface, values in signals.seen
                      if name == "PropertiesChanged" and path == lease.path and "State" in values[1]]
    wait_until(lambda: len(states()) == 3, "three announcements")
    assert states() == ["suspended", "active", "broken"]


def test_the_policy_generation_grows_with_a_good_policy_and_not_with_a_bad_one(root, service):
    before = root.get("PolicyGeneration")
    root.call("Reload")
    assert root.get("PolicyGeneration") == before + 1
    service.policy_file.write_text("[Rule broken]\nbackend=nonsense\n")
    assert root.refused("Reload").name == "BadPolicy"
    assert root.get("PolicyGeneration") == before + 1


def test_all_properties_at_once_are_those_one_by_one(root, disk):
    lease = root.acquire(disk)
    for path, interface in ((lease.path, LEASE), ("/org/disklock/DiskLock1", MANAGER)):
        everything = root.get_all(path, interface)
        everything.pop("CheckedAt", None)
        assert everything == {name: root.get(name, path, interface) for name in everything}


def test_an_unknown_property(root):
    assert root.refused("Get", "(ss)", MANAGER, "Colour", interface=PROPERTIES).name in ("InvalidArgs", "UnknownProperty")


def test_the_oldest_of_too_many_broken_leases_goes(root, signals, image):
    """A thousand broken leases are remembered; the one that broke first goes for the next."""
    disk = image()
    leases = []
    for _ in range(1001):
        leases.append(root.acquire(disk))
        root.call("Break", "(osa{sv})", leases[-1].path, "counted", {})
    wait_until(lambda: not leases[0].exists(), "the oldest to go")
    assert leases[1].exists() and leases[-1].exists()
    assert len(root.list(state="broken")) == 1000
