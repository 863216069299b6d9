"""A service that answers what the test wants: faults and hostile texts, which the real one never sends.

    stand_in.py ANSWERS

ANSWERS is JSON: {member: [answer, ...]}, an answer being {"reply": "GVariant text"}, {"error": [name, message]} or {"die": true}; the
last one stands for all further calls. A member that is not in it gets UnknownMethod.
"""

import json
import os
import sys
from pathlib import Path

from gi.repository import Gio, GLib

NAME = "org.disklock.DiskLock1"
OBJECT = "/org/disklock/DiskLock1"
DBUS = Path(__file__).resolve().parents[2] / "dbus"


def on_call(connection, _sender, _path, _interface, member, _arguments, invocation):
    answers = ANSWERS.get(member, [{"error": ["org.freedesktop.DBus.Error.UnknownMethod", member]}])
    answer = answers.pop(0) if len(answers) > 1 else answers[0]
    if "error" in answer:
        invocation.return_dbus_error(*answer["error"])
    elif "reply" in answer:
        # A message of our own: the invocation would refuse a reply of another type than the interface's.
        message = Gio.DBusMessage.new_method_reply(invocation.get_message())
        message.set_body(GLib.Variant.parse(None, answer["reply"], None, None))
        connection.send_message(message, Gio.DBusSendMessageFlags.NONE)
    else:
        os._exit(0)


ANSWERS = json.loads(sys.argv[1])
bus = Gio.bus_get_sync(Gio.BusType.SYSTEM, None)
manager = Gio.DBusNodeInfo.new_for_xml((DBUS / f"{NAME}.Manager.xml").read_text()).interfaces[0]
bus.register_object(OBJECT, manager, on_call, None, None)
Gio.bus_own_name_on_connection(bus, NAME, Gio.BusNameOwnerFlags.NONE, None, None)
GLib.MainLoop().run()
