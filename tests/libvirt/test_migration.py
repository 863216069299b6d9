"""A domain goes from one host to another, which have the disk in common: each has its own libvirtd, bus and disklockd."""

from contextlib import ExitStack, closing

import pytest

from harness import Bus, Client, Journal, Libvirt, Service, wait_until
from harness.domain import disk, small_domain


class Host:
    def __init__(self, name, folder, cache, journal, stack):
        folder = folder / name
        folder.mkdir(mode=0o755)
        self.name = name
        self.bus = stack.enter_context(closing(Bus(folder)))
        self.service = Service(self.bus, under=journal.inside)
        stack.callback(self.service.close)
        stack.callback(self.service.stop)
        self.libvirt = stack.enter_context(closing(Libvirt(self.bus, cache, name=name, hook=True)))
        self.root = stack.enter_context(closing(Client(self.bus)))

    def states(self):
        return [lease["State"] for lease in self.root.list().values()]


@pytest.fixture
def hosts(folder, cache):
    """Both; their services' entries are in one journal, in the order in which they were written."""
    with ExitStack() as stack:
        journal = stack.enter_context(closing(Journal(folder)))
        source, target = (Host(name, folder, cache, journal, stack) for name in ("alpha", "beta"))
        source.journal = journal
        yield source, target


def migrate(source, target, *flags, name="web01"):
    socket = target.libvirt.folder / "run/libvirt/libvirt-sock"
    # Unsafe is what libvirt calls a filesystem that it does not know to be shared.
    return ["migrate", "--unsafe", *flags, name, f"qemu+unix:///system?socket={socket}",
            "--migrateuri", f"unix://{target.bus.folder}/migration"]


VERBS = {"exclusively by fcntl": "takes", "is suspended": "suspends", "no longer holds": "ends", "Refused": "is refused"}


def story(hosts, image):
    """What became of the lock of this image, in order: "alpha takes"…"""
    names = {str(host.service.pid): host.name for host in hosts}
    return [f"{names[entry['_PID']]} {verb}" for entry in hosts[0].journal.entries(f"DISKLOCK_PATH={image}")
            for words, verb in VERBS.items() if words in entry["MESSAGE"]]


def test_a_running_domain_takes_its_lock_along(hosts, image):
    source, target = hosts
    path = image()
    source.libvirt.create(small_domain(disk(path)))
    source.libvirt.virsh(*migrate(source, target, "--live", "--p2p"))
    assert target.libvirt.state() == "running"
    assert target.root.held() == {str(path): "exclusive"}
    wait_until(lambda: not source.root.list(), "the source's leases to end")


def test_the_journal_shows_that_one_host_had_the_lock_at_a_time(hosts, image):
    source, target = hosts
    path = image()
    source.libvirt.create(small_domain(disk(path)))
    source.libvirt.virsh(*migrate(source, target, "--live", "--p2p"))
    wait_until(lambda: not source.root.list(), "the source's leases to end")
    assert story(hosts, path) == ["alpha takes", "beta is refused", "alpha suspends", "beta takes", "alpha ends"]


def test_a_paused_domain_takes_its_lock_along(hosts, image):
    source, target = hosts
    path = image()
    source.libvirt.create(small_domain(disk(path)))
    source.libvirt.virsh("suspend", "web01")
    source.libvirt.virsh(*migrate(source, target, "--p2p"))
    assert target.libvirt.state() == "paused"
    target.libvirt.virsh("resume", "web01")
    assert target.root.held() == {str(path): "exclusive"}
    assert source.root.list() == {}


def test_a_migration_that_fails_leaves_the_source_its_lock(hosts, image):
    source, target = hosts
    path = image()
    source.libvirt.create(small_domain(disk(path)))
    target.service.crash()
    said = source.libvirt.refused(*migrate(source, target, "--live", "--p2p"))
    target.service.start()
    assert "disklockd" in said
    assert (source.libvirt.state(), source.states()) == ("running", ["active"])
    assert target.libvirt.running() == set()


def test_a_disk_that_is_taken_on_the_way_leaves_the_domain_paused_and_says_who_has_it(hosts, image, other_host):
    source, target = hosts
    path = image()
    source.libvirt.create(small_domain(disk(path)))
    source.libvirt.virsh("suspend", "web01")
    other_host(path)
    source.libvirt.virsh(*migrate(source, target, "--p2p"))
    assert str(path) in target.libvirt.refused("resume", "web01")
    assert target.libvirt.state() == "paused"


def test_a_domain_that_runs_elsewhere_does_not_start(hosts, image):
    source, target = hosts
    path = image()
    source.libvirt.create(small_domain(disk(path)))
    assert f"{path} is" in target.libvirt.refused_create(small_domain(disk(path)))
    assert target.libvirt.running() == set()
