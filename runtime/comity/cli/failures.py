"""How a command fails: one sentence, a colour, an exit code.

Owns: the mapping from kinds of error to what a person sees. May not know: commands.

    UsageError    the caller's      exit 2
    WorldError    the environment's exit 1
    anything else ours: a bug       exit 70, and how to see its trace

`--debug` lets every error through with its trace.
Source: STYLE 'Errors'.
"""

from __future__ import annotations

import logging
from typing import IO, Any, Final

import click

from comity.cli.plugged import plugged_command, plugged_names

__all__ = ["Commands", "Failure", "quiet_logs"]

EXIT_WORLD: Final = 1
EXIT_USAGE: Final = 2
EXIT_BUG: Final = 70
"""EX_SOFTWARE of sysexits(3)."""


class Failure(click.ClickException):
    """An error as a person sees it."""

    def __init__(self, message: str, exit_code: int) -> None:
        """Take the sentence and the code that the process ends with."""
        super().__init__(message)
        # click reads it from the instance, and declares it for the class
        self.exit_code = exit_code  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence, red where there are colours."""
        text = click.style(f"error: {self.message}", fg="red")
        click.echo(text, file=file, err=file is None)


class Commands(click.Group):
    """The group of commands; keeps their order, and turns every error into a `Failure`.

    Commands that other packages bring (`cli.plugged`) come last, and are looked for only when
    they are asked for.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order in which they are declared: by use."""
        del ctx
        return [*self.commands, *plugged_names()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command of ours, or one that another package brings."""
        return super().get_command(ctx, cmd_name) or plugged_command(cmd_name)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  (click's signature)
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            raise _failure(error) from error


def _failure(error: Exception) -> Failure:
    from comity.base.errors import ComityError, UsageError, WorldError

    match error:
        case UsageError():
            return Failure(str(error), EXIT_USAGE)
        case WorldError():
            return Failure(str(error), EXIT_WORLD)
        case ComityError():
            return Failure(str(error), EXIT_BUG)
        case _:
            return Failure(
                f"this is a bug in Comity: {type(error).__name__}: {error}; run the command "
                "again as `comity --debug ...` and report what it shows",
                EXIT_BUG,
            )


class _Plain(logging.Formatter):
    """One line a record; the trace of an error only when debugging."""

    def __init__(self, *, debug: bool) -> None:
        super().__init__()
        self._debug = debug

    def format(self, record: logging.LogRecord) -> str:
        """Say the level, the text, and of an exception its last line."""
        text = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            text += f": {type(error).__name__}: {error}"
            if self._debug and record.exc_info:
                text += "\n" + self.formatException(record.exc_info)
        colour = "red" if record.levelno >= logging.ERROR else "yellow"
        return click.style(f"{record.levelname.lower()}: ", fg=colour) + text


class _Errors(logging.Handler):
    """Prints to standard error, as it is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        click.echo(self.format(record), err=True)


def quiet_logs(*, debug: bool) -> None:
    """Show warnings and errors of the runtime as lines; with `debug` all that it logs."""
    handler = _Errors()
    handler.setFormatter(_Plain(debug=debug))
    logger = logging.getLogger("comity")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.DEBUG if debug else logging.WARNING)
