"""What polkit is asked about: the disk that a name leads to, and nothing that the caller's own agent may not show him."""

import pytest

from conftest import ALICE, BOB
from harness import LEASE, POLICY, PROPERTIES, Agent, BusError, wait_until

DENIED = ("NotAuthorized", "NotOwner")


@pytest.fixture
def alice(service, polkit, client):
    return client(ALICE)


@pytest.fixture
def link(disk):
    link = disk.with_name("link.img")
    link.symlink_to(disk)
    return link


@pytest.fixture
def forbid(polkit):
    """Says yes to everything but to what concerns this path."""
    def forbid(path):
        polkit.add_rule(f"""polkit.addRule(function(action, subject) {{
            if (action.id.indexOf("org.disklock.disklock1.") == 0)
                return action.lookup("path") == "{path}" ? polkit.Result.NO : polkit.Result.YES;
        }});""")
    return forbid


# ---- a link does not speak for its target ----

@pytest.mark.parametrize("member, signature, rest", [("Inspect", "(s)", ()), ("Fence", "(ssa{sv})", ("otherhost", {}))])
def test_a_link_does_not_lead_around_what_a_rule_says_of_a_path(alice, forbid, disk, link, member, signature, rest):
    forbid(disk)
    assert alice.refused(member, signature, str(link), *rest).name == "NotAuthorized"
    forbid(link)
    assert alice.refused(member, signature, str(link), *rest).name == "NotAuthorized"


def test_what_is_converted_is_asked_about_by_the_path_that_it_has(alice, forbid, disk, link):
    forbid("/another/disk.img")
    lease = alice.acquire(link, "shared")
    forbid(disk)
    assert lease.refused("Convert", "(s)", "exclusive").name == "NotAuthorized"
    assert lease["Mode"] == "shared"
    forbid(link)
    lease.call("Convert", "(s)", "exclusive")


@pytest.mark.parametrize("member, signature, rest", [("Release", "(o)", ()), ("Break", "(osa{sv})", ("test", {}))])
def test_what_ends_a_lease_is_asked_about_by_the_path_that_it_has(alice, root, forbid, disk, link, member, signature, rest):
    lease = root.acquire(link)
    forbid(disk)
    assert alice.refused(member, signature, lease.path, *rest).name in DENIED
    assert lease["State"] == "active"
    forbid(link)
    alice.call(member, signature, lease.path, *rest)


def test_what_reads_a_lease_is_asked_about_by_the_path_that_it_has(alice, root, forbid, disk, link):
    lease = root.acquire(link)
    forbid(disk)
    assert alice.refused("Check", path=lease.path, interface=LEASE).name in DENIED
    assert alice.refused("Get", "(ss)", LEASE, "Path", path=lease.path, interface=PROPERTIES).name in DENIED
    forbid(link)
    assert alice.get("Path", lease.path, LEASE) == str(link)


def test_who_is_in_the_way_is_told_by_what_a_rule_says_of_that_disk(alice, root, polkit, disk, link):
    def rule(path):
        polkit.add_rule(f"""polkit.addRule(function(action, subject) {{
            if (action.id == "org.disklock.disklock1.acquire") return polkit.Result.YES;
            return action.lookup("path") == "{path}" ? polkit.Result.YES : polkit.Result.NO;
        }});""")
    root.acquire(disk, owner="web01")
    rule(link)
    error = alice.refused_acquire(link)
    assert error.name == "Busy" and "web01" not in error.message
    rule(disk)
    error = alice.refused_acquire(link)
    assert error.name == "Busy" and "web01" in error.message


def test_whose_process_may_be_stopped_is_asked_by_the_path_of_every_disk(alice, polkit, image, disk, link):
    polkit.add_rule(f"""polkit.addRule(function(action, subject) {{
        var others = action.id == "org.disklock.disklock1.acquire-for-others";
        return others && action.lookup("path") == "{disk}" ? polkit.Result.NO : polkit.Result.YES;
    }});""")
    assert alice.refused_acquire(link, on_break="kill").name == "NotAuthorized"
    error = alice.refused_acquire_set([(image("other.img"), "exclusive"), (disk, "exclusive")], on_break="kill")
    assert error.name == "NotAuthorized" and str(disk) in error.message
    assert alice.acquire(image("other.img"), on_break="kill")["OnBreak"] == "kill"
    assert alice.acquire(link)["OnBreak"] == "signal"


@pytest.fixture
def asked(polkit):
    """What the rules were told of each question, in order: {key: value}; they say yes to all."""
    witness = polkit.folder / "witness"
    witness.touch()
    witness.chmod(0o666)
    keys = ["path", "disk", "mode", "backend", "owner", "host"]
    polkit.add_rule("""polkit.addRule(function(action, subject) {
        if (action.id.indexOf("org.disklock.disklock1.") != 0) return polkit.Result.NOT_HANDLED;
        polkit.spawn(["sh", "-c", "echo \\"$0\\" >>%s", %s.map(function(key) {
            return key + "=" + action.lookup(key);
        }).join(" ")]);
        return polkit.Result.YES;
    });""" % (witness, keys))

    def asked():
        lines = [dict(word.split("=", 1) for word in line.split(" ")) for line in witness.read_text().splitlines()]
        return [{key: value for key, value in line.items() if value != "undefined"} for line in lines]
    return asked


def test_inspect_is_asked_about_the_path_first_and_then_about_the_disk(alice, asked, disk, link):
    report = alice.inspect(link)
    assert report["path"] == str(link)
    assert asked() == [{"path": str(link)}, {"path": str(disk), "disk": report["disk"], "backend": "fcntl"}]


# ---- what the caller's own agent is shown ----

@pytest.fixture
def agent(polkit, alice):
    """Alice's own: somebody gives every password."""
    return Agent(polkit, alice.pid)


@pytest.fixture
def secret(alice, root, image):
    return root.acquire(image("secret.img"), owner="secret-owner", why="secret-reason")


def shown(agent):
    return [action for action, _, _ in agent.seen]


ABOUT_A_LEASE = pytest.mark.parametrize("member, signature, rest, action", [
    ("Release", "(o)", (), "release-any"), ("Break", "(osa{sv})", ("test", {}), "break")])


@ABOUT_A_LEASE
def test_whose_lease_it_is_is_not_shown_to_who_may_not_inspect(alice, agent, secret, member, signature, rest, action):
    agent.answer = False
    assert alice.refused(member, signature, secret.path, *rest, interactive=True).name in DENIED
    assert shown(agent) == ["inspect"]
    assert "secret" not in repr(agent.seen) and secret["Disk"] not in repr(agent.seen)
    assert secret["State"] == "active"


@ABOUT_A_LEASE
def test_whose_lease_it_is_is_shown_after_a_yes_to_seeing_it(alice, agent, secret, member, signature, rest, action):
    alice.call(member, signature, secret.path, *rest, interactive=True)
    assert shown(agent) == ["inspect", action]
    assert "secret" not in repr(agent.seen[0])
    assert secret.client.list() == {} or secret["State"] == "broken"
    assert "secret.img" in agent.seen[1][1]


@ABOUT_A_LEASE
def test_who_may_inspect_is_shown_whose_lease_it_is_at_once(alice, polkit, agent, secret, member, signature, rest, action):
    polkit.allow(ALICE, "inspect")
    alice.call(member, signature, secret.path, *rest, interactive=True)
    assert shown(agent) == [action]
    assert "secret.img" in agent.seen[0][1]


@ABOUT_A_LEASE
def test_who_may_not_inspect_at_all_is_shown_no_prompt(alice, polkit, agent, secret, member, signature, rest, action):
    polkit.add_rule("""polkit.addRule(function(action, subject) {
        if (action.id == "org.disklock.disklock1.inspect") return polkit.Result.NO;
    });""")
    error = alice.refused(member, signature, secret.path, *rest, interactive=True)
    assert error.name in DENIED and action in error.message and "secret" not in error.message
    assert agent.seen == [] and secret["State"] == "active"


@ABOUT_A_LEASE
def test_a_rule_decides_by_the_path_without_a_prompt(alice, polkit, agent, secret, member, signature, rest, action):
    polkit.add_rule(f"""polkit.addRule(function(action, subject) {{
        if (action.id == "org.disklock.disklock1.{action}" && action.lookup("owner") == "secret-owner") return polkit.Result.YES;
    }});""")
    alice.call(member, signature, secret.path, *rest, interactive=True)
    assert agent.seen == []


def get_owner(client, lease):
    return client.start("Get", "(ss)", LEASE, "Owner", path=lease.path, interface=PROPERTIES, interactive=True)


@pytest.mark.parametrize("start", [
    get_owner, lambda client, lease: client.start("Release", "(o)", lease.path, interactive=True),
    lambda client, lease: client.start("Break", "(osa{sv})", lease.path, "test", {}, interactive=True)])
def test_leave_to_see_what_is_not_named_is_none_to_see_what_takes_a_password(alice, polkit, agent, secret, start):
    polkit.add_rule("""polkit.addRule(function(action, subject) {
        if (action.id == "org.disklock.disklock1.inspect")
            return action.lookup("path") ? polkit.Result.AUTH_ADMIN : polkit.Result.YES;
    });""")
    error = start(alice, secret).error()
    assert error.name in DENIED and "secret" not in error.message, error
    assert agent.seen == [] and secret["State"] == "active"


def test_the_properties_of_a_lease_are_prompted_for_without_telling_them(alice, agent, secret):
    assert alice.call("Get", "(ss)", LEASE, "Owner", path=secret.path, interface=PROPERTIES, interactive=True) == ("secret-owner",)
    assert alice.call("Check", path=secret.path, interface=LEASE, interactive=True) == ("active",)
    assert shown(agent) == ["inspect", "inspect"] and "secret" not in repr(agent.seen)


def test_the_owner_is_shown_what_he_breaks_himself(alice, polkit, agent, disk):
    polkit.allow(ALICE, "acquire")
    lease = alice.acquire(disk)
    alice.call("Break", "(osa{sv})", lease.path, "test", {}, interactive=True)
    assert shown(agent) == ["break"] and str(disk) in agent.seen[0][1]


def test_who_stops_a_process_for_a_disk_is_prompted_once_for_it_and_once_for_the_disk(alice, agent, disk, link):
    for path, prompts in ((disk, ["acquire", "acquire-for-others"]),
                          (link, ["acquire", "acquire-for-others", "acquire", "acquire-for-others"])):
        agent.seen.clear()
        lease, _ = alice.start_acquire(path, on_break="kill", how={"interactive": True}).result()
        assert shown(agent) == prompts
        alice.release(lease)


def test_inspect_is_prompted_for_once_where_no_link_is_followed(alice, agent, disk, link):
    alice.call("Inspect", "(s)", str(disk), interactive=True)
    assert [message for _, message, _ in agent.seen] == [f"Authentication is required to see who uses the disk {disk}"]
    alice.call("Inspect", "(s)", str(link), interactive=True)
    assert [message.rpartition(" ")[2] for _, message, _ in agent.seen[1:]] == [str(link), str(disk)]


def test_release_by_owner_prompts_a_stranger_whether_or_not_others_have_leases_under_that_name(alice, agent, root, image):
    """A prompt that came only where there are some would tell so."""
    agent.answer = False
    assert alice.call("ReleaseOwner", "(s)", "web01", interactive=True) == (0,)
    without = list(agent.seen)
    lease = root.acquire(image(), owner="web01")
    assert alice.call("ReleaseOwner", "(s)", "web01", interactive=True) == (0,)
    assert shown(agent) == ["release-any"] * 2 and agent.seen[0][1] == agent.seen[1][1]
    assert len(without) == 1 and lease["State"] == "active"


def test_release_by_owner_prompts_nobody_for_his_own(alice, polkit, agent, root, image):
    polkit.allow(ALICE, "acquire")
    for others in ([], [image("other.img")]):
        leases = [root.acquire(other, owner="web01") for other in others]
        alice.acquire(image("mine.img"), owner="web01")
        assert alice.call("ReleaseOwner", "(s)", "web01", interactive=True) == (1,)
        assert agent.seen == [], others
        assert all(lease["State"] == "active" for lease in leases)


def test_release_by_owner_prompts_who_may_list_where_others_have_some_too(alice, polkit, agent, root, image):
    polkit.allow(ALICE, "acquire", "inspect")
    alice.acquire(image("mine.img"), owner="web01")
    assert alice.call("ReleaseOwner", "(s)", "web01", interactive=True) == (1,) and agent.seen == []
    alice.acquire(image("mine.img"), owner="web01")
    root.acquire(image("other.img"), owner="web01")
    assert alice.call("ReleaseOwner", "(s)", "web01", interactive=True) == (2,)
    assert shown(agent) == ["release-any"] and root.list() == {}


def test_release_by_owner_asks_polkit_as_much_whether_or_not_others_have_leases(alice, polkit, root, image):
    """The time that a question takes would tell too."""
    for others in ([], [image("other.img")]):
        leases = [root.acquire(other, owner="web01") for other in others]
        polkit.stop()
        pending = alice.start("ReleaseOwner", "(s)", "web01")
        alice.get("HostId")  # is answered after whatever is answered at once
        assert not pending.done, others
        polkit.cont()
        assert pending.result() == (0,)
        assert all(lease["State"] == "active" for lease in leases)


def test_release_by_owner_tells_who_has_none_that_polkit_does_not_answer(alice, polkit, root, image):
    polkit.allow(ALICE, "acquire")
    lease = root.acquire(image("other.img"), owner="web01")
    own = alice.acquire(image("mine.img"), owner="mine")
    polkit.kill()
    error = alice.refused("ReleaseOwner", "(s)", "web01")
    assert error.name == "NotAuthorized" and "polkit is not running" in error.message, error
    assert alice.call("ReleaseOwner", "(s)", "mine") == (1,) and lease["State"] == "active", own


# ---- how much one user may ask ----

@pytest.fixture
def limited(polkit, start_service, client):
    start_service(f"[Limits]\nquestions-per-uid=3\n{POLICY}")
    return client(ALICE), client(BOB)


@pytest.mark.parametrize("member, signature, rest", [
    ("Acquire", "(ssa{sv})", ("exclusive", {})), ("Inspect", "(s)", ()), ("CanAcquire", "(ss)", ("exclusive",)),
    ("Fence", "(ssa{sv})", ("otherhost", {})), ("ReleaseOwner", "(s)", ())])
def test_who_has_too_many_questions_open_is_told_so_at_once(limited, polkit, disk, member, signature, rest):
    alice, bob = limited
    agent = Agent(polkit, alice.pid, answer=None)
    waiting = [alice.start("Acquire", "(ssa{sv})", str(disk), "exclusive", {}, interactive=True) for _ in range(3)]
    wait_until(lambda: len(agent.seen) == 3, "the prompts")
    error = alice.refused(member, signature, str(disk), *rest)
    assert error.name == "LimitExceeded" and "questions-per-uid" in error.message and "3 questions" in error.message
    polkit.allow(BOB)
    assert bob.inspect(disk)["state"] == "free"
    polkit.kill()
    assert {call.error().name for call in waiting} == {"NotAuthorized"}
    polkit.start()
    assert alice.call("CanAcquire", "(ss)", str(disk), "exclusive") == ("challenge",)


def test_one_users_prompts_leave_polkit_to_others(service, polkit, client, disk):
    """The bus lets the service wait for 128 answers."""
    polkit.allow(BOB, "inspect")
    callers = [client(ALICE) for _ in range(2)]
    agents = [Agent(polkit, caller.pid, answer=None) for caller in callers]
    calls = [caller.start("Acquire", "(ssa{sv})", str(disk), "exclusive", {}, interactive=True)
             for caller in callers for _ in range(100)]
    wait_until(lambda: sum(call.done for call in calls) == len(calls) - 32, "the rest to be refused")
    assert {call.error().name for call in calls if call.done} == {"LimitExceeded"}
    wait_until(lambda: sum(len(agent.seen) for agent in agents) == 32, "the prompts")
    assert client(BOB).inspect(disk)["state"] == "free"


def test_who_leaves_takes_no_question_along_that_polkit_has_not_answered(limited, polkit, client, disk):
    """The bus keeps a place for the reply until it comes."""
    polkit.stop()
    for _ in range(3):
        alice = client(ALICE)
        alice.start("CanAcquire", "(ss)", str(disk), "exclusive")
        alice.get("HostId")  # the service has put the question
        alice.close()
    again = client(ALICE)
    assert can_acquire(again, disk) == "LimitExceeded"
    polkit.cont()
    wait_until(lambda: can_acquire(again, disk) == "challenge", "the replies")


def test_prompts_that_nobody_waits_for_do_not_count(limited, polkit, client, disk):
    alice, _ = limited
    agent = Agent(polkit, alice.pid, answer=None)
    for _ in range(3):
        alice.start("Acquire", "(ssa{sv})", str(disk), "exclusive", {}, interactive=True)
    wait_until(lambda: len(agent.seen) == 3, "the prompts")
    alice.close()
    again = client(ALICE)
    wait_until(lambda: can_acquire(again, disk) == "challenge", "the questions to be withdrawn")


def can_acquire(client, disk):
    try:
        return client.call("CanAcquire", "(ss)", str(disk), "exclusive")[0]
    except BusError as error:
        return error.name
