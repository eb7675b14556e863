"""A few threads for many jobs, and more of them for as long as jobs block.

Owns: the worker threads, the queue of jobs with something to do, the watchdog. May not
know: actors, messages, futures. A job is in the queue or with one worker, never both.

    worker   idle --job--> busy --job done--> idle
             busy --blocks on a future--> blocked (does not count) --> busy
             idle, and more than `size` count, for `linger` seconds --> gone

The pool keeps `size` workers that are not blocked. Who blocks on a future says so, and a
worker takes its place. Who blocks without saying so (a file, a socket, a sleep) is seen by
the watchdog: while jobs wait and no worker has finished one for a tick, it adds workers,
doubling. When it wakes late itself, threads are waiting for the interpreter, not for the
world: more threads would only wait with them, so it then adds one at a time, and slowly.
Source: sketches of the dispatcher; `WORKERS_MAX`, `TICK`, `LINGER` below.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from contextlib import contextmanager
from time import monotonic, monotonic_ns, sleep
from typing import Final, Protocol

from comity.actor.waits import Answerer, Awaited, DeadlockError, refuse_cycle
from comity.base.clock import MILLISECOND, SECOND, Duration

__all__ = ["LINGER", "WORKERS_MAX", "Job", "Worker", "WorkerPool", "worker_here"]

WORKERS_MAX: Final = 256
"""Threads of one pool: so many handlers may block at once. Half would stop chains of asks
128 deep; twice costs little but the address space of stacks (8 MiB each)."""

LINGER: Final = 1.0
"""Seconds that a worker beyond the pool's size stays idle before it goes: longer than the
gaps in a burst of blocking handlers, short enough that a burst leaves nothing behind."""

TICK: Final = Duration(5 * MILLISECOND)
"""How often the watchdog looks: more than twice a batch's budget, so that whoever is still
at it has overrun; a third actor waits about as long as this for a new worker."""

TICKS_CONTENDED: Final = 20
"""Ticks without progress before a worker is added while the interpreter is contended."""

TICKS_QUIET: Final = 200
"""Ticks without work (1 s) before the watchdog sleeps until it is stirred."""

LATE: Final = Duration(2 * MILLISECOND)
"""A watchdog that wakes later than this waited for the interpreter."""


class Job(Answerer, Protocol):
    """Something that has work to do, from time to time."""

    def run_batch(self) -> bool:
        """Work for a bounded time; return whether there is more to do."""
        ...


class Worker(threading.Thread):
    """One thread of a pool."""

    def __init__(self, pool: WorkerPool, number: int) -> None:
        """Make the thread; the pool starts it."""
        super().__init__(name=f"comity-worker-{number}", daemon=True)
        self.pool = pool
        self.number = number
        self.job: Job | None = None
        self.is_blocked = False
        self.batches = 0

    def run(self) -> None:
        """Run batches until the pool has no place for this worker."""
        pool = self.pool
        try:
            while (job := pool.next_job(self)) is not None:
                self.batches += 1
                self.job = job
                pool.stir()  # after `job` is set: the watchdog looks the other way round
                more = job.run_batch()
                self.job = None
                if more:
                    pool.submit(job)
                    sleep(0)  # let go of the interpreter: who asks has waited for a batch
        finally:
            pool.left(self)

    @contextmanager
    def blocked(self, job: Job, awaited: Awaited) -> Generator[None]:
        """Tell that the job on this worker waits, from here to the end of the block.

        Raises: DeadlockError if the wait could never end.
        """
        assert not self.is_blocked
        job.awaits = awaited  # published before anybody looks
        try:
            refuse_cycle(job)
            self.pool.worker_blocks(self)
            try:
                yield
            finally:
                self.pool.worker_resumes(self)
        finally:
            job.awaits = None


def worker_here() -> tuple[Worker, Job] | None:
    """Return the worker that runs the caller and its job, or None on any other thread."""
    thread = threading.current_thread()
    if isinstance(thread, Worker) and thread.job is not None:
        return thread, thread.job
    return None


class WorkerPool:
    """Threads that take jobs from one queue, first come first served."""

    __slots__ = (
        "_closing",
        "_counted",
        "_dozing",
        "_jobs",
        "_linger",
        "_lock",
        "_number",
        "_quiet_ticks",
        "_size",
        "_stirred",
        "_watchdog",
        "_workers",
        "_workers_max",
    )

    def __init__(
        self,
        *,
        size: int,
        workers_max: int = WORKERS_MAX,
        linger: float = LINGER,
        quiet_ticks: int = TICKS_QUIET,
    ) -> None:
        """Start `size` workers.

        linger: seconds that a worker beyond `size` stays idle before it goes.
        quiet_ticks: ticks without work before the watchdog sleeps until it is stirred.
        """
        assert 0 < size <= workers_max, (size, workers_max)
        self._size = size
        self._workers_max = workers_max
        self._linger = linger
        self._quiet_ticks = quiet_ticks
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._workers: dict[int, Worker] = {}
        self._counted = 0
        self._number = 0
        self._closing = threading.Event()
        self._stirred = threading.Event()
        self._dozing = False
        with self._lock:
            for _ in range(size):
                self._spawn()
        self._watchdog = threading.Thread(
            target=self._watch, name="comity-watchdog", daemon=True
        )
        self._watchdog.start()

    @property
    def workers(self) -> int:
        """How many threads there are, blocked ones included."""
        return len(self._workers)

    def submit(self, job: Job) -> None:
        """Have a worker run a batch of the job, after those that were submitted earlier."""
        self._jobs.put(job)

    def next_job(self, worker: Worker) -> Job | None:
        """Wait for a job; None means that the worker is to go. For workers."""
        while True:
            linger = self._linger if self._counted > self._size else None
            try:
                job = self._jobs.get(timeout=linger)
            except queue.Empty:
                with self._lock:
                    if self._counted > self._size:
                        self._remove(worker)
                        return None
                continue
            return job

    def stir(self) -> None:
        """Wake the watchdog if it sleeps. For workers."""
        if self._dozing:
            self._stirred.set()

    def left(self, worker: Worker) -> None:
        """Forget a worker whose thread ends; another takes its place if it was needed."""
        with self._lock:
            self._remove(worker)
            if self._counted < self._size:
                self._spawn()

    def worker_blocks(self, worker: Worker) -> None:
        """Count a worker out until it resumes, and keep the pool's size without it.

        Raises: DeadlockError if there are as many threads as there may be.
        """
        with self._lock:
            if self._counted <= self._size and len(self._workers) >= self._workers_max:
                raise DeadlockError(
                    f"{self._workers_max} handlers wait for replies at once and no thread is "
                    "left to answer them: use tell, or wait for fewer"
                )
            worker.is_blocked = True
            self._counted -= 1
            if self._counted < self._size:
                self._spawn()

    def worker_resumes(self, worker: Worker) -> None:
        """Count a worker in again."""
        with self._lock:
            worker.is_blocked = False
            self._counted += 1

    def close(self, timeout: float) -> bool:
        """End all threads; jobs still queued are not run. Return whether all ended in time.

        timeout: seconds. A thread in a handler that does not return cannot be ended; it
        goes when the handler does, and does not keep the process alive.
        """
        assert worker_here() is None, "a worker cannot wait for its own end"
        ends = monotonic() + timeout
        with self._lock:
            self._closing.set()
            self._stirred.set()
            threads = list(self._workers.values())
        for _ in threads:
            self._jobs.put(None)
        for thread in (*threads, self._watchdog):
            thread.join(max(0.0, ends - monotonic()))
        return not any(thread.is_alive() for thread in (*threads, self._watchdog))

    def _spawn(self) -> None:
        assert self._lock.locked()
        if self._closing.is_set():
            return
        self._number += 1
        worker = Worker(self, self._number)
        self._workers[worker.number] = worker
        self._counted += 1
        worker.start()

    def _remove(self, worker: Worker) -> None:
        assert self._lock.locked()
        assert not worker.is_blocked
        if self._workers.pop(worker.number, None) is not None:
            self._counted -= 1

    def _watch(self) -> None:
        """Add workers while all are stuck and jobs wait. Runs on the watchdog's thread."""
        seen: list[tuple[int, int]] = []
        stuck_ticks = quiet_ticks = 0
        while not self._closing.is_set():
            if quiet_ticks >= self._quiet_ticks:
                self._doze()
                quiet_ticks = 0
            started = monotonic_ns()
            if self._closing.wait(TICK / SECOND):
                return
            late = monotonic_ns() - started - TICK
            running = [w for w in list(self._workers.values()) if not w.is_blocked]
            busy = [worker for worker in running if worker.job is not None]
            quiet_ticks = 0 if busy else quiet_ticks + 1
            now = [(worker.number, worker.batches) for worker in busy]
            is_stuck = len(busy) == len(running) and now == seen and not self._jobs.empty()
            stuck_ticks = stuck_ticks + 1 if is_stuck else 0
            seen = now
            if stuck_ticks and late < LATE:
                self._grow(min(len(running), self._jobs.qsize()))
            elif stuck_ticks >= TICKS_CONTENDED:
                self._grow(1)
                stuck_ticks = 0

    def _doze(self) -> None:
        """Sleep until there is work again, so that an idle process never wakes."""
        self._stirred.clear()
        self._dozing = True
        busy = any(worker.job is not None for worker in list(self._workers.values()))
        if not busy and not self._closing.is_set():
            self._stirred.wait()
        self._dozing = False

    def _grow(self, count: int) -> None:
        with self._lock:
            for _ in range(min(count, self._workers_max - len(self._workers))):
                self._spawn()
