"""A filesystem that stops answering: its callers are told so in time, and nobody else notices."""

import pytest

from harness import LEASE, BusError, wait_until

POLICY = """
[Rule hanging]
match-filesystem=fuse*
backend=fcntl
unreachable-after=1
check-interval=0.2
risk-timeout=600

[Rule everything]
backend=fcntl
unreachable-after=5
"""


@pytest.fixture
def service(remote, start_service):
    # The kernel lets no process end that waits for an answer: so the filesystem answers before the service is stopped.
    yield start_service(POLICY)
    remote.answer()


def test_disks_there_are_disks_like_others(root, remote):
    lease = root.acquire(remote.disks[0])
    assert lease["State"] == "active"
    assert root.refused_acquire(remote.disks[0]).name == "Busy"
    root.release(lease)


@pytest.fixture
def start_all(root, client):
    """Asks for many disks at once, over several connections: the bus allows 128 calls under way on each."""
    clients = [client() for _ in range(4)]

    def start(disks, **options):
        return [clients[number % len(clients)].start_acquire(disk, **options) for number, disk in enumerate(disks)]
    return start


@pytest.mark.parametrize("member, signature, rest", [
    ("Acquire", "(ssa{sv})", ("exclusive", {})), ("Hold", "(ssa{sv})", ("shared", {})), ("Inspect", "(s)", ())])
def test_a_call_ends_with_unreachable(root, remote, member, signature, rest):
    remote.hang()
    error = root.refused(member, signature, str(remote.disks[0]), *rest)
    assert error.name == "Unreachable"
    assert str(remote.disks[0]) in error.message


def test_two_hundred_calls_end_with_unreachable(remote, start_all):
    remote.hang()
    pending = start_all(remote.disks)
    assert {call.error().name for call in pending} == {"Unreachable"}


def test_disks_elsewhere_go_on(root, remote, start_all, image):
    disks = [image(f"{number}.img") for number in range(16)]
    remote.hang()
    stuck = start_all(remote.disks)
    for _ in range(5):
        leases = [root.acquire(disk) for disk in disks]
        for lease in leases:
            root.release(lease)
    for call in stuck:
        call.error()
    for disk in disks:
        root.acquire(disk)


def test_paths_that_lead_there_by_a_link_hang_nobody_else(root, remote, start_all, image, folder):
    links = [folder / f"link{number}.img" for number in range(len(remote.disks))]
    for link, disk in zip(links, remote.disks):
        link.symlink_to(disk)
    disk = image()
    remote.hang()
    stuck = start_all(links)
    for _ in range(10):
        root.release(root.acquire(disk))
    assert {call.error().name for call in stuck} == {"Unreachable"}


def test_when_it_answers_again_everything_works_and_nothing_has_leaked(root, service, remote, start_all):
    for call in start_all(remote.disks[:20]):
        root.release(call.result()[0])
    descriptors = service.open_files()
    for _ in range(3):
        remote.hang()
        for call in start_all(remote.disks):
            assert call.error().name == "Unreachable"
        remote.answer()
        for call in start_all(remote.disks, wait=60000):
            root.release(call.result()[0])
    assert root.list() == {}
    wait_until(lambda: service.open_files() <= descriptors + 1, "the descriptors to be closed")
    # The pool keeps some threads for the next calls; what was stuck is gone.
    wait_until(lambda: service.threads() <= 24, "the stuck threads to end")


def test_a_lock_that_came_too_late_is_nobodys(root, remote):
    remote.hang()
    assert root.refused_acquire(remote.disks[0]).name == "Unreachable"
    remote.answer()
    root.acquire(remote.disks[0], wait=60000)
    assert len(root.list()) == 1


def test_held_leases_are_at_risk_and_come_back(root, remote, signals):
    leases = {root.acquire(disk).path for disk in remote.disks}
    remote.hang()
    wait_until(lambda: {lease for lease, _ in signals.named("LeaseAtRisk")} == leases, "all to be at risk")
    remote.answer()
    wait_until(lambda: {lease for lease, in signals.named("LeaseRestored")} == leases, "all to be restored")
    assert root.list(state="active").keys() == leases
    assert signals.named("LeaseBroken") == []


def test_check_says_what_it_knows(root, remote):
    lease = root.acquire(remote.disks[0])
    remote.hang()
    try:
        assert root.call("Check", path=lease.path, interface=LEASE) == ("at-risk",)
    except BusError as error:
        assert error.name == "Unreachable"
    wait_until(lambda: lease["State"] == "at-risk", "the risk to be seen")


def test_the_service_reads_properties_and_lists_while_it_hangs(root, remote):
    lease = root.acquire(remote.disks[0])
    remote.hang()
    pending = root.start_acquire(remote.disks[1])
    assert lease["Path"] == str(remote.disks[0])
    assert root.list().keys() == {lease.path}
    assert root.get("LeaseCount") == 1
    assert pending.error().name == "Unreachable"


def test_a_loop_device_on_it_holds_up_no_other_device_and_no_file(storage, root, remote, disk):
    loop, other = storage.loop(remote.disks[0]), storage.loop()
    remote.hang()
    try:
        assert root.refused("Inspect", "(s)", str(loop.node)).name == "Unreachable"
        calls = [root.start("Inspect", "(s)", str(loop.node)) for _ in range(20)]
        assert root.inspect(other.node)["state"] == "free"
        root.acquire(disk)
        assert {call.error().name for call in calls} == {"Unreachable"}
    finally:
        remote.answer()

    def is_known_again():
        try:
            return root.inspect(loop.node)["state"] == "free"
        except BusError:
            return False
    wait_until(is_known_again, "the loop device to be known again")
    loop.close()  # the filesystem does not end before its last user
