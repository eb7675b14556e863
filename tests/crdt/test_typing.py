"""Declarations and uses of fields, as both strict type checkers see them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

RIGHT = """
from __future__ import annotations
from collections.abc import Iterator, MutableMapping, MutableSequence, MutableSet, Sequence
from typing import assert_type
from comity.base.ids import DeviceId
from comity.crdt.bounded import BoundedCounter
from comity.crdt.descriptor import FieldOptions, field
from comity.crdt.flag import Flag
from comity.crdt.list_view import List
from comity.crdt.record import Record
from comity.crdt.text.marks import Mark
from comity.crdt.tree_view import Tree, TreeNode
from comity.crdt.views import Counter, Map, Register, Set, Text

class Files:
    tree: Tree[str]
    many: Map[str, Tree[int]]

    def grow(self) -> None:
        node = self.tree.add("a")
        assert_type(node, TreeNode[str])
        assert_type(node.add("b", 0).parent, TreeNode[str] | None)
        assert_type(node.children, tuple[TreeNode[str], ...])
        assert_type(node.value, str)
        assert_type(self.tree.at((0,)), TreeNode[str])
        assert_type(self.tree.outline, tuple[tuple[int, str], ...])
        node.value = "c"
        node.move(self.tree.find("b"), 0)
        node.move(None)
        node.delete()
        self.tree = [(0, "a"), (1, "b")]
        self.many["x"].add(3)
        print([each.path for each in self.tree], node in self.tree, len(self.tree))

class Place(Record):
    lat: Register[float]
    lon: Register[float]

class Item(Record):
    title: Text
    done: Flag = field()
    price: Register[int | None] = field()
    count: Counter = field()
    place: Place = field()
    tags: Set[str] = field()

    def is_late(self) -> bool:
        return not self.done

class Shop:
    things: Map[str, Item]
    best: Item

    def sell(self, what: str) -> str:
        self.things[what] = Item(title="milk")
        self.things[what] = Item(title="milk", done=True, price=3, tags={"a"})
        self.things[what].title.insert(0, "x")
        self.things[what].count += 2
        self.things[what].done = True
        self.things[what].place = Place(lat=1, lon=2)
        self.best = self.things[what]
        self.best.title = "x"
        assert_type(self.best, Item)
        assert_type(self.best.title, Text)
        assert_type(self.best.place.lat.value, float)
        assert_type(self.things[what].price.value, int | None)
        assert_type(self.things.get(what), Item | None)
        print(self.best == Item(title="x"), Item.title, Shop.best)
        return f"{self.best.title} {self.best.is_late()}"

class Todo:
    title: Register[str]
    note: Text
    open: Flag
    row: List[int]
    owner: Register[str | None] = field(id="holder")
    done: Counter
    seats: BoundedCounter = field(floor=0)
    tags: Set[str]
    items: Map[str, bool]

    def add(self, what: str) -> int:
        self.seats += 5
        self.seats -= 1
        self.seats.transfer(self.seats.device, 1)
        assert_type(self.seats, BoundedCounter)
        assert_type(self.seats + 1, int)
        assert_type(self.seats.holders.get(self.seats.device), int | None)
        assert_type(list(self.seats.overdrawn), list[DeviceId])
        assert_type(Todo.seats, FieldOptions)
        print(self.seats > 2, self.seats == 3, f"{self.seats}", self.seats.rights)
        self.items[what] = False
        self.done += 1
        self.done -= 1
        self.title = "x"
        self.owner = None
        self.tags.add(what)
        self.tags = {"a", "b"}
        self.tags |= {"c"}
        self.items = {what: True}
        self.items.update(milk=False)
        self.note = "x"
        self.row = [1, 2]
        self.row += [3]
        self.row[0:1] = [4]
        self.row.move(0, -1)
        assert_type(self.row[0], int)
        assert_type(self.row[0:2], list[int])
        as_list: MutableSequence[int] = self.row
        print(as_list, self.row == [1])
        self.open = True
        self.open.disable()
        assert_type(self.open.value, bool)
        print(self.open == True, not self.open)
        self.note += what
        self.note.insert(0, what)
        self.note[0:2] = what
        del self.note[0]
        assert_type(self.note, Text)
        assert_type(self.note[0], str)
        self.note.mark(0, 1, Mark("bold", grows=True))
        assert_type(self.note.spans()[0].marks["bold"], tuple[str, ...])
        assert_type(self.note[1:2], str)
        assert_type(self.note + "x", str)
        as_sequence: Sequence[str] = self.note
        print(as_sequence, self.note == "x", "x" in self.note)
        assert_type(self.title, Register[str])
        assert_type(self.title.value, str)
        assert_type(self.title.conflicts, tuple[str, ...])
        assert_type(self.owner.value, str | None)
        assert_type(self.done, Counter)
        assert_type(self.done.value, int)
        assert_type(self.done + 1, int)
        assert_type(self.items[what], bool)
        assert_type(self.items.get(what), bool | None)
        assert_type(self.items.conflicts(what), tuple[bool, ...])
        assert_type(iter(self.tags), Iterator[str])
        assert_type(Todo.title, FieldOptions)
        as_map: MutableMapping[str, bool] = self.items
        as_set: MutableSet[str] = self.tags
        if self.title == "x" and self.done > 3 and what in self.items:
            print(f"{self.title} {self.done:>3}", len(as_map), len(as_set), self.tags == {"a"})
        return len(self.items) + int(self.done)
"""

WRONG = """
from __future__ import annotations
from comity.crdt.bounded import BoundedCounter
from comity.crdt.record import Record
from comity.crdt.tree_view import Tree
from comity.crdt.views import Counter, Map, Register, Set, Text

class Item(Record):
    title: Text
    number: Register[int]

class Files:
    tree: Tree[str]

    def grow(self) -> None:
        self.tree.add(3)  # E
        self.tree.children[0].value = 3  # E
        self.tree.children[0].move("a")  # E
        self.tree = "a"  # E

class Shop:
    things: Map[str, Item]
    best: Item

    def sell(self) -> None:
        self.things["a"] = Item(title=3, number=3)  # E
        self.things["a"] = Item(titel="a", number=3)  # E
        self.things["a"] = Item(title="a")  # E
        self.things["a"] = {"title": "a"}  # E
        self.best = "a"  # E
        self.best.number = "a"  # E
        print(self.best.nothing)  # E

class Todo:
    title: Register[str]
    done: Counter
    tags: Set[str]
    items: Map[str, bool]
    note: Text
    seats: BoundedCounter

    def add(self, what: str) -> None:
        self.seats = 5  # E
        self.seats.transfer("ann", 1)  # E
        self.title = 3  # E
        self.done = 5  # E
        self.done += "x"  # E
        self.tags.add(3)  # E
        self.tags = {1, 2}  # E
        self.tags = ["a"]  # E
        self.note = 3  # E
        self.note.insert("x", 0)  # E
        self.items[3] = True  # E
        self.items["a"] = "yes"  # E
        self.items = {"a": 1.5}  # E
        number: int = self.title.value  # E
        text: str = self.title  # E
        print(number, text, self.title.nothing)  # E

class Two:
    a: Map[str]  # E
    b: Counter[int]  # E
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Path:
    """Return a folder with both files and the settings of a strict user."""
    folder = tmp_path_factory.mktemp("typing")
    (folder / "right.py").write_text(RIGHT)
    (folder / "wrong.py").write_text(WRONG)
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(project / "runtime")]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    (folder / "mypy.ini").write_text(
        f"[mypy]\nstrict = true\nmypy_path = {project / 'runtime'}\n"
        f"cache_dir = {project / '.cache' / 'mypy-typing'}\n"
    )
    return folder


def run(folder: Path, *command: str) -> str:
    """Run a checker in the folder and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout


def marked() -> set[int]:
    """Return the lines that must be found wrong."""
    return {n for n, line in enumerate(WRONG.split("\n"), 1) if line.endswith("# E")}


def errors(output: str, pattern: str) -> dict[str, set[int]]:
    """Return the lines with errors of each file."""
    found: dict[str, set[int]] = {"right.py": set(), "wrong.py": set()}
    for name, line in re.findall(pattern, output):
        found[name].add(int(line))
    return found


def test_mypy(folder: Path) -> None:
    """`mypy --strict` accepts every right use and rejects every wrong one."""
    output = run(folder, "mypy", "right.py", "wrong.py")
    found = errors(output, r"(?m)^(\w+\.py):(\d+): error:")
    assert found == {"right.py": set(), "wrong.py": marked()}, output


def test_pyright(folder: Path) -> None:
    """So does pyright in strict mode."""
    output = run(folder, "basedpyright", "right.py", "wrong.py")
    found = errors(output, r"(?m)(\w+\.py):(\d+):\d+ - error")
    assert found == {"right.py": set(), "wrong.py": marked()}, output
