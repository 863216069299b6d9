"""Volumes of libvirt's storage pools: named by a domain, found by what libvirt keeps of its pools."""

import pytest
from harness.domain import UUID
from harness.service import POLICY

# A host with one pool, whose folder is $1.
WITH_POOL = """
mount -t tmpfs tmpfs /run && mkdir -p /run/libvirt/storage &&
echo "<poolstate><pool type='dir'><name>default</name><target><path>$1</path></target></pool></poolstate>" \
    > /run/libvirt/storage/default.xml
shift
exec "$@"
"""


def domain_of(volume):
    return (f"<domain type='kvm'><name>web01</name><uuid>{UUID}</uuid><devices><disk type='volume' device='disk'>"
            f"<driver name='qemu' type='qcow2'/><source pool='default' volume='{volume}'/><target dev='vda'/></disk></devices></domain>")


@pytest.fixture
def pool(qcow2, folder):
    """Where `qcow2` makes images."""
    return folder / "chain"


@pytest.fixture
def service(pool, polkit, start_service):
    return start_service(POLICY, under=["unshare", "--mount", "--propagation", "private", "sh", "-c", WITH_POOL, "sh", pool])


def test_a_volume_is_the_file_that_it_is_kept_in(root, qcow2):
    path = qcow2("web01.qcow2")
    root.acquire_domain(domain_of("web01.qcow2"), owner="web01")
    assert root.held() == {str(path): "exclusive"}
    error = root.refused_acquire(path)
    assert error.name == "Busy" and "web01" in error.message


def test_the_backing_chain_of_a_volume_is_taken(root, qcow2):
    base = qcow2("base.qcow2")
    overlay = qcow2("web01.qcow2", "base.qcow2")
    root.acquire_domain(domain_of("web01.qcow2"), owner="web01")
    assert root.held() == {str(overlay): "exclusive", str(base): "read-only"}


def test_inspect_takes_the_name_of_a_volume(root, qcow2):
    path = qcow2("web01.qcow2")
    assert root.inspect("volume:///default/web01.qcow2")["disk"] == root.inspect(path)["disk"]


def test_a_volume_of_an_unknown_pool_is_refused_with_its_name(root):
    error = root.refused_acquire_domain(domain_of("web01.qcow2").replace("default", "other"))
    assert error.name == "InvalidArgs"
    assert "disk vda" in error.message and "storage pool other" in error.message


def test_polkit_is_asked_about_the_file_behind_a_volume(root, client, polkit, qcow2):
    qcow2("web01.qcow2")
    polkit.add_rule("""polkit.addRule(function(action, subject) {
        if (action.id == "org.disklock.disklock1.acquire")
            return action.lookup("path").indexOf("volume:") == 0 ? polkit.Result.YES : polkit.Result.NO;
    });""")
    assert client(5).refused_acquire_domain(domain_of("web01.qcow2")).name == "NotAuthorized"
