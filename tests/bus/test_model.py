"""Sixteen clients do what comes to their minds, and die, and the service dies, and a model of a page knows what must be."""

import os
import random
import subprocess
from dataclasses import replace

import pytest

import model
from harness import LEASE, BusError, Client, options, wait_until

POLICY = """
[Rule everything]
backend=fcntl;host
check-interval=3600
connection-grace=0.01
"""
CLIENTS, DISKS, ENOUGH = 16, 10, 5
OPERATIONS = int(os.environ.get("DISKLOCK_MODEL_OPERATIONS", "10000"))
SEED = int(os.environ.get("DISKLOCK_MODEL_SEED", "1"))
GONE = ("NoReply", "ServiceUnknown", "NameHasNoOwner")
# How often what is asked for.
WISHES = {"acquire": 30, "set": 10, "hold": 4, "adopt": 10, "release": 30, "convert": 12, "suspend": 6, "resume": 8, "break": 3}


class Player:
    """A client, its VM's process, and the descriptors that keep its leases."""

    def __init__(self, bus, name):
        self.bus, self.name = bus, name
        self.keeps = {}  # lease → descriptor
        self.client = self.process = None
        self.connect()
        self.run()

    def connect(self):
        self.client = Client(self.bus)

    def run(self):
        self.process = subprocess.Popen(["sleep", "100000"])

    def end(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.end()
        self.client.close()
        for keep in self.keeps.values():
            os.close(keep)


class Game:
    """The service, its clients, and what the model knows."""

    def __init__(self, service, image):
        self.service = service
        self.random = random.Random(SEED)
        self.disks = [str(image(f"{number}.img")) for number in range(DISKS)]
        self.players = [Player(service.bus, f"vm{number}") for number in range(CLIENTS)]
        self.observer = Client(service.bus)
        self.leases = {}  # the model
        self.token = 0
        self.operations = self.deaths = 0
        self.history = []

    def close(self):
        for player in self.players:
            player.close()

    # ---- one operation ----

    def choose(self, player):
        """What the player wants now."""
        own = [lease for lease in self.leases.values() if lease.owner == player.name]
        what = "release" if len(own) > ENOUGH else self.random.choices(list(WISHES), WISHES.values())[0]
        asked = model.Operation(player.name, what, tag=f"{player.name} {self.operations}", pid=player.process.pid)
        if what in ("acquire", "adopt", "hold"):
            lifetime = "fd" if what == "hold" else self.random.choice(("persistent", "process", "connection"))
            return replace(asked, disks=((self.random.choice(self.disks), self.random.choice(model.MODES)),), lifetime=lifetime)
        if what == "set":
            disks = self.random.sample(self.disks, self.random.randint(2, 4))
            return replace(asked, disks=tuple((disk, self.random.choice(model.MODES)) for disk in disks))
        if not own:
            return None
        return replace(asked, lease=self.random.choice(own).path, mode=self.random.choice(model.MODES))

    def send(self, player, asked):
        client = player.client
        how = {"owner": player.name, "pid": player.process.pid, "why": asked.tag}
        if asked.what == "hold":
            return client.start("Hold", "(ssa{sv})", *asked.disks[0], options(how))
        if asked.what == "set":
            return client.start_acquire_set(asked.disks, **how)
        if asked.what in ("acquire", "adopt"):
            more = {"adopt": True} if asked.what == "adopt" else {}
            return client.start_acquire(*asked.disks[0], lifetime=asked.lifetime, **how, **more)
        if asked.what == "release":
            return client.start("Release", "(o)", asked.lease)
        if asked.what == "break":
            return client.start("Break", "(osa{sv})", asked.lease, "game", {})
        lease = {"path": asked.lease, "interface": LEASE}
        if asked.what == "convert":
            return client.start("Convert", "(s)", asked.mode, **lease)
        return client.start(asked.what.capitalize(), **lease)

    def outcome(self, player, asked, pending, gone):
        """The operation with its answer; an outcome of "" if there was none, which is what errors in `gone` say."""
        try:
            values = pending.result()
        except BusError as error:
            return asked if error.name in gone else replace(asked, outcome=error.name)
        granted = ()
        if asked.disks:
            granted = tuple(values[0]) if asked.what == "set" else (values[:2],)
            for _, token in granted if asked.what != "adopt" else ():
                assert token > 0
                self.token = max(self.token, token)
        if asked.what == "hold":
            player.keeps[values[0]] = pending.fds[values[2]]
        return replace(asked, outcome="granted", leases=tuple(path for path, _ in granted))

    # ---- several at once ----

    def play(self, crash=False):
        """Some clients ask at the same time, and maybe the service dies meanwhile."""
        chosen = self.random.sample(self.players, self.random.randint(1, CLIENTS))
        asked = [(player, self.choose(player)) for player in chosen]
        # Whoever did not get his descriptor holds nothing, but may have been in the way.
        asked = [(player, one) for player, one in asked if one and not (crash and one.what == "hold")]
        pending = [self.send(player, one) for player, one in asked]
        if crash:
            enough = self.random.randint(0, len(pending))
            wait_until(lambda: sum(one.done for one in pending) >= enough, "answers")
            self.die()
            self.service.start()
        # One that ends in order answers to the last, but asks nobody any more who a caller is, and then has no objects.
        gone = (*GONE, "NotAuthorized", "UnknownMethod") if crash else ()
        done = [self.outcome(player, one, answer, gone) for (player, one), answer in zip(asked, pending)]
        self.operations += len(done)
        if crash:
            done = self.find_out(done)
        self.history = (self.history + [str(one) for one in done])[-60:]
        after = model.explain(self.leases, done, self.alive(), crash)
        assert after is not None, "no order of the last operations explains their answers"
        self.leases = after

    def find_out(self, done):
        """What became of those that were not answered: the one or the other, and both are right."""
        seen = self.observer.list()
        by_tag = {}
        for path, lease in seen.items():
            by_tag.setdefault(lease["Why"], []).append((lease["Path"], path))
        return [one if one.outcome else self._found(one, seen, by_tag.get(one.tag, [])) for one in done]

    def _found(self, asked, seen, granted):
        if asked.disks:
            order = [disk for disk, _ in asked.disks]
            leases = tuple(path for _, path in sorted(granted, key=lambda one: order.index(one[0])))
            assert len(leases) in (0, len(order)), "half a set"
            return replace(asked, outcome="granted" if leases else "nothing", leases=leases)
        before, now = self.leases[asked.lease], seen.get(asked.lease)
        if asked.what == "release":
            return replace(asked, outcome="nothing" if now else "granted")
        changed = (now["Mode"], now["State"]) != (before.mode, before.state)
        return replace(asked, outcome="granted" if changed else "nothing")

    # ---- ends ----

    def alive(self):
        return {player.process.pid for player in self.players}

    def end_leases(self, ended):
        """These leases, and no others, must end."""
        paths = {path for path, lease in self.leases.items() if ended(lease)}
        self.leases = {path: lease for path, lease in self.leases.items() if path not in paths}
        wait_until(lambda: not paths & set(self.observer.list()), "leases to end with what they were for")

    def end_process(self, meanwhile):
        player = self.random.choice(self.players)
        pid = player.process.pid
        player.end()
        meanwhile()
        self.history.append(f"end process {player.name} {pid}")
        self.end_leases(lambda lease: lease.lifetime == "process" and lease.pid == pid and lease.state != "broken")
        player.run()

    def end_connection(self, meanwhile):
        player = self.random.choice(self.players)
        player.client.close()
        meanwhile()
        self.history.append(f"end connection {player.name}")
        self.end_leases(lambda lease: lease.lifetime == "connection" and lease.owner == player.name and lease.state != "broken")
        player.connect()

    def close_keep(self, meanwhile):
        player = self.random.choice(self.players)
        held = [path for path in player.keeps if path in self.leases]
        for path in set(player.keeps) - set(held):
            os.close(player.keeps.pop(path))
        if held:
            os.close(player.keeps.pop(held[0]))
        meanwhile()
        self.end_leases(lambda lease: held and lease.path == held[0] and lease.state != "broken")

    def die(self):
        self.deaths += 1
        if self.random.random() < 0.8:
            self.service.crash()
        else:
            self.service.stop()
            self.service.manager.read()

    def end_something(self):
        """A process, a connection or a descriptor; sometimes while the service is away."""
        how = self.random.choice((self.end_process, self.end_connection, self.close_keep))
        if self.random.random() < 0.7:
            how(lambda: None)
            return
        self.die()
        how(self.service.start)

    # ---- what must be ----

    def check(self):
        seen = {path: model.Lease(path, lease["Owner"], lease["Path"], lease["Mode"], lease["Lifetime"], lease["Pid"], lease["State"])
                for path, lease in self.observer.list().items()}
        assert not set(seen.values()) ^ set(self.leases.values())
        held = [lease for lease in seen.values() if lease.state == "active"]
        wanted = sorted((os.stat(lease.disk).st_ino, "WRITE" if lease.mode == "exclusive" else "READ") for lease in held)
        wait_until(lambda: self.locks() == wanted, "the locks to be those of the leases")
        fds = len(held) + sum(lease.lifetime == "fd" for lease in seen.values() if lease.state != "broken")
        wait_until(lambda: len(self.service.manager.names()) == fds, "the store to have what it needs")

    def locks(self):
        inodes = {os.stat(disk).st_ino for disk in self.disks}
        with open("/proc/locks", encoding="ascii") as file:
            lines = [line.split() for line in file]
        found = [(int(words[5].split(":")[2]), words[3]) for words in lines if words[1] == "OFDLCK"]
        return sorted((inode, kind) for inode, kind in found if inode in inodes)


@pytest.fixture
def game(start_service, image):
    game = Game(start_service(POLICY, managed={}), image)
    yield game
    game.close()


def test_the_service_does_what_the_model_says(game):
    rounds = 0
    try:
        while game.operations < OPERATIONS:
            rounds += 1
            game.play(crash=rounds % 20 == 0)
            if rounds % 5 == 0:
                game.end_something()
            if rounds % 10 == 0:
                game.check()
        game.check()
    except Exception as error:
        history = "\n".join(game.history)
        raise AssertionError(f"DISKLOCK_MODEL_SEED={SEED}, after {game.operations} operations and {game.deaths} deaths of the service:\n"
                             f"{history}") from error
    print(f"seed {SEED}: {game.operations} operations, {game.deaths} deaths of the service")
