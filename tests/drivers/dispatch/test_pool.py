"""The pool: few threads, more for as long as jobs block, none left in the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from comity.actor.waits import Awaited, DeadlockError
from comity.drivers.dispatch.future import Future
from comity.drivers.dispatch.pool import WorkerPool, worker_here

PATIENCE = 30.0


class Task:
    """A job that calls a function once a batch, as often as it says."""

    label = "task"

    def __init__(self, function: Callable[[], object], *, batches: int = 1) -> None:
        self.awaits: Awaited | None = None
        self.done: Future[None] = Future()
        self._function = function
        self._batches = batches

    def run_batch(self) -> bool:
        """Call the function; done after the last batch."""
        self._function()
        self._batches -= 1
        if self._batches == 0:
            self.done.set(None)
        return self._batches > 0


@pytest.fixture
def pools() -> Iterator[Callable[..., WorkerPool]]:
    """Return a maker of pools; each must end with all of its threads."""
    made: list[WorkerPool] = []

    def make(
        size: int, *, workers_max: int = 256, linger: float = 0.0, quiet_ticks: int = 200
    ) -> WorkerPool:
        made.append(
            WorkerPool(
                size=size, workers_max=workers_max, linger=linger, quiet_ticks=quiet_ticks
            )
        )
        return made[-1]

    yield make
    for pool in made:
        assert pool.close(PATIENCE)
        assert pool.workers == 0
    threads = [each for each in threading.enumerate() if each.name.startswith("comity-")]
    for thread in threads:  # one that went by itself may be at its last instruction
        thread.join(PATIENCE)
    assert not [each for each in threads if each.is_alive()]


def run(pool: WorkerPool, *tasks: Task) -> None:
    """Run tasks to their end."""
    for task in tasks:
        pool.submit(task)
    for task in tasks:
        task.done.get(timeout=PATIENCE)


def test_one_worker_takes_jobs_in_turn(pools: Callable[..., WorkerPool]) -> None:
    """First come, first served, and a job that has more goes to the end of the queue."""
    pool = pools(1)
    gate = threading.Event()
    order: list[str] = []
    pool.submit(Task(lambda: gate.wait(PATIENCE)))
    tasks = [Task(partial(order.append, name), batches=2) for name in "abc"]
    for task in tasks:
        pool.submit(task)
    gate.set()
    run(pool, Task(lambda: None))
    for task in tasks:
        task.done.get(timeout=PATIENCE)
    assert order == ["a", "b", "c", "a", "b", "c"]


@pytest.mark.parametrize("quiet_ticks", [0, 200])
def test_jobs_that_block_do_not_keep_others_waiting(
    pools: Callable[..., WorkerPool], quiet_ticks: int
) -> None:
    """Ten jobs block two workers; another runs while all ten are still blocked.

    With `quiet_ticks` of 0 the watchdog sleeps whenever it may, and is woken each time.
    """
    pool = pools(2, quiet_ticks=quiet_ticks)
    for _ in range(3):
        gate = threading.Event()
        blocked = [Task(partial(gate.wait, PATIENCE)) for _ in range(10)]
        for task in blocked:
            pool.submit(task)
        run(pool, Task(lambda: None))
        assert not any(task.done.done() for task in blocked)
        gate.set()
        run(pool)
        for task in blocked:
            task.done.get(timeout=PATIENCE)


def test_the_pool_shrinks_again(pools: Callable[..., WorkerPool]) -> None:
    """Workers that were added go when they find nothing to do; the size stays."""
    pool = pools(2)
    gate = threading.Event()
    blocked = [Task(lambda: gate.wait(PATIENCE)) for _ in range(8)]
    for task in blocked:
        pool.submit(task)
    run(pool, Task(lambda: None))
    assert pool.workers > 2
    gate.set()
    for task in blocked:
        task.done.get(timeout=PATIENCE)
    for _ in range(100_000):
        run(pool, Task(lambda: None))
        if pool.workers == 2:
            break
    assert pool.workers == 2


def test_the_pool_is_bounded(pools: Callable[..., WorkerPool]) -> None:
    """However many jobs block, there are never more threads than `workers_max`."""
    pool = pools(1, workers_max=3)
    gate = threading.Event()
    running = threading.Semaphore(0)
    seen: list[int] = []

    def block() -> None:
        running.release()
        gate.wait(PATIENCE)
        seen.append(pool.workers)

    blocked = [Task(block) for _ in range(9)]
    for task in blocked:
        pool.submit(task)
    for _ in range(3):
        assert running.acquire(timeout=PATIENCE)
    assert pool.workers == 3
    gate.set()
    for task in blocked:
        task.done.get(timeout=PATIENCE)
    assert max(seen) <= 3


def wait_for(future: Future[None]) -> Callable[[], None]:
    """Return a handler that waits for a future, within a worker."""
    return lambda: future.get(timeout=PATIENCE)


def test_a_worker_that_waits_for_a_future_is_replaced(
    pools: Callable[..., WorkerPool],
) -> None:
    """A chain of waits a hundred deep ends on a pool of one."""
    pool = pools(1)
    futures = [Future[None]() for _ in range(101)]

    def step(depth: int) -> None:
        if depth < 100:
            pool.submit(Task(lambda: step(depth + 1)))
            futures[depth + 1].get(timeout=PATIENCE)
        futures[depth].set(None)

    run(pool, Task(lambda: step(0)))
    assert futures[0].done()


def test_waiting_beyond_the_bound_is_refused(pools: Callable[..., WorkerPool]) -> None:
    """With no thread left to answer, waiting could hang: the handler is told instead."""
    pool = pools(1, workers_max=2)
    gate: Future[None] = Future()
    entered = threading.Event()

    def first() -> None:
        pool.submit(second)
        gate.get(timeout=PATIENCE)

    refused: list[DeadlockError] = []

    def wait() -> None:
        entered.set()
        try:
            Future[None]().get(timeout=PATIENCE)
        except DeadlockError as error:
            refused.append(error)

    second = Task(wait)
    outer = Task(first)
    pool.submit(outer)
    assert entered.wait(PATIENCE)
    second.done.get(timeout=PATIENCE)
    gate.set(None)
    outer.done.get(timeout=PATIENCE)
    assert "2 handlers" in str(refused[0])


def test_the_place_of_a_worker_is_known_only_on_it(pools: Callable[..., WorkerPool]) -> None:
    """`worker_here` names the job on a worker, and nothing on any other thread."""
    assert worker_here() is None
    seen: list[object] = []

    def look() -> None:
        here = worker_here()
        seen.append(None if here is None else here[1])

    task = Task(look)
    run(pools(1), task)
    assert seen == [task]


def test_a_worker_that_dies_is_replaced(
    pools: Callable[..., WorkerPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job that raises, which is a fault of ours, costs its thread, is told, and no more."""
    told: Future[threading.ExceptHookArgs] = Future()
    monkeypatch.setattr(threading, "excepthook", told.set)
    pool = pools(1)

    def die() -> None:
        raise AssertionError("ours")

    pool.submit(Task(die))
    run(pool, Task(lambda: None))
    assert told.get(timeout=PATIENCE).exc_type is AssertionError
    assert pool.workers == 1


def test_close_tells_of_a_handler_that_does_not_return() -> None:
    """It does not wait beyond its timeout; the thread goes when the handler does."""
    pool = WorkerPool(size=1)
    gate, entered = threading.Event(), threading.Event()

    def stay() -> None:
        entered.set()
        gate.wait(PATIENCE)

    pool.submit(Task(stay))
    assert entered.wait(PATIENCE)
    assert not pool.close(0.0)
    gate.set()
    assert pool.close(PATIENCE)
