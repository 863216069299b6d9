"""What systemd's watchdog hears: a real notification socket."""

import socket
import time

import pytest

from harness import wait_until

WATCHDOG_SECONDS = 2
POLICY = """
[Rule remote]
match-filesystem=fuse*
backend=fcntl
check-interval=0.2
unreachable-after=1
risk-timeout=600

[Rule everything]
backend=fake;host
check-interval=0.1
unreachable-after=1
risk-timeout=600
"""


class Notifications:
    """What the service says to its manager: sd_notify(3)."""

    def __init__(self, path):
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        self.said = []

    def count(self, line):
        """How often it has said this."""
        try:
            while True:
                self.said += self._socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            return self.said.count(line)

    def wait_for(self, line, times=1):
        """Until it has said this so many times more."""
        before = self.count(line)
        wait_until(lambda: self.count(line) >= before + times, f"{line}, {times} times")

    def close(self):
        self._socket.close()


@pytest.fixture
def notifications(folder):
    notifications = Notifications(folder / "notify")
    yield notifications
    notifications.close()


@pytest.fixture
def service(notifications, start_service):
    return start_service(POLICY, fake=True, NOTIFY_SOCKET=str(notifications.path), FDSTORE="0", WATCHDOG_USEC=str(WATCHDOG_SECONDS * 1000000))


def test_it_hears_of_a_service_that_is_at_work(service, notifications):
    notifications.wait_for("WATCHDOG=1", 5)
    assert notifications.count("READY=1") == 1


def test_it_hears_nothing_while_the_main_loop_stands(service, notifications):
    notifications.wait_for("WATCHDOG=1")
    service.tell_fake("main-loop", "hang")
    time.sleep(WATCHDOG_SECONDS)  # longer than from one to the next: now it stands
    before = notifications.count("WATCHDOG=1")
    time.sleep(WATCHDOG_SECONDS)  # systemd would have lost its patience
    assert notifications.count("WATCHDOG=1") == before
    service.tell_fake("main-loop")
    notifications.wait_for("WATCHDOG=1")


def test_a_backend_that_hangs_does_not_get_the_service_killed(root, service, notifications, signals, disk):
    root.acquire(disk)
    service.tell_fake("check", "hang")
    signals.wait_for("LeaseAtRisk")
    notifications.wait_for("WATCHDOG=1", 8)
    service.tell_fake("check")


def test_a_filesystem_that_hangs_does_not_get_the_service_killed(root, service, notifications, remote):
    leases = [root.acquire(disk) for disk in remote.disks[:20]]
    remote.hang()
    try:
        wait_until(lambda: all(lease["State"] == "at-risk" for lease in leases), "all to be at risk")
        notifications.wait_for("WATCHDOG=1", 8)
    finally:
        remote.answer()
    wait_until(lambda: all(lease["State"] == "active" for lease in leases), "all to be restored")
    assert leases[0].call("Check") == ("active",)
