"""One domain under test, and what it has."""

import os
from pathlib import Path

from harness import wait_until
from harness.domain import disk, small_domain


class Vm:
    """A domain with one qcow2 disk, vda; `paused`: its processors stand until it is resumed."""

    def __init__(self, libvirt, root, base, paused=False, name="web01", more=""):
        self.libvirt, self.root, self.base, self.paused, self.name = libvirt, root, base, paused, name
        libvirt.create(small_domain(disk(base, form="qcow2"), name=name, more=more))
        if paused:
            self.virsh("suspend")

    def path(self, name):
        return self.base.with_name(name)

    def virsh(self, command, *arguments):
        return self.libvirt.virsh(command, self.name, *arguments)

    def refused(self, command, *arguments):
        return self.libvirt.refused(command, self.name, *arguments)

    def snapshot(self, name):
        """The disk's new top, over what was its top."""
        path = self.path(name)
        self.virsh("snapshot-create-as", "--no-metadata", "--disk-only", "--diskspec", f"vda,file={path}")
        return path

    def attach(self, xml):
        self.virsh("attach-device", self.libvirt.file(xml))

    def refused_attach(self, xml):
        return self.refused("attach-device", self.libvirt.file(xml))

    def detach(self, target):
        """Until it is gone: no guest takes part in the unplugging of a SCSI disk."""
        self.virsh("detach-disk", target)
        wait_until(lambda: target not in self.virsh("domblklist"), f"{target} to be gone")

    def open_images(self):
        files = (os.readlink(file) for file in Path(f"/proc/{self.libvirt.pid(self.name)}/fd").iterdir())
        return {file for file in files if Path(file).parent == self.base.parent}

    def has(self, **leases):
        """Is this what it has open and holds, and nothing else? Names without suffix."""
        leases = {str(self.path(f"{name}.qcow2")): mode.replace("_", "-") for name, mode in leases.items()}
        assert self.open_images() == set(leases)
        assert self.root.held() == leases

    def states(self):
        return {lease["State"] for lease in self.root.list().values()}

    def ends(self):
        """With its end no lease of it is left, whatever was done to it."""
        if self.name in self.libvirt.running():
            self.virsh("destroy")
        wait_until(lambda: self.name not in {lease["Owner"] for lease in self.root.list().values()}, "its leases to end")

    def runs(self):
        """It can run on, if it does not."""
        if self.paused:
            self.virsh("resume")
        assert self.libvirt.state(self.name) == "running"
        assert self.states() == {"active"}
