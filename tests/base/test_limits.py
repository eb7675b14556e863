"""Limits: each is stated with its reason, and those that lean on one another agree."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from comity.base import limits
from comity.base.clock import HOUR
from comity.log.inner import padded_bytes

NAMES = tuple(limits.__all__)


def said() -> dict[str, str]:
    """Return each constant of the module with the text that follows it."""
    body = ast.parse(Path(limits.__file__).read_text(encoding="utf-8")).body
    found: dict[str, str] = {}
    for first, second in zip(body, [*body[1:], None], strict=True):
        if isinstance(first, ast.AnnAssign) and isinstance(first.target, ast.Name):
            text = second.value if isinstance(second, ast.Expr) else None
            words = text.value if isinstance(text, ast.Constant) else ""
            found[first.target.id] = words if isinstance(words, str) else ""
    return found


def test_every_limit_says_its_unit_and_reason() -> None:
    """All constants are public and none stands without a sentence."""
    texts = said()
    assert sorted(texts) == sorted(NAMES)
    for name, text in texts.items():
        assert len(text.split()) >= 4, f"{name} says too little: {text!r}"


@pytest.mark.parametrize("name", NAMES)
def test_a_limit_is_a_positive_whole_number(name: str) -> None:
    """No limit is zero, a float or unbounded; no wait longer than an hour, no age than 30 d."""
    value = getattr(limits, name)
    assert type(value) is int
    assert 0 < value <= (30 * 24 * HOUR if "_AGE_" in name else max(HOUR, 1 << 40))


def test_what_must_fit_fits() -> None:
    """A turn fits a commit beside a full draft, a commit a message, a frame its length."""
    framing = 4096
    draft = limits.DRAFT_BYTES_MAX + limits.TURN_BYTES_MAX
    turns = (limits.DRAFT_TURNS_MAX + 1) * 16
    assert padded_bytes(draft + turns) + framing <= limits.COMMIT_BYTES_MAX
    assert 2 * limits.VALUE_BYTES_MAX <= limits.TURN_BYTES_MAX
    assert 2 * limits.COMMIT_BYTES_MAX <= limits.MESSAGE_BYTES_MAX
    assert limits.COMMITS_RECORD_BYTES_MAX <= limits.COMMIT_BYTES_MAX
    assert limits.COMMIT_BYTES_MAX < limits.ORPHANS_BYTES_MAX
    assert limits.RECONCILE_BYTES_MAX + framing <= limits.MESSAGE_BYTES_MAX
    assert limits.FRAME_BYTES_MAX < 1 << 16


def test_lists_of_records_fit_a_message() -> None:
    """The longest list of ids, keys or addresses that one record may hold can be sent."""
    item, address = 40, 320
    lists = (
        limits.WANT_IDS_MAX * item,
        limits.RECEIPT_IDS_MAX * item + limits.TEXT_BYTES_MAX,
        limits.ANNOUNCE_TAGS_MAX * item,
        limits.TOPICS_SAID_MAX * item,
        limits.HEADS_SAID_MAX * item,
        limits.PEERS_RECORD_MAX * address,
        limits.WELCOME_KEYS_MAX * 2 * item + 2 * limits.WELCOME_ADDRESSES_MAX * address,
    )
    assert max(lists) <= limits.MESSAGE_BYTES_MAX // 2


def test_merging_keeps_ahead_of_parents() -> None:
    """Heads that are left alone never exceed what one commit can merge."""
    assert limits.HEADS_LEFT_MAX < limits.PARENTS_MAX < limits.HEADS_SAID_MAX
