"""What is claimed, and whether it held: the part of the demonstration that can fail.

Owns: the printing of the story and its claims. May not know: how a claim is checked. The first
claim that does not hold ends the story: what comes after would rest on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, NoReturn

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from comity.cli.demo.story import Act

__all__ = ["ClaimFailed", "Claims"]

_LOOK_SECONDS: Final = 0.02


class ClaimFailed(Exception):
    """A claim did not hold. The text names it and says what was seen."""


class Claims:
    """Tells the story and counts what was checked."""

    def __init__(self, console: Console) -> None:
        """Start with nothing claimed."""
        self.checked = 0
        self._console = console
        self._acts = 0

    def act(self, act: Act) -> None:
        """Begin an act."""
        self._acts += 1
        self._console.print()
        self._console.rule(f"[bold]{self._acts}. {act.title}[/]", align="left", style="dim")
        self._console.print(act.telling, style="italic", highlight=False)

    def say(self, text: str) -> None:
        """Tell what happens."""
        self._put("·", "dim", Text(text))

    def show(self, lines: Iterable[str]) -> None:
        """Show something as it is."""
        for line in lines:
            self._console.print(Padding(Text(line, style="cyan"), (0, 0, 0, 6)))

    def check(self, claim: str, held: bool, seen: object = "") -> None:  # noqa: FBT001
        """Check a claim. Raises: ClaimFailed with what was seen instead."""
        if not held:
            self._fail(claim, seen)
        self.checked += 1
        self._put("✓", "green", Text(claim))

    def await_(
        self,
        claim: str,
        reached: Callable[[], bool],
        *,
        seconds: float,
        seen: Callable[[], object],
    ) -> float:
        """Check that something comes about in time; return after how many seconds it did."""
        start = time.monotonic()
        while not reached():
            if time.monotonic() - start > seconds:
                self._fail(claim, f"not within {seconds:g} s; {seen()}")
            time.sleep(_LOOK_SECONDS)
        took = time.monotonic() - start
        self.checked += 1
        self._put("✓", "green", Text(claim).append(f" ({took:.1f} s)", style="dim"))
        return took

    def _fail(self, claim: str, seen: object) -> NoReturn:
        self._put("✗", "bold red", Text(claim, style="bold red"))
        raise ClaimFailed(f"{claim} -- {seen}" if seen else claim)

    def _put(self, mark: str, style: str, text: Text) -> None:
        """Print a mark and a text that may run over several lines."""
        grid = Table.grid(padding=(0, 1))
        grid.add_row(" ", Text(mark, style=style), text)
        self._console.print(grid)
