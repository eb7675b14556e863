"""`demo`: the promise of the project kept before one's eyes.

Owns: the command's options. May not know: the story (`cli.demo`).
"""

from __future__ import annotations

import click

__all__ = ["demo"]


@click.command(short_help="See it at work on real processes, in half a minute.")
@click.option("--keep", is_flag=True, help="Leave everything running for a look around.")
@click.pass_context
def demo(context: click.Context, *, keep: bool) -> None:
    """Show three devices and a relay sharing a list through cuts, a crash and forgeries.

    Runs real processes on this machine for half a minute, in a temporary folder. Exits with 0
    only if every claim that it makes was checked.
    """
    from comity.cli.demo.play import play

    context.exit(play(keep=keep))
