"""Stories: a plan and what came of it, in plain sentences.

Owns: the words. May not know: how a run is made. One sentence a thing done, in the order of
time; then what was seen, and what would have been enough to avoid it.
Source: CHAOS: 'tell it as a two-line story'.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, assert_never

from comity_chaos.faults.catalogue import CATALOGUE
from comity_chaos.plan import At, Buggify, Drawn, Fault, Plan, Trigger, Turn, When
from comity_chaos.runner import Outcome
from comity_chaos.shrink import Shrunk

__all__ = ["tell", "tell_item", "tell_plan"]

_EVENTS: Final = {
    "start": "has started",
    "turn": "has run a message",
    "fold": "has taken in what others did",
    "write": "has begun to write to its disk",
    "fsync": "has something new safely on its disk",
    "ack": "has acknowledged a message",
    "send": "has sent something",
    "receive": "has got something",
    "dial": "has called somebody",
    "link": "has reached somebody",
}
_ORDINALS: Final = {1: "", 2: " for the second time", 3: " for the third time"}
_ENDINGS: Final = {1: "st", 2: "nd", 3: "rd"}


def tell(shrunk: Shrunk) -> str:
    """Return the whole story of a shrunk failure."""
    lines = [*tell_plan(shrunk.plan), *_ending(shrunk.outcome)]
    if shrunk.without is not None:
        lines.append(f"Without this it does not happen: {tell_item(shrunk.without)}.")
    elif not shrunk.minimal:
        lines.append("(The search ended before it was sure that nothing more can be left out.)")
    return "\n".join(lines)


def tell_plan(plan: Plan) -> list[str]:
    """Return a sentence for each thing that a plan does, in the order of time."""
    count = f"{plan.nodes} node" + "s" * (plan.nodes != 1)
    several = plan.nodes + plan.relays != 1
    if plan.relays:
        count += f" and {plan.relays} relay" + "s" * (plan.relays != 1)
    actor = plan.actor.rpartition(":")[2] or plan.notes.get("actor", "an actor")
    lines = [f"{count} share{'s' * (not several)} {actor}."]
    items: list[Turn | Fault] = [*plan.turns, *plan.faults]
    items.sort(key=_when)
    lines += [f"{place}. {tell_item(item)}." for place, item in enumerate(items, start=1)]
    return lines


def tell_item(item: Turn | Fault) -> str:
    """Return one thing as a sentence without its full stop."""
    if isinstance(item, Turn):
        return f"{_seconds(item.ms)}: node {item.node} runs {_call(item)}"
    kind = CATALOGUE[item.kind]
    who = [f"node {node}" for node in item.nodes]
    what = kind.tells.format(
        a=who[0], b=who[1] if len(who) > 1 else who[0], all=_list(who), amount=item.amount
    )
    lasts = ""
    if item.ms:
        lasts = f", for {_span(item.ms)}"
    elif kind.lasts:
        lasts = ", until everything is healed"
    return f"{_trigger(item.trigger)}: {what}{lasts}"


def _ending(outcome: Outcome) -> Sequence[str]:
    text = re.sub(r"\s+", " ", outcome.text).strip()
    healed = "" if outcome.ms <= outcome.plan.span_ms else ", after everything was healed"
    return (f"Then{healed}: {outcome.oracle} is broken: {text}.",)


def _when(item: Turn | Fault) -> int:
    if isinstance(item, Turn):
        return item.ms
    return item.trigger.ms if isinstance(item.trigger, At) else item.trigger.after_ms


def _call(turn: Turn) -> str:
    arguments = ", ".join(
        f"a value drawn by key {each.key}" if isinstance(each, Drawn) else repr(each)
        for each in turn.arguments
    )
    return f"{turn.method}({arguments})"


def _trigger(trigger: Trigger) -> str:
    match trigger:
        case At(ms):
            return _seconds(ms)
        case When(event, node, nth, after):
            since = f", counted from {_clock(after)} on" if after else ""
            return f"as soon as node {node} {_EVENTS[event]}{_times(nth)}{since}"
        case Buggify(event, node, permille, after):
            since = f", from {_clock(after)} on" if after else ""
            chance = f"{permille / 10:g} % of the times that"
            return f"{chance} node {node} {_EVENTS[event]}{since}"
        case _:
            assert_never(trigger)


def _times(nth: int) -> str:
    ending = "th" if nth % 100 in {11, 12, 13} else _ENDINGS.get(nth % 10, "th")
    return _ORDINALS.get(nth, f" for the {nth}{ending} time")


def _seconds(ms: int) -> str:
    return f"at {_clock(ms)}"


def _clock(ms: int) -> str:
    return f"{ms / 1000:.3f} s"


def _span(ms: int) -> str:
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:g} s"


def _list(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
