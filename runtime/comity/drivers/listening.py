"""The port that a store's node was last found at, so that it can be found there again.

Owns: one row a host in the store. May not know: who listens. Peers know one another by the
last address they heard; of two nodes that take a new port at every start, neither would ever
find the other after both were off.
Source: ARCHITECTURE, invariant 7 (a node gone for a year comes back and syncs).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from comity.node.effects import Put, Table

if TYPE_CHECKING:
    from comity.drivers.store import Store

__all__ = ["LastPorts"]

_KEY: Final = b"port "


class LastPorts:
    """Ports by host, in one store."""

    __slots__ = ("_store",)

    def __init__(self, store: Store) -> None:
        """Keep them in this store."""
        self._store = store

    def recall(self, listen: str) -> str:
        """Return 'host:port' with the last port of this host, if any will do; else as it is."""
        host, _, port = listen.rpartition(":")
        if port != "0":
            return listen
        last = self._store.get(Table.META, _KEY + host.encode())
        return listen if last is None else f"{host}:{int(last)}"

    def note(self, listen: str, bound: str) -> None:
        """Keep the port that was bound where any would have done. Raises: StoreError."""
        host, _, port = listen.rpartition(":")
        last = bound.rpartition(":")[2].encode()
        key = _KEY + host.encode()
        if port == "0" and self._store.get(Table.META, key) != last:
            self._store.apply((Put(Table.META, key, last),))
