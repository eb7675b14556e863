"""One change to a list or tree: its kinds, its shape, and what it touches.

Owns: the values. May not know: elements (`elements`), bytes (`list_law`), rules (`verdict`).
Source: decision 4 (operations name no ids).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

__all__ = ["DELETE", "INSERT", "MOVE", "SET", "UNDER", "Done", "Operation", "touched"]

INSERT: Final = 0
DELETE: Final = 1
SET: Final = 2
MOVE: Final = 3
UNDER: Final = 4
"""Says under which element, -1 for none, the next operation inserts or moves; of trees only."""

Value = Any


class Operation(NamedTuple):
    """One change.

    number: of elements; for MOVE the position that the element has afterwards.
    values: of INSERT and SET, as many as `number` says.
    """

    kind: int
    position: int
    number: int
    values: Sequence[Value] = ()


Done = tuple[Operation, tuple[int, ...], bool]
"""An operation, the turns that inserted what it touches, and whether it inserts at the end."""


def touched(
    turn: int, operations: Sequence[Operation], made: Callable[[int], int], length: int
) -> list[Done]:
    """Return what operations touch, one after another; they fit a list of `length`.

    made: the turn that inserted what is at a position. Cost of several: that of the list.
    """
    if len(operations) == 1:
        first, past = _span(operations[0])
        turns = tuple([made(place) for place in range(first, past)])
        return [(operations[0], turns, first == length)]
    rows = [made(place) for place in range(length)]
    done: list[Done] = []
    for operation in operations:
        first, past = _span(operation)
        done.append((operation, tuple(rows[first:past]), first == len(rows)))
        if operation.kind == INSERT:
            rows[first:first] = [turn] * operation.number
        elif operation.kind == MOVE:
            rows.insert(operation.number, rows.pop(first))
        elif operation.kind == DELETE:
            del rows[first:past]
    return done


def _span(operation: Operation) -> tuple[int, int]:
    """Return the first position that an operation touches, and that after the last."""
    kind, first, count, _ = operation
    if kind == INSERT:
        return first, first
    return first, first + (1 if kind == MOVE else count)
