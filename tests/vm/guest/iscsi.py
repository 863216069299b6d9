"""A target that forgets registrations when it ends: tgtd, in user space, reached by iSCSI from two initiators of different names."""

from functools import cache
from pathlib import Path

from harness import Process, wait_until
from initiators import Initiator

NAME = "iqn.2026-01.org.disklock:target"
SIZE = "64M"


class Target:
    """tgtd; what it knows of registrations goes with its process."""

    def __init__(self, world):
        self._world, self._runs = world, 0
        self._image = world.folder / "iscsi.img"
        world.run("truncate", f"--size={SIZE}", self._image)
        self.start()

    def _admin(self, *words):
        self._world.run("tgtadm", "--lld", "iscsi", *words)

    def start(self):
        Path("/run/tgtd").mkdir(exist_ok=True)
        self._runs += 1
        self.process = Process(f"tgtd-{self._runs}", ["tgtd", "--foreground"], self._world.folder)
        wait_until(self._answers, "tgtd to answer")
        self._admin("--op", "new", "--mode", "target", "--tid", "1", "-T", NAME)
        self._admin("--op", "new", "--mode", "logicalunit", "--tid", "1", "--lun", "1", "-b", self._image)
        self._admin("--op", "bind", "--mode", "target", "--tid", "1", "-I", "ALL")

    def _answers(self):
        try:
            self._admin("--op", "show", "--mode", "target")
        except AssertionError:
            return False
        return True

    def lose_power(self):
        self.process.kill()


def log_in(world, name):
    """Returns the node by which an initiator of this name has the disk."""
    before = set(nodes())
    world.run("iscsiadm", "-m", "iface", "-I", name, "--op=new")
    world.run("iscsiadm", "-m", "iface", "-I", name, "--op=update", "-n", "iface.initiatorname", "-v", f"iqn.2026-01.org.disklock:{name}")
    node = ("iscsiadm", "-m", "node", "-T", NAME, "-p", "127.0.0.1", "-I", name)
    world.run(*node, "--op=new")
    world.run(*node, "--login")
    wait_until(lambda: set(nodes()) - before, f"the node of {name}")
    world.run("udevadm", "settle")
    return next(iter(set(nodes()) - before))


def nodes():
    return [f"/dev/{device.name}" for device in Path("/sys/block").glob("sd*")
            if (device / "device/vendor").read_text(encoding="ascii").startswith("IET") and device.joinpath("size").read_text(encoding="ascii") != "0\n"]


@cache
def two_hosts(world):
    """(the target, host "a", host "b")"""
    world.run("modprobe", "--all", "iscsi_tcp", "sg")
    for folder in ("/run/lock/iscsi", "/etc/iscsi"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    Path("/etc/iscsi/initiatorname.iscsi").write_text("InitiatorName=iqn.2026-01.org.disklock:guest\n", encoding="ascii")
    target = Target(world)
    world.run("iscsid")
    return target, *(Initiator(world, name, log_in(world, name)) for name in "ab")
