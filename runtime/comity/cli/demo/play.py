"""The demonstration from the first process to the last: `play` runs it and says how it went.

Owns: the order of the acts, the folder they play in, and the end of it. May not know: what an
act does (`acts`), how claims are checked (`claims`).

    0   every claim was checked and held
    1   a claim did not hold, or something that the acts rest on failed
    130 interrupted
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console

from comity.base.errors import ComityError
from comity.cli.demo import acts
from comity.cli.demo.claims import ClaimFailed, Claims
from comity.cli.demo.household import Household
from comity.cli.demo.story import DEVICES, RELAY
from comity.cli.demo.wires import Wires
from comity.drivers.system import SystemEntropy

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["ORDER", "play"]

_WIDTH_MAX: Final = 96
ORDER: Final = (
    acts.set_up,
    acts.share,
    acts.edit,
    acts.cut,
    acts.crash,
    acts.relay,
    acts.heal,
    acts.search_all,
    acts.attack,
)


def play(*, keep: bool, order: Sequence[Callable[[acts.Stage], None]] = ORDER) -> int:
    """Play the acts; return the exit code. keep: leave it running until Ctrl-C."""
    console = Console(width=min(Console().width, _WIDTH_MAX), soft_wrap=False)
    claims = Claims(console)
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ExitStack() as stack:
            folder = stack.enter_context(_stage_floor(console))
            wires = stack.enter_context(Wires())
            passphrase = SystemEntropy().draw(24).hex()
            household = stack.enter_context(Household(folder, wires, _hide(folder, passphrase)))
            stage = acts.Stage(claims, household, passphrase)
            started = time.monotonic()
            for act in order:
                act(stage)
            _applaud(console, claims, time.monotonic() - started)
            if keep:
                _stay(console, household)
    except ClaimFailed as error:
        console.print(f"\n[bold red]failed:[/] {error}", highlight=False)
        return 1
    except ComityError as error:
        console.print(f"\n[bold red]the story broke off:[/] {error}", highlight=False)
        return 1
    except KeyboardInterrupt:
        console.print("\ninterrupted; every process has been ended")
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


@contextmanager
def _stage_floor(console: Console) -> Generator[Path]:
    """Give a folder that goes away in the end, unless something failed in it."""
    folder = Path(tempfile.mkdtemp(prefix="comity-demo-"))
    try:
        yield folder
    except (ClaimFailed, ComityError):
        console.print(f"\nstores and logs are kept for you in {folder}", highlight=False)
        raise
    except BaseException:
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _hide(folder: Path, passphrase: str) -> Path:
    """Write the passphrase where only this user can read it."""
    path = folder / "passphrase"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(passphrase + "\n")
    return path


def _applaud(console: Console, claims: Claims, seconds: float) -> None:
    console.print()
    console.rule(style="dim")
    console.print(
        f"[bold green]All {claims.checked} claims were checked and held[/] in {seconds:.1f} s, "
        "on real processes, with no server that anybody trusted.",
        highlight=False,
    )


def _stay(console: Console, household: Household) -> None:
    """Say how to look around, and wait for Ctrl-C."""
    console.print("\nEverything goes on running. From another terminal:", highlight=False)
    for name in (*DEVICES, RELAY):
        console.print(f"  comity status --store {household.folder / name}", highlight=False)
    store = household.folder / DEVICES[0]
    for line in (
        f"comity snapshot --store {store}",
        f"comity members --store {store}",
        f"comity invite writer --store {store}",
    ):
        console.print(f"  {line}", highlight=False)
    console.print("Ctrl-C ends all of it and removes its folder.")
    with suppress(KeyboardInterrupt):
        signal.pause()
