"""The vault: what opens it, what does not, and what it says; it never says a secret."""

from __future__ import annotations

import json
import logging
import traceback
from typing import TYPE_CHECKING

import keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.backends import fail
from keyring.errors import KeyringLocked

from comity.base.errors import StoreError, UsageError
from comity.crypto.passphrase import COST_MIN, MODERATE
from comity.crypto.sodium import Sodium
from comity.drivers.store import STORE_FILE, Protection, StoreKey
from comity.drivers.system import SystemEntropy
from comity.drivers.vault import KEYRING_SERVICE, Vault, _parse

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

SECRET = "correct horse battery staple"


class DictKeyring(KeyringBackend):
    """A keyring in memory, through the library's own port for backends."""

    priority = 5  # pyright: ignore[reportAssignmentType]  (as theirs do)

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        """Return an entry or None."""
        if self.locked:
            raise KeyringLocked("locked")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep an entry."""
        if self.locked:
            raise KeyringLocked("locked")
        self.entries[service, username] = password


@pytest.fixture
def backend() -> Generator[DictKeyring]:
    """Make a keyring in memory the one in use."""
    before = keyring.get_keyring()
    ours = DictKeyring()
    keyring.set_keyring(ours)
    yield ours
    keyring.set_keyring(before)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """Name a vault that does not exist yet."""
    return Vault(tmp_path / "vault", Sodium(), SystemEntropy())


def make(vault: Vault, protection: Protection) -> StoreKey:
    """Open or make a vault in one way."""
    return vault.open(
        passphrase=SECRET if protection is Protection.PASSPHRASE else None,
        keyring=protection is Protection.KEYRING,
        insecure=protection is Protection.INSECURE,
        cost=COST_MIN,
    )


@pytest.mark.parametrize("protection", list(Protection))
@pytest.mark.usefixtures("backend")
def test_the_same_key_comes_back(vault: Vault, protection: Protection) -> None:
    """What was made opens again in the same way, to the same key."""
    first, second = make(vault, protection), make(vault, protection)
    assert (first.instance, first.key) == (second.instance, second.key)
    assert first.protection is second.protection is protection
    assert vault.path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in vault.path.parent.iterdir()] == ["vault"]


@pytest.mark.parametrize("protection", list(Protection))
def test_no_secret_is_said_or_lies_in_the_file(
    vault: Vault,
    backend: DictKeyring,
    protection: Protection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The store key is in no repr, log or file; the insecure way alone is announced."""
    with caplog.at_level(logging.DEBUG):
        key = make(vault, protection)
    said = repr(key) + str(key) + caplog.text + vault.path.read_text()
    said += repr(vault._read()[0])
    assert key.key.hex() not in said
    assert repr(key.key)[2:-1] not in said
    assert SECRET not in said
    for wrapping in backend.entries.values():
        assert wrapping not in said
        assert wrapping != key.key.hex()
    assert ("unprotected" in caplog.text) == (protection is Protection.INSECURE)


def test_a_wrong_passphrase_opens_nothing_and_is_not_repeated(vault: Vault) -> None:
    """The error names the file; neither it nor its trace shows a passphrase."""
    make(vault, Protection.PASSPHRASE)
    with pytest.raises(UsageError, match=f"does not open {vault.path}") as caught:
        vault.open(passphrase=SECRET.upper())
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET.upper() not in shown
    assert caught.value.__cause__ is None


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("protection", list(Protection))
def test_a_vault_opens_only_in_the_way_it_was_made(
    vault: Vault, protection: Protection
) -> None:
    """Every other way is refused with the one that is needed; the file stays."""
    make(vault, protection)
    before = vault.path.read_bytes()
    for other in Protection:
        if other is not protection:
            with pytest.raises(UsageError, match=r"the store key of .* is .*: "):
                make(vault, other)
    with pytest.raises(UsageError, match=r"the store key of .* is .*: "):
        vault.open()
    assert vault.path.read_bytes() == before


def test_new_vaults_are_never_unprotected_by_omission(vault: Vault) -> None:
    """Nothing given, an empty passphrase, or a contradiction makes no vault."""
    with pytest.raises(UsageError, match="nothing protects the store key: give passphrase="):
        vault.open()
    with pytest.raises(UsageError, match="passphrase is empty"):
        vault.open(passphrase="")
    with pytest.raises(UsageError, match="contradict"):
        vault.open(passphrase=SECRET, insecure=True)
    assert not vault.path.exists()


def test_a_missing_keyring_is_said_with_the_ways_out(vault: Vault) -> None:
    """Without a safe backend the error offers a passphrase and the insecure way."""
    before = keyring.get_keyring()
    keyring.set_keyring(fail.Keyring())  # type: ignore[no-untyped-call]
    try:
        with pytest.raises(UsageError, match=r"no safe keyring.*needs passphrase="):
            vault.open(keyring=True)
    finally:
        keyring.set_keyring(before)
    assert not vault.path.exists()


def test_a_keyring_that_is_locked_emptied_or_changed(
    vault: Vault, backend: DictKeyring
) -> None:
    """Each of them is told apart, and none of them shows the entry."""
    key = make(vault, Protection.KEYRING)
    account = (KEYRING_SERVICE, key.instance.hex())
    wrapping = backend.entries[account]
    backend.locked = True
    with pytest.raises(UsageError, match=r"did not answer .KeyringLocked.: unlock it"):
        vault.open(keyring=True)
    backend.locked = False
    for changed, says in [("zz", "was changed"), (wrapping[2:], "was changed")]:
        backend.entries[account] = changed
        with pytest.raises(UsageError, match=says) as caught:
            vault.open(keyring=True)
        assert changed not in str(caught.value)
    backend.entries[account] = "00" * 32
    with pytest.raises(StoreError, match="its key does not open"):
        vault.open(keyring=True)
    del backend.entries[account]
    with pytest.raises(UsageError, match="the keyring has no key for"):
        vault.open(keyring=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [("passes", 2), ("memory_bytes", 16_384), ("instance", "00" * 16), ("beside", "00" * 16)],
)
def test_what_stands_beside_the_key_is_authenticated(
    vault: Vault, field: str, value: int | str
) -> None:
    """An edited cost, salt or instance gives no key, not a weaker one."""
    make(vault, Protection.PASSPHRASE)
    edit(vault, **{field: value})
    with pytest.raises(UsageError, match="does not open"):
        vault.open(passphrase=SECRET)


def test_a_vault_cannot_be_turned_into_an_insecure_one(vault: Vault) -> None:
    """Whoever writes his own key into the file does not make us use it for our store."""
    key = make(vault, Protection.PASSPHRASE)
    edit(vault, protection="insecure", beside="00" * 32, passes=0, memory_bytes=0)
    with pytest.raises(UsageError):
        vault.open(passphrase=SECRET)
    with pytest.raises(StoreError, match="does not open"):
        vault.open(insecure=True)
    assert key.protection is Protection.PASSPHRASE


@given(data=st.binary(max_size=200))
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    """The parser raises only what its caller turns into an error."""
    with pytest.raises((ValueError, KeyError, TypeError, RecursionError)):
        _parse(data)


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"[" * 4000,
        b"{" * 5000,
        b"[]",
        b'{"format": 2}',
        b"\xff\xfe",
        {"passes": 10**9},
        {"memory_bytes": 1 << 60},
        {"passes": "3"},
        {"wrapped": "00"},
        {"wrapped": 5},
        {"protection": "none"},
        {"instance": "xyz"},
    ],
)
def test_a_corrupt_file_is_named_and_not_quoted(
    vault: Vault, damage: bytes | dict[str, object]
) -> None:
    """A file that is no vault, or asks for absurd costs, is refused before any work."""
    make(vault, Protection.PASSPHRASE)
    if isinstance(damage, bytes):
        vault.path.write_bytes(damage)
    else:
        edit(vault, **damage)
    with pytest.raises(StoreError, match=f"{vault.path} is corrupt") as caught:
        vault.open(passphrase=SECRET)
    shown = "".join(traceback.format_exception(caught.value))
    assert "direct cause" not in shown
    assert "During handling" not in shown


def test_every_cut_of_the_file_is_corrupt(vault: Vault) -> None:
    """No prefix of a vault opens."""
    make(vault, Protection.INSECURE)
    whole = vault.path.read_bytes().rstrip()
    for size in range(0, len(whole), 7):
        vault.path.write_bytes(whole[:size])
        with pytest.raises(StoreError, match="is corrupt"):
            vault.open(insecure=True)


def test_a_lost_vault_is_not_made_anew_beside_a_store(vault: Vault) -> None:
    """A new key could not read the store that is there."""
    (vault.path.parent / STORE_FILE).touch()
    with pytest.raises(StoreError, match="is missing beside a store"):
        vault.open(insecure=True)
    assert not vault.path.exists()


def test_an_unreadable_vault_is_said(vault: Vault) -> None:
    """What the system says about the file reaches the user."""
    vault.path.mkdir()
    with pytest.raises(StoreError, match=r"cannot read .*Is a directory"):
        vault.open(insecure=True)


def test_a_crash_in_the_middle_of_writing_leaves_the_old_vault(vault: Vault) -> None:
    """A half-written new file is never opened, and does not hinder the next write."""
    key = make(vault, Protection.INSECURE)
    half = vault.path.with_name("vault.new")
    half.write_bytes(b"{")
    half.chmod(0o644)
    assert make(vault, Protection.INSECURE).key == key.key
    vault.rewrap(key, Protection.PASSPHRASE, "new words", COST_MIN)
    assert not half.exists()
    assert vault.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("backend")
def test_another_protection_keeps_the_store_key(vault: Vault) -> None:
    """Rewrapping changes what opens the vault, not what it holds."""
    key = make(vault, Protection.INSECURE)
    for protection, passphrase in [
        (Protection.PASSPHRASE, "first"),
        (Protection.PASSPHRASE, "second"),
        (Protection.KEYRING, None),
    ]:
        vault.rewrap(key, protection, passphrase, COST_MIN)
        opened = vault.open(passphrase=passphrase, keyring=True)
        assert (opened.instance, opened.key, opened.protection) == (
            key.instance,
            key.key,
            protection,
        )
    with pytest.raises(UsageError):
        vault.open(insecure=True)


def test_the_cost_that_users_get(tmp_path: Path) -> None:
    """Without an argument a vault asks for the moderate cost, and says so in the file."""
    vault = Vault(tmp_path / "vault", Sodium(), SystemEntropy())
    vault.open(passphrase=SECRET)
    content = json.loads(vault.path.read_text())
    assert (content["passes"], content["memory_bytes"]) == (
        MODERATE.passes,
        MODERATE.memory_bytes,
    )
    assert vault.path.stat().st_size < 4096


def edit(vault: Vault, **fields: object) -> None:
    """Change fields of the file."""
    content = json.loads(vault.path.read_text())
    vault.path.write_text(json.dumps({**content, **fields}))
