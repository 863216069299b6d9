"""A LUN that two hosts lock by its reservation and by a lockspace together: the target keeps writers out, the lockspace says whose it
is and has the readers."""

import errno
from functools import cache
from pathlib import Path

from initiators import fresh_initiators, registered_keys, reservation

POLICY = """
[Rule luns]
match-kind=block
backend=scsi+lockspace
lockspace={lockspace}
reach=host
fallback=refuse
check-interval=0.3
risk-timeout=60
unreachable-after=60
"""


@cache
def lockspace(world):
    """A filesystem that both have: an overlay, as the guest's own is, numbers files and folders apart."""
    folder = Path("/srv/locks")
    folder.mkdir(parents=True)
    world.run("mount", "-t", "tmpfs", "-o", "mode=700", "tmpfs", folder)
    return folder


def two_hosts(world):
    """And a node that neither has."""
    locks = lockspace(world)  # before there are hosts, whose mounts are their own
    *hosts, stranger = fresh_initiators(world)
    for host in hosts:
        host.service.policy_file.write_text(f"[Host]\nid={host.name}\n{POLICY.format(lockspace=locks)}", encoding="utf-8")
        host.root.call("Reload")
    return *hosts, stranger


def test_an_exclusive_lease_is_both_and_the_other_host_is_told_whose_it_is(world):
    a, b, stranger = two_hosts(world)
    lease = a.acquire(owner="web01")
    assert lease["Backend"] == "scsi+lockspace" and len(registered_keys(world, stranger)) == 1
    assert b.write() == errno.EBADE and a.write() is None
    report = b.root.inspect(b.node)
    assert report["state"] == "held-elsewhere", report
    holder, = report["holders"]  # the key and the record are told as one
    assert holder["host"] == "a" and holder["owner"] == "web01" and holder["unconfirmed"] is False and "key" in holder, holder
    assert "web01 on host" in b.refused().message
    lease.release()
    assert registered_keys(world, stranger) == [] and reservation(world, stranger) is None
    b.acquire()


def test_readers_have_the_lockspace_alone_and_keep_writers_out(world):
    a, b, stranger = two_hosts(world)
    mine, theirs = a.acquire("read-only"), b.acquire("read-only")
    assert registered_keys(world, stranger) == []
    assert mine.refused("Convert", "(s)", "exclusive").name == "Busy"
    theirs.release()
    mine.call("Convert", "(s)", "exclusive")
    assert len(registered_keys(world, stranger)) == 1 and b.refused("read-only").name == "Busy" and b.write() == errno.EBADE
    mine.call("Convert", "(s)", "read-only")
    assert registered_keys(world, stranger) == []
    b.acquire("read-only")


def test_a_fenced_host_loses_both_and_its_writes_are_refused(world):
    a, b, _ = two_hosts(world)
    lease = a.acquire(owner="web01")
    assert b.root.call("Fence", "(ssa{sv})", b.node, "a", {})[0] >= 2
    b.acquire(owner="web01")
    assert a.write() == errno.EBADE and b.write() is None
    assert a.wait_for_loss(lease)
    assert a.refused().name == "Busy"


def test_a_killed_service_takes_both_up_again(world):
    a, b, stranger = two_hosts(world)
    lease = a.acquire(owner="web01")
    a.kill()
    assert b.write() == errno.EBADE
    a.start()
    assert a.check(lease) == "active" and len(registered_keys(world, stranger)) == 1
    assert b.refused().name == "Busy"
    a.release(lease)
    b.acquire()
