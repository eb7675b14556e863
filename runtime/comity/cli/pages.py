"""The page of an app that `comity run` hosts: served beside it if the app declares one.

Owns: whether it can be, and what is said if not. May not know: what the page shows.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from comity.base.errors import UsageError

if TYPE_CHECKING:
    from comity.actor.actor import Actor
    from comity.api.node import Node
    from comity.api.ref import Ref
    from comity.web.site import Site

__all__ = ["MISSING", "has_web", "page_of_app"]

MISSING: Final = "pages need the extra 'web': pip install 'comity[web]'"


def has_web() -> bool:
    """Tell whether what pages need is installed."""
    return all(find_spec(each) is not None for each in ("starlette", "uvicorn"))


def page_of_app(
    node: Node, ref: Ref[Actor], *, port: int | None
) -> AbstractContextManager[Site | None]:
    """Serve the page that the module of an actor declares; None if it declares none.

    port: None to serve none. Raises: UsageError if a port is named, and there is no page.
    """
    from comity.web.page import page_of

    wanted: Any = page_of(ref.actor_type.cls)
    if port is None or (wanted is None and port == 0):
        return nullcontext()
    if wanted is None:
        raise UsageError(
            f"{ref.actor_type.name} has no page for --page-port {port}: its module declares "
            "one as PAGE = Page(FOLDER, calls=(...))"
        )
    if not has_web():
        if port:
            raise UsageError(MISSING)
        return nullcontext()
    from comity.web.site import Site

    return Site(node, ref, wanted, port=port)
