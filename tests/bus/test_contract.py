"""The bus shows what dbus/ says, and hostile arguments are refused by name."""

import xml.etree.ElementTree as ElementTree

import pytest
from gi.repository import GLib

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
