"""Signatures checked in a process of their own, while the node goes on.

Owns: that process, the thread that waits for it, and what happens without either. May not
know: commits, or why something is to be checked.

    host --check--> worker thread --pipe--> `python -m comity.drivers.verifier`
         <--then---               <--pipe--
    no second core, no process to be had, or it fails --> checked here, at once

To verify takes longer than all else that is done to a commit, and holds no state: so it is the
one thing that a second process is given. The process is a program of its own that reads
its standard input, not a fork of this one: a script without `if __name__ == '__main__'` is not
run again, and no thread, lock or open file of this process is carried over. It is started for
the first batch, and ends when its input does: when the node is closed, or this process is gone.

    request = u32 length | (u16 length | public key | u16 length | message
                            | u16 length | signature) ..
    answer  = a byte for each: 1 if it is right, else 0
Source: ARCHITECTURE 'Layers' (`VerifyBatch`), decision 0014.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

from comity.base.canonical import Reader
from comity.crypto.sodium import Sodium

if TYPE_CHECKING:
    from comity.crypto.port import Crypto

__all__ = ["Verifier"]

Claim = tuple[bytes, bytes, bytes]
"""Public key, message, signature."""

_GREETING: Final = b"comity verifier 1\n"
"""What shows that the program which was started is this one."""

_PATIENCE_SECONDS: Final = 20.0
"""For a start or an answer, a hundred times what either takes; then the process is killed."""

_logger: Final = logging.getLogger("comity.node")


class Verifier:
    """Checks signatures for one node."""

    def __init__(self, crypto: Crypto, *, elsewhere: bool | None = None) -> None:
        """Start nothing yet. elsewhere: whether to use a process; None: if it would pay."""
        self._crypto = crypto
        self._elsewhere = _would_pay(crypto) if elsewhere is None else elsewhere
        self._closing = False
        self._thread: threading.Thread | None = None
        self._waiting: queue.SimpleQueue[
            tuple[Sequence[Claim], Callable[[tuple[bool, ...]], None]] | None
        ] = queue.SimpleQueue()

    @property
    def is_elsewhere(self) -> bool:
        """Whether another process is used, or would be."""
        return self._elsewhere

    def check(self, claims: Sequence[Claim], then: Callable[[tuple[bool, ...]], None]) -> None:
        """Find out which signatures are right and call `then` with it, once, in any thread."""
        if not self._elsewhere:
            then(self._here(claims))
            return
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="comity-verifier", daemon=True
            )
            self._thread.start()
        self._waiting.put((claims, then))

    def close(self) -> None:
        """End the process and the thread; what was not checked is not. Safe to repeat."""
        self._closing = True
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()

    def _here(self, claims: Sequence[Claim]) -> tuple[bool, ...]:
        return tuple([self._crypto.verify(*each) for each in claims])

    def _run(self) -> None:
        """Give batches to the process, one at a time; on failure check them here."""
        with contextlib.ExitStack() as undo:
            helper: _Helper | None = None
            try:
                helper = undo.enter_context(_start())
            except OSError as error:
                self._give_up(error)
            while True:
                asked = self._waiting.get()
                if asked is None or self._closing:
                    return
                claims, then = asked
                valid: tuple[bool, ...] | None = None
                if helper is not None:
                    try:
                        valid = helper.check(claims)
                    except OSError as error:
                        helper = None
                        self._give_up(error)
                then(self._here(claims) if valid is None else valid)

    def _give_up(self, error: OSError) -> None:
        """Check all that comes from now on in the thread that asks."""
        self._elsewhere = False
        _logger.warning("signatures are checked in this process: %s", error)


def _would_pay(crypto: Crypto) -> bool:
    """Tell whether a second process is possible, and has a core to run on."""
    is_script = bool(sys.executable) and not getattr(sys, "frozen", False)
    return is_script and isinstance(crypto, Sodium) and (os.cpu_count() or 1) > 1


class _Helper:
    """The other process, seen from here."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        self._input: IO[bytes] = process.stdin
        self._output: IO[bytes] = process.stdout

    def check(self, claims: Sequence[Claim]) -> tuple[bool, ...]:
        """Ask, and wait for the answer. Raises: OSError if there is none."""
        body = b"".join(
            [len(part).to_bytes(2, "little") + part for claim in claims for part in claim]
        )
        self._input.write(len(body).to_bytes(4, "little") + body)
        self._input.flush()
        answer = self._expect(len(claims))
        return tuple([each == 1 for each in answer])

    def greet(self) -> None:
        """Wait until it is there. Raises: OSError if it is another program."""
        if self._expect(len(_GREETING)) != _GREETING:
            raise OSError(f"{sys.executable} is not a Python that runs Comity")

    def _expect(self, count: int) -> bytes:
        watch = threading.Timer(_PATIENCE_SECONDS, self._process.kill)
        watch.start()
        try:
            found = self._output.read(count)
        finally:
            watch.cancel()
            watch.join()
        if len(found) < count:
            raise OSError("the process that checks signatures has ended")
        return found


@contextlib.contextmanager
def _start() -> Generator[_Helper]:
    """Start the process, and end it afterwards. Raises: OSError."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    process = subprocess.Popen(
        [sys.executable, "-m", "comity.drivers.verifier"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        helper = _Helper(process)
        helper.greet()
        yield helper
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdout.close()
        try:
            process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def serve(source: IO[bytes], target: IO[bytes]) -> None:
    """Answer requests until there are no more."""
    crypto = Sodium()
    target.write(_GREETING)
    target.flush()
    while True:
        head = source.read(4)
        if len(head) < 4:
            return
        size = int.from_bytes(head, "little")
        body = source.read(size)
        if len(body) < size:
            return
        reader = Reader(body)
        answer = bytearray()
        while reader.left:
            public, message, signature = (reader.take(reader.u16()) for _ in range(3))
            answer.append(crypto.verify(public, message, signature))
        target.write(answer)
        target.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a key pressed is for who started this
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, sys.stdout.buffer)
