"""What a guest boots from: Debian's kernel and the tools that the machine itself need not have, unpacked and never installed."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(os.environ.get("DISKLOCK_VM_CACHE", "/var/cache/disklock-tests"))
KERNEL = "linux-image-amd64"
# What the guests use and the machine may lack.
PACKAGES = ["busybox-static", "dmsetup", "e2fsprogs", "fdisk", "iproute2", "kmod", "lvm2", "mdadm", "mount", "multipath-tools",
            "nfs-common", "nfs-kernel-server", "rpcbind", "sg3-utils", "udev", "util-linux"]
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


class Failed(Exception):
    """Something that a guest needs cannot be had; the text says what, and why."""


def run(*command, **options):
    """Runs a command and returns its output; whatever it says goes into the error if it fails."""
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, **options)
    if done.returncode != 0:
        output = b"".join(text if isinstance(text, bytes) else text.encode() for text in (done.stdout, done.stderr))
        raise Failed(f"{' '.join(map(str, command))} ended with {done.returncode}\n{output.decode(errors='replace')[-4000:]}")
    return done.stdout


def kernel_packages():
    """The package that the kernel's metapackage stands for, and those its modules are in, where they are apart."""
    found, asked = [], [KERNEL]
    for name in asked:
        depends = run("apt-cache", "depends", "--important", name, text=True)
        more = re.findall(r"Depends: (linux-(?:image|modules|binary)-\S+)", depends)
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
    shutil.copy(boot.root / "boot" / f"vmlinuz-{boot.modules.name}", boot.kernel)
    shutil.rmtree(boot.root / "boot")


def prepare():
    """
    Returns a Boot; makes it first where there is none for this machine as it is now. As long as the Boot is there, nobody
    replaces it.
    """
    circumstances = Path("/var/lib/dpkg/status").read_bytes() + Path(__file__).read_bytes()
    folder = FOLDER / hashlib.sha256(circumstances).hexdigest()[:16]
    FOLDER.mkdir(parents=True, exist_ok=True)
    lock = open(FOLDER / "lock", "w", encoding="utf-8")
    fcntl.flock(lock, fcntl.LOCK_SH)
    if not folder.exists():
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            replace_by(folder)
        fcntl.flock(lock, fcntl.LOCK_SH)
    return Boot(folder, lock)


def replace_by(folder):
    for old in FOLDER.glob("*/"):
        shutil.rmtree(old)
    unfinished = FOLDER / "unfinished"
    unfinished.mkdir()
    make(unfinished)
    unfinished.rename(folder)
