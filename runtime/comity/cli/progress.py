"""The bar that shows how an actor's history comes in.

Owns: the bar. May not know: why somebody waits. Without a terminal at the other end nothing is
drawn; what a program reads on standard output never has a bar in it.
"""

from __future__ import annotations

import queue
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.progress import TaskID

    from comity.api.node import Node
    from comity.base.ids import Topic
    from comity.node.effects import Report

__all__ = ["await_history", "history_bar"]

_PATIENCE: Final = 5.0
"""Seconds without any progress after which nobody waits longer: it goes on by itself later."""


@contextmanager
def history_bar(node: Node) -> Generator[None]:
    """Draw a bar on standard error while the history of an actor comes in, if it is long."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("history"), BarColumn(), TextColumn("{task.fields[to_go]:,} commits to go"),
        DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True,
    )  # fmt: skip
    tasks: dict[Topic | None, TaskID] = {}

    def hear(report: Report) -> None:
        amount = report.amount
        if amount is None:
            return
        if report.topic not in tasks:
            tasks[report.topic] = bar.add_task("", total=None, to_go=amount.commits)
        bar.update(
            tasks[report.topic], completed=amount.received,
            total=amount.received + amount.bytes, to_go=amount.commits,
        )  # fmt: skip

    with bar:
        node.on_report(hear)
        yield


def await_history(node: Node, topic: Topic) -> int:
    """Wait until the history of an actor is here. Returns how many commits are still to go.

    Returns early when nothing has come for some seconds; what was fetched stays.
    """
    moved: queue.SimpleQueue[None] = queue.SimpleQueue()

    def hear(report: Report) -> None:
        if report.amount is not None and report.topic == topic:
            moved.put(None)

    node.on_report(hear)
    while to_go := _to_go(node, topic):
        try:
            moved.get(timeout=_PATIENCE)
        except queue.Empty:
            return to_go
    return 0


def _to_go(node: Node, topic: Topic) -> int:
    return next(
        (each.coming.commits for each in node.status().topics if each.topic == topic), 0
    )
