"""What a `Node` is put together from: a store that is locked, unlocked and found to be its own.

Owns: the order in which lock, vault, rows, restore guard and core are made, where a node takes
connections, and what its owner is told when the store turns out to be a copy. May not know:
actors, or what any of the parts decides.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from comity.base.errors import LinkError
from comity.base.ids import short
from comity.crypto.sodium import Sodium
from comity.drivers.generation import FileWitness, GuardedStore, state_directory
from comity.drivers.host import Host
from comity.drivers.listening import LastPorts
from comity.drivers.lock import StoreLock
from comity.drivers.sqlite_store import SqliteStore
from comity.drivers.store import STORE_FILE, VAULT_FILE, Making, open_directory
from comity.drivers.system import SystemClock, SystemEntropy
from comity.drivers.vault import Vault
from comity.drivers.verifier import Verifier
from comity.log.entries import Role
from comity.node.core import Core, Local, Ports
from comity.node.effects import Table
from comity.node.generation import Generation, begin, compare
from comity.wire.codec import ProtobufCodec

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from comity.base.ids import Topic
    from comity.drivers.grpc_link import GrpcLinks
    from comity.node.commands import Member, NodeStatus

__all__ = ["Opened", "Protection", "listen_at", "open_store", "tell_of_copy"]

_logger = logging.getLogger("comity")


@dataclass(frozen=True, slots=True)
class Protection:
    """How the keys of a store are kept from whoever reads the disk."""

    passphrase: str | None = field(repr=False)
    insecure: bool

    @property
    def keyring(self) -> bool:
        """Whether the OS keyring holds what unlocks them."""
        return self.passphrase is None and not self.insecure


@dataclass(frozen=True, slots=True)
class Opened:
    """A store that is open, and the core that will run on it once its host is started."""

    host: Host
    lock: StoreLock
    making: Making
    ports: LastPorts
    copied: bool
    """Whether this is a backup or a copy: the device in it writes no more here."""
    begin: Callable[[], object]
    """Starts a new generation in a copy; call it when the core has begun."""


def open_store(path: Path, undo: ExitStack, protection: Protection, *, relay: bool) -> Opened:
    """Open the store in a directory, or make it; `undo` takes what closes it again.

    Raises: UsageError, StoreError with the fix.
    """
    directory = open_directory(path)
    lock = StoreLock(directory)
    undo.callback(lock.release)
    making = Making(directory)
    crypto, entropy = Sodium(), SystemEntropy()
    key = Vault(directory / VAULT_FILE, crypto, entropy).open(
        passphrase=protection.passphrase,
        keyring=protection.keyring,
        insecure=protection.insecure,
    )
    witness = FileWitness(state_directory())
    rows = SqliteStore(directory / STORE_FILE, key, crypto, entropy)
    undo.callback(rows.close)
    store = GuardedStore(rows, witness)
    if not making.is_new and not store.read(Table.META, b"", b"\xff", 1):
        making.refuse("without a single row")
    core = Core(Ports(crypto, ProtobufCodec(), entropy), Local(relay=relay))
    return Opened(
        host=Host(core, store, SystemClock(), Verifier(crypto)),
        lock=lock,
        making=making,
        ports=LastPorts(store),
        copied=compare(store, witness, entropy) is Generation.COPIED,
        begin=partial(begin, store, witness, entropy),
    )


def listen_at(links: GrpcLinks, ports: LastPorts, listen: str | None) -> str | None:
    """Take connections, where the last time if any free port will do; return the address."""
    if listen is None:
        return links.start(None)
    wanted = ports.recall(listen)
    try:
        bound = links.start(wanted)
    except LinkError as error:
        if wanted == listen:
            raise
        _logger.warning("another port than the last time: %s", error)
        bound = links.start(listen)
    return bound


def tell_of_copy(
    path: Path, status: NodeStatus, members: Callable[[Topic], tuple[Member, ...]]
) -> None:
    """Say that this is a new device, and what its owner can do about it."""
    former = status.formers[-1]
    _logger.warning(
        "%s is not the store that ran here last, but a backup or a copy of it: device %s "
        "writes no more here, and this is device %s from now on. What is in the store can "
        "be read; to write, use an invite of an admin of each actor",
        path,
        short(former.device),
        short(status.device),
    )
    for topic, count in former.unsent:
        _logger.warning(
            "%d turns of actor %s that were not sent when the copy was made are kept, and "
            "not sent: device %s may have sent them itself; `comity history --unsent` shows "
            "what they did",
            count,
            short(topic),
            short(former.device),
        )
    gone = {each.device for each in status.formers}
    for each in status.topics:
        admins = [m.device for m in members(each.topic) if m.role is Role.ADMIN]
        if admins and gone.issuperset(admins):
            _logger.warning(
                "actor %s has no other admin than device %s, so nobody can let this one "
                "in: create a new actor from what can be read here",
                short(each.topic),
                short(former.device),
            )
