"""How a store is unlocked: files that are safe, choices that do not contradict."""

from __future__ import annotations

from pathlib import Path

import pytest

from comity.base.errors import UsageError
from comity.cli.options import Access
from comity.cli.unlock import unlock


def given(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    """Write a passphrase file."""
    path = tmp_path / "passphrase"
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_the_first_line_is_the_passphrase(tmp_path: Path) -> None:
    """Spaces count, the line's end does not, later lines do not; a repr does not show it."""
    file = given(tmp_path, " correct horse \r\nsecond\n")
    found = unlock(Access(tmp_path / "store", file, insecure=False))
    assert found.passphrase == " correct horse "
    assert "horse" not in repr(found)


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ("secret\n", 0o644, "is open to other users (mode 644): run `chmod 600"),
        ("\nsecret\n", 0o600, "is empty"),
    ],
)
def test_an_unsafe_or_empty_file_is_refused(
    tmp_path: Path, text: str, mode: int, says: str
) -> None:
    """A passphrase that others can read protects nothing."""
    file = given(tmp_path, text, mode)
    with pytest.raises(UsageError) as caught:
        unlock(Access(tmp_path / "store", file, insecure=False))
    assert says in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(UsageError, match="nowhere cannot be read"):
        unlock(Access(tmp_path, tmp_path / "nowhere", insecure=False))


def test_contradictions_are_refused(tmp_path: Path) -> None:
    """A passphrase and no protection cannot both be meant."""
    with pytest.raises(UsageError, match="contradict"):
        unlock(Access(tmp_path, given(tmp_path, "x\n"), insecure=True))
