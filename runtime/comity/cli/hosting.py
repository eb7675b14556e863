"""A node in the foreground: what a newcomer needs to know, a quiet log, and a clean end.

Owns: the lines that `comity run` and `comity relay` print, and the wait for a signal. May not
know: how nodes are opened.

    reports come in the node's thread --queue--> printed here, so that a terminal that
    stands still (Ctrl-S) never holds the node up
    Ctrl-C, SIGTERM, `comity stop`, the end of standard input if asked for -> return
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from comity.base.ids import short

if TYPE_CHECKING:
    from types import FrameType

    from comity.api.node import Node
    from comity.node.effects import Report

__all__ = ["heed_stops", "serve"]

_QUIET: Final = frozenset(
    {"accepted", "coming", "delayed", "delivered", "even", "left out", "synced", "unmatched"}
)
"""Reports of ordinary life: thousands a minute, and `comity status` has their sum."""

_SECOND_LINK: Final = "another link to the same device"
"""Of two links to one device one goes; nothing is lost by it, so nobody need read of it."""

_LOOK_SECONDS: Final = 0.5


def heed_stops(node: Node) -> threading.Event:
    """Let `comity stop` end this node from now on; return what tells `serve` that it did."""
    stopped = threading.Event()
    node.on_shutdown(stopped.set)
    return stopped


def serve(node: Node, stopped: threading.Event, *, until_eof: bool = False) -> None:
    """Print what happens until the node is to stop. Raises: what stopped the node itself.

    stopped: of `heed_stops`, for whoever asked before this was called.
    """
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def stop(_signal: int = 0, _frame: FrameType | None = None) -> None:
        lines.put(None)

    own = node.device

    def report(found: Report) -> None:
        if found.what in _QUIET or _SECOND_LINK in found.detail:
            return
        if found.what == "member" and found.device == own and found.detail == "removed":
            actor = "the actor" if found.topic is None else f"actor {short(found.topic)}"
            left = f"this device was removed from {actor}: what it holds can still be read"
            lines.put(click.style(left, fg="red"))
        else:
            lines.put(_sentence(found))

    node.on_report(report)
    node.on_shutdown(stop)
    if stopped.is_set():
        stop()
    before = signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)  # for good: closing is not interrupted by another one
    if until_eof:
        threading.Thread(target=_wait_for_eof, args=(stop,), daemon=True).start()
    try:
        while True:
            try:
                line = lines.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                if node.failure is not None:
                    raise node.failure from None
                continue
            if line is None:
                break
            clock = time.strftime("%H:%M:%S")
            click.echo(f"{click.style(clock, dim=True)}  {line}")
    finally:
        signal.signal(signal.SIGINT, before)
    click.echo("stopping: what was acknowledged is on disk")


def _wait_for_eof(stop: Callable[[], None]) -> None:
    while os.read(0, 4096):  # not sys.stdin, whose lock would be held when we end
        pass
    stop()


def _sentence(report: Report) -> str:
    """Say a report in words."""
    device = "a peer" if report.device is None else short(report.device)
    commit = "" if report.commit is None else short(report.commit)
    why = report.detail if report.refusal is None else str(report.refusal)
    match report.what:
        case "linked":
            return f"linked with {device} at {report.detail}"
        case "unlinked":
            return f"lost {device}: {report.detail}"
        case "member":
            changed = "was removed" if why == "removed" else f"takes part as {why}"
            return f"device {device} {changed}"
        case "refused" if commit:
            text = f"refused commit {commit} from {device}: {why}"
            return click.style(text, fg="red") + f" (comity why {commit})"
        case "refused":
            return click.style(f"refused {device}: {why}", fg="red")
        case "told":
            return click.style(f"{device} refused {commit or 'us'}: {why}", fg="yellow")
        case _:
            named = f" of {commit}" if commit else ""
            return click.style(f"{report.what}{named} from {device}: {why}", fg="yellow")
