"""Replies: in the order of the turns, and none before what it shows is durable."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.drivers.dispatch.errors import ActorStopped
from comity.drivers.dispatch.future import Future
from comity.drivers.dispatch.replies import Replies

PATIENCE = 30.0

steps = st.lists(
    st.one_of(
        st.tuples(st.just("post"), st.integers(0, 2)),
        st.tuples(st.just("release"), st.integers(0, 12)),
    ),
    max_size=40,
)


@given(steps)
def test_replies_come_in_order_and_not_before_their_release(
    script: list[tuple[str, int]],
) -> None:
    """Against a twin that looks through all replies after every step."""
    replies = Replies(threading.Lock())
    given_now: list[int] = []
    serials: list[int] = []
    serial = released = expected = 0
    for what, number in script:
        if what == "post":
            serial += number
            future: Future[int] = Future()
            future.add_done_callback(lambda f: given_now.append(f.get()))
            serials.append(serial)
            replies.post(serial, future, len(serials) - 1, None)
        else:
            released = max(released, number)
            replies.release(number)
        while expected < len(serials) and serials[expected] <= released:
            expected += 1
        assert given_now == list(range(expected))
        assert replies.held == len(serials) - expected
        replies.check()


def test_an_error_is_a_reply_and_waits_its_turn() -> None:
    """It never overtakes the value before it, though it wrote nothing itself."""
    replies = Replies(threading.Lock())
    first, second = Future[int](), Future[int]()
    replies.post(1, first, 10, None)
    replies.post(1, second, None, ValueError("second"))
    assert not second.done()
    replies.release(1)
    assert first.get(timeout=0) == 10
    with pytest.raises(ValueError, match="second"):
        second.get(timeout=0)


def test_a_release_that_is_early_counts() -> None:
    """The core may be faster than the worker that posts."""
    replies = Replies(threading.Lock())
    replies.release(3)
    replies.release(1)
    future: Future[int] = Future()
    replies.post(3, future, 1, None)
    assert future.get(timeout=0) == 1


def test_abandoned_replies_fail_and_so_do_later_ones() -> None:
    """What is held fails at once; whatever a late turn posts fails too."""
    replies = Replies(threading.Lock())
    held, late = Future[int](), Future[int]()
    replies.post(1, held, 1, None)
    replies.abandon(ActorStopped("closed", retry=False))
    replies.post(0, late, 1, None)
    replies.release(1)
    for future in (held, late):
        with pytest.raises(ActorStopped, match="closed"):
            future.get(timeout=0)
    assert replies.held == 0


def test_a_reply_that_the_asker_set_himself_hurts_nobody() -> None:
    """The replies behind it are given all the same."""
    replies = Replies(threading.Lock())
    spoilt, good = Future[int](), Future[int]()
    replies.post(1, spoilt, 1, None)
    replies.post(1, good, 2, None)
    spoilt.set(0)
    replies.release(1)
    assert (spoilt.get(timeout=0), good.get(timeout=0)) == (0, 2)


def test_a_callback_that_ends_the_process_leaves_the_rest_to_be_given() -> None:
    """KeyboardInterrupt passes through `release`; the next release gives what is left."""
    replies = Replies(threading.Lock())
    first, second = Future[int](), Future[int]()

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    first.add_done_callback(interrupt)
    replies.post(1, first, 1, None)
    replies.post(1, second, 2, None)
    with pytest.raises(KeyboardInterrupt):
        replies.release(1)
    replies.release(1)
    assert second.get(timeout=0) == 2


def test_a_callback_may_release_and_post() -> None:
    """What a callback causes on the same replies comes after, in order."""
    replies = Replies(threading.Lock())
    order: list[int] = []
    first, second, third = Future[int](), Future[int](), Future[int]()
    for future in (first, second, third):
        future.add_done_callback(lambda f: order.append(f.get()))

    def more(_: object) -> None:
        replies.release(2)
        replies.post(2, third, 3, None)

    first.add_done_callback(more)
    replies.post(1, first, 1, None)
    replies.post(2, second, 2, None)
    replies.release(1)
    assert order == [1, 2, 3]


def test_two_threads_keep_the_order() -> None:
    """One posts and one releases, each as fast as it can: the order is that of posting."""
    for _ in range(20):
        replies = Replies(threading.Lock())
        order: list[int] = []

        def post(replies: Replies = replies, order: list[int] = order) -> None:
            for serial in range(1, 301):
                future: Future[int] = Future()
                future.add_done_callback(lambda f: order.append(f.get()))
                replies.post(serial, future, serial, None)

        thread = threading.Thread(target=post)
        thread.start()
        for serial in range(1, 301):
            replies.release(serial)
        thread.join(PATIENCE)
        assert order == list(range(1, 301))
        replies.check()
