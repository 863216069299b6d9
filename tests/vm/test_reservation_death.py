"""SIGKILL at calls that change something, while a LUN is locked and given back: the next start leaves no registration that no lease explains."""

from harness import DEATH, BusError, Injection
from initiators import fresh_initiators, registered_keys


def die_at(world, host, number, operate):
    """Runs operate() until the service of the host dies at that call, and starts it again. Returns which call it was, or ""."""
    injection = Injection(world.folder, DEATH, number)
    injection.attach(host.service.pid)
    try:
        operate()
        host.root.list()
    except BusError as error:
        assert error.name in ("NoReply", "ServiceUnknown", "NameHasNoOwner"), error
    met = injection.met()
    if met:
        host.kill()
        host.start()
    injection.close()
    return met


def sweep(world, numbers, operate):
    a, _, stranger = fresh_initiators(world)
    for number in numbers:
        met = die_at(world, a, number, lambda: operate(a))
        leases = a.root.list()
        keys = registered_keys(world, stranger)
        assert len(keys) == len(leases), f"death {number}, before {met or 'the end'}: {keys} registered for {len(leases)} leases"
        for lease in leases:
            assert a.check(lease) == "active" and a.write() is None, f"death {number}, before {met}"
        a.clean()
        assert registered_keys(world, stranger) == [], f"death {number}, before {met}"
        if not met:
            assert number > 10
            return


def test_whatever_call_a_service_dies_at_its_registration_is_a_leases_or_gone(world):
    # One call in four: in a guest every death takes seconds.
    sweep(world, range(1, 50, 4), lambda host: host.acquire("shared").release())
