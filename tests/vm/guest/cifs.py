"""CIFS: Samba serves in the guest, and two hosts, each with a network of its own, mount its share with byte-range locks."""

import subprocess
from functools import cache
from pathlib import Path

import network
from network import SERVER, address_of
from storage import scsi_disk

EXPORT = Path("/srv/export")
SHARE = Path("/srv/share")  # where a host has it
LOCAL = Path("/srv/local")  # the same with nobrl
FAR = 1 << 62  # our bytes are counted from there on

SETTINGS = f"""
[global]
server role = standalone server
disable netbios = yes
load printers = no
printing = bsd
[share]
path = {EXPORT}
read only = no
"""

POLICY = f"""
[Rule proved]
match-path={SHARE}/proved-*
backend=fcntl
unseen-loss=refuse
[Rule local]
match-path={LOCAL}/reach-*
backend=fcntl
reach=hosts
[Rule strict]
match-path={SHARE}/strict-*
backend=fcntl
readers=strict
[Rule cluster]
match-kind=network
backend=lockspace
lockspace={SHARE}/locks
[Rule network]
match-filesystem=cifs;smb3
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
    """Samba, with an empty ext4 to give away and root as its only user."""
    world.run("modprobe", "--all", "cifs")
    world.run("mkfs.ext4", "-q", "-F", scsi_disk("plain-a"))
    world.run("mkdir", "-p", EXPORT)
    world.run("mount", scsi_disk("plain-a"), EXPORT)
    (EXPORT / "locks").mkdir(mode=0o700)
    # Debian's package makes its folders when it is installed, which it is not here.
    for folder in ("/etc/samba", "/run/samba", "/var/lib/samba/private", "/var/cache/samba", "/var/log/samba"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    Path("/etc/samba/smb.conf").write_text(SETTINGS, encoding="ascii")
    subprocess.run(["smbpasswd", "-a", "-s", "root"], input="secret\nsecret\n", text=True, capture_output=True, check=True)
    network.lay(world)
    world.run("smbd", "-D")


def mount(host, folder, options=""):
    host.run("mkdir", "-p", folder)
    host.run("mount", "-t", "cifs", "-o", f"username=root,password=secret{options}", f"//{SERVER}/share", folder)


def add_client(world, name):
    host = world.add_host(name, POLICY, managed={})
    network.plug_in(world, host)
    mount(host, SHARE)
    return host


@cache
def two_hosts(world):
    """Hosts "a" and "b", two clients of one server."""
    serve(world)
    return add_client(world, "a"), add_client(world, "b")


def unplugged(world, host):
    """A context: meanwhile nothing reaches the server from this host. Over when the mount answers again."""
    return network.unplugged(world, host, [SHARE])


def make_image(name, size=1 << 20):
    """A file on the export; returns where the hosts have it."""
    with open(EXPORT / name, "xb") as image:
        image.truncate(size)
    return SHARE / name


# What the server knows, which no client can make up.

def locks_at_server(world, disk):
    """["R" or "W" of each lock that is held on the bytes of a lease], and never one on a byte that a machine may want."""
    lines = [line.split() for line in world.run("smbstatus", "-B").splitlines() if line.split()[-1:] == [disk.name] and " /srv/" in line]
    assert all(int(line[3]) >= FAR for line in lines), lines
    return [line[2] for line in lines if int(line[3]) == FAR]


def drop(world, host):
    """The server ends this host's session, and all its locks with it."""
    world.run("smbcontrol", "smbd", "kill-client-ip", address_of(host.name))
