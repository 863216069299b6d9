"""disklockctl libvirt: a host's libvirt is set up and put back, and what is missing is said."""

import json
import os
import shutil
import subprocess

import pytest

from harness import PATIENCE, wait_until

DONE, FAILURE, USAGE, BUSY, DENIED, UNREACHABLE, MISSING = range(7)
OURS = 'lock_manager = "disklock"'
HOOK = "/usr/bin/disklock-libvirt-hook"

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


# ---- the daemons that read the configuration ----

@pytest.fixture
def daemons(folder, ctl, host):
    """Starts what passes for a daemon of libvirt; `run("enable")` runs `disklockctl libvirt` where it can be found."""
    run, programs = folder / "run", folder / "programs"
    for path in (run, programs):
        path.mkdir()
    started = {}

    def stop(name):
        if name in started:
            started[name].kill()
            started[name].wait()

    def start(name):
        stop(name)
        program = programs / name
        if not program.exists():
            shutil.copy("/usr/bin/sleep", program)
        started[name] = subprocess.Popen([program, "1000"])
        (run / f"{name}.pid").write_text(f"{started[name].pid}\n")
        return started[name].pid

    def call(verb, *arguments):
        command = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /run && exec "$@"', run, ctl.binary, "libvirt", verb,
                   f"--config-dir={host.qemu.parent}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE,
                              env=ctl.environment(LIBVIRT_LOCK_MANAGER_PLUGIN_DIR=str(host.plugin.parent)))
    start.run, start.stop, start.folder = call, stop, run
    yield start
    for name in started:
        stop(name)


def restarts(done):
    return [line for line in done.stdout.splitlines() if "must be restarted" in line]


def must_restart(name, pid):
    return f"{name} (process {pid}) must be restarted to see this; running VMs go on: systemctl restart {name}"


MODULAR = {"virtqemud": "qemu", "virtxend": "libxl"}


@pytest.mark.parametrize("verb", ["enable", "disable"])
@pytest.mark.parametrize("name", ["libvirtd", *MODULAR])
def test_who_must_be_restarted_is_the_daemon_that_runs(daemons, host, verb, name):
    host.libxl.touch()
    if verb == "disable":
        host("enable")
    pid = daemons(name)
    done = daemons.run(verb)
    assert done.returncode == DONE and set(restarts(done)) == {must_restart(name, pid)}
    assert restarts(daemons.run(verb)) == restarts(done)  # until it has been


def test_of_the_modular_daemons_each_is_named_for_its_own_driver(daemons, host):
    host.libxl.touch()
    pids = {name: daemons(name) for name in MODULAR}
    assert restarts(daemons.run("enable")) == [must_restart(name, pid) for name, pid in pids.items()]


@pytest.mark.parametrize("name", MODULAR)
def test_a_daemon_of_a_driver_that_is_not_there_needs_no_restart(daemons, host, name):
    """As virtxend's where there is no libxl.conf."""
    if MODULAR[name] == "qemu":
        host.libxl.touch()
        host.qemu.unlink()
    daemons(name)
    assert restarts(daemons.run("enable")) == []


def test_a_dry_run_speaks_of_no_restart(daemons):
    daemons("virtqemud")
    assert restarts(daemons.run("enable", "--dry-run")) == []


def test_a_daemon_that_has_ended_or_whose_pid_is_anothers_needs_no_restart(daemons):
    daemons("libvirtd")
    daemons.stop("libvirtd")
    (daemons.folder / "virtqemud.pid").write_text(f"{os.getpid()}\n")
    assert restarts(daemons.run("enable")) == []


def in_status(daemons, name):
    """What status says of the daemon."""
    done = daemons.run("status", "--json=short")
    findings = [finding for finding in json.loads(done.stdout) if finding["What"] == "Daemon"]
    return {finding["Is"]: finding["Right"] for finding in findings if finding["Is"].startswith(f"{name}, ")}


@pytest.mark.parametrize("name", ["libvirtd", *MODULAR])
def test_status_says_which_daemon_must_be_restarted_until_it_has_been(daemons, host, service, name):
    host.libxl.touch()
    pid = daemons(name)
    daemons.run("enable")
    assert in_status(daemons, name) == {f"{name}, process {pid}, began before the last change: systemctl restart {name}": False}
    assert daemons.run("status").returncode == FAILURE

    def knows():
        """Its beginning is known to a hundredth of a second."""
        pid = daemons(name)
        return in_status(daemons, name) == {f"{name}, process {pid}, knows of this": True}
    wait_until(knows, "a daemon that began after the change")
    assert daemons.run("status").returncode == DONE
    assert restarts(daemons.run("enable")) == []


def test_status_is_content_with_a_libvirt_that_does_not_run(daemons, service):
    daemons.run("enable")
    done = daemons.run("status")
    assert done.returncode == DONE and "does not run" in done.stdout
