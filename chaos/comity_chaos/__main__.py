"""The lab's command line: `comity chaos run|replay|shrink|show`, or `python -m comity_chaos`.

Owns: its words, its progress, how it exits. May not know: what a command does
(`comity_chaos.commands`).

    0 PASS    1 FAIL    2 UNKNOWN    64 misuse    130 interrupted
Source: CHAOS 'User surface', 'Verdict'.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from comity.base.errors import UsageError
from comity_chaos.campaign import Verdict
from comity_chaos.commands import (
    Request,
    Said,
    read_plan,
    replay_command,
    report_command,
    run_command,
    scenarios_command,
    show_command,
    shrink_command,
    trace_command,
)
from comity_chaos.plan_file import WORD_PREFIX
from comity_chaos.runner import Outcome

__all__ = ["main"]

_MISUSE: Final = 64
_INTERRUPTED: Final = 130
_BAR: Final = 30


class _Parser(argparse.ArgumentParser):
    """Ends misuse with a code of its own: 2 is a verdict."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how to get help."""
        self.exit(_MISUSE, f"{self.prog}: {message}\nTry: {self.prog} --help\n")


def _number(word: str) -> int:
    """Read a number from 0."""
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"{word!r} is no number from 0")
    return int(word)


def _count(word: str) -> int:
    """Read a number from 1."""
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is no number from 1")
    return int(word)


def _stretch(word: str) -> tuple[int, int]:
    """Read 'first:last'."""
    first, _, last = word.partition(":")
    return _number(first), _number(last or first)


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = _Parser(prog=prog, description="Find what breaks an app, and tell it.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="search seeds for a broken promise")
    run.add_argument(
        "actor", help="a file with one actor class, its folder, file.py:Class, module:Class"
    )
    run.add_argument("--seeds", type=_count, default=100, help="how many (%(default)s)")
    run.add_argument("--first-seed", type=_number, default=0)
    run.add_argument("--faults", help="groups or kinds, with commas; all (if left out), none")
    run.add_argument(
        "--scenario", metavar="NAME", help="a named one, in place of --faults: see `scenarios`"
    )
    run.add_argument("--nodes", type=_count, default=4, help="at most (%(default)s)")
    run.add_argument("--turns", type=_number, default=40, help="messages in a run")
    run.add_argument("--relays", type=_number)
    run.add_argument("--byzantine", type=_number, help="nodes that lie, at most")
    run.add_argument("--crypto", choices=("symbolic", "sodium"), default="symbolic")
    run.add_argument(
        "--only", action="append", default=[], metavar="MESSAGE", help="send no others"
    )
    run.add_argument(
        "--promise", action="append", default=[], help="module:function of a state"
    )
    run.add_argument("--save", metavar="FOLDER", help="keep the plan of a failure there")
    run.add_argument("--report", metavar="FILE", help="write a page about a failure, HTML")
    commands.add_parser("scenarios", help="list the named scenarios")
    for name, what in (
        ("replay", "run plans again"),
        ("report", "run a plan and write a page about it, to be opened in a browser"),
        ("shrink", "make a failing plan smaller"),
        ("show", "tell what a plan does, without running it"),
        ("trace", "run a plan and print its trace as JSON"),
    ):
        command = commands.add_parser(name, help=what)
        many = "+" if name == "replay" else None
        command.add_argument(
            "plan", nargs=many, help="plan:..., a TOML file, a folder to replay, or - for input"
        )
        if name == "report":
            command.add_argument(
                "--output", default="report.html", metavar="FILE", help="(%(default)s)"
            )
        if name == "trace":
            command.add_argument(
                "--keep", type=_stretch, default=(0, 0), help="first:last note to print"
            )
    return parser


class _Progress:
    """A line that is written over and over, where somebody watches."""

    __slots__ = ("_bitten", "_seeds", "_shown")

    def __init__(self, seeds: int) -> None:
        self._seeds = seeds
        self._bitten = 0
        self._shown = False

    def searched(self, runs: int, outcome: Outcome) -> None:
        """Show how far a search has come."""
        self._bitten += sum(outcome.bitten.values())
        bar = "#" * (runs * _BAR // max(self._seeds, 1))
        self._show(f"[{bar:.<{_BAR}}] {runs} of {self._seeds} seeds, {self._bitten} faults bit")

    def shrunk(self, runs: int, outcome: Outcome) -> None:
        """Show how far a shrinking has come."""
        self._show(f"shrinking: run {runs}, {outcome.plan.size} things")

    def _show(self, line: str) -> None:
        if sys.stderr.isatty():
            self._shown = True
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Leave an empty line."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def main(words: Sequence[str] | None = None, prog: str = "python -m comity_chaos") -> int:
    """Carry out a command; return 0 for PASS, 1 for FAIL, 2 for UNKNOWN, 64 for misuse."""
    said = _parser(prog).parse_args(words)
    progress = _Progress(getattr(said, "seeds", 0))
    try:
        answer = _carry_out(said, progress)
    except UsageError as error:
        progress.clear()
        sys.stderr.write(f"{prog}: {error}\n")
        return _MISUSE
    except OSError as error:
        progress.clear()
        sys.stderr.write(f"{prog}: {error.filename}: {error.strerror}\n")
        return _MISUSE
    except KeyboardInterrupt:
        progress.clear()
        sys.stderr.write("interrupted: nothing was broken so far\n")
        return _INTERRUPTED
    progress.clear()
    sys.stdout.write(answer.text + "\n")
    return int(answer.verdict)


def _carry_out(said: argparse.Namespace, progress: _Progress) -> Said:
    if said.command == "scenarios":
        return scenarios_command()
    if said.command == "run":
        if said.scenario is not None:
            for option in ("faults", "relays", "byzantine"):
                if getattr(said, option) is not None:
                    raise UsageError(
                        f"--scenario {said.scenario} says what there is: leave out --{option}"
                    )
        request = Request(
            actor=said.actor,
            seeds=said.seeds,
            first_seed=said.first_seed,
            faults="all" if said.faults is None else said.faults,
            nodes=said.nodes,
            turns=said.turns,
            relays=said.relays or 0,
            byzantine=said.byzantine or 0,
            crypto=said.crypto,
            only=tuple(said.only),
            promises=tuple(said.promise),
            save=said.save or "",
            report=said.report or "",
            named=said.scenario or "",
        )
        return run_command(request, progress.searched, progress.shrunk)
    if said.command == "replay":
        return _replay(said.plan)
    plan = read_plan(said.plan, sys.stdin.read)
    if said.command == "report":
        return report_command(plan, Path(said.output), progress.shrunk)
    if said.command == "shrink":
        return shrink_command(plan, progress.shrunk)
    if said.command == "show":
        return show_command(plan)
    return trace_command(plan, said.keep)


def _replay(words: Sequence[str]) -> Said:
    """Replay one plan, or several and those in folders; the worst verdict counts."""
    files: list[str] = []
    for word in words:
        folder = not word.startswith(WORD_PREFIX) and Path(word).is_dir()
        inside = sorted(map(str, Path(word).glob("*.toml"))) if folder else [word]
        if not inside:
            raise UsageError(f"there is no plan in {word}")
        files += inside
    answers = [replay_command(read_plan(each, sys.stdin.read)) for each in files]
    if len(answers) == 1:
        return answers[0]
    told = zip(files, answers, strict=True)
    text = "\n".join(f"{name}: {answer.text.splitlines()[-2]}" for name, answer in told)
    failed = any(answer.verdict is Verdict.FAIL for answer in answers)
    return Said(text, Verdict.FAIL if failed else Verdict.PASS)


if __name__ == "__main__":
    sys.exit(main())
