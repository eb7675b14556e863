"""The house's own checks see what they are for, and nothing else."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from scripts import tidy

CORE = "runtime/comity/log/planted.py"
OUTER = "runtime/comity/drivers/planted.py"


def found(text: str, path: str = CORE, **others: str) -> list[int]:
    """Return the lines of `text` with findings, `others` being its neighbours by name."""
    files = {f"runtime/comity/log/{name}.py": dedent(other) for name, other in others.items()}
    lines = tidy.findings({path: dedent(text), **files})
    return [int(line.split(":")[1]) for line in lines if line.startswith(f"{path}:")]


def function(lines: int) -> str:
    """Write a function that has so many lines."""
    return "def long() -> None:\n" + "    pass\n" * (lines - 1)


@pytest.mark.parametrize("path", [CORE, OUTER, "tests/planted.py", "benchmarks/planted.py"])
def test_sizes_hold_everywhere(path: str) -> None:
    """A function of 71 lines and a file of 601 are seen in any folder, one less is not."""
    assert found(function(71), path) == [1]
    assert found(function(70), path) == []
    assert found("async " + function(71), path) == [1]
    assert found("x = 1\n" * 601, path) == [1]
    assert found("x = 1\n" * 600, path) == []


def test_generated_code_is_left_alone() -> None:
    """What protoc wrote has no bounds."""
    assert found("x = 1\n" * 601, "runtime/comity/wire/v1/wire_pb2.py") == []


@pytest.mark.parametrize(
    ("handler", "seen"),
    [
        ("except: raise", True),
        ("except Exception: pass", True),
        ("except BaseException: ...", True),
        ("except (ValueError, Exception) as error: pass", True),
        ("except Exception as error: note(error)", False),
        ("except ValueError: pass", False),
    ],
)
def test_silence_is_seen(handler: str, seen: bool) -> None:  # noqa: FBT001
    """A bare except, and a broad one that does nothing, are seen above the core as well."""
    assert found(f"try: run()\n{handler}\n", OUTER) == ([2] if seen else [])


@pytest.mark.parametrize(
    "text",
    [
        "hash(x)",
        "sorted(x, key=id)",
        "y = {id(each): each for each in x}",
        "def f(): return id(f)",
        "f.__hash__()",
        "use(f.__hash__)",
        "open('x')",
        "t = __import__('time')",
        "eval('1')",
        "run = exec",
    ],
)
def test_addresses_are_seen_in_the_core_only(text: str) -> None:
    """Addresses, and ways around the imports, are seen called or handed on."""
    assert found(text) == [1]
    assert found(text, "chaos/comity_chaos/world.py") == [1]
    assert found(text, OUTER) == []


def test_a_class_may_define_its_own_hash() -> None:
    """`__hash__` needs hash(), and gives no order by itself."""
    assert (
        found("class A:\n    def __hash__(self) -> int:\n        return hash(self.b)\n") == []
    )


IN_ORDER = [
    "for x in {1, 2}: use(x)",
    "y = [x for x in {n for n in m}]",
    "y = {x: 1 for x in set(m)}",
    "y = (x for x in frozenset(m))",
    "y = list({1, 2})",
    "y = tuple(set(m))",
    "y = dict.fromkeys(set(m))",
    "y = b''.join({n for n in m})",
    "y = next(iter(set(m)))",
    "y = max(set(m), key=len)",
    "y = set(m).pop()",
    "y = f'{set(m)}'",
    "y = str(set(m))",
    "y = [*set(m)]",
    "use(*set(m))",
    "a, b = set(m)",
    "def f(): yield from set(m)",
    "s = set(m)\nfor x in s: use(x)",
    "s = set(m) if m else set()\nfor x in s: use(x)",
    "if s := set(m):\n    for x in s: use(x)",
    "def f(s: set[int]):\n    for x in s: use(x)",
    "def f(s: frozenset[int] | None):\n    for x in s or (): use(x)",
    "def f(s: 'AbstractSet[int]'):\n    for x in s: use(x)",
    "s: Final[frozenset[int]] = m\ndef f():\n    for x in s: use(x)",
    "def s() -> set[int]: return m\nfor x in s(): use(x)",
    "def f(s: set[int]):\n    for x in s - m: use(x)",
    "def f(s: set[int]):\n    for x in m | s: use(x)",
    "def f(s: set[int]):\n    for x in s.union(m): use(x)",
    "def f(s: set[int]):\n    for x in s.copy(): use(x)",
    "for x in m.keys() & n.keys(): use(x)",
    "class A:\n    s: set[int]\n    def f(self):\n        for x in self.s: use(x)",
    "class A:\n    def __init__(self):\n        self.s: set[int] = m\ny = list(a.s)",
    "class A:\n    def __init__(self):\n        self.s = {1}\ny = list(a.s)",
    "class A:\n    @property\n    def s(self) -> set[int]: return m\ny = list(a.s)",
]


@pytest.mark.parametrize("text", IN_ORDER)
def test_the_order_of_a_set_is_seen(text: str) -> None:
    """However a set comes about, reading it in order is seen, on the line that reads."""
    last = text.count("\n") + 1
    assert found(text) == [last]
    assert found(text, OUTER) == []


@pytest.mark.parametrize(
    "text",
    [
        "for x in sorted({1, 2}): use(x)",
        "y = sorted(x for x in set(m))",
        "y = sorted([x for x in set(m)])",
        "y = sum(x for x in set(m))",
        "y = any(x for x in set(m))",
        "y = len(set(m))",
        "y = max(set(m))",
        "y = {x for x in set(m)}",
        "y = {*set(m), 1}",
        "y = 1 in set(m)",
        "y = set(m) <= set(n)",
        "for x in m.keys(): use(x)",
        "y = m.keys() & n.keys()",
        "y = m.pop()",
        "def f(s: dict[int, set[int]]):\n    for x in s: use(x)",
        "def f(s: set[int]): return s\ndef g(s: list[int]):\n    for x in s: use(x)",
        "s = set(m)\ndef g():\n    s = sorted(m)\n    for x in s: use(x)",
    ],
)
def test_what_has_no_order_is_let_through(text: str) -> None:
    """Asking a set what does not depend on its order is fine."""
    assert found(text) == []


def test_attributes_are_known_across_files() -> None:
    """A set declared in one file is seen where another reads it, unless the name is shared."""
    declares = "class A:\n    readers: frozenset[int]\n"
    differs = "class B:\n    readers: list[int]\n"
    reads = "for x in a.readers: use(x)\n"
    assert found(reads, neighbour=declares) == [1]
    assert found(reads, neighbour=declares, other=differs) == []
    assert found(declares + reads, other=differs) == [3]


def test_the_project_is_looked_at_whole(project: Path) -> None:
    """The files that are checked include the core, the lab, the tests and this script."""
    seen = tidy.tracked(project)
    for path in ("runtime/comity/__init__.py", "chaos/comity_chaos/__init__.py"):
        assert path in seen
    assert "scripts/tidy.py" in seen
    assert "tests/rules/test_tidy.py" in seen
