"""Plans as text: TOML to read and edit, or one word for a command line.

Owns: both forms, and what is wrong with a text that is no plan. May not know: files; whoever
calls reads and writes them.
Source: CHAOS 'Architecture', Plan; TOML 1.0.
"""

from __future__ import annotations

import base64
import json
import tomllib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never, cast

from comity.base.errors import UsageError
from comity_chaos.plan import EVENTS, At, Buggify, Drawn, Fault, Plan, Trigger, Turn, When

__all__ = ["WORD_PREFIX", "dump", "load", "to_word"]

WORD_PREFIX: Final = "plan:"
"""How a plan in one word begins."""

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
        said = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"this is no plan: {error}") from None
    for name in ("seed", "nodes"):
        if not isinstance(said.get(name), int):
            raise UsageError(f"a plan needs a whole number {name!r}")
    known = {*_HEAD, "notes", "turn", "fault"}
    wrong = sorted(said.keys() - known)
    if wrong:
        raise UsageError(f"a plan has no {wrong[0]!r}; it may have: {', '.join(sorted(known))}")
    plain: dict[str, Any] = {name: said[name] for name in _HEAD if name in said}
    for name in ("byzantine", "promises"):
        plain[name] = tuple(plain.get(name, ()))
    turns = tuple(_read_turn(each, place) for place, each in enumerate(said.get("turn", ())))
    faults = tuple(_read_fault(each, place) for place, each in enumerate(said.get("fault", ())))
    return Plan(turns=turns, faults=faults, notes=dict(said.get("notes", {})), **plain)


def _unpack(word: str) -> str:
    body = word.removeprefix(WORD_PREFIX)
    try:
        packed = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
        return zlib.decompress(packed).decode()
    except (ValueError, zlib.error) as error:
        raise UsageError(f"this plan is damaged, copy all of it: {error}") from None


def _read_turn(said: Mapping[str, Any], place: int) -> Turn:
    try:
        arguments = tuple(map(_argument, said.get("arguments", ())))
        return Turn(int(said["ms"]), int(said["node"]), str(said["method"]), arguments)
    except KeyError as error:
        raise UsageError(f"turn {place} of the plan lacks {error}") from None


def _read_fault(said: Mapping[str, Any], place: int) -> Fault:
    try:
        trigger = _read_trigger(said["trigger"], place)
        nodes = tuple(map(int, said["nodes"]))
        kind, amount, ms = str(said["kind"]), said.get("amount", 0), said.get("ms", 0)
    except KeyError as error:
        raise UsageError(f"fault {place} of the plan lacks {error}") from None
    return Fault(kind, trigger, nodes, int(amount), int(ms))


def _read_trigger(said: Mapping[str, Any], place: int) -> Trigger:
    if "at_ms" in said:
        return At(int(said["at_ms"]))
    event = said.get("when") or said.get("buggify")
    if event not in EVENTS:
        raise UsageError(
            f"fault {place} of the plan waits for {event!r}; it can wait for: "
            + ", ".join(EVENTS)
        )
    node, after = int(said["node"]), int(said.get("after_ms", 0))
    if "when" in said:
        return When(event, node, int(said.get("nth", 1)), after)
    return Buggify(event, node, int(said["permille"]), after)


def _argument(said: object) -> Any:  # noqa: ANN401  (whatever the message takes)
    if isinstance(said, list):
        return tuple(map(_argument, said))  # pyright: ignore[reportUnknownArgumentType]
    if not isinstance(said, dict):
        return said
    if "hex" in said:
        return bytes.fromhex(str(said["hex"]))  # pyright: ignore[reportUnknownArgumentType]
    return Drawn(int(said["drawn"])) if "drawn" in said else None  # pyright: ignore[reportUnknownArgumentType]


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
    return key if key.isidentifier() and key.isascii() else json.dumps(key)


def _value(value: object) -> str:
    match value:
        case None:
            return "{ none = true }"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return json.dumps(value).replace("\x7f", "\\u007f")
        case bytes():
            return f'{{ hex = "{value.hex()}" }}'
        case Drawn(key):
            return f"{{ drawn = {key} }}"
        case Sequence():
            each = cast("Sequence[object]", value)
            return "[" + ", ".join(map(_value, each)) + "]"
        case _:
            raise AssertionError(f"no plan holds a {type(value).__name__}")
