"""The public names are lazy, complete, and the same for people, checkers and interpreter."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import comity


def loaded_by(folder: Path, statement: str) -> set[str]:
    """Run a statement in a fresh interpreter, without site files; return what it loaded."""
    code = (
        "import sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]);"
        f"{statement}; print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, folder],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_none_of_it(project: Path) -> None:
    """`import comity` brings no module of ours and no library."""
    loaded = loaded_by(project / "runtime", "import comity")
    assert {each for each in loaded if each.startswith("comity")} == {"comity"}
    assert not loaded & {"click", "google", "grpc", "keyring", "nacl", "pykka", "sqlite3"}


def test_an_eager_import_would_be_seen(project: Path, tmp_path: Path) -> None:
    """The test above can fail: with one import planted at the top, it does."""
    shutil.copytree(project / "runtime/comity/base", tmp_path / "comity/base")
    text = (project / "runtime/comity/__init__.py").read_text(encoding="utf-8")
    eager = f"{text}\nimport comity.base.errors\n"
    (tmp_path / "comity/__init__.py").write_text(eager, encoding="utf-8")
    assert "comity.base.errors" in loaded_by(tmp_path, "import comity")


def test_a_name_loads_its_own_module(project: Path) -> None:
    """Using a name imports where it lives, and no other layer."""
    loaded = loaded_by(project / "runtime", "from comity import UsageError")
    assert "comity.base.errors" in loaded
    assert not [each for each in loaded if each.startswith("comity.node")]


@pytest.mark.parametrize("name", comity.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """Each name in `__all__` is what its module calls by that name."""
    home = import_module(comity._HOMES[name])
    assert getattr(comity, name) is getattr(home, name)


def test_people_checkers_and_interpreter_see_the_same_names() -> None:
    """`__all__`, the table, `dir` and the imports that checkers read name the same things."""
    assert comity.__file__ is not None
    tree = ast.parse(Path(comity.__file__).read_text(encoding="utf-8"))
    (block,) = [each for each in tree.body if isinstance(each, ast.If)]
    seen = {
        alias.asname or alias.name: each.module
        for each in block.body
        if isinstance(each, ast.ImportFrom)
        for alias in each.names
    }
    assert seen == comity._HOMES
    assert sorted(comity.__all__) == sorted(comity._HOMES) == dir(comity)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A name that is not public says so, and names itself."""
    with pytest.raises(AttributeError, match="'Nothing'"):
        _ = comity.Nothing
