"""Maps, lists and trees against their twins over many random histories, for `make soak`.

Plain seeded randomness: ten times as many histories in the same time as a search that shrinks.
A seed that fails is found again by `play_one(kind, seed)`.
"""

from __future__ import annotations

from random import Random

import pytest

from tests.crdt.nested_histories import KEYS, Action, Step, World, expected, plain

MIXES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "maps": (
        ("counts", "tags", "flags", "deep", "items", "home"),
        ("more", "more", "less", "delete", "inner"),
    ),
    "lists": (("rows", "items"), ("more", "more", "less", "delete")),
    "trees": (
        ("tree", "tree", "tree", "trees"),
        ("more", "more", "move", "move", "move", "less", "drop", "delete"),
    ),
    "moves": (("tree",), ("move", "move", "move", "move", "move", "more", "drop")),
}

HISTORIES = 100_000
"""Of each kind, in a soak."""

IN_BRIEF = 60
"""Of each kind, in every run of the tests."""


def script_of(kind: str, random: Random) -> list[Step]:
    """Return a history of a few authors who do what the kind says."""
    fields, verbs = MIXES[kind]

    def action() -> Action:
        return (
            random.choice(fields),
            random.choice(verbs),
            random.choice(KEYS),
            random.randint(1, 12 if "tree" in fields else 3),
        )

    script: list[Step] = []
    if kind == "moves":  # all have some nodes to move, so that cycles are met often
        grown: list[Action] = [("tree", "more", KEYS[n % 2], 3) for n in range(4)]
        script = [("turn", 0, grown), ("sync", 1, 0), ("sync", 2, 0)]
    for _ in range(random.randint(6, 24)):
        verb = random.choice(("turn", "turn", "turn", "abort", "sync", "sync", "look"))
        what: int | list[Action] = random.randrange(3)
        if verb in {"turn", "abort"}:
            what = [action() for _ in range(random.randint(1, 3))]
        elif verb == "look":
            what = random.randrange(100)
        script.append((verb, random.randrange(3), what))
    return script


def play_one(kind: str, seed: int) -> None:
    """Play one history; every replica holds what the twin says, alone and after all met."""
    random = Random(f"{kind} {seed}")
    world = World(aside=seed % 2 == 1).play(script_of(kind, random))
    for _ in range(2):
        for replica in world.replicas:
            seen = [turn for turn in world.turns if turn.serial in replica.numbers]
            found = plain(replica.comity_state.snapshot())
            assert found == expected(seen, frozenset(replica.hidden)), (kind, seed)
        world.sync(0, 1)
        world.sync(0, 2)
        world.sync(1, 0)


@pytest.mark.parametrize("kind", sorted(MIXES))
def test_replicas_hold_what_the_twin_says(kind: str) -> None:
    """Some histories of each kind."""
    for seed in range(IN_BRIEF):
        play_one(kind, seed)


@pytest.mark.parametrize("seed", [10_006_494, 10_006_880])
def test_what_a_soak_has_found_holds(seed: int) -> None:
    """A node that is added beside one whose move lost is shown where every replica has it."""
    play_one("moves", seed)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("kind", sorted(MIXES))
def test_replicas_hold_what_the_twin_says_at_length(kind: str) -> None:
    """A hundred thousand histories of each kind."""
    for seed in range(HISTORIES):
        play_one(kind, seed)
