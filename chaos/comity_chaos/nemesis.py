"""The nemesis: works the faults of a plan when their triggers come, and undoes them.

Owns: triggers, the count of bites, and healing. May not know: what a fault does.

    waiting --trigger--> working --its time--> waiting (by chance) or over
    any --heal--> over
Source: CHAOS 'Architecture', Plan and Phases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, assert_never

from comity.base.clock import MILLISECOND
from comity.base.errors import UsageError
from comity_chaos.faults.catalogue import CATALOGUE
from comity_chaos.faults.kind import Stage, Undo
from comity_chaos.plan import At, Buggify, Fault, When

__all__ = ["Nemesis"]

_BY_CHANCE_MAX: Final = 40
"""Times that one fault comes by chance in a run: a world that only fails shows nothing."""


class Nemesis:
    """The faults of one run.

    By fault: bites, how often it changed what happened; worked, how often it came; fired_ms,
    milliseconds after `arm` when it came first, -1 if it did not.
    """

    __slots__ = (
        "_began",
        "_faults",
        "_over",
        "_stage",
        "_undos",
        "_unwatch",
        "bites",
        "fired_ms",
        "worked",
    )

    def __init__(self, stage: Stage, faults: Sequence[Fault]) -> None:
        """Take the faults; `arm` begins. Raises: UsageError for what cannot be done."""
        nodes = len(stage.world.nodes)
        for fault in faults:
            if fault.kind not in CATALOGUE:
                raise UsageError(f"there is no fault {fault.kind!r}")
            wrong = [index for index in fault.nodes if not 0 <= index < nodes]
            if wrong or len(fault.nodes) < CATALOGUE[fault.kind].needs:
                raise UsageError(f"fault {fault.kind!r} hits nodes {fault.nodes} of {nodes}")
        self._stage = stage
        self._faults = faults
        self._undos: dict[int, list[Undo]] = {}
        self._unwatch: list[Undo] = []
        self._over = False
        self._began = stage.world.now
        self.bites = [0] * len(faults)
        self.worked = [0] * len(faults)
        self.fired_ms = [-1] * len(faults)

    @property
    def bitten(self) -> Mapping[str, int]:
        """Return how often each kind of the plan bit."""
        found: dict[str, int] = {}
        for fault, count in zip(self._faults, self.bites, strict=True):
            found[fault.kind] = found.get(fault.kind, 0) + count
        return found

    def arm(self) -> None:
        """Begin: from now on the triggers count."""
        self._began = self._stage.world.now
        time = self._stage.world.time
        for place, fault in enumerate(self._faults):
            match fault.trigger:
                case At(ms):
                    time.after(ms * MILLISECOND, self._work, place)
                case When() | Buggify() as trigger:
                    time.after(trigger.after_ms * MILLISECOND, self._watch, place, trigger)
                case _:
                    assert_never(fault.trigger)

    def heal(self) -> None:
        """Undo everything that is not over, the newest first; nothing comes any more."""
        self._over = True
        for unwatch in self._unwatch:
            unwatch()
        self._unwatch.clear()
        for place in sorted(self._undos, reverse=True):
            self._undo(place)

    def _watch(self, place: int, trigger: When | Buggify) -> None:
        if self._over:
            return
        world = self._stage.world
        node = world.nodes[trigger.node % len(world.nodes)]
        seen = 0

        def happened() -> None:
            nonlocal seen
            seen += 1
            if isinstance(trigger, When):
                if seen == trigger.nth:
                    self._work(place)
            elif (
                self.worked[place] < _BY_CHANCE_MAX
                and world.keyed.below(1000, "buggify", place, seen) < trigger.permille
            ):
                self._work(place)

        world.watch(node, trigger.event, happened)
        self._unwatch.append(lambda: world.unwatch(node, trigger.event, happened))

    def _work(self, place: int) -> None:
        if self._over:
            return
        fault = self._faults[place]
        world = self._stage.world
        self.worked[place] += 1
        if self.fired_ms[place] < 0:
            self.fired_ms[place] = (world.now - self._began) // MILLISECOND
        world.log.note(world.now, fault.nodes[0], "fault " + fault.kind)
        undo = CATALOGUE[fault.kind].work(self._stage, fault, lambda: self._bite(place))
        self._undos.setdefault(place, []).append(undo)
        if fault.ms:
            world.time.after(fault.ms * MILLISECOND, self._undo, place)

    def _bite(self, place: int) -> None:
        self.bites[place] += 1

    def _undo(self, place: int) -> None:
        for undo in self._undos.pop(place, ()):
            undo()
