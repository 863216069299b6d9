"""A journal of the leases that somebody has tampered with, checksums and all: no disk gets two writers, no other lock is touched."""

import fcntl
import os
import signal

import pytest

from harness import lock_of, wait_until


def checksum(text):
    """FNV-1a, 64 bits."""
    value = 14695981039346656037
    for byte in text:
        value = (value ^ byte) * 1099511628211 % 2**64
    return value


class Lines:
    """The records in the journal of a service that does not run, each a dictionary of texts."""

    def __init__(self, service):
        self._path = service.runtime / "leases"
        header, *lines = self._path.read_text().splitlines()
        self._header, self._boot = header, header.split()[2]
        self.records = [dict(word.split("=", 1) for word in line.split(" ")[2:]) for line in lines if line[0] == "+"]
        assert self.records and self._seal(self.records[0]) in lines

    def _seal(self, record):
        body = " ".join(f"{key}={value}" for key, value in record.items())
        return f"+ {checksum((self._boot + body).encode()):016x} {body}"

    def write(self):
        self._path.write_text("\n".join([self._header, *map(self._seal, self.records)]) + "\n")


@pytest.fixture(params=["store", "by hand"])
def service(request, start_service):
    return start_service(managed={} if request.param == "store" else None)


@pytest.fixture
def forge(service):
    """Restarts the service; in between the function gets the records."""
    def forge(change):
        service.crash()
        lines = Lines(service)
        change(lines.records)
        lines.write()
        service.start()
    return forge


def test_what_is_written_back_unchanged_is_believed(service, forge, client, disk):
    lease = client().acquire(disk, owner="läuft = gut\\")
    forge(lambda records: None)
    assert lease["State"] == "active" and lease["Owner"] == "läuft = gut\\"


def test_of_two_exclusive_leases_of_one_disk_the_later_is_broken(service, forge, client, process, disk, signals):
    child = process()
    lease = client().acquire(disk, pid=child.pid, on_break="kill")
    double = lease.path[:-4] + "0000"
    forge(lambda records: records.append({**records[0], "id": double[-32:], "token": str(lease.token + 1), "fds": ","}))
    assert lease["State"] == "active" and lock_of(disk) == fcntl.F_WRLCK
    assert signals.wait_for("LeaseBroken")[0] == double
    assert child.wait(60) == -signal.SIGKILL
    lease.release()
    wait_until(lambda: lock_of(disk) == fcntl.F_UNLCK, "the lock to go")


def test_two_leases_of_one_token_are_one(service, forge, client, disk):
    root = client()
    lease = root.acquire(disk)
    forge(lambda records: records.append({**records[0], "id": "0" * 32}))
    assert len(root.list()) == 1 and "two records of leases with one token" in service.process.output().lower()
    root.release(next(iter(root.list())))
    wait_until(lambda: lock_of(disk) == fcntl.F_UNLCK, "the lock to go")
    assert str(lease)


def test_a_record_that_leads_to_another_disk_does_not_get_it(service, forge, client, image):
    root, mine, other = client(), image("mine.img"), image("other.img")
    lease = root.acquire(mine)
    forge(lambda records: records[0].update({"real-path": str(other), "path": str(other)}))
    assert lease["State"] == "broken"
    assert lock_of(other) == fcntl.F_UNLCK
    wait_until(lambda: lock_of(mine) == fcntl.F_UNLCK, "the lock to go")


def test_a_path_to_the_services_own_files_is_not_followed(service, forge, client, disk):
    """Only the stored descriptor leads to the disk then."""
    lease = client().acquire(disk)
    forge(lambda records: records[0].update({"real-path": "/proc/self/fd/3"}))
    assert lease["State"] == ("active" if service.manager else "broken")
    assert lock_of(disk) == (fcntl.F_WRLCK if service.manager else fcntl.F_UNLCK)


def test_exchanged_descriptors_unlock_nobody_elses_disk(service, forge, client, image):
    if not service.manager:
        return
    root, paths = client(), [image(f"{i}.img") for i in range(3)]
    leases = [root.acquire(path) for path in paths]

    def exchange(records):
        records[0]["fds"], records[1]["fds"] = records[1]["fds"], records[0]["fds"]
    forge(exchange)
    assert [lease["State"] for lease in leases] == ["broken", "broken", "active"]
    assert lock_of(paths[2]) == fcntl.F_WRLCK
    wait_until(lambda: {lock_of(path) for path in paths[:2]} == {fcntl.F_UNLCK}, "the locks to go")


def test_a_descriptor_that_two_records_name_is_the_firsts(service, forge, client, image):
    if not service.manager:
        return
    root, paths = client(), [image(f"{i}.img") for i in range(2)]
    leases = [root.acquire(path) for path in paths]
    forge(lambda records: records[1].update(fds=records[0]["fds"]))
    assert leases[0]["State"] == "active"
    leases[1].release()
    assert leases[0]["State"] == "active" and lock_of(paths[0]) == fcntl.F_WRLCK
    service.crash()
    assert lock_of(paths[0]) == fcntl.F_WRLCK
    service.start()


@pytest.mark.parametrize("change", [
    {"kind": "network"}, {"kind": "block"}, {"backend": "nonsense"}, {"backend": "scsi"}, {"backend": "lockspace"}, {"rule": "none"},
    {"state": "suspended"}, {"state": "at-risk", "risk-since": str(2**63 - 1)}, {"lifetime": "fd"}, {"lifetime": "connection", "bus-name": "x"},
    {"on-break": "exec"}, {"token": str(2**63 - 1)}, {"pid": "1", "process-start": "1", "lifetime": "process"}, {"fds": "zz9,7J8,x"},
    {"spares": "0,0", "other-mode": "read-only"}, {"keep": "0"}, {"uid": "4294967295"}, {"device": "0", "inode": "0", "disk": "x"},
    {"ancestors": "x\\x0ay"}, {"acquired-at": "0"}, {"more": "1"}, {"unknown-key": "x"},
], ids=str)
def test_no_value_makes_the_service_stumble(service, forge, client, image, change):
    root, disk, other = client(), image("0.img"), image("1.img")
    root.acquire(disk, lifetime="persistent")
    lease = root.acquire(other)
    forge(lambda records: records[0].update(change))
    assert lease["State"] == "active" and lock_of(other) == fcntl.F_WRLCK
    for path, values in root.list(path=str(disk)).items():
        assert values["State"] in ("active", "at-risk", "broken", "suspended")
        root.release(path)
    service.restart()
    assert lease["State"] == "active"


def test_a_journal_that_others_could_have_written_is_not_believed(start_service, client, disk):
    service = start_service()
    client().acquire(disk)
    service.crash()
    journal = service.runtime / "leases"
    os.chown(journal, 5, 5)
    with pytest.raises(AssertionError, match="written by others"):
        service.start()
    assert service.process.wait() == 1
    os.chown(journal, 0, 0)
    service.start()
    assert len(client().list()) == 1
