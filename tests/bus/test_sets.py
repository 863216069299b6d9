"""AcquireSet: several disks in one step, all of them or none."""

import pytest

from conftest import ALICE
from harness import BusError, wait_until

ROUNDS = 40
MANY = 64
LARGEST = 1024


@pytest.fixture
def disks(folder):
    """Makes empty image files, fast."""
    place = folder / "set"
    place.mkdir(mode=0o755)

    def make(count):
        paths = [place / f"{number:04}.img" for number in range(count)]
        for path in paths:
            path.touch(mode=0o600)
        return paths
    return make


def exclusively(paths):
    return [(path, "exclusive") for path in paths]


def release_all(caller, leases):
    """Releases what a set was granted, (lease, token) pairs, with all calls under way at once."""
    calls = [caller.start("Release", "(o)", lease) for lease, _ in leases]
    for call in calls:
        call.result()


def test_a_set_has_a_lease_for_each_disk_in_the_order_of_the_call(root, disks):
    first, second, third = disks(3)
    leases = root.acquire_set([(third, "exclusive"), (first, "read-only"), (second, "shared")], owner="web01")
    assert [(lease["Path"], lease["Mode"]) for lease in leases] == [
        (str(third), "exclusive"), (str(first), "read-only"), (str(second), "shared")]
    assert {lease["Owner"] for lease in leases} == {"web01"}


def test_the_tokens_of_a_set_grow(root, disks):
    tokens = [lease.token for lease in root.acquire_set(exclusively(disks(8)))]
    assert tokens == sorted(set(tokens))


def test_one_disk_that_is_held_refuses_the_set_and_says_which(root, disks):
    paths = disks(5)
    root.acquire(paths[3], owner="db01")
    error = root.refused_acquire_set(exclusively(paths), owner="web01")
    assert error.name == "Busy"
    assert str(paths[3]) in error.message and "db01" in error.message
    assert root.held() == {str(paths[3]): "exclusive"}


def test_one_disk_that_is_missing_refuses_the_set(root, disks, folder):
    paths = disks(4)
    error = root.refused_acquire_set(exclusively([*paths, folder / "missing.img"]))
    assert error.name == "NotADisk" and str(folder / "missing.img") in error.message
    assert root.held() == {}


def test_a_lock_that_fails_gives_back_those_that_did_not(start_service, client, disks):
    service = start_service("[Rule everything]\nbackend=fake\n", fake=True)
    root = client()
    paths = disks(6)
    service.tell_fake("acquire", "fail")
    root.refused_acquire_set(exclusively(paths))
    assert root.held() == {}
    service.tell_fake("acquire")
    assert len(root.acquire_set(exclusively(paths))) == 6


def test_a_refused_set_leaves_every_disk_free_for_others(root, disks):
    paths = disks(4)
    holder = root.acquire(paths[2])
    root.refused_acquire_set(exclusively(paths))
    for path in paths[:2] + paths[3:]:
        root.acquire(path)
    root.release(holder)
    root.acquire(paths[2])


def test_the_leases_of_a_set_end_one_by_one(root, disks):
    paths = disks(3)
    leases = root.acquire_set(exclusively(paths))
    root.release(leases[1])
    assert root.held() == {str(paths[0]): "exclusive", str(paths[2]): "exclusive"}
    root.acquire(paths[1])


def test_a_set_that_waits_takes_nothing_meanwhile_and_all_at_once_then(root, disks):
    first, second = disks(2)
    holders = [root.acquire(first), root.acquire(second)]
    waiting = root.start_acquire_set(exclusively([first, second]), wait=60000)
    root.refused_acquire(first)
    root.release(holders[0])
    root.refused_acquire(first)  # the set came first
    assert not waiting.done
    assert root.held() == {str(second): "exclusive"}
    root.release(holders[1])
    assert len(waiting.result()[0]) == 2


def test_a_set_whose_wait_is_over_takes_nothing_and_stands_in_nobodys_way(root, disks):
    first, second = disks(2)
    root.acquire(second, owner="db01")
    error = root.refused_acquire_set(exclusively([first, second]), wait=200)
    assert error.name == "TimedOut" and str(second) in error.message and "db01" in error.message
    root.acquire(first)


def test_a_set_of_a_caller_who_vanishes_while_it_waits_is_forgotten(root, client, disks):
    first, second = disks(2)
    holder = root.acquire(second)
    vanished = client()
    vanished.start_acquire_set(exclusively([first, second]), wait=60000)
    root.refused_acquire(second)
    vanished.close()
    patient = root.start_acquire(first, wait=60000)
    patient.result()
    root.release(holder)
    root.acquire(second)


def test_overlapping_sets_in_opposite_order_never_deadlock_when_they_wait(root, client, disks):
    paths = disks(4)
    callers = [(client(), paths if number % 2 else paths[::-1]) for number in range(6)]
    rounds = [0] * len(callers)
    pending = [caller.start_acquire_set(exclusively(order), wait=60000) for caller, order in callers]
    while min(rounds) < ROUNDS:
        ready = wait_until(lambda: [i for i, call in enumerate(pending) if call.done], "one of the sets to be granted")
        assert len(ready) == 1, "two sets have the same disks"
        [index] = ready
        caller, order = callers[index]
        release_all(caller, pending[index].result()[0])
        rounds[index] += 1
        pending[index] = caller.start_acquire_set(exclusively(order), wait=60000)
    # Who comes back late, because the machine is busy, misses a turn; nobody is passed over for good.
    assert max(rounds) <= 2 * min(rounds), f"first come, first served: {rounds}"


def test_of_overlapping_sets_in_opposite_order_that_do_not_wait_one_gets_all(root, client, disks):
    paths = disks(4)
    callers = [(client(), paths if number % 2 else paths[::-1]) for number in range(6)]
    for _ in range(ROUNDS):
        pending = [caller.start_acquire_set(exclusively(order)) for caller, order in callers]
        wait_until(lambda: all(call.done for call in pending), "every answer")
        granted = []
        for call in pending:
            try:
                granted.append(call.result()[0])
            except BusError as error:
                assert error.name == "Busy", error
        assert len(granted) == 1 and len(granted[0]) == 4
        release_all(root, granted[0])


def test_sets_that_chain_in_a_ring_all_get_their_turn(root, client, disks):
    """Each wants two disks of three: whoever waited with one in hand would wait for ever."""
    paths = disks(3)
    pairs = [(paths[i], paths[(i + 1) % 3]) for i in range(3)]
    callers = [client() for _ in pairs]
    for _ in range(ROUNDS):
        holders = root.start_acquire_set(exclusively(paths)).result()[0]
        waiting = [caller.start_acquire_set(exclusively(pair), wait=60000) for caller, pair in zip(callers, pairs)]
        root.refused_acquire(paths[0])
        release_all(root, holders)
        for _ in pairs:
            index = wait_until(lambda: [i for i, call in enumerate(waiting) if call and call.done], "the next set")[0]
            release_all(callers[index], waiting[index].result()[0])
            waiting[index] = None


@pytest.mark.parametrize("alias", ["same", "link", "dots", "hard link"])
def test_a_disk_that_is_twice_in_a_set_is_refused_by_both_its_names(root, disks, folder, alias):
    [disk] = disks(1)
    other = disk
    if alias == "link":
        other = folder / "link.img"
        other.symlink_to(disk)
    if alias == "dots":
        other = f"{disk.parent}/../{disk.parent.name}/./{disk.name}"
    if alias == "hard link":
        other = folder / "hard.img"
        other.hardlink_to(disk)
    error = root.refused_acquire_set([(disk, "exclusive"), (other, "exclusive")])
    assert error.name == "InvalidArgs"
    assert str(disk) in error.message and str(other) in error.message
    assert root.held() == {}


def test_two_readers_of_one_disk_in_a_set_are_refused_too(root, disks):
    [disk] = disks(1)
    assert root.refused_acquire_set([(disk, "read-only"), (disk, "read-only")]).name == "InvalidArgs"


def test_a_path_that_polkit_does_not_allow_refuses_the_set(service, polkit, client, disks):
    allowed, denied = disks(2)
    polkit.allow_paths(allowed)
    alice = client(ALICE)
    for order in ([allowed, denied], [denied, allowed]):
        assert alice.refused_acquire_set(exclusively(order)).name == "NotAuthorized"
    assert client().held() == {}
    assert len(alice.acquire_set(exclusively([allowed]))) == 1


def test_who_may_not_ask_learns_nothing_about_a_path(service, polkit, client, disks, folder):
    allowed, present = disks(2)
    client().acquire(present)
    polkit.allow_paths(allowed)
    alice = client(ALICE)
    answers = set()
    for other in (present, folder / "missing.img", folder, "/dev/null"):
        error = alice.refused_acquire_set(exclusively([allowed, other]))
        answers.add((error.name, error.message.replace(str(other), "PATH")))
    assert len(answers) == 1 and answers.pop()[0] == "NotAuthorized"


def test_a_set_that_polkit_allows_whole_is_granted(service, polkit, client, disks):
    paths = disks(5)
    polkit.allow_paths(*paths)
    assert len(client(ALICE).acquire_set(exclusively(paths))) == 5


def test_64_disks_in_one_call(root, disks):
    paths = disks(MANY)
    leases = root.acquire_set(exclusively(paths))
    assert [lease["Path"] for lease in leases] == [str(path) for path in paths]
    assert root.get("LeaseCount") == MANY


def test_as_many_disks_as_a_set_may_have(root, disks):
    assert len(root.acquire_set(exclusively(disks(LARGEST)))) == LARGEST


@pytest.mark.parametrize("count", [0, LARGEST + 1])
def test_too_few_and_too_many_disks(root, count):
    error = root.refused_acquire_set([(f"/nowhere/{number}", "exclusive") for number in range(count)])
    assert error.name == "InvalidArgs" and str(count) in error.message and str(LARGEST) in error.message


def test_a_mode_that_is_none_is_named(root, disks):
    first, second = disks(2)
    error = root.refused_acquire_set([(first, "exclusive"), (second, "write")])
    assert error.name == "InvalidArgs" and "write" in error.message
    assert root.held() == {}


def test_a_set_has_no_lifetime_fd(root, disks):
    error = root.refused_acquire_set(exclusively(disks(2)), lifetime="fd")
    assert error.name == "InvalidArgs" and "lifetime" in error.message


def test_a_set_that_is_larger_than_the_quota_is_refused_whole(polkit, start_service, client, disks):
    start_service("[Limits]\nleases-per-uid=3\nwaiters-per-uid=3\n[Rule everything]\nbackend=fcntl\n")
    polkit.allow(ALICE, "acquire")
    alice, paths = client(ALICE), disks(4)
    error = alice.refused_acquire_set(exclusively(paths))
    assert error.name == "LimitExceeded" and "leases-per-uid" in error.message
    assert client().held() == {}
    assert len(alice.acquire_set(exclusively(paths[:3]))) == 3


def test_every_disk_of_a_waiting_set_counts_as_a_waiter(polkit, start_service, client, disks):
    start_service("[Limits]\nleases-per-uid=100\nwaiters-per-uid=3\n[Rule everything]\nbackend=fcntl\n")
    polkit.allow(ALICE, "acquire")
    paths = disks(4)
    client().acquire(paths[0])
    error = client(ALICE).refused_acquire_set(exclusively(paths), wait=60000)
    assert error.name == "LimitExceeded" and "waiters-per-uid" in error.message


def test_a_set_with_lifetime_connection_ends_with_its_caller(root, client, disks):
    paths = disks(3)
    owner = client()
    owner.acquire_set(exclusively(paths), lifetime="connection")
    owner.close()
    wait_until(lambda: not root.list(), "the set to end")
    root.acquire_set(exclusively(paths))


# ---- with backing files ----

def test_the_backing_files_of_a_set_stand_behind_its_disks(root, qcow2):
    lower = qcow2("lower.qcow2")
    middle = qcow2("middle.qcow2", lower)
    top, other = qcow2("top.qcow2", middle), qcow2("other.qcow2")
    leases = root.acquire_set([(top, "exclusive"), (other, "exclusive")], backing_files=True)
    assert [(lease["Path"], lease["Mode"]) for lease in leases] == [
        (str(top), "exclusive"), (str(other), "exclusive"), (str(middle), "read-only"), (str(lower), "read-only")]


def test_a_set_is_refused_whose_backing_file_is_held(root, qcow2):
    lower = qcow2("lower.qcow2")
    root.acquire(lower, owner="builder")
    error = root.refused_acquire_set([(qcow2("top.qcow2", lower), "exclusive")], backing_files=True)
    assert error.name == "Busy" and str(lower) in error.message and "builder" in error.message
    assert root.held() == {str(lower): "exclusive"}


def test_the_data_file_of_an_image_is_taken_read_only(root, qcow2, folder):
    """A guest may have written the header into its raw disk: it chooses nothing that others may not read."""
    lower_data, data = folder / "chain/lower.data", folder / "chain/top.data"
    lower = qcow2("lower.qcow2", data=lower_data)
    split, top = qcow2("split.qcow2", data=data), qcow2("top.qcow2", lower)
    root.acquire_set([(split, "shared"), (top, "exclusive")], backing_files=True)
    assert root.held() == {str(split): "shared", str(data): "read-only", str(top): "exclusive", str(lower): "read-only",
                           str(lower_data): "read-only"}
    assert {lease["Path"] for lease in root.list().values() if lease["IsDataFile"]} == {str(data), str(lower_data)}


def test_a_set_is_refused_whose_data_file_is_held(root, qcow2, folder):
    data = folder / "chain/top.data"
    top = qcow2("top.qcow2", data=data)
    root.acquire(data, owner="backup")
    error = root.refused_acquire_set([(top, "exclusive")], backing_files=True)
    assert error.name == "Busy" and str(data) in error.message and "backup" in error.message
    assert root.held() == {str(data): "exclusive"}


def test_a_header_is_read_only_where_that_was_asked_for(root, qcow2):
    top = qcow2("top.qcow2", qcow2("lower.qcow2"))
    root.acquire_set([(top, "exclusive")])
    assert root.held() == {str(top): "exclusive"}


def test_one_lease_is_no_answer_for_a_backing_chain(root, qcow2):
    error = root.refused_acquire(qcow2("top.qcow2"), backing_files=True)
    assert error.name == "InvalidArgs" and "backing-files is for AcquireSet alone" in error.message


def test_polkit_is_asked_for_backing_files_too(service, polkit, client, qcow2):
    lower = qcow2("lower.qcow2")
    top = qcow2("top.qcow2", lower)
    polkit.add_rule(f"""polkit.addRule(function(action, subject) {{
        if (action.id == "org.disklock.disklock1.acquire" && subject.user == "games")
            return action.lookup("path") == "{lower}" ? polkit.Result.NO : polkit.Result.YES;
    }});""")
    assert client(ALICE).refused_acquire_set([(top, "exclusive")], backing_files=True).name == "NotAuthorized"
    assert client().held() == {}
