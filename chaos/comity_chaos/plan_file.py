"""Plans as text: TOML to read and edit, or one word for a command line.

Owns: both forms, and what is wrong with a text that is no plan. May not know: files; whoever
calls reads and writes them.
Source: CHAOS 'Architecture', Plan; TOML 1.0.
"""

from __future__ import annotations

import base64
import json
import re
import tomllib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never, cast

from comity.base.errors import UsageError
from comity_chaos.plan import EVENTS, At, Buggify, Drawn, Fault, Plan, Trigger, Turn, When

__all__ = ["WORD_PREFIX", "dump", "load", "to_word"]

WORD_PREFIX: Final = "plan:"
"""How a plan in one word begins."""

_TEXT_BYTES_MAX: Final = 1 << 20
"""A plan in one word unpacks to at most this: the longest that was ever drawn has 20 kB."""

_HEX: Final = re.compile("(?:[0-9a-f]{2})*")

_HEAD: Final = (
    "actor",
    "scenario",
    "promises",
    "seed",
    "nodes",
    "relays",
    "span_ms",
    "byzantine",
    "crypto",
    "beyond",
    "calm",
)


def dump(plan: Plan) -> str:
    """Write a plan as TOML; `load` reads the same plan."""
    blank = Plan(seed=0, nodes=0)
    lines = [
        f"{name} = {_value(getattr(plan, name))}"
        for name in _HEAD
        if name in {"seed", "nodes"} or getattr(plan, name) != getattr(blank, name)
    ]
    lines += [f"notes.{_key(key)} = {_value(plan.notes[key])}" for key in sorted(plan.notes)]
    for turn in plan.turns:
        lines += ["", "[[turn]]", f"ms = {turn.ms}", f"node = {turn.node}"]
        lines.append(f"method = {_value(turn.method)}")
        if turn.arguments:
            lines.append(f"arguments = {_value(turn.arguments)}")
    for fault in plan.faults:
        lines += ["", "[[fault]]", f"kind = {_value(fault.kind)}"]
        lines.append(f"nodes = {_value(fault.nodes)}")
        lines.append(f"trigger = {_trigger(fault.trigger)}")
        lines += [f"amount = {fault.amount}"] * bool(fault.amount)
        lines += [f"ms = {fault.ms}"] * bool(fault.ms)
    return "\n".join(lines) + "\n"


def to_word(plan: Plan) -> str:
    """Write a plan as one word without blanks or quotes, for a command line."""
    packed = zlib.compress(dump(plan).encode(), 9)
    return WORD_PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def load(text: str) -> Plan:
    """Read a plan in either form.

    Raises: UsageError naming what is wrong, and where.
    """
    if text.startswith(WORD_PREFIX):
        text = _unpack(text.strip())
    try:
        said = _Table("a plan", tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"this is no plan: {error}") from None
    except RecursionError:
        raise UsageError("this is no plan: it is nested too deeply") from None
    said.only(*_HEAD, "notes", "turn", "fault")
    notes = said.table("notes")
    return Plan(
        seed=said.number("seed"),
        nodes=said.number("nodes"),
        actor=said.text("actor", ""),
        scenario=said.text("scenario", ""),
        promises=said.texts("promises"),
        relays=said.number("relays", 0),
        span_ms=said.number("span_ms", 0),
        turns=tuple(map(_read_turn, said.tables("turn"))),
        faults=tuple(map(_read_fault, said.tables("fault"))),
        byzantine=said.numbers("byzantine", ()),
        crypto=said.text("crypto", Plan(seed=0, nodes=0).crypto),
        beyond=said.flag("beyond"),
        calm=said.flag("calm"),
        notes={name: notes.text(name) for name in notes.names},
    )


def _unpack(word: str) -> str:
    body = word.removeprefix(WORD_PREFIX)
    try:
        packed = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(packed, _TEXT_BYTES_MAX).decode()
    except (ValueError, zlib.error) as error:
        raise UsageError(f"this plan is damaged, copy all of it: {error}") from None
    if not unpacker.eof:
        raise UsageError("this plan is damaged, copy all of it: it is cut off, or too long")
    return plain


class _Table:
    """One table of a text, to be read with types. Every reading may raise UsageError."""

    __slots__ = ("_said", "where")

    def __init__(self, where: str, said: Mapping[str, Any]) -> None:
        """Keep the table. where: how an error names it."""
        self._said = said
        self.where = where

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._said)

    def only(self, *known: str) -> None:
        """Refuse what has another name."""
        wrong = [name for name in self._said if name not in known]
        if wrong:
            may = ", ".join(sorted(known))
            raise UsageError(f"{self.where} has no {wrong[0]!r}; it may have: {may}")

    def integer(self, name: str, default: int | None = None) -> int:
        found = self._found(name, default)
        if isinstance(found, bool) or not isinstance(found, int):
            raise self._wrong(name, "is a whole number")
        return found

    def number(self, name: str, default: int | None = None) -> int:
        return self._natural(name, self.integer(name, default))

    def numbers(self, name: str, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
        found = self._list(name, default)
        if any(isinstance(each, bool) or not isinstance(each, int) for each in found):
            raise self._wrong(name, "is a list of numbers")
        return tuple(self._natural(name, each) for each in found)

    def text(self, name: str, default: str | None = None) -> str:
        found = self._found(name, default)
        if not isinstance(found, str):
            raise self._wrong(name, "is text")
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        texts = self._list(name, ())
        if not all(isinstance(each, str) for each in texts):
            raise self._wrong(name, "is a list of texts")
        return tuple(texts)

    def flag(self, name: str) -> bool:
        found = self._found(name, default=False)
        if not isinstance(found, bool):
            raise self._wrong(name, "is true or false")
        return found

    def table(self, name: str, where: str = "") -> _Table:
        found = self._found(name, {})
        if not isinstance(found, dict):
            raise self._wrong(name, "is a table")
        return _Table(where or f"{name!r} of {self.where}", cast("dict[str, Any]", found))

    def tables(self, name: str) -> list[_Table]:
        tables = self._list(name, ())
        if not all(isinstance(each, dict) for each in tables):
            raise self._wrong(name, "is a list of tables")
        return [
            _Table(f"{name} {place} of {self.where}", each) for place, each in enumerate(tables)
        ]

    def arguments(self, name: str) -> tuple[Any, ...]:
        """Return what a message is given."""
        return tuple(self._argument(name, each) for each in self._list(name, ()))

    def _argument(self, name: str, said: object) -> Any:  # noqa: ANN401  (whatever it takes)
        if isinstance(said, list):
            parts = cast("list[object]", said)
            return tuple(self._argument(name, each) for each in parts)
        if isinstance(said, str | bool | int | float):
            return said
        if isinstance(said, dict):
            match cast("dict[str, object]", said):
                case {"none": True, **rest} if not rest:
                    return None
                case {"hex": str(digits), **rest} if not rest and _HEX.fullmatch(digits):
                    return bytes.fromhex(digits)
                case {"drawn": int(key), **rest} if not rest and key >= 0:
                    return Drawn(key)
                case _:
                    pass
        raise self._wrong(name, "holds plain values, { hex }, { drawn } or { none = true }")

    def _list(self, name: str, default: tuple[Any, ...] | None) -> list[Any]:
        found = self._found(name, default)
        if not isinstance(found, list | tuple):
            raise self._wrong(name, "is a list")
        return list(cast("Sequence[Any]", found))

    def _found(self, name: str, default: object) -> object:
        if name in self._said:
            return self._said[name]
        if default is None:
            raise UsageError(f"{self.where} lacks {name!r}")
        return default

    def _natural(self, name: str, number: int) -> int:
        if not 0 <= number < 1 << 64:
            raise self._wrong(name, "is a number from 0 to 2^64-1")
        return number

    def _wrong(self, name: str, what: str) -> UsageError:
        return UsageError(f"{self.where}: {name!r} {what}, not {self._said[name]!r}")


def _read_turn(said: _Table) -> Turn:
    said.only("ms", "node", "method", "arguments")
    return Turn(
        said.number("ms"), said.number("node"), said.text("method"), said.arguments("arguments")
    )


def _read_fault(said: _Table) -> Fault:
    said.only("kind", "nodes", "trigger", "amount", "ms")
    kind, nodes = said.text("kind"), said.numbers("nodes")
    if "trigger" not in said.names:
        raise UsageError(f"{said.where} lacks 'trigger'")
    trigger = _read_trigger(said.table("trigger", said.where))
    return Fault(kind, trigger, nodes, said.integer("amount", 0), said.number("ms", 0))


def _read_trigger(said: _Table) -> Trigger:
    if "at_ms" in said.names:
        said.only("at_ms")
        return At(said.number("at_ms"))
    form = "buggify" if "buggify" in said.names else "when"
    event = said.text(form)
    if event not in EVENTS:
        raise UsageError(
            f"{said.where} waits for {event!r}; it can wait for: {', '.join(EVENTS)}"
        )
    node, after = said.number("node"), said.number("after_ms", 0)
    if form == "when":
        said.only("when", "node", "nth", "after_ms")
        return When(event, node, said.number("nth", 1), after)
    said.only("buggify", "node", "permille", "after_ms")
    return Buggify(event, node, said.number("permille"), after)


def _trigger(trigger: Trigger) -> str:
    match trigger:
        case At(ms):
            return f"{{ at_ms = {ms} }}"
        case When(event, node, nth, after):
            rest = f"node = {node}, nth = {nth}, after_ms = {after}"
            return f"{{ when = {_value(event)}, {rest} }}"
        case Buggify(event, node, permille, after):
            rest = f"node = {node}, permille = {permille}, after_ms = {after}"
            return f"{{ buggify = {_value(event)}, {rest} }}"
        case _:
            assert_never(trigger)


def _key(key: str) -> str:
    return key if key.isidentifier() and key.isascii() else _text(key)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: object) -> str:
    match value:
        case None:
            return "{ none = true }"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _text(value)
        case bytes():
            return f'{{ hex = "{value.hex()}" }}'
        case Drawn(key):
            return f"{{ drawn = {key} }}"
        case Sequence():
            each = cast("Sequence[object]", value)
            return "[" + ", ".join(map(_value, each)) + "]"
        case _:
            raise AssertionError(f"no plan holds a {type(value).__name__}")
