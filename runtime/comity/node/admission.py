"""Admission: open invites, and how a newcomer gets in.

Owns: the invites that this device has open, the joins that it has under way, and the answer
to either. May not know: how sessions are keyed by a seed, or how a topic is synced after.

    inviter   open --newcomer asks over a session keyed by the seed--> spent, Welcome
    newcomer  dialling --link open--> asking --Welcome--> joined
              dialling, asking --link gone--> next address --none left--> failed
              with a code: dialling --link open--> trying --proven--> dialling, by its seed

An invite is spent in the same transaction as the grant that it gives, so it admits one device
however often the link breaks; the device that spent it may ask again until it expires, in
case the welcome was lost.
Source: PROTOCOL section 9.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from comity.base.clock import Wall
from comity.base.errors import LinkError, Reason, Rejected, UsageError
from comity.base.ids import CommitId, DeviceId, LinkId, Token, Topic, short
from comity.base.limits import READERS_MAX, WELCOME_KEYS_MAX
from comity.log.entries import AddEntry, Role
from comity.node import commands, rows
from comity.node.codes import Codes
from comity.node.effects import Answer, Table
from comity.node.journal import Hand
from comity.node.links import Link, Links
from comity.node.replica import Replica
from comity.node.step import Rows, Step
from comity.protocol.invite import Invite
from comity.protocol.pairing import Between, Code, Pairing
from comity.protocol.session import SEED_BYTES, invite_id, invite_tag
from comity.wire.records import JoinRequest, PairAnswer, PairShare, Refusal, Welcome

__all__ = ["Admission", "Founded"]

_INVITES_MAX = 256
"""Open invites of one node: each costs a hash in every handshake of a newcomer."""

Founded = Callable[[Step, Welcome], None]
"""Makes the replica that a welcome describes."""


@dataclass(slots=True)
class _Join:
    """A join under way. code: while it is to be proven; pairing: while that is under way."""

    token: Token
    invite: Invite
    tried: int
    code: Code | None = None
    pairing: Pairing | None = None
    why: str = "no address in the invite"


class Admission:
    """The invites and joins of one node."""

    __slots__ = (
        "_crypto",
        "_device",
        "_entropy",
        "_founded",
        "_invites",
        "_joins",
        "_prekeys",
        "codes",
    )

    def __init__(self, hand: Hand, found: Rows, founded: Founded) -> None:
        """Start with the invites of the store."""
        self._crypto = hand.crypto
        self._device = hand.signer.device
        self._prekeys = hand.prekeys
        self._entropy = hand.entropy
        self.codes = Codes(self._device, self._crypto, self._entropy)
        self._founded = founded
        self._invites = {key: rows.decode_invite(value) for key, value in found}
        self._joins: dict[LinkId, _Join] = {}

    # Inviting

    def offer(
        self, step: Step, topic: Topic, role: Role, expires: Wall, addresses: Sequence[str]
    ) -> Invite | UsageError:
        """Open an invite, durably before it is answered."""
        self._expire(step)
        if len(self._invites) >= _INVITES_MAX:
            return UsageError(
                f"{_INVITES_MAX} invites are open: wait until one is used or expires"
            )
        seed = self._entropy.draw(SEED_BYTES)
        row = rows.InviteRow(topic, role, seed, expires)
        handle = invite_id(seed)
        self._invites[handle] = row
        step.put(Table.INVITE, handle, rows.encode_invite(row))
        return Invite(self._device, seed, tuple(addresses))

    def secret_for(self, tag: bytes, ephemeral: bytes) -> bytes | None:
        """Return the seed of the invite that this tag shows, or the secret of a slot."""
        for row in self._invites.values():
            if invite_tag(row.seed, ephemeral) == tag:
                return row.seed
        return self.codes.secret_for(tag, ephemeral)

    def pair(self, link: Link, said: PairShare, step: Step, links: Links) -> None:
        """Answer a newcomer who tries a code; it comes again, by the seed, if it was right."""
        answer = self.codes.answer(link, said, step)
        link.admitted = True
        if isinstance(answer, Rejected):
            links.say(link, Refusal(answer.reason, answer.detail), step)
            return
        record, handle, row = answer
        self._invites[handle] = row  # durable when it is used: a restart ends the code
        links.say(link, record, step)

    def admit(
        self,
        link: Link,
        request: JoinRequest,
        step: Step,
        replica_of: Callable[[Topic], Replica | None],
    ) -> tuple[Replica, CommitId] | Rejected:
        """Let the newcomer on this link in; return the actor and the grant.

        The caller welcomes it once the grant is durable. The same device may ask again.
        """
        assert link.peer is not None
        handle = link.joined_by
        row = None if handle is None else self._invites.get(handle)
        replica = None if row is None else replica_of(row.topic)
        if handle is None or row is None or replica is None:
            return Rejected(Reason.INVITE_UNKNOWN)
        if len(replica.journal.epochs) > WELCOME_KEYS_MAX:
            return Rejected(Reason.QUOTA, f"{len(replica.journal.epochs)} keys to hand over")
        if row.spent_by and row.spent_by != link.peer:
            return Rejected(Reason.INVITE_USED, f"by device {short(row.spent_by)}")
        if row.spent_by:
            # It may ask again while it is let in: a welcome holds every key of today.
            if _is_member(replica, link.peer):
                return replica, CommitId(row.grant)
            return Rejected(Reason.INVITE_USED, f"by {short(link.peer)}, removed since")
        if row.expires < step.now.wall:
            return Rejected(Reason.INVITE_EXPIRED)
        authority = replica.journal.authority
        if authority is None or len(authority.members()) >= READERS_MAX:
            return Rejected(Reason.QUOTA, f"{READERS_MAX} devices take part, which is the most")
        grant = replica.append(step, AddEntry(link.peer, row.role, request.prekey))
        if isinstance(grant, Rejected):
            return grant
        spent = replace(row, spent_by=link.peer, grant=grant)
        self._invites[handle] = spent
        step.put(Table.INVITE, handle, rows.encode_invite(spent))
        for other in self.codes.used(handle):
            self._invites.pop(other, None)
        return replica, grant

    def _expire(self, step: Step) -> None:
        for handle, row in list(self._invites.items()):
            if row.expires < step.now.wall:
                del self._invites[handle]
                step.drop(Table.INVITE, handle)

    # Joining

    def join(self, step: Step, command: commands.Join, links: Links) -> None:
        """Use an invite: try its addresses in turn."""
        self._try(step, _Join(command.token, command.invite, 0, command.code), links)

    def opened(self, link: Link, step: Step, links: Links) -> None:
        """A link that was dialled to join is open: ask, or try the code."""
        join = self._joins.get(link.id)
        if join is None:
            return
        if join.code is None:
            links.say(link, JoinRequest(self._prekeys.newest.public), step)
            return
        assert link.peer is not None
        between = Between(link.key, self._device, link.peer)
        crypto, entropy = self._crypto, self._entropy
        join.pairing = Pairing(crypto, entropy, join.code, between, inviting=False)
        links.say(link, PairShare(join.pairing.share), step)

    def paired(self, link: Link, said: PairAnswer, step: Step, links: Links) -> Rejected | None:
        """The inviter answered a try: join by the seed, or say that the code is wrong."""
        join = self._joins.get(link.id)
        if join is None or join.pairing is None or join.code is None:
            return Rejected(Reason.OUT_OF_TURN, "an answer to no code")
        del self._joins[link.id]
        seed = join.pairing.seed(said.share, said.proof)
        assert link.peer is not None
        links.hang_up(link, "the code was tried", step)
        if seed is None:
            text = (
                f"this is not the code that {short(link.peer)} shows at number "
                f"{join.code.slot}: read it again; three tries are all there are"
            )
            step.act(Answer(join.token, UsageError(text)))
            return None
        invite = Invite(link.peer, seed, (link.address,))
        self._try(step, _Join(join.token, invite, 0), links)
        return None

    def welcomed(self, link: Link, welcome: Welcome, step: Step) -> Rejected | None:
        """The inviter let this device in."""
        join = self._joins.pop(link.id, None)
        if join is None:
            return Rejected(Reason.OUT_OF_TURN, "a welcome that nobody asked for")
        self._founded(step, welcome)
        step.when_durable(lambda later: later.act(Answer(join.token, welcome.topic)))
        return None

    def refused(self, link: Link, refusal: Rejected, step: Step) -> None:
        """The inviter did not let this device in: other addresses will not either."""
        join = self._joins.pop(link.id, None)
        if join is not None:
            step.act(Answer(join.token, UsageError(f"the invite was refused: {refusal}")))

    def closed(self, link: Link, why: str, step: Step, links: Links) -> None:
        """A link that was to join is gone: try the next address."""
        join = self._joins.pop(link.id, None)
        if join is not None:
            join.why = why if str(link.address) in why else f"{link.address}: {why}"
            self._try(step, join, links)

    def _try(self, step: Step, join: _Join, links: Links) -> None:
        if join.tried == len(join.invite.addresses):
            text = _unreachable(join)
            step.act(Answer(join.token, LinkError(text, retry=True)))
            return
        address = join.invite.addresses[join.tried]
        join.tried += 1
        link = links.join(address, join.invite.inviter, join.invite.seed, step)
        self._joins[link] = join


def _unreachable(join: _Join) -> str:
    """Say that nobody answered at any address of an invite."""
    if join.code is not None:
        return (
            f"nobody who can be reached has code {join.code.slot} open ({join.why}): a code "
            "works for ten minutes, three tries and one device; ask for another"
        )
    inviter = join.invite.inviter
    named = "the device" if inviter is None else f"device {short(inviter)}"
    return (
        f"{named}, who gave the invite, cannot be reached ({join.why}): it must be running "
        "while you join; if it is, it has moved: ask for a new invite"
    )


def _is_member(replica: Replica, device: DeviceId) -> bool:
    authority = replica.journal.authority
    return authority is not None and authority.role_of(device) is not None
