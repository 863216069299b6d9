"""The first file system of a guest: busybox, the modules that its root and its disks take, and the script that finds the root."""

import lzma
import re
import shutil
import subprocess
from pathlib import Path

from cache import Failed

SCRIPT = Path(__file__).resolve().parent / "guest/initramfs-init"
# udev and modprobe find the rest in the root.
MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_scsi", "sd_mod", "nvme"]


def files_of(modules, tree):
    """The files to load, in this order, to have these modules; a module that is built in has none."""
    needs = dict(line.split(": ") if ": " in line else (line.rstrip(":"), "")
                 for line in (tree / "modules.dep").read_text().splitlines())
    by_name = {re.sub(r"\.ko(\..*)?$", "", Path(file).name).replace("-", "_"): file for file in needs}
    built_in = {Path(file).stem.replace("-", "_") for file in (tree / "modules.builtin").read_text().split()}
    wanted = []
    for module in modules:
        if module in by_name:
            wanted += [*reversed(needs[by_name[module]].split()), by_name[module]]
        elif module not in built_in:
            raise Failed(f"the kernel in {tree} has no module {module}")
    return [tree / file for file in dict.fromkeys(wanted)]


def make(boot, folder):
    """Returns the archive, which is made in `folder`."""
    content, archive = folder / "initramfs", folder / "initramfs.cpio"
    content.mkdir()
    busybox = next(path for path in (boot.root / "usr/bin/busybox", Path("/usr/bin/busybox")) if path.exists())
    shutil.copy(busybox, content / "busybox")
    shutil.copy(SCRIPT, content / "init")
    for number, file in enumerate(files_of(MODULES, boot.modules)):
        module = file.read_bytes()
        module = lzma.decompress(module) if file.suffix == ".xz" else module
        (content / f"{number:02}-{file.name.removesuffix('.xz')}").write_bytes(module)
    names = "".join(f"{path.name}\n" for path in sorted(content.iterdir()))
    packed = subprocess.run([busybox, "cpio", "-o", "-H", "newc"], input=names.encode(), cwd=content, capture_output=True, check=True)
    archive.write_bytes(packed.stdout)
    return archive
