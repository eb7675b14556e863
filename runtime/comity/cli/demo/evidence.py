"""The search for plaintext: in which forms a word may hide, and where it was looked for.

Owns: the forms and the search. May not know: where the bytes come from.
A search that finds nothing proves nothing unless it can find: `self_test` plants every form of
every word into real bytes and has it found.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

__all__ = ["files_of", "forms", "search", "self_test"]

_SHIFTS: Final = 3
"""Base64 writes 3 bytes in 4 letters: a word reads differently at each of 3 places."""


def forms(word: str) -> dict[str, bytes]:
    """Return the byte strings by which a word would show, by the name of the form."""
    plain = word.encode()
    found = {
        "text": plain,
        "UTF-16 (little)": word.encode("utf-16-le"),
        "UTF-16 (big)": word.encode("utf-16-be"),
        "hex": plain.hex().encode(),
        "HEX": plain.hex().upper().encode(),
    }
    for shift in range(_SHIFTS):
        encoded = base64.b64encode(bytes(shift) + plain)
        start, stop = (8 * shift + 5) // 6, (8 * (shift + len(plain))) // 6
        found[f"base64 (at {shift})"] = encoded[start:stop]
    return found


def search(words: Iterable[str], places: Mapping[str, bytes]) -> list[str]:
    """Return a line for every form of a word that stands in one of the places."""
    return [
        f"{word!r} as {form} in {place}"
        for word in words
        for form, data in forms(word).items()
        for place, content in places.items()
        if data in content
    ]


def self_test(words: Iterable[str], content: bytes) -> int:
    """Plant each form in the middle of real bytes; return how many the search found."""
    middle = len(content) // 2
    count = 0
    for word in words:
        planted = {
            form: content[:middle] + data + content[middle:]
            for form, data in forms(word).items()
        }
        count += sum(
            any(f" as {form} in " in line for line in search((word,), {form: data}))
            for form, data in planted.items()
        )
    return count


def files_of(folder: Path) -> dict[str, bytes]:
    """Read every regular file below a folder."""
    return {
        str(path.relative_to(folder.parent)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
