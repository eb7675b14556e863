"""The vault: the store key at rest, wrapped by what its owner has or knows.

Owns: the file `vault` and the entry in the OS keyring. May not know: what the store key
encrypts.

    store key (32 random bytes) --sealed under--> wrapping key, which is
        keyring      32 random bytes in the OS keyring: service 'comity', account = instance
        passphrase   Argon2id of the passphrase; salt and cost lie in the file
        insecure     32 random bytes in the same file: whoever reads it has the store

The file is one JSON object; everything in it but the wrapped key is authenticated with it,
so an attacker who edits the method or the cost gets a key that does not open. It is written
whole and renamed, so a crash leaves the old one or the new one.
No secret ever stands in a repr, a log line or an exception.
Source: issue 2, item 6; PROTOCOL section 11 (stolen device).
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, assert_never, cast

from comity.base.errors import StoreError, UsageError
from comity.crypto.passphrase import COST_MAX, COST_MIN, MODERATE, SALT_BYTES, Cost, argon2id
from comity.drivers.store import STORE_FILE, Protection, StoreKey, sync_directory

if TYPE_CHECKING:
    from pathlib import Path

    from comity.base.ports import Entropy
    from comity.crypto.port import Crypto

__all__ = ["KEYRING_SERVICE", "Vault", "keyring_usable"]

KEYRING_SERVICE: Final = "comity"
"""Name under which the OS keyring shows our entries."""

_FORMAT: Final = 1
_INSTANCE_BYTES: Final = 16
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 24
_FILE_BYTES_MAX: Final = 4096
"""A vault is some 300 bytes: a larger file is not one."""

_log = logging.getLogger("comity.vault")


@dataclass(frozen=True, slots=True)
class _Header:
    """What the file says about the wrapped key.

    beside: for `keyring` nothing, for `passphrase` the salt (16 bytes), for `insecure` the
    wrapping key itself (32). cost: zeros but for `passphrase`.
    """

    instance: bytes
    protection: Protection
    beside: bytes
    cost: Cost

    def __repr__(self) -> str:
        return f"_Header({self.instance.hex()}, {self.protection})"

    def aad(self) -> bytes:
        """Return what is authenticated with the wrapped key."""
        return (
            f"comity/vault/{_FORMAT}/{self.instance.hex()}/{self.protection}/"
            f"{self.beside.hex()}/{self.cost.passes}/{self.cost.memory_bytes}"
        ).encode()


class Vault:
    """Opens and makes the vault at `path`."""

    __slots__ = ("_crypto", "_entropy", "path")

    def __init__(self, path: Path, crypto: Crypto, entropy: Entropy) -> None:
        """Name the file; its directory exists and is locked by this process."""
        self.path = path
        self._crypto = crypto
        self._entropy = entropy

    def open(
        self,
        *,
        passphrase: str | None = None,
        keyring: bool = False,
        insecure: bool = False,
        cost: Cost = MODERATE,
    ) -> StoreKey:
        """Return the store key, unwrapped in the way that the arguments allow.

        An absent vault is made: `insecure` if that is asked for, else under the passphrase
        if there is one, else in the keyring. `cost` counts only then. Blocks for 0.7 s and
        256 MiB with a passphrase, or for as long as the OS asks its user to unlock.

        Raises: `UsageError` if the vault needs something else than was given, for a wrong
        passphrase, and where there is no usable keyring; `StoreError` for a file that is
        corrupt, unreadable, or missing beside a store.
        """
        if insecure and passphrase is not None:
            raise UsageError(
                "a passphrase and an insecure store contradict each other: give one of them"
            )
        if self.path.exists():
            key = self._unwrap(passphrase, keyring=keyring, insecure=insecure)
        else:
            wanted = _wanted(passphrase, keyring=keyring, insecure=insecure)
            key = self._make(wanted, passphrase, cost)
        if key.protection is Protection.INSECURE:
            _log.warning(
                "the store key lies unprotected in %s: whoever reads it can read the store",
                self.path,
            )
        return key

    @property
    def protection(self) -> Protection | None:
        """What the vault needs to be opened; None if it is not there yet.

        Raises: `StoreError` for a file that is corrupt or unreadable.
        """
        return self._read()[0].protection if self.path.exists() else None

    def rewrap(
        self, key: StoreKey, protection: Protection, passphrase: str | None, cost: Cost
    ) -> StoreKey:
        """Protect the same store key in another way, or under another passphrase."""
        assert (protection is Protection.PASSPHRASE) == (passphrase is not None)
        beside = b""
        if protection is Protection.PASSPHRASE:
            assert passphrase is not None
            _check_passphrase(passphrase)
            beside = self._entropy.draw(SALT_BYTES)
            wrapping = self._derive(passphrase, beside, cost)
        else:
            wrapping = self._entropy.draw(_KEY_BYTES)
            cost = Cost(0, 0)
        if protection is Protection.KEYRING:
            _keyring_put(key.instance, wrapping)
        elif protection is Protection.INSECURE:
            beside = wrapping
        header = _Header(key.instance, protection, beside, cost)
        nonce = self._entropy.draw(_NONCE_BYTES)
        wrapped = nonce + self._crypto.seal(wrapping, nonce, key.key, header.aad())
        self._write(header, wrapped)
        return StoreKey(key.instance, key.key, protection)

    def _make(self, wanted: Protection, passphrase: str | None, cost: Cost) -> StoreKey:
        if (self.path.parent / STORE_FILE).exists():
            raise StoreError(
                f"{self.path} is missing beside a store that needs it: restore it from the "
                f"copy that the store is from, or name another directory",
                retry=False,
            )
        instance = self._entropy.draw(_INSTANCE_BYTES)
        key = StoreKey(instance, self._entropy.draw(_KEY_BYTES), wanted)
        only = passphrase if wanted is Protection.PASSPHRASE else None
        return self.rewrap(key, wanted, only, cost)

    def _unwrap(self, passphrase: str | None, *, keyring: bool, insecure: bool) -> StoreKey:
        header, wrapped = self._read()
        wrapping = self._wrapping(header, passphrase, keyring=keyring, insecure=insecure)
        nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        key = self._crypto.open(wrapping, nonce, sealed, header.aad())
        if key is None and header.protection is Protection.PASSPHRASE:
            raise UsageError(f"the passphrase does not open {self.path}: try another one")
        if key is None:
            raise self._corrupt("its key does not open")
        return StoreKey(header.instance, key, header.protection)

    def _wrapping(
        self, header: _Header, passphrase: str | None, *, keyring: bool, insecure: bool
    ) -> bytes:
        """Return the wrapping key, if what was given is what the vault needs."""
        match header.protection:
            case Protection.KEYRING:
                if passphrase is None and keyring:
                    return _keyring_get(self.path, header.instance)
                needed = "in the keyring of the operating system: use that, and no passphrase"
            case Protection.PASSPHRASE:
                if passphrase is not None:
                    return self._derive(passphrase, header.beside, header.cost)
                needed = "protected by a passphrase: give it, as passphrase=... "
                needed += "(`--passphrase-file`)"
            case Protection.INSECURE:
                if passphrase is None and insecure:
                    return header.beside
                needed = (
                    "not protected at all: open it all the same with insecure_store=True "
                    "(`--insecure-store`)"
                )
            case _:
                assert_never(header.protection)
        raise UsageError(f"the store key of {self.path} is {needed}")

    def _derive(self, passphrase: str, salt: bytes, cost: Cost) -> bytes:
        try:
            return argon2id(passphrase, salt, cost)
        except MemoryError:
            raise StoreError(
                f"not enough memory to try the passphrase of {self.path}: "
                f"{cost.memory_bytes // 2**20} MiB are needed for a moment; free some",
                retry=True,
            ) from None

    def _read(self) -> tuple[_Header, bytes]:
        try:
            with self.path.open("rb") as file:
                data = file.read(_FILE_BYTES_MAX + 1)
        except OSError as error:
            raise StoreError(
                f"cannot read {self.path}: {error.strerror}; check its owner and mode",
                retry=False,
            ) from error
        if len(data) > _FILE_BYTES_MAX:
            raise self._corrupt("it is too long")
        try:
            return _parse(data)
        except (ValueError, KeyError, TypeError, RecursionError):
            # no cause: the parser's message quotes the file, which may hold a key
            raise self._corrupt("it does not follow the format") from None

    def _write(self, header: _Header, wrapped: bytes) -> None:
        content = {
            "format": _FORMAT,
            "instance": header.instance.hex(),
            "protection": header.protection.value,
            "beside": header.beside.hex(),
            "passes": header.cost.passes,
            "memory_bytes": header.cost.memory_bytes,
            "wrapped": wrapped.hex(),
        }
        beside = self.path.with_name(self.path.name + ".new")
        try:
            beside.unlink(missing_ok=True)  # left by a crash, perhaps with a wider mode
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump(content, file, indent=1)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            beside.rename(self.path)
            sync_directory(self.path.parent)
        except OSError as error:
            raise StoreError(
                f"cannot write {self.path}: {error.strerror}; check its directory and the "
                f"room on its disk",
                retry=True,
            ) from error

    def _corrupt(self, detail: str) -> StoreError:
        return StoreError(
            f"{self.path} is corrupt ({detail}): restore it from the copy that the store is "
            f"from; without it the store cannot be read",
            retry=False,
        )


def keyring_usable() -> bool:
    """Tell whether the operating system keeps keys here. Costs 0.3 s the first time."""
    import keyring  # noqa: PLC0415 - spent only by those who ask

    # The 'fail' and 'null' backends, and those that keep keys in plain files, are below 1.
    return keyring.get_keyring().priority >= 1


def _wanted(passphrase: str | None, *, keyring: bool, insecure: bool) -> Protection:
    """Choose how a new vault is protected."""
    if insecure:
        return Protection.INSECURE
    if passphrase is not None:
        return Protection.PASSPHRASE
    if keyring:
        return Protection.KEYRING
    raise UsageError(
        "nothing protects the store key: give passphrase=... (`--passphrase-file`), allow the "
        "keyring of the operating system, or say insecure_store=True (`--insecure-store`)"
    )


def _check_passphrase(passphrase: str) -> None:
    if not passphrase:
        raise UsageError("the passphrase is empty: give one, or ask for an insecure store")


def _parse(data: bytes) -> tuple[_Header, bytes]:
    """Read the file. Raises what `_read` catches on what is not a vault."""
    content = json.loads(data)
    if not isinstance(content, dict):
        raise TypeError
    fields = cast("dict[str, object]", content)
    if fields["format"] != _FORMAT:
        raise ValueError
    instance, beside, wrapped = (
        bytes.fromhex(_text(fields[name])) for name in ("instance", "beside", "wrapped")
    )
    protection = Protection(_text(fields["protection"]))
    cost = Cost(_number(fields["passes"]), _number(fields["memory_bytes"]))
    beside_bytes = {
        Protection.KEYRING: 0,
        Protection.PASSPHRASE: SALT_BYTES,
        Protection.INSECURE: _KEY_BYTES,
    }[protection]
    if len(beside) != beside_bytes or len(instance) != _INSTANCE_BYTES:
        raise ValueError
    if len(wrapped) != _NONCE_BYTES + _KEY_BYTES + 16:
        raise ValueError
    if protection is Protection.PASSPHRASE and not (
        COST_MIN.passes <= cost.passes <= COST_MAX.passes
        and COST_MIN.memory_bytes <= cost.memory_bytes <= COST_MAX.memory_bytes
    ):
        raise ValueError
    return _Header(instance, protection, beside, cost), wrapped


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError
    return value


def _keyring_put(instance: bytes, wrapping: bytes) -> None:
    """Keep a wrapping key in the OS keyring."""
    import keyring  # noqa: PLC0415 - 0.3 s, spent only by those who use it
    from keyring.errors import KeyringError  # noqa: PLC0415

    if not keyring_usable():
        raise UsageError(
            "there is no safe keyring of the operating system here, so a new store needs "
            "passphrase=... (`--passphrase-file`), or insecure_store=True "
            "(`--insecure-store`), which leaves its keys readable"
        )
    try:
        keyring.set_password(KEYRING_SERVICE, instance.hex(), wrapping.hex())
    except KeyringError as error:
        raise _keyring_failed(error) from None


def _keyring_get(path: Path, instance: bytes) -> bytes:
    """Return the wrapping key that the OS keyring keeps."""
    import keyring  # noqa: PLC0415 - 0.3 s, spent only by those who use it
    from keyring.errors import KeyringError  # noqa: PLC0415

    try:
        text = keyring.get_password(KEYRING_SERVICE, instance.hex())
    except KeyringError as error:
        raise _keyring_failed(error) from None
    if text is None:
        raise UsageError(
            f"the keyring has no key for {path} (service {KEYRING_SERVICE!r}, account "
            f"{instance.hex()}): it was made by another user or on another machine; join "
            f"again as a new device from another directory"
        )
    try:
        wrapping = bytes.fromhex(text)
    except ValueError:
        wrapping = b""
    if len(wrapping) != _KEY_BYTES:
        raise UsageError(
            f"the entry {instance.hex()} of service {KEYRING_SERVICE!r} in the keyring was "
            f"changed: put the old one back"
        ) from None
    return wrapping


def _keyring_failed(error: Exception) -> UsageError:
    return UsageError(
        f"the keyring of the operating system did not answer ({type(error).__name__}): "
        f"unlock it, give a passphrase, or ask for an insecure store (`--insecure-store`)"
    )
