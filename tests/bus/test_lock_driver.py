"""libvirt's lock driver, called as libvirt calls it, with the sanitizers that libvirtd does not have. See also tests/libvirt."""

import os
import subprocess
import time

import pytest
from gi.repository import Gio, GLib

from conftest import ALICE
from harness import NAME, OBJECT, build_dir, wait_until
from harness.domain import UUID, domain
from harness.domain import disk as disk_element

FAILED, BUSY = 9, 87  # of libvirt's errors


def drive_on(bus, *calls, name, pid):
    """Makes calls for the domain `name`, whose QEMU is process `pid`; what each came to."""
    uuid = UUID if name == "web01" else UUID.replace("6", "7")
    done = subprocess.run([build_dir() / "tests/tools/lock-driver-caller", name, uuid, str(pid), *map(str, calls)],
                          env=bus.environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.fixture
def drive(bus, process):
    """Makes calls for web01, or another."""
    qemu = process()

    def drive(*calls, name="web01", pid=qemu.pid):
        return drive_on(bus, *calls, name=name, pid=pid)
    drive.pid = qemu.pid
    return drive


@pytest.fixture
def libvirtd(bus):
    """As drive(), with the test's own process for web01's QEMU, in one process that stays, and its threads."""
    child = subprocess.Popen([build_dir() / "tests/tools/lock-driver-caller", "web01", UUID, str(os.getpid())], env=bus.environment(),
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def drive(call):
        print(call, file=child.stdin, flush=True)
        return child.stdout.readline().strip()
    with child:
        yield drive
        child.kill()


def states(root):
    return sorted(lease["State"] for lease in root.list().values())


def test_a_domain_has_its_disks_in_their_modes(root, drive, image):
    first, second, third = (image(f"{number}.img") for number in range(3))
    assert drive(f"acquire:0={first},1={second},2={third},L=key") == ["done"]
    assert root.held() == {str(first): "exclusive", str(second): "read-only", str(third): "shared", "lease:///space/key": "exclusive"}
    assert {lease["Pid"] for lease in root.list().values()} == {drive.pid}
    assert {lease["OnBreak"] for lease in root.list().values()} == {"pause"}


def test_the_same_call_twice_changes_nothing(root, drive, disk):
    assert drive(*2 * [f"acquire:0={disk}"], *2 * ["suspend"], *2 * [f"resume:0={disk}"], *2 * [f"release:0={disk}"]) == 8 * ["done"]
    assert root.list() == {}


def test_who_is_refused_gets_nothing_and_reads_why(root, drive, image, process):
    first, second = image("1.img"), image("2.img")
    drive(f"acquire:0={second}")
    [said] = drive(f"acquire:0={first},0={second}", name="web02", pid=process().pid)
    assert said.startswith(f"failed {BUSY}: disklockd: {second} is held exclusively by web01")
    assert root.held() == {str(second): "exclusive"}


def test_what_was_taken_before_the_process_is_its_own_from_the_beginning(root, drive, image, client):
    first, base = image("1.img"), image("base.img")
    hook = client(0)
    hook.acquire_set([(first, "exclusive"), (base, "read-only")], owner="web01", owner_uuid=UUID)
    hook.close()
    assert drive(f"begin:0={first}") == ["done"]
    # It was begun for the caller itself, which has ended.
    wait_until(lambda: root.list() == {}, "the leases to end")


def test_a_begin_passes_over_what_another_host_has(root, drive, disk, locked_elsewhere):
    locked_elsewhere(disk)
    [begun, acquired] = drive(f"begin:0={disk}", f"acquire:0={disk}")
    assert begun == "done" and acquired.startswith(f"failed {BUSY}: disklockd: {disk} is locked")


def test_a_begin_is_refused_what_another_domain_has(drive, root, disk, process):
    drive(f"acquire:0={disk}")
    [said] = drive(f"begin:0={disk}", name="web02", pid=process().pid)
    assert said.startswith(f"failed {BUSY}: disklockd: {disk} is held exclusively by web01")


def test_a_begin_does_not_take_another_hosts_record_for_its_own_lease(hosts, process):
    alpha, beta = hosts
    alpha.root.acquire("rbd://mon/pool/disk", "shared", owner="web02")
    beta.root.acquire("rbd://mon/pool/disk", "shared", owner="web01")
    [said] = drive_on(alpha.bus, "begin:0=rbd://mon/pool/disk", name="web01", pid=process().pid)
    assert said.startswith(f"failed {BUSY}") and "web02" in said


def test_a_stranger_who_calls_himself_as_the_domain_is_not_taken_for_it(root, drive, image, client, polkit):
    polkit.allow(ALICE)
    disk, bait = image("1.img"), image("bait.img")
    lease = client(ALICE).acquire(bait, owner="web01", owner_uuid=UUID)
    assert drive(f"acquire:0={disk}", "suspend", f"resume:0={disk}") == 3 * ["done"]
    assert lease["Uid"] == ALICE and lease["State"] == "active"
    assert root.held() == {str(disk): "exclusive", str(bait): "exclusive"}


@pytest.fixture
def linked(remote, folder):
    """Disks that the kernel cannot look up without asking their storage, by names that are not the kernel's."""
    links = [folder / f"link{number}.img" for number in range(3)]
    for link, disk in zip(links, remote.disks):
        link.symlink_to(disk)
    return list(map(str, links))


def test_a_disk_that_the_kernel_cannot_look_up_goes_when_it_is_closed(root, drive, linked):
    drive(f"acquire:0={linked[0]}")
    time.sleep(1.5)  # libfuse lets a name be trusted for a second
    assert drive(f"release:0={linked[0]}") == ["done"]
    assert root.held() == {}


def test_a_disk_that_the_kernel_cannot_look_up_is_open_by_whatever_name(root, drive, linked):
    read, written, other = linked
    drive(f"acquire:0={read},0={written},0={other}", pid=os.getpid())
    with open(read, "rb"), open(written, "r+b"):
        time.sleep(1.5)  # as above
        assert drive(f"release:0={read},0={written},0={other}", pid=os.getpid()) == ["done"]
        assert root.held() == {read: "read-only", written: "exclusive"}


def test_a_data_file_whose_name_leads_elsewhere_by_now_stays_while_it_is_open(root, drive, qcow2, image, folder):
    data, other, link = image("data.img"), image("other.img"), folder / "link.img"
    link.symlink_to(data)
    top = qcow2("top.qcow2", data=link)
    with open(data, "r+b"):
        root.acquire_domain(domain(disk_element(top, form="qcow2")), adopt=True, lifetime="process", pid=os.getpid())
        link.unlink()
        link.symlink_to(image("elsewhere.img"))
        assert drive(f"acquire:0={other}", f"release:0={other}", pid=os.getpid()) == ["done"] * 2
        assert root.held() == {str(top): "exclusive", str(link): "exclusive"}


@pytest.fixture
def locked_elsewhere():
    """Locks a file with a process that has no lease."""
    holders = []

    def lock(path):
        holders.append(subprocess.Popen(
            ["/usr/bin/python3", "-c", "import fcntl, struct, sys, time\nfile = open(sys.argv[1], 'r+b')\n"
             "fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 1, 0))\nprint(flush=True)\ntime.sleep(1000)",
             path], stdout=subprocess.PIPE))
        holders[-1].stdout.read(1)
        return holders[-1]
    yield lock
    for holder in holders:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def test_a_resume_that_is_refused_suspends_again_what_it_had_resumed(root, drive, image, locked_elsewhere):
    first, second = image("1.img"), image("2.img")
    drive(f"acquire:0={first},0={second}", "suspend")
    locked_elsewhere(second)
    [said] = drive(f"resume:0={first},0={second}")
    assert said.startswith(f"failed {BUSY}") and str(second) in said
    assert states(root) == ["suspended", "suspended"]


def test_a_disk_that_is_plugged_while_paused_leaves_the_others_suspended(root, drive, image):
    first, second = image("1.img"), image("2.img")
    assert drive(f"acquire:0={first}", "suspend", f"acquire:0={second}") == 3 * ["done"]
    assert states(root) == ["active", "suspended"]
    assert drive(f"resume:0={first},0={second}") == ["done"]
    assert states(root) == ["active", "active"]


@pytest.mark.parametrize("verb", ["resume", "acquire"])
def test_what_libvirt_does_not_speak_of_is_resumed_too(root, drive, image, verb):
    """After a restart libvirtd does not say that it resumes."""
    first, base = image("1.img"), image("base.img")
    assert drive(f"acquire:0={first},1={base}", "suspend", f"{verb}:0={first}") == 3 * ["done"]
    assert states(root) == ["active", "active"]


def test_a_lease_that_went_meanwhile_is_taken_anew_by_a_resume(root, drive, image):
    first, base = image("1.img"), image("base.img")
    drive(f"acquire:0={first},1={base}", "suspend")
    root.release(next(iter(root.list(path=str(first)))))
    assert drive(f"resume:0={first}") == ["done"]
    assert states(root) == ["active", "active"]


def test_a_job_in_a_paused_domain_resumes_what_it_writes_to_alone(root, drive, image):
    first, base = image("1.img"), image("base.img")
    assert drive(f"acquire:0={first},1={base}", "suspend", f"acquire:0={base}") == 3 * ["done"]
    assert {lease["Path"]: (lease["State"], lease["Mode"]) for lease in root.list().values()} == {
        str(first): ("suspended", "exclusive"), str(base): ("active", "exclusive")}


def test_a_disk_that_is_wanted_in_another_mode_is_converted(root, drive, disk):
    assert drive(f"acquire:0={disk}", f"acquire:1={disk}") == ["done", "done"]
    assert root.held() == {str(disk): "read-only"}
    assert drive(f"acquire:0={disk}") == ["done"]
    assert root.held() == {str(disk): "exclusive"}


def test_a_conversion_is_undone_where_the_rest_is_refused(root, drive, image, client):
    first, second = image("1.img"), image("2.img")
    drive(f"acquire:1={first}")
    client().acquire(second, owner="db01")
    [said] = drive(f"acquire:0={first},0={second}")
    assert "db01" in said
    assert root.list(owner="web01").popitem()[1]["Mode"] == "read-only"


def test_another_name_of_a_disk_releases_it(root, drive, disk, folder):
    link = folder / "link.img"
    link.symlink_to(disk)
    assert drive(f"acquire:0={disk}", f"release:0={link}") == ["done", "done"]
    assert root.list() == {}


def test_what_the_process_still_reads_becomes_read_only_and_what_it_writes_stays(root, drive, image):
    read, written, closed = (image(f"{name}.img") for name in ("read", "written", "closed"))
    with open(read, "rb"), open(written, "r+b"):
        drive(f"acquire:0={read},0={written},0={closed}", pid=os.getpid())
        assert drive(f"release:0={read},0={written},0={closed}", pid=os.getpid()) == ["done"]
        assert root.held() == {str(read): "read-only", str(written): "exclusive"}


def test_backing_files_that_the_process_has_closed_go_with_the_next_release(root, drive, image):
    top, base, other = (image(f"{name}.img") for name in ("top", "base", "other"))
    drive(f"acquire:0={top},1={base},0={other}", f"release:0={top}")
    assert root.held() == {str(other): "exclusive"}


def test_an_image_is_taken_with_its_backing_chain_and_given_back_with_it(root, drive, qcow2):
    lower = qcow2("lower.qcow2")
    middle = qcow2("middle.qcow2", lower)
    top = qcow2("top.qcow2", middle)
    assert drive(f"acquire:0={top}") == ["done"]
    assert root.held() == {str(top): "exclusive", str(middle): "read-only", str(lower): "read-only"}
    assert drive(f"release:0={top}") == ["done"]
    assert root.held() == {}


def test_an_image_is_taken_with_its_data_file_and_given_back_with_it(root, drive, qcow2, image, folder):
    data, state = folder / "chain/top.data", image("tpm.state")
    top = qcow2("top.qcow2", data=data)
    # Closed too, but no part of the image.
    assert drive(f"acquire:0={state}", f"acquire:0={top}") == ["done"] * 2
    assert root.held() == {str(top): "exclusive", str(data): "read-only", str(state): "exclusive"}
    assert drive(f"release:0={top}") == ["done"]
    assert root.held() == {str(state): "exclusive"}


def test_a_data_file_that_the_process_has_open_stays(root, drive, qcow2, folder):
    data = folder / "chain/top.data"
    top = qcow2("top.qcow2", data=data)
    with open(data, "r+b"):
        assert drive(f"acquire:0={top}", f"release:0={top}", pid=os.getpid()) == ["done"] * 2
        assert root.held() == {str(data): "exclusive"}


def test_a_data_file_that_the_process_has_begun_to_write_to_becomes_exclusive(root, drive, qcow2, image, folder):
    data, over = folder / "chain/lower.data", image("over.img")
    top = qcow2("top.qcow2", qcow2("lower.qcow2", data=data))
    with open(data, "r+b"), open(folder / "chain/lower.qcow2", "rb"):
        assert drive(f"acquire:0={over},0={top}", pid=os.getpid()) == ["done"]
        assert root.held()[str(data)] == "read-only"
        assert drive(f"release:0={over}", pid=os.getpid()) == ["done"]
        assert root.held()[str(data)] == "exclusive" and root.held()[str(folder / "chain/lower.qcow2")] == "read-only"


def test_what_the_header_names_by_now_is_not_taken_when_the_image_is_given_back(root, drive, qcow2, image, signals):
    top, state = qcow2("top.qcow2"), image("tpm.state")
    assert drive(f"acquire:0={state}", f"acquire:0={top}") == ["done"] * 2
    qcow2("top.qcow2", qcow2("lower.qcow2"))
    assert drive(f"release:0={top}") == ["done"]
    assert root.held() == {str(state): "exclusive"}
    last = root.acquire(image("other.img")).path
    signals.wait_for("LeasesChanged", lambda acquired, _: last in acquired)
    assert sum(len(acquired) for acquired, _ in signals.named("LeasesChanged")) == 3


def test_what_the_header_calls_its_data_file_by_now_is_not_given_back_with_the_image(root, drive, qcow2, image, folder):
    """A guest writes its disk, and may name its TPM's state there, which swtpm has open and QEMU has not."""
    top, state = qcow2("top.qcow2"), folder / "chain/tpm.state"
    state.write_bytes(bytes(1 << 20))
    assert drive(f"acquire:0={state}", f"acquire:0={top}") == ["done"] * 2
    qcow2("top.qcow2", data=state)
    assert drive(f"release:0={top}") == ["done"]
    assert root.held() == {str(state): "exclusive"}


def test_the_data_file_of_a_disk_that_the_domain_was_started_with_is_given_back_with_it(root, drive, qcow2, image, folder):
    data, state = folder / "chain/top.data", image("tpm.state")
    top = qcow2("top.qcow2", data=data)
    root.acquire_domain(domain(disk_element(top, form="qcow2")), adopt=True, lifetime="process", pid=drive.pid)
    assert drive(f"acquire:0={state},0={top}") == ["done"]
    assert root.held() == {str(top): "exclusive", str(data): "exclusive", str(state): "exclusive"}
    assert drive(f"release:0={top}") == ["done"]
    assert root.held() == {str(state): "exclusive"}


def test_a_header_that_leads_nowhere_is_no_reason_to_refuse_the_image(root, drive, qcow2):
    top = qcow2("top.qcow2", "/nowhere/base.qcow2")
    assert drive(f"acquire:0={top}") == ["done"]
    assert root.held() == {str(top): "exclusive"}


def test_a_header_that_leads_nowhere_hides_no_other_images_base(root, drive, qcow2):
    broken, lower = qcow2("broken.qcow2", "/nowhere/base.qcow2"), qcow2("lower.qcow2")
    top = qcow2("top.qcow2", lower)
    assert drive(f"acquire:0={broken},0={top}") == ["done"]
    assert root.held() == {str(broken): "exclusive", str(top): "exclusive", str(lower): "read-only"}


def test_who_is_refused_a_base_beside_a_header_that_leads_nowhere_gets_nothing(root, drive, qcow2, process):
    broken, lower = qcow2("broken.qcow2", "/nowhere/base.qcow2"), qcow2("lower.qcow2")
    top = qcow2("top.qcow2", lower)
    drive(f"acquire:0={lower}", name="web02", pid=process().pid)
    [said] = drive(f"acquire:0={broken},0={top}")
    assert said.startswith(f"failed {BUSY}") and f"{lower} is held exclusively by web02" in said
    assert root.held() == {str(lower): "exclusive"}


def test_a_data_file_is_exclusive_beside_a_disk_that_is_shared(root, libvirtd, qcow2, image, folder):
    data, shared = folder / "chain/top.data", image("shared.img")
    top = qcow2("top.qcow2", data=data)
    with open(data, "r+b"), open(top, "r+b"), open(shared, "r+b"):
        assert libvirtd(f"acquire:2={shared},0={top}") == "done"
        wait_until(lambda: root.held()[str(data)] != "read-only", "the data file's lease to be converted")
        assert root.held() == {str(data): "exclusive", str(top): "exclusive", str(shared): "shared"}


def test_what_a_header_names_is_given_back_beside_an_image_that_is_only_read(root, libvirtd, qcow2, image):
    top, medium = qcow2("top.qcow2", qcow2("lower.qcow2")), image("medium.img")
    with open(top, "r+b"), open(medium, "rb"):
        assert libvirtd(f"acquire:0={top},1={medium}") == "done"
        assert len(root.held()) == 3
        wait_until(lambda: root.held() == {str(top): "exclusive", str(medium): "read-only"}, "the other's disk to be free, and not only with the last look",
                   patience=40)


def test_a_data_file_that_is_opened_later_than_its_image_stays(root, libvirtd, qcow2, folder):
    data, lower = folder / "chain/top.data", qcow2("lower.qcow2")
    top, other = qcow2("top.qcow2", data=data), qcow2("other.qcow2", lower)
    # What is not written to yet is not open as it is going to be.
    with open(top, "rb"), open(other, "r+b"):
        assert [libvirtd(f"acquire:0={image}") for image in (top, other)] == ["done"] * 2
        wait_until(lambda: str(lower) not in root.held(), "what another image does not need to be given back")
        assert root.held()[str(data)] == "read-only"
        with open(top, "r+b"), open(data, "r+b"):
            wait_until(lambda: root.held()[str(data)] == "exclusive", "the data file's lease to become exclusive")


@pytest.mark.parametrize("form, mode", [("its base", "read-only"), ("itself", "exclusive")])
def test_what_an_earlier_image_does_not_need_stays_for_a_later_one(root, libvirtd, qcow2, image, form, mode):
    lower, other = qcow2("lower.qcow2"), image("other.img")
    middle = qcow2("middle.qcow2", lower)
    first, second = qcow2("first.qcow2", middle), lower if form == "itself" else qcow2("second.qcow2", lower)
    with open(first, "r+b"):
        assert libvirtd(f"acquire:0={first}") == "done"
        assert libvirtd(f"acquire:0={second}") == "done"
        wait_until(lambda: str(middle) not in root.held(), "what the first does not need to be given back")
        # By the VM's turn, after whoever gives back.
        assert libvirtd(f"acquire:0={other}") == "done"
        assert root.held() == {str(first): "exclusive", str(second): "exclusive", str(lower): mode, str(other): "exclusive"}


def test_a_data_file_that_another_reads_is_told_of_and_becomes_exclusive_with_a_later_resume(root, drive, qcow2, folder):
    data = folder / "chain/top.data"
    top = qcow2("top.qcow2", data=data)
    with open(data, "r+b"):
        drive(f"acquire:0={top}", pid=os.getpid())
        reader = root.acquire(data, "read-only", owner="db01")
        [suspended, said] = drive("suspend", f"resume:0={top}", pid=os.getpid())
        assert suspended == "done" and said.startswith(f"done {BUSY}: web01 writes to {data} under a lease that is read-only") and "db01" in said
        root.release(reader)
        assert drive("suspend", f"resume:0={top}", pid=os.getpid()) == ["done"] * 2
        assert root.held() == {str(top): "exclusive", str(data): "exclusive"}


def test_a_backing_file_that_another_writes_refuses_the_image(root, drive, qcow2, process):
    lower = qcow2("lower.qcow2")
    top = qcow2("top.qcow2", lower)
    drive(f"acquire:0={lower}", name="web02", pid=process().pid)
    [said] = drive(f"acquire:0={top}")
    assert said.startswith(f"failed {BUSY}") and f"{lower} is held exclusively by web02" in said
    assert root.held() == {str(lower): "exclusive"}


def test_who_does_not_mind_a_lost_lock_is_left_alone(drive, root, disk):
    assert drive(f"ignore:0={disk}") == ["done"]
    assert [lease["OnBreak"] for lease in root.list().values()] == ["signal"]


def test_a_restart_cannot_be_had(drive, root, disk):
    [said] = drive(f"restart:0={disk}")
    assert said.startswith(f"failed {FAILED}: ") and "poweroff, pause or ignore" in said
    assert root.list() == {}


def test_a_process_that_has_ended_gets_no_lease(root, drive, disk, process):
    child = process()
    child.kill()
    child.wait()
    [said] = drive(f"acquire:0={disk}", pid=child.pid)
    assert "has ended" in said
    assert root.list() == {}


def test_without_the_service_everything_fails_and_says_what_to_do(bus, drive, disk):
    for said in drive(f"begin:0={disk}", f"acquire:0={disk}", "suspend", f"release:0={disk}"):
        assert said.startswith(f"failed {FAILED}: disklockd does not answer") and "leases that stand stay: see `systemctl status disklockd`" in said


def test_without_a_bus_everything_fails_and_says_what_to_do(bus, drive, disk):
    bus.crash()
    [said] = drive(f"acquire:0={disk}")
    assert said.startswith(f"failed {FAILED}: disklockd cannot be asked, because the system bus does not answer")


@pytest.mark.parametrize("reply", ["()", "(s)", "(a(oa{sv})u)", "(a(oa{sv}))", "(a{sv})", "(a(oa{sv})s)"])
def test_a_reply_that_makes_no_sense_is_an_error(bus, drive, disk, reply):
    """Of whoever has the service's name; the last is well formed, but its lease has none of the properties."""
    values = {"()": (), "(s)": ("x",), "(a(oa{sv})u)": ([], 1), "(a(oa{sv}))": ([],), "(a{sv})": ({},),
              "(a(oa{sv})s)": ([("/x", {"Path": GLib.Variant("s", "/x")})], "")}
    connection = bus.connect()

    def answer(_connection, message, incoming):
        if not incoming or message.get_path() != OBJECT:
            return message
        made = Gio.DBusMessage.new_method_reply(message)
        made.set_body(GLib.Variant(reply, values[reply]))
        connection.send_message(made, Gio.DBusSendMessageFlags.NONE)
        return None
    connection.add_filter(answer)
    connection.call_sync("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
                         GLib.Variant("(su)", (NAME, 4)), None, 0, -1, None)
    [said] = drive(f"acquire:0={disk}")
    assert said.startswith(f"failed {FAILED}: what disklockd answers cannot be read")
