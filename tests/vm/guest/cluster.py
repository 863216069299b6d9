"""A cluster of this guest alone: corosync and dlm_controld, by which the locks of GFS2 and OCFS2 go as they do between hosts."""

import re
from functools import cache
from pathlib import Path

from harness import Process, wait_until
from storage import scsi_disk

MOUNTED = {"gfs2": Path("/srv/gfs2"), "ocfs2": Path("/srv/ocfs2")}
FAR = 1 << 30  # from there on are the bytes of records

COROSYNC = """
totem {
    version: 2
    cluster_name: test
    transport: udpu
    crypto_cipher: none
    crypto_hash: none
}
nodelist {
    node {
        ring0_addr: 127.0.0.1
        nodeid: 1
        name: guest
    }
}
quorum {
    provider: corosync_votequorum
    expected_votes: 1
}
logging {
    to_stderr: yes
    to_syslog: no
}
"""


POLICY = """
[Rule cluster]
match-filesystem=gfs2;ocfs2
backend=fcntl
reach=hosts
unseen-loss=refuse
check-interval=1
unreachable-after=2
risk-timeout=4
"""


@cache
def two_services(world):
    """
    (dlm_controld, "a", "b"): GFS2 and OCFS2 with the cluster's locks, and two services that know nothing of each other. They are on one host to the
    cluster, which has one kernel here; but each lock is asked of the cluster.
    """
    manager = mount(world)
    return manager, *(world.add_host(name, POLICY, managed={}) for name in "ab")


def mount(world):
    manager = start(world)
    world.run("modprobe", "--all", "gfs2", "ocfs2", "ocfs2_stack_user")
    Path("/sys/fs/ocfs2/cluster_stack").write_text("pcmk", encoding="ascii")
    gfs2, ocfs2 = scsi_disk("plain-a"), scsi_disk("plain-b")
    world.run("mkfs.gfs2", "-q", "-O", "-p", "lock_dlm", "-t", "test:disks", "-j", "1", "-J", "8", gfs2)
    world.run("mkfs.ocfs2", "-q", "-F", "-N", "1", "--cluster-stack=pcmk", "--cluster-name=test", ocfs2)
    for filesystem, disk in (("gfs2", gfs2), ("ocfs2", ocfs2)):
        MOUNTED[filesystem].mkdir()
        world.run("mount", "-t", filesystem, disk, MOUNTED[filesystem])
    return manager


def start(world):
    """Returns dlm_controld, which keeps the locks."""
    world.run("modprobe", "dlm")
    world.run("sh", "-c", "mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config")
    for folder in ("/etc/corosync", "/var/lib/corosync", "/var/log/cluster", "/run/dlm_controld"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    Path("/etc/corosync/corosync.conf").write_text(COROSYNC, encoding="ascii")
    corosync = Process("corosync", ["corosync", "-f"], world.folder)
    wait_until(lambda: "Quorate:          Yes" in answer_of(world, "corosync-quorumtool") or not corosync.is_alive(), "the cluster")
    assert corosync.is_alive(), corosync.output()
    manager = Process("dlm_controld", ["dlm_controld", "--foreground", "--enable_fencing=0", "--enable_startup_fencing=0"], world.folder)
    wait_until(lambda: "cluster nodeid" in answer_of(world, "dlm_tool", "status") or not manager.is_alive(), "dlm_controld")
    assert manager.is_alive(), manager.output()
    return manager


def answer_of(world, *command):
    try:
        return world.run(*command)
    except AssertionError as problem:
        return str(problem)


def make_image(name, filesystem="gfs2"):
    image = MOUNTED[filesystem] / name
    image.write_bytes(bytes(1 << 20))
    return image


def locks_of_cluster(world, image):
    """["WR 0", …]: what the cluster knows to be locked of the bytes that leases have."""
    lockspaces = re.findall(r"^name\s+(\S+)", world.run("dlm_tool", "ls"), re.M)
    answers = "".join(world.run("dlm_tool", "plocks", name) for name in lockspaces)
    locks = re.findall(r"^(\d+) (WR|RD) (\d+)-\d+ nodeid", answers, re.M)
    return sorted(f"{kind} {first}" for inode, kind, first in locks if int(inode) == image.stat().st_ino and int(first) < FAR)
