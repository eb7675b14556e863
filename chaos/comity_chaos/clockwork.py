"""What actors on a simulated node get from outside: time, chance, and fakes for the world.

Owns: the services of one life of one node. May not know: cells, cores. Outside work takes a
keyed while; what stands for it is a plain function that a test gave (`Sim.fake`).
Source: API 'A whole application' (`self.now`, `self.random` are virtual in the lab, where
`run` and `io` need a fake).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from comity.actor.actor_type import ActorType
from comity.actor.awaiting import Foreign, Work, is_coroutine
from comity.actor.randomness import Randomness
from comity.base.clock import MILLISECOND, Duration, Moment
from comity.base.errors import UsageError
from comity.base.ids import Token, Topic
from comity.node import commands
from comity.node.commands import Command
from comity_chaos.keyed import Keyed, SimEntropy
from comity_chaos.node import SimNode

__all__ = ["Around", "NodeClockwork", "fake_key", "no_refs"]

_OUTSIDE_MIN: Final = Duration(MILLISECOND)
_OUTSIDE_SPREAD: Final = 50 * MILLISECOND
"""Outside work takes 1 to 51 ms, keyed: as a disk or a server nearby."""

_ACTORS: Final = 1 << 32
"""Keeps the chance of a node's actors apart from that of its core."""


class Around(Protocol):
    """The world, as far as actors meet it.

    fakes: what stands for which function, by `fake_key`.
    """

    seed: int
    fakes: dict[object, Callable[..., object]]
    refer: Callable[[SimNode, ActorType, Topic], object]

    def moment(self, node: SimNode) -> Moment:
        """Return the present as a node sees it."""
        ...

    def later(self, node: SimNode, life: int, wait: Duration, act: Callable[[], None]) -> None:
        """Do something to a life of a node after a while by its clock."""
        ...

    def command(
        self, node: SimNode, make: Callable[[Token], Command], *, awaited: bool = True
    ) -> Token:
        """Give a node a command."""
        ...


def fake_key(function: object) -> object:
    """Return what a function is known by: its code, or a built-in function itself."""
    return getattr(function, "__code__", function)


class NodeClockwork:
    """One life of one node."""

    __slots__ = ("_count", "_keyed", "_life", "_node", "_world", "randomness")

    def __init__(self, node: SimNode, world: Around) -> None:
        """Begin with the life that the node is living."""
        self._node = node
        self._life = node.life
        self._world = world
        self._keyed = Keyed(world.seed)
        self._count = 0
        entropy = SimEntropy(world.seed, _ACTORS + node.index, node.life)
        self.randomness = Randomness(entropy)

    def renew(self, topic: Topic) -> None:
        """Have the core forget the cell of an actor, and feed its log to a new one."""
        command = partial(self._world.command, self._node, awaited=False)
        command(lambda token: commands.Deactivate(token, topic))
        command(lambda token: commands.Activate(token, topic))

    def refer(self, actor_type: ActorType, topic: Topic) -> object:
        """Make the ref of a child."""
        return self._world.refer(self._node, actor_type, topic)

    def moment(self) -> Moment:
        """Return the present, as the node sees it."""
        return self._world.moment(self._node)

    def later(self, wait: Duration, act: Callable[[], None]) -> None:
        """Do something after a while by the node's clock, unless this life is over by then."""
        self._world.later(self._node, self._life, wait, act)

    def outside(self) -> Duration:
        """Return how long the next outside work takes."""
        self._count += 1
        keys = self._node.index, self._life, self._count
        return Duration(_OUTSIDE_MIN + self._keyed.below(_OUTSIDE_SPREAD, "outside", *keys))

    def fake(self, wait: Work | Foreign) -> Callable[[], object]:
        """Return what stands for outside work.

        Raises: UsageError that says how to give it.
        """
        if isinstance(wait, Work):
            found = self._world.fakes.get(fake_key(wait.function))
            if found is None:
                raise _no_fake("run", wait.function)
            return partial(found, *wait.arguments, **wait.keywords)
        coroutine = wait.awaitable
        if not is_coroutine(coroutine):
            raise UsageError(
                f"self.io awaits {coroutine!r}: in the fault lab give it a coroutine, the call "
                "of an async function, so that a fake can stand for it"
            )
        code = coroutine.cr_code
        given: dict[str, Any] = inspect.getcoroutinelocals(coroutine)
        name = coroutine.__qualname__
        coroutine.close()
        found = self._world.fakes.get(code)
        if found is None:
            raise _no_fake("io", name)
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        return partial(found, **{each: given[each] for each in names})


def no_refs(_node: SimNode, actor_type: ActorType, _topic: Topic) -> object:
    """Refuse to make a ref: what a world does before somebody says how."""
    raise UsageError(f"nobody here makes refs to {actor_type.name}")


def _no_fake(service: str, function: object) -> UsageError:
    name = getattr(function, "__qualname__", function)
    return UsageError(
        f"self.{service} of {name} in the fault lab: nothing there may touch the world; say "
        f"what stands for it with sim.fake({name}, replacement)"
    )
