"""Every oracle has a breach that it sees, and sees none where there is none."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comity.crdt.laws import RegisterLaw
from comity.node import rows
from comity.node.commands import Activate
from comity.node.effects import Report, Table
from comity.node.journal import Checked
from comity_chaos.forger import Forger
from comity_chaos.history import Life
from comity_chaos.oracles.durability import misfit
from comity_chaos.oracles.oracle import Violation
from comity_chaos.plan import At, Fault, Plan, Turn
from comity_chaos.runner import run_plan
from comity_chaos.sim import Sim, SimRef
from comity_chaos.workload import CANARIES
from tests.node.ledger import Ledger, consistent

Refs = list[SimRef[Ledger]]

PLAN = Plan(
    seed=3,
    nodes=3,
    turns=(Turn(10, 0, "rename", ("fennelseed",)), Turn(400, 1, "enter", ("cardamom", 2))),
    span_ms=1_000,
)


def at_rest(plan: Plan = PLAN) -> tuple[Sim, Refs]:
    """Return a world in which a plan has happened and every promise was kept."""
    sim = Sim(plan=plan)
    refs = sim.share(Ledger)
    sim.survive()
    return sim, refs


def nothing() -> None:
    """Do nothing."""


# Breaches


def a_false_promise(sim: Sim, _: Refs) -> None:
    """An app that promises what is not so."""
    sim.always(lambda state: state["title"] == "no title")


def a_turn_that_nobody_hears_of(_: Sim, refs: Refs) -> None:
    """A cell that ran a turn which its core never learnt of."""
    cell = refs[1].part.cell
    told = cell.run(refs[1].actor_type.message(Ledger.rename, ("elsewhere",), {}))
    assert told[1] is not None


def a_commit_hidden_on_one_node(_: Sim, refs: Refs) -> None:
    """A node that hides what others show."""
    replica = refs[2].part.replica
    assert replica is not None
    replica.journal.visibility._visible[-1] = False


def a_forged_commit_is_accepted(sim: Sim, refs: Refs) -> None:
    """What was forged stands in the log."""
    replica = refs[0].part.replica
    assert replica is not None
    sim.scene.forged[replica.journal.graph.heads[0]] = "it is a forgery"


def a_fork_of_an_honest_node(sim: Sim, refs: Refs) -> None:
    """A device signs two commits with one number, and nobody had tampered with it."""
    replica = refs[0].part.replica
    assert replica is not None
    forger = Forger(sim.world.crypto, refs[1].node.disk, refs[1].topic)
    for made in forger.fork():
        checked = replica.journal.examine(made.commit)
        assert isinstance(checked, Checked)
        replica.journal.graph.insert(made.id, checked.inner, gen=checked.sealed.gen)


def too_much_is_planned(sim: Sim, _: Refs) -> None:
    """Something plans itself again and again."""
    for number in range(20_000):
        sim.world.time.after(number, nothing)


def a_deadline_is_forgotten(sim: Sim, refs: Refs) -> None:
    """A node whose alarm never rings."""
    for ref in refs[1:]:
        sim.crash(ref)  # whoever hears from others is woken by them
    sim.world.time._heap.clear()
    sim.run(90)
    sim.judge.sample()
    sim.run(10)


def calls_without_pause(sim: Sim, _: Refs) -> None:
    """A node that calls a hundred times a second."""
    for _second in range(1_000):
        sim.judge.history.dialled(sim.nodes[0])


def an_acknowledged_write_is_lost(_: Sim, refs: Refs) -> None:
    """The disks have lost the last commit that came, and nobody noticed."""
    for ref in refs:
        key, _value = ref.node.disk.table(Table.COMMIT)[-1]
        ref.node.disk._tables[Table.COMMIT].drop(key)


def a_removed_member_has_the_new_key(sim: Sim, refs: Refs) -> None:
    """The key that was made because of a removal is on the removed member's disk."""
    sim.remove(refs[0], refs[2])
    sim.run(2)
    refs[0].tell(Ledger.rename, "among us")
    sim.settle()
    for key, value in refs[0].node.disk.table(Table.EPOCH):
        assert rows.split_epoch_key(key)[0] == refs[0].topic
        refs[2].node.disk._tables[Table.EPOCH].put(key, value)


def a_nonce_is_used_twice(_: Sim, refs: Refs) -> None:
    """Another commit under the same key and nonce as one that is there."""
    table = refs[0].node.disk._tables[Table.COMMIT]
    key, value = next(iter(table.values.items()))
    number = rows.number_of(key)
    row = rows.decode_commit(value)
    sealed = row.sealed[:-1] + bytes((row.sealed[-1] ^ 1,))
    table.put(
        rows.commit_key(refs[0].topic, number + 1_000),
        rows.encode_commit(replace(row, sealed=sealed)),
    )


def a_derived_field_is_wrong(_: Sim, refs: Refs) -> None:
    """A cell shows a value that no write gives it."""
    laws = refs[0].part.cell.comity_state.laws
    title = next(law for law in laws if isinstance(law, RegisterLaw))
    title.writes.values[None] = "out of nothing"


def a_link_that_one_side_forgot(sim: Sim, refs: Refs) -> None:
    """A wire is there, and what goes over it is no proven link."""
    sim.judge.history.linked[refs[0].node.index].clear()
    assert sim.world.network.wires_between(0, 1)


BREACHES: Mapping[str, tuple[Callable[[Sim, Refs], None], ...]] = {
    "invariant": (a_false_promise,),
    "convergence": (a_turn_that_nobody_hears_of,),
    "authority": (a_commit_hidden_on_one_node,),
    "integrity": (a_forged_commit_is_accepted,),
    "numbering": (a_fork_of_an_honest_node,),
    "bounds": (too_much_is_planned,),
    "mechanisms": (a_deadline_is_forgotten, calls_without_pause),
    "durability": (an_acknowledged_write_is_lost,),
    "recovery": (an_acknowledged_write_is_lost,),
    "readers": (a_removed_member_has_the_new_key,),
    "nonces": (a_nonce_is_used_twice,),
    "structure": (a_derived_field_is_wrong,),
    "reach": (a_link_that_one_side_forgot,),
}


@pytest.mark.parametrize(
    ("name", "breach"), [(name, each) for name, all_ in BREACHES.items() for each in all_]
)
def test_each_oracle_sees_its_breach(name: str, breach: Callable[[Sim, Refs], None]) -> None:
    """A run without a breach is fine; the same run with one is not, by that oracle alone."""
    sim, refs = at_rest()
    oracle = next(oracle for oracle in sim.judge.oracles if oracle.name == name)
    oracle.conclude()
    breach(sim, refs)
    with pytest.raises(Violation) as seen:
        oracle.conclude()
    assert seen.value.oracle == name
    assert str(seen.value).startswith(f"{name}: ")


def test_every_oracle_has_a_breach_here() -> None:
    """Nobody adds an oracle that was never seen to work."""
    sim = Sim(nodes=1)
    elsewhere = {"confidentiality"}
    assert {oracle.name for oracle in sim.judge.oracles} == set(BREACHES) | elsewhere


@pytest.mark.parametrize("word", CANARIES)
@pytest.mark.parametrize("skip", range(6))
def test_plaintext_is_found_in_every_common_form(word: str, skip: int) -> None:
    """In clear, in hexadecimal, in UTF-16, and in base64 at any offset."""
    forms = (
        word.encode(),
        word.encode().hex().encode(),
        word.encode("utf-16-le"),
        *(base64.b64encode(b"." * before + word.encode() + b"!!!") for before in range(3)),
    )
    sim, _ = at_rest(Plan(seed=1, nodes=1))
    sim.judge.history.sent(sim.nodes[0], b"\x00\x01" + forms[skip] + b"\xff")
    with pytest.raises(Violation, match=r"confidentiality: plaintext .* is in a frame"):
        sim.judge.sample()


def test_plaintext_is_found_in_reports_and_on_relays() -> None:
    """What a node tells its owner, and what a relay keeps, are searched as well."""
    sim, _ = at_rest(Plan(seed=1, nodes=2, relays=1))
    sim.judge.history.reported(sim.nodes[0], Report("turn", detail="an aubergine"))
    with pytest.raises(Violation, match="told its owner"):
        sim.judge.sample()
    sim.judge.sample()
    assert sim.relay is not None
    sim.relay.disk._tables[Table.COMMIT].put(b"key", b"..dandelion..")
    with pytest.raises(Violation, match="disk of a relay"):
        sim.judge.conclude(safety_only=False)


def test_what_the_app_itself_said_may_be_told_to_its_owner() -> None:
    """An error text of a handler stays with its owner and may hold what was written."""
    sim, _ = at_rest(Plan(seed=1, nodes=1))
    sim.judge.history.reported(sim.nodes[0], Report("handler failed", detail="an aubergine"))
    sim.judge.sample()


# Durability against a naive reading


def naive_misfit(log: list[bytes], lives: list[Life]) -> bool:
    """Try every way to keep a beginning of each life."""
    choices = product(*(range(life.durable, len(life.turns) + 1) for life in lives))
    return not any(
        [turn for life, kept in zip(lives, each, strict=True) for turn in life.turns[:kept]]
        == log
        for each in choices
    )


TURNS = st.lists(st.sampled_from([b"a", b"b"]), max_size=4)
LIVES = st.lists(
    TURNS.flatmap(lambda turns: st.integers(0, len(turns)).map(lambda done: Life(turns, done))),
    max_size=3,
)


@given(LIVES, TURNS, st.data())
def test_durability_is_what_its_definition_says(
    lives: list[Life], noise: list[bytes], data: st.DataObject
) -> None:
    """A log fits if it is a beginning of each life, one after another, none too short."""
    kept = [data.draw(st.integers(life.durable, len(life.turns))) for life in lives]
    fits = [
        turn for life, count in zip(lives, kept, strict=True) for turn in life.turns[:count]
    ]
    assert misfit(fits, lives) == ""
    for log in (noise, fits[:-1], fits[1:], fits + noise, fits[::-1]):
        assert bool(misfit(log, lives)) == naive_misfit(log, lives)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ([b"a"], "1 acknowledged write(s) are lost"),
        ([b"a", b"b", b"b"], "1 turn(s) took effect more than once"),
        ([b"a", b"b", b"x"], "1 turn(s) are in the log that were never run"),
        ([b"b", b"a"], "another order"),
    ],
)
def test_durability_says_what_is_wrong(log: list[bytes], said: str) -> None:
    """The words name the kind of the breach."""
    assert said in misfit(log, [Life([b"a", b"b", b"c"], 2)])


# What no oracle judges


def test_disagreement_is_told_with_names_and_values() -> None:
    """Who is cut off for ever breaks liveness, and the text says who has what."""
    sim = Sim(seed=4, nodes=2)
    a, b = sim.share(Ledger)
    sim.cut(a, b)
    a.tell(Ledger.rename, "here")
    with pytest.raises(Violation) as seen:
        sim.settle(minutes=2)
    assert seen.value.oracle == "liveness"
    assert "after 2 minutes the replicas do not agree: node 0 has 4 commits" in str(seen.value)
    assert "title is 'here' here and 'new' there" in str(seen.value)


def test_a_core_that_raises_is_a_crash_and_a_test_that_asserts_a_scenario() -> None:
    """What broke is told by name: the runtime's own error, the test's own assertion."""

    def nonsense(sim: Sim) -> None:
        sim.share(Ledger)
        sim.world.command(sim.nodes[0], lambda token: Activate(token, b"no topic"))  # type: ignore[arg-type]
        sim.world._step(sim.nodes[0], "nonsense")  # type: ignore[arg-type]

    def doubt(sim: Sim) -> None:
        a, *_ = sim.share(Ledger)
        assert a.state["title"] == "no title", "what a title"

    crash = run_plan(PLAN, nonsense)
    assert (crash.oracle, crash.failed) == ("crash", True)
    assert crash.text.startswith("node 0 failed: ")
    scenario = run_plan(PLAN, doubt)
    assert scenario.oracle == "scenario"
    assert "what a title" in scenario.text


def test_a_promise_that_raises_is_broken_and_says_why() -> None:
    """Promises are plain functions: they return, or assert."""

    def whole(state: Mapping[str, object]) -> None:
        assert consistent(state), "a half turn shows"
        assert state["title"] != "fennelseed", "not this title"

    def scenario(sim: Sim) -> None:
        sim.always(whole)
        sim.share(Ledger)

    outcome = run_plan(PLAN, scenario)
    assert outcome.oracle == "invariant"
    assert "'whole' does not hold on node 0 (not this title" in outcome.text


def test_beyond_the_model_only_safety_is_judged() -> None:
    """Who never heals need not agree; what is wrong at once is still wrong."""
    gone = Fault("isolate", At(0), (1,))
    beyond = Plan(seed=3, nodes=2, turns=PLAN.turns, faults=(gone,), span_ms=600, beyond=True)

    def alone(sim: Sim) -> None:
        sim.share(Ledger)

    def promise(sim: Sim) -> None:
        sim.always(lambda state: "cardamom" not in str(state))
        sim.share(Ledger)

    assert not run_plan(beyond, alone).failed
    assert run_plan(beyond, promise).oracle == "invariant"
