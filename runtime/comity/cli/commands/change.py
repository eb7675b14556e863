"""Who takes part, and what counts: `invite`, `remove`, `undo`, `redo`, `restore`, `adopt`.

Owns: their arguments and what is printed. May not know: whether a node runs (`cli.reach`).
"""

from __future__ import annotations

from typing import Any

import click

from comity.cli.options import Access, access_options, actor_option, json_option

__all__ = ["adopt", "invite", "redo", "remove", "restore", "stop", "undo"]


@click.command(short_help="Print a link that lets one device in.")
@click.argument("role", type=click.Choice(["reader", "writer", "admin"]), default="writer")
@click.option(
    "--hours", type=float, default=168.0, show_default=True,
    help="How long the link works: a minute (0.02) to a year (8784).",
)  # fmt: skip
@click.option(
    "--words", "as_words", is_flag=True, help="Twelve words instead, to read out or write down."
)
@click.option(
    "--code", is_flag=True,
    help="Two words and a number instead, for ten minutes and three tries.",
)  # fmt: skip
@click.option("--qr", is_flag=True, help="Draw the link as a QR code, too.")
@actor_option
@access_options
@json_option
def invite(  # noqa: PLR0913  (one for each option)
    *,
    access: Access,
    role: str,
    hours: float,
    as_words: bool,
    code: bool,
    qr: bool,
    actor: str | None,
    as_json: bool,
) -> None:
    """Print a link that lets one device in, as ROLE (reader, writer or admin).

    Hand it over in private: whoever has it first can use it, once. Words and a code do not
    say where this device is: its address is printed beside them.
    """
    from comity.base.errors import UsageError
    from comity.cli.reach import running
    from comity.cli.show import print_json, quoted

    ask = running(access.store)
    if ask is None:
        raise UsageError(
            f"no node runs on {access.store}, so nobody could use the invite: start it with "
            f"`comity run TARGET --store {quoted(access.store)}`"
        )
    if as_words + code + qr > 1:
        raise UsageError("--words, --code and --qr are three ways to hand over: give one")
    request = {"do": "invite", "role": role, "hours": hours, "actor": actor}
    found = ask({**request, "form": "words" if as_words else "code" if code else "link"})
    if as_json:
        print_json(found)
        return
    click.echo(found["link"])
    if qr:
        _draw(found["link"])
    if as_words or code:
        shown = quoted(found["link"])
        click.echo(
            f"on the other device:  comity join {shown} TARGET --at {found['address']}",
            err=True,
        )


def _draw(text: str) -> None:
    """Draw a QR code in the terminal; half blocks, so that it is square and small."""
    import io

    import segno

    drawn = io.StringIO()
    segno.make(text, error="l").terminal(drawn, compact=True, border=2)
    click.echo(drawn.getvalue(), nl=False)


@click.command(short_help="Remove a device from an actor, and change the key.")
@click.argument("device")
@click.option("--yes", is_flag=True, help="Do not ask when this device itself is to leave.")
@actor_option
@access_options
@json_option
def remove(*, access: Access, device: str, yes: bool, actor: str | None, as_json: bool) -> None:
    """Remove DEVICE (the beginning of its id) from an actor, and change the key.

    What it wrote before stays; what it writes without knowing of this is hidden. To leave an
    actor, remove this device itself.
    """
    from comity.cli.reach import reach
    from comity.cli.show import print_json

    with reach(access, looks=False) as ask:
        members = ask({"do": "members", "actor": actor})
        own = [each["device"] for each in members["members"] if each["this"]]
        if not yes and any(each.startswith(device.lower()) for each in own):
            click.confirm(f"Leave actor {members['actor'][:8]} for good?", abort=True, err=True)
        found = ask({"do": "remove", "device": device, "actor": actor})
    if as_json:
        print_json(found)
    else:
        click.echo(f"removed device {found['device'][:16]}; the key has changed")


def _take_back(
    what: str, access: Access, turn: str | None, actor: str | None
) -> dict[str, Any]:
    from comity.cli.reach import reach

    with reach(access, looks=False) as ask:
        return ask({"do": what, "turn": turn, "actor": actor})


@click.command(short_help="Hide this device's newest turn, or the one that is named.")
@click.argument("turn", required=False)
@actor_option
@access_options
@json_option
def undo(*, access: Access, turn: str | None, actor: str | None, as_json: bool) -> None:
    """Hide this device's newest visible turn, or TURN, an id of `comity history`.

    An admin can undo anybody's.
    """
    from comity.cli.show import print_json

    found = _take_back("undo", access, turn, actor)
    if as_json:
        print_json(found)
    else:
        click.echo(f"undone: turn {found['turn']}")


@click.command(short_help="Take back this device's newest undo.")
@click.argument("turn", required=False)
@actor_option
@access_options
@json_option
def redo(*, access: Access, turn: str | None, actor: str | None, as_json: bool) -> None:
    """Take back this device's newest undo, or what it may take back of TURN's."""
    from comity.cli.show import print_json

    found = _take_back("redo", access, turn, actor)
    if as_json:
        print_json(found)
    else:
        click.echo(f"redone: turn {found['turn']}")


@click.command(short_help="Write the fields back to what they were after a turn.")
@click.argument("turn")
@click.argument("target", required=False)
@actor_option
@access_options
@json_option
def restore(
    *, access: Access, turn: str, target: str | None, actor: str | None, as_json: bool
) -> None:
    """Write the fields back to what they were just after TURN, an id of `comity history`.

    It is an edit like any other: nothing is lost, and `comity undo` takes it back. TARGET, the
    actor's class, is needed only while no node runs on the store.
    """
    from comity.cli.reach import ask_opened
    from comity.cli.show import print_json

    request = {"do": "restore", "turn": turn}
    found = ask_opened(access, request, target, actor, looks=False)
    if as_json:
        print_json(found)
    else:
        click.echo(f"restored: {', '.join(found['fields']) or 'nothing differed'}")


@click.command(short_help="Let a commit count that a removal hides.")
@click.argument("commit", metavar="ID")
@actor_option
@access_options
@json_option
def adopt(*, access: Access, commit: str, actor: str | None, as_json: bool) -> None:
    """Let a commit count that a removal hides, with all that its author made before.

    ID: 8 digits of it or more. `comity why ID` tells who may adopt it.
    """
    from comity.cli.reach import reach
    from comity.cli.show import print_json

    with reach(access, looks=False) as ask:
        found = ask({"do": "adopt", "commit": commit, "actor": actor})
    if as_json:
        print_json(found)
    else:
        click.echo(found["why"])


@click.command(short_help="Stop the node that runs on a store.")
@access_options
def stop(*, access: Access) -> None:
    """Stop the node that `comity run` or `comity relay` runs on a store."""
    from comity.base.errors import UsageError
    from comity.cli.reach import running

    ask = running(access.store)
    if ask is None:
        raise UsageError(f"no node runs on {access.store}: there is nothing to stop")
    ask({"do": "shutdown"})
    click.echo("stopping")
