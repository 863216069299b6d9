"""The real polkitd on the private bus, in a mount namespace of its own.

There it finds our built actions, a rules folder of the test's, and login sessions that the test makes up; the machine's
stay as they are. polkitd learns who is in an active session from libsystemd, which reads /proc/PID/cgroup and
/run/systemd: so a session is two files there and one over the caller's cgroup file, seen by polkitd alone.
"""

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from gi.repository import Gio, GLib

from .process import Process, wait_until

POLKITD = "/usr/lib/polkit-1/polkitd"
NAME = "org.freedesktop.PolicyKit1"
UNUSED_GID = 59999
SYSTEM_ACTIONS = Path("/usr/share/polkit-1/actions")
# In a chroot / is no mount point: then it is the namespace's own root, which one gets by entering the namespace, that keeps
# what is mounted here from the machine. And where there are no cgroups libsystemd would not look at /proc/PID/cgroup.
ENTER = """
set -e
mount --make-rprivate / 2>/dev/null || nsenter --mount=/proc/self/ns/mnt mount --make-rprivate /
mount --bind "$1/run" /run
mount --bind "$1/actions" /usr/share/polkit-1/actions
mount --bind "$1/rules.d" /etc/polkit-1/rules.d
mount --bind "$1/group" /etc/group
if [ ! -e /sys/fs/cgroup/cgroup.procs ] && [ ! -e /sys/fs/cgroup/unified/cgroup.procs ]; then
    [ -d /sys/fs/cgroup ] || mount -t sysfs sysfs /sys
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
exec "$2" --no-debug
"""


class Polkit:
    """polkitd; starts at once. `policy_files`: actions to add to those of the machine."""

    def __init__(self, bus, policy_files):
        self.bus = bus
        self.folder = bus.folder / "polkit"
        self._changes = 0
        self._sessions = 0
        shutil.copytree(SYSTEM_ACTIONS, self.folder / "actions")
        shutil.copy("/etc/group", self.folder / "group")
        for file in policy_files:
            shutil.copy(file, self.folder / "actions")
        for name in ("rules.d", "run/systemd/sessions", "run/systemd/users", "run/systemd/seats",
                     "run/systemd/machines"):
            (self.folder / name).mkdir(parents=True)
        bus.watcher.signal_subscribe(NAME, f"{NAME}.Authority", "Changed", None, None, 0, self._on_changed)
        self.start()

    def _on_changed(self, *_):
        self._changes += 1

    def start(self):
        # What makes us end by a critical message is not for polkitd: that of Debian 13 has some.
        self.process = Process(
            "polkitd", ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", ENTER, "sh", self.folder, POLKITD],
            self.bus.folder, env=self.bus.environment(G_DEBUG=""))
        self.bus.wait_for_name(NAME, self.process)

    def stop(self):
        """It is there and says nothing."""
        self.process.signal(signal.SIGSTOP)

    def cont(self):
        self.process.signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        wait_until(lambda: not self.bus.has_owner(NAME), "polkit's name to be gone")

    def close(self):
        self.process.signal(signal.SIGCONT)
        self.process.kill()

    def allow_paths(self, *paths):
        """Says yes to Alice's Acquire for these paths, and no to any other."""
        wanted = " || ".join(f'action.lookup("path") == "{path}"' for path in paths)
        self.add_rule(f"""polkit.addRule(function(action, subject) {{
            if (action.id == "org.disklock.disklock1.acquire" && subject.user == "games")
                return {wanted} ? polkit.Result.YES : polkit.Result.NO;
        }});""", name="50-allow-paths")

    def change(self, do):
        """Does what polkitd says to all that it has changed by, and returns once it has said so."""
        before = self._changes
        do()
        wait_until(lambda: self._changes > before, "polkit to take it in")

    def add_rule(self, javascript, name="50-test"):
        """Writes a rules file and returns once polkitd has read it."""
        file = self.folder / "rules.d" / f"{name}.rules"
        unfinished = file.with_suffix(".new")
        unfinished.write_text(javascript)
        self.change(lambda: unfinished.rename(file))

    def allow(self, uid, *actions):
        """Says yes to a uid for our actions, named without their prefix; without any, for all of them."""
        wanted = " || ".join(f'action.id == "org.disklock.disklock1.{action}"' for action in actions)
        wanted = wanted or 'action.id.indexOf("org.disklock.disklock1.") == 0'
        user = user_name(uid)
        self.add_rule(f"""polkit.addRule(function(action, subject) {{
            if (({wanted}) && subject.user == "{user}") return polkit.Result.YES;
        }});""", name=f"50-allow-{uid}-{'-'.join(actions) or 'all'}")

    def log_in(self, uid, pid):
        """Makes polkitd see process `pid` in an active session of `uid` on seat0."""
        self._sessions += 1
        session = f"t{self._sessions}"
        run = self.folder / "run" / "systemd"
        (run / "sessions" / session).write_text(
            f"UID={uid}\nUSER={user_name(uid)}\nACTIVE=1\nIS_DISPLAY=1\nSTATE=active\nREMOTE=0\nTYPE=tty\n"
            f"CLASS=user\nSCOPE=session-{session}.scope\nSEAT=seat0\nLEADER={pid}\n")
        (run / "users" / str(uid)).write_text(
            f"NAME={user_name(uid)}\nSTATE=active\nDISPLAY={session}\nSESSIONS={session}\n"
            f"ACTIVE_SESSIONS={session}\nONLINE_SESSIONS={session}\nSEATS=seat0\n")
        scope = f"/user.slice/user-{uid}.slice/session-{session}.scope"
        cgroup = self.folder / f"cgroup-{session}"
        cgroup.write_text(f"1:name=systemd:{scope}\n0::{scope}\n")
        self.run_inside("mount", "--bind", cgroup, f"/proc/{pid}/cgroup")

    def make_group(self, name, *uids):
        """A group that polkitd alone knows of, with these members. Returns its number: polkit 122 looks the user up in it, 126 asks
        the caller's process for it."""
        file = self.folder / "group"
        others = [line for line in file.read_text().splitlines() if not line.startswith(f"{name}:")]
        file.write_text("\n".join([*others, f"{name}:x:{UNUSED_GID}:{','.join(map(user_name, uids))}", ""]))
        return UNUSED_GID

    def run_inside(self, *command):
        """Runs a command in polkitd's mount namespace."""
        subprocess.run(["nsenter", "--target", str(self.process.pid), "--mount", "--root", "--", *map(str, command)],
                       check=True)


AGENT = """<node><interface name="org.freedesktop.PolicyKit1.AuthenticationAgent">
<method name="BeginAuthentication"><arg type="s" direction="in"/><arg type="s" direction="in"/><arg type="s" direction="in"/>
<arg type="a{ss}" direction="in"/><arg type="s" direction="in"/><arg type="a(sa{sv})" direction="in"/></method>
<method name="CancelAuthentication"><arg type="s" direction="in"/></method></interface></node>"""
AGENT_PATH = "/org/freedesktop/PolicyKit1/AuthenticationAgent"


class Agent:
    """What polkit prompts a process by, which the process's own user may run: `seen` are the action, the message and the
    details of every prompt. `answer`: the password is given; None: nobody is there to give it or to refuse it."""

    def __init__(self, polkit, pid, answer=True):
        self.seen, self.answer = [], answer
        self.asked = []  # for each prompt the uids of whose password it takes
        self._connection = polkit.bus.connect()
        interface = Gio.DBusNodeInfo.new_for_xml(AGENT).interfaces[0]
        self._connection.register_object(AGENT_PATH, interface, self._on_call, None, None)
        self._uid = os.stat(f"/proc/{pid}").st_uid
        started = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        subject = ("unix-process", {"pid": GLib.Variant("u", pid), "start-time": GLib.Variant("t", started)})
        polkit.change(lambda: self._ask("RegisterAuthenticationAgent", "((sa{sv})ss)", subject, "C", AGENT_PATH))

    def _ask(self, member, signature, *arguments):
        self._connection.call_sync(NAME, "/org/freedesktop/PolicyKit1/Authority", f"{NAME}.Authority", member,
                                   GLib.Variant(signature, arguments), None, Gio.DBusCallFlags.NONE, -1, None)

    def _on_call(self, _connection, _sender, _path, _interface, member, parameters, invocation):
        if member != "BeginAuthentication":
            invocation.return_value(None)
            return
        action, message, _, details, cookie, identities = parameters.unpack()
        self.asked.append([whose.get("uid") for _, whose in identities])
        self.seen.append((action.rpartition(".")[2], message, details))
        if self.answer:
            self._give_password(cookie)
        if self.answer is not None:
            invocation.return_value(None)

    def _give_password(self, cookie):
        """polkit 122 knows an agent by the user who registered it, 126 by the user of the process that it is for."""
        root = ("unix-user", {"uid": GLib.Variant("u", 0)})
        try:
            self._ask("AuthenticationAgentResponse2", "(us(sa{sv}))", 0, cookie, root)
        except GLib.Error:
            self._ask("AuthenticationAgentResponse2", "(us(sa{sv}))", self._uid, cookie, root)


def user_name(uid):
    return pwd.getpwuid(uid).pw_name
