"""A namespace of the kernel's NVMe target that can be reserved (Linux 6.13 and later), and the hosts that reach it, each with an id of its own."""

import json
from functools import cache
from pathlib import Path

from harness import wait_until
from initiators import Initiator

TARGET = Path("/sys/kernel/config/nvmet")
NQN = "nqn.2014-08.org.nvmexpress:disklock-shared"
EXCLUSIVE, SHARED = 3, 5  # the numbers of NVMe
NGUID = "d1501c4b-6e76-4d65-8a0c-0000000000b1"


def host_id(number):
    return f"d1501c4b-0000-4000-8000-00000000000{number}"


def write(folder, **values):
    for name, value in values.items():
        (folder / name).write_text(value, encoding="ascii")


def make_target(world):
    world.run("modprobe", "--all", "nvmet", "nvme-loop")
    if not TARGET.exists():
        world.run("mount", "-t", "configfs", "configfs", "/sys/kernel/config")
    image = Path("/dev/shm/shared-namespace.img")  # on an overlay Linux 7.3 takes its blocks for 0 bytes long
    world.run("truncate", "--size=64M", image)
    subsystem, port = TARGET / f"subsystems/{NQN}", TARGET / "ports/9"
    for folder in (subsystem, subsystem / "namespaces/1", port):
        folder.mkdir()
    write(subsystem, attr_allow_any_host="1")
    write(subsystem / "namespaces/1", device_path=str(image), buffered_io="1", device_nguid=NGUID,
          device_uuid="00000000-0000-0000-0000-000000000000", resv_enable="1", enable="1")
    write(port, addr_trtype="loop")
    (port / f"subsystems/{NQN}").symlink_to(subsystem)


def node_of_host(number):
    for controller in Path("/sys/class/nvme").glob("nvme*"):
        if (controller / "subsysnqn").read_text(encoding="ascii").strip() == NQN and (controller / "hostid").read_text(encoding="ascii").strip() == host_id(number):
            return next((f"/dev/{node.name}" for node in controller.glob("nvme*n*") if (node / "size").exists()), None)
    return None


@cache
def make_shared_namespace(world, hosts):
    """Returns its node for each host."""
    make_target(world)
    for number in range(1, hosts + 1):
        Path("/dev/nvme-fabrics").write_text(
            f"transport=loop,nqn={NQN},hostnqn=nqn.2014-08.org.nvmexpress:uuid:{host_id(number)},hostid={host_id(number)}", encoding="ascii")
    numbers = range(1, hosts + 1)
    wait_until(lambda: all(map(node_of_host, numbers)), "all nodes of the shared namespace")
    world.run("udevadm", "settle")
    return tuple(map(node_of_host, numbers))


@cache
def _initiators(world):
    nodes = make_shared_namespace(world, 3)
    return Initiator(world, "a", nodes[0]), Initiator(world, "b", nodes[1]), nodes[2]


def fresh_initiators(world):
    """Two hosts, nobody registered; and a node of the namespace on a host that is no disklock's: a stranger's."""
    a, b, stranger = _initiators(world)
    for initiator in (a, b):
        initiator.clean()
    if registered_keys(world, stranger):
        register(world, stranger, 0x5)
        world.run("nvme", "resv-release", stranger, "--crkey=0x5", "--rrela=1")
    return a, b, stranger


def register(world, node, key):
    """As who is no disklock does."""
    world.run("nvme", "resv-register", node, f"--nrkey={key:#x}", "--rrega=0")


def unregister(world, node, key):
    world.run("nvme", "resv-register", node, f"--crkey={key:#x}", "--rrega=1")


def preempt(world, node, key, victim):
    world.run("nvme", "resv-acquire", node, f"--crkey={key:#x}", f"--prkey={victim}", f"--rtype={EXCLUSIVE}", "--racqa=1")


def events_left(world, node):
    """How many events the controller still has in the log that it tells of them by; this reads one of them."""
    answer = json.loads(world.run("nvme", "resv-notif-log", "--output-format=json", node))
    return answer["num_logs"] + (answer["rn_log_type"] != 0)


def registered_keys(world, node):
    """As nvme-cli says it, which is not ours."""
    return sorted(f"{registrant['rkey']:#x}" for registrant in report(world, node).get("regctlext", []))


def reservation(world, node):
    """(type, keys of the holders), or None; the types have the numbers of NVMe."""
    answer = report(world, node)
    holders = [f"{registrant['rkey']:#x}" for registrant in answer.get("regctlext", []) if registrant["rcsts"] & 1]
    return (answer["rtype"], sorted(holders)) if answer["rtype"] else None


def report(world, node):
    return json.loads(world.run("nvme", "resv-report", "--eds", "--output-format=json", node))
