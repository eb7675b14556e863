"""One step: its changes are one transaction, and what must wait for the disk does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.clock import Instant, Moment, Wall
from comity.base.errors import Reason, Rejected
from comity.base.ids import LinkId, Token, Topic
from comity.node.effects import (
    Answer,
    Drop,
    Effect,
    Hangup,
    Put,
    Read,
    Release,
    Report,
    Table,
    Write,
)
from comity.node.step import Rows, Step, Waiting

NOW: Final = Moment(Instant(5), Wall(7))


def mark(name: str) -> Callable[[Step], None]:
    """Return what leaves a trace when its time has come."""
    return lambda step: step.report(name)


def marks(effects: list[Effect]) -> list[str]:
    """Return the traces among effects."""
    return [effect.what for effect in effects if isinstance(effect, Report)]


def stored(waiting: Waiting, token: int) -> list[Effect]:
    """Say that a transaction is on disk; return what that step leads to."""
    step = Step(NOW, waiting)
    for then in waiting.take_write(Token(token)):
        then(step)
    return step.finish()


def test_changes_become_one_write_before_all_effects() -> None:
    """In the order in which they were made, whatever was done in between."""
    step = Step(NOW, Waiting())
    step.act(Hangup(LinkId(2), "why"))
    step.put(Table.META, b"a", b"1")
    step.report("told", topic=Topic(b"t" * 32), refusal=Rejected(Reason.RATE), detail="d")
    step.drop(Table.PEER, b"b")
    write, *others = step.finish()
    assert write == Write(Token(1), (Put(Table.META, b"a", b"1"), Drop(Table.PEER, b"b")))
    assert others == [
        Hangup(LinkId(2), "why"),
        Report("told", topic=Topic(b"t" * 32), refusal=Rejected(Reason.RATE), detail="d"),
    ]


def test_replies_do_not_wait_for_the_write_beside_them() -> None:
    """They rest on what is on disk already; everything else comes after the transaction."""
    step = Step(NOW, Waiting())
    step.put(Table.META, b"a", b"1")
    step.act(Hangup(LinkId(2), "why"))
    step.act(Release(Topic(b"t" * 32), 3))
    step.act(Answer(Token(7), "done"))
    write = Write(Token(1), (Put(Table.META, b"a", b"1"),))
    replies = [Release(Topic(b"t" * 32), 3), Answer(Token(7), "done")]
    assert step.finish() == [*replies, write, Hangup(LinkId(2), "why")]


def test_what_waits_goes_on_when_its_write_is_stored() -> None:
    """Not in the step that writes, and not with the write of another step."""
    waiting = Waiting()
    for number in (1, 2):
        step = Step(NOW, waiting)
        step.when_durable(mark(f"durable {number}"))
        step.put(Table.META, b"%d" % number, b"")
        effects = step.finish()
        assert marks(effects) == []
        assert isinstance(effects[0], Write)
        assert effects[0].token == number
    assert not waiting.idle
    assert marks(stored(waiting, 1)) == ["durable 1"]
    assert marks(stored(waiting, 2)) == ["durable 2"]
    assert waiting.idle


def test_without_anything_outstanding_it_goes_on_at_once() -> None:
    """Nothing was written: the answer leaves in the same step, and so does what it asks for."""
    step = Step(NOW, Waiting())
    step.when_durable(lambda now: now.when_durable(mark("second")))
    step.when_durable(mark("first"))
    assert marks(step.finish()) == ["first", "second"]


def test_a_step_that_writes_nothing_waits_for_the_newest_write() -> None:
    """What was written before may be what it is about."""
    waiting = Waiting()
    for number in (1, 2):
        step = Step(NOW, waiting)
        step.put(Table.META, b"%d" % number, b"")
        step.finish()
    step = Step(NOW, waiting)
    step.when_durable(mark("after both"))
    assert step.finish() == []
    assert marks(stored(waiting, 1)) == []
    assert marks(stored(waiting, 2)) == ["after both"]


def test_what_goes_on_may_write_again() -> None:
    """A change that is made when something settles is of the same step, and waits anew."""
    waiting = Waiting()

    def again(step: Step) -> None:
        step.put(Table.META, b"more", b"")
        step.when_durable(mark("more"))

    step = Step(NOW, waiting)
    step.when_durable(again)
    step.when_durable(mark("beside it"))
    effects = step.finish()
    assert isinstance(effects[0], Write)
    assert marks(effects) == ["beside it"]
    assert marks(stored(waiting, 1)) == ["more"]


def test_writes_are_stored_in_order() -> None:
    """An answer for any but the oldest is our own mistake."""
    waiting = Waiting()
    for _ in range(2):
        waiting.add_write([])
    with pytest.raises(AssertionError):
        waiting.take_write(Token(2))


def test_reads_find_who_asked() -> None:
    """In any order, each once; tokens of reads and writes never meet."""
    waiting = Waiting()
    step = Step(NOW, waiting)
    found: list[tuple[str, Rows]] = []
    for name in ("first", "second"):
        step.read(
            Table.COMMIT,
            (b"a", b"z"),
            7,
            lambda _, rows, name=name: found.append((name, rows)),  # type: ignore[misc]
        )
    step.put(Table.META, b"a", b"")
    write, *reads = step.finish()
    assert isinstance(write, Write)
    assert reads == [Read(Token(n), Table.COMMIT, b"a", b"z", 7) for n in (1, 2)]
    assert write.token == 3
    rows = ((b"k", b"v"),)
    waiting.take_read(Token(2))(step, rows)
    waiting.take_read(Token(1))(step, ())
    assert found == [("second", rows), ("first", ())]
    with pytest.raises(KeyError):
        waiting.take_read(Token(1))


def test_touched_topics_are_named_once() -> None:
    """In the order in which they were first touched."""
    step = Step(NOW, Waiting())
    for letter in (b"b", b"a", b"b"):
        step.touch(Topic(letter * 32))
    assert step.touched == (Topic(b"b" * 32), Topic(b"a" * 32))
    assert (step.instant, step.now.wall) == (5, 7)


@given(st.lists(st.sampled_from(["write", "wait", "both", "stored"]), max_size=30))
def test_nothing_is_released_before_what_was_written_by_then(script: list[str]) -> None:
    """In any history: once, in order, when every write of its step and before is on disk."""
    waiting = Waiting()
    written = on_disk = asked = 0
    released: list[int] = []
    needs: list[int] = []

    def release(number: int) -> Callable[[Step], None]:
        def then(_: Step) -> None:
            assert needs[number] <= on_disk
            released.append(number)

        return then

    for what in script:
        if what == "stored":
            if on_disk < written:
                on_disk += 1
                stored(waiting, on_disk)
            continue
        step = Step(NOW, waiting)
        if what != "wait":
            step.put(Table.META, b"k", b"")
            written += 1
        if what != "write":
            needs.append(written)
            step.when_durable(release(asked))
            asked += 1
        step.finish()
        assert waiting.idle == (on_disk == written)
    while on_disk < written:
        on_disk += 1
        stored(waiting, on_disk)
    assert released == list(range(asked))
