"""Letters by the hundred thousand through two relays that lose, repeat and mix up.

Owns: the run, and what is counted. May not know: how many are enough (`test_mail_soak`, and
`python -m tests.node.mail_soak ENVELOPES KILLS SEED`).

    the sender is on, leaves 120 envelopes, goes --> the till is on, fetches, answers, goes
    each now and then dies of kill -9 in the middle of something, and comes back

A link is a stream, which cannot lose a part; so what is lost, said twice or later than what
followed it are whole records: each mail, each receipt, each collection.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import ClassVar

from comity import Actor, Counter
from comity.base.errors import Rejected
from comity.base.ids import Token
from comity.node.effects import Stage
from comity.wire.records import Codec, Collected, Post, Posted, Record
from comity_chaos.keyed import Keyed
from comity_chaos.sim import Sim
from comity_chaos.world import SimNode
from tests.node.post_office import PostOffice
from tests.node.till import Far

_ROUND = 120
_LOST, _TWICE, _LATER = 5, 5, 5
"""Of a hundred."""


class Book(Actor):
    """Counts letters, which are numbered from 1 and come in order or not at all."""

    handled: Counter
    doubled: Counter
    skipped: Counter

    def note(self, number: int) -> None:
        """Take one, whose number is one more than there were."""
        before = int(self.handled)
        if number <= before:
            self.doubled += 1
        elif number > before + 1:
            self.skipped += 1
        else:
            self.handled += 1


class Lossy:
    """A codec of a node whose words about mail get lost, come twice, or late."""

    def __init__(self, codec: Codec, keyed: Keyed, node: int) -> None:
        self._codec, self._keyed, self._node = codec, keyed, node
        self._late: list[Record] = []
        self.said = self.lost = self.doubled = self.late = 0

    def encode(self, batch: tuple[Record, ...]) -> bytes:
        """Say most of it."""
        found: list[Record] = [*self._late]
        late: list[Record] = []
        for record in batch:
            if not isinstance(record, Post | Posted | Collected):
                found.append(record)
                continue
            self.said += 1
            chance = self._keyed.below(100, "lossy", self._node, self.said)
            if chance < _LOST:
                self.lost += 1
            elif chance < _LOST + _TWICE:
                self.doubled += 1
                found += [record, record]
            elif chance < _LOST + _TWICE + _LATER:
                self.late += 1
                late.append(record)
            else:
                found.append(record)
        self._late = late
        return self._codec.encode(tuple(found))

    def decode(self, data: bytes) -> tuple[Record, ...] | Rejected:
        """Hear all."""
        return self._codec.decode(data)


class Crowd(PostOffice):
    """The sender of the numbers, and the book that counts them."""

    actor: ClassVar[type[Actor]] = Book
    methods: ClassVar[tuple[str, ...]] = ("note",)

    @property
    def stored(self) -> int:
        """How many letters the sender has made durable, ever."""
        core, _ = self.here.running()
        desk = core._desk
        assert desk is not None
        edge = desk.delivery._edges.get(self.link.device)
        return 0 if edge is None else edge.sender.next_number - 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run."""

    sent: int
    handled: int
    doubled: int
    skipped: int
    kills: int
    lost: int
    repeated: int
    late: int
    days: float

    @property
    def good(self) -> bool:
        """Whether every effect is there exactly once."""
        return self.handled == self.sent and self.doubled == self.skipped == 0


def run(envelopes: int, kills: int, seed: int, *, tell: bool = False) -> Outcome:
    """Send so many envelopes, each of one letter; kill either end so often."""
    with Sim(seed=seed, nodes=2) as sim:
        far = Crowd(sim)
        codecs = _spoil(far)
        rounds = -(-envelopes // _ROUND)
        sent = killed = 0
        begun = time.monotonic()
        for number in range(rounds):
            due = kills * (number + 1) // rounds - killed
            killed += due
            deaths = _deaths(sim.world.keyed, number, due)
            sent = _round(far, sent, min(_ROUND, envelopes - sent), deaths)
            if tell and number % 50 == 49:
                spent = time.monotonic() - begun
                sys.stdout.write(f"{sent} sent, {killed} kills, {spent:.0f} s\n")
                sys.stdout.flush()
        _finish(far)
        state = far.till.state
        far.check()
        counts = [int(str(state[name])) for name in ("handled", "doubled", "skipped")]
        sums = [sum(getattr(c, name) for c in codecs) for name in ("lost", "doubled", "late")]
        days = sim.world.now / 86_400e9
        handled, doubled, skipped = counts
        lost, repeated, delayed = sums
        return Outcome(sent, handled, doubled, skipped, killed, lost, repeated, delayed, days)


def _spoil(far: Crowd) -> list[Lossy]:
    """Begin again with nodes that lose what they say of mail; both ends are off."""
    world = far.world
    codecs: list[Lossy] = []
    for node in world.nodes:
        world.crash(node, kept=10**6)
        codecs.append(Lossy(world._codec, world.keyed, node.index))
        node.codec = codecs[-1]
    far.sim.run(3)
    for relay in far.relays:
        world.start(relay)
    return codecs


def _round(far: Crowd, sent: int, count: int, deaths: tuple[int, int]) -> int:
    """Have one end send, then the other take; return how many were sent by then."""
    far.world.start(far.here)
    death = _Death(far, far.here, deaths[0])
    far.sim.run(1)
    for number in range(sent + 1, sent + count + 1):
        _post(far, number)
    far.sim.run(count + 20)
    death.over()
    _leave(far, far.here)
    far.world.start(far.there)
    death = _Death(far, far.there, deaths[1])
    far.sim.run(40)
    death.over()
    _leave(far, far.there)
    return sent + count


def _finish(far: Crowd) -> None:
    """Go on, one end after the other, until all is acknowledged."""
    for _ in range(40):
        for node in (far.here, far.there):
            far.world.start(node)
            far.sim.run(300 if node is far.here else 100)
            _leave(far, node)
        if far.unsent == 0:
            break
    assert far.unsent == 0, f"{far.unsent} envelopes are not acknowledged"
    far.sim.restart(far.till)
    far.sim.run(2)


def _post(far: Crowd, number: int) -> None:
    """Send a number; whoever is dead sends when it lives again."""
    while True:
        if not far.here.up:
            far.world.start(far.here)
            far.sim.run(1)
        if far.stored >= number:  # it died before it could say so
            return
        far.here.progress.clear()
        token = far.post("note", number)
        while far.here.up and not _is_queued(far, token):
            far.world.run_one()
        if far.here.up:
            return


def _is_queued(far: Far, token: Token) -> bool:
    return any(p.token == token and p.stage is Stage.QUEUED for p in far.here.progress)


def _deaths(keyed: Keyed, number: int, due: int) -> tuple[int, int]:
    """Say at which write each end dies in this round; 0 for not at all."""
    first = [0, 0]
    for each in range(due):
        side = keyed.below(2, "side", number, each)
        first[side] = 1 + keyed.below(150, "when", number, each)
    return first[0], first[1]


class _Death:
    """Kills a node right after one of its writes became durable, and starts it again."""

    def __init__(self, far: Far, node: SimNode, when: int) -> None:
        self._far, self._node, self._left = far, node, when
        self._is_over = False
        self._watches = when > 0
        if self._watches:
            far.world.watch(node, "fsync", self.count)

    def count(self) -> None:
        """Count a write."""
        self._left -= 1
        if self._left == 0:
            world = self._far.world
            world.crash(self._node)
            world.time.after(3_000_000_000, self.revive)

    def revive(self) -> None:
        """Start again, if nobody else did."""
        if not self._node.up and not self._is_over:
            self._far.world.start(self._node)

    def over(self) -> None:
        """Kill nobody any more."""
        self._is_over = True
        if self._watches:
            self._far.world.unwatch(self._node, "fsync", self.count)


def _leave(far: Far, node: SimNode) -> None:
    """Switch a node off, whatever it does."""
    if node.up:
        far.world.crash(node)
    far.sim.run(3)


if __name__ == "__main__":
    outcome = run(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), tell=True)
    sys.stdout.write(f"{outcome} {'GOOD' if outcome.good else 'BAD'}\n")
    sys.exit(not outcome.good)
