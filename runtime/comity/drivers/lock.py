"""One process per store: a lock that dies with its process and names it.

Owns: the file `lock` in the store directory. May not know: what else lies there.
The kernel's `flock` is the lock; the pid in the file is only for people, so a stale pid
blocks nobody. The file is never deleted: deleting it would let two processes lock two files.

    free --take--> held --release, or the process ends--> free

A forked child inherits the open file and with it the lock: it closes its copy at once, so
that the lock does not outlive the process that took it.
Source: ARCHITECTURE 'Who owns what' (one process per store).
"""

from __future__ import annotations

import fcntl
import os
import weakref
from typing import TYPE_CHECKING, Final, Self

from comity.base.errors import StoreError
from comity.drivers.store import LOCK_FILE, open_directory

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["StoreLock"]

_PID_BYTES_MAX: Final = 20
"""Digits of the largest number that fits 64 bits: more is not a pid."""


class StoreLock:
    """The right of this process to the store in a directory; a context manager."""

    __slots__ = ("__weakref__", "_descriptor", "directory")

    def __init__(self, directory: Path) -> None:
        """Take the lock, making the directory if need be.

        Raises: `StoreError` with `retry` that names the process that has the store open;
        without, if the file system cannot lock. `UsageError` as `open_directory`.
        """
        self._descriptor = -1
        self.directory = open_directory(directory)
        path = self.directory / LOCK_FILE
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"cannot open {path}: {error.strerror}; check who owns it", retry=False
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise StoreError(_in_use(self.directory, holder), retry=True) from None
        except OSError as error:
            os.close(descriptor)
            raise StoreError(
                f"the file system of {path} cannot lock files ({error.strerror}): "
                f"keep the store on a local disk",
                retry=False,
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        self._descriptor = descriptor
        this = weakref.ref(self)

        def forget() -> None:
            lock = this()
            if lock is not None:
                lock.release()

        os.register_at_fork(after_in_child=forget)

    @property
    def held(self) -> bool:
        """Whether this process has the store."""
        return self._descriptor >= 0

    def release(self) -> None:
        """Let others have the store; safe to repeat."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)  # not LOCK_UN: that would unlock a forked parent's too

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


def _holder(descriptor: int) -> int | None:
    """Return the pid in the file if such a process lives; None while it is being written."""
    text = os.pread(descriptor, _PID_BYTES_MAX + 1, 0).strip()
    if not text.isdigit() or len(text) > _PID_BYTES_MAX:
        return None
    pid = int(text)
    try:
        os.kill(pid, 0)
    except PermissionError:
        return pid
    except (ProcessLookupError, OverflowError):
        return None
    return pid


def _in_use(directory: Path, holder: int | None) -> str:
    if holder == os.getpid():
        return (
            f"the store {directory} is already open in this process ({holder}): close it first"
        )
    process = "another process" if holder is None else f"process {holder}"
    return (
        f"the store {directory} is in use by {process}: stop it, or talk to it with "
        f"`comity status --store {directory}`"
    )
