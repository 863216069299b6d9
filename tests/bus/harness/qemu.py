"""A real QEMU that has a disk open; its CPUs never run."""

import socket

from .process import PATIENCE, Process, wait_until


def obeys(path):
    """QEMU does as it is told once its machine stands and its disks are open; it greets before that."""
    with socket.socket(socket.AF_UNIX) as monitor:
        try:
            monitor.connect(str(path))
        except OSError:
            return False
        monitor.settimeout(PATIENCE)
        monitor.sendall(b'{"execute": "qmp_capabilities"}{"execute": "query-status"}')
        said = b""
        while b'"prelaunch"' not in said:
            more = monitor.recv(1000)
            if not more:
                return False
            said += more
        return True


def wait_for_qemu(process, monitor):
    """Until the QEMU that listens on the socket `monitor` has its disks open."""
    wait_until(lambda: obeys(monitor) or not process.is_alive(), "QEMU")
    assert process.is_alive(), process.output()


def still_obeys(folder, name):
    """The QEMU that start_qemu() called so runs, and answers."""
    return obeys(folder / f"{name}.sock")


def start_qemu(folder, name, drive):
    """`drive`: what -drive takes."""
    monitor = folder / f"{name}.sock"
    process = Process(name, [
        "qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-m", "64", "-nodefaults", "-display", "none", "-S",
        "-drive", f"{drive},if=virtio", "-qmp", f"unix:{monitor},server=on,wait=off"], folder)
    wait_for_qemu(process, monitor)
    return process
