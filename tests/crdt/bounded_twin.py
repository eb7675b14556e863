"""The naive twin of bounded counters: rights by definition, over whole histories."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Deed:
    """What one turn did. effects: by device, its author among them.

    past: serials of the turns before it. withdrawn: those of them that did not count there.
    is_to_self: whether it transfers to its author, which is no deed at all.
    """

    serial: int
    author: int
    past: frozenset[int]
    withdrawn: frozenset[int]
    effects: Mapping[int, int]
    is_to_self: bool = False


def good(deeds: Iterable[Deed]) -> list[Deed]:
    """Return those whose author had the rights for them where they were made.

    deeds: in an order that agrees with their pasts.
    """
    found: list[Deed] = []
    for deed in deeds:
        seen = [each for each in found if each.serial in deed.past - deed.withdrawn]
        had = sum(each.effects.get(deed.author, 0) for each in seen)
        net = deed.effects.get(deed.author, 0)
        if not deed.is_to_self and (net >= 0 or had + net >= 0):
            found.append(deed)
    return found


def rights(deeds: Iterable[Deed], withdrawn: Container[int]) -> dict[int, int]:
    """Return who has which rights where some turns do not count."""
    found: dict[int, int] = {}
    for deed in good(deeds):
        if deed.serial not in withdrawn:
            for device, amount in deed.effects.items():
                found[device] = found.get(device, 0) + amount
    return {device: amount for device, amount in sorted(found.items()) if amount}


def overdrawn(deeds: Iterable[Deed], withdrawn: Container[int]) -> dict[int, int]:
    """Return who is below zero although all that was ever given to him is counted."""
    deeds = list(deeds)
    have = rights(deeds, withdrawn)
    for deed in good(deeds):
        if deed.serial in withdrawn:
            for device, amount in deed.effects.items():
                if device != deed.author:
                    have[device] = have.get(device, 0) + amount
    return {device: -amount for device, amount in sorted(have.items()) if amount < 0}
