"""Messages that come twice, or whose acknowledgement is lost. PROTOCOL 12: 22."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import pytest

from comity.base.clock import Instant
from comity.base.errors import Rejected
from comity.base.ports import Entropy
from comity.crypto.port import Crypto
from comity.node import devices
from comity.node.effects import Table
from comity.node.step import Rows, Step
from comity.protocol.edge import Receiver
from comity.protocol.envelope import Envelope, Letter
from comity.wire.codec import ProtobufCodec
from comity.wire.records import Mail, Record
from comity_chaos.sim import Sim
from tests.attacks.claims import attack, both, claim
from tests.node.till import Far


class Doubling(ProtobufCodec):
    """Says each envelope three times, as several ways that all deliver would."""

    __slots__ = ()

    def encode(self, batch: tuple[Record, ...]) -> bytes:
        """Repeat what is to be handled once."""
        again = [each for each in batch if isinstance(each, Mail)]
        return super().encode((*batch, *again, *again))


@both
def test_22_a_crash_between_the_effect_and_its_acknowledgement_doubles_nothing(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The effect is durable, nobody heard so, power is lost, the message comes again."""
    if not defended:

        def forget(_: Receiver, numbers: Iterable[int]) -> None:
            del numbers  # the mark that is not written with the effect

        monkeypatch.setattr(Receiver, "done", forget)
    with Sim(seed=22, nodes=2) as sim:
        far = Far(sim)
        sim.run(2)
        far.post("take", "milk", 1)

        def cut() -> None:
            sim.world.unwatch(far.there, "receive", cut)
            sim.world.cut([[0], [1]])

        sim.world.watch(far.there, "receive", cut)
        sim.run(3)
        assert far.taken == {"milk": 1}
        assert far.unsent == 1
        sim.world.crash(far.there, kept=10**6)
        sim.heal()  # and switch on
        sim.run(60)
        assert far.taken == {"milk": 1 if defended else 2}
        assert far.unsent == (0 if defended else 1)


@both
def test_22_what_comes_by_several_ways_takes_effect_once(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each envelope comes three times, and once more whenever a link is new."""
    if not defended:

        def believe(
            _: Receiver, envelope: Envelope, digest: bytes, now: Instant
        ) -> list[tuple[int, Letter]] | Rejected:
            del digest, now
            return list(enumerate(envelope.letters, start=envelope.first))

        monkeypatch.setattr(Receiver, "arrive", believe)
    with Sim(seed=23, nodes=2) as sim:
        far = Far(sim)
        sim.run(1)
        sim.world.crash(far.here)
        far.here.codec = Doubling()
        sim.world.start(far.here)
        for number in range(20):
            far.post("take", f"{number}", 1)
            sim.run(0.3)
        sim.run(60)
        assert set(far.taken) == {f"{number}" for number in range(20)}
        assert (set(far.taken.values()) == {1}) is defended


def _as_if_it_were_the_original(
    take_up: Callable[..., devices.Begun],
) -> Callable[..., devices.Begun]:
    """Patch out that a copied store begins another device."""

    def take(
        found: Mapping[Table, Rows],
        step: Step,
        crypto: Crypto,
        entropy: Entropy,
        *,
        copied: bool,
    ) -> devices.Begun:
        return take_up(found, step, crypto, entropy, copied=copied and False)

    return take


@both
def test_22_a_copied_store_sends_nothing_that_its_original_may_have_sent(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup that is put back begins as another device, with an empty outbox."""
    if not defended:
        take_up = devices.take_up
        monkeypatch.setattr(devices, "take_up", _as_if_it_were_the_original(take_up))
    with attack(defended=defended, breaks="empty outbox"), Sim(seed=24, nodes=2) as sim:
        far = Far(sim)
        sim.run(1)
        sim.world.crash(far.there)
        far.post("take", "milk", 1)
        sim.run(2)
        image = far.here.disk.image()
        far.post("take", "eggs", 1)
        sim.run(2)
        sim.world.crash(far.here, kept=10**6)
        far.here.restore(image, whole=False)
        sim.world.start(far.here)
        sim.run(1)
        claim(far.here.disk.rows()[Table.EDGE] == (), "it begins with an empty outbox")
        claim(far.unsent == 0, "it begins with an empty outbox")
