"""The past on a real node: history, versions, undo and branches, also after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from comity import Node, UsageError
from tests.node.ledger import Ledger

_SECONDS = 20.0


def test_the_past_is_there_after_a_restart(tmp_path: Path) -> None:
    """Undo and redo go on where they were; a turn names the version just after it."""
    with Node(tmp_path / "a", insecure_store=True) as node:
        ref = node.create(Ledger)
        ref.ask(Ledger.enter, "milk", 1).get(timeout=_SECONDS)
        ref.ask(Ledger.enter, "eggs", 2).get(timeout=_SECONDS)
        ref.undo()
        assert ref.snapshot()["lines"] == {"milk": 1}
    with Node(tmp_path / "a", insecure_store=True) as node:
        ref = node.open(Ledger)
        assert ref.snapshot()["lines"] == {"milk": 1}
        turns = ref.history()
        assert [each.visible for each in turns] == [True, True, False]
        assert turns[1].fields == turns[2].fields
        assert ref.at(turns[0].id)["title"] == "new"
        assert ref.at(turns[1].id)["lines"] == {"milk": 1}
        assert ref.at(turns[2].id)["total"] == 3
        assert ref.redo() == turns[2].id
        assert ref.diff(turns[1].id, turns[2].id)["lines"].keys == ("eggs",)
        assert ref.diff(ref.version()) == {}
        with pytest.raises(UsageError, match="counts already"):
            ref.adopt(turns[0].id.commit.hex())


def test_a_state_is_restored_beside_what_others_do(tmp_path: Path) -> None:
    """Only what differs is written, in one turn, which is undone like any other."""
    with (
        Node(tmp_path / "a", insecure_store=True) as ann,
        Node(tmp_path / "b", insecure_store=True) as bob,
    ):
        ours = ann.create(Ledger)
        ours.ask(Ledger.enter, "milk", 1).get(timeout=_SECONDS)
        then = ours.version()
        ours.ask(Ledger.enter, "milk", 5).get(timeout=_SECONDS)
        theirs = bob.open(Ledger, ours.invite())
        assert theirs.restore(then) == ("total", "lines")
        assert theirs.snapshot()["lines"] == {"milk": 1}
        assert theirs.history()[-1].fields == ("total", "lines")
        theirs.undo()
        assert theirs.snapshot()["lines"] == {"milk": 5}
        with pytest.raises(UsageError, match=r"no commit|not here"):
            ours.restore((type(then[0])(bytes(32)),))


def test_a_branch_is_tried_and_merged(tmp_path: Path) -> None:
    """What a branch did is of the branch, until its messages are sent, each once."""
    with Node(tmp_path / "a", insecure_store=True) as node:
        ref = node.create(Ledger)
        branch = ref.fork()
        assert branch.ask(Ledger.enter, "milk", 1) == 1
        with pytest.raises(ValueError, match="eggs"):
            branch.ask(Ledger.enter_and_fail, "eggs")
        assert branch.snapshot()["lines"] == {"milk": 1}
        assert branch.diff()["names"].keys == ("milk",)
        assert ref.snapshot()["lines"] == {}
        ref.ask(Ledger.enter, "bread", 5).get(timeout=_SECONDS)
        assert branch.merge() == [2]
        assert branch.merge() == []
        assert ref.snapshot()["lines"] == {"milk": 1, "bread": 5}
