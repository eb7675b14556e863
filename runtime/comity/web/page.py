"""`Page`: what an app shows in a browser, and which of its messages that may send.

Owns: the declaration, and how it is found beside an actor class. May not know: sockets, web
libraries; an app that declares a page runs where the extra `web` is not installed.

    PAGE = Page(Path(__file__).with_name("page"), calls=(Todo.add, Todo.finish))

The calls are an allow-list of methods themselves, not of names: a checker sees a misspelt
one, and a message that is not listed cannot be reached from the page, whatever it asks for.
Source: API 'Capabilities' (an allow-list); decision 21.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from comity.actor.actor import Actor
from comity.actor.actor_type import ActorType
from comity.base.errors import UsageError

__all__ = ["Page", "page_of"]

_FIRST: Final = "index.html"


@dataclass(frozen=True, slots=True)
class Page:
    """A folder of files for a browser, and the messages that they may send.

    folder: holds `index.html` and what it needs; served as it is, nothing is built.
    calls: methods of one actor class.
    shares: whether the page may ask for invites.
    past: whether it may look at what was, undo and redo turns of this device, and restore.
    """

    folder: Path
    calls: Sequence[Callable[..., Any]] = ()
    shares: bool = True
    past: bool = True

    def selectors(self, actor_type: ActorType) -> Mapping[str, Callable[..., Any]]:
        """Return the calls by name.

        Raises: UsageError if one is no message of this type, or there is nothing to show.
        """
        if not (self.folder / _FIRST).is_file():
            raise UsageError(
                f"there is no {_FIRST} in {self.folder}: write one, or name the folder that "
                "has it"
            )
        found: dict[str, Callable[..., Any]] = {}
        for selector in self.calls:
            name = getattr(selector, "__name__", repr(selector))
            if actor_type.methods.get(name) is not selector:
                raise UsageError(
                    f"{name} is no message of {actor_type.name}: list its own methods, such "
                    f"as {actor_type.cls.__name__}.{min(actor_type.methods, default='method')}"
                )
            found[name] = selector
        return MappingProxyType(found)


def page_of(actor_class: type[Actor]) -> Page | None:
    """Return the page that the module of an actor class declares for it, if it does.

    Of several it is the one whose calls are messages of this class. Raises: UsageError if
    more than one is.
    """
    module = sys.modules.get(actor_class.__module__)
    declared = [each for each in vars(module).values() if isinstance(each, Page)]
    methods = list(ActorType.of(actor_class).methods.values())
    fits = [page for page in declared if all(call in methods for call in page.calls)]
    if len(fits) > 1:
        raise UsageError(
            f"{actor_class.__module__} declares {len(fits)} pages for {actor_class.__name__}: "
            "leave one"
        )
    if declared and not fits:
        calls = [getattr(call, "__name__", repr(call)) for call in declared[0].calls]
        raise UsageError(
            f"{actor_class.__module__} declares a page that calls {', '.join(calls)}: not all "
            f"of them are messages of {actor_class.__name__}"
        )
    return fits[0] if fits else None
