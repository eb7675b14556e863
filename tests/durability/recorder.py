"""The recorder: it stands between a process and the files of one directory, and notes.

Owns: SQLite's file calls, by a VFS that passes all of them on to the one that was the default,
and Python's own, by audit events and `os.fsync`. May not know: what is written or why.

Needs no compiler: the library that `_sqlite3` is linked to is found by the dynamic linker, and
ctypes makes the table of functions that SQLite calls. `find_sqlite` says why where that
cannot be, as in interpreters that keep SQLite's names to themselves.
What the VFS below ours does with a call is SQLite's business: a write becomes `pwrite`, a sync
`fdatasync`, and the first sync of a new log a sync of the directory too (os_unix.c).
Source: sqlite.org/vfs.html, /c3ref/io_methods.html.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import os
import sys
from collections.abc import Callable
from ctypes import POINTER, c_char_p, c_int, c_int64, c_void_p
from pathlib import Path
from typing import Any, Final, cast

from tests.durability.record import Entry, Kind

__all__ = ["Recorder", "find_sqlite"]

_SQLITE_OK: Final = 0
_NAME: Final = b"comity-recorder"

# A path is a bare address: SQLite keeps it as long as the file is open, and reads beyond it.
_OPEN = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_DELETE = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_CLOSE = ctypes.CFUNCTYPE(c_int, c_void_p)
_WRITE = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_TRUNCATE = ctypes.CFUNCTYPE(c_int, c_void_p, c_int64)
_SYNC = ctypes.CFUNCTYPE(c_int, c_void_p, c_int)


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs`, the first fields of version 1 typed; the rest is copied as it is."""

    _fields_ = (
        ("version", c_int),
        ("file_bytes", c_int),
        ("path_bytes_max", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", _OPEN),
        ("delete", _DELETE),
        ("others", c_void_p * 14),
    )


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods`, version 3."""

    _fields_ = (
        ("version", c_int),
        ("close", _CLOSE),
        ("read", c_void_p),
        ("write", _WRITE),
        ("truncate", _TRUNCATE),
        ("sync", _SYNC),
        ("others", c_void_p * 13),
    )


def find_sqlite() -> ctypes.CDLL | str:
    """Return the library that this interpreter's sqlite3 uses, or why it cannot be reached."""
    file = getattr(_sqlite3, "__file__", None)
    try:
        library = ctypes.CDLL(file)
        _ = library.sqlite3_vfs_find, library.sqlite3_vfs_register
    except (OSError, AttributeError) as error:
        return f"SQLite's names are hidden in this Python ({error})"
    return library


class Recorder:
    """Notes what this process does below `directory`; one a process, for good."""

    def __init__(self, directory: Path) -> None:
        """Begin. The directory may not be there yet; it is taken to be empty.

        Raises: OSError where SQLite cannot be reached.
        """
        library = find_sqlite()
        if isinstance(library, str):
            raise OSError(library)
        self.entries: list[Entry] = []
        self._root = str(directory.absolute()) + os.sep
        self._keep: list[object] = []
        self._files: dict[int, tuple[str, _Methods]] = {}
        self._calls = self._make_calls()
        self._watch_sqlite(library)
        self._watch_python()

    def note(self, kind: Kind, name: str, number: int = 0, data: bytes = b"") -> None:
        """Append an entry; from any thread."""
        self.entries.append(Entry(kind, name, number, data))

    def _local(self, path: object) -> str | None:
        """Return a path relative to the directory; None if it lies elsewhere."""
        if not isinstance(path, str | bytes | Path):
            return None
        full = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  (audited calls are hot)
        return full.removeprefix(self._root) if full.startswith(self._root) else None

    # SQLite's files

    def _watch_sqlite(self, library: ctypes.CDLL) -> None:
        find: Callable[[None], Any] = library.sqlite3_vfs_find
        library.sqlite3_vfs_find.argtypes = [c_char_p]
        library.sqlite3_vfs_find.restype = POINTER(_Vfs)
        library.sqlite3_vfs_register.argtypes = [POINTER(_Vfs), c_int]
        below = find(None).contents
        ours = _Vfs.from_buffer_copy(below)
        ours.name = _NAME
        ours.next = None

        def opened(
            vfs: int, path: int | None, file: int, flags: int, granted: int | None
        ) -> int:
            full = b"" if path is None else ctypes.string_at(path)
            new = not os.path.lexists(full)
            result: int = below.open(vfs, path, file, flags, granted)
            name = self._local(full) if full else None
            if name is not None and result == _SQLITE_OK:
                if new:
                    self.note(Kind.MAKE, name)
                self._files[file] = name, self._interpose(file)
            return result

        def removed(vfs: int, path: int, sync: int) -> int:
            name = self._local(ctypes.string_at(path))
            if name is not None:
                self.note(Kind.REMOVE, name)
            result: int = below.delete(vfs, path, sync)
            if name is not None and sync:
                self.note(Kind.SYNC, ".")
            return result

        ours.open = _OPEN(opened)
        ours.delete = _DELETE(removed)
        self._keep += [ours, ours.open, ours.delete]
        result = library.sqlite3_vfs_register(ctypes.byref(ours), 1)
        assert result == _SQLITE_OK, result

    def _interpose(self, file: int) -> _Methods:
        """Put our table before that of an open file; return the one that was there."""
        place = ctypes.cast(file, POINTER(c_void_p))
        address = place[0]
        assert address is not None
        below = _Methods.from_address(address)
        ours = _Methods.from_buffer_copy(below)
        ours.close, ours.write, ours.truncate, ours.sync = self._calls
        self._keep.append(ours)
        place[0] = ctypes.addressof(ours)
        return below

    def _make_calls(self) -> tuple[Any, Any, Any, Any]:
        """Make what SQLite calls for an open file; the same for all files."""

        def closed(file: int) -> int:
            _, below = self._files.pop(file)
            result: int = below.close(file)
            return result

        def written(file: int, data: int, count: int, offset: int) -> int:
            name, below = self._files[file]
            self.note(Kind.WRITE, name, offset, ctypes.string_at(data, count))
            result: int = below.write(file, data, count, offset)
            return result

        def cut(file: int, size: int) -> int:
            name, below = self._files[file]
            self.note(Kind.CUT, name, size)
            result: int = below.truncate(file, size)
            return result

        def synced(file: int, flags: int) -> int:
            name, below = self._files[file]
            result: int = below.sync(file, flags)
            if result == _SQLITE_OK:
                self.note(Kind.SYNC, name)
            return result

        return _CLOSE(closed), _WRITE(written), _TRUNCATE(cut), _SYNC(synced)

    # Python's files

    def _watch_python(self) -> None:
        """Note makes, renames and removals as they are asked for, contents at each sync."""
        fsync = os.fsync

        def synced(descriptor: int) -> None:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            name = self._local(path)
            if name is not None and path.is_file():
                data = path.read_bytes()
                self.note(Kind.CUT, name, len(data))
                self.note(Kind.WRITE, name, 0, data)
            fsync(descriptor)
            if name is not None or str(path) + os.sep == self._root:
                self.note(Kind.SYNC, name or ".")

        os.fsync = cast("Any", synced)
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        match event, arguments:
            case "open", (path, _, int(flags)):
                name = self._local(path)
                if name is not None and flags & os.O_CREAT and not os.path.lexists(path):
                    self.note(Kind.MAKE, name)
            case "os.rename", (source, target, *_):
                name, new = self._local(source), self._local(target)
                if name is not None and new is not None:
                    self.note(Kind.RENAME, name, data=new.encode())
            case "os.remove", (path, *_):
                name = self._local(path)
                if name is not None and os.path.lexists(path):
                    self.note(Kind.REMOVE, name)
            case _:
                pass
