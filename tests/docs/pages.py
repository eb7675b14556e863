"""The pages of the documentation, as the tests read them.

Owns: which files are pages, and where the fenced blocks in them lie. May not know: what a
block holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PAGES", "Block", "blocks", "name_of", "text_of"]

_ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)

PAGES = (_ROOT / "README.md", *sorted((_ROOT / "docs").rglob("*.md")))


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: the word after the fence, the line it begins at, from 1, its text."""

    language: str
    line: int
    text: str


def name_of(page: Path) -> str:
    """Return how a test names a page."""
    return str(page.relative_to(_ROOT))


def text_of(name: str) -> str:
    """Return the text of a page."""
    return (_ROOT / name).read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[Block]:
    """Return the blocks of one language in a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(found[2], text.count("\n", 0, found.start(3)) + 1, found[3])
        for found in _FENCE.finditer(text)
        if found[2] == language
    ]
