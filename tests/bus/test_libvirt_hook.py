"""What libvirt calls at a domain's start and end: it takes and gives back the domain's disks, and it ends whatever happens."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from types import SimpleNamespace

import pytest

from harness import PATIENCE, build_dir, wait_until
from harness.domain import UUID, backing, disk, domain

OTHER_UUID = "0c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a22"
DONE, FAILURE, USAGE, BUSY, DENIED, UNREACHABLE, MISSING = range(7)
HOOK = build_dir() / "client/libvirt/disklock-libvirt-hook"
PLUGINS = build_dir() / "tests/tools"


@pytest.fixture
def hook(folder, bus):
    """Runs the hook as libvirt does, with a /run that the tests may write to, and with the sanitizers where the build has them."""
    run = folder / "run"
    (run / "libvirt" / "qemu").mkdir(parents=True)

    def start(operation, xml, name="web01", program=HOOK):
        with tempfile.TemporaryFile() as given:
            given.write(xml if isinstance(xml, bytes) else xml.encode())
            given.seek(0)
            return subprocess.Popen(["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /run && exec "$@"', run, program, name, operation,
                                     "begin", "-"], stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                    env=bus.environment(LIBVIRT_LOCK_MANAGER_PLUGIN_DIR=str(PLUGINS)))

    def decoded(*arguments, patience=PATIENCE, **options):
        with start(*arguments, **options) as child:
            try:
                out, err = child.communicate(timeout=patience)
            finally:
                child.kill()
        return SimpleNamespace(returncode=child.returncode, stdout=out, stderr=err)
    decoded.start = start
    decoded.pids = run / "libvirt" / "qemu"
    decoded.incoming = run / "disklock-libvirt"
    decoded.notes = decoded.incoming / "unreleased"
    return decoded


@pytest.fixture
def web01(image, qcow2):
    """A domain with a disk on a base, and a cdrom."""
    base, cdrom = image("base.img"), image("setup.iso")
    overlay = qcow2("disk.qcow2", base, "raw")
    return SimpleNamespace(overlay=str(overlay), base=str(base), cdrom=str(cdrom), xml=domain(
        disk(overlay, form="qcow2", inside=backing(base)), disk(cdrom, "sda", device="cdrom")))


def test_prepare_takes_every_disk_of_the_domain(root, hook, web01):
    done = hook("prepare", web01.xml)
    assert (done.returncode, done.stdout, done.stderr) == (DONE, "", "")
    assert root.held() == {web01.overlay: "exclusive", web01.base: "read-only", web01.cdrom: "read-only"}
    assert {(lease["Owner"], lease["OwnerUuid"], lease["Lifetime"]) for lease in root.list().values()} == {("web01", UUID, "persistent")}


def test_prepare_fails_with_who_is_in_the_way(root, hook, web01):
    root.acquire(web01.base, owner="db01")
    done = hook("prepare", web01.xml)
    assert done.returncode == BUSY and done.stdout == ""
    assert web01.base in done.stderr and "db01" in done.stderr
    assert list(root.held()) == [web01.base]


def test_prepare_takes_on_what_the_domain_has_already(root, hook, web01):
    assert hook("prepare", web01.xml).returncode == DONE
    before = set(root.list())
    assert hook("prepare", web01.xml).returncode == DONE
    assert set(root.list()) == before


def test_release_gives_back_what_prepare_took(root, hook, web01):
    hook("prepare", web01.xml)
    done = hook("release", web01.xml)
    assert (done.returncode, done.stdout, done.stderr) == (DONE, "", "")
    assert root.held() == {}


def test_release_leaves_alone_what_others_hold_under_the_same_name(root, hook, web01, image, process):
    other, running = image("other.img"), image("running.img")
    root.acquire(other, owner="web01")
    root.acquire(running, owner="web01", owner_uuid=UUID, lifetime="process", pid=process().pid)
    hook("prepare", web01.xml)
    hook("release", web01.xml)
    assert root.held() == {str(other): "exclusive", str(running): "exclusive"}


@pytest.fixture
def unreleased(service, root, hook, web01):
    """The leases of a web01 whose start failed while the service stood still: they could not be given back."""
    hook("prepare", web01.xml)
    service.process.signal(signal.SIGSTOP)
    try:
        done = hook("release", web01.xml, patience=20)  # the usual is half a minute
    finally:
        service.process.signal(signal.SIGCONT)
    assert done.returncode == DONE and "does not answer" in done.stderr
    assert len(root.list()) == 3
    return set(root.list())


@pytest.mark.parametrize("operation", ["prepare", "release"])
def test_what_could_not_be_given_back_is_given_back_with_the_next_domain(root, hook, unreleased, image, operation):
    path = image("other.img")
    done = hook(operation, other_domain(path), name="db01")
    assert (done.returncode, done.stderr) == (DONE, "")
    assert root.held() == ({str(path): "exclusive"} if operation == "prepare" else {})


def test_a_domain_that_starts_again_keeps_what_could_not_be_given_back(root, hook, web01, unreleased, image):
    assert hook("prepare", web01.xml).returncode == DONE
    other = other_domain(image("other.img"))
    hook("prepare", other, name="db01")
    hook("release", other, name="db01")
    assert set(root.list()) == unreleased


def other_domain(path):
    return domain(disk(path), name="db01", uuid=OTHER_UUID)


def test_what_is_given_back_is_noted_no_more(root, hook, web01):
    hook("prepare", web01.xml)
    hook("release", web01.xml)
    assert os.listdir(hook.notes) == []


def test_a_hook_that_is_killed_has_noted_what_was_to_be_given_back(root, hook, web01, bus, folder):
    hook("prepare", web01.xml)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(folder / "silent"))
        silent.listen()
        answering, bus.address = bus.address, f"unix:path={folder}/silent"
        child = hook.start("release", web01.xml)
        wait_until((hook.notes / UUID).exists, "the note")
        child.kill()
        assert child.wait() == -signal.SIGKILL
        bus.address = answering
    hook("release", other_domain("/nowhere"), name="db01")
    assert root.held() == {} and os.listdir(hook.notes) == []


@pytest.mark.parametrize("operation", ["prepare", "release"])
def test_what_is_left_over_on_storage_that_hangs_hinders_no_other_domain(start_service, client, hook, web01, image, operation):
    service = start_service("[Rule all]\nbackend=fake\nunreachable-after=60\n", fake=True)
    root, path = client(), image("other.img")
    assert hook("prepare", web01.xml).returncode == DONE
    os.makedirs(hook.notes)
    (hook.notes / UUID).write_text("web01")
    service.tell_fake("release", "hang")
    try:
        done, held = hook(operation, other_domain(path), name="db01"), root.held()
    finally:
        service.tell_fake("release")
    assert (done.returncode, done.stderr) == (DONE, "")
    assert held == ({str(path): "exclusive"} if operation == "prepare" else {})
    assert os.listdir(hook.notes) == []


@pytest.fixture
def busy_note(hook):
    """That of web01, which another hook is just giving back."""
    os.makedirs(hook.notes)
    with open(hook.notes / UUID, "w", encoding="utf-8") as note:
        note.write("web01")
        note.flush()
        fcntl.flock(note, fcntl.LOCK_EX)
        yield note


def test_a_domain_does_not_start_while_another_hook_gives_back_what_it_left_over(root, hook, web01, busy_note):
    done = hook("prepare", web01.xml)
    assert done.returncode == FAILURE and "earlier start of web01" in done.stderr and "start it again" in done.stderr
    assert root.held() == {}
    busy_note.close()
    assert hook("prepare", web01.xml).returncode == DONE
    assert len(root.held()) == 3 and os.listdir(hook.notes) == []


def test_what_another_hook_gives_back_is_left_to_it(root, hook, web01, image, process):
    hook("prepare", web01.xml)
    os.makedirs(hook.notes)
    with open(hook.notes / UUID, "w", encoding="utf-8") as note:
        note.write("web01")
        note.flush()
        fcntl.flock(note, fcntl.LOCK_EX)
        done = hook("release", web01.xml)
        assert (done.returncode, done.stderr) == (DONE, "")
        assert len(root.held()) == 3 and os.listdir(hook.notes) == [UUID]


@pytest.mark.parametrize("operation", ["prepare", "release"])
def test_what_a_domain_left_over_before_it_was_renamed_is_given_back(root, hook, web01, operation):
    hook("prepare", web01.xml)
    os.makedirs(hook.notes)
    (hook.notes / UUID).write_text("web01")
    assert hook(operation, web01.xml.replace("web01", "web02"), name="web02").returncode == DONE
    assert {lease["Owner"] for lease in root.list().values()} == ({"web02"} if operation == "prepare" else set())
    assert os.listdir(hook.notes) == []


def test_a_note_by_an_old_name_is_not_taken_for_one_by_the_new(root, hook, web01, bus):
    hook("prepare", web01.xml)
    os.makedirs(hook.notes)
    (hook.notes / UUID).write_text("web01")
    bus.address = "unix:path=/nowhere"
    assert "cannot note that the disks of web02" in hook("release", web01.xml.replace("web01", "web02"), name="web02").stderr
    assert (hook.notes / UUID).read_text() == "web01"


def test_what_another_hook_gives_back_hinders_no_other_domain(root, hook, image, busy_note):
    done = hook("prepare", other_domain(image("other.img")), name="db01")
    assert (done.returncode, done.stderr) == (DONE, "")
    assert os.listdir(hook.notes) == [UUID]


def test_a_note_that_cannot_be_read_keeps_no_other_from_being_given_back(root, hook, web01):
    hook("prepare", web01.xml)
    for number in range(1, 9):  # in whatever order a folder has them
        (hook.notes / f"{number}{OTHER_UUID[1:]}").mkdir(parents=True)
    (hook.notes / UUID).write_text("web01")
    done = hook("release", domain(name="db01", uuid=OTHER_UUID), name="db01")
    assert done.returncode == DONE and done.stderr.count("Is a directory") == 8
    assert root.held() == {} and UUID not in os.listdir(hook.notes)


def test_reconnect_locks_a_domain_that_runs_already(root, hook, web01, process):
    qemu = process()
    (hook.pids / "web01.pid").write_text(f"{qemu.pid}\n")
    assert hook("reconnect", web01.xml).returncode == DONE
    assert {(lease["Lifetime"], lease["Pid"]) for lease in root.list().values()} == {("process", qemu.pid)}
    qemu.kill()
    wait_until(lambda: not root.held(), "the end of the leases with the process")


def test_reconnect_never_fails_a_domain_that_runs(root, hook, web01, process):
    root.acquire(web01.overlay, owner="db01")
    (hook.pids / "web01.pid").write_text(f"{process().pid}\n")
    done = hook("reconnect", web01.xml)
    assert done.returncode == DONE and done.stdout == "" and "db01" in done.stderr


def test_the_disks_of_a_domain_that_comes_from_another_host_wait_for_the_lock_driver(root, hook, web01):
    holder = root.acquire(web01.overlay, owner="web01 on the other host")
    assert hook("migrate", web01.xml).stdout == ""
    assert hook("prepare", web01.xml).returncode == DONE
    assert list(root.held()) == [web01.overlay]
    # Once only: the next start is one of this host's own.
    assert hook("prepare", web01.xml).returncode == BUSY
    root.release(holder)
    assert hook("prepare", web01.xml).returncode == DONE


def test_an_old_note_of_a_migration_is_not_believed(root, hook, web01):
    hook("migrate", web01.xml)
    os.utime(hook.incoming / UUID, (0, 0))
    assert hook("prepare", web01.xml).returncode == DONE
    assert web01.overlay in root.held()


def test_prepare_fails_where_the_service_does_not_run(bus, hook, web01):
    done = hook("prepare", web01.xml)
    assert done.returncode == UNREACHABLE and "disklockd" in done.stderr
    assert hook("release", web01.xml).returncode == DONE


def test_prepare_fails_where_there_is_no_bus(bus, hook, web01, root):
    hook("prepare", web01.xml)
    bus.address = "unix:path=/nowhere"
    for operation, status in (("prepare", UNREACHABLE), ("release", DONE), ("reconnect", DONE)):
        done = hook(operation, web01.xml)
        assert done.returncode == status
    assert (hook.notes / UUID).read_text() == "web01"


@pytest.mark.parametrize("xml", ["", "<domain", "<pool><name>x</name></pool>", "<domain><name>web01</name></domain>\0",
                                 "<domain/>" + " " * (4 << 20)], ids=["nothing", "a part", "a pool", "a NUL", "too much"])
def test_what_is_no_domain_fails_a_start_and_nothing_else(root, hook, xml):
    for operation in ("prepare", "migrate"):
        done = hook(operation, xml)
        assert done.returncode == USAGE and "standard input: " in done.stderr
    for operation in ("reconnect", "release"):
        assert hook(operation, xml).returncode == DONE


def test_what_disklockd_finds_wrong_in_a_domain_is_said(root, hook):
    done = hook("prepare", "<domain type='kvm'><name>web01</name><name>web02</name></domain>")
    assert done.returncode == USAGE and "<name>" in done.stderr


def test_a_domain_that_is_not_utf8_is_refused(root, hook, image):
    done = hook("prepare", domain(disk(image("a.img"))).encode().replace(b"a.img", b"\xfc.img"))
    assert done.returncode != DONE and "UTF-8" in done.stderr


def test_what_would_steer_a_terminal_is_written_out(root, hook):
    done = hook("prepare", domain(disk("/nowhere/\x1b[2J.img".replace("\x1b", "&#x9b;"))))
    assert done.returncode != DONE
    assert "\x9b" not in done.stderr and "/nowhere/" in done.stderr


@pytest.mark.parametrize("name, shown", [
    ("w\x9b2J", r"w\xc2\x9b2J"), (b"w\x9b2J", r"w\x9b2J"), ("w\x1b\x7f", r"w\x1b\x7f"), (b"w\xe0\x82\x9b2J", r"w\xe0\x82\x9b2J"),
    ("wéb€\U0001f600", None)], ids=["C1", "no UTF-8", "C0", "a long C1", "none"])
def test_of_a_name_too_nothing_steers_a_terminal(root, hook, broken, name, shown):
    done = hook("prepare", b"<domain>\xfc</domain>", name=name)
    assert f"the disks of {shown or name}: its XML" in done.stderr
    shutil.copy(PLUGINS / "disklock.so", broken.plugin)
    child = broken("prepare", name, LD_PRELOAD=str(build_dir() / "tests/tools/short-alarm.so"), ASAN_OPTIONS="verify_asan_link_order=0")
    assert child.wait(PATIENCE) == 124
    assert child.stderr.read().startswith(f"{shown or name}: the system bus")


def test_a_domain_may_be_named_like_an_option(root, hook, image):
    xml = domain(disk(image("a.img")), name="--help")
    assert hook("prepare", xml, name="--help").returncode == DONE
    assert len(root.held()) == 1


# ---- of Xen ----

@pytest.fixture
def xen(hook, folder):
    """The hook by the link that `disklockctl libvirt enable` makes for it."""
    link = folder / "hooks/libxl.d/disklock"
    link.parent.mkdir(parents=True)
    link.symlink_to(HOOK)
    return lambda operation, xml, **how: hook(operation, xml, program=link, **how)


@pytest.fixture
def guest(image, qcow2, folder):
    """A domain of Xen, as virsh prints it, with a disk for each of its back ends."""
    base = image("base.img")
    paths = {str(image("old.img")): "exclusive", str(qcow2("disk.qcow2", base, "raw")): "exclusive", str(image("setup.iso")): "read-only",
             str(base): "read-only"}
    old, disk_path, cdrom, base = paths
    xml = domain(disk(old, "xvda").replace("name='qemu' type='raw'", "name='file'"),
                 disk(disk_path, "xvdb", form="qcow2", bus="xen"), disk(cdrom, "hdc", device="cdrom", bus="ide"), kind="xen")
    return SimpleNamespace(xml=xml.replace("hvm</type>", "xenpvh</type>"), paths=paths)


def test_a_domain_of_xen_has_its_disks_from_prepare_to_release(root, xen, guest):
    done = xen("prepare", guest.xml)
    assert (done.returncode, done.stdout, done.stderr) == (DONE, "", "")
    assert root.held() == guest.paths
    for operation in ("start", "started", "stopped"):
        assert xen(operation, guest.xml).returncode == DONE
    assert root.held() == guest.paths
    assert xen("release", guest.xml).returncode == DONE
    assert root.held() == {}


def test_a_domain_of_xen_does_not_start_on_anothers_disk(root, xen, guest):
    old = next(iter(guest.paths))
    root.acquire(old, owner="db01")
    done = xen("prepare", guest.xml)
    assert done.returncode == BUSY and f"{old} is held exclusively by db01" in done.stderr and "hint: " in done.stderr
    assert root.held() == {old: "exclusive"}


def test_a_domain_of_xen_is_not_ended_when_libvirtd_comes_back(root, xen, guest):
    xen("prepare", guest.xml)
    before = root.list()
    done = xen("reconnect", guest.xml)
    assert (done.returncode, done.stderr) == (DONE, "") and set(root.list()) == set(before)


def test_the_lock_driver_takes_on_what_the_hook_took_for_a_domain_of_xen(bus, root, xen, guest):
    """It is told no process: libxl has none of its own."""
    def drive(*calls):
        done = subprocess.run([PLUGINS / "lock-driver-caller", "web01", UUID, "0", *calls], env=bus.environment(), capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()
    disks = ",".join(f"{1 if mode == 'read-only' else 0}={path}" for path, mode in guest.paths.items() if not path.endswith("base.img"))
    xen("prepare", guest.xml)
    before = set(root.list())
    assert drive(f"register:{disks}", f"acquire:{disks}") == ["done", "done"]
    assert set(root.list()) == before and root.held() == guest.paths
    # What it is told at the end, as at a pause.
    assert drive("suspend") == ["done"]
    xen("release", guest.xml)
    assert root.held() == {}


# ---- whatever happens to it ----

MAY_FAIL = {"prepare": True, "migrate": True, "release": False, "reconnect": False}


@pytest.fixture
def broken(folder):
    """Starts the hook with a folder for what it loads that is the test's, and with an input that never ends."""
    plugins = folder / "plugins"
    plugins.mkdir()
    started = []

    def start(operation, name="web01", **environment):
        child = subprocess.Popen([HOOK, name, operation, "begin", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True,
                                 env={**os.environ, "LIBVIRT_LOCK_MANAGER_PLUGIN_DIR": str(plugins), **environment})
        started.append(child)
        return child
    start.plugin = plugins / "disklock.so"
    yield start
    for child in started:
        child.kill()
        child.wait()
        for stream in (child.stdin, child.stdout, child.stderr):
            stream.close()


@pytest.mark.parametrize("operation", ["start", "started", "stopped", "restore", "attach", "something new"])
def test_for_what_is_no_concern_nothing_is_loaded(broken, operation):
    child = broken(operation)
    assert (child.wait(PATIENCE), child.stdout.read(), child.stderr.read()) == (DONE, "", "")


@pytest.mark.parametrize("operation", MAY_FAIL)
@pytest.mark.parametrize("content", [None, b"", b"no library"], ids=["not there", "empty", "something else"])
def test_where_it_cannot_be_loaded_nothing_starts_and_nobody_is_stopped(broken, operation, content):
    if content is not None:
        broken.plugin.write_bytes(content)
    child = broken(operation)
    assert child.wait(PATIENCE) == (127 if MAY_FAIL[operation] else 0)
    assert str(broken.plugin) in child.stderr.read()


def test_of_another_version_that_does_not_know_the_hook_nobody_is_stopped(broken):
    shutil.copy(build_dir() / "tests/tools/short-alarm.so", broken.plugin)
    for operation, may_fail in MAY_FAIL.items():
        child = broken(operation)
        assert child.wait(PATIENCE) == (127 if may_fail else 0)
        assert "dlk_hook_run" in child.stderr.read()


def test_an_operation_that_the_hook_alone_knows_fails():
    """Of which the other of the two is of an older version."""
    done = subprocess.run([sys.executable, "-c", "import ctypes, sys; sys.exit(ctypes.CDLL(sys.argv[1]).dlk_hook_run(b'restore', b'web01'))",
                           build_dir() / "client/libvirt/disklock.so"], input="<domain/>", capture_output=True, text=True)
    assert done.returncode == FAILURE and "does not know the operation restore" in done.stderr


@pytest.mark.parametrize("operation", MAY_FAIL)
def test_libvirtd_does_not_wait_for_ever(broken, operation):
    shutil.copy(PLUGINS / "disklock.so", broken.plugin)
    child = broken(operation, LD_PRELOAD=str(build_dir() / "tests/tools/short-alarm.so"), ASAN_OPTIONS="verify_asan_link_order=0")
    assert child.wait(PATIENCE) == (124 if MAY_FAIL[operation] else 0)
    assert "web01: the system bus or disklockd has not answered for 45 seconds: systemctl status dbus disklockd" in child.stderr.read()


@pytest.mark.parametrize("operation", MAY_FAIL)
@pytest.mark.parametrize("number", ["SEGV", "BUS", "ABRT", "TERM", "PIPE", "QUIT", "XCPU", "XFSZ", "USR1", "USR2", "STKFLT", "RTMIN", "RTMAX"])
def test_no_signal_that_can_be_caught_stops_a_domain_that_runs(broken, operation, number):
    shutil.copy(PLUGINS / "disklock.so", broken.plugin)
    child = broken(operation)
    wait_until(lambda: str(broken.plugin) in open(f"/proc/{child.pid}/maps").read(), "the hook to load")
    os.kill(child.pid, getattr(signal, f"SIG{number}"))
    if number == "PIPE":
        child.stdin.close()  # nothing is no domain
    assert child.wait(PATIENCE) == ({"PIPE": USAGE}.get(number, FAILURE) if MAY_FAIL[operation] else 0)


@pytest.mark.parametrize("operation", MAY_FAIL)
def test_a_stack_that_is_full_stops_no_domain_that_runs(broken, operation):
    shutil.copy(build_dir() / "tests/tools/deep-hook.so", broken.plugin)
    child = broken(operation)
    assert child.wait(PATIENCE) == (FAILURE if MAY_FAIL[operation] else 0)
    assert "was ended by a signal" in child.stderr.read()
