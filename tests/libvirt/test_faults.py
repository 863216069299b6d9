"""Parts that fail: no domain dies of it, no lock is lost, and nothing hangs."""

import itertools
import os
import signal

import pytest

from harness import NAME, Client, wait_until
from harness.domain import disk, small_domain
from vm import Vm


def lease_element(key="key"):
    return f"<lease><lockspace>cluster</lockspace><key>{key}</key><target path='/leases/one' offset='1048576'/></lease>"


# ---- what becomes of a domain whose lock is lost ----

def break_lease(root):
    [lease] = root.list()
    root.call("Break", "(osa{sv})", lease, "test", {})


def test_a_domain_that_wants_so_is_powered_off(libvirt, root, qcow2):
    vm = Vm(libvirt, root, qcow2("base.qcow2"), more="<on_lockfailure>poweroff</on_lockfailure>")
    break_lease(vm.root)
    wait_until(lambda: libvirt.running() == set(), "the domain to be powered off")


def test_a_domain_that_wants_so_is_paused(libvirt, root, qcow2):
    vm = Vm(libvirt, root, qcow2("base.qcow2"), more="<on_lockfailure>pause</on_lockfailure>")
    break_lease(vm.root)

    def stopped():
        with open(f"/proc/{libvirt.pid()}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "T"
    wait_until(stopped, "QEMU to stand still")


def test_a_domain_that_is_to_be_restarted_is_told_what_is_possible(libvirt, image):
    said = libvirt.refused_create(small_domain(disk(image()), more="<on_lockfailure>restart</on_lockfailure>"))
    assert "use poweroff, pause or ignore" in said


# ---- leases without a disk ----

def test_a_lease_element_is_had_by_one_domain(libvirt, root):
    libvirt.create(small_domain(lease_element(), name="web01"))
    assert root.held() == {"lease:///cluster/key": "exclusive"}
    assert "lease:///cluster/key is held exclusively by web01" in libvirt.refused_create(small_domain(lease_element(), name="web02"))
    libvirt.create(small_domain(lease_element("other"), name="web03"))


def test_a_lease_element_comes_and_goes(running, root):
    running.attach(lease_element())
    assert root.held() == {str(running.base): "exclusive", "lease:///cluster/key": "exclusive"}
    running.virsh("detach-device", running.libvirt.file(lease_element()))
    running.has(base="exclusive")


# ---- without disklockd ----

def test_without_disklockd_no_domain_starts_and_the_user_reads_why(bus, start_libvirt, image):
    libvirt = start_libvirt()
    said = libvirt.refused_create(small_domain(disk(image())))
    assert "disklockd does not answer" in said and "systemctl status disklockd" in said


# ---- deaths and restarts while a domain runs ----

@pytest.mark.parametrize("hook", [False, True], ids=["lock driver alone", "with the hook"])
@pytest.mark.parametrize("order", itertools.permutations(["libvirtd", "disklockd", "dbus-daemon"]), ids="-".join)
def test_a_domain_and_its_lock_outlive_the_death_of_every_part(bus, service, start_libvirt, root, qcow2, order, hook):
    libvirt = start_libvirt(hook=hook)
    vm = Vm(libvirt, root, qcow2("base.qcow2"))
    pid = libvirt.pid()

    def restart_bus():
        """libvirtd ends itself when the bus is gone."""
        bus.crash()
        bus.start()
        libvirt.restart()
    restart = {"libvirtd": libvirt.restart, "disklockd": service.restart, "dbus-daemon": restart_bus}
    for part in order:
        restart[part]()
        bus.wait_for_name(NAME, service.process)
        assert "is held exclusively by web01" in libvirt.refused_create(
            small_domain(disk(vm.base, form="qcow2"), name="web02"))
    assert (libvirt.state(), libvirt.pid()) == ("running", pid)
    vm.root = Client(bus)
    vm.has(base="exclusive")
    vm.virsh("suspend")
    vm.virsh("resume")
    vm.virsh("destroy")
    wait_until(lambda: not vm.root.list(), "the leases to end")


def test_a_paused_domain_resumes_after_a_restart_of_libvirtd(libvirt, root, qcow2):
    vm = Vm(libvirt, root, qcow2("base.qcow2"), paused=True)
    libvirt.restart()
    assert vm.states() == {"suspended"}
    vm.runs()


def test_what_ends_while_libvirtd_is_away_leaves_no_lease(libvirt, running, root):
    pid = libvirt.pid()
    libvirt.kill()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not root.list(), "the leases to end")
    libvirt.start()
    assert libvirt.running() == set()
