"""`doctor`: what is wrong with this machine, this store, this node, and how to mend it.

Owns: gathering the facts and printing the findings. May not know: what is good or bad about
them (`cli.diagnosis`).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from comity.cli.options import Access, access_options, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from comity.cli.diagnosis import Finding
    from comity.cli.reach import Ask

__all__ = ["doctor"]

_PACKAGES: Final = ("comity", "grpcio", "protobuf", "pykka", "PyNaCl")
_WEB: Final = ("starlette", "uvicorn")
_LOG: Final = 200
_MARKS: Final = {"good": ("ok", "green"), "notice": ("--", "yellow"), "bad": ("!!", "red")}


@click.command(short_help="Find what is wrong here, and how to mend it.")
@access_options
@json_option
@click.pass_context
def doctor(context: click.Context, *, access: Access, as_json: bool) -> None:
    """Look at versions, disk, store, restores, clock, ports, peers; say how to mend each."""
    import dataclasses

    from comity.cli.show import print_json

    found = [*_machine(access), *_store(access)]
    if as_json:
        print_json([dataclasses.asdict(each) for each in found])
    else:
        for each in found:
            mark, colour = _MARKS[each.level]
            click.echo(f"{click.style(mark, fg=colour)}  {each.about:<9} {each.text}")
            if each.fix:
                click.echo(click.style(f"{'':>14}{each.fix}", dim=True))
    if any(each.level == "bad" for each in found):
        context.exit(1)


def _machine(access: Access) -> Iterator[Finding]:
    import shutil
    import sys
    from importlib import metadata

    from comity.cli import diagnosis

    def version(name: str) -> str | None:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            return None

    found = {name: version(name) or "?" for name in _PACKAGES}
    found_web = {name: version(name) for name in _WEB}
    yield from diagnosis.versions({**found, **found_web}, sys.version_info[:2])
    folder = access.store
    while not folder.exists():
        folder = folder.parent
    yield diagnosis.room(shutil.disk_usage(folder).free)


def _store(access: Access) -> Iterator[Finding]:
    from comity.base.errors import ComityError
    from comity.cli import diagnosis
    from comity.cli.diagnosis import Finding
    from comity.cli.reach import reach, running
    from comity.cli.show import quoted
    from comity.drivers.store import VAULT_FILE

    store = quoted(access.store)
    if not (access.store / VAULT_FILE).exists():
        yield Finding(
            "notice", "store", f"there is none at {store}", f"comity run TARGET --store {store}"
        )
        yield from diagnosis.clock(time.time(), {})
        return
    if access.store.stat().st_mode & 0o077:
        yield Finding("bad", "store", "others may read its folder", f"chmod 700 {store}")
    yield _restores(access.store)  # before the store is opened: that would note it
    try:
        is_running = running(access.store) is not None
        with reach(access) as ask:
            status = ask({"do": "status"})
            actors = [each["actor"] for each in status["topics"]]
            members = {
                actor: ask({"do": "members", "actor": actor})["members"] for actor in actors
            }
            newest = _newest(ask, actors)
    except ComityError as error:
        yield Finding("bad", "store", f"{store} cannot be opened", str(error))
        return
    yield Finding("good", "store", f"{store}: {len(actors)} actors")
    yield from diagnosis.clock(time.time(), newest)
    yield from diagnosis.node(status, members, running=is_running, store=store)


def _restores(store: Path) -> Finding:
    from comity.cli import diagnosis
    from comity.cli.show import quoted
    from comity.drivers.generation import state_directory

    directory = state_directory()
    if not directory.is_dir():
        return diagnosis.witness(quoted(directory), "", found=False)
    apart = directory.stat().st_dev != store.stat().st_dev
    kind = _file_system(directory) if apart else ""
    return diagnosis.witness(quoted(directory), kind, found=True)


def _file_system(directory: Path) -> str:
    """Return the kind of file system that holds a directory; '' where no system file says."""
    from pathlib import Path

    number = directory.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == device:
            return after.split()[0]
    return ""


def _newest(ask: Ask, actors: list[str]) -> dict[str, float]:
    """Return the latest time that each device gave, in seconds."""
    newest: dict[str, float] = {}
    for actor in actors:
        commits: list[dict[str, Any]] = ask({"do": "log", "actor": actor, "count": _LOG})[
            "commits"
        ]
        for each in commits:
            author, said = each["author"], each["wall"] / 1000
            newest[author] = max(said, newest.get(author, said))
    return newest
