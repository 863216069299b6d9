"""The fixtures of the bus tests; what they are made of is in harness/."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import harness  # noqa: E402
import sweep  # noqa: E402
from harness.storage import Storage  # noqa: E402

pytest_plugins = ["harness.fixtures"]

LOCKSPACE_POLICY = """
[Rule network]
match-kind=network
backend=lockspace
lockspace={lockspace}
reach=host
unreachable-after=2
check-interval=0.2
"""
# Users that every Debian has, none of them root.
ALICE, BOB = 5, 9


@pytest.fixture
def polkit(bus):
    polkit = harness.Polkit(bus, harness.policy_files())
    yield polkit
    polkit.close()


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
def signals(bus):
    return harness.Signals(bus)


@pytest.fixture
def storage(folder):
    """Makes loop devices, filesystems and mounts."""
    storage = Storage(folder)
    yield storage
    storage.close()


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


def pytest_configure(config):
    config.addinivalue_line("markers", "every_backend: is swept with every backend, and not with the first alone")


def pytest_generate_tests(metafunc):
    if "world" in metafunc.fixturenames:
        marked = harness.EVERY or metafunc.definition.get_closest_marker("every_backend")
        metafunc.parametrize("world", sweep.BACKENDS if marked else sweep.BACKENDS[:1], indirect=True)


@pytest.fixture
def world(request, start_service, client, image, folder):
    """The service with leases that nothing may happen to, whatever is swept; somebody waits for the lock of one."""
    world = sweep.World(start_service, client, image, folder, request.param)
    waiters = [sweep.Waiter(file) for file in world.locked_files(folder / "disks" / "held.img")]
    yield world
    assert len(waiters) == world.parts and not any(waiter.locked for waiter in waiters)
