"""Attacks on live nodes: real keys, SQLite, gRPC. PROTOCOL 12: 4*, 6*, 19*, 20*, 21*, 24*.

Mallory takes the keys of a member out of his own store and speaks real sessions with them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import pytest

from comity import Node, Ref
from comity.base.errors import Reason
from comity.base.ids import CommitId, Topic
from comity.base.limits import (
    FRAME_BYTES_MAX,
    MAIL_BURST,
    ORPHANS_BYTES_MAX,
    ORPHANS_COUNT_MAX,
    RECONCILE_MESSAGES_MAX,
)
from comity.cli.demo.attack import Mallory
from comity.cli.demo.visit import Visit
from comity.crypto.keys import Identity
from comity.crypto.noise import CipherState
from comity.crypto.sodium import Sodium
from comity.drivers.system import SystemClock, SystemEntropy
from comity.log import inner as inner_module
from comity.log.build import SealedCommit, make_commit
from comity.log.entries import UnknownEntry
from comity.log.inner import ChainFacts, CommitGrant, Inner
from comity.log.seal import ContentKey, seal, sign_beside
from comity.log.sealed import clear_data, commit_id
from comity.node import orphans as orphans_module
from comity.node.effects import Report
from comity.node.links import Links
from comity.node.mailboxes import MailboxKeeper
from comity.protocol.capability import parse_link
from comity.protocol.route import Writer, post_id
from comity.protocol.session import Endpoint
from comity.wire.codec import ProtobufCodec
from comity.wire.records import Commit, Commits, Peers, Post, Posted, Reconcile, Since, Summary
from tests.attacks.claims import always, attack, both, claim
from tests.attacks.layouts import OUTER, inner_layouts
from tests.node.ledger import Ledger
from tests.protocol.test_reconcile import REFUSED

_SECONDS: Final = 30.0
_PASSPHRASE: Final = "mallory's"


class Town:
    """Two honest nodes that run, and a member who does not: his store is Mallory's."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        """Let everybody in."""

        def open_node(name: str) -> Node:
            return stack.enter_context(Node(folder / name, insecure_store=True))

        self.nodes = (open_node("ana"), open_node("ben"))
        ana, ben = self.nodes
        hers = ana.create(Ledger)
        his = ben.open(Ledger, hers.invite("writer"))
        self.refs: tuple[Ref[Ledger], Ref[Ledger]] = hers, his
        with Node(folder / "mallory", passphrase=_PASSPHRASE) as third:
            device = third.device
            third.open(Ledger, hers.invite("writer")).close()
        _until(lambda: device in [member.device for member in his.members()])
        self.mallory = Mallory(folder / "mallory", _PASSPHRASE)
        self._refused: list[dict[CommitId, Reason]] = [{}, {}]
        for node, known in zip(self.nodes, self._refused, strict=True):
            node.on_report(_keeper(known))

    def visit(self, place: int) -> Visit:
        """Call on a node as the member that Mallory is."""
        node = self.nodes[place]
        address = node.address
        assert address is not None
        journal = self.mallory.journal
        return Visit(self.mallory.endpoint(), journal.topic, address, node.device)

    def why(self, place: int, commit: CommitId) -> Reason | None:
        """Return why a node refused a commit, if it did."""
        return self._refused[place].get(commit)

    def writes(self, place: int, name: str) -> None:
        """Have an honest node write, and see it at the other one."""
        self.refs[place].tell(Ledger.enter, name, 1)
        claim(
            _reached(lambda: all(name in _lines(ref) for ref in self.refs)),
            "the others are not delayed",
        )


def _keeper(known: dict[CommitId, Reason]) -> Callable[[Report], None]:
    def keep(report: Report) -> None:
        if report.what == "refused" and report.commit is not None and report.refusal:
            known[report.commit] = report.refusal.reason

    return keep


def _reached(reached: Callable[[], bool], seconds: float = _SECONDS) -> bool:
    end = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _until(reached: Callable[[], bool]) -> None:
    """Wait for something that other threads bring about."""
    assert _reached(reached), "it did not come about in time"


def _lines(ref: Ref[Ledger]) -> Mapping[str, int]:
    return cast("Mapping[str, int]", ref.snapshot()["lines"])


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """Close every node in the end."""
    with ExitStack() as stack:
        yield Town(tmp_path, stack)


def _key(mallory: Mallory) -> tuple[CommitId, ContentKey]:
    """Return the newest epoch, and its key."""
    journal = mallory.journal
    epoch = journal.choose_epoch(journal.graph.version)
    assert epoch is not None
    key = journal.epochs.key(epoch)
    assert key is not None
    return epoch, key


def _sealed(mallory: Mallory, plain: bytes) -> Commit:
    """Seal and sign an inner part as it is."""
    epoch, key = _key(mallory)
    signer, graph = mallory.signer, mallory.journal.graph
    gen = 1 + max(graph.gen_of(head) for head in graph.version)
    data = seal(signer.crypto, key, clear_data(gen, epoch), plain)
    name = commit_id(mallory.journal.topic, data)
    return Commit(data, sign_beside(signer.crypto, key, signer.seed, name))


@both
def test_04_malformed_layouts(
    town: Town, *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each wrong layout is refused for the same reason by both nodes, and stops neither."""
    if not defended:
        monkeypatch.setattr(inner_module, "_misplaced", always(answer=""))
    mallory = town.mallory
    graph = mallory.journal.graph
    good = mallory._overreach().commit
    layouts = inner_layouts(mallory.device, mallory.grant, graph)
    wrong = {name: Commit(change(good.sealed), good.beside) for name, change in OUTER.items()}
    wrong |= {name: _sealed(mallory, plain) for name, plain in layouts.items()}
    ids = {name: commit_id(mallory.journal.topic, each.sealed) for name, each in wrong.items()}
    with attack(defended=defended, breaks="is refused by both"):
        with town.visit(0) as one, town.visit(1) as two:
            for visit in (one, two):
                claim(visit.level(_SECONDS), "Mallory is a member, and heard as one")
            for place, visit in enumerate((one, two)):
                for commit in wrong.values():
                    visit.push(commit)

                def all_refused(place: int = place) -> bool:
                    return all(town.why(place, each) is not None for each in ids.values())

                visit.until(all_refused, _SECONDS if defended else 2.0)
                claim(not visit.over, "a commit ends no session")
        for name, identifier in ids.items():
            said = {town.why(place, identifier) for place in range(2)}
            claim(None not in said and len(said) == 1, f"'{name}' is refused by both")
        town.writes(0, "fresh")
        town.writes(1, "more")


@both
def test_04_what_is_no_record(
    town: Town, *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that are no batch end the session that they came over, and nothing else."""
    if not defended:
        monkeypatch.setattr(Links, "refuse", always(answer=None))
    with attack(defended=defended, breaks="the session is over"):
        for number, raw in enumerate((b"\xff" * 100, b"\x0a\x01\x00", bytes(60_000))):
            with town.visit(0) as visit:
                claim(visit.level(_SECONDS), "Mallory is heard again")
                visit.say_raw(raw)
                visit.until(lambda: False, _SECONDS if defended else 1.0)
                claim(visit.over, "the session is over")
            town.writes(1, f"honest {number}")


def _orphan(mallory: Mallory, number: int, size: int) -> SealedCommit:
    """Make a commit whose parent nobody has."""
    epoch, key = _key(mallory)
    parent = CommitId(number.to_bytes(32, "big"))
    auth = CommitGrant(mallory.grant)
    filler = UnknownEntry(99, bytes(size))
    wall = SystemClock().moment().wall
    inner = Inner(mallory.device, 0, None, auth, (parent,), wall, (filler,))
    facts = ChainFacts(mallory.device, 0, auth)
    return make_commit(
        mallory.signer, key, epoch=epoch, gen=8, inner=inner, past=lambda _: facts
    )


@both
@pytest.mark.parametrize(
    ("count", "size"),
    [(2_500, 100), (90, 60_000), pytest.param(10_000, 1_000, marks=pytest.mark.soak)],
    ids=["many", "large", "as many as the protocol names"],
)
def test_06_orphans(
    town: Town, count: int, size: int, *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Orphans are bounded by count and bytes for each peer, and nobody else notices."""
    if not defended:
        monkeypatch.setattr(orphans_module, "ORPHANS_COUNT_MAX", 1 << 30)
        monkeypatch.setattr(orphans_module, "ORPHANS_BYTES_MAX", 1 << 40)
        count = min(count, 2 * ORPHANS_COUNT_MAX)
    mallory, ana = town.mallory, town.nodes[0]
    orphans = [_orphan(mallory, number, size) for number in range(1, count + 1)]

    def parked() -> int:
        (topic,) = ana.status().topics
        return topic.orphans

    most = min(ORPHANS_COUNT_MAX, ORPHANS_BYTES_MAX // size)
    with attack(defended=defended, breaks="at most"), town.visit(0) as visit:
        claim(visit.level(_SECONDS), "Mallory is a member, and heard as one")
        for orphan in orphans[: count // 2]:
            visit.push(Commit(orphan.sealed, orphan.beside))
        town.writes(1, "in between")
        for orphan in orphans[count // 2 :]:
            visit.push(Commit(orphan.sealed, orphan.beside))
        claim(_reached(lambda: parked() >= min(most, count) * 9 // 10), "orphans arrive")
        _reached(lambda: parked() > most, 1.0)
        claim(parked() <= most, f"at most {ORPHANS_COUNT_MAX} and {ORPHANS_BYTES_MAX} bytes")
        town.writes(1, "after")
        (other,) = town.nodes[1].status().topics
        claim(other.orphans == 0, "an orphan is not passed on")


# 19: frames

_NOTHING: Final = ProtobufCodec().encode((Peers(()),))
"""A batch that means nothing."""


def _flip(place: int) -> Callable[[Visit, bytes], list[bytes]]:
    def flip(_visit: Visit, frame: bytes) -> list[bytes]:
        altered = bytearray(frame)
        altered[place] ^= 1
        return [bytes(altered)]

    return flip


_FRAMES: Final[dict[str, Callable[[Visit, bytes], list[bytes]]]] = {
    "said twice": lambda _, frame: [frame, frame],
    "first bit": _flip(0),
    "last bit": _flip(-1),
    "cut": lambda _, frame: [frame[:-1]],
    "lengthened": lambda _, frame: [frame + b"\0"],
    "empty": lambda _visit, _frame: [b""],
    "said back": lambda visit, _: [visit.frames[-1]],
    "out of order": lambda visit, frame: [*visit.seal_raw(_NOTHING), frame],
    "as large as can be": lambda _visit, _frame: [bytes(FRAME_BYTES_MAX)],
}


def _any_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patch out that a frame counts once: what was opened before opens again."""
    decrypt = CipherState.decrypt

    def lenient(self: CipherState, aad: bytes, sealed: bytes) -> bytes | None:
        now = self._count
        for count in (now, *range(now)):
            self._count = count
            plain = decrypt(self, aad, sealed)
            if plain is not None:
                self._count = max(now, self._count)
                return plain
        self._count = now
        return None

    monkeypatch.setattr(CipherState, "decrypt", lenient)


@both
def test_19_frames_that_are_none(
    town: Town, *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Altered, cut, lengthened, repeated, reflected, reordered: the session is over."""
    if not defended:
        _any_number(monkeypatch)
    with attack(defended=defended, breaks="'said twice': the session is over"):
        for number, (case, change) in enumerate(_FRAMES.items()):
            with town.visit(0) as visit:
                claim(visit.level(_SECONDS), "Mallory is a member, and heard as one")
                (frame,) = visit.seal_raw(_NOTHING)
                for each in change(visit, frame):
                    visit.send(each)
                visit.until(lambda: False, _SECONDS if defended else 2.0)
                claim(visit.over, f"'{case}': the session is over")
            town.writes(1, f"honest {number}")


# 20: reconciliation


def test_20_bombs(town: Town) -> None:
    """Overlapping bounds, ranges by the thousand, ids twice: they end one session each."""
    bodies = {case: body for case, (body, _) in REFUSED.items() if len(body) < 60_000}
    assert len(bodies) > 15
    for number, (case, body) in enumerate(bodies.items()):
        with town.visit(0) as visit:
            visit.answer = _with_nothing
            claim(visit.level(_SECONDS), "Mallory is a member, and heard as one")
            visit.say(Reconcile(visit.tag, body))
            visit.until(lambda: False, _SECONDS)
            claim(visit.over, f"'{case}': the session is over")
        town.writes(1, f"honest {number}")


def _with_nothing(summary: Summary) -> Summary:
    """Say that nothing is here, in a store that nobody knows."""
    return Summary(summary.tag, 1, bytes(16), (), b"m" * 16, 0)


def test_20_ping_pong(town: Town) -> None:
    """Who always disagrees gets sixteen messages, and then no more."""
    with town.visit(0) as visit:
        visit.answer = _with_nothing
        claim(visit.level(_SECONDS), "Mallory is a member, and heard as one")
        lie = b"\1" + bytes((0x40 | 63,)) + bytes(16)
        said = 0
        while not visit.over and said < 10 * RECONCILE_MESSAGES_MAX:
            visit.say(Reconcile(visit.tag, lie))
            said += 1
            visit.until(lambda said=said: _answers(visit) >= said, 0.5)  # type: ignore[misc]
        claim(visit.over, "the session is over")
        claim(_answers(visit) <= RECONCILE_MESSAGES_MAX, "sixteen messages at most")
    town.writes(1, "honest")


def _answers(visit: Visit) -> int:
    return sum(isinstance(each, Reconcile) for each in visit.heard)


# 21: summaries and cursors

_LIES: Final[dict[str, Callable[[Summary], Summary]]] = {
    "everything": lambda s: replace(s, count=2**62, digest=bytes(16), arrival=2**62),
    "all of it, and more to come": lambda s: replace(s, arrival=2**62),
    "nothing": lambda s: replace(s, count=0, digest=bytes(16), heads=(), arrival=0),
    "heads that nobody has": lambda s: replace(
        s, digest=b"d" * 16, heads=tuple(CommitId(bytes([n]) * 32) for n in range(1, 17))
    ),
}


def test_21_lying_summaries(town: Town, tmp_path: Path) -> None:
    """Who lies about what he holds deceives himself; honest again, he is synced as ever."""
    for case, lie in _LIES.items():
        with town.visit(0) as visit:
            visit.answer = lie
            claim(visit.level(_SECONDS), "Mallory is a member, and heard as one")
            for arrival in (0, 2**40, 2**62):
                visit.say(Since(visit.tag, arrival))
                visit.say(Commits(visit.tag, (), arrival=arrival or 1, last=True))
            visit.until(lambda: False, 0.5)
        town.writes(1, case)
    with Node(tmp_path / "mallory", passphrase=_PASSPHRASE) as third:
        ref = third.open(Ledger, town.refs[0].topic)
        _until(lambda: set(_LIES) <= set(_lines(ref)))
        ref.tell(Ledger.enter, "reformed", 1)
        _until(lambda: all("reformed" in _lines(each) for each in town.refs))


# Mailboxes of a relay


def _stranger(relay: Node) -> Visit:
    """Call on a relay as a device that nobody knows."""
    crypto, entropy = Sodium(), SystemEntropy()
    endpoint = Endpoint(
        crypto=crypto,
        entropy=entropy,
        identity=Identity(crypto, entropy.draw(32)),
        static_secret=entropy.draw(32),
    )
    assert relay.address is not None
    return Visit(endpoint, Topic(bytes(32)), relay.address, relay.device)


def _flood(relay: Node, writer: Writer, seed: Writer, count: int) -> list[Posted]:
    """Leave mails that nobody can open; return the answers. seed: what signs them."""
    with _stranger(relay) as visit:
        assert visit.until(lambda: bool(visit.frames), _SECONDS)
        for number in range(count):
            sealed = number.to_bytes(8, "big") * 64
            signature = seed.sign(relay.device, post_id(sealed))
            visit.say(Post(writer.mailbox, sealed, signature))

        def answers() -> list[Posted]:
            return [each for each in visit.heard if isinstance(each, Posted)]

        visit.until(lambda: len(answers()) == count, 10)
        return answers()


@both
def test_24_floods_of_a_live_relay(
    tmp_path: Path, *, defended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the key nothing is kept; with it a few; and the mailbox works on."""
    if not defended:
        monkeypatch.setattr(MailboxKeeper, "_check", always(answer=None))
    breaks = "a few of a flood are kept"
    with (
        attack(defended=defended, breaks=breaks),
        Node(tmp_path / "relay", insecure_store=True, relay=True) as relay,
    ):
        relays = [str(relay.address)]
        with Node(tmp_path / "there", insecure_store=True, relays=relays) as there:
            link = there.create(Ledger).link()
            _until(lambda: relay.status().mail.mailboxes == 1)
        route = parse_link(link).route
        assert route is not None
        writer = Writer(Sodium(), parse_link(link).device, route.seed)
        wrong = Writer(Sodium(), parse_link(link).device, bytes(32))
        assert _flood(relay, writer, wrong, 30) == []
        claim(relay.status().mail.mails == 0, "without the key nothing is kept")
        answers = _flood(relay, writer, writer, 200)
        kept = relay.status().mail.mails
        claim(MAIL_BURST <= kept <= MAIL_BURST + 10, f"a few of a flood are kept: {kept}")
        refused = [each for each in answers if each.refusal is not None]
        claim(len(refused) == len(answers) - kept, "and each of the others is refused")
        claim({each.refusal for each in refused} == {Reason.RATE}, "with a reason")
        with Node(tmp_path / "here", insecure_store=True, listen=None) as here:
            here.ref(Ledger, link).send(Ledger.enter, "line", 1)
            with Node(tmp_path / "there", insecure_store=True, relays=relays) as there:
                hers = there.open(Ledger)
                _until(lambda: "line" in _lines(hers))
                _until(lambda: relay.status().mail.mails == 0)
