"""The app on the command line: from a path to the actor class in it.

Owns: the choice of file and class. May not know: nodes. Importing runs the file, as Python
would; its folder is put on the path so that it finds its neighbours.

    FILE.py           the only actor class in it
    FOLDER            FOLDER/<its name>.py, or the only Python file in it
    PATH:Class        that class
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from comity.actor.actor import Actor
from comity.base.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["load_actor"]


def load_actor(target: str) -> type[Actor]:
    """Return the actor class that a target names.

    Raises: UsageError that names the target and what there is instead.
    """
    path, name = _split(target)
    if path.is_dir():
        path = _main_file(path)
    if not path.is_file():
        raise UsageError(
            f"there is no app at {path}: give a Python file with an actor class, or its folder"
        )
    module = _import(path)
    found = {
        each.__name__: each
        for each in vars(module).values()
        if isinstance(each, type)
        and issubclass(each, Actor)
        and each.__module__ == module.__name__
    }
    if name:
        if name not in found:
            raise UsageError(f"{path} has no actor class {name!r}; it has {_listed(found)}")
        return found[name]
    if len(found) == 1:
        return next(iter(found.values()))
    fix = f"choose one as '{path}:{min(found)}'" if found else "derive one from comity.Actor"
    raise UsageError(f"{path} has {len(found)} actor classes ({_listed(found)}): {fix}")


def _split(target: str) -> tuple[Path, str]:
    path, colon, name = target.rpartition(":")
    if colon and name.isidentifier() and not Path(target).exists():
        return Path(path).expanduser(), name
    return Path(target).expanduser(), ""


def _main_file(folder: Path) -> Path:
    named = folder / f"{folder.absolute().name}.py"
    if named.is_file():
        return named
    files = sorted(folder.glob("*.py"))
    if len(files) == 1:
        return files[0]
    raise UsageError(
        f"the folder {folder} has {len(files)} Python files and no {named.name}: name the one "
        "with the actor class"
    )


def _import(path: Path) -> ModuleType:
    path = path.absolute()
    name = path.stem if path.stem not in sys.modules else f"comity_app_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not Python: its name must end in '.py'")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        line = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise UsageError(
            f"{path} cannot be imported: {type(error).__name__}{line}: {error}"
        ) from error
    return module


def _listed(found: dict[str, type[Actor]]) -> str:
    return ", ".join(sorted(found)) or "none"
