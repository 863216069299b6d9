"""One guest: its hardware, its start, its end."""

import os
import subprocess
from pathlib import Path

import initramfs

SOURCE = Path(__file__).resolve().parents[2]
PATIENCE = 1200  # seconds; a guest that takes longer is ended. Where two share a busy core with others, one takes six times its time.
# Not kvm by itself: where the machine is a guest too, it may be there and not work.
ACCELERATION = os.environ.get("DISKLOCK_VM_ACCELERATION", "tcg")
MEMORY = 768  # MiB
DISK_SIZE = 160 << 20
COMMAND_LINE_LIMIT = 2000  # what the kernel takes

# Disks by the name that guest/storage.py finds them by; "lun" is one disk on two controllers, as a multipath LUN is.
FILES = ["plain-a", "plain-b", "lun", "nvme-a", "nvme-b"]
HARDWARE = """
-device virtio-scsi-pci,id=bus0 -device virtio-scsi-pci,id=bus1 -device virtio-scsi-pci,id=bus2
-device scsi-hd,bus=bus0.0,lun=0,drive=plain-a,serial=plain-a,device_id=plain-a,wwn=0x5000c50000000a01
-device scsi-hd,bus=bus0.0,lun=1,drive=plain-b,serial=plain-b,device_id=plain-b,wwn=0x5000c50000000b01
-device scsi-hd,bus=bus1.0,drive=lun,serial=lun,device_id=lun,wwn=0x5000c50000000c01,share-rw=on
-device scsi-hd,bus=bus2.0,drive=lun,serial=lun,device_id=lun,wwn=0x5000c50000000c01,share-rw=on
-device nvme,id=nvme0,serial=nvme-0
-device nvme-ns,bus=nvme0,nsid=1,drive=nvme-a
-device nvme-ns,bus=nvme0,nsid=2,drive=nvme-b
""".split()


def block_devices(folder):
    """Sparse files, gone with `folder`."""
    arguments = []
    for name in FILES:
        file = folder / f"{name}.img"
        with open(file, "xb") as image:
            image.truncate(DISK_SIZE)
        arguments += ["-blockdev", f"driver=raw,node-name={name},file.driver=file,file.filename={file},file.locking=off"]
    return arguments


def exports(boot):
    arguments = []
    for tag, path in (("host", "/"), ("tools", boot.root)):
        arguments += ["-fsdev", f"local,id={tag},path={path},security_model=none,readonly=on,multidevs=remap",
                      "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
    return arguments


def kernel_command_line(build, test, cases):
    """What is no parameter of the kernel's becomes environment of the guest's first process."""
    # On a busy machine the emulated timer is so late that the kernel takes it for broken, and panics, where it checks it.
    line = (f'console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off no_timer_check DISKLOCK_SOURCE="{SOURCE}" DISKLOCK_BUILD="{build}" '
            f'DISKLOCK_TEST={test} DISKLOCK_CASES={",".join(cases)}')
    if len(line) > COMMAND_LINE_LIMIT:
        raise ValueError("so many tests by name do not fit into the kernel's command line: name their file")
    return line


def command(boot, build, folder, test, cases=(), memory=MEMORY):
    """QEMU, to be run with its input and output for the guest's second serial line, or for the console of a shell."""
    serial = ["-serial", "mon:stdio"] if test == "shell" else ["-serial", f"file:{folder}/console.log", "-serial", "stdio"]
    return ["setpriv", "--pdeathsig", "KILL", "--", "qemu-system-x86_64", "-machine", "q35", "-accel", ACCELERATION,
            "-cpu", "qemu64", "-m", str(memory), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", str(boot.kernel), "-initrd", str(initramfs.make(boot, folder)), "-append", kernel_command_line(build, test, cases),
            *serial, *exports(boot), *block_devices(folder), *HARDWARE]


class Guests:
    """All that run; ended together when the run is."""

    def __init__(self):
        self._running, self._over = set(), False

    def run(self, arguments):
        """Runs one to its end and returns what it wrote."""
        qemu = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._running.add(qemu)
        if self._over:
            qemu.kill()
        try:
            return qemu.communicate(timeout=PATIENCE)[0]
        except subprocess.TimeoutExpired:
            qemu.kill()
            return qemu.communicate()[0] + f"\n# the guest was ended after {PATIENCE} seconds\n".encode()
        finally:
            self._running.discard(qemu)

    def end(self):
        self._over = True
        for qemu in list(self._running):
            qemu.kill()


GUESTS = Guests()


def run_tests(boot, build, folder, test, cases):
    """Runs a file of tests in a guest; returns the lines that the guest wrote, and its console's."""
    output = GUESTS.run(command(boot, build, folder, test, cases))
    console = folder / "console.log"
    return (output.decode(errors="replace").replace("\r", "").splitlines(),
            console.read_text(errors="replace").replace("\r", "").splitlines() if console.exists() else [])


def run_shell(boot, build, folder):
    """A guest like those of the tests, with a shell on this terminal."""
    subprocess.run(command(boot, build, folder, "shell"), check=False)
