"""The surface is typed: checkers infer what `ask` brings, and refuse what does not fit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_WRONG = (
    "todo.ask(Todo.add, 3)",
    "todo.ask(Todo.add)",
    "todo.ask(Todo.add, 'milk', 'eggs')",
    "todo.tell(Todo.add, what=3)",
    "todo.tell(Todo.nope)",
    "todo.tell(str.upper)",
    "text: str = todo.ask(Todo.fetch, 'milk').get()",
    "todo.ask(Todo.fetch, 3)",
    "reader.ask(Todo.finish, 'milk')",
    "reader.ask(Reader.add, 3)",
    "number: str = todo.ask(Todo.add, 'milk').get()",
)


def _check(checker: str, path: Path, project: Path) -> tuple[int, str]:
    tool = shutil.which(checker, path=str(Path(sys.executable).parent))
    assert tool is not None, f"{checker} is not installed beside Python"
    runtime = str(project / "runtime")
    (path.parent / "mypy.ini").write_text(
        f"[mypy]\nstrict = true\nmypy_path = {runtime}\nexplicit_package_bases = true\n"
        "follow_imports = silent\n"
    )
    settings = {"typeCheckingMode": "standard", "extraPaths": [runtime]}
    (path.parent / "pyrightconfig.json").write_text(json.dumps(settings))
    options = {
        "mypy": ["--config-file", "mypy.ini", "--cache-dir", ".mypy"],
        "basedpyright": ["--pythonpath", sys.executable, "--project", "."],
    }
    done = subprocess.run(
        [tool, *options[checker], path.name],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("checker", ["mypy", "basedpyright"])
def test_what_fits_is_accepted_and_what_does_not_is_refused(
    checker: str, project: Path, tmp_path: Path
) -> None:
    """The good file passes; each wrong line is reported, on its own line."""
    good = (project / "tests/api/typed.py").read_text()
    path = tmp_path / "good_use.py"
    path.write_text(good)
    code, said = _check(checker, path, project)
    assert code == 0, said

    first = len(good.splitlines()) + 1
    path = tmp_path / "wrong_use.py"
    path.write_text(good + "".join(f"    {line}\n" for line in _WRONG))
    code, said = _check(checker, path, project)
    assert code == 1, said
    for number, line in enumerate(_WRONG, start=first):
        assert f"wrong_use.py:{number}" in said, f"{line} was accepted:\n{said}"
