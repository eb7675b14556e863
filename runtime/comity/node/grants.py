"""The links that this node has given out: which messages of which actor each may send.

Owns: the grants and their rows. May not know: how a link is written, who holds one: whoever
knows the secret may send, until it is taken back.
A grant that was taken back is kept as such, so that its holders are told and not ignored.
Source: API 'Capabilities'; decision 27.
"""

from __future__ import annotations

from dataclasses import dataclass

from comity.base.canonical import Reader, varint
from comity.base.errors import UsageError
from comity.base.ids import ID_BYTES, Topic
from comity.base.limits import GRANTS_MAX
from comity.base.ports import Entropy
from comity.node.effects import Table
from comity.node.step import Rows, Step
from comity.protocol.capability import link_name
from comity.protocol.envelope import GRANT_BYTES, METHOD_BYTES_MAX

__all__ = ["Grant", "Grants"]


@dataclass(frozen=True, slots=True)
class Grant:
    """What a link lets through. methods: sorted; none after it was taken back."""

    topic: Topic
    methods: tuple[str, ...]

    @property
    def is_revoked(self) -> bool:
        """Whether it was taken back."""
        return not self.methods

    def encode(self) -> bytes:
        """Write its row."""
        names = [name.encode() for name in self.methods]
        parts = [varint(len(name)) + name for name in names]
        return self.topic + varint(len(parts)) + b"".join(parts)

    @staticmethod
    def decode(data: bytes) -> Grant:
        """Read what `encode` wrote."""
        reader = Reader(data)
        topic = Topic(reader.take(ID_BYTES))
        names = tuple(reader.text(METHOD_BYTES_MAX) for _ in range(reader.varint()))
        reader.finish()
        return Grant(topic, names)


class Grants:
    """All of a node's, by the name of their secret: the rows let nobody in."""

    __slots__ = ("_entropy", "_grants")

    def __init__(self, entropy: Entropy, found: Rows) -> None:
        """Take them from their rows."""
        self._entropy = entropy
        self._grants = {key: Grant.decode(value) for key, value in found}

    def find(self, secret: bytes) -> Grant | None:
        """Return what a secret grants; None if it is nobody's."""
        return self._grants.get(link_name(secret))

    def give(self, step: Step, topic: Topic, methods: tuple[str, ...]) -> bytes | UsageError:
        """Make a grant; return its secret, 16 bytes."""
        if len(self._grants) >= GRANTS_MAX:
            return UsageError(f"{GRANTS_MAX} links are out: give one to several people")
        assert methods
        secret = self._entropy.draw(GRANT_BYTES)
        self._put(step, secret, Grant(topic, tuple(sorted(methods))))
        return secret

    def revoke(self, step: Step, secret: bytes) -> None:
        """Take a link back, for good."""
        grant = self._grants.get(link_name(secret))
        if grant is not None:
            self._put(step, secret, Grant(grant.topic, ()))

    def _put(self, step: Step, secret: bytes, grant: Grant) -> None:
        name = link_name(secret)
        self._grants[name] = grant
        step.put(Table.GRANT, name, grant.encode())
