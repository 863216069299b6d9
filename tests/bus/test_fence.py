"""Fence: an administrator removes what another host holds of a disk."""

import hashlib
import json

import pytest

import harness
from conftest import ALICE
from harness import wait_until
from test_journal import IDS

DISK = "rbd://mon/pool/web01"
DONE, FAILURE, USAGE = range(3)


def fence(host, whom, disk=DISK, **options):
    return host.root.call("Fence", "(ssa{sv})", disk, whom, harness.options(options))[0]


def refused(host, whom, disk=DISK, **options):
    return host.root.refused("Fence", "(ssa{sv})", disk, whom, harness.options(options))


@pytest.fixture
def beta_ctl(hosts):
    ctl = harness.Disklockctl(hosts[1].bus)
    yield ctl
    ctl.close()


def test_the_disk_of_a_fenced_host_is_free_and_its_lease_breaks_there(hosts, process):
    alpha, beta = hosts
    signals, machine = alpha.signals(), process()
    lease = alpha.root.acquire(DISK, owner="web01", pid=machine.pid, on_break="kill")
    assert beta.root.refused_acquire(DISK).name == "Busy"
    assert fence(beta, "alpha", reason="node7 is on fire") == 1
    taken = beta.root.acquire(DISK, owner="web01")
    _, reason, _ = signals.wait_for("LeaseBroken", lambda path, *_: path == str(lease))
    assert reason == "lock file deleted or replaced" and lease["State"] == "broken"
    assert wait_until(lambda: machine.poll() is not None, "the machine's end")
    assert taken.call("Check") == ("active",)
    assert alpha.root.refused_acquire(DISK).name == "Busy"


def test_what_a_dead_host_left_is_removed(hosts):
    alpha, beta = hosts
    alpha.root.acquire(DISK)
    alpha.service.crash()
    assert fence(beta, "alpha") == 1
    assert beta.root.inspect(DISK)["holders"] == []
    assert fence(beta, "alpha") == 0


def test_a_host_that_shares_the_disk_with_others_is_left_and_what_to_do_is_said(hosts):
    alpha, beta = hosts
    mine, theirs = beta.root.acquire(DISK, "shared"), alpha.root.acquire(DISK, "shared")
    error = refused(beta, "alpha")
    assert error.name == "Unsupported", error
    assert "alpha-node" in error.message and "echo expire > /proc/fs/nfsd/clients/N/ctl" in error.message, error
    assert mine.call("Check") == ("active",) and theirs.call("Check") == ("active",)


def test_the_own_host_is_not_fenced_from_what_it_holds(hosts):
    alpha, _ = hosts
    lease = alpha.root.acquire(DISK)
    assert refused(alpha, "alpha").name == "Busy"
    assert lease.call("Check") == ("active",)


@pytest.mark.parametrize("host, options, part", [
    ("", {}, "the host must have"), ("a\nb", {}, "the host must have"), ("a" * 5000, {}, "the host must have"),
    ("alpha", {"force": "yes"}, "force"), ("alpha", {"reason": ""}, "the reason must have"),
    ("alpha", {"reason": harness.options({"uid": 5})["uid"]}, "reason must be a string"),
])
def test_arguments_that_cannot_be_meant_are_refused(hosts, host, options, part):
    error = refused(hosts[0], host, **options)
    assert error.name == "InvalidArgs" and part in error.message, error


def test_polkit_is_asked_for_the_path_and_for_the_disk(service, polkit, client, folder, disk):
    alice = client(ALICE)
    assert alice.refused("Fence", "(ssa{sv})", str(disk), "alpha", {}).name in ("InteractiveAuthorizationRequired", "NotAuthorized")
    witness = folder / "witness"
    witness.touch()
    witness.chmod(0o666)
    polkit.add_rule("""polkit.addRule(function(action, subject) {
        if (action.id != "org.disklock.disklock1.fence") return;
        polkit.spawn(["sh", "-c", "echo \\"$0\\" >>%s", ["path", "host", "disk"].map(function(key) {
            return key + "=" + action.lookup(key);
        }).join(" ")]);
        return action.lookup("disk") ? polkit.Result.NO : polkit.Result.YES;
    });""" % witness)
    assert alice.refused("Fence", "(ssa{sv})", str(disk), "alpha", {}).name == "NotAuthorized"
    first, second = witness.read_text().splitlines()
    assert first == f"path={disk} host=alpha disk=undefined"
    assert second.startswith(f"path={disk} host=alpha disk=") and not second.endswith("undefined")


def test_the_journal_says_who_fenced_whom_and_why(start_service, folder, polkit, client, disk):
    journal = harness.Journal(folder)
    try:
        service = start_service("[Rule all]\nbackend=fake\n", fake=True, under=journal.inside)
        root = client()
        root.call("Fence", "(ssa{sv})", str(disk), "alpha", harness.options({"reason": "node7 is on fire"}))
        entry = journal.wait_for(f"MESSAGE_ID={IDS['FENCED']}")
        assert entry["DISKLOCK_HOST"] == "alpha" and entry["DISKLOCK_PATH"] == str(disk) and entry["DISKLOCK_REMOVED"] == "0"
        assert entry["DISKLOCK_REASON"] == "node7 is on fire" and entry["DISKLOCK_BY_UID"] == "0" and entry["PRIORITY"] == "5"
        service.tell_fake("fence", "fail", "the LUN is gone")
        root.refused("Fence", "(ssa{sv})", str(disk), "alpha", {})
        entry = journal.wait_for(f"MESSAGE_ID={IDS['NOT_FENCED']}")
        assert entry["PRIORITY"] == "4" and "the LUN is gone" in entry["DISKLOCK_REASON"]
    finally:
        journal.close()


# ---- disklockctl ----

def test_disklockctl_fences_by_id_and_by_name(hosts, beta_ctl):
    alpha, _ = hosts
    for name in ("alpha", "alpha-node"):
        alpha.root.acquire(DISK, owner="web01")
        done = beta_ctl("fence", "--yes", "--reason=node7 is on fire", DISK, name)
        assert done.returncode == DONE and done.stdout == "1 hold of host alpha removed.\n", done
        alpha.root.call("ReleaseOwner", "(s)", "web01")
    done = beta_ctl("fence", "--yes", "--json=short", DISK, "gamma")
    assert done.returncode == DONE and json.loads(done.stdout) == {"Removed": 0}


def test_a_host_that_holds_nothing_is_named_by_what_was_taken_for_its_id(hosts, beta_ctl):
    alpha, _ = hosts
    alpha.root.acquire(DISK)
    done = beta_ctl("fence", "--yes", DISK, "alpa-node")
    assert done.returncode == DONE
    assert done.stdout == "A host with the id alpa-node holds nothing of it; the ids of those who do: disklockctl inspect PATH\n"


def test_that_nothing_was_removed_is_no_success_where_the_records_cannot_be_read(start_service, ctl, disk):
    service = start_service("[Rule all]\nbackend=fake\n", fake=True)
    service.tell_fake("holders", "fail", "the lockspace is gone")
    done = ctl("fence", "--yes", disk, "node7")
    assert done.returncode == FAILURE and f"who holds {disk} cannot be told: the lockspace is gone" in done.stderr, done


@pytest.mark.parametrize("answer, code, state", [("n", FAILURE, "held-elsewhere"), ("", FAILURE, "held-elsewhere"), ("y", DONE, "free")])
def test_on_a_terminal_fence_asks_first(hosts, beta_ctl, answer, code, state):
    alpha, beta = hosts
    alpha.root.acquire(DISK, owner="web01")
    status, shown = beta_ctl.on_terminal("fence", DISK, "alpha", answer=answer)
    assert status == code and "[y/N]" in shown and "web01" in shown and "is destroyed" in shown, shown
    assert beta.root.inspect(DISK)["state"] == state


def test_where_nobody_can_be_asked_fence_wants_yes(hosts, beta_ctl):
    alpha, beta = hosts
    alpha.root.acquire(DISK)
    done = beta_ctl("fence", DISK, "alpha")
    assert done.returncode == USAGE and "--yes" in done.stderr
    assert beta.root.inspect(DISK)["state"] == "held-elsewhere"


def forge(lockspace, place, host, name):
    """A record that nobody's lock stands behind, in a place of the lock file where none is."""
    text = f"disklock-holder 1 host={host} name={name} lease={'0' * 31}1 mode=exclusive since=1766000000000000"
    record = f"{text} sum={hashlib.sha256(text.encode()).hexdigest()[:16]}\n"
    with next(lockspace.iterdir()).open("r+b") as file:
        file.seek(1024 + place * 1024)
        file.write(record.encode())


@pytest.mark.parametrize("forged", [("alpha-node", "x"), ("gamma", "alpha-node")])
def test_a_forged_record_does_not_say_whom_a_name_means(hosts, lockspace, beta_ctl, forged):
    alpha, beta = hosts
    alpha.root.acquire(DISK)
    forge(lockspace, 5, *forged)
    assert len(beta.root.inspect(DISK)["holders"]) == 2
    done = beta_ctl("fence", "--yes", DISK, "alpha-node")
    assert done.returncode == DONE and done.stdout == "1 hold of host alpha removed.\n", done
    beta.root.acquire(DISK)


def test_a_name_that_only_a_forged_record_has_is_refused(hosts, lockspace, beta_ctl):
    alpha, beta = hosts
    alpha.root.acquire(DISK)
    forge(lockspace, 5, "alpha", "node7")
    done = beta_ctl("fence", "--yes", DISK, "node7")
    assert done.returncode == USAGE and "behind which no lock stands" in done.stderr and "alpha" in done.stderr, done
    assert beta.root.inspect(DISK)["state"] == "held-elsewhere"


def test_a_name_of_two_hosts_is_no_answer(start_host, lockspace, hosts, beta_ctl):
    alpha, beta = hosts
    gamma = start_host("gamma", beta.policy, node=alpha.node)
    alpha.root.acquire(DISK, "shared")
    gamma.root.acquire(DISK, "shared")
    done = beta_ctl("fence", "--yes", DISK, "alpha-node")
    assert done.returncode == USAGE and "alpha" in done.stderr and "gamma" in done.stderr
