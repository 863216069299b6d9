"""The XML of libvirt domains, as `virsh dumpxml` prints it, with as little in it as a test needs."""

from uuid import NAMESPACE_DNS, uuid5
from xml.sax.saxutils import quoteattr

UUID = "6c6a6cd8-6d5a-4ac5-9d8f-2f1c1f0f7a11"


def domain(*devices, name="web01", os="", uuid=UUID, kind="kvm", more=""):
    """A domain with these elements under <devices>, these under <os>, and `more` beside them."""
    return (f"<domain type='{kind}'>\n  <name>{name}</name>\n  <uuid>{uuid}</uuid>\n"
            f"  {more}<os><type arch='x86_64'>hvm</type>{os}</os>\n  <devices>\n    " + "\n    ".join(devices) + "\n  </devices>\n</domain>\n")


def small_domain(*devices, name="web01", more="", emulator=None):
    """A domain that libvirt starts in a moment, without an operating system; its UUID comes from its name."""
    if emulator:
        devices = (f"<emulator>{emulator}</emulator>", *devices)
    return domain(*devices, "<controller type='usb' model='none'/>", "<controller type='scsi' model='lsilogic'/>",
                  "<memballoon model='none'/>", name=name, uuid=uuid5(NAMESPACE_DNS, name), kind="qemu",
                  more=f"<memory unit='MiB'>64</memory>{more}")


def disk(path, target="vda", form="raw", inside="", device="disk", policy=None, bus="virtio"):
    """A <disk> of a file. `inside`: what else stands in it; `policy`: its startupPolicy."""
    startup = f" startupPolicy={quoteattr(policy)}" if policy else ""
    return (f"<disk type='file' device='{device}'><driver name='qemu' type='{form}'/>"
            f"<source file={quoteattr(str(path))}{startup}/>{inside}<target dev='{target}' bus='{bus}'/></disk>")


def backing(path, form="raw", inside="<backingStore/>"):
    """A <backingStore> of a file, and what is below it: nothing, unless said otherwise."""
    return f"<backingStore type='file'><format type='{form}'/><source file={quoteattr(str(path))}/>{inside}</backingStore>"

