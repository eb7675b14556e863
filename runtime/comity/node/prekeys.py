"""This device's own prekeys: the newest, and older ones that somebody may still wrap to.

Owns: their age, and when an older one may go. May not know: actors, links; it is told what
their logs name.

    newest --a week, and a sync--> older --30 days, named by no log, a sync--> erased

A prekey is replaced so that a device that is stolen gives away what was wrapped to it lately,
and no more. An older one goes only when every actor's log names a newer one, so a device that
was away for a year can open what it is given. Ages are by this device's clock: a wrong one
makes new prekeys too soon or too late, and whoever wrapped to one that is gone is asked again.
Source: PROTOCOL sections 1 and 4; decision 23.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from comity.base.clock import MILLISECOND, Wall
from comity.base.limits import OLD_PREKEY_AGE_MIN, PREKEY_AGE_MAX
from comity.base.ports import Entropy
from comity.crypto.keys import KeyPair
from comity.crypto.port import KEY_BYTES, Crypto
from comity.node import rows
from comity.node.effects import Table
from comity.node.step import Step

__all__ = ["OwnPrekeys"]


_LONG_AGO: Final = Wall(0)


@dataclass(frozen=True, slots=True)
class _Old:
    """A prekey that was replaced. since: when that was."""

    pair: KeyPair
    since: Wall


class OwnPrekeys:
    """The prekeys of this device."""

    __slots__ = ("_newest", "_older", "_since")

    def __init__(self, newest: KeyPair, since: Wall = _LONG_AGO) -> None:
        """Start with one, which is the newest since some moment."""
        self._newest = newest
        self._since = since
        self._older: list[_Old] = []

    def __repr__(self) -> str:
        """Show how many there are, never which."""
        return f"OwnPrekeys({1 + len(self._older)})"

    @classmethod
    def load(cls, crypto: Crypto, secrets: Mapping[bytes, bytes]) -> OwnPrekeys:
        """Take them from the rows of `Table.SECRET`."""
        since = secrets.get(rows.SECRET_PREKEY_SINCE, bytes(8))
        pair = KeyPair(crypto, secrets[rows.SECRET_PREKEY])
        own = cls(pair, Wall(rows.decode_number(since)))
        for key, value in secrets.items():
            if key.startswith(rows.SECRET_OLD_PREKEY):
                replaced = Wall(rows.decode_number(value[KEY_BYTES:]))
                own._older.append(_Old(KeyPair(crypto, value[:KEY_BYTES]), replaced))
        own._older.sort(key=lambda old: (old.since, old.pair.public), reverse=True)
        return own

    @property
    def newest(self) -> KeyPair:
        """The one to give to others."""
        return self._newest

    @property
    def all(self) -> tuple[KeyPair, ...]:
        """Every one that something may be wrapped to, the newest first."""
        return (self._newest, *[old.pair for old in self._older])

    def renew(self, step: Step, crypto: Crypto, entropy: Entropy) -> None:
        """Make another one if the newest is a week old; it is for every log to name."""
        if _age(self._since, step) < PREKEY_AGE_MAX:
            return
        old = _Old(self._newest, step.now.wall)
        secret = entropy.draw(KEY_BYTES)
        self._older.insert(0, old)
        self._newest, self._since = KeyPair(crypto, secret), step.now.wall
        moment = rows.encode_number(step.now.wall)
        step.put(Table.SECRET, rows.old_prekey(old.pair.public), old.pair.secret + moment)
        step.put(Table.SECRET, rows.SECRET_PREKEY, secret)
        step.put(Table.SECRET, rows.SECRET_PREKEY_SINCE, moment)

    def erase(self, step: Step, is_named: Callable[[bytes], bool]) -> None:
        """Forget what was replaced long ago. Call it after a sync.

        is_named: whether some actor's log names this public half as the newest of this device.
        """
        for old in list(self._older):
            if _age(old.since, step) >= OLD_PREKEY_AGE_MIN and not is_named(old.pair.public):
                self._older.remove(old)
                step.drop(Table.SECRET, rows.old_prekey(old.pair.public))


def _age(since: Wall, step: Step) -> int:
    """Return nanoseconds; negative if the clock was set back."""
    return (step.now.wall - since) * MILLISECOND
