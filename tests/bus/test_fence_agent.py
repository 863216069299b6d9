"""The example of a fence agent for Pacemaker: it is called as Pacemaker calls agents, and fences by disklockctl."""

import json
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest

import harness

AGENT = harness.SOURCE / "data" / "fence_disklock"
DISK, OTHER = "rbd://mon/pool/web01", "rbd://mon/pool/web02"
DONE, FAILED, OFF = range(3)


@pytest.fixture
def agent(hosts):
    """Runs the agent on host beta with options on its standard input."""
    ctl = harness.Disklockctl(hosts[1].bus)

    def run(*arguments, **options):
        options.setdefault("disklockctl", ctl.binary)
        lines = "".join(f"{key}={value}\n" for key, value in options.items())
        return subprocess.run([AGENT, *arguments], input=lines, capture_output=True, text=True, env=ctl.environment(), check=False)
    yield run
    ctl.close()


def test_metadata_is_what_pacemaker_reads(agent):
    tree = ElementTree.fromstring(agent(action="metadata").stdout)
    assert tree.tag == "resource-agent" and tree.get("name") == "fence_disklock"
    # pcs asks for what is required and gives the plug itself.
    parameters = {parameter.get("name"): parameter for parameter in tree.iter("parameter")}
    assert {name for name, parameter in parameters.items() if parameter.get("required") == "1"} == {"devices"}
    for parameter in parameters.values():
        assert parameter.find("content").get("type") == "string" and parameter.find("shortdesc").text
        assert parameter.find("getopt").get("mixed")
    assert {"off", "status", "monitor", "metadata"} <= {action.get("name") for action in tree.iter("action")}
    assert agent("--action=metadata").stdout == agent("-v", "-o", "metadata").stdout == agent(action="metadata").stdout


def test_off_fences_every_disk_of_the_host(hosts, agent):
    alpha, beta = hosts
    alpha.root.acquire(DISK)
    alpha.root.acquire(OTHER)
    done = agent(action="off", plug="alpha", devices=f"{DISK},{OTHER}")
    assert done.returncode == DONE, done.stderr
    beta.root.acquire(DISK)
    beta.root.acquire(OTHER)


def test_off_is_the_default_takes_a_node_name_and_may_be_repeated(hosts, agent):
    alpha, beta = hosts
    alpha.root.acquire(DISK)
    for _ in range(2):
        assert agent(nodename="alpha-node", devices=DISK, delay="0", pcmk_foo="bar").returncode == DONE
    beta.root.acquire(DISK)


def test_off_fails_where_a_hold_is_left_and_goes_on_with_the_rest(hosts, agent):
    alpha, beta = hosts
    alpha.root.acquire(DISK, "shared")
    beta.root.acquire(DISK, "shared")
    alpha.root.acquire(OTHER)
    done = agent(action="off", plug="alpha", devices=f"{DISK},{OTHER}")
    assert done.returncode == FAILED and DISK in done.stderr and "/proc/fs/nfsd" in done.stderr
    beta.root.acquire(OTHER)


def test_status_says_whether_the_host_holds_a_disk(hosts, agent):
    alpha, _ = hosts
    lease = alpha.root.acquire(OTHER)
    for name in ("alpha", "alpha-node"):
        assert agent(action="status", plug=name, devices=f"{DISK},{OTHER}").returncode == DONE
    assert agent(action="status", plug="gamma", devices=OTHER).returncode == OFF
    lease.release()
    assert agent(action="status", plug="alpha", devices=OTHER).returncode == OFF


def test_monitor_asks_the_service(hosts, agent):
    assert agent(action="monitor").returncode == DONE
    hosts[1].service.stop()
    assert agent(action="monitor").returncode == FAILED


@pytest.mark.parametrize("options, part", [
    ({"action": "reboot", "plug": "alpha", "devices": DISK}, "no action"), ({"action": "off", "devices": DISK}, "plug="),
    ({"action": "off", "plug": "alpha"}, "devices="), ({"action": "off", "plug": "alpha", "devices": "web01.img"}, "absolute"),
    ({"action": "off", "plug": "alpha", "devices": DISK, "disklockctl": "/nonexistent"}, "/nonexistent"),
    ({"action": "validate-all", "devices": DISK, "disklockctl": "/nonexistent"}, "/nonexistent"),
])
def test_what_cannot_be_done_fails_and_says_why(agent, options, part):
    done = agent(**options)
    assert done.returncode == FAILED and part in done.stderr, done


def test_validate_all_needs_no_service(hosts, agent):
    hosts[1].service.stop()
    assert agent(action="validate-all", devices=DISK).returncode == DONE


def test_off_is_no_success_where_somebody_holds_a_disk_who_might_be_the_host(agent, folder):
    """As with reservations alone, whose keys name no host."""
    stub = folder / "disklockctl"
    stub.write_text("""#!/bin/sh
case "$*" in
*inspect*) echo '{"state": "held-elsewhere", "holders": [{"mode": "exclusive", "key": 7, "this-host": false, "unconfirmed": false}]}' ;;
*) echo '{"Removed": 0}' ;;
esac
""")
    stub.chmod(0o755)
    done = agent(action="off", plug="node7", devices="/dev/sda", disklockctl=stub)
    assert done.returncode == FAILED and "HostId" in done.stderr


HOST_ID = "8d1c0f3e" * 4
LEFT = [{"host": HOST_ID, "host-name": "node7.example.com"}, {"host": "beta", "host-name": "node7"}]


@pytest.mark.parametrize("plug, more, left, code", [
    ("node7", {}, LEFT[:1], FAILED), ("node7", {"host_ids": "yes"}, LEFT[1:], FAILED), (HOST_ID, {}, LEFT[:1], FAILED),
    ("node8", {"host_ids": "yes"}, LEFT, DONE), (HOST_ID, {}, LEFT[1:], DONE), ("node7", {}, [], DONE),
    ("node7", {}, [{**LEFT[0], "this-host": True}], DONE),
])
def test_after_off_the_host_holds_the_disk_no_more(agent, folder, plug, more, left, code):
    """Whatever was removed: a record may be forged, and a name another than that in the records."""
    stub = folder / "disklockctl"
    report = json.dumps({"state": "held-elsewhere", "holders": left})
    stub.write_text(f"#!/bin/sh\ncase \"$*\" in *inspect*) echo '{report}' ;; *) echo '{{\"Removed\": 1}}' ;; esac\n")
    stub.chmod(0o755)
    done = agent(action="off", plug=plug, devices="/dev/sda", disklockctl=stub, **more)
    assert done.returncode == code, done


@pytest.mark.parametrize("report", ['{"state": "unknown", "holders": []}', '{"state": "held", "problem": "the LUN is gone", "holders": []}'])
@pytest.mark.parametrize("action", ["off", "status"])
def test_nobody_is_fenced_where_it_cannot_be_told_who_holds_the_disk(agent, folder, action, report):
    stub = folder / "disklockctl"
    stub.write_text(f"""#!/bin/sh
case "$*" in
*inspect*) echo '{report}' ;;
*) echo '{{"Removed": 0}}' ;;
esac
""")
    stub.chmod(0o755)
    done = agent(action=action, plug="node7", devices="/dev/sda", disklockctl=stub)
    assert done.returncode == FAILED and "/dev/sda: who holds it cannot be told" in done.stderr


def test_that_nothing_was_there_is_told(hosts, agent):
    done = agent(action="off", plug="gamma", devices=DISK)
    assert done.returncode == DONE and f"{DISK}: a host with the id gamma holds nothing of it" in done.stderr
