"""What ends and begins again under a real systemd, and the leases that live on."""


def test_leases_outlive_a_restart(service, held, witness):
    other, before = witness("/images/persistent.img"), service.pid
    service.systemctl("restart")
    assert service.pid not in (before, 0)
    held.assert_unchanged()
    other.stop()
    assert not other.locked


def test_leases_outlive_a_kill(service, held, witness):
    other = witness("/images/persistent.img")
    service.kill()
    held.assert_unchanged()
    other.stop()
    assert not other.locked
