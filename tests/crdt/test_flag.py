"""A flag reads like a bool, and takes nothing else; its merge is judged by `test_state`."""

from __future__ import annotations

import pytest

from comity.base.errors import Reason, UsageError
from comity.crdt.flag import Flag
from comity.crdt.schema import Schema
from comity.crdt.state import ChangeKind, State
from tests.crdt.histories import Order


def opened() -> tuple[State, Flag]:
    """Return the state of an actor with one flag, and the flag."""
    state = State(Schema.from_hints("A", {"open": Flag}, {}), Order())
    flag = state.views[0]
    assert isinstance(flag, Flag)
    return state, flag


def test_a_flag_reads_like_a_bool() -> None:
    """It compares, tests and prints as what it holds, and is off at first."""
    state, flag = opened()
    assert not flag
    assert flag == False  # noqa: E712  (what is tested)
    state.begin(0)
    flag.enable()
    assert flag
    assert flag.value is True
    assert flag == True  # noqa: E712  (what is tested)
    assert (str(flag), f"{flag!r:>12}") == ("True", "  Flag(True)")
    flag.disable()
    assert not flag
    assert dict(state.snapshot()) == {"open": False}


def test_a_flag_takes_bools_and_flags_only() -> None:
    """Anything else is refused, naming the field and the fix."""
    state, flag = opened()
    state.begin(0)
    law = state.laws[0]
    with pytest.raises(UsageError, match=r"Flag 'open'.*pass True or False"):
        law.assign(1)
    law.assign(value=True)
    law.assign(flag)
    assert flag
    state.rollback()
    assert not flag


def test_a_flag_costs_one_byte() -> None:
    """However often a turn switches, the last setting is its operation; others are refused."""
    state, flag = opened()
    state.begin(0)
    flag.enable()
    flag.disable()
    flag.enable()
    operations = state.commit()
    assert operations[4:] == b"\x01\x01"
    other, _ = opened()
    (change,) = other.fold(0, operations[:5] + b"\x02")
    assert change.kind is ChangeKind.REFUSED
    assert change.refusal is not None
    assert change.refusal.reason is Reason.MALFORMED
    other.fold(1, operations)
    assert other.encode_state() == state.encode_state() != b""
