"""The fixtures of the tests under systemd: a booted machine for all tests of a release, and a service without leases for each."""

import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "bus")]
import harness  # noqa: E402
import machine as machines  # noqa: E402
import roots  # noqa: E402
from held import Held  # noqa: E402
from harness.service import COMPLAINT  # noqa: E402
from service import Service  # noqa: E402

# Whoever ends the tests has their folders put away; the rest the kernel does.
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.default_int_handler)


def folder_for(what):
    path = Path(tempfile.mkdtemp(prefix=f"disklock-{what}-"))
    path.chmod(0o755)
    return path


@pytest.fixture(scope="session")
def installed():
    """What `meson install` brings."""
    folder = folder_for("installed")
    machines.install(folder / "root")
    yield folder / "root"
    shutil.rmtree(folder)


@pytest.fixture(scope="session", params=roots.releases(), ids=lambda release: f"debian{release}")
def machine(request, installed):
    root, lock = roots.prepare(request.param)
    folder = folder_for("machine")
    made = machines.Machine(root, installed, folder)
    yield made
    made.close()
    lock.close()
    shutil.rmtree(folder)


@pytest.fixture
def service(machine):
    """The unit, at work and without leases. At the end it must not have complained of anything."""
    service = Service(machine)
    yield service
    service.close()
    said = service.said()
    assert not COMPLAINT.search(said), said


@pytest.fixture
def client(service):
    """Makes callers: processes in the machine, root's unless another uid is said."""
    clients = []

    def make(uid=0):
        clients.append(harness.Client(service.machine, uid))
        return clients[-1]
    yield make
    for made in clients:
        made.close()


@pytest.fixture
def image(machine):
    """Makes disk images of 1 MiB, root's and nobody else's; their paths in the machine."""
    made = []

    def make(name="disk.img"):
        made.append(machine.outside(machines.IMAGES / name))
        with open(made[-1], "xb") as file:
            file.truncate(1 << 20)
        made[-1].chmod(0o600)
        return machines.IMAGES / name
    yield make
    for path in made:
        path.unlink(missing_ok=True)


@pytest.fixture
def held(machine, client, image):
    """Leases of every lifetime and mode, held by processes that live."""
    return Held(machine, client, image)


@pytest.fixture
def witness(machine):
    """Starts programs that try to lock an image all the time."""
    started = []

    def start(path):
        started.append(harness.Witness(machine.outside(path)))
        return started[-1]
    yield start
    for one in started:
        one.close()


@pytest.fixture
def replaced(machine):
    """Puts a file of the machine in another's place, as a package's installation does; at the end all is as it was."""
    before = {}

    def put(path, content, mode=0o644):
        place = machine.outside(path)
        before.setdefault(path, place.read_bytes() if place.exists() else None)
        unfinished = place.with_name(f"{place.name}.new")
        unfinished.write_bytes(content)
        unfinished.chmod(mode)
        unfinished.rename(place)
    yield put
    for path, content in before.items():
        if content is None:
            machine.outside(path).unlink()
        else:
            put(path, content, machine.outside(path).stat().st_mode & 0o777)
    machine.run("systemctl", "daemon-reload")


@pytest.fixture
def setting(machine, replaced):
    """Adds a setting to the unit's [Service], for its next start."""
    def add(line):
        folder = f"/etc/systemd/system/{machines.UNIT}.d"
        machine.outside(folder).mkdir(exist_ok=True)
        replaced(f"{folder}/test.conf", f"[Service]\n{line}\n".encode())
        machine.run("systemctl", "daemon-reload")
    return add


@pytest.fixture
def process(machine):
    """Starts programs in the machine under a uid."""
    started = []

    def start(uid, *command):
        started.append(machines.Inner(f"process{len(started)}", uid, command, machine))
        return started[-1]
    yield start
    for one in started:
        one.kill()
