"""CPace: the draft's vectors to the byte, and no key for whoever does not know the code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comity.crypto import cpace
from comity.crypto.cpace import ISK_BYTES, Public, Round
from comity.crypto.sodium import Sodium

VECTORS: Final = Path(__file__).resolve().parents[3] / "shared" / "vectors"
PRIME: Final = (1 << 255) - 19
PUBLIC: Final = Public(b"channel", b"session")
scalars = st.binary(min_size=32, max_size=32)
texts = st.binary(max_size=200)

LOW_ORDER: Final = [
    0,
    1,
    PRIME - 1,
    PRIME,
    PRIME + 1,
    0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
    0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
]
"""u-coordinates of low order on curve25519 and its twist; X25519 ignores the top bit."""


def read(group: str) -> dict[str, str]:
    """Read what the draft has on a group; skip where there is no file."""
    path = VECTORS / "cpace_vectors.json"
    if not path.exists():
        pytest.skip("public vectors are absent: cpace_vectors.json")
    found: dict[str, str] = json.loads(path.read_text())[group]
    return found


def test_public_vectors() -> None:
    """Generator, both shares, the secret, both keys and both names come out to the byte."""
    vector = {name: bytes.fromhex(value) for name, value in read("G_25519").items()}
    crypto, session = Sodium(), vector["sid"]
    point = cpace.generator(vector["PRS"], channel=vector["CI"], session=session)
    assert point == vector["g"]
    first = vector["Ya"], vector["ADa"]
    second = vector["Yb"], vector["ADb"]
    for scalar, ours, theirs in ((vector["ya"], *"ab"), (vector["yb"], *"ba")):
        assert cpace.share(crypto, scalar, point) == vector[f"Y{ours}"]
        assert cpace.secret_point(crypto, scalar, vector[f"Y{theirs}"]) == vector["K"]
    assert cpace.key_in_order(session, vector["K"], first, second) == vector["ISK_IR"]
    for one, other in ((first, second), (second, first)):
        assert cpace.key_symmetric(session, vector["K"], one, other) == vector["ISK_SY"]
        assert cpace.output_id(one, other, ordered=False) == vector["sid_output_oc"]
    assert cpace.output_id(first, second, ordered=True) == vector["sid_output_ir"]
    for scalar, initiator in ((vector["ya"], True), (vector["yb"], False)):
        ours, theirs = (first, second) if initiator else (second, first)
        side = Round(
            crypto,
            code=vector["PRS"],
            public=Public(vector["CI"], session),
            scalar=scalar,
            label=ours[1],
            initiator=initiator,
        )
        assert side.share == ours[0]
        assert side.finish(theirs[0], label=theirs[1]) == vector["ISK_IR"]


def test_public_low_order_points() -> None:
    """All twelve points that the draft calls invalid are refused."""
    invalid = [value for name, value in read("X25519_points").items() if "Invalid" in name]
    assert len(invalid) >= 12
    for value in invalid:
        assert cpace.secret_point(Sodium(), bytes([7]) * 32, bytes.fromhex(value)) is None


def test_low_order_points_are_refused() -> None:
    """With or without the top bit, and reduced or not, whatever the scalar is."""
    points = [value | top << 255 for value in LOW_ORDER for top in (0, 1)]
    points += [value + PRIME for value in LOW_ORDER if value + PRIME < 1 << 255]
    for value in points:
        for scalar in (bytes(32), bytes([255]) * 32, bytes(range(32))):
            point = value.to_bytes(32, "little")
            assert cpace.secret_point(Sodium(), scalar, point) is None


def test_a_share_is_written_in_one_way() -> None:
    """A number from the prime on, or with the top bit set, is refused; no honest share is."""
    share = cpace.share(Sodium(), bytes([3]) * 32, (9).to_bytes(32, "little"))
    assert share is not None
    scalar = bytes([7]) * 32
    assert cpace.secret_point(Sodium(), scalar, share) is not None
    odd = [int.from_bytes(share, "little") | 1 << 255, PRIME + 9]
    for value in odd:
        assert cpace.secret_point(Sodium(), scalar, value.to_bytes(32, "little")) is None


def begin(
    code: bytes,
    label: bytes = b"A",
    *,
    number: int = 0,
    initiator: bool | None = None,
    public: Public = PUBLIC,
) -> Round:
    """Begin one side. number: which one, 0 or 1."""
    return Round(
        Sodium(),
        code=code,
        public=public,
        scalar=bytes([number + 1]) * 32,
        label=label,
        initiator=not number if initiator is None else initiator,
    )


def pair(
    codes: tuple[bytes, bytes],
    labels: tuple[bytes, bytes] = (b"A", b"B"),
    public: Public = PUBLIC,
) -> tuple[bytes | None, bytes | None]:
    """Run both sides and return their keys. public: what the second side is told otherwise."""
    one = begin(codes[0], labels[0])
    other = begin(codes[1], labels[1], number=1, public=public)
    return one.finish(other.share, label=labels[1]), other.finish(one.share, label=labels[0])


@given(texts, texts, texts)
@settings(max_examples=25, deadline=None)
def test_one_code_is_one_key(code: bytes, one: bytes, other: bytes) -> None:
    """Codes and labels of any length: both sides come to the same 64 bytes."""
    first, second = pair((code, code), (one, other))
    assert first == second
    assert first is not None
    assert len(first) == ISK_BYTES


@given(texts, texts)
@settings(max_examples=25, deadline=None)
def test_two_codes_are_two_keys(code: bytes, other: bytes) -> None:
    """Another code, and be it by a zero byte, is another key: nothing else is learned."""
    guess = other if other != code else code + b"\0"
    first, second = pair((code, guess))
    assert first != second
    assert None not in {first, second}


@pytest.mark.parametrize("public", [Public(b"?", b"session"), Public(b"channel", b"?")])
def test_the_public_parts_are_bound(public: Public) -> None:
    """Who is told another channel or session gets another key."""
    first, second = pair((b"code", b"code"), public=public)
    assert first != second


def test_labels_are_bound() -> None:
    """Who is told another label of the peer gets another key."""
    one, other = begin(b"code"), begin(b"code", b"B", number=1)
    key = one.finish(other.share, label=b"B")
    assert key == other.finish(one.share, label=b"A")
    assert key != other.finish(one.share, label=b"C")


@given(st.binary(max_size=70).filter(lambda share: len(share) != 32))
def test_shares_have_32_bytes(share: bytes) -> None:
    """A share of any other length is refused."""
    assert cpace.secret_point(Sodium(), bytes([7]) * 32, share) is None


def test_both_as_initiator_do_not_agree() -> None:
    """Roles are part of the key: two who both think that they came first do not agree."""
    one = begin(b"code")
    other = begin(b"code", number=1, initiator=True)
    assert one.finish(other.share, label=b"A") != other.finish(one.share, label=b"A")


@given(scalars, texts)
@settings(max_examples=100, deadline=None)
def test_generators_are_points_of_the_curve(session: bytes, code: bytes) -> None:
    """u^3 + A u^2 + u is a square for every code: the map never leaves the curve."""
    u = int.from_bytes(cpace.generator(code, channel=b"", session=session), "little")
    right = u * (u * (u + 486662) + 1) % PRIME
    assert pow(right, (PRIME - 1) // 2, PRIME) in {0, 1}
    assert u < PRIME


def test_elligator_of_the_ends() -> None:
    """Zero, the largest number, and the top bit: all map to points, the bit changes nothing."""
    for uniform in (bytes(32), b"\xff" * 32, (PRIME - 1).to_bytes(32, "little")):
        u = int.from_bytes(cpace._elligator(uniform), "little")
        right = u * (u * (u + 486662) + 1) % PRIME
        assert pow(right, (PRIME - 1) // 2, PRIME) in {0, 1}
    clear = bytes(31) + b"\x12"
    assert cpace._elligator(clear) == cpace._elligator(bytes(31) + b"\x92")
