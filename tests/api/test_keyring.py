"""A node whose store key lies in the keyring of the system: at rest, opened again, locked."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import keyring
import pytest

from comity import Node, UsageError
from comity.drivers.store import VAULT_FILE
from tests.drivers.test_vault import DictKeyring
from tests.node.ledger import Ledger

_SECONDS: Final = 20.0
_PLAIN: Final = "what nobody else may read"


@pytest.fixture
def backend() -> Iterator[DictKeyring]:
    """Make a keyring in memory the one in use."""
    before, ours = keyring.get_keyring(), DictKeyring()
    keyring.set_keyring(ours)
    yield ours
    keyring.set_keyring(before)


def test_the_keyring_opens_the_store_and_nothing_else_does(
    tmp_path: Path, backend: DictKeyring, caplog: pytest.LogCaptureFixture
) -> None:
    """Files are private and hold neither text nor entry; without the entry none opens."""
    caplog.set_level(logging.DEBUG)
    store = tmp_path / "store"
    with Node(store) as node:
        ref = node.create(Ledger)
        ref.ask(Ledger.enter, _PLAIN, 1).get(timeout=_SECONDS)
        device = node.device
    (entry,) = backend.entries.values()
    for file in store.rglob("*"):
        if file.is_file():
            assert file.stat().st_mode & 0o077 == 0, file
            data = file.read_bytes()
            assert _PLAIN.encode() not in data, file
            assert bytes.fromhex(entry) not in data, file
            assert entry.encode() not in data, file
    with Node(store) as node:
        assert node.device == device
    said = [caplog.text]
    backend.locked = True
    with pytest.raises(UsageError, match="unlock it") as locked:
        Node(store)
    backend.locked = False
    backend.entries.clear()
    with pytest.raises(UsageError, match="no key for") as emptied:
        Node(store)
    said += ["".join(traceback.format_exception(each.value)) for each in (locked, emptied)]
    assert entry not in "".join(said)
    assert (store / VAULT_FILE).exists()
