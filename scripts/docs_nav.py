"""The navigation of the documentation: a folder in `nav` stands for its other pages.

Owns: the order of pages that nobody lists: index first, then by name. May not know: what
pages say. mkdocs calls `on_config` (`hooks` in mkdocs.yml).

    - Decisions:
        - decisions/      ->  decisions/index.md, decisions/0001-..., and so on

Pages that `nav` names elsewhere are left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

__all__ = ["on_config"]

Nav = list[dict[str, object] | str]
"""A page's path, or title -> the path of a page or what is below."""


class Config(Protocol):
    """What is needed of mkdocs' own type."""

    docs_dir: str
    nav: Nav


def on_config(config: Config) -> Config:
    """List the pages of each folder that `nav` names."""
    config.nav = _listed(config.nav, Path(config.docs_dir), _named(config.nav))
    return config


def _listed(nav: Nav, docs: Path, named: set[str]) -> Nav:
    found: Nav = []
    for each in nav:
        if isinstance(each, str):
            found += _pages(docs, each, named) if each.endswith("/") else [each]
            continue
        for title, below in each.items():
            pages = _listed(cast("Nav", below), docs, named) if _is_list(below) else below
            found.append({title: pages})
    return found


def _named(nav: Nav) -> set[str]:
    found: set[str] = set()
    for each in nav:
        for below in [each] if isinstance(each, str) else each.values():
            found |= _named(cast("Nav", below)) if _is_list(below) else {str(below)}
    return found


def _is_list(below: object) -> bool:
    return isinstance(below, list)


def _pages(docs: Path, folder: str, named: set[str]) -> list[str]:
    pages = [page.relative_to(docs).as_posix() for page in (docs / folder).glob("*.md")]
    found = [page for page in pages if page not in named]
    return sorted(found, key=lambda page: (not page.endswith("/index.md"), page))
