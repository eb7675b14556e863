"""Actors that fail, watch and have children, for both hosts.

Owns: `Fragile` under each policy, `Worker`, `Boss`. May not know: who hosts them.
"""

from __future__ import annotations

from typing import ClassVar

from comity import Actor, Counter, Down, Escalate, Restart, Stop
from comity.actor.supervision import Supervise

__all__ = ["Boss", "Fragile", "Mortal", "Worker"]


class Fragile(Actor):
    """Begins anew when it fails."""

    supervise: ClassVar[Supervise | None] = Restart(max=3, within=60, backoff=(0.01, 0.02))
    starts: ClassVar[list[str]] = []
    attempts: ClassVar[list[int]] = []
    total: Counter

    def on_start(self) -> None:
        """Remember that it began."""
        self.seen = 0
        self.starts.append("start")
        self.every(3600, self.nothing)

    def on_failure(self, error: Exception) -> None:
        """Remember why it will begin anew."""
        self.starts.append(f"failure {error}")

    def nothing(self) -> None:
        """Do nothing."""

    def add(self, number: int) -> int:
        """Count, in a field and in an attribute."""
        self.total += number
        self.seen += 1
        return int(self.total)

    def look(self) -> tuple[int, int]:
        """Return both counts."""
        return int(self.total), self.seen

    def fail_until(self, attempt: int) -> None:
        """Write and fail, but not at this attempt."""
        self.attempts.append(attempt)
        self.total += 100
        if len(self.attempts) < attempt:
            raise ValueError(f"attempt {len(self.attempts)}")

    def exit(self) -> None:
        """Leave as no handler may."""
        raise SystemExit(1)


class Mortal(Fragile):
    """Stops when it fails."""

    supervise: ClassVar[Supervise | None] = Stop()


class Worker(Actor):
    """A child: it lets its parent decide."""

    supervise: ClassVar[Supervise | None] = Escalate()

    def on_start(self) -> None:
        """Begin with nothing done."""
        self.done = 0

    def work(self, amount: int) -> int:
        """Do something."""
        if amount < 0:
            raise ValueError("no work")
        self.done += amount
        return self.done


class Boss(Actor):
    """Has a worker and watches it."""

    supervise: ClassVar[Supervise | None] = Restart(max=2, within=60, backoff=(0.01, 0.02))
    downs: Counter

    def on_start(self) -> None:
        """Start the worker."""
        self.worker = self.child(Worker)
        self.heard: list[str] = []
        self.watch(self.worker, self._down)

    async def delegate(self, amount: int) -> int:
        """Let the worker work."""
        return await self.worker.ask(Worker.work, amount)

    def hurt(self) -> None:
        """Give the worker what it fails at."""
        self.worker.tell(Worker.work, -1)

    def watch_worker_again(self) -> None:
        """Watch what may be gone."""
        self.watch(self.worker, self._down)

    def get_heard(self) -> list[str]:
        """Return what was heard since the start."""
        return self.heard

    def _down(self, down: Down) -> None:
        self.heard.append(repr(down.error))
        self.downs += 1
