"""Is this store the one that ran last, or a copy of it? Two copies of a device must not run.

Owns: the comparison of a token in the store with one outside, and its renewal. May not know:
where tokens lie (`drivers.generation`), and what follows; the owner of the store makes a new
device when the answer is `COPIED`.

    outside:  a          a b           b           a token is 16 random bytes
    inside:   a    -->   a   -->   b   -->   b     renewed on every start, in this order, so
                                                   that a crash leaves inside one of outside
    inside:   n  --write-->  n + 1                 a count of writes, in the same transaction
    outside:  n  ---------------------> n + 1      and after it, without waiting for the disk

A store that was restored, or copied elsewhere, has a token that the witness has forgotten or
never knew; one that was restored while the same process ran on, or before the next start, has
made fewer writes than the witness has counted. Once it has become a new device it gets a name
and a token of its own (`begin`), so that a copy and its original, side by side on one machine,
do not forget one another.
Not noticed: a machine that is restored as a whole, or loses power before the count is on its
disk; the second net of PROTOCOL section 1 (later commits of its own at a peer) is for those.
Source: PROTOCOL section 1 (store-generation secret); decision 12.
"""

from __future__ import annotations

from enum import StrEnum, unique
from typing import Final, Protocol

from comity.base.ports import Entropy

__all__ = [
    "NAME_BYTES",
    "TOKEN_BYTES",
    "Generation",
    "Generational",
    "Witness",
    "begin",
    "compare",
]

NAME_BYTES: Final = 16
TOKEN_BYTES: Final = 16
"""Drawn, not counted: two copies that run on must not come to the same one."""


class Generational(Protocol):
    """The store's side: a name and a token that are copied wherever the store is."""

    @property
    def generation(self) -> bytes:
        """The name (16 bytes) and the token (16), or nothing in a new store."""
        ...

    @property
    def written(self) -> int:
        """How many writes it has made, 0 in a new store."""
        ...

    def renew(self, generation: bytes) -> None:
        """Make another name and token durable."""
        ...


class Witness(Protocol):
    """The other side: for each name at most two tokens, where no backup of the store looks."""

    def recall(self, name: bytes) -> bytes:
        """Return what was kept; nothing if it was never here."""
        ...

    def remember(self, name: bytes, tokens: bytes) -> None:
        """Make the tokens durable, instead of the old ones."""
        ...

    def counted(self, name: bytes) -> int:
        """Return how many writes are known of; 0 if it was never said."""
        ...

    def count(self, name: bytes, writes: int) -> None:
        """Note that so many writes are durable, without waiting for this to be so itself."""
        ...


@unique
class Generation(StrEnum):
    """What the comparison says."""

    NEW = "new"
    SAME = "same"
    COPIED = "copied"


def compare(store: Generational, witness: Witness, entropy: Entropy) -> Generation:
    """Tell whether the store is the one that ran last; renew the token unless it is a copy.

    Call once for each start, under the store lock. A copy is left as it is, so that the
    answer stays the same until a new device has been made, and `begin` was called.
    """
    inside = store.generation
    if not inside:
        begin(store, witness, entropy)
        return Generation.NEW
    name, old = inside[:NAME_BYTES], inside[NAME_BYTES:]
    outside = witness.recall(name)
    if not old or old not in (outside[:TOKEN_BYTES], outside[TOKEN_BYTES:]):
        return Generation.COPIED
    if store.written < witness.counted(name):
        return Generation.COPIED
    new = entropy.draw(TOKEN_BYTES)
    witness.remember(name, old + new)
    store.renew(name + new)
    witness.remember(name, new)
    return Generation.SAME


def begin(store: Generational, witness: Witness, entropy: Entropy) -> None:
    """Give a store a name and a token of its own: it is new, or a new device by now, durably.

    A crash in between leaves the store as it was, for the next start to begin again.
    """
    name, token = entropy.draw(NAME_BYTES), entropy.draw(TOKEN_BYTES)
    witness.remember(name, token)
    store.renew(name + token)
