"""Keys: secrets do not show, and do not leave."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Final

import pytest

from comity.base.errors import UsageError
from comity.crypto.keys import Identity, KeyPair
from comity.crypto.sodium import Sodium

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET: Final = bytes(range(100, 132))
OWNERS: Final = [Identity(Sodium(), SECRET), KeyPair(Sodium(), SECRET)]


@pytest.mark.parametrize("owner", OWNERS, ids=lambda owner: type(owner).__name__)
def test_secrets_do_not_show(owner: object) -> None:
    """Neither repr nor str holds any 4 bytes of the secret, raw or in hex."""
    for shown in (repr(owner), str(owner), f"{owner}"):
        for start in range(len(SECRET) - 3):
            part = SECRET[start : start + 4]
            assert part.hex() not in shown
            assert str(part)[2:-1] not in shown


@pytest.mark.parametrize("owner", OWNERS, ids=lambda owner: type(owner).__name__)
@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy])
def test_secrets_do_not_leave(owner: object, leave: Callable[[object], object]) -> None:
    """Pickling and copying are refused."""
    with pytest.raises(UsageError):
        leave(owner)


def test_an_identity_signs_as_its_device() -> None:
    """The device id is the public key that verifies what the identity signs."""
    crypto = Sodium()
    identity = Identity(crypto, SECRET)
    assert crypto.verify(identity.device, b"message", identity.sign(b"message"))


@pytest.mark.parametrize("owner", [Identity, KeyPair])
def test_a_secret_of_another_length_asserts(owner: type[Identity | KeyPair]) -> None:
    """A seed that is not 32 bytes long is our own mistake."""
    with pytest.raises(AssertionError):
        owner(Sodium(), bytes(31))
