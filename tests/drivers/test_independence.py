"""Drivers of the outside know one another only through the store's port."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import comity.drivers.store

HERE = Path(comity.drivers.store.__file__).parent
APART = ("control", "generation", "grpc_link", "lock", "memory_store", "sqlite_store", "store",
         "system", "vault")  # fmt: skip


def drivers_named(source: str) -> list[str]:
    """Return the modules of `comity.drivers` that a source imports, in any form."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [f"{module}.{name.name}" for name in node.names]
            found += names if module == "comity.drivers" else [module]
        elif isinstance(node, ast.Import):
            found += [name.name for name in node.names]
    return [name.split(".")[2] for name in found if name.startswith("comity.drivers.")]


@pytest.mark.parametrize("module", APART)
def test_a_driver_imports_no_other(module: str) -> None:
    """Whatever they share is in `store`, and what they count in `figures`."""
    source = (HERE / f"{module}.py").read_text(encoding="utf-8")
    assert set(drivers_named(source)) <= {"figures", "store"}


def test_every_form_of_import_is_seen() -> None:
    """The check would catch a breach."""
    source = "import comity.drivers.lock\nfrom comity.drivers import vault\n"
    source += "if 1:\n    from comity.drivers.system import SystemClock\nimport comity.base\n"
    assert sorted(drivers_named(source)) == ["lock", "system", "vault"]
