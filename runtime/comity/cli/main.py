"""`comity`: the one command, and the list of what it can do.

Owns: the group of commands, the global options, and how any error ends. May not know: what a
command does. Nothing of the runtime is imported before a command runs, so that help, usage
errors and shell completion answer at once.
Source: API 'The command line'; issue 2.
"""

from __future__ import annotations

from typing import Final

import click

from comity.cli.commands.change import adopt, invite, redo, remove, restore, stop, undo
from comity.cli.commands.completion import completion
from comity.cli.commands.demo import demo
from comity.cli.commands.doctor import doctor
from comity.cli.commands.inspect import inspect
from comity.cli.commands.look import history, members, snapshot, status, why
from comity.cli.commands.new import new
from comity.cli.commands.relays import relays
from comity.cli.commands.run import join, relay, run
from comity.cli.failures import Commands, quiet_logs

__all__ = ["comity", "main"]

_HELP: Final = """\
Applications among equals, with no server that anybody must trust.

\b
comity demo                                   see it at work, in half a minute
comity new garden                             make an app of your own
comity run examples/todo --store ~/.todo      host an actor, until Ctrl-C
comity run examples/todo --store ~/.todo add milk
comity invite writer --store ~/.todo          let a friend in
"""
"""What `comity --help` says; click keeps the lines of a block after a backspace as they are."""


def _version(context: click.Context, _: click.Parameter, wanted: object) -> None:
    """Print the version and end."""
    if not wanted or context.resilient_parsing:
        return
    from importlib import metadata

    try:
        version = metadata.version("comity")
    except metadata.PackageNotFoundError:
        version = "(not installed: run from its source)"
    click.echo(f"comity {version}")
    context.exit()


@click.group(
    cls=Commands,
    commands=[
        new,
        run,
        join,
        invite,
        members,
        remove,
        history,
        undo,
        redo,
        restore,
        adopt,
        status,
        snapshot,
        why,
        inspect,
        stop,
        relay,
        relays,
        doctor,
        demo,
        completion,
    ],
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version,
    help="Show the version and exit.",
)  # fmt: skip
@click.option("--debug", is_flag=True, help="Show the trace of an error, and all logs.")
def comity(*, debug: bool) -> None:
    """Hold the commands together; see `_HELP`."""
    quiet_logs(debug=debug)


def main() -> None:
    """Run the command of this process."""
    comity(prog_name="comity")
