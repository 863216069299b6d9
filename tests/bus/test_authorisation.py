"""Who may do what: the real polkitd decides, and without its clear yes the answer is no."""

import os
import xml.etree.ElementTree as ElementTree

import pytest
from gi.repository import GLib

from conftest import ALICE, BOB
from harness import LEASE, MANAGER, OBJECT, PROPERTIES, SOURCE, BusError, options

PREFIX = "org.disklock.disklock1."
# An answer is due within 5 s; whoever has none after this has not got one.
PATIENCE = 10
DENIED = ("NotAuthorized", "NotOwner", "InteractiveAuthorizationRequired")


@pytest.fixture
def alice(service, polkit, client):
    """A user who is not root, in no session, with no rule for her."""
    return client(ALICE)


@pytest.fixture
def lease(alice, client, disk):
    """A lease of root's."""
    return client().acquire(disk, owner="web01")


def calls(disk, lease, fd):
    """Every method of the contract with arguments that would do: name, interface, path, signature, arguments, descriptors."""
    path = str(disk)
    manager = {
        "Acquire": ("(ssa{sv})", path, "read-only", {}),
        "AcquireSet": ("(a(ss)a{sv})", [(path, "read-only")], {}),
        "AcquireDomain": ("(sa{sv})", f"<domain type='qemu'><name>web01</name><devices><disk type='file'><source file='{path}'/>"
                                      "<target dev='vda'/></disk></devices></domain>", {}),
        "AcquireFd": ("(hsa{sv})", 0, "read-only", {}),
        "Hold": ("(ssa{sv})", path, "read-only", {}),
        "Release": ("(o)", lease.path),
        "ReleaseOwner": ("(s)", "web01"),
        "Inspect": ("(s)", path),
        "ListLeases": ("(a{sv})", {}),
        "Break": ("(osa{sv})", lease.path, "because", {}),
        "Fence": ("(ssa{sv})", path, "otherhost", {}),
        "CanAcquire": ("(ss)", path, "exclusive"),
        "Reload": ("()",),
    }
    own = {"Release": ("()",), "Check": ("()",), "Convert": ("(s)", "shared"), "Suspend": ("()",), "Resume": ("()",), "Claim": ("()",)}
    made = {(MANAGER, name): (OBJECT, [fd] if name == "AcquireFd" else [], *call) for name, call in manager.items()}
    made.update({(LEASE, name): (lease.path, [], *call) for name, call in own.items()})
    return made


def methods_of_the_contract():
    found = []
    for file in sorted((SOURCE / "dbus").glob("*.xml")):
        for interface in ElementTree.parse(file).getroot().iter("interface"):
            found += [(interface.get("name"), method.get("name")) for method in interface.iter("method")]
    return found


def refuses(caller, interface, member, disk, lease):
    """Calls, and says whether the answer was a no."""
    fd = os.open(disk, os.O_RDONLY)
    path, fds, signature, *arguments = calls(disk, lease, fd)[interface, member]
    try:
        pending = caller.start(member, signature, *arguments, path=path, interface=interface, fds=fds, timeout=PATIENCE)
        values = pending.result()
    except BusError as error:
        assert error.name in DENIED, error
        return True
    finally:
        os.close(fd)
    # These answer a question that nobody is denied: nothing was released, nothing may be, nobody else's lease is listed.
    return (member, values) in [("ReleaseOwner", (0,)), ("CanAcquire", ("no",)), ("CanAcquire", ("challenge",)),
                                ("ListLeases", ([], ""))]


every_method = pytest.mark.parametrize("interface, member", methods_of_the_contract(),
                                       ids=lambda name: name.split(".")[-1])


@every_method
def test_nothing_is_open_to_a_stranger(alice, lease, disk, interface, member):
    assert refuses(alice, interface, member, disk, lease)
    assert lease["State"] == "active" and lease["Mode"] == "exclusive"


@every_method
def test_polkit_that_does_not_answer_means_no(alice, polkit, lease, disk, interface, member):
    polkit.allow(ALICE)
    polkit.stop()
    assert refuses(alice, interface, member, disk, lease)
    polkit.cont()
    assert lease["State"] == "active" and lease["Mode"] == "exclusive"


@every_method
def test_no_polkit_means_no(alice, polkit, lease, disk, interface, member):
    polkit.kill()
    assert refuses(alice, interface, member, disk, lease)
    assert lease["State"] == "active" and lease["Mode"] == "exclusive"


@every_method
def test_polkit_that_dies_while_it_is_asked_means_no(alice, polkit, lease, disk, interface, member):
    polkit.stop()
    fd = os.open(disk, os.O_RDONLY)
    path, fds, signature, *arguments = calls(disk, lease, fd)[interface, member]
    pending = alice.start(member, signature, *arguments, path=path, interface=interface, fds=fds, timeout=PATIENCE)
    os.close(fd)
    polkit.kill()
    try:
        values = pending.result()
    except BusError as error:
        assert error.name in DENIED, error
    else:
        assert (member, values) in [("ReleaseOwner", (0,)), ("CanAcquire", ("no",)), ("ListLeases", ([], ""))]


def test_the_message_says_that_polkit_does_not_answer(alice, polkit, disk):
    polkit.kill()
    error = alice.refused_acquire(disk)
    assert error.name == "NotAuthorized" and "polkit" in error.message.lower()


def test_polkit_that_comes_back_is_asked_again(alice, polkit, disk):
    polkit.allow(ALICE, "acquire")
    polkit.kill()
    alice.refused_acquire(disk)
    polkit.start()
    alice.acquire(disk)


def test_root_needs_no_polkit(service, client, disk):
    root = client()
    lease = root.acquire(disk)
    assert root.inspect(disk)["state"] == "held"
    root.release(lease)


def test_a_root_process_needs_no_polkit(service, client, disk):
    client(0).acquire(disk)


def test_a_user_is_refused_then_allowed_by_a_rules_file(alice, polkit, disk):
    assert alice.refused_acquire(disk).name == "InteractiveAuthorizationRequired"
    polkit.allow(ALICE, "acquire")
    assert alice.acquire(disk)["Uid"] == ALICE


def test_a_rule_that_says_no_is_not_authorized(alice, polkit, disk):
    polkit.add_rule("polkit.addRule(function(action, subject) { return polkit.Result.NO; });")
    assert alice.refused_acquire(disk).name == "NotAuthorized"
    assert alice.call("CanAcquire", "(ss)", str(disk), "exclusive") == ("no",)


def test_can_acquire_says_what_polkit_would_say(alice, polkit, disk, root):
    assert alice.call("CanAcquire", "(ss)", str(disk), "exclusive") == ("challenge",)
    polkit.allow(ALICE, "acquire")
    assert alice.call("CanAcquire", "(ss)", str(disk), "exclusive") == ("yes",)
    assert root.call("CanAcquire", "(ss)", str(disk), "exclusive") == ("yes",)
    assert root.list() == {}


def test_can_acquire_opens_nothing(root, folder):
    assert root.call("CanAcquire", "(ss)", str(folder / "missing"), "exclusive") == ("yes",)


@pytest.mark.parametrize("member, signature, rest", [
    ("Acquire", "(ssa{sv})", ("exclusive", {})), ("Hold", "(ssa{sv})", ("exclusive", {})), ("Inspect", "(s)", ()),
    ("CanAcquire", "(ss)", ("exclusive",)), ("Fence", "(ssa{sv})", ("otherhost", {})),
])
def test_the_answer_does_not_tell_whether_the_path_exists(alice, disk, member, signature, rest):
    def answer_for(path):
        try:
            return str(alice.call(member, signature, path, *rest)).replace(path, "PATH")
        except BusError as error:
            return str(error).replace(path, "PATH")

    def answer_in_time(path):
        """A polkitd that the machine was too busy for says nothing of the path either."""
        return next((answer for answer in (answer_for(path) for _ in range(10)) if "does not answer" not in answer), "never")

    answers = {answer_in_time(path)
               for path in (str(disk), f"{disk.parent}/none.img", "/dev/null", "/root", "/nowhere/else")}
    assert len(answers) == 1, answers


def test_the_rules_are_told_path_mode_and_owner_before_the_first_yes_and_the_disk_after_it(alice, polkit, disk):
    witness = polkit.folder / "witness"
    witness.touch()
    witness.chmod(0o666)
    polkit.add_rule("""polkit.addRule(function(action, subject) {
        if (action.id != "org.disklock.disklock1.acquire") return;
        polkit.spawn(["sh", "-c", "echo \\"$0\\" >>%s", ["path", "mode", "owner", "disk", "backend"].map(function(key) {
            return key + "=" + action.lookup(key);
        }).join(" ")]);
        return polkit.Result.YES;
    });""" % witness)
    lease = alice.acquire(disk, owner="web01")
    first, second = witness.read_text().splitlines()
    assert first == f"path={disk} mode=exclusive owner=web01 disk=undefined backend=undefined"
    assert second == f"path={disk} mode=exclusive owner=web01 disk={lease['Disk']} backend=fcntl"


def test_a_rule_may_allow_one_path_alone(alice, polkit, image):
    mine, other = image("mine.img"), image("other.img")
    polkit.add_rule(f"""polkit.addRule(function(action, subject) {{
        if (action.id == "org.disklock.disklock1.acquire" && action.lookup("path") == "{mine}") return polkit.Result.YES;
    }});""")
    alice.acquire(mine)
    assert alice.refused_acquire(other).name == "InteractiveAuthorizationRequired"


def test_a_link_does_not_carry_a_yes_to_another_disk(alice, polkit, folder, disk):
    """The rule knows the path that it was asked about; what it leads to is asked about again, by its own name."""
    link = folder / "allowed.img"
    link.symlink_to(disk)
    polkit.add_rule(f"""polkit.addRule(function(action, subject) {{
        if (action.id == "org.disklock.disklock1.acquire" && action.lookup("path") == "{link}"
            && (!action.lookup("disk") || action.lookup("disk") == "{link}")) return polkit.Result.YES;
    }});""")
    assert alice.refused_acquire(link).name in DENIED


def test_an_active_session_acquires_its_own_image_by_descriptor(alice, polkit, image):
    mine = image(owner=ALICE)
    polkit.log_in(ALICE, alice.pid)
    fd = os.open(mine, os.O_RDWR)
    lease = alice.acquire_fd(fd, owner="desktop-vm")
    os.close(fd)
    assert lease["Uid"] == ALICE and lease["Path"] == str(mine)
    lease.release()


def test_no_session_no_lease_by_descriptor(alice, image):
    fd = os.open(image(owner=ALICE), os.O_RDWR)
    assert alice.start_acquire_fd(fd).error().name in DENIED
    os.close(fd)


def test_an_active_session_may_inspect_and_not_acquire_by_path(alice, polkit, disk):
    polkit.log_in(ALICE, alice.pid)
    assert alice.inspect(disk)["state"] == "free"
    assert alice.refused_acquire(disk).name == "InteractiveAuthorizationRequired"


def test_an_owner_releases_what_is_his_and_nobody_elses(alice, polkit, client, image):
    polkit.allow(ALICE, "acquire")
    polkit.allow(BOB, "acquire")
    bob = client(BOB)
    hers, his = alice.acquire(image("a"), owner="vm"), bob.acquire(image("b"), owner="vm")
    assert alice.refused("Release", "(o)", his.path).name in DENIED
    assert bob.refused("Release", path=hers.path, interface=LEASE).name in DENIED
    assert alice.call("ReleaseOwner", "(s)", "vm") == (1,)
    assert his["State"] == "active"
    his.release()


@pytest.mark.parametrize("member, signature, arguments", [
    ("Convert", "(s)", ("shared",)), ("Suspend", "()", ()), ("Resume", "()", ())])
def test_only_the_owner_changes_a_lease(alice, polkit, client, disk, member, signature, arguments):
    polkit.allow(BOB, "acquire")
    polkit.allow(ALICE)
    lease = client(BOB).acquire(disk)
    error = alice.refused(member, signature, *arguments, path=lease.path, interface=LEASE)
    assert error.name == "NotOwner"
    assert lease["Mode"] == "exclusive" and lease["State"] == "active"


def test_release_any_releases_anybodys(alice, polkit, lease, client):
    polkit.allow(ALICE, "release-any")
    alice.call("ReleaseOwner", "(s)", "web01")
    assert not lease.exists()


def test_break_needs_its_own_yes(alice, polkit, disk):
    polkit.allow(ALICE, "acquire")
    lease = alice.acquire(disk)
    assert alice.refused("Break", "(osa{sv})", lease.path, "mine", {}).name in DENIED
    polkit.allow(ALICE, "break")
    alice.call("Break", "(osa{sv})", lease.path, "mine", {})
    assert lease["State"] == "broken"


def test_a_user_sees_his_own_leases_alone(alice, polkit, client, image):
    polkit.allow(ALICE, "acquire")
    polkit.allow(BOB, "acquire")
    bob = client(BOB)
    hers, his = alice.acquire(image("a")), bob.acquire(image("b"))
    assert alice.list(uid=ALICE).keys() == {hers.path}
    assert alice.refused("ListLeases", "(a{sv})", {}).name in DENIED
    assert alice.refused("ListLeases", "(a{sv})", options({"uid": BOB})).name in DENIED
    with pytest.raises(BusError) as caught:
        alice.get("Path", his.path, LEASE)
    assert caught.value.name in DENIED
    polkit.allow(ALICE, "inspect")
    assert alice.list().keys() == {hers.path, his.path}
    assert alice.get("Owner", his.path, LEASE)


@pytest.mark.parametrize("member, signature, arguments", [
    ("Get", "(ss)", (LEASE, "Path")), ("GetAll", "(s)", (LEASE,)),
    ("Set", "(ssv)", (LEASE, "Path", GLib.Variant("s", "/other"))),
])
def test_a_strangers_view_of_a_leases_properties(alice, lease, member, signature, arguments):
    error = alice.refused(member, signature, *arguments, path=lease.path, interface=PROPERTIES)
    assert error.name in (*DENIED, "PropertyReadOnly", "AccessDenied", "InvalidArgs")
    assert "disk.img" not in error.message


def test_who_may_not_know_is_not_told_who_holds_the_disk(alice, polkit, lease, disk):
    polkit.allow(ALICE, "acquire")
    error = alice.refused_acquire(disk)
    assert error.name == "Busy"
    assert "web01" not in error.message


@pytest.mark.parametrize("extra", [{"on_break": "kill"}, {"on_break": "terminate"}, {"on_break": "pause"}, {"pid": 1}])
def test_acting_on_others_needs_a_yes_of_its_own(alice, polkit, disk, extra):
    polkit.allow(ALICE, "acquire")
    assert alice.refused_acquire(disk, **extra).name in DENIED
    polkit.allow(ALICE, "acquire-for-others")
    alice.acquire(disk, **extra)


def test_a_process_of_the_same_uid_needs_no_further_yes(alice, polkit, client, disk):
    polkit.allow(ALICE, "acquire")
    alice.acquire(disk, pid=client(ALICE).pid, lifetime="process")


def test_a_yes_by_descriptor_does_not_open_the_way_by_path(alice, polkit, disk):
    polkit.allow(ALICE, "acquire-fd")
    assert alice.refused_acquire(disk).name in DENIED
    assert alice.refused("Hold", "(ssa{sv})", str(disk), "exclusive", options({})).name in DENIED


@pytest.fixture
def actions(bus, polkit):
    """What polkit read of our actions: {name: what it means for (anybody, inactive sessions, active sessions)}."""
    words = ["no", "auth_self", "auth_admin", "auth_self_keep", "auth_admin_keep", "yes"]
    listed = bus.watcher.call_sync(
        "org.freedesktop.PolicyKit1", "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority",
        "EnumerateActions", GLib.Variant("(s)", ("",)), None, 0, -1, None).unpack()[0]
    return {action[0].removeprefix(PREFIX): tuple(words[number] for number in action[6:9])
            for action in listed if action[0].startswith(PREFIX)}


def test_active_sessions_may_inspect_and_acquire_what_they_opened_and_all_else_takes_an_administrator(actions):
    assert {name: active for name, (_, _, active) in actions.items()} == {
        "acquire": "auth_admin", "acquire-fd": "yes", "acquire-for-others": "auth_admin", "release-any": "auth_admin",
        "inspect": "yes", "break": "auth_admin", "fence": "auth_admin", "reload": "auth_admin"}


def test_a_yes_is_never_kept(actions):
    """A kept yes would cover another disk."""
    assert not [name for name, answers in actions.items() if any("keep" in answer for answer in answers)]


def test_nobody_outside_an_active_session_gets_a_yes_for_nothing(actions):
    assert not [name for name, (anybody, inactive, _) in actions.items() if "yes" in (anybody, inactive)]
