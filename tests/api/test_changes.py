"""Changes on real nodes: threads and asyncio are told, once it is durable, until the end."""

from __future__ import annotations

import asyncio
import gc
import threading
from pathlib import Path

import pytest

from comity import DeadlineError, FieldChange, Node
from tests.node.ledger import Ledger

_SECONDS = 20.0


def test_a_thread_hears_changes_from_elsewhere_until_the_actor_is_closed(
    tmp_path: Path,
) -> None:
    """The device that wrote is named; closing the actor ends the stream."""
    with (
        Node(tmp_path / "a", insecure_store=True) as one,
        Node(tmp_path / "b", insecure_store=True) as two,
    ):
        here = one.create(Ledger)
        there = two.open(Ledger, here.invite())
        changes = here.changes()
        with pytest.raises(DeadlineError):
            changes.get(timeout=0)
        there.ask(Ledger.enter, "milk", 1).get(timeout=_SECONDS)
        seen: dict[str, FieldChange] = {}
        while "lines" not in seen:
            change = changes.get(timeout=_SECONDS)
            assert change is not None
            seen[change.field] = change
        assert seen["lines"].keys == ("milk",)
        assert seen["lines"].by == (two.device,)
        rest: list[FieldChange] = []
        thread = threading.Thread(target=lambda: rest.extend(changes))
        thread.start()
        here.close()
        thread.join(_SECONDS)
        assert not thread.is_alive()


def test_asyncio_hears_changes(tmp_path: Path) -> None:
    """`async for` is woken by a turn of another thread, and ends with `close`."""

    async def follow(node: Node) -> list[str]:
        ref = node.create(Ledger)
        found: list[str] = []
        with ref.changes() as changes:
            await ref.ask(Ledger.enter, "milk", 1)
            async for change in changes:
                found += map(str, change.keys)
                if "eggs" in found:
                    break
                ref.tell(Ledger.enter, "eggs", 2)
        async for _ in changes:  # closed: what is pending, then the end
            pass
        return found

    with Node(tmp_path / "a", insecure_store=True) as node:
        found = asyncio.run(asyncio.wait_for(follow(node), _SECONDS))
    assert set(found) == {"milk", "eggs"}


def test_what_nobody_holds_is_forgotten(tmp_path: Path) -> None:
    """A stream that was dropped without a word costs the actor nothing after a while."""
    with Node(tmp_path / "a", insecure_store=True) as node:
        ref = node.create(Ledger)
        changes = ref.changes()
        assert node.look(ref.topic, lambda cell: len(cell.listeners)).get() == 1
        del changes
        gc.collect()
        ref.ask(Ledger.enter, "milk", 1).get(timeout=_SECONDS)
        assert node.look(ref.topic, lambda cell: len(cell.listeners)).get() == 0
