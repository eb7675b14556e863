"""The linter and both type checkers, as they are set up here, catch planted breaches."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
CORE = "runtime/comity/log/planted.py"
DRIVER = "runtime/comity/drivers/planted.py"
LAW = '"""A module with a law."""\n\n'


def codes(project: Path, path: str, text: str) -> set[str]:
    """Return the rules that the linter finds broken, were the file at that path."""
    done = subprocess.run(
        [
            BIN / "ruff",
            "check",
            "--no-cache",
            "--output-format=json",
            f"--stdin-filename={path}",
        ],
        cwd=project,
        input=LAW + text,
        capture_output=True,
        text=True,
        check=False,
    )
    return {each["code"] for each in json.loads(done.stdout)}


BANNED = [
    "import time\n\nNOW = time.monotonic()\n",
    "import random\n\nDIE = random.random()\n",
    "import os\n\nKEY = os.urandom(32)\n",
    "import uuid\n\nID = uuid.uuid4()\n",
    "from uuid import uuid1\n\nID = uuid1()\n",
    "from secrets import token_bytes\n\nKEY = token_bytes(32)\n",
    "import datetime\n\nNOW = datetime.datetime.now(tz=datetime.UTC)\n",
    "from datetime import UTC, datetime\n\nNOW = datetime.now(tz=UTC)\n",
    "from datetime import datetime as clock\n\nNOW = clock.utcnow()\n",
    "from datetime import date\n\nTODAY = date.today()\n",
]


@pytest.mark.parametrize("text", BANNED)
def test_clocks_and_entropy_are_banned_below_drivers(project: Path, text: str) -> None:
    """Each is refused in the core and in the lab, and is what drivers are for."""
    assert "TID251" in codes(project, CORE, text)
    assert "TID251" in codes(project, "chaos/comity_chaos/world.py", text)
    assert "TID251" not in codes(project, DRIVER, text)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (
            "PLR0913",
            "def f(a: X, b: X, c: X, d: X, e: X, g: X, h: X) -> None:\n    ''''''\n",
        ),
        ("FBT001", "def f(loud: bool) -> None:\n    ''''''\n"),
        ("E722", "try:\n    f()\nexcept:\n    g()\n"),
        ("S110", "try:\n    f()\nexcept Exception:\n    pass\n"),
        ("PT018", "assert a and b\n"),
        ("E501", f"X = '{'x' * 96}'\n"),
        ("D103", "def f() -> None:\n    return\n"),
        ("TID252", "from . import neighbour\n"),
        ("F403", "from comity.log import *\n"),
        ("T201", "print(1)\n"),
        ("ERA001", "# x = 1\n"),
        ("FIX002", "# TODO: later\n"),
    ],
)
def test_the_linter_holds_the_house_style(project: Path, rule: str, text: str) -> None:
    """Long argument lists, flags by position, silence, compound asserts and the like."""
    assert rule in codes(project, CORE, text)


def test_the_linter_leaves_good_code_alone(project: Path) -> None:
    """A module in house style has no finding."""
    good = 'def double(count: int) -> int:\n    """Double the count."""\n    return 2 * count\n'
    assert codes(project, CORE, good) == set()


def test_each_rule_that_is_off_says_why(project: Path) -> None:
    """Every line of the linter's ignores ends in a reason, or stands under one."""
    text = (project / "pyproject.toml").read_text(encoding="utf-8")
    block = text.split("[tool.ruff.lint]\n", 1)[1].split("[tool.ruff.lint.pydocstyle]")[0]
    entries = 0
    reason_above = False
    for line in block.splitlines():
        if re.match(r' *"[!\w*/]+"(,| = \[)', line):
            assert "#" in line or reason_above, f"no reason is given: {line}"
            entries += 1
        else:
            reason_above = line.lstrip().startswith("#")
    assert entries > 20


TYPED = "def double(count: int) -> int:\n    return 2 * count\n"
UNTYPED = {
    "an untyped function": "def double(count):\n    return 2 * count\n",
    "a generic without its argument": "def first(items: list) -> int:\n    return 0\n",
    "a value that may be None": "def size(text: str | None) -> int:\n    return len(text)\n",
    "a wrong argument": TYPED + "double('a')\n",
    "Any returned": "import json\ndef load() -> int:\n    return json.loads('1')\n",
}


def test_mypy_is_strict(project: Path, tmp_path: Path) -> None:
    """Each loose piece of code is refused under the project's settings, typed code passes."""
    (tmp_path / "typed.py").write_text(TYPED, encoding="utf-8")
    for number, text in enumerate(UNTYPED.values()):
        (tmp_path / f"loose{number}.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [
            BIN / "mypy",
            f"--config-file={project / 'pyproject.toml'}",
            f"--cache-dir={tmp_path / 'cache'}",
            *tmp_path.glob("*.py"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    refused = set(re.findall(r"loose(\d+)\.py:\d+: error", done.stdout))
    assert refused == {str(number) for number in range(len(UNTYPED))}, done.stdout
    assert "typed.py:" not in done.stdout


def test_basedpyright_is_strict(project: Path, tmp_path: Path) -> None:
    """The other checker, under the project's settings, refuses the untyped ones as well."""
    with (project / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)["tool"]["basedpyright"]
    settings |= {"include": ["."], "exclude": [], "extraPaths": [], "executionEnvironments": []}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    (tmp_path / "typed.py").write_text(TYPED, encoding="utf-8")
    strict = [text for name, text in UNTYPED.items() if name != "Any returned"]
    for number, text in enumerate(strict):
        (tmp_path / f"loose{number}.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [BIN / "basedpyright", "--outputjson", f"--pythonpath={sys.executable}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = json.loads(done.stdout)["generalDiagnostics"]
    refused = {Path(each["file"]).stem for each in errors if each["severity"] == "error"}
    assert refused == {f"loose{number}" for number in range(len(strict))}, done.stdout
