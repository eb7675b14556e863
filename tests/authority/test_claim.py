"""Claims: what is read off a commit for authority."""

from __future__ import annotations

import pytest

from comity.authority.claim import Claim, Standing, claim_of
from comity.base.clock import Wall
from comity.log.entries import (
    AddEntry,
    Entry,
    EpochEntry,
    PrekeyEntry,
    RemoveEntry,
    Role,
    TurnEntry,
    UndoEntry,
    UnknownEntry,
)
from comity.log.inner import Inner, RootGrant
from tests.authority.world import GENESIS, Replica, device_id

ROOT = device_id("R0")
ADD = AddEntry(device_id("M"), Role.WRITER, bytes(32))
REMOVE = RemoveEntry(device_id("M"))


@pytest.mark.parametrize(
    ("entries", "needs"),
    [
        ((), Role.READER),
        ((PrekeyEntry(bytes(32)), UnknownEntry(99, b"")), Role.READER),
        ((ADD,), Role.READER),
        ((TurnEntry(b""),), Role.WRITER),
        ((UndoEntry(GENESIS, 0),), Role.WRITER),
        ((EpochEntry(bytes(32)),), Role.WRITER),
        ((TurnEntry(b""), PrekeyEntry(bytes(32))), Role.WRITER),
    ],
)
def test_what_a_commit_needs(entries: tuple[Entry, ...], needs: Role) -> None:
    """Turns, undos and epochs need a writer; the authority entry is judged by itself."""
    graph = Replica([ROOT]).graph
    inner = Inner(ROOT, 1, GENESIS, RootGrant(0), (GENESIS,), Wall(0), entries)
    entry = ADD if ADD in entries else None
    assert claim_of(graph, inner, 0) == Claim(ROOT, RootGrant(0), (0,), 0, 0, needs, entry)


def test_a_first_commit_and_an_epoch() -> None:
    """No backlink and no epoch are None, never 0."""
    graph = Replica([ROOT]).graph
    entries = (EpochEntry(bytes(32)), REMOVE)
    inner = Inner(ROOT, 0, None, RootGrant(0), (GENESIS,), Wall(0), entries)
    claim = claim_of(graph, inner, None)
    assert (claim.backlink, claim.epoch) == (None, None)
    assert (claim.needs, claim.entry) == (Role.WRITER, REMOVE)


def test_only_quarantine_hides() -> None:
    """What is effective or adopted is visible."""
    assert [standing.visible for standing in Standing] == [True, False, True]
