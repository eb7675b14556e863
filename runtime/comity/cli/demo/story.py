"""The story that the demonstration tells, as data: who, what they write, what is claimed.

Owns: every sentence and every canary. May not know: processes, wires, how claims are checked.
The canaries are the words that must never be seen outside a device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = [
    "ACTS",
    "ANA",
    "APART",
    "APP_NAME",
    "BEN",
    "CANARIES",
    "CLEO",
    "DEVICES",
    "MALLORY",
    "ONLINE",
    "RELAY",
    "RELAYED",
    "TITLE",
    "TITLE_APART",
    "Act",
    "Edit",
]

RELAY: Final = "relay"
ANA: Final = "ana"
BEN: Final = "ben"
CLEO: Final = "cleo"
MALLORY: Final = "mallory"
DEVICES: Final = (ANA, BEN, CLEO)


@dataclass(frozen=True, slots=True)
class Edit:
    """Somebody puts something on the list."""

    who: str
    what: str


@dataclass(frozen=True, slots=True)
class Act:
    """One act: its title and what happens in it."""

    title: str
    telling: str


TITLE: Final = "Birthday for grandmother Rosalind"
TITLE_APART: Final = "Rosalind turns ninety"

ONLINE: Final = (
    Edit(ANA, "elderflower cordial"),
    Edit(BEN, "paper lanterns"),
    Edit(CLEO, "marzipan hedgehog"),
)
"""Written while everybody is connected."""

APART: Final = (
    Edit(ANA, "folding chairs"),
    Edit(CLEO, "gramophone needles"),
    Edit(BEN, "mushroom pasties"),
    Edit(BEN, "a very secret telescope"),
)
"""Written on the two sides of a cut."""

RELAYED: Final = Edit(ANA, "the envelope from the notary")
"""Written while the one who reads it next is offline, and left with the relay."""

CANARIES: Final = (
    TITLE,
    TITLE_APART,
    *(edit.what for edit in ONLINE),
    *(edit.what for edit in APART),
    RELAYED.what,
)
"""What was written."""

APP_NAME: Final = "SharedList"
"""Nobody outside is told even what kind of thing it is. A device's own disk may say it."""

ACTS: Final[dict[str, Act]] = {
    "set up": Act(
        "A relay and a first device",
        "Each is a process of its own, with an encrypted store. All that they send one another "
        "goes through wires that this demo holds: it records every byte, and can cut them.",
    ),
    "share": Act(
        "A list, and two guests",
        "Ana creates a list and hands Ben and Cleo an invite each. There is no account, and no "
        "server that says who is who: the devices admit one another.",
    ),
    "edit": Act(
        "Everybody writes",
        "All three put something on the list, at the same time.",
    ),
    "cut": Act(
        "Ben is cut off",
        "His wires are cut, to the others and to the relay. Everybody goes on writing.",
    ),
    "crash": Act(
        "Cleo's device dies in mid-write",
        "Four writers keep it busy; then kill -9. It is started again with its network "
        "unplugged, so that what it still has can only come from its own disk.",
    ),
    "relay": Act(
        "Never online together",
        "Cleo goes offline. Ana writes, and goes offline too; Ben is still cut off. Then Cleo "
        "comes back, and only the relay can tell her.",
    ),
    "heal": Act(
        "The wires are mended",
        "Ana comes back, Ben's cut is healed. Nobody decides who is right: logs are merged.",
    ),
    "search": Act(
        "What the others saw",
        "All bytes on the wires and all files of the relay are searched for what was written: "
        "as text, UTF-16, hex and base64. That the search can find is checked too.",
    ),
    "attack": Act(
        "Mallory, a reader with a modified program",
        "She may read the list, so she holds its key. She hands Ana a commit with one bit "
        "flipped, one of her own in Ana's name, and one in her own.",
    ),
}
