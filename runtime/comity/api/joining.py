"""What people hand to one another to be let in, as text: a link, twelve words, a short code.

Owns: the three forms and how they are read. May not know: how a newcomer is let in, terminals.

    comity:AQ...                      a link: who, where, and the seed
    abandon ability able ...          twelve words: the seed alone; where is said beside it
    otter-maple-17                    a code: for two who talk to each other right now

Words are those of BIP39, in English: the first four letters tell one from all others, so a word
may be cut off after them, and whoever mistypes one is told which.
Source: PROTOCOL section 9; BIP 39; decision 29.
"""

from __future__ import annotations

from functools import cache
from typing import Final, Literal

from mnemonic import Mnemonic

from comity.base.errors import UsageError
from comity.base.limits import PAIR_SLOTS
from comity.protocol.invite import Invite, format_invite, parse_invite
from comity.protocol.pairing import Code, slot_secret

__all__ = ["Form", "invite_text", "read_invite"]

Form = Literal["link", "words", "code"]
"""How an invite is handed over."""

_WORDS: Final = 12
_TOLD_APART: Final = 4


def invite_text(invite: Invite | Code, form: Form) -> str:
    """Write an invite in a form; a code is always one."""
    if isinstance(invite, Code):
        first, second = (_language().wordlist[word] for word in invite.words)
        return f"{first}-{second}-{invite.slot}"
    if form == "link":
        return format_invite(invite)
    return _language().to_mnemonic(invite.seed)


def read_invite(text: str, at: str | None = None) -> tuple[Invite, Code | None]:
    """Read a link, twelve words or a short code, whichever it is.

    at: where the inviter is, 'host:port'; words and codes need it, a link takes it instead of
    the addresses that it names.

    Raises: UsageError that says what is wrong with the text and what to do.
    """
    plain = text.strip()
    if plain.lower().startswith("comity:"):
        link = parse_invite(plain)
        return (link if at is None else Invite(link.inviter, link.seed, (at,))), None
    parts = plain.lower().replace("-", " ").split()
    where = () if at is None else (at,)
    if len(parts) == 3 and parts[-1].isascii() and parts[-1].isdigit():
        code = _code(parts)
        _need(at, "a short code")
        return Invite(None, slot_secret(code.slot), where), code
    if len(parts) == _WORDS:
        seed = _seed([_word(part) for part in parts])
        _need(at, "twelve words")
        return Invite(None, seed, where), None
    if 2 <= len(parts) <= 24 and all(part.isascii() and part.isalpha() for part in parts):
        raise UsageError(
            f"{len(parts)} words are no invite: it has {_WORDS}, or two and a number "
            "('otter-maple-17')"
        )
    parse_invite(plain)  # it says what a link looks like
    raise AssertionError(plain)


def _need(at: str | None, what: str) -> None:
    if at is None:
        raise UsageError(
            f"{what} do not say where the inviter is: add its address, --at HOST:PORT on the "
            "command line, at='host:port' in code; `comity status` shows it there"
        )


def _code(parts: list[str]) -> Code:
    number = int(parts[2]) if len(parts[2]) <= 2 else 0
    if not 1 <= number <= PAIR_SLOTS:
        raise UsageError(f"a code ends in a number from 1 to {PAIR_SLOTS}, not {parts[2]!r}")
    first, second = (_index(_word(part)) for part in parts[:2])
    return Code(number, (first, second))


def _seed(words: list[str]) -> bytes:
    try:
        return bytes(_language().to_entropy(words))
    except ValueError:
        raise UsageError(
            "these twelve words are not an invite (their checksum does not match): one is "
            "another word of the list, or two are in the wrong order; read them again"
        ) from None


def _word(typed: str) -> str:
    """Return the word of the list that is meant."""
    wordlist = _language().wordlist
    if typed in wordlist:
        return typed
    found = [word for word in wordlist if len(typed) >= _TOLD_APART and word.startswith(typed)]
    if len(found) == 1:
        return found[0]
    near = [word for word in wordlist if word[:3] == typed[:3]][:4]
    hint = f"; near it are: {', '.join(near)}" if near else ""
    raise UsageError(f"{typed!r} is not a word of an invite{hint}")


def _index(word: str) -> int:
    return _language().wordlist.index(word)


@cache
def _language() -> Mnemonic:
    return Mnemonic("english")
