"""The sample of polkit rules that is shipped, as polkitd takes it: what the members of the group libvirt may do."""

import pytest
from gi.repository import GLib

from conftest import ALICE, BOB
from harness import SOURCE
from harness.polkit import Agent

RULES = SOURCE / "polkit" / "50-disklock-libvirt.rules"


@pytest.fixture
def member(service, polkit, client):
    libvirt = polkit.make_group("libvirt", ALICE)
    polkit.add_rule(RULES.read_text(encoding="utf-8"), name="50-disklock-libvirt")
    return client(ALICE, gids=[libvirt])


@pytest.fixture
def stranger(member, client):
    return client(BOB)


def may_acquire(caller, path):
    return caller.call("CanAcquire", "(ss)", path, "exclusive")[0]


def test_a_member_takes_what_libvirt_keeps_and_nothing_else(member):
    assert may_acquire(member, "/var/lib/libvirt/images/web01.qcow2") == "yes"
    for path in ("/var/lib/libvirt/images/../qemu/save", "/var/lib/libvirt/images-of-others/a", "/srv/web01.qcow2", "/dev/sda"):
        assert may_acquire(member, path) != "yes", path


def test_a_stranger_takes_nothing(stranger):
    assert may_acquire(stranger, "/var/lib/libvirt/images/web01.qcow2") != "yes"


def test_a_member_sees_who_uses_a_disk(member, root, disk):
    root.acquire(disk, owner="web01")
    assert member.inspect(disk)["holders"][0]["owner"] == "web01"


@pytest.fixture
def agent(polkit, member):
    """It lets every prompt be dismissed."""
    return Agent(polkit, member.pid, answer=False)


def test_a_member_releases_anothers_lease_with_his_own_password(agent, member, root, disk):
    lease = root.acquire(disk)
    assert member.refused("Release", "(o)", lease.path, interactive=True).name == "NotOwner"
    assert [action for action, _, _ in agent.seen] == ["release-any"] and agent.asked == [[ALICE]]


@pytest.mark.parametrize("call", [("Break", "(osa{sv})", "lease", "because", {}), ("Fence", "(ssa{sv})", "/srv/web01.qcow2", "alpha", {}),
                                  ("Acquire", "(ssa{sv})", "/var/lib/libvirt/images/web01.qcow2", "exclusive", {"pid": GLib.Variant("u", 1)}),
                                  ("Reload", "()")], ids=["Break", "Fence", "Acquire for another", "Reload"])
def test_the_rest_takes_an_administrators_password(agent, member, root, disk, call):
    lease = root.acquire(disk)
    arguments = [lease.path if argument == "lease" else argument for argument in call]
    assert member.refused(*arguments, interactive=True).name == "NotAuthorized"
    assert agent.asked and ALICE not in agent.asked[0]
