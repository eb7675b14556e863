"""The lab's command line: `python -m comity_chaos run|replay|shrink|trace`.

Owns: its words. May not know: what they do (`comity_chaos.commands`).
Source: CHAOS 'User surface'. `comity chaos` says the same words.
"""

from __future__ import annotations

import argparse
import sys

from comity.base.errors import UsageError
from comity_chaos.commands import (
    Request,
    Said,
    read_plan,
    replay_command,
    run_command,
    shrink_command,
    trace_command,
)
from comity_chaos.runner import Outcome

__all__ = ["main"]

_USAGE_EXIT = 64


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m comity_chaos", description="Find what breaks an app, and tell it."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="search seeds for a broken promise")
    run.add_argument("actor", help="module:Class or file.py:Class")
    run.add_argument("--seeds", type=int, default=100, help="how many")
    run.add_argument("--first-seed", type=int, default=0)
    run.add_argument("--faults", default="all", help="groups or kinds, with commas")
    run.add_argument("--nodes", type=int, default=4, help="at most")
    run.add_argument("--turns", type=int, default=40, help="messages in a run")
    run.add_argument("--relays", type=int, default=0)
    run.add_argument("--byzantine", type=int, default=0, help="nodes that lie, at most")
    run.add_argument("--crypto", choices=("symbolic", "sodium"), default="symbolic")
    run.add_argument(
        "--promise", action="append", default=[], help="module:function of a state"
    )
    for name, what in (
        ("replay", "run a plan again"),
        ("shrink", "make a failing plan smaller"),
        ("trace", "run a plan and print its trace as JSON"),
    ):
        command = commands.add_parser(name, help=what)
        command.add_argument("plan", help="plan:..., a TOML file, or - for standard input")
        command.add_argument("--keep", default="0:0", help="first:last note to print")
    return parser


def _progress(runs: int, outcome: Outcome) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{runs} runs, seed {outcome.plan.seed} ")
        sys.stderr.flush()


def main(words: list[str] | None = None) -> int:
    """Carry out a command; return 0 for PASS, 1 for FAIL, 2 for UNKNOWN, 64 for misuse."""
    said = _parser().parse_args(words)
    try:
        answer = _carry_out(said)
    except (UsageError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return _USAGE_EXIT
    sys.stdout.write(answer.text + "\n")
    return int(answer.verdict)


def _carry_out(said: argparse.Namespace) -> Said:
    if said.command == "run":
        request = Request(
            actor=said.actor,
            seeds=said.seeds,
            first_seed=said.first_seed,
            faults=said.faults,
            nodes=said.nodes,
            turns=said.turns,
            relays=said.relays,
            byzantine=said.byzantine,
            crypto=said.crypto,
            promises=tuple(said.promise),
        )
        return run_command(request, _progress)
    plan = read_plan(said.plan, sys.stdin.read)
    if said.command == "replay":
        return replay_command(plan)
    if said.command == "shrink":
        return shrink_command(plan)
    first, _, last = said.keep.partition(":")
    return trace_command(plan, (int(first), int(last or first)))


if __name__ == "__main__":
    sys.exit(main())
