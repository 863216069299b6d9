"""What a guest boots from: Debian's kernel and the tools that the machine itself need not have, unpacked and never installed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import kept  # noqa: E402
from kept import Failed, run  # noqa: E402

KERNEL = "linux-image-amd64"
# What the guests use and the machine may lack.
PACKAGES = ["busybox-static", "cifs-utils", "corosync", "dlm-controld", "dmsetup", "e2fsprogs", "fdisk", "gfs2-utils", "iproute2",
            "kmod", "lvm2", "mdadm", "mount", "multipath-tools", "nfs-common", "nfs-kernel-server", "nvme-cli", "ocfs2-tools",
            "open-iscsi", "rpcbind", "samba", "sg3-utils", "tgt", "udev", "util-linux"]
# No guest of ours has any of this, and it is most of what a kernel brings along.
LEFT_OUT = ["./usr/share/doc", "./usr/share/man", "./usr/share/locale", "*/kernel/sound", "*/kernel/drivers/media", "*/kernel/drivers/gpu",
            "*/kernel/drivers/iio", "*/kernel/drivers/usb", "*/kernel/drivers/hid", "*/kernel/drivers/hwmon",
            "*/kernel/drivers/net/wireless", "*/kernel/drivers/net/ethernet", "*/kernel/drivers/infiniband"]


class Boot:
    """A kernel, and the folder with its modules and with tools that lies over the machine's own root in the guest."""

    def __init__(self, folder, lock=None):
        self.lock = lock  # held as long as it is open
        self.root, self.kernel = folder / "root", folder / "vmlinuz"

    @property
    def modules(self):
        return next((self.root / "lib/modules").iterdir())


def kernel_packages():
    """The package that the kernel's metapackage stands for, and those its modules are in, where they are apart."""
    found, asked = [], [KERNEL]
    for name in asked:
        depends = run("apt-cache", "depends", "--important", name, text=True)
        more = re.findall(r"Depends: (linux-(?:base|image|modules|binary)-\S+)", depends)
        asked += [name for name in more if name not in asked]
        found += [name for name in more if name not in found]
    if not found:
        raise Failed(f"apt knows no kernel that {KERNEL} stands for")
    return found


def download(folder):
    """The kernel's packages, and whatever apt would have to install for the tools to run on this machine."""
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    run("apt-get", "install", "--download-only", "--yes", "--no-install-recommends", "-o", f"Dir::Cache::archives={folder}", *PACKAGES)
    run("apt-get", "download", "-o", "APT::Sandbox::User=root", *kernel_packages(), cwd=folder)
    return sorted(folder.glob("*.deb"))


def download_of_now(folder):
    """Likewise; a machine that has not asked for long what packages there are may have to ask again."""
    try:
        return download(folder)
    except Failed:
        run("apt-get", "update")
        return download(folder)


def unpack(packages, root):
    # Debian's packages still say /lib, and mean /usr/lib.
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    for package in packages:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as reader:
            run("tar", "-x", "-C", root, "--keep-directory-symlink", *[f"--exclude={path}" for path in LEFT_OUT], f"--file=/dev/fd/{reader.stdout.fileno()}",
                pass_fds=[reader.stdout.fileno()])
        if reader.returncode != 0:
            raise Failed(f"{package} cannot be unpacked")


def list_modules(root, version):
    """Writes modules.dep and its like. kmod is called depmod for that, and needs libraries that the machine may lack."""
    kmod = next(folder / "usr/bin/kmod" for folder in (root, Path("/")) if (folder / "usr/bin/kmod").exists())
    run("depmod", "-b", root, version, executable=kmod,
        env={**os.environ, "LD_LIBRARY_PATH": f"{root}/usr/lib/x86_64-linux-gnu"})


def make(folder):
    """Fills `folder`."""
    boot = Boot(folder)
    packages = download_of_now(folder / "packages")
    unpack(packages, boot.root)
    shutil.rmtree(folder / "packages")
    list_modules(boot.root, boot.modules.name)
    # Newer packages have it beside the modules.
    places = boot.root / "boot" / f"vmlinuz-{boot.modules.name}", boot.modules / "vmlinuz"
    shutil.copy(next(place for place in places if place.exists()), boot.kernel)
    shutil.rmtree(boot.root / "boot", ignore_errors=True)


def prepare():
    """Returns a Boot; makes it first where there is none for this machine as it is now."""
    circumstances = Path("/var/lib/dpkg/status").read_bytes() + Path(__file__).read_bytes()
    return Boot(*kept.prepare("guest", circumstances, make))
