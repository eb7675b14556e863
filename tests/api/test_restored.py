"""Stores that were put back or copied, with real nodes, keys, files and links.

Each is run with the guard, and without it: then a named claim breaks.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from comity import Node, Ref, UsageError
from comity.api import opening
from comity.node.effects import Report
from comity.node.generation import Generation
from tests.attacks.claims import always, attack, both, claim
from tests.node.ledger import Ledger

_SECONDS = 20.0


def _until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + _SECONDS
    while not reached():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.01)


def _lines(ref: Ref[Ledger]) -> Mapping[str, int]:
    return cast("Mapping[str, int]", ref.snapshot()["lines"])


def _node(path: Path) -> Node:
    return Node(path, insecure_store=True)


def _enter(ref: Ref[Ledger], name: str) -> None:
    assert ref.ask(Ledger.enter, name, 1).get(timeout=_SECONDS)


def _unguard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "compare", always(answer=Generation.SAME))


@both
def test_a_backup_that_is_put_back_is_a_new_device(
    *,
    defended: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It says so, shows what it held, writes nothing; an admin lets it in, and it goes on."""
    if not defended:
        _unguard(monkeypatch)
    breaks = "a new device|no evidence"
    with attack(defended=defended, breaks=breaks), ExitStack() as stack:
        alice = stack.enter_context(_node(tmp_path / "alice"))
        forks: list[Report] = []
        alice.on_report(lambda each: forks.append(each) if each.what == "fork" else None)
        hers = alice.create(Ledger)
        with _node(tmp_path / "bob") as bob:
            old = bob.device
            _enter(bob.open(Ledger, hers.invite()), "one")
        shutil.copytree(tmp_path / "bob", tmp_path / "backup")
        with _node(tmp_path / "bob") as bob:
            _enter(bob.open(Ledger), "two")
            _until(lambda: "two" in _lines(hers))
        shutil.rmtree(tmp_path / "bob")
        shutil.copytree(tmp_path / "backup", tmp_path / "bob")
        with Node(tmp_path / "bob", insecure_store=True, online=False) as bob:
            his = bob.open(Ledger)
            claim(bob.device != old, "it is a new device")
            claim(_lines(his) == {"one": 1}, "it shows what the backup held")
            with pytest.raises(UsageError, match="may not write"):
                _enter(his, "as nobody")
            (former,) = bob.status().formers
            assert former.device == old
        assert "is not the store that ran here last" in caplog.text
        with _node(tmp_path / "bob") as bob:
            again = bob.device
            his = bob.open(Ledger, hers.invite())
            _until(lambda: "two" in _lines(his))
            _enter(his, "three")
            _until(lambda: "three" in _lines(hers))
        with _node(tmp_path / "bob") as bob:
            claim(bob.device == again, "and stays that one")
        claim(not forks, "no evidence of a fork arises")


@both
def test_a_copied_store_is_a_new_device_and_the_original_goes_on(
    *, defended: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the original runs, its directory is copied to a machine with another state."""
    if not defended:
        _unguard(monkeypatch)
    breaks = "a new device"
    with attack(defended=defended, breaks=breaks), ExitStack() as stack:
        alice = stack.enter_context(_node(tmp_path / "alice"))
        ref = alice.create(Ledger)
        before = alice.status().topics[0].commits
        _enter(ref, "one")
        _until(lambda: alice.status().topics[0].commits > before)  # else it is still a draft
        alice.status()  # the step that made the commit has written it when the next answers
        shutil.copytree(
            tmp_path / "alice", tmp_path / "elsewhere", ignore=shutil.ignore_patterns("*.sock")
        )
        _enter(ref, "two")
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        copy = stack.enter_context(_node(tmp_path / "elsewhere"))
        claim(copy.device != alice.device, "the copy is a new device")
        twin = copy.open(Ledger)
        assert _lines(twin) == {"one": 1}
        _enter(ref, "three")
        assert copy.open(Ledger, ref.invite()) is twin
        _until(lambda: "three" in _lines(twin))
        _enter(twin, "four")
        _until(lambda: "four" in _lines(ref))
        assert alice.device in {member.device for member in ref.members()}


def test_whose_only_admin_was_copied_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody can let the new device in: its owner hears it at once, and what is left to do."""
    with _node(tmp_path / "alice") as alice:
        _enter(alice.create(Ledger), "one")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with _node(tmp_path / "alice") as alice:
        assert _lines(alice.open(Ledger)) == {"one": 1}
    assert "no other admin" in caplog.text


def test_what_runs_on_another_copy_too_stops_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine restored as a whole meets what it wrote later, and begins anew."""
    state = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(state))
    with _node(tmp_path / "alice") as alice:
        hers = alice.create(Ledger)
        with _node(tmp_path / "bob") as bob:
            old = bob.device
            _enter(bob.open(Ledger, hers.invite()), "one")
        shutil.copytree(tmp_path / "bob", tmp_path / "backup")
        shutil.copytree(state, tmp_path / "backup-state")
        with _node(tmp_path / "bob") as bob:
            _enter(bob.open(Ledger), "two")
            _until(lambda: "two" in _lines(hers))
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "backup-state"))
        with Node(tmp_path / "backup", insecure_store=True) as bob:
            _until(lambda: bob.failure is not None)
            assert "a copy of this store writes" in str(bob.failure)
        with _node(tmp_path / "backup") as bob:
            assert bob.device != old
            assert "not made here" in bob.status().formers[0].why
            his = bob.open(Ledger, hers.invite())
            _until(lambda: "two" in _lines(his))
