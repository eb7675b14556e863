"""No secret of a running node shows: not in the words of any object, a log, or an error.

Every object of ours that is alive beside a real node is asked for its words, and every secret
is sought in them in each form in which bytes are written.
"""

from __future__ import annotations

import base64
import gc
import importlib
import logging
import pkgutil
import shutil
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Final, cast

import pytest

import comity
from comity import Node, Ref, UsageError
from comity.crypto.sodium import Sodium
from comity.drivers.sqlite_store import SqliteStore
from comity.drivers.store import STORE_FILE, VAULT_FILE
from comity.drivers.system import SystemEntropy
from comity.drivers.vault import Vault
from comity.node.effects import Table
from comity.protocol.invite import parse_invite
from tests.node.ledger import Ledger

_SECONDS: Final = 20.0
_PASSPHRASE: Final = "correct horse battery staple"
_PLAIN: Final = "what nobody else may read"


@pytest.fixture
def ref(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Ref[Ledger]]:
    """Return an actor of a node, in which something is written."""
    caplog.set_level(logging.DEBUG)
    with Node(tmp_path / "store", passphrase=_PASSPHRASE) as node:
        ref = node.create(Ledger)
        ref.ask(Ledger.enter, _PLAIN, 1).get(timeout=_SECONDS)
        yield ref


def _secrets(running: Path) -> dict[str, bytes]:
    """Return every secret that lies in a store, by what it is; read from a copy of it."""
    store = running.with_name("copy")
    shutil.copytree(running, store, ignore=shutil.ignore_patterns("*.sock"))
    crypto, entropy = Sodium(), SystemEntropy()
    key = Vault(store / VAULT_FILE, crypto, entropy).open(passphrase=_PASSPHRASE)
    database = SqliteStore(store / STORE_FILE, key, crypto, entropy)
    try:
        found = {
            f"{table.value} {name.hex()}": value
            for table in (Table.SECRET, Table.EPOCH)
            for name, value in database.read(table, b"", b"\xff" * 80, 1 << 20)
            if len(value) == 32
        }
    finally:
        database.close()
    assert len(found) >= 3, "a device key, a prekey, a content key"
    return {**found, "store key": key.key, "passphrase": _PASSPHRASE.encode()}


def _forms(secret: bytes) -> list[str]:
    """Write bytes as programs do: hex, Base64, a bytes literal, its beginning too."""
    literal = repr(secret)[2:-1]
    return [
        secret.hex(),
        secret[:12].hex(),
        base64.b64encode(secret).decode().rstrip("=")[:40],
        base64.urlsafe_b64encode(secret).decode().rstrip("=")[:40],
        literal,
        repr(bytearray(secret))[12:-2],
        str(list(secret)),
    ]


def _shown(text: str, secrets: dict[str, bytes]) -> list[str]:
    return [name for name, value in secrets.items() if any(f in text for f in _forms(value))]


def test_no_living_object_shows_a_secret(ref: Ref[Ledger], tmp_path: Path) -> None:
    """Whatever of ours is alive says nothing when it is printed."""
    invite = parse_invite(ref.invite("writer"))
    secrets = {**_secrets(tmp_path / "store"), "invite": invite.seed}
    kinds: set[str] = set()
    for each in gc.get_objects():
        kind = cast("type[object]", type(each))
        if str(kind.__module__).partition(".")[0] == "comity":
            kinds.add(kind.__qualname__)
            shown = _shown(repr(each) + str(each), secrets)
            assert not shown, f"{kind.__module__}.{kind.__qualname__} shows {shown}"
    assert {"Journal", "Session", "Core"} & kinds
    assert len(kinds) > 50


def test_no_log_and_no_error_shows_a_secret(
    ref: Ref[Ledger], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at the lowest level, not for a wrong passphrase, a damaged store, a bad invite."""
    secrets, node = _secrets(tmp_path / "store"), ref._node
    link = ref.invite("writer")
    secrets["invite"] = parse_invite(link).seed
    said: list[str] = []
    for act in (
        lambda: node.join(link),
        lambda: node.join(link[:-3] + "AAA"),
        lambda: Node(tmp_path / "copy", passphrase="wrong " + _PASSPHRASE),
        lambda: node.open(Ledger, link),
    ):
        with pytest.raises(UsageError) as refused:
            act()
        said.append(str(refused.value) + repr(refused.value))
    text = "\n".join([*said, caplog.text, repr(node), repr(node.status())])
    assert not _shown(text, secrets)


def test_the_walk_would_find_a_secret() -> None:
    """What it seeks it finds, in every form in which bytes are written."""
    secret = bytes(range(200, 232))
    for text in (
        repr(secret),
        secret.hex(),
        f"Key(seed={secret!r})",
        base64.b64encode(secret).decode(),
        repr(bytearray(secret)),
        str(list(secret)),
    ):
        assert _shown(text, {"it": secret}) == ["it"]


_KEYS_OPEN: Final = frozenset({"Put", "Drop", "Read", "Edit", "Draft", "Mailboxes"})
"""Values whose `key` names a row, or whose `keys` are public halves: no secrets."""


def test_fields_that_hold_secrets_are_left_out_of_words() -> None:
    """Every data class of ours whose field is called like a secret keeps it to itself."""
    telling: list[str] = []
    for module in pkgutil.walk_packages(comity.__path__, "comity."):
        if "__main__" in module.name or "_pb2" in module.name:
            continue
        for kind in vars(importlib.import_module(module.name)).values():
            if not isinstance(kind, type) or not is_dataclass(kind):
                continue
            telling += [
                f"{kind.__qualname__}.{each.name}"
                for each in fields(kind)
                if each.repr and "bytes" in str(each.type) and _is_secret(kind, each.name)
            ]
    assert sorted(dict.fromkeys(telling)) == []


def _is_secret(kind: type, name: str) -> bool:
    if name in {"key", "keys"}:
        return kind.__qualname__ not in _KEYS_OPEN
    return name in {"seed", "secret", "passphrase", "psks", "sealing", "plain"}
