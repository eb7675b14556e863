"""`completion`: the script that lets a shell complete commands and options.

Owns: nothing but the way to click's own scripts. May not know: any command.
"""

from __future__ import annotations

import click

__all__ = ["completion"]


@click.command(short_help="Print a completion script for a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, *, shell: str) -> None:
    """Print a completion script: `eval "$(comity completion bash)"` in your shell's rc."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None, "click knows the three"
    root = context.find_root().command
    click.echo(kind(root, {}, "comity", "_COMITY_COMPLETE").source())
