"""The reference is complete: a public name, method, command or option has its place in it."""

from __future__ import annotations

import inspect
from pathlib import Path

import click
import pytest

import comity
from comity import Actor, Node, Ref
from comity.cli.main import comity as root
from tests.docs.pages import PAGES, name_of, text_of

API = "docs/reference/api.md"
TYPES = "docs/reference/types.md"
CLI = "docs/reference/cli.md"


def _public(owner: type) -> list[str]:
    """Return what users may call or read on a class, as far as Python can tell."""
    return [
        name
        for name, value in vars(owner).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property))
    ]


@pytest.mark.parametrize("name", comity.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    """Each name is told of, as code: types of fields among the types, all others in the API."""
    is_of_fields = comity._HOMES[name].startswith("comity.crdt.")
    assert f"`{name}" in text_of(TYPES if is_of_fields else API), name


@pytest.mark.parametrize("owner", [Actor, Node, Ref])
def test_every_method_is_in_the_api(owner: type) -> None:
    """What a class offers is named there, as code: a call, an attribute or a hook."""
    text = text_of(API)
    missing = [name for name in _public(owner) if f"`{name}" not in text]
    assert missing == []


def test_every_argument_of_a_node_is_in_the_api() -> None:
    """Each has its row."""
    missing = [
        name
        for name in inspect.signature(Node).parameters
        if f"\n| `{name}` |" not in text_of(API)
    ]
    assert missing == []


@pytest.mark.parametrize("name", root.commands)
def test_every_command_and_option_is_in_the_list(name: str) -> None:
    """Each command has its row, each option that is not hidden is named on the page."""
    text = text_of(CLI)
    assert f"\n| `comity {name}" in text
    for each in root.commands[name].params:
        if isinstance(each, click.Option) and not each.hidden:
            assert any(f"`{option}" in text for option in each.opts), each.opts


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_has_one_title_and_names_only_what_is_here(page: Path) -> None:
    """Pages cite pages, not documents that a reader does not have."""
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert "PROTOCOL" not in text


def test_the_help_of_the_package_begins_with_its_users() -> None:
    """`help(comity)` says where to begin before it says how the package is kept."""
    assert comity.__doc__ is not None
    first = comity.__doc__.split("\n\n")[1]
    assert "Actor" in first
    assert "Node" in first
    assert "Owns" not in first
