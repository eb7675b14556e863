"""Options that several commands share, and the store that is used when none is named.

Owns: their names, defaults and help. May not know: what commands do with them. This is the
only layer that reads the environment: COMITY_STORE names a store, COMITY_PASSPHRASE_FILE
what unlocks it.
Source: STYLE 'Config'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

__all__ = ["DEFAULT_STORE", "Access", "access_options", "actor_option", "json_option"]

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_STORE: Final = "~/.comity"


@dataclass(frozen=True, slots=True)
class Access:
    """Which store, and how its key is unlocked."""

    store: Path
    passphrase_file: Path | None
    insecure: bool


def access_options(command: F) -> F:
    """Add --store, --passphrase-file and --insecure-store; they come as one `access`."""
    import functools

    @click.option(
        "--store", metavar="DIR", default=DEFAULT_STORE, envvar="COMITY_STORE",
        show_default=True, show_envvar=True, help="Where the node keeps what it knows.",
    )  # fmt: skip
    @click.option(
        "--passphrase-file", metavar="FILE", type=click.Path(path_type=Path),
        envvar="COMITY_PASSPHRASE_FILE", show_envvar=True,
        help="A file whose first line unlocks the store; else the OS keyring, or a prompt.",
    )  # fmt: skip
    @click.option(
        "--insecure-store", is_flag=True,
        help="Leave the keys readable to whoever reads the disk: for experiments.",
    )  # fmt: skip
    @functools.wraps(command)
    def with_access(
        *arguments: Any,
        store: str,
        passphrase_file: Path | None,
        insecure_store: bool,
        **options: Any,
    ) -> Any:  # noqa: ANN401  (what the command returns)
        access = Access(Path(store).expanduser().absolute(), passphrase_file, insecure_store)
        return command(*arguments, access=access, **options)

    return with_access  # type: ignore[return-value]


def actor_option(command: F) -> F:
    """Add --actor, for stores that hold several."""
    return click.option(
        "--actor", metavar="ID", help="Which actor, by the beginning of its id, if several fit."
    )(command)


def json_option(command: F) -> F:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(
        command
    )
