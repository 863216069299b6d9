"""A way to the bus on which the bus's words come late, and that can be cut."""

import contextlib
import os
import socket
import threading
import time


class SlowBus:
    """`delay(words)`: so many seconds what the bus says is kept back, and with it all that it says after."""

    def __init__(self, bus):
        self.address = f"unix:path={bus.folder}/slow-bus"
        self.delay = lambda words: 0
        self._bus = bus.address.removeprefix("unix:path=")
        self._sockets = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.address.removeprefix("unix:path="))
        self._listener.listen()
        self._start(self._accept)

    @staticmethod
    def _start(run, *arguments):
        threading.Thread(target=run, args=arguments, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):  # it is closed at the end
            while True:
                near, far = self._listener.accept()[0], socket.socket(socket.AF_UNIX)
                self._sockets += [near, far]
                try:
                    far.connect(self._bus)
                except OSError:  # there is no bus
                    near.close()
                    continue
                self._start(self._carry, near, far, lambda words: 0)
                self._start(self._carry, far, near, lambda words: self.delay(words))

    @staticmethod
    def _carry(source, target, delay):
        with contextlib.suppress(OSError):
            while True:
                words, fds, _, _ = socket.recv_fds(source, 1 << 16, 16)
                if not words:
                    break
                time.sleep(delay(words))
                socket.send_fds(target, [words], fds)
                for fd in fds:
                    os.close(fd)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        """Ends every connection that goes this way; the next ones stand."""
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for end in (self._listener, *self._sockets):
            end.close()
