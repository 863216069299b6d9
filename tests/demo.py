"""The main job, step by step, with busctl and with disklockctl. Called by tools/demo."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "bus"))
import harness  # noqa: E402

MANAGER = f"{harness.NAME} {harness.OBJECT} {harness.MANAGER}"
USER, UID = "games", 5  # a user that every Debian has; not root, and not you
POLICY = """
[Rule images]
match-kind=file
backend=fcntl
check-interval=0.5
"""
BOLD, DIM, PLAIN = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("",) * 3

ACQUIRE_FD = f"""import os, sys
from gi.repository import Gio, GLib
fds = Gio.UnixFDList.new_from_array([os.open(sys.argv[1], os.O_RDWR)])
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
arguments = GLib.Variant("(hsa{{sv}})", (0, "exclusive", {{"owner": GLib.Variant("s", "desktop")}}))
try:
    print(bus.call_with_unix_fd_list_sync("{harness.NAME}", "{harness.OBJECT}", "{harness.MANAGER}",
                                          "AcquireFd", arguments, None, 0, -1, fds)[0])
except GLib.Error as error:
    sys.exit(error.message)
"""


class Demo:
    """Runs commands where the reader can see them, and holds them to what was promised."""

    def __init__(self, bus, polkit, folder):
        self.polkit, self.folder = polkit, folder
        programs = folder / "bin"
        programs.mkdir()
        # Where the build stands the demo's user may not be able to go.
        shutil.copy(harness.build_dir() / "client" / "disklockctl", programs)
        self.environment = bus.environment(PATH=f"{programs}:{os.environ['PATH']}", M=MANAGER, LC_ALL="C.UTF-8")
        self.background = []

    def title(self, text):
        print(f"\n{BOLD}{text}{PLAIN}", flush=True)

    def say(self, text):
        print(f"{DIM}# {text}{PLAIN}", flush=True)

    def run(self, command, *promised, status=0, session=False):
        """Shows a command and its output, which must hold each of `promised`; returns the output."""
        print(f"$ {command}", flush=True)
        child = subprocess.Popen(["bash", "-c", f"kill -STOP $$; {command}" if session else command],
                                 cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True)
        if session:
            os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
            self.polkit.log_in(UID, child.pid)
            child.send_signal(signal.SIGCONT)
        output, _ = child.communicate(timeout=120)
        self.show(output)
        self.hold_to(output, promised)
        if (child.returncode == 0) != (status == 0) or (status > 0 and child.returncode != status):
            sys.exit(f"This ended with {child.returncode}, not with {status}.")
        return output

    def show(self, output):
        for line in output.rstrip().splitlines():
            print(f"    {line}", flush=True)

    def hold_to(self, output, promised):
        for pattern in promised:
            if not re.search(pattern, output, re.S):
                sys.exit(f"This should have shown {pattern!r}.")

    def lease_of(self, output):
        return re.search(r"/org/disklock/DiskLock1/lease/[0-9a-f]{32}|\b[0-9a-f]{32}\b", output).group(0)

    def start(self, command):
        """Shows a command and leaves it running."""
        print(f"$ {command} &", flush=True)
        arguments = ["bash", "-c", f"exec {command}"]
        self.background.append(harness.Process(f"background{len(self.background)}", arguments, self.folder,
                                               cwd=self.folder, env=self.environment))
        return self.background[-1]

    def wait_for(self, process, pattern):
        """Until what runs in the background has said so; shows that line."""
        def line():
            assert process.is_alive() or re.search(pattern, process.output()), process.output()
            return next((line for line in process.output().splitlines() if re.search(pattern, line)), None)
        self.show(harness.wait_until(line, pattern))

    def close(self):
        for process in self.background:
            process.kill()


def take(demo):
    demo.title("1. A disk is taken; who comes second is told who has it")
    demo.run("qemu-img create -q -f qcow2 web.qcow2 64M && qemu-img create -q -f raw data.raw 64M && ls -s *.qcow2 *.raw")
    first = demo.run("busctl call $M Acquire 'ssa{sv}' $PWD/web.qcow2 exclusive 1 owner s web01", r"^ot ")
    refusal = (r"web\.qcow2", "web01", "exclusive", r"\d{4}-\d\d-\d\d \d\d:\d\d")
    demo.run("busctl call $M Acquire 'ssa{sv}' $PWD/web.qcow2 exclusive 1 owner s db01", *refusal, status=1)
    demo.run("disklockctl acquire --owner=db01 web.qcow2", *refusal, status=3)
    demo.say("Two who share, and two who read, stand together; one who wants it alone does not.")
    leases = [demo.run(f"busctl call $M Acquire 'ssa{{sv}}' $PWD/data.raw {mode} 1 owner s {owner}", r"^ot ")
              for mode, owner in (("shared", "node1"), ("read-only", "backup1"))]
    leases += [demo.run(f"disklockctl acquire --mode={mode} --owner={owner} data.raw", "[0-9a-f]{32}")
               for mode, owner in (("shared", "node2"), ("read-only", "backup2"))]
    demo.run("disklockctl acquire --owner=db01 data.raw", "data.raw", status=3)
    demo.run("disklockctl", "web01", "node1", "node2", "backup1", "backup2")
    for lease in leases:
        path = f"/org/disklock/DiskLock1/lease/{demo.lease_of(lease)[-32:]}"
        demo.run(f"busctl call $M Release o {path}")
    return demo.lease_of(first)


def inspect(demo):
    demo.title("2. What is this disk, and who has it?")
    demo.run("busctl call $M Inspect s $PWD/web.qcow2", '"rule" s "images"', '"backend" s "fcntl"', '"state" s "held"', "web01")
    demo.run("disklockctl inspect web.qcow2", "images", "fcntl", "held", "web01")
    demo.say("A QEMU that nobody told us of opens an image for writing.")
    demo.run("qemu-img create -q -f qcow2 other.qcow2 64M")
    qemu = demo.start("qemu-system-x86_64 -machine q35 -accel tcg -m 64 -nodefaults -display none -S "
                      "-drive file=other.qcow2,if=virtio -qmp unix:qmp,server=on,wait=off")
    harness.wait_for_qemu(qemu, demo.folder / "qmp")
    demo.run("busctl call $M Inspect s $PWD/other.qcow2", '"state" s "in-use"', '"what" s "qemu"', str(qemu.pid))
    demo.run("disklockctl inspect other.qcow2", "in-use", "qemu", str(qemu.pid))
    demo.run("busctl call $M Acquire 'ssa{sv}' $PWD/other.qcow2 exclusive 1 owner s db01", "qemu", str(qemu.pid), status=1)
    demo.run("disklockctl acquire --owner=db01 other.qcow2", "qemu", str(qemu.pid), status=3)
    demo.say("It ends; the image is free.")
    qemu.kill()
    demo.run("disklockctl inspect other.qcow2", "free")


def give_back(demo, lease):
    demo.title("3. Released, and waited for")
    first = demo.start("busctl call --timeout=60 $M Acquire 'ssa{sv}' $PWD/web.qcow2 exclusive 2 wait u 60000 owner s first")
    settle(demo)
    second = demo.start("disklockctl acquire --wait=60 --owner=second web.qcow2")
    settle(demo)
    demo.run(f"busctl call $M Release o {lease}")
    demo.wait_for(first, r"^ot ")
    if second.output():
        sys.exit("The second got the disk before the first.")
    demo.run(f"disklockctl release {demo.lease_of(first.output())[-32:]}")
    demo.wait_for(second, "[0-9a-f]{32}")
    demo.run("disklockctl", "second")
    demo.run("busctl call $M ReleaseOwner s second", "^u 1")


def settle(demo):
    """Until what was just started stands in the queue: a while, since nothing on the bus shows who waits."""
    time.sleep(1.5)


def lose(demo):
    demo.title("4. A disk is lost, and whoever listens hears it")
    bus_monitor = demo.start(f"busctl monitor --json=short --match=\"type='signal',sender='{harness.NAME}'\"")
    monitor = demo.start("disklockctl monitor")
    demo.wait_for(monitor, "service-up")
    for number, (command, path) in enumerate([("mv other.qcow2 web.qcow2", "web.qcow2"), ("rm data.raw", "data.raw")]):
        lease = demo.lease_of(demo.run(f"disklockctl acquire --owner=web0{number} {path}"))
        demo.run(command)
        started = time.monotonic()
        demo.wait_for(monitor, f"broken.*{lease[:12]}")
        demo.wait_for(bus_monitor, f"LeaseBroken.*{lease}")
        demo.say(f"heard {time.monotonic() - started:.2f} s after it happened")
        demo.run(f"disklockctl show {lease}", "broken")
        demo.run(f"disklockctl release {lease}")


def authorise(demo):
    demo.title("5. Who may do this")
    as_user = f"setpriv --reuid={USER} --regid={USER} --clear-groups "
    acquire = as_user + "busctl call $M Acquire 'ssa{sv}' $PWD/web.qcow2 exclusive 0"
    demo.say(f"{USER} is not root: polkit wants an administrator's password, and nobody is there to give it.")
    demo.run(acquire, "password", status=1)
    demo.run(as_user + "disklockctl --no-ask-password acquire web.qcow2", status=4)
    rule = f'''polkit.addRule(function(action, subject) {{
    if (action.id == "org.disklock.disklock1.acquire" && subject.user == "{USER}")
        return polkit.Result.YES;
}});
'''
    demo.say("A file in /etc/polkit-1/rules.d:")
    demo.show(rule)
    demo.polkit.add_rule(rule)
    lease = demo.lease_of(demo.run(acquire, "^ot "))
    demo.run(as_user + f"busctl call $M Release o {lease}")
    lease = demo.lease_of(demo.run(as_user + "disklockctl acquire web.qcow2", "[0-9a-f]{32}"))
    demo.run(as_user + "disklockctl", lease[:8])
    demo.run(as_user + f"disklockctl release {lease}")
    demo.say(f"An image of {USER}'s own needs no rule: who sits at the machine and could open a disk may lock it.")
    demo.run(f"qemu-img create -q -f qcow2 own.qcow2 64M && chown {USER}: own.qcow2 && chmod 600 own.qcow2")
    demo.say("The proof is the open file, which busctl cannot send along; a program can.")
    (demo.folder / "acquire-fd").write_text(ACQUIRE_FD)
    demo.run("cat acquire-fd")
    demo.run(as_user + "/usr/bin/python3 acquire-fd own.qcow2", "/org/disklock/DiskLock1/lease/", session=True)
    demo.run("disklockctl", "desktop")
    demo.say("Outside a session at the machine it takes an administrator.")
    demo.run(as_user + "/usr/bin/python3 acquire-fd own.qcow2", "password|allow", status=1)


DOMAIN = """<domain type='kvm'>
  <name>{name}</name>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='{folder}/{name}.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
  </devices>
</domain>
"""


def share_a_base(demo):
    demo.title("6. Every disk of a domain at once, backing files too")
    demo.run("qemu-img create -q -f qcow2 base.qcow2 64M && qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 debian.qcow2")
    for name in ("vm1", "vm2"):
        demo.run(f"qemu-img create -q -f qcow2 -b debian.qcow2 -F qcow2 {name}.qcow2")
        (demo.folder / f"{name}.xml").write_text(DOMAIN.format(name=name, folder=demo.folder))
    demo.run("cat vm1.xml")
    demo.say("Two VMs on one base image run together; the chain is read from the images' headers.")
    demo.run("busctl call $M AcquireDomain 'sa{sv}' \"$(cat vm1.xml)\" 1 owner s vm1", r"^a\(ot\) 3 ")
    demo.run("disklockctl domain acquire vm2.xml", "vm2.qcow2", "debian.qcow2", "base.qcow2")
    demo.run("disklockctl", r"exclusive.*vm1\.qcow2", r"read-only.*debian\.qcow2", r"read-only.*base\.qcow2")
    demo.say("Who wants the base itself, to write to it, is told who reads it.")
    demo.run("busctl call $M Acquire 'ssa{sv}' $PWD/base.qcow2 exclusive 1 owner s vm3", r"base\.qcow2 is held read-only by vm\d", status=1)
    demo.run("disklockctl acquire --owner=vm3 base.qcow2", r"base\.qcow2 is held read-only by vm\d", status=3)
    demo.run("disklockctl domain release vm1.xml && disklockctl domain release vm2.xml")
    demo.run("disklockctl acquire --owner=vm3 base.qcow2", "[0-9a-f]{32}")
    demo.run("busctl call $M ReleaseOwner s vm3", "^u 1")


def show(bus, polkit, service, folder):
    demo = Demo(bus, polkit, folder)
    demo.title("A private system bus with the real polkitd and disklockd")
    print(f"export DBUS_SYSTEM_BUS_ADDRESS={bus.address}\ncd {folder}; PATH=$PWD/bin:$PATH\nM='{MANAGER}'")
    try:
        demo.run("disklockctl status")
        lease = take(demo)
        inspect(demo)
        give_back(demo, lease)
        lose(demo)
        authorise(demo)
        share_a_base(demo)
    finally:
        demo.close()
    service.stop()
    demo.title("All of it was as it must be.")


def open_shell(bus, polkit, service, folder):
    """A shell for whoever wants to try for himself; what it ends with is what tools/demo ends with."""
    demo = Demo(bus, polkit, folder)
    if sys.stdin.isatty():
        print("disklockd answers on a bus of its own, for busctl and disklockctl in this shell; exit ends it.", flush=True)
    status = subprocess.run(["bash"], env=demo.environment, check=False).returncode
    service.stop()
    sys.exit(status)


def main():
    shell = sys.argv[1:] == ["--shell"]
    if sys.argv[1:] and not shell:
        sys.exit("usage: tools/demo [--shell]")
    # Whoever ends us has everything put away.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with contextlib.ExitStack() as ends:
        folder = Path(tempfile.mkdtemp(prefix="disklock-demo-"))
        ends.callback(shutil.rmtree, folder)
        folder.chmod(0o755)
        bus = harness.Bus(folder)
        ends.callback(bus.close)
        polkit = harness.Polkit(bus, harness.policy_files())
        ends.callback(polkit.close)
        shipped = Path(__file__).parents[1] / "data" / "disklock.conf"
        service = harness.Service(bus, shipped.read_text() if shell else POLICY)
        ends.callback(service.process.kill)
        (open_shell if shell else show)(bus, polkit, service, folder)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("Ended before its time", file=sys.stderr)
        sys.exit(130)
