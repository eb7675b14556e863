"""A string that is cheap to edit: chunks, and a finger where the last edit was.

Owns: the characters. May not know: who wrote them, what was deleted.

    chunks   "some ch" "ars in " "each"     none empty, unless the rope is
    finger       ^ index of a chunk, and how many characters stand before it

An edit costs the walk from the last one and the copy of a chunk. A chunk holds as many
characters as there may be chunks, both grow with the root of the length: O(sqrt n), and O(1)
where edits stand close together. Chunks are immutable, so a copy of the list is a version.
Source: Boehm, Atkinson, Plass 1995 (ropes), flattened to one level.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["CHUNK_LENGTH_MIN", "Rope"]

CHUNK_LENGTH_MIN: Final = 1024
"""Characters a chunk may hold in a short text: at half, walks grow; at twice, copies do."""


class Rope:
    """A mutable string. Positions are indexes of code points."""

    __slots__ = ("_at", "_chunks", "_limit", "_start", "length")

    def __init__(self, text: str = "") -> None:
        """Hold `text`."""
        self.length = len(text)
        self._limit = CHUNK_LENGTH_MIN
        self._chunks: list[str] = []
        self._at = self._start = 0
        self._cut(text)

    def __str__(self) -> str:
        return "".join(self._chunks)

    def copy(self) -> Rope:
        """Return an independent rope with the same text. O(sqrt n): chunks are shared."""
        other = Rope()
        other.length = self.length
        other._limit = self._limit
        other._chunks = self._chunks.copy()
        return other

    def insert(self, position: int, text: str) -> None:
        """Insert before the character at `position`, 0..length; `text` is not empty."""
        chunks, at, start = self._chunks, self._at, self._start
        while position < start:
            at -= 1
            start -= len(chunks[at])
        chunk = chunks[at]
        size = len(chunk)
        while position > start + size:
            start += size
            at += 1
            chunk = chunks[at]
            size = len(chunk)
        offset = position - start
        self._at = at
        self._start = start
        self.length += len(text)
        chunk = chunk + text if offset == size else chunk[:offset] + text + chunk[offset:]
        if len(chunk) > self._limit:
            self._split(at, chunk)
        else:
            chunks[at] = chunk

    def delete(self, position: int, count: int) -> str:
        """Delete `count` > 0 characters from `position` and return them."""
        chunks, at, start = self._chunks, self._at, self._start
        while position < start:
            at -= 1
            start -= len(chunks[at])
        chunk = chunks[at]
        size = len(chunk)
        while position >= start + size:
            start += size
            at += 1
            chunk = chunks[at]
            size = len(chunk)
        offset = position - start
        self._at = at
        self._start = start
        self.length -= count
        end = offset + count
        if end <= size and count < size:
            chunks[at] = chunk[:offset] + chunk[end:]
            return chunk[offset:end]
        return self._delete_across(offset, count)

    def slice(self, start: int, stop: int) -> str:
        """Return the characters of `start` <= index < `stop`, both within the text."""
        if start >= stop:
            return ""
        chunks, at, before = self._chunks, self._at, self._start
        while start < before:
            at -= 1
            before -= len(chunks[at])
        while start >= before + len(chunks[at]):
            before += len(chunks[at])
            at += 1
        self._at = at
        self._start = before
        if stop <= before + len(chunks[at]):
            return chunks[at][start - before : stop - before]
        parts = [chunks[at][start - before :]]
        before += len(chunks[at])
        while before < stop:
            at += 1
            parts.append(chunks[at][: stop - before])
            before += len(chunks[at])
        return "".join(parts)

    def find(self, pattern: re.Pattern[str]) -> list[tuple[int, int]]:
        """Return where runs of code points beyond ASCII stand, and how long they are.

        pattern: one or more of a class of them. Chunks of ASCII cost nothing.
        """
        found: list[tuple[int, int]] = []
        start = 0
        for chunk in self._chunks:
            if not chunk.isascii():
                for match in pattern.finditer(chunk):
                    at, length = start + match.start(), match.end() - match.start()
                    if found and sum(found[-1]) == at:
                        at, length = found[-1][0], found.pop()[1] + length
                    found.append((at, length))
            start += len(chunk)
        return found

    def check(self) -> None:
        """Assert that sizes and finger follow from the chunks."""
        assert self.length == sum(len(chunk) for chunk in self._chunks)
        assert all(self._chunks) or self._chunks == [""]
        assert all(len(chunk) <= self._limit for chunk in self._chunks)
        assert 0 <= self._at < len(self._chunks)
        assert self._start == sum(len(chunk) for chunk in self._chunks[: self._at])

    # ------------------------------------------------------------------ inside

    def _cut(self, text: str) -> None:
        """Hold `text` in chunks that are three quarters full."""
        while len(text) > self._limit * self._limit // 2:
            self._limit *= 2
        size = self._limit * 3 // 4
        self._chunks = [text[i : i + size] for i in range(0, len(text), size)] or [""]
        self._at = self._start = 0

    def _split(self, at: int, chunk: str) -> None:
        """Put a chunk that is too long back as several."""
        chunks, limit = self._chunks, self._limit
        if len(chunk) <= 2 * limit:
            half = len(chunk) >> 1
            chunks[at] = chunk[:half]
            chunks.insert(at + 1, chunk[half:])
        else:
            size = limit * 3 // 4
            chunks[at : at + 1] = [chunk[i : i + size] for i in range(0, len(chunk), size)]
        if len(chunks) > limit:
            self._cut("".join(chunks))

    def _delete_across(self, offset: int, count: int) -> str:
        """Delete from the finger's chunk on, over its end or all of it."""
        chunks, at = self._chunks, self._at
        parts: list[str] = []
        first = chunks[at]
        taken = first[offset : offset + count]
        parts.append(taken)
        kept = first[:offset] + first[offset + count :]
        count -= len(taken)
        end = at + 1
        while count > 0:
            chunk = chunks[end]
            if len(chunk) > count:
                parts.append(chunk[:count])
                chunks[end] = chunk[count:]
                break
            parts.append(chunk)
            count -= len(chunk)
            end += 1
        chunks[at:end] = [kept] if kept else []
        if at >= len(chunks):
            if chunks:
                self._at = at - 1
                self._start -= len(chunks[at - 1])
            else:
                chunks.append("")
        return "".join(parts)
