"""Every bound of the runtime, with its unit and its reason.

Owns: numbers. May not know: who keeps to them. At a bound something stated happens: reject
with a `Reason`, delay, or split; nothing grows without one.
Source: PROTOCOL, STYLE 'Limits'.
"""

from __future__ import annotations

from typing import Final

from comity.base.clock import MILLISECOND, MINUTE, SECOND, Duration

__all__ = [
    "ANNOUNCE_TAGS_MAX",
    "BEAT_MAX",
    "COMMITS_RECORD_BYTES_MAX",
    "COMMIT_BYTES_MAX",
    "DRAFT_BYTES_MAX",
    "DRAFT_TURNS_MAX",
    "FRAME_BYTES_MAX",
    "HALF_OPEN_MAX",
    "HANDSHAKE_TIMEOUT",
    "MESSAGE_BYTES_MAX",
    "ORPHANS_BYTES_MAX",
    "ORPHANS_COUNT_MAX",
    "ORPHAN_AGE_MAX",
    "PARENTS_MAX",
    "PEERS_RECORD_MAX",
    "REPORTS_KEPT_MAX",
    "ROOTS_MAX",
    "TURN_BYTES_MAX",
    "VALUE_BYTES_MAX",
    "WANT_IDS_MAX",
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

ANNOUNCE_TAGS_MAX: Final = 1024
"""Topics in one announcement; more are sent in further ones."""

WANT_IDS_MAX: Final = 1024
"""Ids in one request."""

VALUE_BYTES_MAX: Final = 64 * 1024
"""One encoded value in a field or a message: larger things are attachments."""

PEERS_RECORD_MAX: Final = 256
"""Peer addresses in one record: several times the members of a full mesh."""

REPORTS_KEPT_MAX: Final = 10_000
"""Refusals remembered for `comity why`; the oldest is forgotten first, the count stays."""
