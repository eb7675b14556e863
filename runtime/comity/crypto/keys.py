"""Key pairs and a device's identity: secrets that know how not to show themselves.

Owns: the pairing of a secret with its public half. May not know: where secrets are stored or
drawn (`comity.drivers`), or what is signed. Neither type shows its secret in `repr`, can be
pickled or copied: a device key never leaves its device, and a trace never holds one.
Source: PROTOCOL section 1, STYLE 'Errors'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn, SupportsIndex, final

from comity.base.errors import UsageError
from comity.base.ids import DeviceId, short
from comity.crypto.port import KEY_BYTES

if TYPE_CHECKING:
    from comity.crypto.port import Crypto

__all__ = ["Identity", "KeyPair"]


@final
class Identity:
    """The Ed25519 key of this device. Signs; tells its `device` id and nothing more."""

    __slots__ = ("_crypto", "_seed", "device")

    def __init__(self, crypto: Crypto, seed: bytes) -> None:
        """Take the device's 32-byte seed."""
        assert len(seed) == KEY_BYTES
        self._crypto = crypto
        self._seed = seed
        self.device = DeviceId(crypto.sign_public(seed))

    def __repr__(self) -> str:
        """Show the device, never the seed."""
        return f"Identity({short(self.device)})"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to be pickled or copied."""
        raise UsageError("an Identity cannot be copied; pass the one object around")

    def sign(self, message: bytes) -> bytes:
        """Return the device's 64-byte signature of `message`. Deterministic."""
        return self._crypto.sign(self._seed, message)


@final
class KeyPair:
    """An X25519 secret and its public half: an ephemeral, a Noise static, a prekey."""

    __slots__ = ("public", "secret")

    def __init__(self, crypto: Crypto, secret: bytes) -> None:
        """Take a 32-byte secret; the public half is computed once, here. 24 us."""
        assert len(secret) == KEY_BYTES
        self.secret = secret
        self.public = crypto.exchange_public(secret)

    def __repr__(self) -> str:
        """Show the public half, never the secret."""
        return f"KeyPair({short(self.public)})"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to be pickled or copied."""
        raise UsageError("a KeyPair cannot be copied; store its secret under the store key")
