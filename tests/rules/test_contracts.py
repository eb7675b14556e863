"""Each import contract catches a breach of it: the real contracts, on a tree of stubs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

LAYERS = [
    ["cli"],
    ["web"],
    ["api"],
    ["drivers"],
    ["node"],
    ["actor", "protocol"],
    ["wire"],
    ["authority", "crdt"],
    ["log"],
    ["crypto"],
    ["base"],
]
"""ARCHITECTURE's table, top to bottom, said once more on purpose."""

EVERY = [layer for row in LAYERS for layer in row]
CORE = [layer for row in LAYERS[4:] for layer in row]


class Tree:
    """A stub of both packages beside the real contracts."""

    def __init__(self, root: Path, project: Path) -> None:
        """Write an empty package for each layer."""
        self.root = root
        shutil.copy(project / "pyproject.toml", root)
        for package in ("comity", "comity_chaos", *(f"comity/{each}" for each in EVERY)):
            self.write(f"{package}/__init__.py")
        self.write("comity/wire/v1/wire_pb2_grpc.py", "import grpc\n")

    def write(self, path: str, text: str = "") -> None:
        """Write a module, and the packages that it is in."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        for parent in file.relative_to(self.root).parents[:-1]:
            (self.root / parent / "__init__.py").touch()

    def lint(self, contract: str) -> tuple[bool, set[tuple[str, str]], str]:
        """Check one contract: whether it was kept, the imports it named, all that it said."""
        done = subprocess.run(
            [_beside_python("lint-imports"), "--no-cache", "--no-logo", "--contract", contract],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        assert "1 kept, 0 broken" in said or "0 kept, 1 broken" in said, said
        named = set(re.findall(r"([\w.]+) -> ([\w.]+) \(l", said))
        assert (done.returncode == 0) == ("1 kept" in said)
        return done.returncode == 0, named, said

    def plant(self, module: str, *imports: str) -> set[tuple[str, str]]:
        """Write a module with these imports, and return them as the linter names them."""
        text = "".join(f"import {each}\n" for each in imports)
        self.write(module.replace(".", "/") + ".py", text)
        return {(module, each) for each in imports}


def _beside_python(tool: str) -> str:
    return str(Path(sys.executable).parent / tool)


def contracts(project: Path) -> dict[str, dict[str, Any]]:
    """Read the real contracts, by id."""
    with (project / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return {each["id"]: each for each in listed}


@pytest.fixture
def tree(tmp_path: Path, project: Path) -> Tree:
    """Return a fresh tree of stubs."""
    return Tree(tmp_path, project)


def test_every_contract_has_a_test_here_and_keeps_a_clean_tree(
    tree: Tree, project: Path
) -> None:
    """No contract is without a planted breach below, and none is broken by empty packages."""
    tested = {"layers", "sans-io", "protobuf", "pure-core", "crypto", "hashes"}
    assert set(contracts(project)) == tested | {
        "drivers",
        "stubs",
        "runtime",
        "chaos",
        "cycles",
        "web",
    }
    done = subprocess.run(
        [_beside_python("lint-imports"), "--no-cache"],
        cwd=tree.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_layers_catch_every_import_upward_or_sideways(tree: Tree) -> None:
    """Each pair of layers is judged as ARCHITECTURE says: downward is fine, nothing else is."""
    breaches: set[tuple[str, str]] = set()
    for height, row in enumerate(LAYERS):
        below = {layer for lower in LAYERS[height + 1 :] for layer in lower}
        for source in row:
            for target in EVERY:
                if target != source:
                    pairs = tree.plant(f"comity.{source}.to_{target}", f"comity.{target}.leaf")
                    breaches |= set() if target in below else pairs
            tree.write(f"comity/{source}/leaf.py")
    kept, named, said = tree.lint("layers")
    assert not kept
    assert named == breaches, said


def test_layers_catch_a_package_that_is_in_no_layer(tree: Tree) -> None:
    """A new package must be given its place."""
    tree.write("comity/stray/__init__.py")
    kept, _, said = tree.lint("layers")
    assert not kept
    assert "stray" in said


def test_web_libraries_are_for_pages(tree: Tree) -> None:
    """The extra may be absent, so that nothing but the pages imports what it brings."""
    libraries = ("anyio", "starlette", "uvicorn")
    tree.plant("comity.web.server", *libraries)
    tree.plant("comity.cli.pages", "comity.web.server")
    assert tree.lint("web")[0]
    breaches: set[tuple[str, str]] = set()
    for package in (*(f"comity.{each}" for each in EVERY if each != "web"), "comity_chaos"):
        breaches |= tree.plant(f"{package}.planted", *libraries)
    assert tree.lint("web")[:2] == (False, breaches)


def test_sans_io_catches_every_module_in_every_layer(tree: Tree, project: Path) -> None:
    """No layer from base to node may import what does I/O or differs from run to run."""
    contract = contracts(project)["sans-io"]
    assert set(contract["source_modules"]) == {f"comity.{each}" for each in CORE}
    forbidden = contract["forbidden_modules"]
    must = {"asyncio", "concurrent", "grpc", "logging", "os", "pykka", "random", "secrets"}
    must |= {"socket", "sqlite3", "ssl", "subprocess", "threading", "time", "uuid"}
    assert must <= set(forbidden)
    breaches: set[tuple[str, str]] = set()
    for layer in CORE:
        breaches |= tree.plant(f"comity.{layer}.planted", *forbidden)
    kept, named, said = tree.lint("sans-io")
    assert not kept
    assert named == breaches, said


def test_sans_io_follows_chains_and_nested_imports(tree: Tree) -> None:
    """An import inside a function counts, and so does what another layer brings along."""
    tree.write("comity/base/planted.py", "def now():\n    import time\n    return time\n")
    tree.plant("comity.node.planted", "comity.base.planted")
    kept, named, said = tree.lint("sans-io")
    assert not kept
    assert ("comity.base.planted", "time") in named
    assert "comity.node is not allowed to import time" in said


def test_sans_io_lets_one_module_have_the_type_of_uuids(tree: Tree) -> None:
    """Values of replicated types may be UUIDs; nobody else imports the module."""
    tree.plant("comity.crdt.codec", "uuid")
    assert tree.lint("sans-io")[0]
    wrong = tree.plant("comity.crdt.other", "uuid")
    assert tree.lint("sans-io")[:2] == (False, wrong)


def test_protobuf_is_for_the_codec(tree: Tree) -> None:
    """The codec and the generated code may; records, drivers and the lab may not."""
    tree.plant("comity.wire.codec", "google.protobuf")
    tree.plant("comity.wire.v1.wire_pb2", "google.protobuf")
    tree.plant("comity.drivers.link", "comity.wire.codec")
    assert tree.lint("protobuf")[0]
    sources = ("comity.wire.records", "comity.drivers.other", "comity.api.node")
    for source in (*sources, "comity_chaos.world"):
        tree.plant(source, "google.protobuf")
    kept, named, _ = tree.lint("protobuf")
    assert not kept
    assert named == {(each, "google") for each in (*sources, "comity_chaos.world")}


def test_no_machine_reaches_the_codec(tree: Tree) -> None:
    """A chain from a core machine through the codec to protobuf is a breach."""
    tree.plant("comity.wire.codec", "google.protobuf")
    assert tree.lint("pure-core")[0]
    for layer in ("protocol", "node"):
        tree.plant(f"comity.{layer}.planted", "comity.wire.codec")
    kept, _, said = tree.lint("pure-core")
    assert not kept
    assert "comity.protocol is not allowed to import google" in said
    assert "comity.node is not allowed to import google" in said


def test_crypto_libraries_are_for_crypto(tree: Tree) -> None:
    """Every layer but one is refused, the lab too; to use the port is fine."""
    tree.plant("comity.crypto.sodium", "nacl", "cryptography")
    tree.plant("comity.drivers.keys", "comity.crypto.sodium")
    assert tree.lint("crypto")[0]
    others = [f"comity.{each}" for each in EVERY if each != "crypto"]
    breaches: set[tuple[str, str]] = set()
    for package in (*others, "comity_chaos"):
        breaches |= tree.plant(f"{package}.planted", "nacl", "cryptography")
    assert tree.lint("crypto")[:2] == (False, breaches)


def test_hashes_are_for_crypto(tree: Tree) -> None:
    """Every other layer hashes through `comity.crypto.hashing`; the lab may hash its seeds."""
    tree.plant("comity.crypto.hashing", "hashlib", "hmac")
    tree.plant("comity.node.planted", "comity.crypto.hashing")
    tree.plant("comity_chaos.planted", "hashlib")
    assert tree.lint("hashes")[0]
    breaches: set[tuple[str, str]] = set()
    for layer in (each for each in EVERY if each != "crypto"):
        breaches |= tree.plant(f"comity.{layer}.planted", "hashlib", "hmac")
    assert tree.lint("hashes")[:2] == (False, breaches)


def test_services_are_for_drivers(tree: Tree) -> None:
    """gRPC, SQLite and pykka are imported by drivers; those above use the drivers."""
    tree.plant("comity.drivers.planted", "grpc", "pykka", "sqlite3")
    tree.plant("comity.api.planted", "comity.drivers.planted")
    assert tree.lint("drivers")[0]
    breaches: set[tuple[str, str]] = set()
    for package in ("comity.api", "comity.cli", "comity.web", "comity_chaos"):
        breaches |= tree.plant(f"{package}.other", "grpc", "pykka", "sqlite3")
    assert tree.lint("drivers")[:2] == (False, breaches)


def test_the_generated_service_is_for_drivers(tree: Tree) -> None:
    """The stub that knows gRPC is out of reach for the codec beside it and for all above."""
    stub = "comity.wire.v1.wire_pb2_grpc"
    tree.plant("comity.drivers.grpc_link", stub)
    assert tree.lint("stubs")[0]
    breaches: set[tuple[str, str]] = set()
    for module in ("comity.wire.codec", "comity.node.step", "comity.api.node"):
        breaches |= tree.plant(module, stub)
    assert tree.lint("stubs")[:2] == (False, breaches)


def test_the_runtime_never_imports_the_lab(tree: Tree) -> None:
    """No layer may, not even the commands."""
    breaches: set[tuple[str, str]] = set()
    for layer in EVERY:
        breaches |= tree.plant(f"comity.{layer}.planted", "comity_chaos")
    assert tree.lint("runtime")[:2] == (False, breaches)


def test_the_simulation_never_touches_the_world(tree: Tree, project: Path) -> None:
    """Any module of the lab that is not let out by name is refused clocks, threads and I/O."""
    contract = contracts(project)["chaos"]
    assert contract["source_modules"] == ["comity_chaos"]
    forbidden = [each for each in contract["forbidden_modules"] if "comity" not in each]
    assert {"asyncio", "random", "socket", "sqlite3", "threading", "time"} <= set(forbidden)
    tree.plant("comity_chaos.world", "comity.node")
    assert tree.lint("chaos")[0]
    breaches = tree.plant("comity_chaos.network", *forbidden)
    breaches |= tree.plant("comity_chaos.disk", "comity.drivers", "comity.web")
    assert tree.lint("chaos")[:2] == (False, breaches)


def test_cycles_between_siblings_are_seen(tree: Tree) -> None:
    """Two modules of one layer, or of the lab, may not import each other."""
    tree.plant("comity.log.graph", "comity.log.prune")
    assert tree.lint("cycles")[0]
    tree.plant("comity.log.prune", "comity.log.graph")
    tree.plant("comity_chaos.world.here", "comity_chaos.disk.there")
    tree.plant("comity_chaos.disk.here", "comity_chaos.world.there")
    tree.write("comity_chaos/world/there.py")
    tree.write("comity_chaos/disk/there.py")
    kept, _, said = tree.lint("cycles")
    assert not kept
    assert "comity.log" in said
    assert "comity_chaos" in said
