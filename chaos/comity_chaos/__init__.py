"""Find what breaks an app: the runtime's own core in a hostile and repeatable world.

Owns: the simulator, its faults, its oracles and its reports. May not know: real clocks,
entropy, threads, sockets or files, except where a plan is replayed on real processes.

    Sim      a few nodes that share an actor, to cut, crash and heal by hand
    @chaos   the same for a pytest test, under many seeds of faults, shrunk and told
    check    an actor under generated work and faults, with promises of its author

A name's module is imported when the name is first used.
Source: design 'The fault lab'.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from comity_chaos.campaign import Campaign, Verdict
    from comity_chaos.commands import check
    from comity_chaos.oracles.oracle import Violation
    from comity_chaos.refs import Settled, SimRef
    from comity_chaos.sim import Sim
    from comity_chaos.testing import chaos

__all__ = [
    "Campaign",
    "Settled",
    "Sim",
    "SimRef",
    "Verdict",
    "Violation",
    "chaos",
    "check",
]

_HOMES: Final = {
    "Campaign": "comity_chaos.campaign",
    "Settled": "comity_chaos.refs",
    "Sim": "comity_chaos.sim",
    "SimRef": "comity_chaos.refs",
    "Verdict": "comity_chaos.campaign",
    "Violation": "comity_chaos.oracles.oracle",
    "chaos": "comity_chaos.testing",
    "check": "comity_chaos.commands",
}


def __getattr__(name: str) -> object:
    """Import the module of a public name on first use, and keep what it named."""
    home = _HOMES.get(name)
    if home is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Name what users may import."""
    return sorted(__all__)
