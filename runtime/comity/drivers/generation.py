"""Is this store the one that ran last, or a copy of it? Two copies of a device must not run.

Owns: the comparison of a token in the store with one outside, and its renewal. May not know:
what follows; the owner of the store makes a new device when the answer is `COPIED`.

    outside:  a          a b           b           a token is 16 random bytes
    inside:   a    -->   a   -->   b   -->   b     renewed on every start, in this order, so
                                                   that a crash leaves inside one of outside

A store that was restored, or copied elsewhere, has a token that the witness has forgotten or
never knew. Not noticed: a copy that is put back before the next start, and a machine that is
restored as a whole; the second net of PROTOCOL section 1 (later commits of its own at a
peer) is for those.
Source: PROTOCOL section 1 (store-generation secret).
"""

from __future__ import annotations

import os
from enum import StrEnum, unique
from typing import TYPE_CHECKING, Final, Protocol

from comity.base.errors import StoreError
from comity.drivers.store import sync_directory

if TYPE_CHECKING:
    from pathlib import Path

    from comity.base.ports import Entropy

__all__ = ["FileWitness", "Generation", "Generational", "Witness", "compare"]

_TOKEN_BYTES: Final = 16


class Generational(Protocol):
    """The store's side: a token that is copied wherever the store is."""

    @property
    def generation(self) -> bytes:
        """The token, or nothing in a new store."""
        ...

    def renew(self, token: bytes) -> None:
        """Make another token durable."""
        ...


class Witness(Protocol):
    """The other side: it keeps at most two tokens where no backup of the store looks."""

    def recall(self) -> bytes:
        """Return what was kept; nothing if it was never here."""
        ...

    def remember(self, tokens: bytes) -> None:
        """Make the tokens durable, instead of the old ones."""
        ...


@unique
class Generation(StrEnum):
    """What the comparison says."""

    NEW = "new"
    SAME = "same"
    COPIED = "copied"


class FileWitness:
    """Tokens in a file of their own outside the store directory; its owner says where."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        """Name the file; its directory is made when it is needed."""
        self.path = path

    def recall(self) -> bytes:
        """Return what was kept; nothing if it was never here."""
        try:
            return self.path.read_bytes()[: 2 * _TOKEN_BYTES]
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self._failed("read", error) from error

    def remember(self, tokens: bytes) -> None:
        """Make the tokens durable, instead of the old ones."""
        beside = self.path.with_name(self.path.name + ".new")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(tokens)
                file.flush()
                os.fsync(file.fileno())
            beside.rename(self.path)
            sync_directory(self.path.parent)
        except OSError as error:
            raise self._failed("write", error) from error

    def _failed(self, verb: str, error: OSError) -> StoreError:
        return StoreError(
            f"cannot {verb} {self.path}, which tells this store from its copies: "
            f"{error.strerror}; check its owner and mode",
            retry=False,
        )


def compare(store: Generational, witness: Witness, entropy: Entropy) -> Generation:
    """Tell whether the store is the one that ran last; renew the token unless it is a copy.

    Call once for each start, under the store lock. A copy is left as it is, so that the
    answer stays the same until a new device has been made.
    """
    inside, outside = store.generation, witness.recall()
    known = (outside[:_TOKEN_BYTES], outside[_TOKEN_BYTES:])
    if inside and inside not in known:
        return Generation.COPIED
    token = entropy.draw(_TOKEN_BYTES)
    witness.remember(inside + token)
    store.renew(token)
    witness.remember(token)
    return Generation.SAME if inside else Generation.NEW
