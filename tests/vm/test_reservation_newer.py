"""A kernel that tells what a target refuses by EINVAL, as Linux does since 6.6: a refusal all the same, and no lack of reservations."""

from initiators import registered_keys
from iscsi import two_hosts

KERNEL = "newer"


def test_a_target_that_cannot_keep_registrations_is_registered_with_all_the_same(world):
    _, a, b = two_hosts(world)
    lease = a.acquire(owner="web01")
    assert len(registered_keys(world, b.node)) == 1
    assert b.refused().name == "Busy"
    a.release(lease)
    assert registered_keys(world, b.node) == []
