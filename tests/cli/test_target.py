"""From a path to an actor class, or to the reason why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from comity.base.errors import UsageError
from comity.cli.target import load_actor

ONE = "from comity import Actor, Counter\n\nclass Tally(Actor):\n    count: Counter\n"
TWO = ONE + "\nclass Other(Actor):\n    count: Counter\n"


def write(path: Path, text: str) -> str:
    """Write a file and return its name."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_with_one_class_names_it(tmp_path: Path) -> None:
    """The only actor class of a file is taken; imported ones do not count."""
    assert load_actor(write(tmp_path / "one_app.py", ONE)).__name__ == "Tally"


def test_a_folder_names_its_own_file(tmp_path: Path) -> None:
    """FOLDER/<its name>.py is taken before others, and the only file if none is so named."""
    write(tmp_path / "shop/shop.py", ONE)
    write(tmp_path / "shop/other.py", "raise RuntimeError")
    assert load_actor(str(tmp_path / "shop")).__name__ == "Tally"
    write(tmp_path / "single/anything.py", ONE)
    assert load_actor(str(tmp_path / "single")).__name__ == "Tally"


def test_neighbours_are_found(tmp_path: Path) -> None:
    """A file imports what lies beside it."""
    write(tmp_path / "beside_it.py", "GREETING = 'hello'\n")
    path = write(tmp_path / "with_neighbour.py", f"from beside_it import GREETING\n{ONE}")
    assert load_actor(path).__name__ == "Tally"


def test_a_class_can_be_chosen(tmp_path: Path) -> None:
    """PATH:Class takes that one of several."""
    path = write(tmp_path / "two_app.py", TWO)
    assert load_actor(f"{path}:Other").__name__ == "Other"


@pytest.mark.parametrize(
    ("text", "target", "says"),
    [
        (TWO, "{}", "has 2 actor classes (Other, Tally): choose one as '{}:Other'"),
        ("X = 1\n", "{}", "has 0 actor classes (none): derive one from comity.Actor"),
        (ONE, "{}:Missing", "has no actor class 'Missing'; it has Tally"),
        ("def broken(:\n", "{}", "cannot be imported: SyntaxError in line 1"),
        ("import no_such_library\n", "{}", "cannot be imported: ModuleNotFoundError"),
        (ONE, "{}x", "there is no app at {}x"),
    ],
)
def test_what_is_no_app_says_why(tmp_path: Path, text: str, target: str, says: str) -> None:
    """The error names the path, what is there instead, and the fix."""
    path = write(tmp_path / "app_under_test.py", text)
    with pytest.raises(UsageError) as caught:
        load_actor(target.format(path))
    assert says.format(path) in str(caught.value)


def test_a_folder_of_many_asks_for_one(tmp_path: Path) -> None:
    """Without a file of its own name a folder of several is ambiguous."""
    write(tmp_path / "many/a.py", ONE)
    write(tmp_path / "many/b.py", ONE)
    with pytest.raises(UsageError, match=r"has 2 Python files and no many\.py"):
        load_actor(str(tmp_path / "many"))
