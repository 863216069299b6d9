"""Fencing: a host loses its registration, and nobody else his; what it still writes does not reach the disk that another has."""

import errno
from pathlib import Path

from harness import start_qemu, wait_until
from initiators import fresh_initiators, register, registered_keys, reservation
from writers import Writer, assert_handed_over, now


def test_the_vm_of_a_dead_host_cannot_write_to_a_disk_that_another_has(world):
    a, b, stranger = fresh_initiators(world)
    lease = a.acquire()
    writer_a, writer_b = Writer(world, a.node, "a"), Writer(world, b.node, "b")
    writer_a.wait_for_writes()
    writer_b.wait_for_errors()
    a.kill()
    assert b.fence("a") == 1
    assert registered_keys(world, stranger) == [] and reservation(world, stranger) is None
    b.acquire()
    moment = now()
    writer_b.wait_for_writes()
    writer_a.wait_for_errors()
    a.start()
    assert a.state(lease) == ("broken", "preempted by another host")
    assert_handed_over(writer_a, writer_b, moment)


def test_a_host_that_lives_hears_of_it_at_its_next_check(world):
    a, b, _ = fresh_initiators(world)
    lease = a.acquire()
    assert b.fence("a") == 1
    fenced = now()
    reason = a.wait_for_loss(lease)
    world.say(f"the lease of a host that was fenced was broken after {(now() - fenced) / 1e9:.2f} s, with checks every 0.3 s")
    assert reason in ("registration gone", "preempted by another host")  # the other one is registered for a moment


def test_of_two_that_share_one_is_fenced_and_the_other_goes_on(world):
    a, b, stranger = fresh_initiators(world)
    lost, kept = a.acquire("shared"), b.acquire("shared")
    writer = Writer(world, b.node, "b")
    writer.wait_for_writes()
    assert b.fence("a") == 1
    assert a.wait_for_loss(lost) == "preempted by another host" and a.write() == errno.EBADE
    writer.wait_for_writes()
    writer.stop()
    assert not writer.errors() and kept.call("Check") == ("active",)
    assert reservation(world, stranger)[0] == "Write Exclusive, all registrants"


def test_who_has_nothing_loses_nothing(world):
    a, b, stranger = fresh_initiators(world)
    lease = a.acquire()
    before = registered_keys(world, stranger), reservation(world, stranger)
    assert b.fence("c") == 0 and b.fence("b") == 0
    assert (registered_keys(world, stranger), reservation(world, stranger)) == before and lease.call("Check") == ("active",)


def test_a_strangers_registration_stays(world):
    a, b, stranger = fresh_initiators(world)
    a.acquire()
    a.kill()
    register(world, stranger, 0x1234)
    assert b.fence("a") == 1
    assert registered_keys(world, stranger) == ["0x1234"]
    a.start()


def test_a_host_removes_what_it_has_left_itself(world):
    a, _, stranger = fresh_initiators(world)
    a.acquire()
    a.reboot()
    assert len(registered_keys(world, stranger)) == 1
    assert a.fence("a") == 1
    assert registered_keys(world, stranger) == []


def test_a_host_does_not_fence_itself_from_what_it_holds(world):
    a, _, _ = fresh_initiators(world)
    lease = a.acquire()
    error = a.root.refused("Fence", "(ssa{sv})", a.node, "a", {})
    assert error.name == "Busy" and "this very host" in error.message, error
    assert lease.call("Check") == ("active",)


def test_the_other_host_sees_by_which_key_the_disk_is_held(world):
    a, b, stranger = fresh_initiators(world)
    a.acquire()
    report = b.root.inspect(b.node)
    assert report["state"] == "held-elsewhere", report
    [holder] = report["holders"]
    assert f"{holder['key']:#x}" == registered_keys(world, stranger)[0] and holder["mode"] == "exclusive" and not holder["unconfirmed"]
    said = b.root.inspect(b.node)["reservation"]
    assert (said["type"], said["holder"], said["keys"]) == ("write-exclusive-registrants-only", holder["key"], [holder["key"]])
    assert a.root.inspect(a.node)["state"] == "held" and len(a.root.inspect(a.node)["holders"]) == 1


def test_the_virtual_machine_of_a_host_that_was_fenced_is_paused(world):
    a, b, _ = fresh_initiators(world)
    machine = start_qemu(world.folder, "web01", f"file={a.node},format=raw,file.locking=off")
    lease = a.acquire(owner="web01", pid=machine.pid, on_break="pause")
    assert b.fence("a") == 1
    a.wait_for_loss(lease)
    wait_until(lambda: "State:\tT" in Path(f"/proc/{machine.pid}/status").read_text(encoding="ascii"), "the machine to be paused")
    b.acquire(owner="web01")
    machine.kill()
