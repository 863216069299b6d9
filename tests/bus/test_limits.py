"""Quotas: whoever reaches one is told so, and nobody else is hurt."""

import pytest

from conftest import ALICE, BOB
from harness import POLICY


@pytest.fixture
def limited(polkit, start_service):
    def start(limits):
        polkit.allow(ALICE, "acquire")
        polkit.allow(BOB, "acquire")
        return start_service(f"[Limits]\n{limits}\n{POLICY}")
    return start


def test_leases_of_one_uid(limited, client, image):
    limited("leases-per-uid=3")
    alice = client(ALICE)
    leases = [alice.acquire(image(f"{number}")) for number in range(3)]
    error = alice.refused_acquire(image("more"))
    assert error.name == "LimitExceeded" and "leases-per-uid" in error.message and "3" in error.message
    client(BOB).acquire(image("bobs"))
    alice.release(leases[0])
    alice.acquire(image("more"))


def test_the_quota_is_the_uids_not_the_connections(limited, client, image):
    limited("leases-per-uid=2")
    first, second = client(ALICE), client(ALICE)
    first.acquire(image("a"))
    second.acquire(image("b"))
    assert first.refused_acquire(image("c")).name == "LimitExceeded"


def test_waiters_of_one_uid(limited, client, disk):
    limited("waiters-per-uid=2")
    alice, bob, root = client(ALICE), client(BOB), client()
    holder = root.acquire(disk, "exclusive")
    waiting = [alice.start_acquire(disk, "shared", wait=60000) for _ in range(2)]
    waiting.append(bob.start_acquire(disk, "shared", wait=60000))
    error = alice.refused_acquire(disk, "shared", wait=60000)
    assert error.name == "LimitExceeded" and "waiters-per-uid" in error.message
    root.release(holder)
    assert len({call.result()[0] for call in waiting}) == 3


def test_leases_in_all(limited, client, image):
    limited("leases=3")
    root = client()
    leases = [root.acquire(image(f"{number}")) for number in range(3)]
    error = root.refused_acquire(image("more"))
    assert error.name == "LimitExceeded" and "leases" in error.message
    root.release(leases[0])
    root.acquire(image("more"))


def test_broken_leases_do_not_count(limited, client, image):
    limited("leases-per-uid=1")
    root = client()
    disk = image()
    for _ in range(5):
        root.call("Break", "(osa{sv})", root.acquire(disk).path, "again", {})
    root.acquire(disk)


def test_the_length_of_strings(limited, client, disk):
    limited("string-length=16")
    root = client()
    root.acquire(disk, owner="sixteen bytes ok").release()
    error = root.refused_acquire(disk, owner="seventeen bytes !")
    assert error.name == "InvalidArgs" and "owner" in error.message


def test_a_failed_acquire_costs_no_quota(limited, client, image, folder):
    limited("leases-per-uid=1\nwaiters-per-uid=1")
    root = client()
    held = root.acquire(image("held"))
    for _ in range(5):
        root.refused_acquire(folder / "missing")
        root.refused_acquire(held["Path"], wait=10)
    root.release(held)
    root.acquire(image("other"))


def test_a_limit_that_is_reached_refuses_no_release(limited, client, image):
    limited("leases-per-uid=1")
    root = client()
    lease = root.acquire(image("a"))
    root.refused_acquire(image("b"))
    lease.call("Convert", "(s)", "shared")
    root.release(lease)
