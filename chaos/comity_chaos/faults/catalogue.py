"""The catalogue: every kind of fault by name.

Owns: the list. May not know: how any of them works.
Source: CHAOS 'Faults'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from comity.base.errors import UsageError
from comity_chaos.faults.byzantine import BYZANTINE_FAULTS
from comity_chaos.faults.clocks import CLOCK_FAULTS
from comity_chaos.faults.disks import DISK_FAULTS
from comity_chaos.faults.kind import FaultKind, Model
from comity_chaos.faults.network import NETWORK_FAULTS
from comity_chaos.faults.owner import OWNER_ACTS
from comity_chaos.faults.process import PROCESS_FAULTS
from comity_chaos.faults.tamper import TAMPER_FAULTS

__all__ = ["CATALOGUE", "GROUPS", "kinds_named"]

GROUPS: Final[Mapping[str, tuple[FaultKind, ...]]] = {
    "network": NETWORK_FAULTS,
    "tamper": TAMPER_FAULTS,
    "process": PROCESS_FAULTS,
    "clock": CLOCK_FAULTS,
    "disk": tuple(kind for kind in DISK_FAULTS if kind.model is Model.DISK),
    "amnesia": tuple(kind for kind in DISK_FAULTS if kind.model is Model.AMNESIA),
    "byzantine": BYZANTINE_FAULTS,
    "owner": OWNER_ACTS,
}
"""The kinds by group, as a person names them."""

CATALOGUE: Final[Mapping[str, FaultKind]] = {
    kind.name: kind for group in GROUPS.values() for kind in group
}
"""The kinds by name."""


def kinds_named(names: str, *, byzantine: bool) -> tuple[FaultKind, ...]:
    """Return the kinds that a text such as 'network, kill' names; 'all' and 'none' are known.

    byzantine: whether any node may lie; without one those kinds are left out of 'all'.
    Raises: UsageError naming what is not known.
    """
    found: dict[str, FaultKind] = {}
    for name in filter(None, (part.strip() for part in names.split(","))):
        if name == "none":
            continue
        if name == "all":
            chosen = tuple(
                kind
                for group, kinds in GROUPS.items()
                for kind in kinds
                if byzantine or group != "byzantine"
            )
        elif name in GROUPS:
            chosen = GROUPS[name]
        elif name in CATALOGUE:
            chosen = (CATALOGUE[name],)
        else:
            raise UsageError(
                f"there is no fault {name!r}: name groups ({', '.join(GROUPS)}) or kinds "
                f"({', '.join(CATALOGUE)})"
            )
        found.update((kind.name, kind) for kind in chosen)
    return tuple(found.values())
