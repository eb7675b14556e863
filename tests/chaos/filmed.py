"""A run to be filmed: two faults, a relay, and a text that would like to be HTML.

Owns: the plan. May not know: how it is shown.
"""

from __future__ import annotations

from typing import Final

from comity_chaos.plan import At, Fault, Plan, Turn

__all__ = ["EVIL", "PLAN"]

EVIL: Final = "</script><script>document.title = 'owned'</script>"
PLAN: Final = Plan(
    seed=5,
    nodes=3,
    actor="examples/todo/todo.py:Todo",
    relays=1,
    span_ms=3000,
    turns=(
        Turn(100, 0, "add", ("milk",)),
        Turn(200, 1, "add", (EVIL,)),
        Turn(1500, 2, "add", ("eggs",)),
    ),
    faults=(
        Fault("power", At(700), (1,), ms=900),
        Fault("isolate", At(1200), (2,), ms=600),
    ),
)
