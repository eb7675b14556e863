"""What hosting costs: our dispatcher beside pykka.ThreadingActor, in one run.

Owns: the figures. One process, the machine as it is: quote ratios, not numbers. The core is
played by a function that releases each turn at once: no disk, no signature.
Run as `python benchmarks/bench_dispatch.py`; takes about half a minute.
"""

from __future__ import annotations

import gc
import statistics
import tracemalloc
from collections.abc import Callable
from functools import partial
from time import perf_counter, sleep

import pykka

from comity.actor.actor import Actor
from comity.actor.actor_type import ActorType
from comity.actor.cell import Cell
from comity.actor.fold import CellEvent, Fold, TurnEnded
from comity.actor.message import Message
from comity.base.ids import Topic
from comity.drivers.dispatch.dispatcher import Dispatcher
from comity.drivers.dispatch.future import Future
from comity.log.graph import Graph

TELLS = 60_000
ACTORS = 1_000
ASKS = 2_000
IDLE = 20_000
REPEATS = 5


class Plain(Actor):
    """Counts in an attribute: no replicated state is written."""

    def on_start(self) -> None:
        """Start from nothing."""
        self.seen = 0

    def hit(self) -> None:
        """Count."""
        self.seen += 1

    def read(self) -> int:
        """Return the count."""
        return self.seen


class Threaded(pykka.ThreadingActor):
    """The same in pykka."""

    use_daemon_thread = True

    def __init__(self) -> None:
        """Start from nothing."""
        super().__init__()
        self.seen = 0

    def on_receive(self, message: object) -> int:
        """Count, or return the count."""
        if message == "hit":
            self.seen += 1
        return self.seen


class Asker(Actor):
    """Asks another actor again and again, awaiting each reply."""

    async def ask_often(self, ask: Callable[[], Future[int]], times: int) -> None:
        """Await so many replies."""
        for _ in range(times):
            await ask()


class ThreadedAsker(pykka.ThreadingActor):
    """The same in pykka, where a thread waits."""

    use_daemon_thread = True

    def on_receive(self, message: tuple[pykka.ActorRef[Threaded], int]) -> None:
        """Wait for so many replies."""
        other, times = message
        for _ in range(times):
            other.ask("read")


class Busy(Actor):
    """Holds its thread."""

    def burn(self, seconds: float) -> None:
        """Compute."""
        ends = perf_counter() + seconds
        while perf_counter() < ends:
            pass

    def doze(self, seconds: float) -> None:
        """Sleep without saying so."""
        sleep(seconds)


class Ours:
    """A dispatcher with actors, and the part of the core that answers folds and turns."""

    def __init__(self, actor: type[Actor], count: int) -> None:
        """Activate `count` actors."""
        self.dispatcher = Dispatcher(
            emit=self._emit, on_failure=self._failed, mailbox_max=TELLS
        )
        actor_type, graph = ActorType.of(actor), Graph()
        self.topics = [Topic(number.to_bytes(32)) for number in range(count)]
        for topic in self.topics:
            self.dispatcher.activate(Cell(actor_type, topic))
            self.dispatcher.fold(Fold(topic, 1, 0, graph))
        self.settle()

    def settle(self) -> None:
        """Wait until every actor has done all that it was sent."""
        for future in [self.dispatcher.call(topic, _nothing) for topic in self.topics]:
            future.get(timeout=60)

    def close(self) -> None:
        """Stop all."""
        assert self.dispatcher.close(30)

    def _emit(self, event: CellEvent) -> None:
        if isinstance(event, TurnEnded):
            self.dispatcher.release(event.topic, event.serial)

    def _failed(self, topic: Topic, error: BaseException, message: Message) -> None:
        raise AssertionError((topic, message)) from error


def _nothing(_: Cell) -> None:
    return None


def main() -> None:
    """Measure and print a table."""
    rows = [
        ("tell/s, one actor", *_each(_tells_ours(1), _tells_pykka(1))),
        (f"tell/s, {ACTORS} actors", *_each(_tells_ours(ACTORS), _tells_pykka(ACTORS))),
        ("ask p50, us", *_each(_asks_ours, _asks_pykka)),
        (f"bytes an idle actor, of {IDLE}", _bytes_ours(), float("nan")),
        ("starts/s", *_each(_starts_ours, _starts_pykka)),
        ("asks/s inside an actor", *_each(_inside_ours, _inside_pykka)),
        ("ms a third waits, worst of 50", _delay_ms("burn"), float("nan")),
        ("  the same, two that sleep", _delay_ms("doze"), float("nan")),
    ]
    print(f"{'':32}{'comity':>14}{'pykka':>14}{'ratio':>8}")
    for name, ours, theirs in rows:
        print(f"{name:32}{ours:14,.1f}{theirs:14,.1f}{ours / theirs:8.2f}")


def _each(ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[float, float]:
    """Take medians, the two by turns, so that a busy moment hits both."""
    pairs = [(ours(), theirs()) for _ in range(REPEATS)]
    return (
        statistics.median(pair[0] for pair in pairs),
        statistics.median(pair[1] for pair in pairs),
    )


def _tells_ours(count: int) -> Callable[[], float]:
    def run() -> float:
        ours = Ours(Plain, count)
        tell, message = ours.dispatcher.tell, Message("hit")
        started = perf_counter()
        for _ in range(TELLS // count):
            for topic in ours.topics:
                tell(topic, message)
        ours.settle()
        rate = TELLS / (perf_counter() - started)
        ours.close()
        return rate

    return run


def _tells_pykka(count: int) -> Callable[[], float]:
    def run() -> float:
        refs = [Threaded.start() for _ in range(count)]
        tells = TELLS if count == 1 else TELLS // 6
        started = perf_counter()
        for _ in range(tells // count):
            for ref in refs:
                ref.tell("hit")
        for ref in refs:
            ref.ask("read")
        rate = tells / (perf_counter() - started)
        for ref in refs:
            ref.stop()
        return rate

    return run


def _asks_ours() -> float:
    ours = Ours(Plain, 1)
    message = Message("read")
    ask, topic = ours.dispatcher.ask, ours.topics[0]
    median = _median_us(lambda: ask(topic, message).get())
    ours.close()
    return median


def _asks_pykka() -> float:
    ref = Threaded.start()
    median = _median_us(lambda: ref.ask("read"))
    ref.stop()
    return median


def _median_us(ask: Callable[[], object]) -> float:
    spans: list[float] = []
    for _ in range(ASKS):
        started = perf_counter()
        ask()
        spans.append(perf_counter() - started)
    return statistics.median(spans) * 1e6


def _bytes_ours() -> float:
    gc.collect()
    tracemalloc.start()
    ours = Ours(Plain, 0)
    before = tracemalloc.get_traced_memory()[0]
    actor_type, graph = ActorType.of(Plain), Graph()
    ours.topics = [Topic(number.to_bytes(32)) for number in range(IDLE)]
    for topic in ours.topics:
        ours.dispatcher.activate(Cell(actor_type, topic))
        ours.dispatcher.fold(Fold(topic, 1, 0, graph))
    ours.settle()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    ours.close()
    return (after - before) / IDLE


def _starts_ours() -> float:
    started = perf_counter()
    ours = Ours(Plain, ACTORS)
    rate = ACTORS / (perf_counter() - started)
    ours.close()
    return rate


def _starts_pykka() -> float:
    started = perf_counter()
    refs = [Threaded.start() for _ in range(ACTORS)]
    rate = ACTORS / (perf_counter() - started)
    for ref in refs:
        ref.stop()
    return rate


def _inside_ours() -> float:
    ours = Ours(Plain, 1)
    asker = Topic(b"a" * 32)
    ours.dispatcher.activate(Cell(ActorType.of(Asker), asker))
    ours.dispatcher.fold(Fold(asker, 1, 0, Graph()))
    ask = partial(ours.dispatcher.ask, ours.topics[0], Message("read"))
    started = perf_counter()
    ours.dispatcher.ask(asker, Message("ask_often", (ask, ASKS * 5))).get()
    rate = ASKS * 5 / (perf_counter() - started)
    ours.close()
    return rate


def _inside_pykka() -> float:
    asker, other = ThreadedAsker.start(), Threaded.start()
    started = perf_counter()
    asker.ask((other, ASKS))
    rate = ASKS / (perf_counter() - started)
    asker.stop()
    other.stop()
    return rate


def _delay_ms(method: str) -> float:
    """Return the longest that an actor took to answer beside two that hold their threads.

    Each of them has a hundred messages of 20 ms; there are two workers.
    """
    ours = Ours(Busy, 3)
    third = ours.topics.pop()
    for topic in ours.topics:
        for _ in range(100):
            ours.dispatcher.tell(topic, Message(method, (0.02,)))
    worst = 0.0
    for _ in range(50):
        started = perf_counter()
        ours.dispatcher.call(third, _nothing).get()
        worst = max(worst, perf_counter() - started)
        sleep(0.01)
    for topic in ours.topics:
        _ = ours.dispatcher.deactivate(topic)
    ours.dispatcher.close(30)
    return worst * 1e3


if __name__ == "__main__":
    main()
