"""Durability: what was acknowledged is there, whole, once, and in the order it was done.

Owns: `Durability`, `Numbering`. May not know: how turns become commits. Of each life of a
node a beginning survives, at least what was acknowledged and never more than was done; one
after another these are exactly the turns that its commits hold.

    S = P1 + P2 + ... + Pn    S: the turns under the node's name in the log, in its own order
                              Pi: the first k turns of life i, acknowledged <= k <= run
Source: ARCHITECTURE invariants 1 and 3; CHAOS 'Oracles', Durability and Order.
"""

from __future__ import annotations

from collections import Counter

from comity.base.ids import DeviceId
from comity.node.effects import Table
from comity.node.loading import read_back
from comity.wire.records import Commit
from comity_chaos.history import History, Life
from comity_chaos.oracles.oracle import Violation
from comity_chaos.scene import Part, Scene

__all__ = ["Durability", "Numbering", "commits_on_disk", "turns_in_log"]


def commits_on_disk(part: Part) -> dict[int, Commit]:
    """Return every commit of an actor that a node's disk holds, in a run or not, by number."""
    replica = part.replica
    assert replica is not None
    commits, runs = (
        tuple([row for row in part.node.disk.table(table) if row[0].startswith(part.topic)])
        for table in (Table.COMMIT, Table.RUN)
    )
    return read_back(replica.journal, commits, runs)


def turns_in_log(part: Part, device: DeviceId) -> list[bytes]:
    """Return what a device's turns wrote, in its own order, as a node's disk holds them."""
    replica = part.replica
    assert replica is not None
    journal = replica.journal
    found: list[tuple[int, tuple[bytes, ...]]] = []
    for number, sealed in commits_on_disk(part).items():
        commit = number - 1
        if journal.graph.author_of(commit) == device and journal.turn_count(commit):
            turns = journal.turns_of(sealed)
            found.append((journal.graph.seq_of(commit), turns))
    found.sort(key=lambda each: each[0])
    return [turn for _, turns in found for turn in turns]


class Durability:
    """No acknowledged turn is lost, none is there twice, in part, or out of order."""

    __slots__ = ("_history", "_scene", "judged")

    name = "durability"

    def __init__(self, scene: Scene, history: History) -> None:
        """Start without having judged anything."""
        self.judged = 0
        self._scene = scene
        self._history = history

    def sample(self) -> None:
        """Only the end is judged, when every log is the same."""

    def conclude(self) -> None:
        """Judge each honest node's turns against its own log; all logs are equal by then."""
        for part in self._scene.parts:
            if not self._scene.honest(part.node) or not part.idle:
                continue
            assert part.node.core is not None
            lives = self._history.lives.get((part.node.index, part.topic), [])
            log = turns_in_log(part, part.node.core.device)
            self.judged += sum(life.durable for life in lives)
            wrong = misfit(log, lives)
            if wrong:
                raise Violation(self.name, f"node {part.node.index}: {wrong}")


def misfit(log: list[bytes], lives: list[Life]) -> str:
    """Say what is wrong with a log, given what was done in each life; '' if nothing is."""
    reached = {0: True}
    for life in lives:
        following: dict[int, bool] = {}
        for place in reached:
            count = 0
            while True:
                if count >= life.durable:
                    following[place + count] = True
                end = place + count
                if count == len(life.turns) or end >= len(log) or log[end] != life.turns[count]:
                    break
                count += 1
        reached = following
    if len(log) in reached:
        return ""
    done = Counter(turn for life in lives for turn in life.turns)
    acknowledged = Counter(turn for life in lives for turn in life.turns[: life.durable])
    held = Counter(log)
    lost = sum((acknowledged - held).values())
    if lost:
        return f"{lost} acknowledged write(s) are lost"
    extra = held - done
    twice = sum(count for turn, count in extra.items() if turn in done)
    if twice:
        return f"{twice} turn(s) took effect more than once"
    if extra:
        return f"{sum(extra.values())} turn(s) are in the log that were never run"
    return "the turns are in the log in another order than they were run"


class Numbering:
    """No honest device gives two commits one number in its chain."""

    __slots__ = ("_scene", "judged")

    name = "numbering"

    def __init__(self, scene: Scene) -> None:
        """Start without having judged anything."""
        self.judged = 0
        self._scene = scene

    def sample(self) -> None:
        """Look for evidence of forks by devices that nobody tampered with."""
        for part in self._scene.parts:
            replica = part.replica
            if replica is None or not self._scene.trusted(part.node):
                continue
            self.judged += 1
            for device, (first, _) in replica.journal.graph.forks.items():
                index = self._scene.devices.get(device)
                if index is None or index in self._scene.byzantine | self._scene.tainted:
                    continue
                seq = replica.journal.graph.seq_of(first)
                raise Violation(
                    self.name,
                    f"node {index} has signed two commits as its number {seq}: its chain "
                    "forked, and nobody had copied its disk or put it back",
                )

    def conclude(self) -> None:
        """Look once more."""
        self.sample()
