"""disklockctl libvirt: a host's libvirt is set up and put back, and its hook takes and gives back the disks of domains."""

import json
import os
import signal
import subprocess
from types import SimpleNamespace

import pytest

from harness import PATIENCE, SOURCE, wait_until
from harness.domain import UUID, backing, disk, domain

OTHER_UUID = "0c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a22"
DONE, FAILURE, USAGE, BUSY, DENIED, UNREACHABLE, MISSING = range(7)
OURS = 'lock_manager = "disklock"'
HOOK = "/usr/bin/disklock-libvirt-hook"
NEVER = "exec sleep infinity"


# ---- enable, disable, status ----

@pytest.fixture
def host(folder, ctl):
    """A host with libvirt, and a lock driver to load; calling it runs `disklockctl libvirt` there."""
    config, plugins = folder / "libvirt", folder / "plugins"
    for path in (config, plugins):
        path.mkdir()
    (plugins / "disklock.so").touch()

    def run(verb, *arguments):
        return ctl("libvirt", verb, f"--config-dir={config}", *arguments,
                   environment={"LIBVIRT_LOCK_MANAGER_PLUGIN_DIR": str(plugins)})
    run.qemu, run.libxl = config / "qemu.conf", config / "libxl.conf"
    run.hook, run.plugin = config / "hooks" / "qemu.d" / "disklock", plugins / "disklock.so"
    run.qemu.write_text('user = "root"\n')
    return run


@pytest.mark.parametrize("before, after", [
    ('user = "root"\n', f'user = "root"\n{OURS}\n'),
    ("", f"{OURS}\n"),
    ("no_end = 1", f"no_end = 1\n{OURS}\n"),
    ('#lock_manager = "lockd"\n', f'#lock_manager = "lockd"\n{OURS}\n'),
    ('a = 1\nlock_manager = "lockd"\nb = 2\n', f'a = 1\n{OURS}\n#disklock# lock_manager = "lockd"\nb = 2\n'),
    ("  lock_manager='sanlock' # why\n", f"{OURS}\n#disklock#   lock_manager='sanlock' # why\n"),
    ('lock_manager = "nop"\nlock_manager="lockd"\n', f'{OURS}\n#disklock# lock_manager = "nop"\n#disklock# lock_manager="lockd"\n'),
    ('lock_manager_other = "x"\n', f'lock_manager_other = "x"\n{OURS}\n'),
])
def test_enable_sets_one_key_and_disable_puts_the_file_back(host, before, after):
    host.qemu.write_text(before)
    assert host("enable").returncode == DONE
    assert host.qemu.read_text() == after
    assert host("disable").returncode == DONE
    assert host.qemu.read_text().rstrip("\n") == before.rstrip("\n")


def test_enable_shows_what_it_changes(host):
    host.qemu.write_text('lock_manager = "lockd"\n')
    assert host("enable").stdout.splitlines() == [
        str(host.hook), f"+ link to {HOOK}", str(host.qemu), '- lock_manager = "lockd"', f"+ {OURS}", '+ #disklock# lock_manager = "lockd"']


def test_a_dry_run_shows_the_same_and_changes_nothing(host):
    dry = host("enable", "--dry-run")
    assert dry.returncode == DONE and host.qemu.read_text() == 'user = "root"\n' and not host.hook.parent.exists()
    done = host("enable")
    assert dry.stdout == done.stdout + "Nothing was changed (--dry-run).\n"
    dry = host("disable", "--dry-run")
    assert OURS in host.qemu.read_text() and host.hook.is_symlink()
    assert dry.stdout == host("disable").stdout + "Nothing was changed (--dry-run).\n"


def test_the_hook_is_a_link_to_the_installed_program(host):
    host("enable")
    assert os.readlink(host.hook) == HOOK
    host("disable")
    assert not os.path.lexists(host.hook)


def test_a_hook_of_somebody_else_is_left_alone(host):
    host.hook.parent.mkdir(parents=True)
    host.hook.write_text("#!/bin/sh\n")
    done = host("enable")
    assert done.returncode == USAGE and str(host.hook) in done.stderr
    assert host.qemu.read_text() == 'user = "root"\n'
    assert host("disable").returncode == DONE and host.hook.read_text() == "#!/bin/sh\n"


def test_the_second_time_there_is_nothing_to_change(host):
    assert host("disable").stdout == "There is nothing to change.\n"
    host("enable")
    assert host("enable").stdout == "There is nothing to change.\n"


def test_the_file_keeps_its_owner_its_mode_and_its_link(host, folder):
    real = host.qemu.rename(folder / "real.conf")
    real.chmod(0o640)
    os.chown(real, 5, 9)
    host.qemu.symlink_to(real)
    host("enable")
    status = real.stat()
    assert host.qemu.is_symlink() and OURS in real.read_text()
    assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o640, 5, 9)


def test_xen_is_set_up_beside_qemu(host):
    host.libxl.touch()
    host("enable")
    assert OURS in host.libxl.read_text() and OURS in host.qemu.read_text()
    assert os.readlink(host.hook.parent.parent / "libxl.d" / "disklock") == HOOK


def test_without_the_lock_driver_nothing_is_enabled(host):
    host.plugin.unlink()
    done = host("enable")
    assert done.returncode == USAGE and str(host.plugin) in done.stderr
    assert host.qemu.read_text() == 'user = "root"\n' and not host.hook.parent.exists()


def test_without_libvirt_there_is_nothing_to_set_up(host):
    host.qemu.unlink()
    for verb in ("enable", "disable", "status"):
        done = host(verb)
        assert done.returncode == MISSING and "libvirt is not installed" in done.stderr


def test_status_is_content_when_all_is_in_place(host, service):
    assert host("status").returncode == FAILURE
    host("enable")
    done = host("status", "--json=short")
    assert done.returncode == DONE, done.stdout
    assert all(finding["Right"] for finding in json.loads(done.stdout))
    assert f"Lock manager: disklock ({host.qemu})" in host("status").stdout


@pytest.mark.parametrize("spoil, words", [
    (lambda host: host.plugin.unlink(), "disklock.so is not there"),
    (lambda host: host.hook.unlink(), "is not there"),
    (lambda host: host.qemu.write_text(OURS + '\nlock_manager = "lockd"\n'), "lockd"),
])
def test_status_says_what_is_missing(host, service, spoil, words):
    host("enable")
    spoil(host)
    done = host("status")
    assert done.returncode == FAILURE and words in done.stdout


def test_status_says_that_the_service_does_not_answer(host, bus):
    host("enable")
    wrong = [finding for finding in json.loads(host("status", "--json=short").stdout) if not finding["Right"]]
    assert [finding["What"] for finding in wrong] == ["Service"]


# ---- the hook ----

@pytest.fixture
def hook(folder, ctl):
    """Runs the hook as libvirt does, with a /run that the tests may write to."""
    run = folder / "run"
    (run / "libvirt" / "qemu").mkdir(parents=True)

    def call(operation, xml, name="web01", patience=PATIENCE):
        program = [ctl.binary, "libvirt", "hook", "--", name, operation, "begin", "-"]
        return subprocess.run(["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /run && exec "$@"', run, *program], input=xml,
                              env=ctl.environment(), text=True, capture_output=True, timeout=patience)
    call.pids = run / "libvirt" / "qemu"
    call.incoming = run / "disklock-libvirt"
    return call


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
    done = hook(operation, domain(disk(path), name="db01", uuid=OTHER_UUID), name="db01")
    assert (done.returncode, done.stderr) == (DONE, "")
    assert root.held() == ({str(path): "exclusive"} if operation == "prepare" else {})


def test_a_domain_that_starts_again_keeps_what_could_not_be_given_back(root, hook, web01, unreleased, image):
    assert hook("prepare", web01.xml).returncode == DONE
    other = domain(disk(image("other.img")), name="db01", uuid=OTHER_UUID)
    hook("prepare", other, name="db01")
    hook("release", other, name="db01")
    assert set(root.list()) == unreleased


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


@pytest.mark.parametrize("operation", ["start", "started", "stopped", "attach", "restore", "something new"])
def test_what_else_libvirt_tells_is_no_concern(root, hook, web01, operation):
    done = hook(operation, web01.xml)
    assert (done.returncode, done.stdout, done.stderr) == (DONE, "", "")
    assert root.held() == {}


def test_prepare_fails_where_the_service_does_not_run(bus, hook, web01):
    done = hook("prepare", web01.xml)
    assert done.returncode == UNREACHABLE and "disklockd" in done.stderr
    assert hook("release", web01.xml).returncode == DONE


@pytest.mark.parametrize("xml", ["", "<domain", "<pool><name>x</name></pool>"])
def test_what_is_no_domain_fails_a_start_and_nothing_else(root, hook, xml):
    assert hook("prepare", xml).returncode == USAGE
    assert hook("reconnect", xml).returncode == DONE


def test_a_domain_may_be_named_like_an_option(root, hook, image):
    xml = domain(disk(image("a.img")), name="--help")
    assert hook("prepare", xml, name="--help").returncode == DONE
    assert len(root.held()) == 1


# ---- the hook as it is installed ----

@pytest.fixture
def installed_hook(folder):
    """Runs the script that is installed, as libvirt does, with a disklockctl that is the shell script given, or none. Where
    that never ends the patience is a second."""
    programs = folder / "programs"
    programs.mkdir()

    def write(name, text):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    def call(operation, disklockctl=None):
        write("hook", (SOURCE / "data/disklock-libvirt-hook.in").read_text().replace("@bindir@", str(programs)))
        if disklockctl == NEVER:
            write("timeout", '#!/bin/sh\nshift\nexec /usr/bin/timeout 1 "$@"\n')
        if disklockctl:
            write("disklockctl", f"#!/bin/sh\n{disklockctl}\n")
        return subprocess.run([programs / "hook", "web01", operation, "begin", "-"], input="<domain/>", text=True, capture_output=True,
                              env={"PATH": f"{programs}:/usr/bin:/bin"}, timeout=PATIENCE)
    return call


def test_the_installed_hook_passes_on_all_that_libvirt_tells(installed_hook):
    done = installed_hook("prepare", 'echo "$@"; cat')
    assert (done.returncode, done.stdout) == (0, "libvirt hook -- web01 prepare begin -\n<domain/>")


@pytest.mark.parametrize("operation, status", [("prepare", BUSY), ("migrate", BUSY), ("release", 0), ("reconnect", 0)])
def test_only_a_start_and_a_migration_fail_with_disklockctl(installed_hook, operation, status):
    done = installed_hook(operation, f"echo db01 has it >&2; exit {BUSY}")
    assert (done.returncode, done.stderr) == (status, "db01 has it\n")


@pytest.mark.parametrize("operation", ["start", "started", "stopped", "restore", "attach", "something new"])
def test_for_what_is_no_concern_nothing_is_run(installed_hook, operation):
    done = installed_hook(operation, "echo here; exit 1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("operation, status", [("prepare", 127), ("reconnect", 0)])
def test_where_disklockctl_is_not_there_nothing_starts_and_nobody_is_stopped(installed_hook, operation, status):
    done = installed_hook(operation)
    assert done.returncode == status and "/disklockctl" in done.stderr


@pytest.mark.parametrize("operation, status", [("prepare", 124), ("reconnect", 0)])
def test_libvirtd_does_not_wait_for_ever_for_a_disklockctl_that_never_ends(installed_hook, operation, status):
    done = installed_hook(operation, NEVER)
    assert done.returncode == status
    assert "web01: the system bus or disklockd has not answered for 45 seconds: systemctl status dbus disklockd" in done.stderr
