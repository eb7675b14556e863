"""Answers as lines: what a person reads at 80 columns, and what a program reads as JSON.

Owns: layout. May not know: where answers come from.
"""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any, cast

import click

__all__ = [
    "as_lines",
    "history_lines",
    "members_lines",
    "print_json",
    "quoted",
    "relay_lines",
    "snapshot_lines",
    "status_lines",
    "unsent_lines",
]

_SHORT: int = 8


def print_json(value: object) -> None:
    """Print a value for programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def quoted(path: object) -> str:
    """Write a path as it can be pasted into a shell, with '~' for home."""
    home = Path.home()
    found = Path(str(path))
    if found.is_relative_to(home) and found != home:
        return "~/" + shlex.quote(str(found.relative_to(home)))
    inside = found.is_absolute() and found.is_relative_to(Path.cwd())
    return shlex.quote(os.path.relpath(found) if inside else str(found))


def as_lines(value: Any) -> list[str]:  # noqa: ANN401  (what JSON can say)
    """Write a reply: a list as lines, an object as `name: value`, nothing for null."""
    match value:
        case None:
            return []
        case list():
            return [_inline(each) for each in cast("list[object]", value)]
        case dict():
            pairs = cast("dict[str, object]", value)
            return [f"{name}: {_inline(each)}" for name, each in pairs.items()]
        case _:
            return [_inline(value)]


def snapshot_lines(snapshot: dict[str, Any]) -> list[str]:
    """Write the fields of an actor, one a line, and what is in them below."""
    lines: list[str] = []
    for name, value in snapshot["state"].items():
        below = as_lines(value) if isinstance(value, list | dict) else []
        lines.append(f"{name}:" if below else f"{name}: {_inline(cast('object', value))}")
        lines += [f"  {line}" for line in below]
    return lines


def history_lines(turns: list[dict[str, Any]]) -> list[str]:
    """Write turns, one a line: the first word is what `comity undo` takes."""
    return [
        f"{_short_turn(each['turn'])}  {each['time'][:19]}  {each['author'][:8]}  "
        + ", ".join(each["fields"])
        + ("" if each["visible"] else "  (hidden)")
        for each in turns
    ]


def unsent_lines(turns: list[dict[str, Any]], *, forgotten: int) -> list[str]:
    """Write what turns did that never left, for somebody who does it again by hand."""
    if not turns:
        return ["nothing: all that was done here is in the log"]
    lines: list[str] = []
    for each in turns:
        lines.append(f"{each['time'][:19]}  as device {each['device'][:_SHORT]}")
        for name, change in each["changes"].items():
            lines += [f"  {line}" for line in _change_lines(name, change)]
    said = "let go of" if forgotten else "in no log: do again by hand what is still wanted"
    return [*lines, f"{_many(len(turns), 'turn')} {said}"]


def _change_lines(name: str, change: dict[str, Any]) -> list[str]:
    """Write what changed in a field: by key where there are keys, else as a whole."""
    before, after = change["before"], change["after"]
    if isinstance(before, dict) and isinstance(after, dict):
        old, new = cast("dict[str, object]", before), cast("dict[str, object]", after)
        keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        return [
            f"{name}[{key}]: {_or_nothing(old, key)} -> {_or_nothing(new, key)}" for key in keys
        ]
    was, now = _inline(cast("object", before)), _inline(cast("object", after))
    return [f"{name}: {was} -> {now}"]


def _or_nothing(found: dict[str, object], key: str) -> str:
    return _inline(found[key]) if key in found else "(nothing)"


def _short_turn(turn: str) -> str:
    """Shorten the id of a turn: `comity undo` and the like find it by its beginning."""
    commit, _, index = turn.partition(".")
    return f"{commit[:12]}.{index}"


def status_lines(status: dict[str, Any], store: Path) -> list[str]:
    """Write a node at a glance."""
    kind = "relay" if status["relay"] else "device"
    address = status["address"] or "takes no connections"
    if status["listening"] not in {status["address"], ""}:
        address += f" (listening at {status['listening']})"
    lines = [
        _row(kind, status["device"]),
        _row("store", quoted(store)),
        _row("address", address),
    ]
    lines += [
        _row(each["type"].lower()[:9], f"{each['actor'][:_SHORT]}  {_counts(each)}")
        for each in status["topics"]
    ]
    lines += [
        _row("keeps", f"{each['actor'][:_SHORT]}  {_sealed(each)}")
        for each in status["shelves"]
    ]
    if status["mail"]["mailboxes"]:
        lines.append(_row("keeps", _mail(status["mail"])))
    lines += [_row("waits", _letters(each)) for each in status["letters"]]
    for link in status["links"]:
        who = link["device"][:_SHORT] if link["device"] else "(saying hello)"
        lines.append(_row("link", f"{who}  {link['address']}"))
    lines += [_row("relay", line) for line in relay_lines(status["relays"])]
    for former in status["formers"]:
        lines.append(_row("was", f"{former['device'][:_SHORT]}  {former['why']}"))
        lines += [
            _row(
                "unsent",
                f"{topic[:_SHORT]}  {_many(count, 'turn')} of {former['device'][:_SHORT]}",
            )
            for topic, count in former["unsent"].items()
        ]
    lines += [
        _row("refused", f"{count} x {reason.replace('_', ' ')}")
        for reason, count in status["refusals"].items()
    ]
    return lines


def _mail(mail: dict[str, int]) -> str:
    boxes = "1 mailbox" if mail["mailboxes"] == 1 else f"{mail['mailboxes']} mailboxes"
    return f"{boxes} with {_many(mail['mails'], 'mail')}, {mail['bytes']} bytes"


def _letters(letters: dict[str, Any]) -> str:
    at = f", also at {_many(letters['relays'], 'relay')}" if letters["relays"] else ""
    return f"{letters['device'][:_SHORT]}  {_many(letters['count'], 'message')}{at}"


def relay_lines(relays: list[dict[str, Any]]) -> list[str]:
    """Write the relays of a node, one a line."""
    lines: list[str] = []
    for each in relays:
        state = f"linked, {each['device'][:_SHORT]}" if each["device"] else "not linked"
        lacks = f", lacks {_many(each['lacking'], 'commit')}" if each["lacking"] else ""
        alarm = f"  WITHHOLDS: {each['alarm']}" if each["alarm"] else ""
        lines.append(f"{each['address']}  {state}{lacks}{alarm}")
    return lines


def members_lines(members: list[dict[str, Any]]) -> list[str]:
    """Write who takes part: the beginning of each id is enough for `comity remove`."""
    return [
        f"{member['device'][:16]}  {member['role']:<6}  "
        + ("this device" if member["this"] else "online" if member["online"] else "offline")
        for member in members
    ]


def _row(name: str, value: str) -> str:
    return f"{name:<10}{value}"


def _counts(topic: dict[str, Any]) -> str:
    parts = [_many(topic["commits"], "commit")]
    if len(topic["heads"]) != 1:
        parts.append(_many(len(topic["heads"]), "head"))
    if topic["hidden"]:
        parts.append(f"{topic['hidden']} hidden")
    if topic["orphans"]:
        parts.append(f"{topic['orphans']} waiting for others")
    if topic["coming"]["commits"]:
        parts.append(f"{_many(topic['coming']['commits'], 'commit')} still coming")
    if not topic["open"]:
        parts.append("not open")
    return ", ".join(parts)


def _sealed(shelf: dict[str, Any]) -> str:
    return f"{_many(shelf['commits'], 'sealed commit')}, {shelf['bytes']} bytes"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _inline(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
