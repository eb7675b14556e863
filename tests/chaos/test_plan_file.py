"""Plans as text: what is written is read, what is no plan is told, in both forms."""

from __future__ import annotations

import base64
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.actor.actor_type import ActorType
from comity.base.errors import UsageError
from comity_chaos.faults.catalogue import kinds_named
from comity_chaos.generate import Shape, draw_plan
from comity_chaos.plan import EVENTS, At, Buggify, Drawn, Fault, Plan, Turn, When
from comity_chaos.plan_file import WORD_PREFIX, dump, load, to_word
from tests.node.ledger import Ledger

NUMBERS = st.integers(0, 2**40)
NODES = st.integers(0, 9)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=9)
    | st.binary(max_size=9)
    | NUMBERS.map(Drawn)
)
ARGUMENTS = st.recursive(
    PLAIN, lambda each: st.lists(each, max_size=3).map(tuple), max_leaves=6
)
TRIGGERS = (
    NUMBERS.map(At)
    | st.builds(When, st.sampled_from(EVENTS), NODES, NUMBERS, NUMBERS)
    | st.builds(Buggify, st.sampled_from(EVENTS), NODES, st.integers(0, 1000), NUMBERS)
)
WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
PLANS = st.builds(
    Plan,
    seed=st.integers(0, 2**63 - 1),
    nodes=NODES,
    actor=WORDS,
    scenario=WORDS,
    promises=st.lists(WORDS, max_size=2).map(tuple),
    relays=NODES,
    span_ms=NUMBERS,
    turns=st.lists(
        st.builds(Turn, NUMBERS, NODES, WORDS, st.lists(ARGUMENTS, max_size=3).map(tuple)),
        max_size=4,
    ).map(tuple),
    faults=st.lists(
        st.builds(
            Fault,
            WORDS,
            TRIGGERS,
            st.lists(NODES, max_size=3).map(tuple),
            st.integers(),
            NUMBERS,
        ),
        max_size=4,
    ).map(tuple),
    byzantine=st.lists(NODES, max_size=2).map(tuple),
    crypto=WORDS,
    beyond=st.booleans(),
    calm=st.booleans(),
    notes=st.dictionaries(WORDS, WORDS, max_size=2),
)


@given(PLANS)
def test_a_plan_is_read_as_it_was_written(plan: Plan) -> None:
    """As TOML and as one word, with every kind of argument, trigger and text."""
    assert load(dump(plan)) == plan
    word = to_word(plan)
    assert load(word) == plan
    assert word.startswith(WORD_PREFIX)
    assert word.isascii()
    assert not set(word) & set(" \"'\\\n$`=")


def test_a_drawn_plan_fits_a_command_line() -> None:
    """What a search draws, of five nodes and a hundred turns, is a word below 8 KiB."""
    shape = Shape(
        actor="tests.node.ledger:Ledger",
        nodes=5,
        turns=100,
        kinds=kinds_named("all", byzantine=True),
        byzantine=1,
    )
    for seed in range(20):
        plan = draw_plan(seed, shape, ActorType.of(Ledger))
        assert load(dump(plan)) == load(to_word(plan)) == plan
        assert len(to_word(plan)) < 8_192


HEAD = "seed = 1\nnodes = 2\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed = ", "this is no plan: "),
        ("nodes = 2", "a plan lacks 'seed'"),
        ('seed = 1\nnodes = "2"', "a plan: 'nodes' is a whole number, not "),
        ("seed = 1\nnodes = true", "a plan: 'nodes' is a whole number, not "),
        (HEAD + "sed = 4", "has no 'sed'; it may have: actor, "),
        (HEAD + "calm = 3", "'calm' is true or false, not 3"),
        (HEAD + "actor = 3", "'actor' is text, not 3"),
        (HEAD + "span_ms = -1", "'span_ms' is a number from 0 to .*, not -1"),
        (HEAD + "byzantine = [true]", "a plan: 'byzantine' is a list of numbers"),
        (HEAD + "promises = 'a:b'", "'promises' is a list, not"),
        (HEAD + "promises = [1]", "'promises' is a list of texts"),
        (HEAD + "turn = [1]", "'turn' is a list of tables"),
        (HEAD + "turn = 3", "'turn' is a list, not"),
        (HEAD + "[[turn]]\nnode = 1\nmethod = 'a'", "turn 0 of a plan lacks 'ms'"),
        (
            HEAD + "[[turn]]\nms = 'x'\nnode = 1\nmethod = 'a'",
            "turn 0 of a plan: 'ms' is a whole number, not 'x'",
        ),
        (
            HEAD + "[[turn]]\nms=1\nnode=1\nmethod='a'\narguments=3",
            "turn 0 of a plan: 'arguments' is a list",
        ),
        (
            HEAD + "[[turn]]\nms=1\nnode=1\nmethod='a'\narguments=[{hex='x'}]",
            "turn 0 of a plan: 'arguments' holds plain",
        ),
        (
            HEAD + "[[turn]]\nms=1\nnode=1\nmethod='a'\narguments=[{a=1}]",
            "turn 0 of a plan: 'arguments' holds plain",
        ),
        (HEAD + "[[fault]]\nkind = 'kill'\nnodes = [1]", "fault 0 of a plan lacks 'trigger'"),
        (
            HEAD + "[[fault]]\nkind='kill'\nnodes=[0]\ntrigger=3",
            "fault 0 of a plan: 'trigger' is a table",
        ),
        (
            HEAD + "[[fault]]\nkind='kill'\nnodes=[0]\ntrigger={when='noon', node=0}",
            "fault 0 of a plan waits for 'noon'; it can wait for: start, ",
        ),
        (
            HEAD + "[[fault]]\nkind='kill'\nnodes=[0]\ntrigger={when='turn'}",
            "fault 0 of a plan lacks 'node'",
        ),
        ("plan:!!!", "this plan is damaged, copy all of it"),
        ("plan:eNoL", "this plan is damaged, copy all of it"),
    ],
)
def test_what_is_no_plan_is_told(text: str, said: str) -> None:
    """The error names the thing that is wrong and its place."""
    with pytest.raises(UsageError, match=said):
        load(text)


def test_a_plan_that_would_fill_the_memory_is_refused() -> None:
    """A word that unpacks to far more than any plan, and a text nested without end."""
    bomb = base64.urlsafe_b64encode(zlib.compress(bytes(1 << 26))).decode()
    with pytest.raises(UsageError, match="cut off, or too long"):
        load(WORD_PREFIX + bomb)
    for opening in ("[", "{a="):
        with pytest.raises(UsageError, match="no plan"):
            load("seed = " + opening * 100_000)


@given(st.data())
def test_no_text_raises_anything_else(data: st.DataObject) -> None:
    """A damaged plan is a `UsageError` or a plan, in either form, wherever it is damaged."""
    plan = data.draw(PLANS)
    for text in (dump(plan), to_word(plan)):
        place = data.draw(st.integers(0, len(text) - 1))
        instead = data.draw(st.text(max_size=2))
        for damaged in (text[:place], text[:place] + instead + text[place + 1 :]):
            with suppress(UsageError):
                assert isinstance(load(damaged), Plan)
