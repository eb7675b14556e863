"""Futures: a pykka future in every method, that also completes, and awaits, as promised."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pykka
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.base.errors import DeadlineError, UsageError
from comity.drivers.dispatch.errors import ReplyTimeout
from comity.drivers.dispatch.future import Future

PATIENCE = 30.0


def done(value: object) -> Future[Any]:
    """Return a future with a reply."""
    future: Future[Any] = Future()
    future.set(value)
    return future


def test_get_from_another_thread_waits_for_the_value() -> None:
    """A thread that calls `get` before `set` gets the value; later calls get it again."""
    future: Future[int] = Future()
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(future.get(timeout=PATIENCE)))
    thread.start()
    future.set(7)
    thread.join(PATIENCE)
    assert got == [7]
    assert future.get() == 7


def test_an_error_is_raised_at_every_get_with_its_own_trace() -> None:
    """The same error is raised each time, and its trace does not grow by being raised."""
    future: Future[int] = Future()
    try:
        int("seen")
    except ValueError:
        future.set_exception()

    def frames() -> int:
        with pytest.raises(ValueError, match="seen") as caught:
            future.get()
        return len(caught.traceback)

    assert frames() == frames() == frames()


def test_set_exception_takes_what_pykka_passes() -> None:
    """A triple with a class alone makes the error; no error at all is the caller's fault."""
    future: Future[int] = Future()
    future.set_exception((KeyError, None, None))
    with pytest.raises(KeyError):
        future.get()
    with pytest.raises(UsageError, match="pass one"):
        Future[int]().set_exception()


@pytest.mark.parametrize("first", ["set", "fail", "hook"])
def test_a_reply_is_given_once(first: str) -> None:
    """Whatever came first stands; every later reply or hook is refused."""
    future: Future[int] = Future()
    match first:
        case "set":
            future.set(1)
        case "fail":
            future.fail(ValueError())
        case _:
            future.set_get_hook(lambda _: 1)
    with pytest.raises(UsageError):
        future.set(2)
    with pytest.raises(UsageError):
        future.fail(KeyError())
    with pytest.raises(UsageError):
        future.set_get_hook(lambda _: 2)


def test_a_timeout_is_pykkas_and_ours_and_leaves_the_future_as_it_was() -> None:
    """Both crowds catch it; the reply that comes later is given."""
    future: Future[int] = Future()
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0)
    with pytest.raises(DeadlineError) as caught:
        future.get(timeout=-1)
    assert caught.value.retry
    future.set(3)
    assert future.get(timeout=0) == 3


Chain = list[tuple[str, int]]

chains = st.lists(
    st.tuples(st.sampled_from(["map", "filter", "reduce", "join"]), st.integers(-3, 3)),
    max_size=5,
)


def derive(
    future: pykka.Future[Any], chain: Chain, other: Callable[[], pykka.Future[Any]]
) -> pykka.Future[Any]:
    """Apply a chain of operations, the same for both kinds of future."""
    for name, number in chain:
        future = derive_once(future, name, number, other)
    return future


def derive_once(
    future: pykka.Future[Any], name: str, number: int, other: Callable[[], pykka.Future[Any]]
) -> pykka.Future[Any]:
    """Apply one operation."""

    def extend(items: list[object]) -> list[object]:
        return [*items, number]

    def is_other(item: object) -> bool:
        return item != number

    def prepend(items: list[object], item: object) -> list[object]:
        return [item, *items]

    match name:
        case "map":
            return future.map(extend)
        case "filter":
            return future.filter(is_other)
        case "reduce":
            return future.reduce(prepend, [number])
        case _:
            return future.join(other())


def outcome(future: pykka.Future[Any]) -> tuple[str, object]:
    """Return the value, or the type of the error."""
    try:
        return "value", future.get(timeout=PATIENCE)
    except Exception as error:  # noqa: BLE001  (any error is compared)
        return "error", type(error)


@given(value=st.one_of(st.lists(st.integers(-3, 3)), st.integers()), chain=chains)
def test_derived_futures_agree_with_pykkas(value: object, chain: Chain) -> None:
    """map, filter, reduce and join in any chain end as on pykka.ThreadingFuture."""

    def theirs() -> pykka.ThreadingFuture[Any]:
        future: pykka.ThreadingFuture[Any] = pykka.ThreadingFuture()
        future.set(value)
        return future

    expected = outcome(derive(theirs(), chain, theirs))
    assert outcome(derive(done(value), chain, lambda: done(value))) == expected
    later: Future[Any] = Future()
    derived = derive(later, chain, lambda: later)
    later.set(value)
    assert outcome(derived) == expected


@given(value=st.lists(st.integers()), chain=chains)
def test_derived_futures_complete(value: object, chain: Chain) -> None:
    """A callback on any chain is called when its sources are done, not before, and once."""
    source: Future[Any] = Future()
    derived = derive(source, chain, lambda: source)
    assert isinstance(derived, Future)
    calls: list[object] = []
    derived.add_done_callback(calls.append)
    assert calls == []
    assert not derived.done()
    source.set(value)
    assert calls == [derived]
    assert derived.done()
    outcome(derived)
    assert calls == [derived]


def test_get_all_takes_ours() -> None:
    """pykka.get_all works on our futures."""
    assert pykka.get_all([done(1), done(2)], timeout=PATIENCE) == [1, 2]


def test_the_function_of_map_runs_once_on_the_thread_that_asks() -> None:
    """Never on the thread that gives the reply: that one drives the node."""
    source: Future[int] = Future()
    threads: list[threading.Thread] = []

    def double(value: int) -> int:
        threads.append(threading.current_thread())
        return 2 * value

    derived = source.map(double)
    derived.add_done_callback(lambda _: None)
    setter = threading.Thread(target=lambda: source.set(4))
    setter.start()
    setter.join(PATIENCE)
    assert threads == []
    assert derived.get() == derived.get() == 8
    assert threads == [threading.current_thread()]


def test_an_error_in_the_function_of_map_is_kept() -> None:
    """The function is not called again for the second `get`."""
    calls: list[int] = []

    def divide(value: int) -> float:
        calls.append(value)
        return 1 / value

    derived = done(0).map(divide)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            derived.get()
    assert calls == [0]


def test_a_hook_is_called_once_with_the_time_that_is_left() -> None:
    """`set_get_hook` as pykka has it; a timeout asked for by the caller is not kept."""
    future: Future[str] = Future()
    timeouts: list[float | None] = []

    def hook(timeout: float | None) -> str:
        timeouts.append(timeout)
        if timeout is not None:
            raise pykka.Timeout("not yet")
        return "there"

    future.set_get_hook(hook)
    with pytest.raises(pykka.Timeout):
        future.get(timeout=5)
    assert future.get() == future.get(timeout=0) == "there"
    assert timeouts[0] is not None
    assert timeouts[0] <= 5
    assert timeouts[1:] == [None]


def test_a_hook_held_by_one_thread_times_out_in_another() -> None:
    """Whoever waits behind a thread that works a hook out keeps its own timeout."""
    source: Future[int] = Future()
    derived = source.map(lambda value: value + 1)
    entered = threading.Event()
    hooked: Future[int] = Future()

    def hook(timeout: float | None) -> int:
        entered.set()
        return derived.get(timeout=timeout)

    hooked.set_get_hook(hook)
    thread = threading.Thread(target=lambda: hooked.get(timeout=PATIENCE))
    thread.start()
    assert entered.wait(PATIENCE)
    with pytest.raises(ReplyTimeout):
        hooked.get(timeout=0)
    source.set(1)
    thread.join(PATIENCE)
    assert hooked.get(timeout=0) == 2


@pytest.mark.parametrize("hook_first", [True, False])
def test_callbacks_fire_on_hooked_futures(*, hook_first: bool) -> None:
    """As pykka's stop() and the like hand out: futures that only a hook can finish."""
    gate = threading.Event()
    future: Future[int] = Future()
    called: Future[object] = Future()

    def hook(_: float | None) -> int:
        assert gate.wait(PATIENCE)
        return 5

    if hook_first:
        future.set_get_hook(hook)
        future.add_done_callback(called.set)
    else:
        future.add_done_callback(called.set)
        future.set_get_hook(hook)
    assert not called.done()
    gate.set()
    assert called.get(timeout=PATIENCE) is future
    assert future.get(timeout=0) == 5


def test_join_completes_over_a_foreign_future() -> None:
    """A pykka.ThreadingFuture among the sources is waited for beside the caller."""
    foreign: pykka.ThreadingFuture[int] = pykka.ThreadingFuture()
    joined = done(1).join(foreign)
    called: Future[object] = Future()
    joined.add_done_callback(called.set)
    assert not called.done()
    foreign.set(2)
    assert called.get(timeout=PATIENCE) is joined
    assert joined.get(timeout=0) == [1, 2]


def test_join_gives_all_its_sources_one_timeout() -> None:
    """Not each one the whole of it."""
    with pytest.raises(pykka.Timeout):
        Future[int]().join(Future[int]()).get(timeout=0)


def test_callbacks_run_in_order_and_at_once_if_it_is_late() -> None:
    """First added, first called; after the reply, at once."""
    future: Future[int] = Future()
    calls: list[str] = []
    future.add_done_callback(lambda _: calls.append("first"))
    future.add_done_callback(lambda _: calls.append("second"))
    future.set(1)
    future.add_done_callback(lambda _: calls.append("late"))
    assert calls == ["first", "second", "late"]


def test_a_removed_callback_is_not_called() -> None:
    """And removing it twice, or after the reply, does nothing."""
    future: Future[int] = Future()
    calls: list[object] = []
    future.add_done_callback(calls.append)
    future.remove_done_callback(calls.append)
    future.remove_done_callback(calls.append)
    future.set(1)
    future.remove_done_callback(calls.append)
    assert calls == []


def test_a_callback_that_raises_is_logged_and_the_rest_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One bad listener harms neither the others nor whoever gives the reply."""
    future: Future[int] = Future()
    calls: list[object] = []

    def bad(_: object) -> None:
        raise ValueError("listener")

    future.add_done_callback(bad)
    future.add_done_callback(calls.append)
    with caplog.at_level(logging.ERROR):
        future.set(1)
    assert calls == [future]
    assert "listener" in caplog.text


def test_every_callback_is_called_exactly_once_in_a_race() -> None:
    """Threads that add callbacks while another gives the reply: none lost, none doubled."""
    for _ in range(200):
        future: Future[int] = Future()
        start = threading.Barrier(3)
        calls: list[int] = []

        def add(
            *numbers: int,
            future: Future[int] = future,
            start: threading.Barrier = start,
            calls: list[int] = calls,
        ) -> None:
            start.wait(PATIENCE)

            def note(number: int, _: object) -> None:
                calls.append(number)

            for number in numbers:
                future.add_done_callback(partial(note, number))

        threads = [
            threading.Thread(target=add, args=numbers) for numbers in (range(5), range(5, 10))
        ]
        for thread in threads:
            thread.start()
        start.wait(PATIENCE)
        future.set(1)
        for thread in threads:
            thread.join(PATIENCE)
        assert sorted(calls) == list(range(10))


def pending() -> tuple[Future[int], Future[int]]:
    """Return a future twice."""
    future: Future[int] = Future()
    return future, future


def mapped() -> tuple[Future[int], Future[int]]:
    """Return a future, and one derived from it."""
    future: Future[int] = Future()
    return future, future.map(lambda value: value)


def hooked() -> tuple[Future[int], Future[int]]:
    """Return a future, and one that only a hook can finish."""
    source: Future[int] = Future()
    future: Future[int] = Future()
    future.set_get_hook(lambda timeout: source.get(timeout=timeout))
    return source, future


@pytest.mark.parametrize("make", [pending, mapped, hooked])
def test_await_leaves_the_loop_free(
    make: Callable[[], tuple[Future[int], Future[int]]],
) -> None:
    """The reply is given by a task of the same loop: a blocked loop would never finish."""
    source, future = make()

    async def main() -> int:
        task = asyncio.ensure_future(wait())
        while not waiting:  # noqa: ASYNC110  (turns of the loop are what is counted)
            await asyncio.sleep(0)
        source.set(11)
        return await task

    waiting: list[bool] = []

    async def wait() -> int:
        waiting.append(True)
        return await future

    assert asyncio.run(asyncio.wait_for(main(), PATIENCE)) == 11


def test_await_raises_the_error() -> None:
    """An error reply arrives at the await, also if it was there before."""

    async def main() -> None:
        failed: Future[int] = Future()
        failed.fail(ValueError("early"))
        with pytest.raises(ValueError, match="early"):
            await failed
        late: Future[int] = Future()
        thread = threading.Thread(target=lambda: late.fail(ValueError("late")))
        asyncio.get_running_loop().call_soon(thread.start)
        with pytest.raises(ValueError, match="late"):
            await late
        thread.join(PATIENCE)

    asyncio.run(main())


def test_many_await_one_future() -> None:
    """Every waiter of every loop gets the reply."""

    async def main() -> list[int]:
        future: Future[int] = Future()
        asyncio.get_running_loop().call_soon(future.set, 1)

        async def wait() -> int:
            return await future

        return await asyncio.gather(*(wait() for _ in range(10)))

    assert asyncio.run(main()) == [1] * 10


def test_a_cancelled_await_leaves_nothing_behind() -> None:
    """A timeout of asyncio ends the wait; the reply may come after the loop is gone."""
    future: Future[int] = Future()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await future

    asyncio.run(main())
    assert future._callbacks == []
    future.set(1)
    assert future.get() == 1


def test_a_loop_that_closed_meanwhile_does_not_hurt_who_replies() -> None:
    """The callback of a dead loop is dropped; the reply stands."""
    future: Future[int] = Future()
    loop = asyncio.new_event_loop()

    async def wait() -> int:
        return await future

    task = loop.create_task(wait())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    future.set(2)
    assert future.get() == 2
    coroutine = task.get_coro()
    assert coroutine is not None
    coroutine.close()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # left pending on purpose


def test_await_outside_asyncio_names_the_fix() -> None:
    """Without a running loop there is nothing to yield to: the error says to use get."""

    async def wait() -> int:
        return await Future[int]()

    coroutine = wait()
    with pytest.raises(UsageError, match=r"\.get\(\)"):
        coroutine.send(None)
