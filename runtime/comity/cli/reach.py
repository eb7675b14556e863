"""How a command gets to its node: the one that runs on the store, or one for a moment.

Owns: that choice. May not know: what is asked. Both answer the same requests
(`api.control`), so a command cannot tell which it talks to.

    control socket answers   -> the running node; no key is needed
    nobody answers           -> open the store, without taking connections; close it after
    no store                 -> an error, unless the command may make one
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from comity.base.clock import SECOND, Duration
from comity.base.errors import ComityError, LinkError, StoreError, UsageError
from comity.cli.unlock import unlock
from comity.drivers.control import control_call
from comity.drivers.lock import StoreLock
from comity.drivers.store import CONTROL_FILE, LOCK_FILE, STORE_FILE, VAULT_FILE

if TYPE_CHECKING:
    from comity.actor.actor import Actor
    from comity.api.node import Node
    from comity.cli.options import Access

__all__ = ["Ask", "ask_opened", "open_node", "reach", "running", "unmade_if_refused"]

Ask = Callable[[dict[str, Any]], dict[str, Any]]
"""Sends one request to a node and returns its answer."""

_START_SECONDS: Final = 5.0
"""A node that has the store and does not listen yet: a passphrase alone takes 1 to 2 s."""

_LOOK_SECONDS: Final = 0.05

_ANSWER: Final = Duration(90 * SECOND)
"""Longer than a node waits for anything by itself, so that its own words are heard."""


def running(store: Path) -> Ask | None:
    """Return how to ask the node that runs on this store; None if there is none.

    One that is starting is waited for. Raises: StoreError that names the process, if the
    store is in use and nobody answers.
    """
    socket = store / CONTROL_FILE

    def ask(request: dict[str, Any]) -> dict[str, Any]:
        return control_call(socket, request, _ANSWER)

    ends = time.monotonic() + _START_SECONDS
    while True:
        try:
            if socket.exists():
                ask({"do": "topics"})
                return ask
        except LinkError:  # a crash left the file
            pass
        if _is_free(store, raises=time.monotonic() > ends):
            return None
        time.sleep(_LOOK_SECONDS)


def _is_free(store: Path, *, raises: bool) -> bool:
    """Tell whether no process has a store; else its node is starting, or about to end."""
    if not (store / LOCK_FILE).exists():
        return True
    try:
        StoreLock(store).release()
    except StoreError as error:
        if raises or not error.retry:
            raise
        return False
    return True


@contextmanager
def reach(
    access: Access,
    *,
    actor_class: type[Actor] | None = None,
    actor: str | None = None,
    looks: bool = True,
) -> Generator[Ask]:
    """Reach the node of an existing store; if that is opened here, so is the actor in it.

    looks: nothing is changed, so a node that is opened here calls nobody.
    """
    ask = running(access.store)
    if ask is not None:
        yield ask
        return
    _must_be_there(access)
    from comity.api.control import Control

    with open_node(access, listen=None, online=not looks) as node:
        if actor_class is not None:
            node.open(actor_class, actor)
        yield Control(node).handle


def _must_be_there(access: Access) -> None:
    if not (access.store / VAULT_FILE).exists():
        raise UsageError(
            f"there is no store at {access.store}: name another with --store, or make one with "
            "`comity run TARGET` or `comity join LINK TARGET`"
        )


def ask_opened(
    access: Access,
    request: dict[str, Any],
    target: str | None,
    actor: str | None,
    *,
    looks: bool = True,
) -> dict[str, Any]:
    """Ask of an actor that is open, or open it for the question.

    target: names its class; needed only while no node runs on the store.
    """
    from comity.cli.target import load_actor

    actor_class = None if target is None else load_actor(target)
    if actor_class is None and running(access.store) is None:
        _must_be_there(access)
        raise UsageError(
            f"no node runs on {access.store}, so the class of the actor is needed to read it: "
            "name it as TARGET"
        )
    if actor is not None:
        request = {**request, "actor": actor}
    with reach(access, actor_class=actor_class, actor=actor, looks=looks) as ask:
        return ask(request)


@contextmanager
def unmade_if_refused(access: Access) -> Generator[None]:
    """Take away a store that was made for a join which failed: it would begin another app.

    Around everything that has the store open. One that was there before stays.
    """
    was_there = (access.store / VAULT_FILE).exists()
    try:
        yield
    except ComityError:
        if not was_there and access.store.is_dir():
            for name in (VAULT_FILE, STORE_FILE, f"{STORE_FILE}-wal", f"{STORE_FILE}-shm"):
                (access.store / name).unlink(missing_ok=True)
            (access.store / LOCK_FILE).unlink(missing_ok=True)
            with suppress(OSError):  # somebody keeps other things there
                access.store.rmdir()
        raise


def open_node(
    access: Access,
    *,
    listen: str | tuple[str, str] | None,
    relays: tuple[str, ...] = (),
    relay: bool = False,
    online: bool = True,
) -> Node:
    """Open the store of a command, unlocked as its options say.

    Raises: StoreError that names the process that has it open, before anything is asked.
    """
    from comity.api.node import Node

    if (access.store / LOCK_FILE).exists():
        StoreLock(access.store).release()
    key = unlock(access)
    return Node(
        access.store,
        passphrase=key.passphrase,
        insecure_store=key.insecure,
        listen=listen,
        relays=relays,
        relay=relay,
        online=online,
    )
