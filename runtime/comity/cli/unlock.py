"""How a command gets at the key of a store: a passphrase, the OS keyring, or not at all.

Owns: the questions asked at a terminal and the reading of passphrase files. May not know:
how keys are wrapped (`drivers.vault`).

    the store exists     what it needs: prompt for a passphrase, ask the keyring
    the store is new     --passphrase-file, --insecure-store, else the keyring if there is one,
                         else a new passphrase from the terminal, asked twice
    no terminal          an error that names --passphrase-file and --insecure-store
"""

from __future__ import annotations

import stat
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from comity.base.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from comity.cli.options import Access

__all__ = ["Unlocked", "unlock"]


@dataclass(frozen=True, slots=True)
class Unlocked:
    """What `Node` is given. The passphrase never shows."""

    passphrase: str | None = field(default=None, repr=False)
    insecure: bool = False


def unlock(access: Access) -> Unlocked:
    """Find out what opens the store, asking at the terminal if need be."""
    if access.insecure and access.passphrase_file is not None:
        raise UsageError("--insecure-store and --passphrase-file contradict each other")
    if access.insecure:
        return Unlocked(insecure=True)
    if access.passphrase_file is not None:
        return Unlocked(_first_line(access.passphrase_file))
    return _asked(access.store)


def _asked(store: Path) -> Unlocked:
    from comity.crypto.sodium import Sodium
    from comity.drivers.store import VAULT_FILE, Protection
    from comity.drivers.system import SystemEntropy
    from comity.drivers.vault import Vault, keyring_usable

    protection = Vault(store / VAULT_FILE, Sodium(), SystemEntropy()).protection
    new = protection is None
    if protection is Protection.KEYRING or (new and keyring_usable()):
        return Unlocked()
    if protection is Protection.INSECURE:
        return Unlocked(insecure=True)  # said when it was made, and warned of at every start
    if not sys.stdin.isatty():
        fix = "name a file that holds it, with --passphrase-file FILE"
        if new:
            raise UsageError(
                f"the new store {store} needs protection, and there is no keyring and no "
                f"terminal to ask for a passphrase: {fix}, or leave its keys readable, with "
                "--insecure-store"
            )
        raise UsageError(f"the store {store} needs its passphrase: {fix}")
    if new:
        click.echo(f"A new store, {store}. Its keys need a passphrase; nobody can recover it.")
    return Unlocked(click.prompt("Passphrase", hide_input=True, confirmation_prompt=new))


def _first_line(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            status = path.stat()
            if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
                raise UsageError(
                    f"the passphrase file {path} is open to other users (mode "
                    f"{status.st_mode & 0o777:o}): run `chmod 600 {path}`"
                )
            found = file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the passphrase file {path} cannot be read: {error}") from None
    if not found:
        raise UsageError(f"the first line of the passphrase file {path} is empty")
    return found
