"""What the page is made of: the film and the verdict as data, within one HTML file.

Owns: the data that the page draws, and its putting together. May not know: how a run is made;
how things are drawn is the script's (`page.js`). No name, text or value of an app is ever HTML:
all of it is JSON that the script writes as text.
Source: CHAOS 'The report'.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from comity.base.clock import MILLISECOND
from comity_chaos.campaign import repro_line
from comity_chaos.faults.catalogue import CATALOGUE
from comity_chaos.film import Film
from comity_chaos.plan import Fault, Plan
from comity_chaos.plan_file import to_word
from comity_chaos.runner import Outcome
from comity_chaos.story import tell_item, tell_plan

__all__ = ["Told", "page_of"]


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a run beside its film. neighbour: what would have avoided it, if known.

    minimal: nothing in the plan can be left out; None if nobody tried.
    """

    outcome: Outcome
    neighbour: str = ""
    minimal: bool | None = None
    before: int = 0


def page_of(told: Told, film: Film) -> str:
    """Return the page of a run, some hundred bytes for each thing that happened."""
    data = json.dumps(_data(told, film), ensure_ascii=False, separators=(",", ":"))
    outcome = told.outcome
    title = f"FAIL: {outcome.oracle}" if outcome.failed else "PASS"
    return _read("page.html").format(
        title=html.escape(title),
        style=_read("page.css"),
        script=_read("page.js"),
        data=data.replace("<", "\\u003c").replace("\u2028", "\\u2028"),
    )


def _read(name: str) -> str:
    return resources.files("comity_chaos.report").joinpath(name).read_text("utf-8")


def _data(told: Told, film: Film) -> dict[str, Any]:
    outcome, plan = told.outcome, told.outcome.plan
    began = film.sim.began
    return {
        "failed": outcome.failed,
        "oracle": outcome.oracle,
        "text": outcome.text,
        "ms": outcome.ms,
        "seed": plan.seed,
        "trace": outcome.trace,
        "story": tell_plan(plan),
        "neighbour": told.neighbour,
        "minimal": told.minimal,
        "before": told.before,
        "size": plan.size,
        "repro": repro_line(plan) if plan.repeatable else "",
        "test": _test(plan) if plan.repeatable else "",
        "lanes": _lanes(plan, film),
        "faults": _faults(outcome, film),
        "span": plan.span_ms,
        "moments": [[_ms(m.at, began), m.node, m.kind, m.text] for m in film.moments],
        "frames": [
            [f.source, f.target, _ms(f.left, began), _arrival(f.arrives, began), f.size]
            for f in film.frames
        ],
        "states": [[_ms(s.at, began), s.node, s.digest[:8], s.text] for s in film.shown],
        "measures": [[_ms(m.at, began), m.node, m.commits, m.waiting] for m in film.measured],
        "cut": film.cut_short,
        "oracles": _oracles(outcome),
        "numbers": {
            "events": outcome.events,
            "messages": outcome.turns,
            "frames": outcome.frames,
            "simulated s": round(outcome.ms / 1000, 1),
        },
    }


def _ms(at: int, began: int) -> float:
    return round((at - began) / MILLISECOND, 3)


def _arrival(at: int, began: int) -> float | None:
    return None if at < 0 else _ms(at, began)


def _lanes(plan: Plan, film: Film) -> list[list[str]]:
    lanes: list[list[str]] = []
    for node in film.sim.world.nodes:
        kind = "relay" if plan.nodes <= node.index < plan.nodes + plan.relays else "node"
        if not film.sim.scene.trusted(node):
            kind = "liar"
        lanes.append([kind, f"{kind} {node.index}"])
    return lanes


def _faults(outcome: Outcome, film: Film) -> list[dict[str, Any]]:
    """Return each fault with when it came first, and until when it lasted."""
    nemesis, plan = film.sim.nemesis, outcome.plan
    found: list[dict[str, Any]] = []
    for place, fault in enumerate(plan.faults):
        fired = outcome.fired_ms[place] if place < len(outcome.fired_ms) else -1
        found.append(
            {
                "kind": fault.kind,
                "text": tell_item(fault),
                "from": fired,
                "to": _end(fault, fired, plan),
                "nodes": list(fault.nodes),
                "bites": 0 if nemesis is None else nemesis.bites[place],
            }
        )
    return found


def _end(fault: Fault, fired: int, plan: Plan) -> int:
    if fired < 0:
        return -1
    if fault.ms:
        return fired + fault.ms
    return plan.span_ms if CATALOGUE[fault.kind].lasts else fired


def _oracles(outcome: Outcome) -> Sequence[tuple[str, int, str]]:
    judged: Mapping[str, int] = outcome.judged
    return [
        (name, count, "broken" if name == outcome.oracle else "" if count else "vacuous")
        for name, count in judged.items()
    ]


def _test(plan: Plan) -> str:
    """Return a test that replays a plan, to be pasted."""
    return (
        "from comity_chaos.commands import read_plan, replay_command\n\n"
        f"PLAN = (\n{_lines(to_word(plan))})\n\n\n"
        "def test_it_stays_mended() -> None:\n"
        f'    """Seed {plan.seed} broke a promise once."""\n'
        "    said = replay_command(read_plan(PLAN))\n"
        "    assert said.verdict == 0, said.text\n"
    )


def _lines(word: str) -> str:
    parts = [word[start : start + 80] for start in range(0, len(word), 80)]
    return "".join(f"    {part!r}\n" for part in parts)
