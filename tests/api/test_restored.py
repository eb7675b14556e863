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
from comity.cli.main import comity
from comity.crypto.sodium import Sodium
from comity.drivers.sqlite_store import SqliteStore
from comity.drivers.store import STORE_FILE, VAULT_FILE
from comity.drivers.system import SystemEntropy
from comity.drivers.vault import Vault
from comity.node.effects import Report, Table
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


def _drafts(path: Path) -> int:
    """Return how many turns a copied store holds that are in no commit yet."""
    crypto, entropy = Sodium(), SystemEntropy()
    key = Vault(path / VAULT_FILE, crypto, entropy).open(insecure=True)
    store = SqliteStore(path / STORE_FILE, key, crypto, entropy)
    try:
        return len(store.read(Table.DRAFT, b"", b"\xff" * 80, 100))
    finally:
        store.close()


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


def test_what_was_not_sent_can_be_read_and_let_go_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Turns that ran just before a copy was made show what they did, on what they ran on."""
    place, number = tmp_path / "elsewhere", 0
    with _node(tmp_path / "alice") as alice:
        device, ref = alice.device, alice.create(Ledger)
        for number in range(20):  # the last turn of a burst is a draft for a moment
            _enter(ref, f"a {number}")
            _enter(ref, f"b {number}")
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(tmp_path / "alice", place, ignore=shutil.ignore_patterns("*.sock"))
            if _drafts(place):
                break
        number_of = len(_lines(ref))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    target = "tests/node/ledger.py:Ledger"
    with _node(place) as copy:
        twin = copy.open(Ledger)
        held = _lines(twin)
        unsent = twin.unsent()
        assert len(unsent) == number_of - len(held) > 0
        assert {each.device for each in unsent} == {device}
        found = [each.changes["lines"] for each in unsent]
        assert found[0].before == held
        assert found[-1].keys == (f"b {number}",)
        assert cast("Mapping[str, int]", found[-1].after)[f"b {number}"] == 1
        assert unsent[-1].changes["total"].after == number_of
        assert _lines(twin) == held
        assert twin.unsent() == unsent
    store = ["--store", str(tmp_path / "elsewhere"), "--insecure-store"]
    assert comity(["history", target, "--unsent", *store], standalone_mode=False) is None
    said = capsys.readouterr().out
    assert f"lines[b {number}]: (nothing) -> 1" in said
    assert "in no log: do again by hand what is still wanted" in said
    comity(["history", target, "--unsent", "--forget", *store], standalone_mode=False)
    assert "let go of" in capsys.readouterr().out
    comity(["history", target, "--unsent", *store], standalone_mode=False)
    assert "nothing: all that was done here is in the log" in capsys.readouterr().out
    comity(["status", *store], standalone_mode=False)
    assert "unsent " not in capsys.readouterr().out


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
