"""Comity: applications among equals, with no server that anybody must trust.

Derive a class from `Actor`; annotate its fields, as `items: Map[str, bool]` or `done: Counter`;
its public methods are the messages. `Node(path)` is this device: `node.create(Todo)` founds an
actor, `node.open(Todo, link)` joins one; both return a `Ref`, to `ask` and to `tell`.
What fails is a `UsageError`, which names the fix, or a `WorldError`, the environment's.
`help(comity.Node)`, `help(comity.Map)` and so on go on from here; docs/ has a tutorial.

For maintainers. Owns: the list of public names. May not know: how any of them works. A name's
module is imported when the name is first used, so that `import comity` costs nothing, and
importing one layer never drags in another.

To add a name: import it in the block that only checkers read, name it in `__all__`, and
give its module in `_HOMES`. `tests/rules/test_exports.py` holds the three together.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from comity.actor.actor import Actor
    from comity.actor.awaiting import Interrupted, Unknown
    from comity.actor.changes import FieldChange, Range, on_change
    from comity.actor.errand import RemoteError
    from comity.actor.facet import Facet, Interface, Revoked
    from comity.actor.message import message
    from comity.actor.reminding import Reminders, Tick
    from comity.actor.supervision import Down, Escalate, Poisonous, Restart, Stop
    from comity.api.changes import Changes
    from comity.api.history import Branch, Difference, Turn
    from comity.api.node import Node
    from comity.api.ref import Ref
    from comity.api.remote import Receipt, RemoteRef
    from comity.base.errors import (
        ComityError,
        DeadlineError,
        LinkError,
        Reason,
        Rejected,
        RightsError,
        StoreError,
        UsageError,
        WorldError,
    )
    from comity.crdt.bounded import BoundedCounter
    from comity.crdt.descriptor import field
    from comity.crdt.flag import Flag
    from comity.crdt.list_view import List
    from comity.crdt.record import Record
    from comity.crdt.rules import AppendOnly, Between, MaxLength, OneOf, Owner, OwnKey, Role
    from comity.crdt.text.marks import Mark
    from comity.crdt.tree_view import Tree, TreeNode
    from comity.crdt.upgrade import Upgrade
    from comity.crdt.views import Counter, Map, Register, Set, Text
    from comity.web.page import Page
    from comity.web.site import Site

__all__ = [
    "Actor",
    "AppendOnly",
    "Between",
    "BoundedCounter",
    "Branch",
    "Changes",
    "ComityError",
    "Counter",
    "DeadlineError",
    "Difference",
    "Down",
    "Escalate",
    "Facet",
    "FieldChange",
    "Flag",
    "Interface",
    "Interrupted",
    "LinkError",
    "List",
    "Map",
    "Mark",
    "MaxLength",
    "Node",
    "OneOf",
    "OwnKey",
    "Owner",
    "Page",
    "Poisonous",
    "Range",
    "Reason",
    "Receipt",
    "Record",
    "Ref",
    "Register",
    "Rejected",
    "Reminders",
    "RemoteError",
    "RemoteRef",
    "Restart",
    "Revoked",
    "RightsError",
    "Role",
    "Set",
    "Site",
    "Stop",
    "StoreError",
    "Text",
    "Tick",
    "Tree",
    "TreeNode",
    "Turn",
    "Unknown",
    "Upgrade",
    "UsageError",
    "WorldError",
    "field",
    "message",
    "on_change",
]

_HOMES: Final = {
    "Role": "comity.crdt.rules",
    "OwnKey": "comity.crdt.rules",
    "Owner": "comity.crdt.rules",
    "OneOf": "comity.crdt.rules",
    "MaxLength": "comity.crdt.rules",
    "Between": "comity.crdt.rules",
    "AppendOnly": "comity.crdt.rules",
    "Actor": "comity.actor.actor",
    "BoundedCounter": "comity.crdt.bounded",
    "Branch": "comity.api.history",
    "Changes": "comity.api.changes",
    "ComityError": "comity.base.errors",
    "Counter": "comity.crdt.views",
    "DeadlineError": "comity.base.errors",
    "Difference": "comity.api.history",
    "Down": "comity.actor.supervision",
    "Escalate": "comity.actor.supervision",
    "Facet": "comity.actor.facet",
    "FieldChange": "comity.actor.changes",
    "Flag": "comity.crdt.flag",
    "Interface": "comity.actor.facet",
    "Interrupted": "comity.actor.awaiting",
    "LinkError": "comity.base.errors",
    "List": "comity.crdt.list_view",
    "Map": "comity.crdt.views",
    "Mark": "comity.crdt.text.marks",
    "Node": "comity.api.node",
    "Page": "comity.web.page",
    "Poisonous": "comity.actor.supervision",
    "Range": "comity.actor.changes",
    "Reason": "comity.base.errors",
    "Record": "comity.crdt.record",
    "Reminders": "comity.actor.reminding",
    "Ref": "comity.api.ref",
    "Register": "comity.crdt.views",
    "Rejected": "comity.base.errors",
    "Restart": "comity.actor.supervision",
    "Revoked": "comity.actor.facet",
    "Receipt": "comity.api.remote",
    "RemoteError": "comity.actor.errand",
    "RemoteRef": "comity.api.remote",
    "RightsError": "comity.base.errors",
    "Set": "comity.crdt.views",
    "Site": "comity.web.site",
    "Stop": "comity.actor.supervision",
    "StoreError": "comity.base.errors",
    "Text": "comity.crdt.views",
    "Tick": "comity.actor.reminding",
    "Tree": "comity.crdt.tree_view",
    "TreeNode": "comity.crdt.tree_view",
    "Turn": "comity.api.history",
    "Unknown": "comity.actor.awaiting",
    "Upgrade": "comity.crdt.upgrade",
    "UsageError": "comity.base.errors",
    "WorldError": "comity.base.errors",
    "field": "comity.crdt.descriptor",
    "message": "comity.actor.message",
    "on_change": "comity.actor.changes",
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
