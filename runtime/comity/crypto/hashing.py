"""BLAKE2b, and the one list of what it is personalised for.

Owns: the hash primitive and every person string of the protocol, so that no two uses can
ever produce the same digest from the same input. May not know: what is hashed; the layers
above build the inputs (`comity.log` the commit id, `comity.protocol` the session tag).
A person string is for good: changing one changes every id that was made with it.
Source: RFC 7693; PROTOCOL sections 2, 4, 5, 6, 9.
"""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = [
    "PERSONS",
    "PERSON_ACTOR",
    "PERSON_BLOB",
    "PERSON_BYTES_MAX",
    "PERSON_COMMIT",
    "PERSON_DIGEST",
    "PERSON_DUMMY",
    "PERSON_ENVELOPE",
    "PERSON_FIELD",
    "PERSON_HISTORY",
    "PERSON_INVITE",
    "PERSON_KCOMMIT",
    "PERSON_MAIL",
    "PERSON_MAILBOX",
    "PERSON_NONCE",
    "PERSON_PAIRED",
    "PERSON_PAIRING",
    "PERSON_PIECE",
    "PERSON_PSK",
    "PERSON_RANGE",
    "PERSON_REF",
    "PERSON_RID",
    "PERSON_SEAL",
    "PERSON_SHAPE",
    "PERSON_SIGHTING",
    "PERSON_SIGNATURE",
    "PERSON_STATE",
    "PERSON_TAG",
    "PERSON_TIE",
    "PERSON_TOPIC",
    "PERSON_WRAP",
    "blake2b",
]

PERSON_BYTES_MAX: Final = 16
"""What the parameter block of BLAKE2b has room for."""

PERSON_COMMIT: Final = b"comity/commit"
"""Commit id, of topic || sealed bytes."""

PERSON_TOPIC: Final = b"comity/topic"
"""Topic, of the genesis inner."""

PERSON_NONCE: Final = b"comity/nonce"
"""Nonce of a commit, keyed with the epoch key."""

PERSON_SEAL: Final = b"comity/seal"
"""Key that seals a commit's inner, from the epoch key."""

PERSON_SIGNATURE: Final = b"comity/sig"
"""Mask over the signature beside a commit, keyed with the epoch key."""

PERSON_KCOMMIT: Final = b"comity/kcommit"
"""Public commitment to an epoch key."""

PERSON_WRAP: Final = b"comity/wrap"
"""Key of one wrap in an epoch commit."""

PERSON_RID: Final = b"comity/rid"
"""Recipient id beside a wrap."""

PERSON_DUMMY: Final = b"comity/dummy"
"""Entries that pad an epoch commit's wraps to a power of two, derived from its secret e."""

PERSON_HISTORY: Final = b"comity/history"
"""Key that encrypts older epoch keys under a newer one."""

PERSON_TAG: Final = b"comity/tag"
"""Topic as it is named inside a session, keyed with the handshake hash."""

PERSON_DIGEST: Final = b"comity/digest"
"""Digest of a topic's whole set of commit ids, in a summary."""

PERSON_RANGE: Final = b"comity/range"
"""Fingerprint of a range in reconciliation, keyed with the handshake hash."""

PERSON_INVITE: Final = b"comity/invite"
"""Name of an invite, from its seed: stored and shown, opens nothing."""

PERSON_SIGHTING: Final = b"comity/sighting"
"""Tag of an invite in a hello, blinded by the initiator's ephemeral."""

PERSON_PSK: Final = b"comity/psk"
"""Pre-shared key of a joining session, from the invite's seed."""

PERSON_TIE: Final = b"comity/tie"
"""Order between concurrent writes."""

PERSON_FIELD: Final = b"comity/field"
"""Id of a field, an input to the order between concurrent writes."""

PERSON_ENVELOPE: Final = b"comity/envelope"
"""Name of an envelope on its edge: what the next one on that edge names as the one before."""

PERSON_REF: Final = b"comity/ref"
"""Check of a link to an actor, so that a mistyped one is told from a wrong one."""

PERSON_SHAPE: Final = b"comity/shape"
"""Shape of a message: its name, its parameters and their types, as sender and handler know."""

PERSON_ACTOR: Final = b"comity/actor"
"""An actor on a device, in the chain of those that wait for one another."""

PERSON_PAIRED: Final = b"comity/paired"
"""Seed of the invite that two agreed on by a short code, from the key of CPace."""

PERSON_STATE: Final = b"comity/state"
"""Of the commits that a stored state stands for."""

PERSON_PAIRING: Final = b"comity/pairing"
"""Proof that a side of a pairing knew the code, from the same key."""

PERSON_MAIL: Final = b"comity/mail"
"""What lies in a mailbox: its id, and the keys that a device seals it with."""

PERSON_MAILBOX: Final = b"comity/mailbox"
"""Name of a mailbox at relays, and the seed of the key that writes to it."""

PERSON_PIECE: Final = b"comity/piece"
"""Id of a sealed piece of a blob, of topic || piece."""

PERSON_BLOB: Final = b"comity/blob"
"""Nonce of a piece of a blob, keyed with the key of the blob."""

PERSONS: Final = (
    PERSON_PIECE,
    PERSON_BLOB,
    PERSON_COMMIT,
    PERSON_TOPIC,
    PERSON_NONCE,
    PERSON_SEAL,
    PERSON_SIGNATURE,
    PERSON_KCOMMIT,
    PERSON_MAIL,
    PERSON_MAILBOX,
    PERSON_WRAP,
    PERSON_RID,
    PERSON_DUMMY,
    PERSON_HISTORY,
    PERSON_TAG,
    PERSON_DIGEST,
    PERSON_RANGE,
    PERSON_INVITE,
    PERSON_SIGHTING,
    PERSON_PSK,
    PERSON_TIE,
    PERSON_FIELD,
    PERSON_ENVELOPE,
    PERSON_REF,
    PERSON_SHAPE,
    PERSON_ACTOR,
    PERSON_PAIRED,
    PERSON_PAIRING,
    PERSON_STATE,
)
"""All of them; pairwise different."""


def blake2b(data: bytes, *, size: int = 32, person: bytes, key: bytes = b"") -> bytes:
    """Hash `data` for one purpose. 0.7 us for short inputs.

    size: of the digest, 1..64 bytes. person: one of `PERSONS`. key: at most 64 bytes.
    """
    return hashlib.blake2b(data, digest_size=size, person=person, key=key).digest()
