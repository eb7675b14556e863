"""The cell of an active actor: its fields, its turns, and what binds them to commits.

Owns: the actor object and its replicated state. Held by one holder at a time, a turn or a
fold; whoever hosts it (`drivers.dispatch`, the fault lab) sees to that. May not know:
mailboxes, futures, threads, stores, keys. It reads the graph, which the core alone appends to.

    starting --fold, last--> running --turn--> running
                             running --fold, all turns bound--> running, next beat
                             running --fold, newer turns ran--> waiting
                             waiting --fold, all turns bound--> running, next beat
                             running --fold with `hold`--> waiting, next beat

A turn of this device gets a number in its cell at once and a place in a commit later: a
`Binding`. A fold needs every turn bound, because concurrent writes are ordered by the ids of
their commits; so a cell that ran further than the core knew refuses the fold, waits, and is
offered it again with the missing bindings.
Source: ARCHITECTURE 'Who owns what'; PROTOCOL section 2 'Beats and drafts'.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, unique
from functools import partial
from typing import Any, Final

from comity.actor import stored
from comity.actor.actor_type import ActorType
from comity.actor.awaiting import Handler, Interrupted, Paused, is_coroutine
from comity.actor.changes import FieldChange, Listener, News
from comity.actor.edits import EDIT, RULES, edit_field, publish_rules
from comity.actor.fold import REFUSED_MAX, BeatClosed, Fold, Folded, TurnEnded
from comity.actor.message import Message, Outcome
from comity.actor.places import Places
from comity.actor.reminding import Reminding
from comity.actor.restoring import RESTORE, restore_fields
from comity.actor.surroundings import Surroundings
from comity.actor.timers import Timer
from comity.authority.undos import Place
from comity.authority.visibility import WHOLE
from comity.base.canonical import Malformed
from comity.base.errors import Reason, Rejected, UsageError
from comity.base.ids import DeviceId, Topic
from comity.crdt.rules import Rule
from comity.crdt.state import Change, ChangeKind, State

__all__ = ["Cell", "Phase"]

Broken = tuple[int, Rejected]
"""A commit, and what it did that breaks a rule."""

_CELL: Final = "_comity_cell"
"""Where an actor finds its cell; the field descriptors look there (`crdt.descriptor`)."""


_PLAIN: Final = frozenset((type(None), bool, int, float, str, bytes, tuple))
"""What most turns return; of anything else it is asked whether it is a field."""

_REACTION_HINT: Final = (
    "a method that reacts to a change writes nothing, or it would run for ever, and once on "
    "every device; tell a message from it that does"
)

_OWNERS: Final[Mapping[str, Callable[..., Any]]] = {
    EDIT: edit_field,
    RESTORE: restore_fields,
    RULES: publish_rules,
}
"""Messages that no class has: of the owner of the node, beside the app."""

_SILENT: Final = (Outcome(None, None, 0, b""), None)


@unique
class Phase(Enum):
    """What the cell may be given next."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"


class Cell:
    """One active actor of one node."""

    __slots__ = (
        "_actor",
        "_beat",
        "_broken",
        "_device",
        "_handler",
        "_listeners",
        "_own",
        "_phase",
        "_places",
        "_reminding",
        "_serial",
        "_state",
        "_type",
        "news",
        "silent",
        "surroundings",
        "topic",
    )

    news: News | None
    """What changed in watched fields; None while nobody watches."""

    silent: tuple[Outcome, None]
    """What `run` returned last of a turn that wrote nothing and says nothing: most are so."""

    surroundings: Surroundings | None
    """What serves the actor; whoever hosts the cell sets it."""

    def __init__(self, actor_type: ActorType, topic: Topic) -> None:
        """Make an empty cell; it runs nothing before its first folds."""
        self.topic = topic
        self._type = actor_type
        self._places = Places()
        self._state = State(actor_type.schema, self._places)
        self._phase = Phase.STARTING
        self._beat: int = 0
        self._serial = 0
        self._broken: tuple[Broken, ...] = ()
        self._own: dict[int, int] | None = None
        self._device: DeviceId | None = None
        self._listeners: tuple[Listener, ...] = ()
        self.news = None
        self.silent = _SILENT
        self._handler: Handler | None = None
        self.surroundings = None
        self._reminding: Reminding | None = None
        self._actor = actor_type.cls()
        setattr(self._actor, _CELL, self)

    @property
    def comity_state(self) -> State:
        """The replicated state, for the field descriptors (`crdt.views.Holder`)."""
        return self._state

    @property
    def phase(self) -> Phase:
        """What the cell may be given next."""
        return self._phase

    @property
    def serial(self) -> int:
        """Number of the last turn that wrote, 0 if none did since activation."""
        return self._serial

    @property
    def beat(self) -> int:
        """Number of folds applied."""
        return self._beat

    @property
    def actor_type(self) -> ActorType:
        """The checked class of the actor."""
        return self._type

    def run(self, message: Message) -> tuple[Outcome, TurnEnded | None]:
        """Run one turn: all of its writes, or none if it raises.

        The event, if there is one, must reach the core before any later turn's, and the
        outcome must not be shown before the core has released `outcome.serial`.

        If the outcome awaits something, the handler is open: nothing but folds may come
        before `resume` or `interrupt`.
        """
        method: Callable[..., Any] | None = self._type.methods.get(message.method)
        if method is None:
            method = _OWNERS.get(message.method)
        if method is None:
            error = UsageError(f"{self._type.name} has no message {message.method!r}")
            return Outcome(None, error, self._serial, b""), None
        return self._turn(method, (self._actor, *message.arguments), message.keywords)

    def ring(self, timer: Timer) -> tuple[Outcome, TurnEnded | None]:
        """Run the turn of a timer, as `run` does that of a message."""
        return self._turn(timer.function, timer.arguments, timer.keywords)

    def serves(self, function: Callable[..., Any]) -> bool:
        """Whether a function is of this very actor, and not of one that was before it."""
        owner: object = getattr(function, "__self__", self._actor)
        return owner is self._actor

    def resume(
        self, value: object, error: BaseException | None = None
    ) -> tuple[Outcome, TurnEnded | None]:
        """Run the next stretch of the open handler as a turn of its own.

        value, error: what it waited for. Raises: nothing that the handler does.
        """
        handler = self._handler
        assert handler is not None
        return self._turn(handler.step, (value, error), {})

    def interrupt(self, method: str) -> tuple[Interrupted, Exception | None] | None:
        """Cut the open handler off, if one is; return what its sender gets.

        The second is what the handler raised when it had to clean up, which is no turn.
        """
        handler, self._handler = self._handler, None
        if handler is None:
            return None
        return Interrupted(method, handler.stretch), handler.interrupt()

    @property
    def stretch(self) -> int:
        """How many stretches of the open handler have begun; 0 if none is open."""
        return 0 if self._handler is None else self._handler.stretch

    def create(self) -> tuple[Outcome, TurnEnded | None]:
        """Run `on_create` as the first turn in the life of the actor."""
        return self._turn(self._found, (), {})

    def _found(self) -> None:
        publish_rules(self._actor)
        self._actor.on_create()

    def start(self) -> Exception | None:
        """Run `on_start`; it may set plain attributes only."""
        if self._type.reactions:
            self._watching().watch(self._type.reactions)
        error = self._hook(self._actor.on_start)
        if error is None and self._type.reminders and self.surroundings is not None:
            state = self._state
            self._reminding = Reminding(
                self._actor, self._type.reminders, lambda: state.may_write
            )
            self._reminding.arm(self.surroundings)
        return error

    def look_at_reminders(self) -> None:
        """Look at them after this turn: it changed one."""
        if self._reminding is not None and self.surroundings is not None:
            self._reminding.arm(self.surroundings)

    def stop(self) -> Exception | None:
        """Run `on_stop`."""
        return self._hook(self._actor.on_stop)

    def failed(self, error: Exception) -> Exception | None:
        """Run `on_failure` for what a message raised that nobody awaits."""
        return self._hook(lambda: self._actor.on_failure(error))

    # Changes

    @property
    def has_news(self) -> bool:
        """Whether a watched field changed since `take_news`."""
        return self.news is not None and len(self.news) > 0

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """Who is told of news, besides the actor itself; whoever hosts the cell tells them."""
        if not all(each.wanted for each in self._listeners):
            self._listeners = tuple([each for each in self._listeners if each.wanted])
            self._rest()
        return self._listeners

    def listen(self, listener: Listener) -> None:
        """Have a listener told of changes of every field, from now on."""
        self._watching().watch_all()
        self._listeners = (*self._listeners, listener)

    def ignore(self, listener: Listener) -> None:
        """Have a listener told no more; safe to repeat."""
        self._listeners = tuple([each for each in self._listeners if each is not listener])
        self._rest()

    def take_news(self) -> tuple[FieldChange, ...]:
        """Return what changed in watched fields, at most one change of a field."""
        return () if self.news is None else self.news.take()

    def react(self, news: Sequence[FieldChange]) -> list[tuple[str, Exception]]:
        """Run the `on_change` methods of these fields; return which ones raised what."""
        failed: list[tuple[str, Exception]] = []
        state = self._state
        for change in news:
            for name, takes_change in self._type.reactions.get(change.field, ()):
                method = getattr(self._actor, name)
                usual, state.hint = state.hint, _REACTION_HINT
                error = self._hook(partial(method, change) if takes_change else method)
                state.hint = usual
                if error is not None:
                    failed.append((name, error))
        return failed

    def _rest(self) -> None:
        """Watch nothing any more if nobody is left to be told."""
        if not self._listeners and not self._type.reactions:
            self.news = None

    def _watching(self) -> News:
        if self.news is None:
            self.news = News(self._state)
        return self.news

    # Reading

    def snapshot(self) -> dict[str, object]:
        """Return the fields as immutable plain values."""
        return dict(self._state.snapshot())

    def rules(self) -> dict[str, tuple[Rule | None, ...]]:
        """Return the field rules in force, by field."""
        return dict(self._state.rules)

    def unknown_writes(self) -> tuple[int, int]:
        """Return how many fields of other versions of the class were written, how often."""
        unknown = self._state.unknown
        return len(unknown), sum(unknown.values())

    def state_bytes(self) -> bytes:
        """Return the canonical bytes of the state: equal wherever the visible log is."""
        return self._state.encode_state()

    def fold(self, fold: Fold) -> tuple[BeatClosed | Folded, tuple[Change, ...]]:
        """Apply a fold whole, or refuse it because a newer turn is unbound."""
        assert fold.topic == self.topic
        assert fold.beat == self._beat + 1
        assert fold.serial <= self._serial
        if fold.serial < self._serial:
            self._phase = Phase.WAITING
            return BeatClosed(self.topic, self._beat, self._serial), ()
        self._places.graph = fold.graph
        if fold.frozen is not None and not self._thaw(fold.frozen, fold.hide):
            self._beat = fold.beat
            return Folded(self.topic, fold.beat, thawed=False), ()
        self._bind(fold)
        changes: list[Change] = []
        for commit in fold.commits:
            self._places.hide_before(commit.commit, commit.hidden)
            self._places.learn_role(commit.commit, commit.role)
            for index, operations in enumerate(commit.turns):
                turn = self._places.append(commit.commit, index)
                changes.extend(self._state.fold(turn, operations))
        changes += self._look(fold)
        if self.news is not None and self._phase is not Phase.STARTING:
            for change in changes:
                self.news.note(change, self._places.author(change.turn))
        self._state.may_write = fold.may_write
        self._device = fold.device
        if fold.device is not None:
            self._state.device = self._places.device = fold.device
        self._state.role = fold.role
        self._beat = fold.beat
        if fold.last:
            self._phase = Phase.WAITING if fold.hold else Phase.RUNNING
        refused = self._newly_broken(changes)
        if fold.frozen is not None:
            refused = (*self._broken, *refused)
        self._broken = (*self._broken, *refused)[:REFUSED_MAX] if refused else self._broken
        frozen = None
        if fold.freeze:
            frozen = stored.freeze(self._places, self._broken, self._state)
        told = refused[:REFUSED_MAX]
        return Folded(self.topic, fold.beat, told, frozen), tuple(changes)

    def _look(self, fold: Fold) -> list[Change]:
        """Hide and show what a fold says."""
        changes: list[Change] = []
        first_turns = self._places.first_turns
        for hidden, index in fold.hide:
            if index == WHOLE:
                for turn in self._places.turns_of(hidden):
                    changes.extend(self._state.hide(turn))
            else:
                changes.extend(self._state.hide(first_turns[hidden] + index, undone=True))
        for shown, index in fold.show:
            if index == WHOLE:
                for turn in self._places.turns_of(shown):
                    changes.extend(self._state.show(turn))
            else:
                changes.extend(self._state.show(first_turns[shown] + index, undone=True))
        return changes

    def _newly_broken(self, changes: Sequence[Change]) -> tuple[Broken, ...]:
        """Return what broke a rule, by commit."""
        if all(change.kind is not ChangeKind.REFUSED for change in changes):
            return ()
        found = [
            (self._places.commits[change.turn], change.refusal)
            for change in changes
            if change.refusal is not None and change.refusal.reason is Reason.RULE_BROKEN
        ]
        return tuple(found[:REFUSED_MAX])

    def _thaw(self, data: bytes, hide: Sequence[Place]) -> bool:
        """Go on from a stored state, with no more hidden than is now; tell if it could be read.

        What is hidden now and was not then is hidden by the fold that brought it.
        """
        assert self._phase is Phase.STARTING
        places, state = self._places, self._state
        try:
            broken = stored.thaw(data, places, state)
        except Malformed:
            broken = None
        undone = [place for place in hide if place[1] != WHOLE]
        if broken is None or any(commit not in places.first_turns for commit, _ in undone):
            self._places = Places()
            self._state = State(self._type.schema, self._places)
            return False
        self._broken = tuple(broken)
        whole = [commit for commit, index in hide if index == WHOLE]
        now = {
            True: [places.first_turns[commit] + index for commit, index in undone],
            False: [turn for commit in whole for turn in places.turns_of(commit)],
        }
        for is_undone, hidden in now.items():
            for turn in sorted(state.hidden_for(undone=is_undone) - frozenset(hidden)):
                state.show(turn, undone=is_undone)
        return True

    def check(self) -> None:
        """Assert the invariants of the cell and its state."""
        assert len(self._places.commits) == len(self._places.indexes)
        own = self._own or {}
        assert all(self._places.commits[turn] == -1 for turn in own.values())
        self._state.check()

    def _turn(
        self,
        handler: Callable[..., Any],
        arguments: tuple[Any, ...],
        keywords: Mapping[str, Any],
    ) -> tuple[Outcome, TurnEnded | None]:
        assert self._phase is Phase.RUNNING
        writer = self._state.writer
        turn = len(self._places.commits)
        writer.begin(turn)
        attributes = vars(self._actor)
        known = len(attributes)
        awaits: Paused | None = None
        try:
            value = handler(*arguments, **keywords) if keywords else handler(*arguments)
            if type(value) not in _PLAIN:
                value, awaits = self._beyond(value)
            if len(attributes) != known:
                self._refuse_attributes(known)
            self._state.judge()
        except BaseException as error:
            self._state.rollback()
            if self._handler is not None:
                unclean = self._handler.interrupt()
                if unclean is not None:
                    error.add_note(f"and cleaning up raised {unclean!r}")
                self._handler = None
            if not isinstance(error, Exception):
                raise
            return Outcome(None, error, self._serial, b""), None
        if awaits is None:
            self._handler = None
        if not writer.entered:  # as most turns do not
            writer.end()
            if value is None and awaits is None:
                return self._end_silently()
        operations = self._state.commit() if writer.turn == turn else b""
        if not operations:
            return Outcome(value, None, self._serial, b"", awaits), None
        placed = self._places.append(-1, 0)
        assert placed == turn
        self._serial += 1
        if self._own is None:
            self._own = {}
        self._own[self._serial] = turn
        if self.news is not None:
            for change in self._state.told(turn, operations):
                self.news.note(change, self._device)
        ended = TurnEnded(self.topic, self._serial, self._beat, operations)
        return Outcome(value, None, self._serial, operations, awaits), ended

    def _end_silently(self) -> tuple[Outcome, None]:
        """Return how a turn ended that wrote nothing and says nothing; one for each serial."""
        if self.silent[0].serial != self._serial:
            self.silent = Outcome(None, None, self._serial, b""), None
        return self.silent

    def _beyond(self, value: object) -> tuple[object, Paused | None]:
        """Return what a handler brought that is no plain value, and what it awaits."""
        if is_coroutine(value):
            self._handler = Handler(value)
            value = self._handler.step(None, None)
        if isinstance(value, Paused):
            return None, value
        self._refuse_view(value)
        return value, None

    def _refuse_view(self, value: object) -> None:
        """Raise if a turn returns a field: whoever asked would read it beside later turns."""
        for field, view in zip(self._type.schema.fields, self._state.views, strict=True):
            if value is view:
                raise UsageError(
                    f"{self._type.name}.{field.name} was returned as it stands, and goes on "
                    f"changing: return a plain copy, such as dict(...), list(...), str(...) or "
                    f"int(...) of it"
                )

    def _refuse_attributes(self, known: int) -> None:
        """Raise if a turn set attributes that `on_start` had not: misspelt fields, mostly."""
        new = list(vars(self._actor))[known:]
        for name in new:
            delattr(self._actor, name)
        if new:
            fields = [field.name for field in self._type.schema.fields]
            close = difflib.get_close_matches(new[0], fields, 1)
            raise UsageError(
                f"{self._type.name} has no field {new[0]!r}"
                + (f", did you mean {close[0]!r}?" if close else ":")
                + " Plain attributes of this device are set in on_start first"
            )

    def _hook(self, hook: Callable[[], None]) -> Exception | None:
        try:
            hook()
        except Exception as error:  # noqa: BLE001  (the hook is the user's)
            return error
        return None

    def _bind(self, fold: Fold) -> None:
        for binding in fold.bindings:
            self._places.hide_before(binding.commit, binding.hidden)
            self._places.learn_role(binding.commit, binding.role)
            for index, serial in enumerate(range(binding.first, binding.last + 1)):
                assert self._own is not None
                turn = self._own.pop(serial)
                self._places.bind(turn, binding.commit, index)
                self._state.bound(turn)
        assert not self._own
