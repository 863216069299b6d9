"""Storage that stops answering."""

import signal

from .process import Process, wait_until
from .service import build_dir


class HangFs:
    """A FUSE filesystem with disks that stops answering on demand."""

    def __init__(self, folder, files=200):
        self.folder = folder / "remote"
        self.folder.mkdir()
        self.process = Process("hang-fs", [build_dir() / "tests" / "tools" / "hang-fs", self.folder, str(files)], folder)
        self._wait_for("ready")
        self.disks = [self.folder / f"disk-{number}.img" for number in range(files)]

    def _wait_for(self, word, times=1):
        wait_until(lambda: self.process.output().split().count(word) >= times, f"hang-fs to say {word}")

    def _tell(self, number, word):
        times = self.process.output().split().count(word) + 1
        self.process.signal(number)
        self._wait_for(word, times)

    def hang(self):
        self._tell(signal.SIGUSR1, "hanging")

    def fail(self, error):
        """`error`: "EIO" or "ESTALE"."""
        self._tell({"EIO": signal.SIGHUP, "ESTALE": signal.SIGALRM}[error], error)

    def keep_who_closes(self):
        """Everything is answered but the service's own close(2)."""
        self._tell(signal.SIGURG, "keeping")

    def answer(self):
        self._tell(signal.SIGUSR2, "answering")

    def close(self):
        if self.process.is_alive():
            self.process.stop()
