"""Every bound of the runtime, with its unit and its reason.

Owns: numbers. May not know: who keeps to them. At a bound something stated happens: reject
with a `Reason`, delay, or split; nothing grows without one.
Source: PROTOCOL, STYLE 'Limits'.
"""

from __future__ import annotations

from typing import Final

from comity.base.clock import HOUR, MILLISECOND, MINUTE, SECOND, Duration

__all__ = [
    "ACCEPTED_BYTES_MAX",
    "ACCEPTED_COUNT_MAX",
    "ANNOUNCE_TAGS_MAX",
    "BEAT_MAX",
    "BLOB_AHEAD_MAX",
    "BLOB_BYTES_MAX",
    "BLOB_LEAF_BYTES",
    "CHAIN_MAX",
    "COLD_BACKLOG",
    "COLD_PIECE",
    "COLD_TAIL",
    "COLD_WAIT",
    "COMMITS_COUNT_MAX",
    "COMMITS_RECORD_BYTES_MAX",
    "COMMIT_BYTES_MAX",
    "DRAFT_BYTES_MAX",
    "DRAFT_TURNS_MAX",
    "ENVELOPE_BYTES_MAX",
    "ENVELOPE_COUNT_MAX",
    "EPOCH_AGE_MAX",
    "EPOCH_COMMITS_MAX",
    "FLIGHT_BYTES_MAX",
    "FLIGHT_COUNT_MAX",
    "FRAME_BYTES_MAX",
    "GAP_WAIT",
    "GRANTS_MAX",
    "HALF_OPEN_MAX",
    "HANDSHAKE_TIMEOUT",
    "HEADS_LEFT_MAX",
    "HEADS_SAID_MAX",
    "INDEX_PIECE",
    "KEYS_ASKED_MAX",
    "KEYS_A_MINUTE_MAX",
    "KEY_ASK_WAIT",
    "KEY_ASK_WAIT_MAX",
    "LETTER_BYTES_MAX",
    "LIVE_BYTES_MAX",
    "LIVE_COMMITS_MAX",
    "MAILBOXES_MAX",
    "MAILBOXES_OF_ONE_MAX",
    "MAILBOX_BYTES_MAX",
    "MAILBOX_COUNT_MAX",
    "MAIL_AGE_MAX",
    "MAIL_AHEAD_BYTES",
    "MAIL_AHEAD_COUNT",
    "MAIL_BURST",
    "MAIL_BYTES_MAX",
    "MAIL_COUNT_MAX",
    "MAIL_RATE",
    "MAIL_WAIT",
    "MAIL_WAIT_MAX",
    "MERGE_WAIT",
    "MESSAGE_BYTES_MAX",
    "OLD_PREKEY_AGE_MIN",
    "ORPHANS_BYTES_MAX",
    "ORPHANS_COUNT_MAX",
    "ORPHAN_AGE_MAX",
    "OUTBOX_BYTES_MAX",
    "OUTBOX_COUNT_MAX",
    "PACED_BYTES_MAX",
    "PACED_COUNT_MAX",
    "PAIR_OPEN_MAX",
    "PAIR_SLOTS",
    "PAIR_TIME",
    "PAIR_TRIES",
    "PAIR_WORDS",
    "PARENTS_MAX",
    "PASSES_A_MINUTE_MAX",
    "PEERS_RECORD_MAX",
    "POSTS_SAID_MAX",
    "POST_BYTES_MAX",
    "PREKEY_AGE_MAX",
    "RANGES_MAX",
    "READERS_MAX",
    "RECEIPT_IDS_MAX",
    "RECONCILE_BYTES_MAX",
    "RECONCILE_MESSAGES_MAX",
    "RECORDS_MAX",
    "RELAY_LACKING_MAX",
    "RELAY_PATIENCE",
    "REPORTS_KEPT_MAX",
    "RESEND_WAIT",
    "RESEND_WAIT_MAX",
    "ROOTS_MAX",
    "ROUTES_CALLED_MAX",
    "ROUTE_BYTES_MAX",
    "RUNS_COUNT_MAX",
    "SERVED_BYTES_AT_ONCE",
    "SERVED_BYTES_A_SECOND",
    "SERVE_COUNT_MAX",
    "STATE_BYTES_MAX",
    "STATE_SHARE",
    "STATE_TURNS",
    "TEXT_BYTES_MAX",
    "TOPICS_SAID_MAX",
    "TURN_BYTES_MAX",
    "VALUE_BYTES_MAX",
    "VERIFY_AHEAD_MAX",
    "VERIFY_BATCH_MIN",
    "WANTS_OPEN_MAX",
    "WANT_IDS_MAX",
    "WELCOME_ADDRESSES_MAX",
    "WELCOME_KEYS_MAX",
]

PARENTS_MAX: Final = 16
"""Parents of a commit: enough to merge a wide graph in few rounds, few enough to check fast."""

ROOTS_MAX: Final = 16
"""Root devices of a genesis: founders, not members; chains of roots are walked one by one."""

COMMIT_BYTES_MAX: Final = 512 * 1024
"""A sealed commit: half of a session message, so that one always fits beside its framing."""

DRAFT_TURNS_MAX: Final = 256
"""Turns in a draft before it is sealed: bounds what one beat can hold back from peers."""

DRAFT_BYTES_MAX: Final = 256 * 1024
"""Operations in a draft before it is sealed; half a commit, leaving room for the last turn."""

TURN_BYTES_MAX: Final = 200 * 1024
"""Operations of one turn: with a full draft it still fits a commit."""

BEAT_MAX: Final = Duration(250 * MILLISECOND)
"""Longest wait of a busy actor between two commits: what a reader sees as live typing."""

ORPHANS_COUNT_MAX: Final = 1000
"""Commits of one peer that cannot be checked yet."""

ORPHANS_BYTES_MAX: Final = 4 * 1024 * 1024
"""Bytes of the same."""

ORPHAN_AGE_MAX: Final = Duration(10 * MINUTE)
"""How long an orphan waits for its parents or its key."""

FRAME_BYTES_MAX: Final = 65_535
"""A Noise message; the frame on the link is exactly one of them."""

MESSAGE_BYTES_MAX: Final = 1024 * 1024
"""A session message (a batch of records) before it is cut into frames."""

COMMITS_RECORD_BYTES_MAX: Final = 256 * 1024
"""Commits in one record: a slow peer gets in a word between two of them."""

HANDSHAKE_TIMEOUT: Final = Duration(10 * SECOND)
"""A handshake that takes longer is a dead or hostile peer."""

HALF_OPEN_MAX: Final = 32
"""Handshakes in progress of one source."""

COLD_BACKLOG: Final = 8192
"""Commits beyond the newest run from which on packing waits for no pause: who never rests packs
a piece every `COLD_WAIT`, a hundredth of the time, and keeps up with what one can write."""

RELAY_PATIENCE: Final = Duration(10 * MINUTE)
"""So long may a relay lack what it is offered without a reason: ten comparisons and more."""

RELAY_LACKING_MAX: Final = 1024
"""Commits of one topic that are watched at one relay: one is enough to be alarmed about."""

PAIR_TRIES: Final = 3
"""Answers to tries at one short code: twice as many, and a guess is twice as likely."""

PAIR_TIME: Final = Duration(10 * MINUTE)
"""How long a short code works: as long as two people take who talk to each other."""

PAIR_OPEN_MAX: Final = 16
"""Codes of one node that are open at once: each is looked at in a newcomer's handshake."""

PAIR_SLOTS: Final = 99
"""Numbers that a code may have: two digits are quickly said, and many more than are open."""

PAIR_WORDS: Final = 2048
"""Words that a code is made of: the BIP39 list, so that no word is easily taken for another."""

COLD_TAIL: Final = 1024
"""Newest commits of an actor that are kept one by one, with their signatures: what live peers
and relays still ask for. Half as many would pack what a relay that was away for a day lacks."""

COLD_PIECE: Final = 512
"""Commits that become runs in one transaction: four full runs, some 25 ms of a step."""

COLD_WAIT: Final = Duration(2 * SECOND)
"""How long nothing has come before a piece is packed, and between two pieces: history that is
streaming in is hardly held up."""

INDEX_PIECE: Final = 512
"""Commits of one row of the index of a log: some 10 ms to write, 2 to read."""

STATE_TURNS: Final = 256
"""Turns that are folded again rather than stored: a few ms, about what a small row costs."""

STATE_SHARE: Final = 16
"""A state is stored when a part of all its turns, one in so many, is new, and nothing comes: to
make one costs a tenth to a quarter of folding all, 0.5 to 4 us a turn, of a pause."""

STATE_BYTES_MAX: Final = 256 * 1024 * 1024
"""Bytes of a folded state that is stored, before it is packed: some ten million turns; a larger
one is folded anew. It bounds what a damaged row can have unpacked."""

ANNOUNCE_TAGS_MAX: Final = 1024
"""Topics in one announcement; more are sent in further ones."""

WANT_IDS_MAX: Final = 1024
"""Ids in one request."""

KEYS_ASKED_MAX: Final = 64
"""Keys in one request, and of epochs that one peer brought, asked for at a time: an honest one
lacks a handful; 2 KiB a request."""

KEYS_A_MINUTE_MAX: Final = 256
"""Keys that are looked up for one link in a minute; what is more is not answered."""

EPOCH_AGE_MAX: Final = Duration(7 * 24 * HOUR)
"""Of a key: then whoever writes next makes another; one that leaked reads that much."""

EPOCH_COMMITS_MAX: Final = 10_000
"""Sealed under one key; likewise."""

READERS_MAX: Final = 8192
"""Devices that one epoch wraps its key to: 448 KiB of a commit. Any further one asks for it."""

PREKEY_AGE_MAX: Final = Duration(7 * 24 * HOUR)
"""Of a device's newest prekey: then it makes another, which its next commits name."""

OLD_PREKEY_AGE_MIN: Final = Duration(30 * 24 * HOUR)
"""After it was replaced: until then somebody who was away may wrap to it still."""

KEY_ASK_WAIT: Final = Duration(5 * SECOND)
"""Before a key is asked for again; then twice as long, and so on."""

KEY_ASK_WAIT_MAX: Final = Duration(5 * MINUTE)
"""The longest such wait: it ends with the orphan that needs the key, or when a member comes."""

VALUE_BYTES_MAX: Final = 64 * 1024
"""One encoded value in a field or a message: larger things are attachments."""

BLOB_LEAF_BYTES: Final = 64 * 1024
"""Bytes of an attachment in one piece: four share a message; half doubles the ids, twice is
felt on a slow line before anything else gets through."""

BLOB_BYTES_MAX: Final = 64 * 1024**3
"""Bytes of one attachment, 64 GiB: what two levels of ids above the pieces reach."""

BLOB_AHEAD_MAX: Final = 16
"""Pieces of an attachment that are held or asked for ahead of its reader: 1 MiB, which fills
a line of 100 Mbit/s at 80 ms; half would wait, twice is memory for every reader."""

PEERS_RECORD_MAX: Final = 256
"""Peer addresses in one record: several times the members of a full mesh."""

REPORTS_KEPT_MAX: Final = 10_000
"""Refusals remembered for `comity why`; the oldest is forgotten first, the count stays."""

COMMITS_COUNT_MAX: Final = 1024
"""Commits in one record: bounds what its decoder allocates for empty ones."""

HEADS_LEFT_MAX: Final = 8
"""Heads that are left to the next turn to merge: half the parents that it can have."""

MERGE_WAIT: Final = Duration(30 * SECOND)
"""How long more heads stand before somebody merges them without a turn; up to twice as long,
at random, so that one does and the others see it."""

HEADS_SAID_MAX: Final = 64
"""Heads in one summary; a replica with more says none: it will have merged them soon."""

PASSES_A_MINUTE_MAX: Final = 4
"""Comparisons of one topic with one peer that this side starts in a minute. A peer may start
twice as many: the network can bunch what it spaced out."""

RANGES_MAX: Final = 16 * 1024
"""Ranges in one message of reconciliation: what 256 KiB of fingerprints hold."""

RECEIPT_IDS_MAX: Final = 1024
"""Ids in one receipt or refusal."""

RECONCILE_BYTES_MAX: Final = 256 * 1024
"""One message of reconciliation: about 8,000 ids."""

RECONCILE_MESSAGES_MAX: Final = 16
"""Messages of one reconciliation, both directions: 3 levels of 16 ways take 4 of them in a log
of 10^5; what is not found by then is found by the next pass."""

RECORDS_MAX: Final = 4096
"""Records in one batch: bounds what its decoder allocates for empty ones."""

LIVE_COMMITS_MAX: Final = 256
"""Commits of one author in a minute that are taken without having been asked for: somebody who
types without a pause makes 240. History is asked for, and is not limited by this."""

LIVE_BYTES_MAX: Final = 1024 * 1024
"""Their bytes: 256 commits of 4 KiB, or two of the largest."""

PACED_COUNT_MAX: Final = 1024
"""Commits of one delivering peer that wait for the next minute. What is more is left out, and
found by the next comparison, as history."""

PACED_BYTES_MAX: Final = 4 * 1024 * 1024
"""Bytes of the same."""

RUNS_COUNT_MAX: Final = 64
"""Runs in one record: 8,192 commits at most, a tenth of a second of rebuilding."""

SERVED_BYTES_AT_ONCE: Final = 64 * 1024 * 1024
"""Bytes that one peer is served without a pause: the whole of most logs, for a joiner."""

SERVED_BYTES_A_SECOND: Final = 8 * 1024 * 1024
"""Bytes that it is served after that: more than a peer can check, less than a disk can read;
who asks for one thing again and again leaves room for others."""

SERVE_COUNT_MAX: Final = 256
"""Commits that are read for a peer at a time: one read of the store, a few records."""

TEXT_BYTES_MAX: Final = 1024
"""A text for people in a record, UTF-8; addresses and type names a quarter of it."""

TOPICS_SAID_MAX: Final = 1024
"""Topics in one subscription."""

VERIFY_AHEAD_MAX: Final = 8192
"""Commits of one topic whose signatures are being checked elsewhere, some 4 MB of them; what
comes beyond is checked here, so that whoever sends faster than that has to wait."""

VERIFY_BATCH_MIN: Final = 32
"""Commits that come together, from which on it pays to have their signatures checked elsewhere:
2 ms of work; to ask costs 0.2 ms, and half as many would be a burst of somebody typing."""

WANTS_OPEN_MAX: Final = 4
"""Requests by id that one side may leave unanswered at a time: hides a round trip, and bounds
the queue of whoever answers."""

WELCOME_ADDRESSES_MAX: Final = 64
"""Relays, and members, named in a welcome."""

WELCOME_KEYS_MAX: Final = 4096
"""Epoch keys in a welcome: one a week for 78 years; 270 KiB."""

LETTER_BYTES_MAX: Final = 192 * 1024
"""Arguments of one message to another device, or its reply: three values of the largest."""

ENVELOPE_COUNT_MAX: Final = 1024
"""Messages in one envelope: a few milliseconds of handlers, after which it is acknowledged."""

ENVELOPE_BYTES_MAX: Final = 256 * 1024
"""An envelope: four of them in a session message. The largest letter fits one."""

FLIGHT_COUNT_MAX: Final = 8192
"""Messages of one edge that are sent and not acknowledged: some tens of milliseconds of the
fastest receiver. Half makes a fast one wait for each round trip, twice is more to hold."""

FLIGHT_BYTES_MAX: Final = 2 * 1024 * 1024
"""Bytes of the same; one envelope may always fly."""

ACCEPTED_COUNT_MAX: Final = 2 * FLIGHT_COUNT_MAX
"""Messages of one edge that are held here unhandled: what an honest sender may have in flight,
before and after a change of links. What is more is not taken, and sent again."""

ACCEPTED_BYTES_MAX: Final = 2 * FLIGHT_BYTES_MAX
"""Bytes of the same; one envelope is taken in any case."""

OUTBOX_COUNT_MAX: Final = 100_000
"""Messages to one device that wait to be acknowledged; then their senders wait."""

OUTBOX_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of the same."""

RESEND_WAIT: Final = Duration(1 * SECOND)
"""Before what was not acknowledged is sent again; then twice as long, and so on."""

RESEND_WAIT_MAX: Final = Duration(1 * HOUR)
"""The longest such wait: a device that is never there again costs little."""

GAP_WAIT: Final = Duration(10 * SECOND)
"""How long a gap between envelopes may stand: other ways may be slower. Then it is an alarm."""

CHAIN_MAX: Final = 64
"""Actors that wait for one another through one ask: deeper is a cycle or a mistake."""

GRANTS_MAX: Final = 100_000
"""Links to actors that a node has given out and not taken back."""

POST_BYTES_MAX: Final = 384 * 1024
"""One sealed mail: the largest envelope, a route and what sealing adds; two in a message."""

MAILBOX_COUNT_MAX: Final = 256
"""Mails in one mailbox; an envelope holds up to 1,024 messages. Then the sender keeps them."""

MAILBOX_BYTES_MAX: Final = 8 * 1024 * 1024
"""Bytes of the same."""

MAIL_AGE_MAX: Final = Duration(30 * 24 * HOUR)
"""So long a mail lies at a relay: longer than holidays. Its sender still has it after that."""

MAIL_RATE: Final = 60
"""Mails that one mailbox takes in a minute; each may be a full envelope."""

MAIL_BURST: Final = 20
"""Mails that it takes at once."""

MAILBOXES_OF_ONE_MAX: Final = 4096
"""Mailboxes of one device at one relay: one for each device that it writes with, or link that
it gave out; and what one record can name."""

MAILBOXES_MAX: Final = 200_000
"""Mailboxes of one relay: about 1 kB of memory each."""

MAIL_COUNT_MAX: Final = 2_000_000
"""Mails at one relay: their book in memory costs about 300 bytes each."""

MAIL_BYTES_MAX: Final = 16 * 1024 * 1024 * 1024
"""Bytes of the same: a common disk. Then every deposit is refused with QUOTA."""

MAIL_AHEAD_COUNT: Final = MAILBOX_COUNT_MAX // 2
"""Envelopes that a sender leaves at one relay beyond the oldest that is not acknowledged: were
it as many as fit, a mailbox could be full of what waits for the one that was refused."""

MAIL_AHEAD_BYTES: Final = MAILBOX_BYTES_MAX // 4
"""Bytes of the same, before padding, which may double them."""

MAIL_WAIT: Final = Duration(2 * SECOND)
"""How long a letter waits for a direct link before it goes to a relay as well, and after a
relay had no room; then twice as long, and so on."""

MAIL_WAIT_MAX: Final = Duration(1 * HOUR)
"""The longest such wait."""

POSTS_SAID_MAX: Final = 1024
"""Ids of mails in one record."""

ROUTES_CALLED_MAX: Final = 64
"""Relays of others that are called at a time to leave something there."""

ROUTE_BYTES_MAX: Final = 4096
"""A route in a record or a mail: a mailbox's keys and eight addresses need 2,114."""
