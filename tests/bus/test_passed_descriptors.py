"""Descriptors that callers pass: to close one of a filesystem that does not answer takes for ever, whoever it was refused to."""

import os

import pytest

from conftest import ALICE
from harness import options, wait_until

POLICY = """
[Rule everything]
backend=host
unreachable-after=1
"""


@pytest.fixture
def service(remote, start_service, polkit):
    yield start_service(POLICY)
    remote.answer()


@pytest.fixture
def alice(service, client):
    return client(ALICE)


@pytest.fixture
def hers(remote):
    """A descriptor of a filesystem that could be her own."""
    fd = os.open(remote.disks[0], os.O_RDWR)
    yield fd
    os.close(fd)


# What she may not do, and what nobody can: member, signature, arguments.
CALLS = {
    "a refused descriptor": ("AcquireFd", "(hsa{sv})", 0, "exclusive", {}),
    "what is no pidfd": ("Acquire", "(ssa{sv})", "/disk.img", "exclusive", options({"pidfd": 0})),
    "a method that takes none": ("CanAcquire", "(ss)", "/disk.img", "exclusive"),
    "no method": ("Nothing", "()"),
    "a method with other arguments": ("Inspect", "(u)", 1),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_service_goes_on_while_a_descriptor_cannot_be_closed(alice, root, remote, hers, disk, call):
    remote.keep_who_closes()
    alice.start(*call, fds=[hers])
    for _ in range(3):
        root.release(root.acquire(disk))
    assert alice.get("LeaseCount") == 0


def test_what_was_closed_late_has_not_leaked(service, alice, remote, hers):
    alice.get("LeaseCount")  # from here on the service holds a descriptor of her process
    descriptors = service.open_files()
    remote.keep_who_closes()
    calls = [alice.start(*call, fds=[hers, hers]) for call in CALLS.values()]
    wait_until(lambda: all(call.done for call in calls), "the answers")
    remote.answer()
    wait_until(lambda: service.open_files() <= descriptors, "the descriptors to be closed")
