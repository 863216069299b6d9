"""The network of a server and the hosts beside it: the guest itself is the server, and each host has a cable to it."""

from contextlib import contextmanager

SERVER = "10.9.0.1"


def lay(world):
    """For all tests that follow."""
    world.run("modprobe", "--all", "bridge", "veth")
    world.run("ip", "link", "add", "bridge", "type", "bridge")
    world.run("ip", "address", "add", f"{SERVER}/24", "dev", "bridge")
    world.run("ip", "link", "set", "bridge", "up")


def address_of(name):
    """Of the host of that name."""
    return f"10.9.0.{11 + ord(name) - ord('a')}"


def _cable_of(host):
    """The server's end."""
    return f"cable-{host.name}"


def plug_in(world, host):
    world.run("ip", "link", "add", _cable_of(host), "master", "bridge", "type", "veth", "peer", "name", "eth0", "netns", host.namespaces)
    world.run("ip", "link", "set", _cable_of(host), "up")
    host.run("ip", "address", "add", f"{address_of(host.name)}/24", "dev", "eth0")
    host.run("ip", "link", "set", "eth0", "up")


def take_cable(world, host):
    """It is gone for good, as the host is."""
    world.run("ip", "link", "delete", _cable_of(host))


@contextmanager
def unplugged(world, host, mounts):
    """Meanwhile nothing reaches the server from this host, and nothing comes back. Over when all its mounts answer again."""
    world.run("ip", "link", "set", _cable_of(host), "down")
    try:
        yield
    finally:
        world.run("ip", "link", "set", _cable_of(host), "up")
    for folder in mounts:
        host.run("stat", "--file-system", folder)
