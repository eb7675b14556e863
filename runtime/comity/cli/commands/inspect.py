"""`inspect`: the page that shows all of a node.

Owns: its arguments, and the wait for Ctrl-C. May not know: what the page shows.
"""

from __future__ import annotations

import click

from comity.cli.options import Access, access_options, actor_option

__all__ = ["inspect"]


@click.command(short_help="Look at a node in the browser: fields, members, commits, links.")
@click.argument("target", required=False)
@click.option(
    "--page-port", metavar="PORT", type=click.IntRange(0, 65535), default=0, show_default=True,
    help="Where the page is, at 127.0.0.1; 0 is a free port.",
)  # fmt: skip
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@actor_option
@access_options
def inspect(
    *, access: Access, target: str | None, page_port: int, opens: bool, actor: str | None
) -> None:
    """Show all of a node in the browser, until Ctrl-C.

    It shows the node that runs on the store. If none runs, the store is opened here, without
    taking part; TARGET, the class of an actor, then shows its fields too.
    """
    import threading

    from comity.base.errors import UsageError
    from comity.cli.pages import MISSING, has_web
    from comity.cli.reach import reach
    from comity.cli.target import load_actor

    if not has_web():
        raise UsageError(MISSING)
    from comity.web.inspector import Inspector

    actor_class = None if target is None else load_actor(target)
    with (
        reach(access, actor_class=actor_class, actor=actor) as ask,
        Inspector(ask, port=page_port) as page,
    ):
        click.echo(f"inspector  {page.url}")
        click.echo(click.style("yours alone: whoever has this address owns the node", dim=True))
        click.echo(click.style("Ctrl-C stops it; the node goes on.", dim=True))
        if opens:
            click.launch(page.url)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            click.echo("")
