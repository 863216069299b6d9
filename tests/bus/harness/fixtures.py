"""The fixtures that all suites have in common."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from .bus import Bus
from .client import Client
from .disklockctl import Disklockctl
from .hang_fs import HangFs
from .service import Service

# Where the tests are run in the background these are ignored, and every child would inherit that.
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def folder():
    """A folder that every uid can reach; gone after the test."""
    path = Path(tempfile.mkdtemp(prefix="disklock-test-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def bus(folder):
    bus = Bus(folder)
    yield bus
    bus.close()


@pytest.fixture
def start_service(request, bus):
    """Starts the service, with another policy or the fake backend if wanted; at the end it must have lived and must end well."""
    services = []

    def start(*arguments, **options):
        services.append(Service(bus, *arguments, **options))
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
def client(bus):
    """Makes callers: client() is root in this process, client(uid) a process of that uid."""
    clients = []

    def make(uid=None, gids=()):
        clients.append(Client(bus, uid, gids))
        return clients[-1]
    yield make
    for made in clients:
        made.close()


@pytest.fixture
def root(service, client):
    """The caller that most tests need."""
    return client()


@pytest.fixture
def qcow2(folder):
    """Makes qcow2 images with qemu-img; `base`: what their header names; `data`: their data file, which is made too."""
    place = folder / "chain"
    place.mkdir(mode=0o755)

    def make(name, base=None, base_format="qcow2", size="1M", data=None):
        path = place / name
        options = ["-b", base, "-F", base_format] if base else [size]
        if data:
            options = ["-o", f"data_file={data}", *options]
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-u", path, *map(str, options), *([size] if base else [])],
                       check=True)
        return path
    return make


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
def ctl(bus):
    """Runs disklockctl."""
    ctl = Disklockctl(bus)
    yield ctl
    ctl.close()


@pytest.fixture
def remote(folder):
    """A filesystem that hangs and errs on demand. The kernel lets no process end that waits for it: so it has to answer
    before the service is stopped."""
    remote = HangFs(folder)
    yield remote
    remote.close()
