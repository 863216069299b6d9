"""NFS: the guest's kernel serves, and two hosts, each with a network of its own, mount it by both versions of the protocol."""

import os
import re
from functools import cache
from pathlib import Path

import network
from network import SERVER, address_of
from storage import scsi_disk

EXPORT = Path("/srv/export")
# Where a host has it: by the version that it is mounted with.
MOUNTED = {"4.2": Path("/srv/nfs4"), "3": Path("/srv/nfs3")}
SQUASHED = Path("/srv/squashed")  # with root_squash, by version 4.2
LEASE = 10  # seconds: the shortest that nfsd takes
PROC = Path("/proc/fs/nfsd")

# async: no test pulls the server's plug, and a disk that is emulated is slow to write everything out.
EXPORTS = f"""
{EXPORT} *(rw,fsid=0,no_root_squash,no_subtree_check,insecure,async)
{EXPORT}/squashed *(rw,fsid=1,root_squash,no_subtree_check,insecure,async)
"""

# What a client and a server of version 3 need beside the kernel: rpcbind, and statd to hear of the other's restarts. Debian's
# packages make rpcbind's user when they are installed, which they are not here.
RPC = """
set -e
mkdir -p /run/rpcbind /run/sendsigs.omit.d
mount --bind "$0" /var/lib/nfs
mkdir -p /var/lib/nfs/sm /var/lib/nfs/sm.bak /var/lib/nfs/v4recovery /var/lib/nfs/rpc_pipefs
touch /var/lib/nfs/state /var/lib/nfs/etab /var/lib/nfs/rmtab
rpcbind -w
rpc.statd --no-notify
"""

# A policy for tests that wait until a lost lock is noticed.
QUICK_POLICY = """
[Rule squashed]
match-path=/srv/squashed/*
backend=fcntl
open-as=owner
check-interval=1
[Rule local]
match-path=/srv/local/*
backend=fcntl;lockspace
lockspace=/srv/local/locks
reach=hosts
[Rule cluster]
match-kind=network
backend=lockspace
lockspace=/srv/nfs4/locks
check-interval=1
[Rule network]
match-filesystem=nfs*
backend=fcntl
check-interval=1
unreachable-after=2
risk-timeout=4
[Rule rest]
backend=fcntl;host
fallback=host
"""


@cache
def serve(world):
    """The server, with an empty ext4 to give away; it grants and takes back within seconds what others take minutes for."""
    world.run("modprobe", "--all", "lockd", "nfsd", "nfs", "nfsv3", "nfsv4")
    for name, value in (("nlm_timeout", 3), ("nlm_grace_period", 3)):
        Path(f"/proc/sys/fs/nfs/{name}").write_text(str(value), encoding="ascii")
    with open("/etc/passwd", "a", encoding="ascii") as passwd:
        passwd.write("_rpc:x:299:65534::/run/rpcbind:/usr/sbin/nologin\n")
    # Who tells a server of version 3 that he was down must have a name.
    Path("/etc/hosts").write_text("".join(f"{address_of(name)} host-{name}\n" for name in "abc"), encoding="ascii")
    # Two filesystems: of one, the second export would be no more than a folder of the first.
    for disk, point in ((scsi_disk("plain-a"), EXPORT), (scsi_disk("plain-b"), EXPORT / "squashed")):
        world.run("mkfs.ext4", "-q", "-F", disk)
        world.run("mkdir", "-p", point)
        world.run("mount", disk, point)
    (EXPORT / "locks").mkdir(mode=0o700)
    Path("/etc/exports").write_text(EXPORTS, encoding="ascii")
    start_rpc(world, "server")
    world.run("mount", "-t", "nfsd", "nfsd", PROC)
    for name in ("nfsv4leasetime", "nfsv4gracetime"):
        (PROC / name).write_text(str(LEASE), encoding="ascii")
    network.lay(world)
    world.run("exportfs", "-a")
    world.run("rpc.nfsd", "4")
    world.run("rpc.mountd", "--port", "20048")
    (PROC / "v4_end_grace").write_text("Y", encoding="ascii")


def start_rpc(host, name):
    """What it remembers in /var/lib/nfs outlives the host."""
    memory = Path(f"/srv/memory-{name}")
    memory.mkdir(exist_ok=True)
    host.run("sh", "-c", RPC, memory)


def add_client(world, name, policy=None, managed=None):
    """A Host that has mounted the export by both versions."""
    host = world.add_host(name, policy or QUICK_POLICY, managed=managed)
    network.plug_in(world, host)
    start_rpc(host, name)
    for folder in (*MOUNTED.values(), SQUASHED):
        host.run("mkdir", "-p", folder)
    mount = ["mount", "-t", "nfs", "-o"]
    host.run(*mount, "vers=4.2", f"{SERVER}:/", MOUNTED["4.2"])
    host.run(*mount, "vers=4.2", f"{SERVER}:/squashed", SQUASHED)
    host.run(*mount, "vers=3,mountport=20048,mountproto=tcp", f"{SERVER}:{EXPORT}", MOUNTED["3"])
    return host


@cache
def two_hosts(world, policy=QUICK_POLICY):
    """Hosts "a" and "b", two clients of one server."""
    serve(world)
    return add_client(world, "a", policy, managed={}), add_client(world, "b", policy, managed={})


def reboot(world, host):
    """Pulls the plugs of a host that was added with managed=None, and returns it as it comes back."""
    network.take_cable(world, host)
    world.lose_power(host)
    host = add_client(world, host.name)
    # What a host does when it starts: it tells the servers that it had locks on that it was down (sm-notify(8)).
    host.run("sm-notify", "-f")
    return host


def unplugged(world, host):
    """A context: meanwhile nothing reaches the server from this host. Over when both mounts answer again."""
    return network.unplugged(world, host, MOUNTED.values())


def make_image(name, size=1 << 20):
    """A file on the export; returns its path there. Each host has it below MOUNTED."""
    image = EXPORT / name
    image.write_bytes(bytes(size))
    return image


# What the server knows, which no client can make up.

def client_folder(host):
    """The server's folder about this host, as a client of version 4."""
    for info in PROC.glob("clients/*/info"):
        if f"host-{host.name}" in info.read_text(encoding="utf-8"):
            return info.parent
    return None


def locks_at_server(image):
    """The lines of /proc/locks about a file of the export: the server's own, and not those of the clients in the same kernel. What it has
    delegated stays a client's after his locks, from Linux 6.6 on for writing too, and is no lock."""
    status = image.stat()
    key = f" {os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino} "
    return [line for line in Path("/proc/locks").read_text(encoding="ascii").splitlines() if key in line and " DELEG " not in line]


def has_lock(host, image):
    """Does the server know of a lock of this host, as a client of version 4, on a file of the export? From Linux 6.6 on it may have delegated
    the file for writing, which is more: the host then locks by itself, until another one asks."""
    states = (client_folder(host) / "states").read_text(encoding="utf-8").splitlines()
    mine = [state for state in states if f":{image.stat().st_ino}\"" in state]
    return any(re.search(r"type: (lock|deleg, access: r?w)", state) for state in mine)


def take_locks_away(host):
    """The server forgets this client of version 4, and all that it has."""
    (client_folder(host) / "ctl").write_text("expire\n", encoding="ascii")


def unlock_filesystem():
    """The server forgets every lock of version 3."""
    (PROC / "unlock_filesystem").write_text(f"{EXPORT}\n", encoding="ascii")
