"""Mailboxes of relays: floods, thieves, squatters, relays that lie. PROTOCOL 12: 22, 24."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

import pytest

from comity.base.clock import HOUR, Duration, Instant
from comity.base.errors import Reason, Rejected
from comity.base.ids import DeviceId
from comity.base.limits import (
    MAIL_BURST,
    MAILBOX_BYTES_MAX,
    MAILBOX_COUNT_MAX,
    MAILBOXES_OF_ONE_MAX,
    POST_BYTES_MAX,
)
from comity.crypto.symbolic import Symbolic
from comity.node import commands
from comity.node.core import Core
from comity.node.effects import Table
from comity.node.mailboxes import MailboxKeeper
from comity.protocol.edge import Receiver
from comity.protocol.envelope import Envelope, Letter
from comity.protocol.route import Writer, mailbox_name, post_id, seed_of_link
from comity.wire.codec import ProtobufCodec
from comity.wire.records import Collected, Mailboxes, Post, Record
from comity_chaos.sim import Sim
from comity_chaos.world import SimNode
from tests.attacks.claims import always, both
from tests.node.post_office import PostOffice

CRYPTO: Final = Symbolic()


class Saying(ProtobufCodec):
    """Says what an attacker wants said, with whatever its node says next."""

    def __init__(self) -> None:
        self.more: list[Record] = []

    def encode(self, batch: tuple[Record, ...]) -> bytes:
        """Say more."""
        more, self.more = tuple(self.more), []
        return super().encode((*batch, *more))


class Mallory:
    """Somebody whose node uses the same relay as everybody."""

    def __init__(self, far: PostOffice, node: SimNode) -> None:
        self.far, self.node = far, node
        far.command(node, partial(commands.UseRelay, address=far.relays[0].address))
        far.sim.run(3)
        far.world.crash(node, kept=10**6)
        self.codec = Saying()
        node.codec = self.codec
        far.world.start(node)
        far.sim.run(3)

    @property
    def device(self) -> DeviceId:
        """Who it is."""
        assert isinstance(self.node.core, Core)
        return self.node.core.device

    def say(self, records: Sequence[Record]) -> None:
        """Say this to the relay: a new link makes its node speak."""
        self.codec.more += records
        self.far.world.crash(self.node)
        self.far.sim.run(3)
        self.far.world.start(self.node)
        self.far.sim.run(4)


def junk(number: int, size: int = 512) -> bytes:
    """Return a mail that nobody can open."""
    return number.to_bytes(8, "big") * (size // 8)


def posts(
    writer: Writer, relay: DeviceId, count: int, *, start: int = 0, size: int = 512
) -> list[Record]:
    """Return mails, signed with a key."""
    found: list[Record] = []
    for number in range(start, start + count):
        sealed = junk(number, size)
        signature = writer.sign(relay, post_id(sealed))
        found.append(Post(writer.mailbox, sealed, signature))
    return found


def link_writer(far: PostOffice) -> Writer:
    """Return the key of the mailbox of the till's link, as whoever holds the link has it."""
    route = far.link.route
    assert route is not None
    return Writer(CRYPTO, far.link.device, route.seed)


def relay_of(far: PostOffice) -> DeviceId:
    """Return the first relay."""
    core = far.relays[0].core
    assert isinstance(core, Core)
    return core.device


@both
def test_24_without_the_key_nothing_is_kept(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand mails to a mailbox whose key they lack: no row, and the link ends."""
    if not defended:
        monkeypatch.setattr(Symbolic, "verify", always(answer=True))
        monkeypatch.setattr(MailboxKeeper, "_check", always(answer=None))
    with Sim(seed=241, nodes=3) as sim:
        far = PostOffice(sim, relays=1)
        far.off(far.there)
        mallory = Mallory(far, sim.world.nodes[2])
        wrong = Writer(CRYPTO, far.link.device, seed_of_link(bytes(16)))
        relay = relay_of(far)
        forged = [
            Post(link_writer(far).mailbox, each.sealed, each.signature)
            for each in posts(wrong, relay, 1000)
            if isinstance(each, Post)
        ]
        mallory.say(forged)
        lying = far.keeper().amounts[1]
        assert (lying == 0) is defended, lying
        if defended:
            far.post("take", "milk", 1)
            sim.run(5)
            assert far.lying() == 1  # and nobody else's rate is spent


@both
def test_24_with_the_key_a_flood_is_bounded(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who holds a link fills the mailbox of that link; of edges there are others."""
    if not defended:

        def lenient(
            self: MailboxKeeper, box: object, size: int, now: Instant
        ) -> Rejected | None:
            del self, size, now
            return None if box is not None else Rejected(Reason.NO_MAILBOX)

        monkeypatch.setattr(MailboxKeeper, "_check", lenient)
        monkeypatch.setattr(MailboxKeeper, "check", always(answer=None))
    with Sim(seed=242, nodes=3) as sim:
        far = PostOffice(sim, relays=1)
        assert far.ask("take", "first", 1) == 1  # from here on it has a mailbox of its own
        far.off(far.there)
        mallory = Mallory(far, sim.world.nodes[2])
        relay, writer = relay_of(far), link_writer(far)
        mallory.say(posts(writer, relay, 400))
        lying = far.keeper().amounts[1]
        assert (lying <= MAIL_BURST + 6) is defended, lying
        for round_ in range(1, 20):
            sim.run(30)
            mallory.say(posts(writer, relay, 30, start=1000 * round_))
        sim.run(30)
        mallory.say(posts(writer, relay, 2, start=10**6, size=POST_BYTES_MAX))
        _, lying, size = far.keeper().amounts
        assert (lying <= MAILBOX_COUNT_MAX and size <= MAILBOX_BYTES_MAX) is defended
        if not defended:
            return
        assert lying > 100
        far.post("take", "milk", 1)
        sim.run(5)
        far.off(far.here)
        sim.restart(far.till)
        sim.run(60)
        assert far.taken == {"first": 1, "milk": 1}
        box = far.keeper()._boxes[writer.mailbox]
        assert not box.lying  # what nobody can open is collected, and counted
        assert any(
            each.refusal is not None and each.refusal.reason is Reason.WRONG_KEY
            for each in far.heard(far.there, "refused")
        )


@both
def test_24_nobody_takes_a_mailbox_of_anothers(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who knows the key of a mailbox neither owns it nor empties it."""
    if not defended:

        def lenient(self: MailboxKeeper, link: object, record: Collected, step: object) -> None:
            del link
            box = self._boxes[record.mailbox]
            for post in record.ids:
                if post in box.lying:
                    self._remove(record.mailbox, box, post, step)  # type: ignore[arg-type]

        monkeypatch.setattr(MailboxKeeper, "collected", lenient)
    with Sim(seed=243, nodes=3) as sim:
        far = PostOffice(sim, relays=1)
        far.off(far.there)
        far.post("take", "milk", 1)
        sim.run(4)
        mallory = Mallory(far, sim.world.nodes[2])
        writer = link_writer(far)
        (lying,) = far.keeper()._boxes[writer.mailbox].lying
        boxes = far.keeper().amounts[0]
        mallory.say([Mailboxes((writer.public,), more=False)])
        assert far.keeper().amounts[0] == boxes + 1  # one of its own: another name
        assert mailbox_name(mallory.device, writer.public) != writer.mailbox
        mallory.say([Collected(writer.mailbox, (lying,))])
        assert (far.lying() == 1) is defended
        if defended:
            far.off(far.here)
            sim.restart(far.till)
            sim.run(5)
            assert far.taken == {"milk": 1}


@both
def test_24_one_device_opens_only_so_many_mailboxes(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names cost their maker nothing: there is a limit for each device, and one for all."""
    if not defended:
        monkeypatch.setattr("comity.node.mailboxes.MAILBOXES_OF_ONE_MAX", 10**9)
    with Sim(seed=244, nodes=3) as sim:
        far = PostOffice(sim, relays=1)
        mallory = Mallory(far, sim.world.nodes[2])
        keys = [number.to_bytes(32, "big") for number in range(MAILBOXES_OF_ONE_MAX + 1)]
        mallory.say([Mailboxes(tuple(keys[:-1]), more=True), Mailboxes((keys[-1],), more=True)])
        found = len(far.keeper()._owned.get(mallory.device, {}))
        assert (found <= MAILBOXES_OF_ONE_MAX) is defended
        assert found >= MAILBOXES_OF_ONE_MAX


def test_24_a_node_that_is_no_relay_keeps_no_mail() -> None:
    """Mailboxes, mails and collections said to a device end the link, and leave nothing."""
    said: tuple[Record, ...] = (
        Mailboxes((bytes(32),), more=False),
        Post(bytes(32), junk(1), bytes(64)),
        Collected(bytes(32), (bytes(32),)),
    )
    for seed, record in enumerate(said):
        with Sim(seed=245 + seed, nodes=2) as sim:
            far = PostOffice(sim, relays=0)
            assert far.ask("count") == 0
            codec = Saying()
            sim.world.crash(far.here)
            far.here.codec = codec
            sim.world.start(far.here)
            codec.more = [record]
            sim.run(5)
            refused = [each.refusal for each in far.heard(far.there, "refused")]
            assert any(
                each is not None and each.reason in {Reason.UNSUPPORTED, Reason.OUT_OF_TURN}
                for each in refused
            ), record
            rows = far.there.disk.rows()
            assert rows[Table.MAIL] == rows[Table.MAILBOX] == ()


class Forgetful(ProtobufCodec):
    """A relay that says it keeps mails, and passes none on."""

    __slots__ = ()

    def encode(self, batch: tuple[Record, ...]) -> bytes:
        """Keep back what is for the owner."""
        return super().encode(tuple(each for each in batch if not isinstance(each, Post)))


def test_22_a_relay_that_keeps_mails_back_delays_and_no_more() -> None:
    """The other one has them; and with only that one, the sender has them still."""
    for relays in (2, 1):
        with Sim(seed=250 + relays, nodes=2) as sim:
            far = PostOffice(sim, relays=relays)
            liar = far.relays[0]
            sim.world.crash(liar, kept=10**6)
            liar.codec = Forgetful()
            sim.world.start(liar)
            far.off(far.there)
            sim.run(5)
            far.post("take", "milk", 1)
            sim.run(10)
            assert far.lying() == 1
            sim.world.cut([[far.here.index], [far.there.index]])
            sim.restart(far.till)
            sim.run(20)
            assert far.taken == ({"milk": 1} if relays == 2 else {})
            if relays == 1:
                assert far.unsent == 1
                sim.world.heal()
                sim.run(90)
                assert far.taken == {"milk": 1}
                sim.run(5)
            assert far.unsent == 0


@both
def test_22_duplicates_through_two_relays_and_crashes_take_effect_once(
    *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each letter lies at two relays; its device loses power between effect and word of it."""
    if not defended:

        def believe(
            _: Receiver, envelope: Envelope, digest: bytes, now: Instant
        ) -> list[tuple[int, Letter]] | Rejected:
            del digest, now
            return list(enumerate(envelope.letters, start=envelope.first))

        monkeypatch.setattr(Receiver, "arrive", believe)
    with Sim(seed=260, nodes=2) as sim:
        far = PostOffice(sim)
        far.off(far.there)
        names = [f"{number}" for number in range(20)]
        for name in names:
            far.post("take", name, 1)
            sim.run(0.2)
        sim.run(5)
        assert far.lying(0) == far.lying(1) == len(names)
        far.off(far.here)
        for _ in range(4):
            seen: list[int] = []

            def cut(seen: list[int] = seen) -> None:
                seen.append(1)
                if len(seen) == 3 and far.there.up:
                    sim.world.unwatch(far.there, "fsync", cut)
                    sim.world.crash(far.there, kept=10**6)

            sim.world.start(far.there)
            sim.world.watch(far.there, "fsync", cut)
            sim.run(20)
            if far.there.up:
                sim.world.unwatch(far.there, "fsync", cut)
                far.off(far.there)
            sim.run(3)
        sim.restart(far.till)
        sim.run(60)
        assert set(far.taken) == set(names)
        assert (set(far.taken.values()) == {1}) is defended
        if defended:
            far.on(far.here)
            sim.world.run_for(Duration(HOUR))
            assert far.unsent == 0
            assert far.lying(0) == far.lying(1) == 0
