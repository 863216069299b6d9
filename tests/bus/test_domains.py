"""AcquireDomain: the disks of a libvirt domain, as its XML and the headers of its images name them."""

import struct
import subprocess

import pytest

from conftest import ALICE
from harness.domain import backing, disk, domain


def write_header_naming(image, backing_file):
    """What a guest may do to its raw disk: a qcow2 header that names a backing file."""
    name = str(backing_file).encode()
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, 72, len(name), 16, 1 << 20, 0, 0, 0, 0, 0, 0, 0)
    with open(image, "r+b") as file:
        file.write(header[:72] + name)


def modes(leases):
    """{path: mode} of these leases."""
    return {lease["Path"]: lease["Mode"] for lease in leases}


def refused(root, xml, *words):
    """The domain must be refused as InvalidArgs with all the words, and nothing be taken."""
    error = root.refused_acquire_domain(xml)
    assert error.name == "InvalidArgs", error
    for word in words:
        assert word in error.message, error
    assert root.held() == {}
    return error.message


# ---- modes ----

@pytest.mark.parametrize("inside, device, mode", [
    ("", "disk", "exclusive"), ("<readonly/>", "disk", "read-only"), ("<shareable/>", "disk", "shared"),
    ("", "cdrom", "read-only"), ("", "floppy", "exclusive"), ("<readonly/>", "floppy", "read-only"), ("", "lun", "exclusive"),
])
def test_the_mode_of_a_disk(root, image, inside, device, mode):
    path = image()
    leases = root.acquire_domain(domain(disk(path, inside=inside, device=device)), owner="web01")
    assert modes(leases) == {str(path): mode}
    assert leases[0]["Owner"] == "web01"


def test_every_disk_of_a_domain_is_taken_in_the_order_of_the_xml(root, image):
    paths = [image(f"{name}.img") for name in ("c", "a", "b")]
    leases = root.acquire_domain(domain(*(disk(path, f"vd{letter}") for path, letter in zip(paths, "abc"))))
    assert [lease["Path"] for lease in leases] == [str(path) for path in paths]


def test_two_domains_share_a_shareable_disk_and_one_that_wants_it_alone_is_refused(root, image):
    path = image()
    for name in ("web01", "web02"):
        root.acquire_domain(domain(disk(path, inside="<shareable/>"), name=name), owner=name)
    error = root.refused_acquire_domain(domain(disk(path), name="db01"))
    assert error.name == "Busy" and str(path) in error.message and "web01" in error.message


@pytest.mark.parametrize("device", ["cdrom", "floppy"])
def test_an_empty_drive_is_skipped(root, image, device):
    path = image()
    drive = f"<disk type='file' device='{device}'><target dev='sda'/></disk>"
    assert modes(root.acquire_domain(domain(drive, disk(path)))) == {str(path): "exclusive"}


def test_a_domain_without_disks_needs_no_lease(root):
    assert root.acquire_domain(domain()) == []


@pytest.mark.parametrize("policy", ["optional", "requisite"])
def test_a_disk_that_may_be_missing_and_is_missing_is_left_out(root, image, folder, policy):
    path = image()
    xml = domain(disk(path), disk(folder / "gone.iso", "sda", device="cdrom", policy=policy))
    assert modes(root.acquire_domain(xml)) == {str(path): "exclusive"}


def test_a_domain_whose_only_disk_may_be_missing_and_is_missing_needs_no_lease(root, folder):
    assert root.acquire_domain(domain(disk(folder / "gone.iso", "sda", device="cdrom", policy="optional"))) == []


@pytest.mark.parametrize("policy", [None, "mandatory"])
def test_a_disk_that_must_be_there_and_is_missing_refuses_the_domain(root, image, folder, policy):
    missing = folder / "gone.iso"
    error = root.refused_acquire_domain(domain(disk(image()), disk(missing, "sda", device="cdrom", policy=policy)))
    assert error.name == "NotADisk" and str(missing) in error.message and "disk sda" in error.message
    assert root.held() == {}


def test_a_disk_that_may_be_missing_and_is_held_refuses_the_domain(root, image):
    first, second = image("a.img"), image("b.iso")
    root.acquire(second, owner="db01")
    error = root.refused_acquire_domain(domain(disk(first), disk(second, "sda", device="cdrom", policy="optional")))
    assert error.name == "Busy" and "db01" in error.message
    assert root.held() == {str(second): "exclusive"}


def test_one_disk_that_is_held_leaves_the_others_of_the_domain_free(root, image):
    paths = [image(f"{number}.img") for number in range(4)]
    root.acquire(paths[2], owner="db01")
    error = root.refused_acquire_domain(domain(*(disk(path, f"vd{number}") for number, path in enumerate(paths))))
    assert error.name == "Busy" and str(paths[2]) in error.message and "db01" in error.message
    assert root.held() == {str(paths[2]): "exclusive"}


@pytest.mark.parametrize("alias", ["same", "link", "hard link"])
def test_an_image_that_a_domain_has_twice_is_refused_by_both_elements(root, image, folder, alias):
    path = other = image()
    if alias != "same":
        other = folder / "other.img"
        other.symlink_to(path) if alias == "link" else other.hardlink_to(path)
    refused(root, domain(disk(path), disk(other, "vdb")), "disk vda (line 6)", "disk vdb (line 7)", "one disk")


def test_two_drives_read_one_image(root, image):
    path = image("setup.iso")
    xml = domain(disk(path, "sda", device="cdrom"), disk(path, "sdb", device="cdrom"))
    assert modes(root.acquire_domain(xml)) == {str(path): "read-only"}


def test_a_disk_that_is_written_and_read_by_one_domain_is_refused(root, image):
    path = image()
    refused(root, domain(disk(path), disk(path, "sda", device="cdrom")), "disk vda", "disk sda")


# ---- backing chains ----

def test_two_domains_run_on_one_base_image(root, qcow2):
    base = qcow2("base.qcow2")
    for name in ("web01", "web02"):
        overlay = qcow2(f"{name}.qcow2", base)
        leases = root.acquire_domain(domain(disk(overlay, form="qcow2"), name=name), owner=name)
        assert modes(leases) == {str(overlay): "exclusive", str(base): "read-only"}


def test_who_wants_a_base_image_alone_is_told_who_reads_it(root, qcow2):
    base = qcow2("base.qcow2")
    root.acquire_domain(domain(disk(qcow2("web01.qcow2", base), form="qcow2")), owner="web01")
    for error in (root.refused_acquire_domain(domain(disk(base, form="qcow2"), name="builder")), root.refused_acquire(base)):
        assert error.name == "Busy"
        assert str(base) in error.message and "web01" in error.message and "read-only" in error.message


def test_a_domain_is_refused_while_its_base_image_is_written(root, qcow2):
    base = qcow2("base.qcow2")
    root.acquire(base, owner="builder")
    error = root.refused_acquire_domain(domain(disk(qcow2("web01.qcow2", base), form="qcow2")))
    assert error.name == "Busy" and str(base) in error.message and "builder" in error.message
    assert root.held() == {str(base): "exclusive"}


def test_a_chain_is_followed_to_its_end(root, qcow2, image):
    bottom = image("bottom.img")
    base = qcow2("base.qcow2", bottom, "raw")
    middle = qcow2("middle.qcow2", base)
    top = qcow2("top.qcow2", middle)
    assert modes(root.acquire_domain(domain(disk(top, form="qcow2")))) == {
        str(top): "exclusive", str(middle): "read-only", str(base): "read-only", str(bottom): "read-only"}


def test_a_name_in_a_header_starts_in_the_folder_of_its_image(root, qcow2):
    base = qcow2("base.qcow2")
    top = qcow2("top.qcow2", base.name)
    assert modes(root.acquire_domain(domain(disk(top, form="qcow2")))) == {str(top): "exclusive", str(base): "read-only"}


def test_a_chain_that_the_xml_names_counts_and_not_the_headers(root, qcow2, image):
    old, new = qcow2("old.qcow2"), image("new.img")
    top = qcow2("top.qcow2", old)
    xml = domain(disk(top, form="qcow2", inside=backing(new)))
    assert modes(root.acquire_domain(xml)) == {str(top): "exclusive", str(new): "read-only"}


def test_where_the_xml_says_nothing_further_the_headers_go_on(root, qcow2):
    base = qcow2("base.qcow2")
    middle = qcow2("middle.qcow2", base)
    top = qcow2("top.qcow2", middle)
    xml = domain(disk(top, form="qcow2", inside=backing(middle, "qcow2", inside="")))
    assert modes(root.acquire_domain(xml)) == {str(top): "exclusive", str(middle): "read-only", str(base): "read-only"}


def test_an_empty_backing_store_ends_the_chain(root, qcow2):
    top = qcow2("top.qcow2", qcow2("base.qcow2"))
    assert modes(root.acquire_domain(domain(disk(top, form="qcow2", inside="<backingStore/>")))) == {str(top): "exclusive"}


def test_disks_of_one_domain_share_a_base_image(root, qcow2):
    base = qcow2("base.qcow2")
    first, second = qcow2("a.qcow2", base), qcow2("b.qcow2", base)
    xml = domain(disk(first, form="qcow2"), disk(second, "vdb", form="qcow2"))
    assert modes(root.acquire_domain(xml)) == {str(first): "exclusive", str(second): "exclusive", str(base): "read-only"}


def test_a_domain_that_writes_the_base_of_its_other_disk_is_refused(root, qcow2):
    base = qcow2("base.qcow2")
    top = qcow2("top.qcow2", base)
    refused(root, domain(disk(top, form="qcow2"), disk(base, "vdb", form="qcow2")), "disk vdb", "backing file of disk vda", str(base))


def test_a_chain_of_headers_that_loops_is_refused(root, qcow2):
    first, second = qcow2("a.qcow2"), qcow2("b.qcow2")
    for path, base in ((first, second), (second, first)):
        subprocess.run(["qemu-img", "rebase", "-u", "-f", "qcow2", "-F", "qcow2", "-b", base, path], check=True)
    refused(root, domain(disk(first, form="qcow2")), "loops", "disk vda", str(first))


def test_an_image_whose_header_names_itself_is_refused(root, qcow2):
    top = qcow2("a.qcow2", "a.qcow2")
    refused(root, domain(disk(top, form="qcow2")), "loops", "disk vda", str(top))


def test_a_chain_in_the_xml_that_names_an_image_twice_is_refused(root, qcow2, folder):
    base = qcow2("base.qcow2")
    top = qcow2("top.qcow2", base)
    link = folder / "link.qcow2"
    link.symlink_to(base)
    for again in (base, link, top):
        inside = backing(base, "qcow2", inside=backing(again, "qcow2"))
        refused(root, domain(disk(top, form="qcow2", inside=inside)), "disk vda")


def test_a_backing_file_that_is_missing_refuses_the_domain(root, qcow2, folder):
    top = qcow2("top.qcow2", folder / "gone.qcow2")
    error = root.refused_acquire_domain(domain(disk(top, form="qcow2")))
    assert error.name == "NotADisk"
    assert "backing file of disk vda" in error.message and str(folder / "gone.qcow2") in error.message
    assert root.held() == {}


@pytest.mark.parametrize("target", ["/etc/shadow", "another image", "a folder"])
def test_a_header_in_a_raw_disk_is_its_guests_and_is_not_read(root, image, folder, target):
    path, other = image(), image("other.img")
    write_header_naming(path, {"another image": other, "a folder": folder}.get(target, target))
    assert modes(root.acquire_domain(domain(disk(path)))) == {str(path): "exclusive"}


def test_a_disk_without_a_format_is_raw(root, image):
    path = image()
    write_header_naming(path, "/etc/shadow")
    bare = f"<disk type='file'><source file='{path}'/><target dev='vda'/></disk>"
    assert modes(root.acquire_domain(domain(bare))) == {str(path): "exclusive"}


def test_a_raw_backing_file_is_not_read_either(root, qcow2, image):
    base = image()
    write_header_naming(base, "/etc/shadow")
    top = qcow2("top.qcow2", base, "raw")
    assert modes(root.acquire_domain(domain(disk(top, form="qcow2")))) == {str(top): "exclusive", str(base): "read-only"}


def test_a_header_that_is_broken_is_refused_and_the_disk_named(root, image):
    path = image("broken.qcow2", "qcow2")
    with open(path, "r+b") as file:
        file.seek(8)
        file.write(struct.pack(">QI", 2**63, 4000))
    refused(root, domain(disk(path, form="qcow2")), "disk vda", str(path))


def test_a_path_that_only_a_header_names_is_asked_about_too(service, polkit, client, qcow2):
    base = qcow2("base.qcow2")
    top = qcow2("top.qcow2", base)
    polkit.add_rule(f"""polkit.addRule(function(action, subject) {{
        if (action.id == "org.disklock.disklock1.acquire" && subject.user == "games")
            return action.lookup("path") == "{base}" ? polkit.Result.NO : polkit.Result.YES;
    }});""")
    alice = client(ALICE)
    assert alice.refused_acquire_domain(domain(disk(top, form="qcow2"))).name == "NotAuthorized"
    assert client().held() == {}
    lone = qcow2("lone.qcow2")
    assert len(alice.acquire_domain(domain(disk(lone, form="qcow2")))) == 1


# ---- what is no <disk> ----

def test_the_firmware_is_read_and_its_variables_are_written(root, image):
    code, variables = image("code.fd"), image("vars.fd")
    os = f"<loader readonly='yes' type='pflash'>{code}</loader><nvram>{variables}</nvram>"
    assert modes(root.acquire_domain(domain(os=os))) == {str(code): "read-only", str(variables): "exclusive"}


def test_variables_that_libvirt_has_yet_to_make_are_left_out(root, image, folder):
    code, template = image("code.fd"), image("template.fd")
    os = f"<loader readonly='yes' type='pflash'>{code}</loader><nvram template='{template}'>{folder}/new.fd</nvram>"
    assert modes(root.acquire_domain(domain(os=os))) == {str(code): "read-only", str(template): "read-only"}


def test_two_domains_have_their_own_tpm_and_none_has_anothers(root):
    tpm = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
    other = "0c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a22"
    [lease] = root.acquire_domain(domain(tpm), owner="web01")
    assert lease["Mode"] == "exclusive"
    assert len(root.acquire_domain(domain(tpm, uuid=other), owner="web02")) == 1
    error = root.refused_acquire_domain(domain(tpm), owner="db01")
    assert error.name == "Busy" and "web01" in error.message


def test_a_lease_of_libvirts_lock_manager_is_one_holders(root, folder):
    element = f"<lease><lockspace>space</lockspace><key>KEY</key><target path='{folder}/leases' offset='0'/></lease>"
    [lease] = root.acquire_domain(domain(element), owner="web01")
    assert lease["Mode"] == "exclusive"
    error = root.refused_acquire_domain(domain(element, name="db01"))
    assert error.name == "Busy" and "web01" in error.message
    assert len(root.acquire_domain(domain(element.replace("KEY", "OTHER")))) == 1


def network(host, name, inside=""):
    return (f"<disk type='network'><driver type='raw'/><source protocol='rbd' name='{name}'><host name='{host}' port='6789'/>"
            f"</source>{inside}<target dev='vda'/></disk>")


def test_a_network_disk_is_one_domains_however_it_is_spelled(root):
    [lease] = root.acquire_domain(domain(network("mon.example", "pool/image")), owner="web01")
    assert lease["Path"].startswith("rbd://mon.example") and lease["Mode"] == "exclusive"
    error = root.refused_acquire_domain(domain(network("MON.example", "pool/image"), name="db01"))
    assert error.name == "Busy" and "web01" in error.message
    assert len(root.acquire_domain(domain(network("mon.example", "pool/other")))) == 1


def test_a_block_device_may_be_a_file_by_another_word_and_the_disk_is_the_same(root, image):
    path = image()
    block = f"<disk type='block'><driver type='raw'/><source dev='{path}'/><target dev='vda'/></disk>"
    root.acquire_domain(domain(block), owner="web01")
    assert root.refused_acquire_domain(domain(disk(path))).name == "Busy"


# ---- XML that means harm ----

@pytest.mark.parametrize("xml, words", [
    ("", ["line 1", "domain XML"]),
    ("no XML at all", ["line 1", "domain XML"]),
    ("<domain type='kvm'>\n<devices>\n</domain>", ["line 3", "domain XML"]),
    ("<network/>", ["line 1", "<network>"]),
    ("<domain type='lxc'/>", ["line 1", "lxc"]),
    ("<domain type='kvm'>\n&unknown;\n</domain>", ["line 2", "domain XML"]),
    ("<!DOCTYPE domain>\n<domain type='kvm'/>", ["line 1", "DOCTYPE"]),
    ("<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/shadow'>]>\n<domain type='kvm'><name>&x;</name></domain>", ["DOCTYPE"]),
    ("<!DOCTYPE d [<!ENTITY a 'aaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>]>\n<domain type='kvm'>&b;</domain>", ["DOCTYPE"]),
    ("<!DOCTYPE domain SYSTEM 'http://127.0.0.1:1/x.dtd'>\n<domain type='kvm'/>", ["DOCTYPE"]),
    ("<domain type='kvm'>\n<devices>\n<disk type='file'><source file='relative.img'/><target dev='vda'/></disk></devices></domain>",
     ["line 3", "disk vda"]),
    ("<domain type='kvm'>\n<devices>\n<disk type='file' device='disk'><target dev='vdc'/></disk></devices></domain>",
     ["line 3", "disk vdc"]),
    ("<domain type='kvm'>\n<devices>\n<disk type='magic'><source file='/a'/><target dev='vda'/></disk></devices></domain>",
     ["line 3", "disk vda", "magic"]),
])
def test_xml_that_is_no_domain_is_refused_with_line_and_element(root, xml, words):
    refused(root, xml, *words)


def test_xml_that_includes_another_file_takes_nothing_of_it(root, image, folder):
    path, included = image(), folder / "included.xml"
    included.write_text(disk("/etc/shadow"))
    xml = domain(disk(path)).replace(
        "<devices>", f"<devices xmlns:xi='http://www.w3.org/2001/XInclude'><xi:include href='{included}'/>")
    assert modes(root.acquire_domain(xml)) == {str(path): "exclusive"}


@pytest.mark.parametrize("depth", [100, 100000])
def test_xml_that_is_too_deep_is_refused(root, depth):
    refused(root, "<domain type='kvm'>" + "<a>" * depth + "</a>" * depth + "</domain>", "line 1", "domain XML")


def test_xml_that_is_too_large_is_refused(root):
    refused(root, domain("<!--" + "x" * (4 << 20) + "-->"), "line 1", "domain XML", "4194304")


def test_a_chain_in_the_xml_that_is_too_deep_is_refused(root, folder):
    inside = ""
    for number in range(100):
        inside = backing(folder / f"{number}.qcow2", "qcow2", inside=inside)
    refused(root, domain(disk(folder / "top.qcow2", form="qcow2", inside=inside)), "nested")


def test_more_disks_than_a_domain_may_have_are_refused(root, folder):
    refused(root, domain(*(disk(folder / f"{number}.img", f"vd{number}") for number in range(1025))), "1024", "disk vd1024")


def test_what_is_wrong_late_in_a_domain_takes_nothing_of_what_came_before(root, image):
    refused(root, domain(disk(image()), "<disk type='file'><source file='nowhere'/><target dev='vdb'/></disk>"), "line 7", "disk vdb")


def test_an_option_that_is_wrong_is_named_and_the_domain_not_taken(root, image):
    error = root.refused_acquire_domain(domain(disk(image())), colour="blue")
    assert error.name == "InvalidArgs" and "colour" in error.message
    assert root.held() == {}


def test_a_domain_that_waits_gets_all_its_disks_at_once(root, image):
    first, second = image("a.img"), image("b.img")
    holder = root.acquire(second)
    waiting = root.start_acquire_domain(domain(disk(first), disk(second, "vdb")), wait=60000)
    root.refused_acquire(second)
    assert root.held() == {str(second): "exclusive"}
    root.release(holder)
    assert len(waiting.result()[0]) == 2


def test_who_may_not_acquire_learns_nothing_from_a_domain(service, polkit, client, image, folder):
    alice = client(ALICE)
    answers = {(error.name, error.message) for error in (
        alice.refused_acquire_domain(domain(disk(path))) for path in (image(), folder / "missing.img", "/etc/shadow"))}
    assert len(answers) == 1
    assert answers.pop()[0] in ("NotAuthorized", "InteractiveAuthorizationRequired")


def test_polkit_is_told_of_every_path_backing_files_too(service, polkit, client, qcow2):
    base, top = qcow2("base.qcow2"), qcow2("top.qcow2", base="base.qcow2")
    polkit.allow_paths(top)
    error = client(ALICE).refused_acquire_domain(domain(disk(top, form="qcow2")))
    assert error.name == "NotAuthorized"
    polkit.allow_paths(top, base)
    assert len(client(ALICE).acquire_domain(domain(disk(top, form="qcow2")))) == 2


def test_the_leases_are_named_after_the_domain(root, service, qcow2):
    lease, = root.acquire_domain(domain(disk(qcow2("a.qcow2"), form="qcow2"), name="db01"))
    assert lease["Owner"] == "db01" and len(lease["OwnerUuid"]) == 36
