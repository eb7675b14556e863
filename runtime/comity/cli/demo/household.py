"""The processes of the demonstration: started, asked, killed, and ended whatever happens.

Owns: one operating system process for each device and the relay, its store, its log file.
May not know: the story. Devices are asked over their control sockets, as `comity` commands do.

    absent --start--> running --stop, SIGTERM--> absent
                      running --kill, SIGKILL--> absent

Every process is ended by its own pid; if this process dies first, the end of the pipe to
their standard input ends them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import comity
from comity.base.clock import SECOND, Duration
from comity.base.errors import LinkError, UsageError, WorldError
from comity.drivers.control import control_call
from comity.drivers.store import CONTROL_FILE

if TYPE_CHECKING:
    from comity.cli.demo.wires import Wires

__all__ = ["APP", "Household", "Place"]

APP: Final = Path(__file__).with_name("shared_list.py")

_ANSWER: Final = Duration(40 * SECOND)
_START_SECONDS: Final = 40.0
_STOP_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.02


class Place:
    """One process: a device or the relay."""

    def __init__(self, household: Household, name: str, command: tuple[str, ...]) -> None:
        """Name it; nothing runs before `start`. command: words after `comity`."""
        self.name = name
        self.store = household.folder / name
        self.log = household.folder / f"{name}.log"
        self.address = household.wires.add(name)
        self._household = household
        self._command = (*command, "--advertise", self.address)
        self._process: subprocess.Popen[bytes] | None = None
        self._wired = False

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return None if self._process is None else self._process.pid

    def launch(self, *more: str) -> None:
        """Start the process; `await_ready` comes next."""
        assert self._process is None
        words = (*self._command, "--store", str(self.store), *self._household.key, *more)
        root = str(Path(comity.__file__).parent.parent)
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  (our own program)
                [sys.executable, "-m", "comity", "--debug", *words, "--until-eof"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._household.folder,
                env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
            )
        self._household.wires.register(self._process.pid, self.name)

    def await_ready(self, *, seconds: float = _START_SECONDS) -> None:
        """Wait until it answers and, unless it is a relay, has its actor open."""
        end = time.monotonic() + seconds
        while True:
            assert self._process is not None
            if self._process.poll() is not None:
                raise WorldError(f"{self.name} ended at its start: {self.tail()}", retry=False)
            try:
                status = self.ask("status")
                if not self._wired:
                    self._household.wires.connect(self.name, status["listening"])
                    self._wired = True
                if status["relay"] or self.snapshot():
                    return
            except (LinkError, UsageError):
                pass  # nobody listens yet, or the actor is not open yet
            if time.monotonic() > end:
                raise WorldError(f"{self.name} did not start: {self.tail()}", retry=False)
            time.sleep(_LOOK_SECONDS)

    def start(self, *more: str) -> None:
        """Start the process and wait until it is ready."""
        self.launch(*more)
        self.await_ready()

    def ask(self, do: str, **fields: object) -> dict[str, Any]:
        """Send one request over the control socket. Raises: LinkError while nobody listens."""
        return control_call(self.store / CONTROL_FILE, {"do": do, **fields}, _ANSWER)

    def send(self, method: str, *words: str) -> object:
        """Send the actor a message; return the reply, once its effect is durable."""
        return self.ask("message", method=method, words=list(words))["value"]

    def snapshot(self) -> dict[str, Any]:
        """Return the fields of the actor, the digest of its state, and the heads of its log."""
        return self.ask("snapshot")

    def items(self) -> dict[str, str]:
        """Return the list as it is here."""
        found: dict[str, str] = self.snapshot()["state"]["items"]
        return found

    def stop(self) -> int:
        """End the process politely; return its exit code."""
        process = self.release()
        process.terminate()
        return _end(process)

    def kill(self) -> int:
        """End the process as a power cut would; return the negative signal number."""
        process = self.release()
        process.kill()
        return _end(process)

    def tail(self) -> str:
        """Return the last words of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace").strip()
        return " / ".join(text.splitlines()[-3:])

    def release(self) -> subprocess.Popen[bytes]:
        """Give the process to whoever ends it."""
        process, self._process = self._process, None
        assert process is not None
        self._wired = False
        return process


class Household:
    """All places; a context manager that leaves no process behind."""

    def __init__(self, folder: Path, wires: Wires, passphrase_file: Path) -> None:
        """Live in a folder. passphrase_file: unlocks every store here."""
        self.folder = folder
        self.wires = wires
        self.key = ("--passphrase-file", str(passphrase_file))
        self._places: dict[str, Place] = {}

    def __enter__(self) -> Household:  # noqa: PYI034  (not meant to be derived from)
        """Return the household itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End every process, each by its pid, all at the same time."""
        running = [place for place in self._places.values() if place.pid is not None]
        processes = [place.release() for place in running]
        for process in processes:
            process.terminate()
        for process in processes:
            _end(process)

    def __getitem__(self, name: str) -> Place:
        """Return a place by name."""
        return self._places[name]

    def add_relay(self, name: str) -> Place:
        """Add the relay."""
        return self._add(name, ("relay", "--listen", "127.0.0.1:0"))

    def add_device(self, name: str, relay: Place) -> Place:
        """Add a device that uses the relay, and whom others reach by wire only."""
        command = ("run", str(APP), "--listen", "127.0.0.1:0", "--relay", relay.address)
        return self._add(name, command)

    def _add(self, name: str, command: tuple[str, ...]) -> Place:
        place = self._places[name] = Place(self, name, command)
        return place


def _end(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process that was told to end, and see to it that it does."""
    with process:
        try:
            return process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
