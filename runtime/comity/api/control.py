"""What commands may ask of a running node: requests as plain data, answered one by one.

Owns: the vocabulary of the control socket and the answers. May not know: sockets
(`drivers.control`), terminals (`cli`), how a node does what is asked.

    {"do": "message", "method": m, "words": [...]}   -> {"value": ...}   also "type", "actor"
    {"do": "snapshot"}                               -> {"state", "digest", "heads", ...}
    {"do": "status"} | {"do": "topics"} | {"do": "members"}
    {"do": "invite", "role": r}, also "form"         -> {"link", "address"}
    {"do": "join", "link": l}, also "at"             -> {"actor"}
    what `api.inspection` says
    {"do": "undo"} | {"do": "redo"}, also "turn"     -> {"turn": "hex.index"}
    {"do": "adopt", "commit": hex} | {"do": "history", "newest": n}
    {"do": "unsent"}, also "forget"                  -> {"turns": device, time, changes}
    {"do": "at", "turn": t}                          -> {"state"} just after that turn
    {"do": "restore", "turn": t}                     -> {"fields"} that were written back
    {"do": "relays"}, also "add", "forget"           -> {"relays"} that are used now
    {"do": "remove", "device": hex} | {"do": "why", "commit": hex} | {"do": "shutdown"}

"actor" is the beginning of an actor's id in hexadecimal; it may be left out while only one
actor fits. Ids are hexadecimal in both directions. Whoever may connect owns the node, so
nothing here is checked for rights.
Source: ARCHITECTURE 'Who owns what'; issue 2, item 6.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from comity.api.finding import id_prefix
from comity.api.inspection import Inspection
from comity.api.text import message_from_words, plain
from comity.base.errors import ComityError, UsageError, WorldError
from comity.base.ids import ID_BYTES, Topic, short
from comity.crypto.hashing import PERSON_DIGEST, blake2b
from comity.node.commands import TurnId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from comity.actor.actor import Actor
    from comity.api.joining import Form
    from comity.api.node import Node
    from comity.api.ref import Ref
    from comity.node.commands import NodeStatus, TopicStatus

__all__ = ["Control"]

_REPLY_SECONDS: Final = 30.0
"""A message that a command sends is answered by then, or its effect is called unknown."""


_TURNS_SOUGHT: Final = 10_000
"""Commits among which the beginning of an id is sought, the newest: some seconds at worst."""

_HOURS_MAX: Final = 8784
"""So long may an invite stay open: a leap year."""


class Control:
    """Answers the requests of one node; called from several threads at once."""

    __slots__ = ("_handlers", "_node", "on_shutdown")

    def __init__(self, node: Node) -> None:
        """Take the node that is asked. Until `on_shutdown` is set, nobody can stop it."""
        self._node = node
        inspection = Inspection(node, self._open_actor, self._held)
        self.on_shutdown: Callable[[], None] | None = None
        self._handlers: Mapping[str, Callable[[Request], dict[str, Any]]] = {
            "message": self._message,
            "snapshot": self._snapshot,
            "status": lambda _: _status(self._node.status(), self._node.address),
            "topics": lambda _: {"topics": [_topic(t) for t in self._node.status().topics]},
            "invite": self._invite,
            "join": self._join,
            "members": self._members,
            "remove": self._remove,
            "why": lambda request: {"why": self._node.why(_commit_of(request))},
            "describe": inspection.describe,
            "log": inspection.log,
            "edit": inspection.edit,
            "dead_letters": inspection.dead_letters,
            "undo": self._undo,
            "redo": self._undo,
            "adopt": self._adopt,
            "history": self._history,
            "unsent": self._unsent,
            "at": self._at,
            "restore": self._restore,
            "relays": self._relays,
            "shutdown": self._shutdown,
        }

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request.

        Raises: UsageError for a request that is none; what the node raises; WorldError that
        tells what a message raised.
        """
        asked = Request(request)
        handler = self._handlers.get(asked.text("do"))
        if handler is None:
            raise UsageError(
                f"a node does not know the request {request['do']!r}; it knows: "
                + ", ".join(self._handlers)
            )
        return handler(asked)

    def _message(self, request: Request) -> dict[str, Any]:
        ref = self._open_actor(request)
        method, words = request.text("method"), request.words("words")
        message = message_from_words(ref.actor_type, method, words)
        try:
            value = self._node.deliver(ref.topic, message).get(timeout=_REPLY_SECONDS)
        except ComityError:
            raise
        except Exception as error:
            name = f"{ref.actor_type.name}.{method}"
            raise WorldError(
                f"{name} raised {type(error).__name__}: {error}; nothing that it wrote remains",
                retry=False,
            ) from error
        return {"value": plain(value)}

    def _snapshot(self, request: Request) -> dict[str, Any]:
        ref = self._open_actor(request)
        state = ref.state_bytes()
        (status,) = [each for each in self._node.status().topics if each.topic == ref.topic]
        return {
            **_topic(status),
            "state": {name: plain(value) for name, value in ref.snapshot().items()},
            "bytes": len(state),
            "digest": blake2b(state, person=PERSON_DIGEST).hex(),
        }

    def _invite(self, request: Request) -> dict[str, Any]:
        role = request.text("role")
        hours = request.number("hours")
        if hours > _HOURS_MAX:
            raise UsageError(f"'hours' is {hours:g}: give {_HOURS_MAX} (a year) or less")
        form = cast("Form", request.maybe("form") or "link")
        topic, lifetime = self._held(request), timedelta(hours=hours)
        link = self._node.invite(topic, role, lifetime, form)
        return {"link": link, "address": self._node.status().address}

    def _join(self, request: Request) -> dict[str, Any]:
        return {"actor": self._node.join(request.text("link"), at=request.maybe("at")).hex()}

    def _members(self, request: Request) -> dict[str, Any]:
        topic = self._held(request)
        device = self._node.status().device
        found = [
            {
                "device": member.device.hex(),
                "role": member.role.name.lower(),
                "online": member.online,
                "this": member.device == device,
            }
            for member in self._node.members(topic)
        ]
        return {"actor": topic.hex(), "members": found}

    def _remove(self, request: Request) -> dict[str, Any]:
        topic = self._held(request)
        wanted = request.text("device").lower()
        members = self._node.members(topic)
        found = [each.device for each in members if each.device.hex().startswith(wanted)]
        if len(found) != 1 or len(wanted) < 4:
            known = ", ".join(short(member.device) for member in members)
            raise UsageError(
                f"{wanted!r} names {len(found)} members of actor {short(topic)}: give the "
                f"beginning of one device's id, 4 digits or more; members are {known}"
            )
        self._node.remove(topic, found[0])
        return {"actor": topic.hex(), "device": found[0].hex()}

    def _undo(self, request: Request) -> dict[str, Any]:
        topic, named = self._held(request), request.maybe("turn")
        turn = None if named is None else self._turn(topic, named)
        act = self._node.undo if request.text("do") == "undo" else self._node.redo
        return {"actor": topic.hex(), "turn": str(act(topic, turn))}

    def _history(self, request: Request) -> dict[str, Any]:
        ref = self._open_actor(request)
        turns = [
            {
                "turn": str(each.id),
                "author": each.author.hex(),
                "time": each.time.isoformat(),
                "fields": list(each.fields),
                "visible": each.visible,
            }
            for each in ref.history(int(request.number("newest")))
        ]
        return {"actor": ref.topic.hex(), "turns": turns}

    def _unsent(self, request: Request) -> dict[str, Any]:
        ref = self._open_actor(request)
        turns = [
            {
                "device": each.device.hex(),
                "time": each.time.isoformat(),
                "changes": {
                    name: {
                        "before": plain(change.before),
                        "after": plain(change.after),
                        "keys": [plain(key) for key in change.keys],
                    }
                    for name, change in each.changes.items()
                },
            }
            for each in ref.unsent()
        ]
        forgotten = ref.forget_unsent() if request.maybe("forget") is not None else 0
        return {"actor": ref.topic.hex(), "turns": turns, "forgotten": forgotten}

    def _at(self, request: Request) -> dict[str, Any]:
        ref = self._open_actor(request)
        turn = self._turn(ref.topic, request.text("turn"))
        state = {name: plain(value) for name, value in ref.at(turn).items()}
        return {"actor": ref.topic.hex(), "turn": str(turn), "state": state}

    def _restore(self, request: Request) -> dict[str, Any]:
        ref = self._open_actor(request)
        turn = self._turn(ref.topic, request.text("turn"))
        fields = list(ref.restore(turn))
        return {"actor": ref.topic.hex(), "turn": str(turn), "fields": fields}

    def _turn(self, topic: Topic, text: str) -> TurnId:
        """Return the turn that is named in full, or by the beginning of its commit's id."""
        commit, _, index = text.lower().partition(".")
        if len(commit) == 2 * ID_BYTES:
            return TurnId.parse(text)
        id_prefix(commit, "turn: take an id of `comity history`, or the beginning of one")
        newest = self._node.log(topic, _TURNS_SOUGHT)
        found = [each.id for each in newest if each.id.hex().startswith(commit)]
        if len(found) != 1:
            raise UsageError(
                f"{len(found)} commits of actor {short(topic)} begin with {commit!r}: take "
                f"{'more digits' if found else 'an id'} of `comity history`"
            )
        return TurnId.parse(f"{found[0].hex()}.{index or 0}")

    def _adopt(self, request: Request) -> dict[str, Any]:
        topic = self._held(request)
        self._node.adopt(topic, request.text("commit"))
        return {"actor": topic.hex(), "why": self._node.why(request.text("commit"))}

    def _relays(self, request: Request) -> dict[str, Any]:
        add, forget = request.maybe("add"), request.maybe("forget")
        if add is not None:
            self._node.use_relay(add)
        if forget is not None:
            self._node.forget_relay(forget)
        return {"relays": _relays(self._node.status())}

    def _shutdown(self, _: Request) -> dict[str, Any]:
        if self.on_shutdown is None:
            raise UsageError("this node is part of a program: stop that program instead")
        self.on_shutdown()
        return {}

    def _open_actor(self, request: Request) -> Ref[Actor]:
        """Return the open actor that a request means."""
        kind, prefix = request.maybe("type"), (request.maybe("actor") or "").lower()
        refs = self._node.refs
        found = [each for each in refs if each.topic.hex().startswith(prefix)]
        if kind is not None:
            found = [each for each in found if each.actor_type.name == kind]
        if len(found) == 1:
            return found[0]
        known = ", ".join(f"{ref.actor_type.name} {short(ref.topic)}" for ref in refs) or "none"
        if found:
            raise UsageError(f"{len(found)} open actors fit: add --actor ID, one of {known}")
        wanted = kind or "actor"
        raise UsageError(
            f"the node that runs on this store has no {wanted} {prefix or ''}".rstrip()
            + f" open; open are: {known}"
        )

    def _held(self, request: Request) -> Topic:
        """Return the held actor that a request means, whether it is open or not."""
        prefix = (request.maybe("actor") or "").lower()
        topics = self._node.status().topics
        found = [each.topic for each in topics if each.topic.hex().startswith(prefix)]
        if len(found) == 1:
            return found[0]
        known = ", ".join(f"{each.actor_type} {short(each.topic)}" for each in topics)
        fix = "add --actor ID" if found else "create one with `comity run`, or join one"
        named = f" beginning with {prefix!r}" if prefix else ""
        raise UsageError(
            f"this store holds {len(found)} actors{named} ({known or 'none at all'}): {fix}"
        )


def _commit_of(request: Request) -> str:
    """Return a commit's id, also where a turn of it is named."""
    return request.text("commit").lower().partition(".")[0]


class Request:
    """One request; fields are checked as they are read."""

    __slots__ = ("_fields",)

    def __init__(self, fields: dict[str, Any]) -> None:
        """Take what came over the socket: anything that JSON can say."""
        self._fields = fields

    def text(self, name: str) -> str:
        """Return a text field. Raises: UsageError if there is none."""
        found = self.maybe(name)
        if found is None:
            raise UsageError(f"the request lacks {name!r}, a text")
        return found

    def maybe(self, name: str) -> str | None:
        """Return a text field, or None if it is absent."""
        found = self._fields.get(name)
        if found is not None and not isinstance(found, str):
            raise UsageError(f"{name!r} in the request is {found!r}: give a text")
        return found

    def any(self, name: str) -> object:
        """Return a field that may be anything. Raises: UsageError if there is none."""
        if name not in self._fields:
            raise UsageError(f"the request lacks {name!r}")
        return self._fields[name]

    def words(self, name: str) -> Sequence[str]:
        """Return a list of texts, empty if it is absent."""
        found: Any = self._fields.get(name, [])
        words = cast("list[object]", found) if isinstance(found, list) else [None]
        if not all(isinstance(each, str) for each in words):
            raise UsageError(f"{name!r} in the request is {found!r}: give a list of texts")
        return cast("list[str]", words)

    def number(self, name: str) -> float:
        """Return a positive number."""
        found: Any = self._fields.get(name)
        if isinstance(found, bool) or not isinstance(found, int | float) or not found > 0:
            raise UsageError(f"{name!r} in the request is {found!r}: give a positive number")
        return found


def _topic(topic: TopicStatus) -> dict[str, Any]:
    return {
        "actor": topic.topic.hex(),
        "type": topic.actor_type,
        "commits": topic.commits,
        "hidden": topic.hidden,
        "orphans": topic.orphans,
        "heads": [head.hex() for head in topic.heads],
        "open": topic.active,
        "coming": {"commits": topic.coming.commits, "bytes": topic.coming.bytes},
    }


def _relays(status: NodeStatus) -> list[dict[str, Any]]:
    return [
        {
            "address": each.address,
            "device": None if each.device is None else each.device.hex(),
            "lacking": each.lacking,
            "alarm": each.alarm,
        }
        for each in status.relays
    ]


def _status(status: NodeStatus, listening: str | None) -> dict[str, Any]:
    return {
        "device": status.device.hex(),
        "relay": status.relay,
        "crypto": status.crypto,
        "address": status.address,
        "listening": listening or "",
        "links": [
            {"device": None if peer is None else peer.hex(), "address": address}
            for peer, address in status.links
        ],
        "relays": _relays(status),
        "topics": [_topic(topic) for topic in status.topics],
        "shelves": [
            {"actor": topic.hex(), "commits": commits, "bytes": size}
            for topic, commits, size in status.shelves
        ],
        "letters": [
            {"device": each.device.hex(), "count": each.count, "relays": each.relays}
            for each in status.letters
        ],
        "mail": {
            "mailboxes": status.mail.mailboxes,
            "mails": status.mail.mails,
            "bytes": status.mail.bytes,
        },
        "refusals": dict(status.refusals),
        "formers": [
            {
                "device": former.device.hex(),
                "ended": former.ended,
                "why": former.why,
                "unsent": {topic.hex(): count for topic, count in former.unsent},
            }
            for former in status.formers
        ],
    }
