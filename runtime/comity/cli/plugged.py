"""Commands that other packages bring: `comity chaos` is the fault lab's.

Owns: how such a command is found, named and called. May not know: any of them; the runtime
imports nothing of the lab (import contract `runtime`).

A package names them in its entry points, in the group `comity.commands`: functions that take
the words after the command's name, and the name, and return the exit code.
Source: ARCHITECTURE 'Layers'; the entry points specification of the Python packaging guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "plugged_command", "plugged_names"]

GROUP: Final = "comity.commands"
"""The group of entry points."""


def plugged_names() -> list[str]:
    """Name the commands that installed packages bring, sorted."""
    return sorted(_found())


def plugged_command(name: str) -> click.Command | None:
    """Return the command that an installed package brings under a name, if one does."""
    entry = _found().get(name)
    return None if entry is None else _Plugged(entry)


def _found() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {entry.name: entry for entry in entry_points(group=GROUP)}


class _Plugged(click.Command):
    """Hands all words on, `--help` too, and exits as the function says."""

    def __init__(self, entry: EntryPoint) -> None:
        super().__init__(
            entry.name,
            params=[click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)],
            callback=self._run,
            context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
            add_help_option=False,
        )
        self._entry = entry

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return what the package says of itself, up to the first colon."""
        from importlib import import_module

        said = import_module(self._entry.module.partition(".")[0]).__doc__ or ""
        said = said.strip().partition("\n")[0].partition(":")[0]
        return f"{said[:limit]}."

    def _run(self, words: tuple[str, ...]) -> None:
        main: Any = self._entry.load()
        click.get_current_context().exit(main(words, f"comity {self.name}"))
