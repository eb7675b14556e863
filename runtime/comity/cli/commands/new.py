"""`new`: an app that runs, has a page, a chaos test and a README.

Owns: the names in it, and where its files go. May not know: what they say (`cli/template`).
"""

from __future__ import annotations

import keyword
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

__all__ = ["FILES", "new"]

_TEMPLATE: Final = Path(__file__).parents[1] / "template"

FILES: Final[Mapping[str, str]] = {
    "app.py.txt": "@@name@@.py",
    "test_app.py.txt": "test_@@name@@.py",
    "README.md.txt": "README.md",
    "index.html.txt": "page/index.html",
    "page.js.txt": "page/page.js",
    "page.css.txt": "page/page.css",
}
"""From a file of the template to its place in the app."""


@click.command(short_help="Make an app: an actor, a page, a chaos test, a README.")
@click.argument("app")
def new(*, app: str) -> None:
    """Make an app in the new folder APP: it runs, has a page, a chaos test and a README."""
    from comity.base.errors import StoreError, UsageError
    from comity.cli.show import quoted

    folder = Path(app).expanduser()
    name = folder.name
    if not name.isidentifier() or keyword.iskeyword(name) or name != name.lower():
        raise UsageError(
            f"{name!r} cannot be the name of an app: it is a Python module, so use small "
            "letters, digits and '_', and begin with a letter"
        )
    if name in sys.stdlib_module_names or name in {"comity", "comity_chaos", "pytest"}:
        raise UsageError(f"{name!r} is a module already: choose another name")
    if folder.exists():
        raise UsageError(f"{folder} exists already: choose another name, or move it away")
    made = "".join(part.capitalize() for part in name.split("_"))
    try:
        for source, place in FILES.items():
            text = (_TEMPLATE / source).read_text(encoding="utf-8")
            target = folder / place.replace("@@name@@", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            written = text.replace("@@name@@", name).replace("@@Class@@", made)
            target.write_text(written, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error}", retry=False) from error
    click.echo(click.style(f"made {quoted(folder)}", bold=True))
    store = f"--store ~/.{name}"
    for title, command in (
        ("run it", f"comity run {quoted(folder)} {store} --open"),
        ("second person", f"comity run {quoted(folder)} {store}-2 --join LINK --open"),
        ("test it", f"pytest {quoted(folder)}"),
    ):
        click.echo(f"  {click.style(f'{title:<15}', dim=True)}{command}")
