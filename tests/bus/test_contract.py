"""The bus shows what dbus/ says, and hostile arguments are refused by name."""

import fcntl
import os
import xml.etree.ElementTree as ElementTree

import pytest
from gi.repository import GLib

from conftest import ALICE
from harness import LEASE, MANAGER, NAME, OBJECT, PROPERTIES, SOURCE, BusError

INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"


def described(node, interface):
    """The members of an interface, as comparable values; the order of members does not matter, that of arguments does."""
    found = node.find(f"interface[@name='{interface}']")
    assert found is not None, f"{interface} is missing"
    members = set()
    for member in found:
        if member.tag in ("method", "signal"):
            default = "in" if member.tag == "method" else "out"
            arguments = tuple((argument.get("name"), argument.get("type"), argument.get("direction", default))
                              for argument in member.iter("arg"))
            members.add((member.tag, member.get("name"), arguments))
        elif member.tag == "property":
            members.add((member.tag, member.get("name"), member.get("type"), member.get("access")))
    return members


@pytest.mark.parametrize("interface", [MANAGER, LEASE])
def test_introspection_equals_the_contract(root, disk, interface):
    path = OBJECT if interface == MANAGER else root.acquire(disk).path
    text, = root.call("Introspect", path=path, interface=INTROSPECTABLE)
    contract = ElementTree.parse(SOURCE / "dbus" / f"{interface}.xml").getroot()
    assert described(ElementTree.fromstring(text), interface) == described(contract, interface)


def test_the_contract_as_programs_were_promised_it():
    """The signatures are fixed: programs were written against them."""
    promised = {
        "Acquire": ("ssa{sv}", "ot"), "AcquireSet": ("a(ss)a{sv}", "a(ot)"), "AcquireDomain": ("sa{sv}", "a(ot)"),
        "AcquireFd": ("hsa{sv}", "ot"), "Hold": ("ssa{sv}", "oth"), "Release": ("o", ""), "ReleaseOwner": ("s", "u"),
        "Inspect": ("s", "a{sv}"), "ListLeases": ("a{sv}", "a(oa{sv})s"), "Break": ("osa{sv}", ""),
        "Fence": ("ssa{sv}", "u"), "CanAcquire": ("ss", "s"), "Reload": ("", ""),
        "LeasesChanged": ("", "aoao"), "LeaseAtRisk": ("", "os"), "LeaseRestored": ("", "o"),
        "LeaseBroken": ("", "osa{sv}"),
        "Version": "s", "HostId": "s", "Backends": "as", "LeaseCount": "u", "PolicyGeneration": "t",
    }
    contract = ElementTree.parse(SOURCE / "dbus" / f"{MANAGER}.xml").getroot()
    found = {}
    for kind, name, *rest in described(contract, MANAGER):
        if kind == "property":
            found[name] = rest[0]
        else:
            found[name] = tuple("".join(argument[1] for argument in rest[0] if argument[2] == direction)
                                for direction in ("in", "out"))
    assert found == promised


def test_every_member_of_the_contract_is_documented():
    for interface in (MANAGER, LEASE):
        text = (SOURCE / "dbus" / f"{interface}.xml").read_text()
        for _, name, *_ in described(ElementTree.fromstring(text), interface):
            assert f"        {name}:\n" in text, f"{interface}.{name}"


def text_of(interface, member):
    """What is written of a member."""
    text = (SOURCE / "dbus" / f"{interface}.xml").read_text()
    return " ".join(text.partition(f"        {member}:\n")[2].partition("-->")[0].split())


def test_it_is_written_how_leases_are_filtered():
    text = text_of(MANAGER, "ListLeases")
    for key in ("path", "owner", "uid", "state", "backend", "limit", "after"):
        assert f"<literal>{key}</literal> (" in text, key
    assert "there are no patterns" in text and "another link to the disk matches nothing" in text


@pytest.mark.parametrize("member, signature, arguments", [
    ("Acquire", "(ssa{sv})", ["PATH", "exclusive"]),
    ("AcquireFd", "(hsa{sv})", [0, "exclusive"]),
    ("Hold", "(ssa{sv})", ["PATH", "exclusive"]),
    ("AcquireSet", "(a(ss)a{sv})", [[("/images/a.img", "exclusive")]]),
    ("AcquireDomain", "(sa{sv})", ["<domain/>"]),
    ("Fence", "(ssa{sv})", ["PATH", "otherhost"]),
    ("Break", "(osa{sv})", ["/org/disklock/DiskLock1/lease/" + "0" * 32, "because"]),
    ("ListLeases", "(a{sv})", []),
])
def test_an_unknown_option_is_refused_by_name(root, disk, member, signature, arguments):
    arguments = [str(disk) if argument == "PATH" else argument for argument in arguments]
    with open(disk, "r+b") as file:
        error = root.refused(member, signature, *arguments, {"no-such-key": GLib.Variant("s", "x")},
                             fds=[file.fileno()] if member == "AcquireFd" else [])
    assert error.name == "InvalidArgs" and "no-such-key" in error.message


@pytest.mark.parametrize("key, kind, value", [
    ("owner", "u", 1), ("owner", "as", ["x"]), ("owner-uuid", "u", 1), ("why", "b", True), ("lifetime", "u", 1),
    ("pid", "s", "1"), ("pid", "i", 1), ("pidfd", "s", "x"), ("wait", "s", "1"), ("wait", "i", -1), ("wait", "t", 1),
    ("backend", "u", 1), ("on-break", "u", 1), ("owner", "v", GLib.Variant("s", "x")),
])
def test_an_option_of_the_wrong_type_is_refused_by_name(root, disk, key, kind, value):
    error = root.refused("Acquire", "(ssa{sv})", str(disk), "exclusive", {key: GLib.Variant(kind, value)})
    assert error.name == "InvalidArgs" and key in error.message
    root.acquire(disk)


@pytest.mark.parametrize("key, value", [
    ("owner", ""), ("owner", "two\nlines"), ("owner", "bell\a"), ("owner", "x" * 257), ("why", "esc\x1b[0m"),
    ("owner-uuid", "x" * 1000), ("lifetime", "eternal"), ("on-break", "explode"), ("backend", ""), ("owner", "line\u2028separator"),
])
def test_an_option_of_no_sense_is_refused_by_name(root, disk, key, value):
    error = root.refused("Acquire", "(ssa{sv})", str(disk), "exclusive", {key: GLib.Variant("s", value)})
    assert error.name == "InvalidArgs" and key in error.message
    assert error.message.isprintable() and len(error.message) < 2048


@pytest.mark.parametrize("mode", ["", "Exclusive", "rw", "read-write", "exclusive ", "x" * 100000])
def test_an_unknown_mode_is_refused(root, disk, mode):
    error = root.refused_acquire(disk, mode)
    assert error.name == "InvalidArgs" and "mode" in error.message and len(error.message) < 2048
    assert root.refused("CanAcquire", "(ss)", str(disk), mode).name == "InvalidArgs"


@pytest.mark.parametrize("key, kind, value", [
    ("path", "u", 1), ("owner", "u", 1), ("uid", "s", "0"), ("state", "s", "sleepy"), ("state", "u", 1),
    ("backend", "u", 1), ("after", "u", 1), ("after", "s", "nonsense"), ("limit", "s", "1"),
])
def test_a_filter_of_no_sense_is_refused_by_name(root, key, kind, value):
    error = root.refused("ListLeases", "(a{sv})", {key: GLib.Variant(kind, value)})
    assert error.name == "InvalidArgs" and key in error.message


@pytest.mark.parametrize("signature, arguments", [("()", ()), ("(s)", ("/x",)), ("(sss)", ("/x", "exclusive", "x")),
                                                  ("(ssa{ss})", ("/x", "exclusive", {}))])
def test_arguments_of_the_wrong_types_are_refused(root, signature, arguments):
    assert root.refused("Acquire", signature, *arguments).name == "InvalidArgs"


def test_an_unknown_method(root):
    assert root.refused("Explode").name == "UnknownMethod"


def test_properties_cannot_be_written(root):
    error = root.refused("Set", "(ssv)", MANAGER, "Version", GLib.Variant("s", "9"), interface=PROPERTIES)
    assert error.name in ("InvalidArgs", "PropertyReadOnly", "AccessDenied", "NotAuthorized")


def test_the_name_cannot_be_taken_by_a_user(bus, service, client):
    error = client(5).refused("RequestName", "(su)", NAME, 2, destination="org.freedesktop.DBus",
                              path="/org/freedesktop/DBus", interface="org.freedesktop.DBus")
    assert error.name == "AccessDenied"


@pytest.mark.parametrize("path", ["/org/disklock", "/org/disklock/DiskLock1/lease",
                                  "/org/disklock/DiskLock1/lease/" + "0" * 32 + "/more"])
def test_introspecting_around_the_objects_does_no_harm(root, path):
    try:
        root.call("Introspect", path=path, interface=INTROSPECTABLE)
    except BusError as error:
        assert error.name in ("UnknownMethod", "UnknownObject", "UnknownInterface")
    assert root.get("LeaseCount") == 0


def test_twenty_thousand_options_are_refused(root, disk):
    many = {f"key{number}": GLib.Variant("s", "x") for number in range(20000)}
    assert root.refused("Acquire", "(ssa{sv})", str(disk), "exclusive", many).name == "InvalidArgs"


def test_every_property_has_the_type_that_was_promised(root, disk):
    promised = {
        MANAGER: {"Version": "s", "HostId": "s", "Backends": "as", "LeaseCount": "u", "PolicyGeneration": "t"},
        LEASE: {"Id": "s", "Path": "s", "Disk": "s", "Mode": "s", "Backend": "s", "State": "s", "Owner": "s", "OwnerUuid": "s",
                "Why": "s", "Uid": "u", "Pid": "u", "Lifetime": "s", "OnBreak": "s", "Token": "t", "AcquiredAt": "t",
                "CheckedAt": "t", "BrokenReason": "s", "IsDataFile": "b"},
    }
    lease = root.acquire(disk)
    for interface, path in ((MANAGER, OBJECT), (LEASE, lease.path)):
        contract = ElementTree.parse(SOURCE / "dbus" / f"{interface}.xml").getroot()
        kinds = {member[1]: member[2] for member in described(contract, interface) if member[0] == "property"}
        assert kinds == promised[interface]
        assert root.get_all(path, interface).keys() == kinds.keys()
    now = GLib.get_real_time()
    assert now - 60 * 10**6 < lease["AcquiredAt"] <= lease["CheckedAt"] <= now


def test_an_inspect_report_has_the_promised_keys(root, disk):
    lease = root.acquire(disk, "shared", owner="web01")
    report, = root.start("Inspect", "(s)", str(disk)).result()
    assert {key: report[key] for key in ("path", "disk", "kind", "rule", "backend", "state")} == {
        "path": str(disk), "disk": lease["Disk"], "kind": "file", "rule": "everything", "backend": "fcntl", "state": "held"}
    assert report["foreign"] == report["related"] == []
    holder, = report["holders"]
    assert {"lease", "mode", "owner", "uid", "pid", "host", "since", "this-host"} <= holder.keys()
    assert "wwid" not in report and "reservation" not in report


def test_an_inspect_report_says_who_locks_without_a_lease(root, disk):
    with open(disk, "r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        report = root.inspect(disk)
    assert report["state"] == "in-use"
    locker, = report["foreign"]
    assert {"pid": os.getpid(), "what": "lock"}.items() <= locker.items() and locker["command"]


def test_an_acquire_without_options_is_the_callers_own_and_lasts(root, disk):
    lease = root.acquire(disk)
    with open("/proc/self/comm") as file:
        assert lease["Owner"] == file.read().strip()
    assert [lease[name] for name in ("OwnerUuid", "Why", "Lifetime", "OnBreak", "Pid", "Uid")] == [
        "", "", "persistent", "signal", os.getpid(), 0]


@pytest.mark.parametrize("filters, found", [
    ({"uid": 0}, "ab"), ({"uid": ALICE}, ""), ({"backend": "host"}, "b"), ({"backend": "fcntl"}, "a"), ({"state": "broken"}, ""),
    ({"state": "active"}, "a"), ({"state": "suspended"}, "b"), ({"owner": "web"}, "ab"), ({"owner": "we"}, ""),
    ({"uid": 0, "backend": "host", "owner": "web", "state": "suspended"}, "b"), ({"uid": 0, "state": "active", "backend": "host"}, "")])
def test_every_filter_narrows_a_listing_and_all_must_match(client, start_service, image, filters, found):
    start_service("[Rule everything]\nbackend=fcntl;host\n")
    root = client()
    root.acquire(image("a"), owner="web")
    root.acquire(image("b"), owner="web", backend="host").call("Suspend")
    assert {values["Path"].rpartition("/")[2] for values in root.list(**filters).values()} == set(found)


@pytest.mark.parametrize("limit", [1, 2, 1000, 0, 2**32 - 1])
def test_a_page_is_as_long_as_it_may_be(root, image, limit):
    for name in "abc":
        root.acquire(image(name))
    page, after = root.call("ListLeases", "(a{sv})", {"limit": GLib.Variant("u", limit)})
    assert len(page) == min(max(limit, 1), 3) and (after == "") == (len(page) == 3)


# ---- what a refusal says ----

def refusals(alice, root, disk, lease, denied):
    """Everything that is refused for want of a right: what its message must name, and the call."""
    path, there = str(disk), {"path": lease.path, "interface": LEASE}
    domain = ("<domain type='qemu'><name>web01</name><devices><disk type='file'>"
              f"<source file='{path}'/><target dev='vda'/></disk></devices></domain>")
    own = {"path": denied.path, "interface": LEASE}
    return {
        "Acquire": (path, ("Acquire", "(ssa{sv})", path, "exclusive", {})),
        "Hold": (path, ("Hold", "(ssa{sv})", path, "exclusive", {})),
        "AcquireSet": (path, ("AcquireSet", "(a(ss)a{sv})", [(path, "exclusive")], {})),
        "AcquireDomain": ("vda", ("AcquireDomain", "(sa{sv})", domain, {})),
        "Inspect": (path, ("Inspect", "(s)", path)),
        "Fence": (path, ("Fence", "(ssa{sv})", path, "beta", {})),
        "Release": (lease["Id"][:8], ("Release", "(o)", lease.path)),
        "Break": (lease["Id"][:8], ("Break", "(osa{sv})", lease.path, "test", {})),
        "Check": (lease["Id"][:8], ("Check", "()"), there),
        "Suspend": (lease["Id"][:8], ("Suspend", "()"), there),
        "Convert": (denied["Id"][:8], ("Convert", "(s)", "exclusive"), own),
    }


@pytest.mark.parametrize("answer", ["NO", "AUTH_ADMIN"])
def test_a_refusal_for_want_of_a_right_names_the_thing_and_what_to_do(service, polkit, client, root, image, answer):
    alice = client(ALICE)
    polkit.allow(ALICE, "acquire")
    denied = alice.acquire(image("denied.img"), "shared")
    polkit.add_rule(f"polkit.addRule(function(action, subject) {{ return polkit.Result.{answer}; }});", name="10-first")
    lease = root.acquire(image("secret.img"), owner="web01")
    folder = denied["Path"].rpartition("/")[0]  # may have root in its own name
    for member, (thing, call, *where) in refusals(alice, root, image("disk.img"), lease, denied).items():
        error = alice.refused(*call, **(where[0] if where else {}))
        assert thing in error.message, (member, error)
        assert "root" in error.message.replace(folder, ""), (member, error)
        assert "secret" not in error.message and ("web01" not in error.message or member == "AcquireDomain"), (member, error)


@pytest.mark.parametrize("member, signature, arguments", [
    ("AcquireSet", "(a(ss)a{sv})", lambda path: ([(path, "exclusive")], {})),
    ("AcquireSet", "(a(ss)a{sv})", lambda path: ([("/images/first.img", "exclusive"), (path, "exclusive")], {})),
    ("AcquireDomain", "(sa{sv})", lambda path: ("<domain type='qemu'><name>a</name><devices><disk type='file'>"
                                                f"<source file='{path}'/><target dev='vda'/></disk></devices></domain>", {}))])
def test_the_answer_does_not_tell_whether_a_path_of_several_exists(service, polkit, client, disk, member, signature, arguments):
    polkit.add_rule("polkit.addRule(function(action, subject) { return polkit.Result.NO; });")
    alice = client(ALICE)

    def answer_in_time(path):
        """A polkitd that the machine was too busy for says nothing of the path either."""
        answers = (str(alice.refused(member, signature, *arguments(path))).replace(path, "PATH") for _ in range(10))
        return next((answer for answer in answers if "does not answer" not in answer), "never")

    answers = {answer_in_time(path) for path in (str(disk), f"{disk.parent}/none.img", "/dev/null", "/nowhere/else")}
    assert len(answers) == 1 and "NotAuthorized" in answers.pop()


def test_the_message_of_a_refusal_is_one_line_of_some_length_whatever_was_named(service, polkit, client):
    polkit.add_rule("polkit.addRule(function(action, subject) { return polkit.Result.NO; });")
    error = client(ALICE).refused("Inspect", "(s)", "/" + "x" * 100000 + "\n\x1b[31m")
    assert error.name == "NotAuthorized" and error.message.isprintable() and len(error.message) < 8192


def test_a_process_of_another_user_by_pidfd_needs_a_yes_of_its_own(service, polkit, client, process, disk):
    polkit.allow(ALICE, "acquire")
    alice = client(ALICE)
    pidfd = os.pidfd_open(process().pid)
    try:
        error = alice.refused("Acquire", "(ssa{sv})", str(disk), "exclusive",
                              {"pidfd": GLib.Variant("h", 0)}, fds=[pidfd])
    finally:
        os.close(pidfd)
    assert error.name == "InteractiveAuthorizationRequired" and "acquire-for-others" in error.message and str(disk) in error.message
