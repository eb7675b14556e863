"""The process under test: a whole node under load, recorded, or until it is killed.

Owns: the load, and the word of every acknowledgement to the outside. May not know: what is
checked, when it will be killed. Plans are lines of JSON on stdin; each runs in a process of
its own, forked from this one, which has everything imported and does nothing itself.

    started PID · said by the load: founded, sent NAME, told NAME NUMBER · ended STATUS

A line is out before the next thing is asked for, so a killed process has said all it knew.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from comity import Node, Ref
from comity.base.clock import MILLISECOND, Duration
from comity.drivers import sqlite_store
from comity.drivers.dispatch.future import Future
from comity.drivers.store import Store
from comity.log.sealed import commit_id
from comity.node import beats, indexing, loading, packing, rows
from comity.node.effects import Drop, Put, Table
from tests.durability.mutants import MUTANTS
from tests.durability.record import Kind, save
from tests.durability.recorder import Recorder
from tests.durability.verdict import Tally

__all__: list[str] = []

_CLIENTS: Final = 3
_SECONDS: Final = 30.0
_BEAT: Final = Duration(25 * MILLISECOND)
"""Shorter than in life: many drafts are sealed in a short load. On a slow machine a fifth would
seal each draft with its first turn; twice would need a longer load."""

_COMMITS: Final = 8
"""In each life of a record at least, however fast the machine is."""

_CHECKPOINT_PAGES: Final = 40
"""Fewer than in life: the log is carried over and begun anew many times in a short load."""

_LIMITS: Final[tuple[tuple[ModuleType, str, object], ...]] = (
    (beats, "BEAT_MAX", _BEAT),
    (packing, "COLD_BACKLOG", 8),
    (indexing, "COLD_BACKLOG", 8),
    (indexing, "COLD_WAIT", _BEAT),
    (indexing, "INDEX_PIECE", 5),
    (loading, "INDEX_PIECE", 5),
    (packing, "COLD_TAIL", 3),
    (packing, "COLD_PIECE", 5),
    (packing, "COLD_WAIT", _BEAT),
    (packing, "RUN_COMMITS_MIN", 2),
    (sqlite_store, "_CHECKPOINT_PAGES", _CHECKPOINT_PAGES),
)

_LONG_NOTE: Final = "long " * 1500

Say = Callable[[Kind, str, int], None]


def _record(plan: dict[str, Any]) -> None:
    """Run two lives of a node, the first ended in order, and save the record of both."""
    folder = Path(plan["folder"])
    recorder = Recorder(folder / "store")
    if plan["mutant"]:
        plant, _ = MUTANTS[plan["mutant"]]
        plant()
    turns: int = plan["turns"]
    with Node(folder / "peer", insecure_store=True) as peer:
        with Node(folder / "store", insecure_store=True) as node:
            ref = node.create(Tally)
            recorder.note(Kind.FOUNDED, "")
            peer.open(Tally, ref.invite("reader"))
            peer._host._store = _Watched(peer._host._store, recorder)
            _load_until(node, ref, recorder.note, "1", turns)
        node = Node(folder / "store", insecure_store=True)
        _load_until(node, node.open(Tally), recorder.note, "2", turns)
        node._host.close()  # the disk stays as it is now, with drafts and a log to recover
        save(recorder.entries, Path(plan["record"]))
        os._exit(0)


class _Watched:
    """The store of a peer: what it is about to keep has left the node for good."""

    def __init__(self, store: Store, recorder: Recorder) -> None:
        self._store = store
        self._recorder = recorder
        self.read = store.read
        self.get = store.get
        self.close = store.close

    def apply(self, changes: Sequence[Put | Drop]) -> None:
        """Note the commits among the changes, then make them."""
        for change in changes:
            if isinstance(change, Put) and change.table is Table.COMMIT:
                topic = rows.topic_of_key(change.key)
                commit = rows.decode_commit(change.value)
                self._recorder.note(Kind.LEFT, "", 0, commit_id(topic, commit.sealed))
        self._store.apply(changes)


def _storm(plan: dict[str, Any]) -> None:
    """Go on with what is there, or begin; ask until killed, or all `turns` are taken."""
    folder = Path(plan["folder"])
    node = Node(folder / "store", insecure_store=True, listen=None)
    ref = node.open(Tally) if node.status().topics else node.create(Tally)
    _print(Kind.FOUNDED, "", 0)
    _load(ref, _print, plan["round"], plan["turns"])
    node.close()


def _load_until(node: Node, ref: Ref[Tally], say: Say, life: str, turns: int) -> None:
    """Load a node until it has made enough commits in this life."""
    (before,) = node.status().topics
    for number in itertools.count():
        _load(ref, say, f"{life}.{number}", turns)
        (topic,) = node.status().topics
        if topic.commits >= before.commits + _COMMITS:
            return


def _load(ref: Ref[Tally], say: Say, life: str, turns: int) -> None:
    """Have several clients ask, some one at a time, some in bursts."""

    def client(number: int) -> None:
        name = f"{life}.{number}"
        done = 0
        while done < turns:
            burst = 1 + (done % 3) * number
            asked: list[tuple[int, Future[int]]] = []
            for which in range(done, done + burst):
                note = _LONG_NOTE if which % 16 == number else ""
                say(Kind.SENT, f"{name}/{which}", 0)
                asked.append((which, ref.ask(Tally.enter, f"{name}/{which}", note)))
            for which, reply in asked:
                say(Kind.TOLD, f"{name}/{which}", reply.get(timeout=_SECONDS))
            done += burst

    clients = [threading.Thread(target=client, args=(number,)) for number in range(_CLIENTS)]
    for each in clients:
        each.start()
    for each in clients:
        each.join()


def _print(kind: Kind, name: str, number: int) -> None:
    os.write(1, f"{kind} {name} {number}\n".encode())


_ROLES: Final[dict[str, Callable[[dict[str, Any]], None]]] = {
    "record": _record,
    "storm": _storm,
}


def _run(plan: dict[str, Any]) -> None:
    """Be the forked process."""
    status = 1
    try:
        for module, limit, value in _LIMITS:
            setattr(module, limit, value)
        _ROLES[plan["role"]](plan)
        status = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(status)


def _serve() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _run(json.loads(line))
        os.write(1, f"started {child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(1, f"ended {os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    _serve()
