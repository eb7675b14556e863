"""`status`, `snapshot`, `history`, `members`, `why`: looking at a node, changing nothing.

Owns: their arguments and what is printed. May not know: whether a node runs (`cli.reach`).
"""

from __future__ import annotations

import click

from comity.cli.options import Access, access_options, actor_option, json_option

__all__ = ["history", "members", "snapshot", "status", "why"]


@click.command(short_help="Show a node: its actors, its links, what it refused.")
@access_options
@json_option
def status(*, access: Access, as_json: bool) -> None:
    """Show a node at a glance: its actors, its links, what it refused."""
    from comity.cli.reach import reach, running
    from comity.cli.show import print_json, status_lines

    is_running = running(access.store) is not None
    with reach(access) as ask:
        found = ask({"do": "status"})
    if as_json:
        print_json({**found, "running": is_running})
        return
    for line in status_lines(found, access.store):
        click.echo(line)
    if not is_running:
        click.echo("no node runs on this store now")


@click.command(short_help="Show the fields of an actor, now or as they were.")
@click.argument("target", required=False)
@click.option("--at", "turn", metavar="TURN",
              help="As they were just after this turn, an id of `comity history`.")  # fmt: skip
@actor_option
@access_options
@json_option
def snapshot(
    *, access: Access, target: str | None, turn: str | None, actor: str | None, as_json: bool
) -> None:
    """Show all fields of an actor as they are now, or were just after a turn.

    TARGET, its class, is needed only while no node runs on the store.
    """
    from comity.cli.reach import ask_opened
    from comity.cli.show import print_json, snapshot_lines

    request = {"do": "snapshot"} if turn is None else {"do": "at", "turn": turn}
    found = ask_opened(access, request, target, actor)
    if as_json:
        print_json(found)
    else:
        for line in snapshot_lines(found):
            click.echo(line)


@click.command(short_help="List the newest turns of an actor.")
@click.argument("target", required=False)
@click.option("--newest", type=click.IntRange(1, 10_000), default=20, show_default=True,
              help="How many turns.")  # fmt: skip
@click.option("--unsent", is_flag=True,
              help="Instead: what was done here before the store became another device, "
                   "and never left it.")  # fmt: skip
@click.option("--forget", is_flag=True, help="With --unsent: show it, and let go of it.")
@actor_option
@access_options
@json_option
def history(  # noqa: PLR0913  (one for each option)
    *,
    access: Access,
    target: str | None,
    newest: int,
    unsent: bool,
    forget: bool,
    actor: str | None,
    as_json: bool,
) -> None:
    """List the newest turns of an actor, the newest last: which, when, by whom, what.

    TARGET, its class, is needed only while no node runs on the store.
    """
    from comity.cli.reach import ask_opened
    from comity.cli.show import history_lines, print_json, unsent_lines

    if forget and not unsent:
        raise click.UsageError("--forget goes with --unsent: the log itself forgets nothing")
    if unsent:
        more = {"forget": "yes"} if forget else {}
        request: dict[str, object] = {"do": "unsent", **more}
        found = ask_opened(access, request, target, actor)
        if as_json:
            print_json(found)
            return
        for line in unsent_lines(found["turns"], forgotten=found["forgotten"]):
            click.echo(line)
        return
    found = ask_opened(access, {"do": "history", "newest": newest}, target, actor)
    if as_json:
        print_json(found)
    else:
        for line in history_lines(found["turns"]):
            click.echo(line)


@click.command(short_help="List the devices that take part in an actor.")
@actor_option
@access_options
@json_option
def members(*, access: Access, actor: str | None, as_json: bool) -> None:
    """List the devices that take part in an actor, and what each may do."""
    from comity.cli.reach import reach
    from comity.cli.show import members_lines, print_json

    with reach(access) as ask:
        found = ask({"do": "members", "actor": actor})
    if as_json:
        print_json(found)
    else:
        for line in members_lines(found["members"]):
            click.echo(line)


@click.command(short_help="Say why a commit counts, is hidden, or was refused.")
@click.argument("commit", metavar="ID")
@access_options
@json_option
def why(*, access: Access, commit: str, as_json: bool) -> None:
    """Say why a commit counts, is hidden, or was refused. ID: 8 digits of it or more."""
    from comity.cli.reach import reach
    from comity.cli.show import print_json

    with reach(access) as ask:
        found = ask({"do": "why", "commit": commit})
    if as_json:
        print_json(found)
    else:
        click.echo(found["why"])
