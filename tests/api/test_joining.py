"""Invites as text: each form comes back whole, and a slip is told with its remedy."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity import Actor, ComityError, Counter, Node, UsageError
from comity.api.joining import Form, invite_text, read_invite
from comity.base.ids import DeviceId
from comity.protocol.invite import Invite
from comity.protocol.pairing import Code, slot_secret

AT = "192.0.2.7:4711"
words = st.integers(0, 2047)


class Tally(Actor):
    """Counts."""

    count: Counter

    def more(self) -> None:
        """Count one."""
        self.count.add(1)


@given(st.binary(min_size=16, max_size=16))
def test_twelve_words(seed: bytes) -> None:
    """They give the seed back, in any case, cut to four letters, and over several lines."""
    text = invite_text(Invite(DeviceId(bytes(32)), seed, (AT,)), "words")
    assert len(text.split()) == 12
    cut = " ".join(word[:4] for word in text.split())
    for typed in (text, text.upper(), f"  {text}\n".replace(" ", "\n"), cut):
        assert read_invite(typed, AT) == (Invite(None, seed, (AT,)), None)


@given(st.builds(Code, st.integers(1, 99), st.tuples(words, words)))
def test_codes(code: Code) -> None:
    """A code comes back, with spaces for hyphens, too."""
    text = invite_text(code, "code")
    for typed in (text, text.upper(), text.replace("-", " "), f" {text}\n"):
        found = read_invite(typed, AT)
        assert found == (Invite(None, slot_secret(code.slot), (AT,)), code)


def test_links_take_another_address() -> None:
    """Where the inviter is said outright counts."""
    invite = Invite(DeviceId(bytes(32)), bytes(16), ("192.0.2.1:1",))
    link = invite_text(invite, "link")
    assert read_invite(link) == (invite, None)
    assert read_invite(link, AT)[0].addresses == (AT,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("abandon " * 11 + "about", "--at HOST:PORT"),
        ("abandon-ability-17", "--at HOST:PORT"),
    ],
)
def test_words_and_codes_need_an_address(text: str, says: str) -> None:
    """They do not say where the inviter is."""
    with pytest.raises(UsageError, match=says):
        read_invite(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("abandon " * 12, "checksum"),
        ("abandon " * 11 + "abuot", "'abuot' is not a word of an invite"),
        ("abandon " * 11, "11 words are no invite"),
        ("abandon ability", "2 words are no invite"),
        ("abandon-ability-0", "from 1 to 99"),
        ("abandon-ability-100", "from 1 to 99"),
        ("abandon-ability-\u0661", "is not an invite"),
        ("abandon-abilit\u00ff-1", "is not a word"),
        ("zzzz-ability-1", "'zzzz' is not a word of an invite"),
        ("aba-ability-1", "near it are: abandon"),
        ("", "is not an invite"),
        ("nonsense", "is not an invite"),
        ("-" * 50, "is not an invite"),
        ("comity:AAAA", "mistyped"),
    ],
)
def test_slips(text: str, says: str) -> None:
    """What is wrong is said, and nothing is made of it."""
    with pytest.raises(UsageError, match=says):
        read_invite(text, AT)


@given(st.text(max_size=80))
def test_any_text_is_an_invite_or_a_usage_error(text: str) -> None:
    """People paste anything."""
    with contextlib.suppress(UsageError):
        read_invite(text, AT)


@pytest.mark.parametrize("form", ["link", "words", "code"])
def test_real_nodes_join_by_each_form(form: Form, tmp_path: Path) -> None:
    """Over real sockets: in once, with the history; the same text does not work again."""
    folders = [tmp_path / name for name in ("a", "b", "c")]
    with (
        Node(folders[0], insecure_store=True) as host,
        Node(folders[1], insecure_store=True) as guest,
        Node(folders[2], insecure_store=True) as late,
    ):
        ref = host.create(Tally)
        ref.ask(Tally.more).get(timeout=5)
        text = ref.invite("reader", form=form)
        at = host.address if form != "link" else None
        topic = guest.join(text, at=at)
        assert guest.open(Tally, topic).snapshot() == {"count": 1}
        assert {member.role.name for member in ref.members()} == {"ADMIN", "READER"}
        with pytest.raises(ComityError, match=r"used|open"):
            late.join(text, at=at)
        assert len(ref.members()) == 2


def test_a_wrong_code_and_a_form_that_is_none(tmp_path: Path) -> None:
    """Whoever types a wrong code is told so at once; forms have names."""
    with (
        Node(tmp_path / "a", insecure_store=True) as host,
        Node(tmp_path / "b", insecure_store=True) as guest,
    ):
        ref = host.create(Tally)
        first, second, number = ref.invite(form="code").split("-")
        with pytest.raises(UsageError, match="this is not the code"):
            guest.join(f"{second}-{first}-{number}", at=host.address)
        with pytest.raises(UsageError, match="no form of an invite"):
            ref.invite(form=cast("Form", "song"))
        topic = guest.join(f"{first}-{second}-{number}", at=host.address)
        assert topic == ref.topic
