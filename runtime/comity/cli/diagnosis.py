"""What `comity doctor` finds, each with what to do about it.

Owns: the judgement of facts. May not know: how they were gathered, how they are printed.

    good     as it should be
    notice   works, and may surprise
    bad      does not work until it is mended
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = ["Finding", "clock", "node", "room", "versions", "witness"]

Level = Literal["good", "notice", "bad"]

_CLOCK_SECONDS: Final = 300
"""Clocks only label things, but invites expire by them; people see five minutes."""

_ROOM_BYTES: Final = 200 << 20
"""A store that is full takes no writes; below this a large sync may fill it."""

_FLEETING: Final = ("overlay", "ramfs", "tmpfs")
"""What is gone with the machine's next start, or with its container."""

_EPOCH: Final = 1_735_689_600
"""2025 began: this program is younger, so a clock before it is wrong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. fix: what to do; '' if nothing is to be done."""

    level: Level
    about: str
    text: str
    fix: str = ""


def versions(found: Mapping[str, str | None], python: tuple[int, int]) -> Iterator[Finding]:
    """Judge what is installed. found: package -> version; None if it is not there."""
    shown = f"{python[0]}.{python[1]}"
    if python < (3, 11):
        yield Finding("bad", "python", shown, "install Python 3.11 or later")
    else:
        yield Finding("good", "python", shown)
    needed = [name for name, version in found.items() if version is None]
    have = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    yield Finding("good", "packages", have)
    if needed:
        yield Finding(
            "notice",
            "packages",
            f"no pages and no inspector without {', '.join(needed)}",
            "pip install 'comity[web]'",
        )


def room(free_bytes: int) -> Finding:
    """Judge the space on the disk of the store."""
    shown = f"{free_bytes / (1 << 30):.1f} GiB free"
    if free_bytes < _ROOM_BYTES:
        return Finding("bad", "disk", shown, "make room: a full store takes no more writes")
    return Finding("good", "disk", shown)


def witness(directory: str, kind: str, *, found: bool) -> Finding:
    """Judge where it is noted which store ran here last: that tells it from its backups.

    kind: the file system of that directory, '' if it is that of the store (they are lost
    together) or unknown. found: whether anything was ever noted there.
    """
    fix = (
        "set XDG_STATE_HOME to a directory that stays, and that backups of the store leave out"
    )
    if not found:
        text = f"{directory} is missing: this store is taken for a copy, a new device"
        return Finding("notice", "restores", text, f"if it ran here before, {fix}")
    if kind in _FLEETING:
        text = f"{directory} ({kind}) may not last: then this store is taken for a copy"
        return Finding("notice", "restores", text, fix)
    return Finding("good", "restores", f"a backup is told from the store by {directory}")


def clock(now: float, newest: Mapping[str, float]) -> Iterator[Finding]:
    """Judge the clock by what others' clocks said. newest: device -> its latest time, in s."""
    if now < _EPOCH:
        yield Finding("bad", "clock", "it says a year before 2025", "set it: timedatectl")
        return
    late = now + _CLOCK_SECONDS
    ahead = {device: said - now for device, said in newest.items() if said > late}
    for device, seconds in ahead.items():
        yield Finding(
            "notice",
            "clock",
            f"device {device[:8]} wrote {seconds / 60:.0f} minutes from now",
            "set this clock or that one: times shown and the ends of invites are wrong",
        )
    if not ahead:
        yield Finding("good", "clock", "nobody wrote in its future")


def node(
    status: Mapping[str, Any],
    members: Mapping[str, list[dict[str, Any]]],
    *,
    running: bool,
    store: str,
) -> Iterator[Finding]:
    """Judge a node by its status and the members of each of its actors."""
    if not running:
        fix = f"comity run TARGET --store {store}"
        yield Finding("notice", "node", "none runs on this store now", fix)
    else:
        yield Finding("good", "node", f"runs as device {status['device'][:8]}")
        yield _address(str(status["listening"]), str(status["address"]))
        yield from _peers(status, members)
    for topic in status["topics"]:
        if topic["orphans"]:
            yield Finding(
                "notice",
                "sync",
                f"{topic['orphans']} commits of {topic['type']} wait for others before them",
                "they come with the next link to somebody who has them",
            )
    for reason, count in status["refusals"].items():
        fix = "comity inspect shows more; comity why ID"
        yield Finding("notice", "refusals", f"{count} x {reason}", fix)


def _relays(used: list[dict[str, Any]]) -> Iterator[Finding]:
    """Judge the relays that a node uses."""
    down = [each["address"] for each in used if not each["device"]]
    if len(down) == len(used) > 1:
        yield Finding(
            "bad",
            "relays",
            f"none of {len(used)} answers: {', '.join(down)}",
            "devices that are off get nothing now: check this network, or add another relay",
        )
    else:
        for address in down:
            yield Finding(
                "notice",
                "relays",
                f"{address} does not answer",
                "what others left there waits; if it is gone for good: "
                f"comity relays forget {address}",
            )
    for each in used:
        if each["alarm"]:
            yield Finding(
                "bad", "relays", f"{each['address']} {each['alarm']}", "use another relay"
            )
    if len(used) > len(down):
        yield Finding("good", "relays", f"{len(used) - len(down)} of {len(used)} linked")
    if len(used) == 1:
        yield Finding(
            "notice",
            "relays",
            "only one is used",
            "with a second one neither can keep anything back: comity relays add HOST:PORT",
        )


def _address(listening: str, known_as: str) -> Finding:
    host = known_as.rpartition(":")[0].strip("[]")
    if not listening:
        return Finding(
            "notice", "ports", "takes no connections", "it calls others; to be called: --listen"
        )
    if host in {"0.0.0.0", "::"}:  # noqa: S104  (it is compared, not bound)
        return Finding(
            "bad", "ports", f"others are told to dial {known_as}", "add --advertise HOST:PORT"
        )
    if host in {"127.0.0.1", "::1", "localhost"}:
        return Finding(
            "notice",
            "ports",
            f"{known_as} is for this machine only",
            "for others: --listen 0.0.0.0:7401 --advertise THIS-HOST:7401, or a relay",
        )
    return Finding("good", "ports", f"others are told to dial {known_as}")


def _peers(
    status: Mapping[str, Any], members: Mapping[str, list[dict[str, Any]]]
) -> Iterator[Finding]:
    linked = {each["device"] for each in status["links"] if each["device"]}
    devices = {m["device"] for found in members.values() for m in found if not m["this"]}
    relays = linked - devices
    dialled = [each["address"] for each in status["links"] if not each["device"]]
    if devices and not linked:
        yield Finding(
            "notice",
            "peers",
            f"none of {len(devices)} other devices can be reached",
            "start one of them, or use a relay: what is written here is kept and sent later",
        )
    elif devices:
        yield Finding("good", "peers", f"{len(devices & linked)} of {len(devices)} linked")
    else:
        yield Finding("good", "peers", "nobody else takes part yet")
    used = status.get("relays", [])
    if used:
        yield from _relays(used)
    elif relays:
        yield Finding("good", "relays", f"{len(relays)} linked")
    for address in dialled:
        yield Finding(
            "notice", "peers", f"{address} does not answer yet", "is it up, and its port open?"
        )
