"""The fixtures of the bus tests; what they are made of is in harness/."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import harness  # noqa: E402
from harness.storage import Storage  # noqa: E402

# Where the tests are run in the background these are ignored, and every child would inherit that.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)

LOCKSPACE_POLICY = """
[Rule network]
match-kind=network
backend=lockspace
lockspace={lockspace}
local-locks=accept
unreachable-after=2
check-interval=0.2
"""
# Users that every Debian has, none of them root.
ALICE, BOB = 5, 9


@pytest.fixture
def folder():
    """A folder that every uid can reach; gone after the test."""
    path = Path(tempfile.mkdtemp(prefix="disklock-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def bus(folder):
    bus = harness.Bus(folder)
    yield bus
    bus.close()


@pytest.fixture
def polkit(bus):
    polkit = harness.Polkit(bus, harness.policy_files())
    yield polkit
    polkit.close()


@pytest.fixture
def start_service(request, bus):
    """Starts the service, with another policy or the fake backend if wanted; at the end it must have lived and must end well."""
    services = []

    def start(*arguments, **options):
        services.append(harness.Service(bus, *arguments, **options))
        return services[-1]
    yield start
    for service in services:
        if service.process.is_alive() or service.process.wait() >= 0:
            service.stop()
        service.close()


@pytest.fixture
def service(start_service):
    """The service under the policy that most tests need. Without polkit, unless the test asks for it first."""
    return start_service()


@pytest.fixture
def qcow2(folder):
    """Makes qcow2 images with qemu-img; `base`: what their header names."""
    place = folder / "chain"
    place.mkdir(mode=0o755)

    def make(name, base=None, base_format="qcow2", size="1M"):
        path = place / name
        options = ["-b", base, "-F", base_format] if base else [size]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-u", path, *map(str, options), *([size] if base else [])],
                       check=True)
        return path
    return make


@pytest.fixture
def process():
    """Starts processes that do nothing; their pids."""
    started = []

    def start():
        started.append(subprocess.Popen(["sleep", "1000"]))
        return started[-1]
    yield start
    for child in started:
        child.kill()
        child.wait()


@pytest.fixture
def client(bus):
    """Makes callers: client() is root in this process, client(uid) a process of that uid."""
    clients = []

    def make(uid=None):
        clients.append(harness.Client(bus, uid))
        return clients[-1]
    yield make
    for made in clients:
        made.close()


@pytest.fixture
def root(service, client):
    """The caller that most tests need."""
    return client()


@pytest.fixture
def ctl(bus):
    """Runs disklockctl."""
    ctl = harness.Disklockctl(bus)
    yield ctl
    ctl.close()


@pytest.fixture
def signals(bus):
    return harness.Signals(bus)


@pytest.fixture
def image(folder):
    """Makes disk images: raw by default, of 1 MiB, root's and nobody else's."""
    disks = folder / "disks"
    disks.mkdir(mode=0o755)

    def make(name="disk.img", form="raw", owner=0):
        path = disks / name
        subprocess.run(["qemu-img", "create", "-q", "-f", form, path, "1M"], check=True)
        path.chmod(0o600)
        os.chown(path, owner, owner)
        return path
    return make


@pytest.fixture
def storage(folder):
    """Makes loop devices, filesystems and mounts."""
    storage = Storage(folder)
    yield storage
    storage.close()


@pytest.fixture
def remote(folder):
    """A filesystem that hangs and errs on demand. The kernel lets no process end that waits for it: so it has to answer
    before the service is stopped."""
    remote = harness.HangFs(folder)
    yield remote
    remote.close()


@pytest.fixture
def lockspace(folder):
    """A folder that hosts share."""
    path = folder / "locks"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def start_host(folder):
    """Starts a host of its own beside others: start_host("alpha", policy)."""
    started = []

    def start(name, policy, **options):
        started.append(harness.Host(folder, name, policy, **options))
        return started[-1]
    yield start
    for host in started:
        host.close()


@pytest.fixture
def hosts(start_host, lockspace):
    """Two hosts, alpha and beta, that keep their network disks apart by a lockspace."""
    return [start_host(name, LOCKSPACE_POLICY.format(lockspace=lockspace)) for name in ("alpha", "beta")]


@pytest.fixture
def disk(image):
    """One image."""
    return image()
