"""The XML of libvirt domains, as `virsh dumpxml` prints it, with as little in it as a test needs."""

from xml.sax.saxutils import quoteattr

UUID = "6c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a11"


def domain(*devices, name="web01", os="", uuid=UUID):
    """A domain with these elements under <devices>, and these under <os>."""
    return (f"<domain type='kvm'>\n  <name>{name}</name>\n  <uuid>{uuid}</uuid>\n"
            f"  <os><type arch='x86_64'>hvm</type>{os}</os>\n  <devices>\n    " + "\n    ".join(devices) + "\n  </devices>\n</domain>\n")


def disk(path, target="vda", form="raw", inside="", device="disk", policy=None):
    """A <disk> of a file. `inside`: what else stands in it; `policy`: its startupPolicy."""
    startup = f" startupPolicy={quoteattr(policy)}" if policy else ""
    return (f"<disk type='file' device='{device}'><driver name='qemu' type='{form}'/>"
            f"<source file={quoteattr(str(path))}{startup}/>{inside}<target dev='{target}' bus='virtio'/></disk>")


def backing(path, form="raw", inside="<backingStore/>"):
    """A <backingStore> of a file, and what is below it: nothing, unless said otherwise."""
    return f"<backingStore type='file'><format type='{form}'/><source file={quoteattr(str(path))}/>{inside}</backingStore>"

