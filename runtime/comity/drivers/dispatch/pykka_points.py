"""Where our hosts meet pykka: its extension points, and what its references look at.

Owns: the disguise. May not know: cells. Of pykka's machinery the three extension points are
used, not its loop: pykka answers inside its loop, and here an answer waits for the disk. Nor
is anything entered in pykka's global registry, one list under one lock.
Source: ARCHITECTURE 'Layers'; sketches, 'Facts about pykka'.
"""

from __future__ import annotations

import threading
from typing import Any, NoReturn, cast

import pykka

from comity.base.errors import UsageError
from comity.base.ids import Topic
from comity.drivers.dispatch.future import Future
from comity.drivers.dispatch.mailbox import Mailbox

__all__ = ["PykkaPoints"]


class PykkaPoints(pykka.Actor):
    """A pykka.Actor with the fields of one worked out when somebody asks for them."""

    __slots__ = ("_mailbox",)

    _mailbox: Mailbox

    @property
    def label(self) -> str:
        """Name the actor for people."""
        raise NotImplementedError

    @property
    def topic(self) -> Topic:
        """The identity of the actor."""
        raise NotImplementedError

    @classmethod
    def start(cls, *_args: object, **_keywords: object) -> NoReturn:
        """Refuse: pykka's start would enter the actor in its global registry."""
        raise UsageError("cells are hosted with Dispatcher.activate(cell), not with start()")

    @staticmethod
    def _create_actor_inbox() -> Mailbox:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return Mailbox()

    @staticmethod
    def _create_future() -> Future[Any]:
        return Future()

    @property
    def actor_urn(self) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """Name the actor as pykka does."""
        return f"urn:comity:{self.topic.hex()}"

    @property
    def actor_inbox(self) -> Mailbox:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """The mailbox, for pykka's references."""
        return self._mailbox

    @property
    def actor_stopped(self) -> threading.Event:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the actor takes messages no more, as pykka's references ask for it."""
        return cast("threading.Event", _StoppedFlag(self._mailbox))

    @property
    def _actor_ref(self) -> pykka.ActorRef[Any]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleVariableOverride]
        return pykka.ActorRef(self)

    def __str__(self) -> str:
        return self.label


class _StoppedFlag:
    """As much of `threading.Event` as pykka's references use."""

    __slots__ = ("_mailbox",)

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def is_set(self) -> bool:
        """Whether the actor takes messages no more."""
        return self._mailbox.is_closed
