"""Faults of a hostile network: frames altered, repeated, replayed, held back, cut short.

Owns: what is done to the frames of one path. May not know: what frames mean.
Source: CHAOS 'Faults', Network: corrupt, duplicate, late replay, reorder, reset in mid-frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from comity.base.clock import MILLISECOND, Duration
from comity_chaos.faults.kind import Bit, FaultKind, Model, Stage, Undo
from comity_chaos.network import Path, Wire
from comity_chaos.plan import Fault

__all__ = ["TAMPER_FAULTS"]

_AT_ONCE: Final = Duration(1 * MILLISECOND)
_KEPT_MAX: Final = 8

_Change = Callable[["_Tamper", Wire, bytes], Sequence[bytes] | None]
"""Returns what arrives in the place of a frame; None if this one is not touched."""


class _Tamper:
    """Changes the next frames of one path; a `network.Meddler`."""

    __slots__ = ("_bit", "_change", "_path", "held", "left", "past", "stage")

    def __init__(
        self, stage: Stage, path: Path, fault: Fault, change: _Change, bit: Bit
    ) -> None:
        """Change `fault.amount` frames, one at least."""
        self.stage = stage
        self.left = max(fault.amount, 1)
        self.past: list[bytes] = []
        self.held: list[bytes] = []
        self._path = path
        self._change = change
        self._bit = bit

    def __call__(self, wire: Wire, side: int, frame: bytes) -> Sequence[bytes]:
        """Return what arrives."""
        del side
        if self.left <= 0:
            self.stop()
            return (frame,)
        changed = self._change(self, wire, frame)
        self.past = [*self.past[1 - _KEPT_MAX :], frame]
        if changed is None:
            return (frame,)
        self.left -= 1
        self._bit()
        return changed

    def stop(self) -> None:
        """Leave the path alone."""
        if self._path.meddler is self:
            self._path.meddler = None


def _work(change: _Change, stage: Stage, fault: Fault, bit: Bit) -> Undo:
    path = stage.world.network.path(*fault.nodes[:2])
    tamper = _Tamper(stage, path, fault, change, bit)
    path.meddler = tamper
    return tamper.stop


def _corrupt(tamper: _Tamper, wire: Wire, frame: bytes) -> Sequence[bytes]:
    del wire
    keyed, count = tamper.stage.world.keyed, tamper.stage.world.network.frames
    place = keyed.below(len(frame), "corrupt", count)
    flipped = frame[place] ^ (1 << keyed.below(8, "bit", count))
    return (frame[:place] + bytes((flipped,)) + frame[place + 1 :],)


def _duplicate(_tamper: _Tamper, _wire: Wire, frame: bytes) -> Sequence[bytes]:
    return (frame, frame)


def _replay(tamper: _Tamper, _wire: Wire, frame: bytes) -> Sequence[bytes] | None:
    return (tamper.past[0], frame) if tamper.past else None


def _swap(tamper: _Tamper, _wire: Wire, frame: bytes) -> Sequence[bytes]:
    if not tamper.held:
        tamper.held.append(frame)
        tamper.left += 1
        return ()
    return (frame, tamper.held.pop())


def _cut_short(tamper: _Tamper, wire: Wire, frame: bytes) -> Sequence[bytes]:
    """The frame never arrives whole, and the link ends with it."""
    del frame
    tamper.stage.world.break_wire(wire, _AT_ONCE, "reset in the middle of a frame")
    return ()


def _kind(name: str, change: _Change, tells: str) -> FaultKind:
    return FaultKind(
        name=name,
        model=Model.BYZANTINE,
        work=partial(_work, change),
        tells=tells,
        nodes=2,
        amounts=(1, 3),
        lasts=(2_000, 10_000),
        events=("send", "link", "fsync"),
        often=True,
    )


TAMPER_FAULTS: Final = (
    _kind("corrupt", _corrupt, "a bit flips in {amount} frame(s) from {a} to {b}"),
    _kind("duplicate", _duplicate, "{amount} frame(s) from {a} to {b} arrive twice"),
    _kind("replay", _replay, "{amount} old frame(s) from {a} to {b} arrive again"),
    _kind("swap", _swap, "{amount} frame(s) from {a} to {b} arrive after the next one"),
    _kind("cut-short", _cut_short, "the link from {a} to {b} ends in the middle of a frame"),
)
"""What who owns the wires between nodes can do."""
