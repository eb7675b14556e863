"""The commands as a person gives them: what they print, how they exit, what misuse is told."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from comity_chaos.__main__ import main
from comity_chaos.commands import read_plan
from comity_chaos.plan import Plan, Turn
from comity_chaos.plan_file import dump, to_word

CORPUS = Path(__file__).parent / "corpus"
HASTY = "tests.chaos.planted:HastyTodo"
PROMISE = "tests.chaos.planted:everything_has_its_place"
Printed = pytest.CaptureFixture[str]


def test_run_passes_a_sound_app(capsys: Printed) -> None:
    """Nothing is broken, everything was judged: PASS, and 0."""
    assert main(["run", "examples/todo/todo.py:Todo", "--seeds", "6"]) == 0
    assert capsys.readouterr().out.startswith("PASS: 6 runs, no promise was broken.\n")


def test_run_finds_saves_and_replay_repeats(capsys: Printed, tmp_path: Path) -> None:
    """FAIL is 1; the saved plan has its story, and replays alike, alone or from its folder."""
    words = [
        "run",
        HASTY,
        "--promise",
        PROMISE,
        "--seeds",
        "10",
        "--save",
        str(tmp_path / "new"),
    ]
    assert main(words) == 1
    said = capsys.readouterr().out
    assert said.startswith("FAIL: seed 5, run 6 of this search.")
    (saved,) = (tmp_path / "new").iterdir()
    assert said.rstrip().endswith(f"The plan is in {saved}")
    assert read_plan(str(saved)).notes["story"].startswith("invariant: ")
    assert main(["replay", str(saved)]) == 1
    alone = capsys.readouterr().out
    assert main(["replay", str(tmp_path / "new")]) == 1
    assert capsys.readouterr().out == alone
    assert "FAIL: invariant: 'everything_has_its_place' does not hold" in alone


def test_a_word_longer_than_a_file_name_is_a_plan(capsys: Printed) -> None:
    """Plans of some things are longer than what a file system takes for a name."""
    turns = tuple(Turn(100 * n, n % 2, "add", (f"thing {n * n * 7919}",)) for n in range(24))
    plan = Plan(seed=3, nodes=2, actor="examples/todo/todo.py:Todo", span_ms=3000, turns=turns)
    word = to_word(plan)
    assert len(word) > 260
    assert main(["replay", word]) == 0
    assert "PASS: no promise was broken." in capsys.readouterr().out


def test_replay_takes_a_whole_corpus(capsys: Printed) -> None:
    """A folder is all its plans; one line each."""
    assert main(["replay", str(CORPUS)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(list(CORPUS.glob("*.toml")))
    assert all(line.endswith(": PASS: no promise was broken.") for line in lines)


def test_shrink_ends_with_a_plan(capsys: Printed) -> None:
    """A failing plan comes back smaller, as a story and as TOML that can be read again."""
    assert main(["run", HASTY, "--promise", PROMISE, "--seeds", "10"]) == 1
    word = capsys.readouterr().out.split()[-1]
    plan = read_plan(word)
    assert main(["shrink", word]) == 1
    text = capsys.readouterr().out.partition("\n\n")[2]
    assert read_plan("-", lambda: text).turns == plan.turns
    assert main(["shrink", str(next(CORPUS.glob("*.toml")))]) == 0
    assert "there is nothing to shrink" in capsys.readouterr().out


def test_show_tells_a_plan_without_running_it(capsys: Printed) -> None:
    """The sentences, then the plan; an actor that cannot be loaded does not matter."""
    plan = Plan(seed=3, nodes=2, actor="nowhere:Todo")
    assert main(["show", to_word(plan)]) == 0
    said = capsys.readouterr().out
    assert said == f"2 nodes share Todo.\n\n{dump(plan)}"


def test_unknown_is_a_verdict_of_its_own(capsys: Printed) -> None:
    """What never worked says nothing about the app: UNKNOWN, and 2."""
    words = ["run", "tests.node.ledger:Ledger", "--seeds", "3", "--only", "enter_and_fail"]
    assert main(words) == 2
    said = capsys.readouterr().out
    assert "Never worked: enter_and_fail, it raised ValueError" in said
    assert said.rstrip().endswith("So this says too little: try more seeds, nodes or turns.")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "nowhere:Todo"], "'nowhere:Todo' cannot be loaded: No module named 'nowhere'"),
        (["run", "examples.todo.todo:Tudu"], "has no 'Tudu'"),
        (["run", "nowhere.py:Todo"], "'nowhere.py:Todo' cannot be loaded"),
        (["run", "Todo"], "write 'module:Class' or 'file.py:Class'"),
        (["run", PROMISE], "is no actor class"),
        (["run", HASTY, "--faults", "weather"], "there is no fault 'weather': name groups"),
        (["run", HASTY, "--only", "sing"], "HastyTodo has no message 'sing'; it has: add"),
        (["run", HASTY, "--promise", "tests.chaos.planted:__name__"], "is no promise"),
        (["replay", "nowhere.toml"], "nowhere.toml: No such file or directory"),
        (["replay", "docs"], "there is no plan in docs"),
        (["replay", "Makefile"], "Makefile: this is no plan"),
        (["replay", "plan:xyz"], "this plan is damaged, copy all of it"),
        (["replay", to_word(Plan(seed=1, nodes=1))], "names no actor and no scenario"),
    ],
)
def test_misuse_is_told_in_one_line(words: list[str], said: str, capsys: Printed) -> None:
    """What is wrong and what would be right; 64, and nothing on the way of the answer."""
    assert main(words) == 64
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["sing"],
        ["run"],
        ["run", HASTY, "--seeds", "0"],
        ["run", HASTY, "--seeds", "many"],
        ["run", HASTY, "--nodes", "0"],
        ["run", HASTY, "--byzantine", "-1"],
        ["run", HASTY, "--crypto", "rot13"],
        ["trace", "x", "--keep", "a:b"],
    ],
)
def test_wrong_words_are_misuse_not_a_verdict(words: list[str], capsys: Printed) -> None:
    """The usual exit code of misuse is UNKNOWN here; so it has another, and points to help."""
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 64
    assert "--help" in capsys.readouterr().err


def test_who_watches_sees_progress(project: Path) -> None:
    """On a terminal a line grows while seeds are run, and is wiped away at the end."""
    ours, theirs = pty.openpty()
    path = os.pathsep.join(str(project / part) for part in ("runtime", "chaos", "."))
    words = ["run", "examples/todo/todo.py:Todo", "--seeds", "4"]
    done = subprocess.run(
        [sys.executable, "-m", "comity_chaos", *words],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path},
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        check=False,
    )
    os.close(theirs)
    seen = os.read(ours, 65_536).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "[#######.......................] 1 of 4 seeds" in seen
    assert "[##############################] 4 of 4 seeds" in seen
    assert seen.endswith("\r\x1b[K")
    assert done.stdout.startswith("PASS")


def test_the_runtime_s_command_hands_the_words_on(project: Path, tmp_path: Path) -> None:
    """`comity chaos` is the same command, by the entry point that the project declares."""
    declared = tomllib.loads((project / "pyproject.toml").read_text())["project"][
        "entry-points"
    ]
    info = tmp_path / "comity-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: comity\nVersion: 0\n")
    lines = [
        "[comity.commands]",
        *(f"{k} = {v}" for k, v in declared["comity.commands"].items()),
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    path = [str(tmp_path), *(str(project / part) for part in ("runtime", "chaos", "."))]

    def comity(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from comity.cli.main import main; main()", *words],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(path)},
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )

    assert "  chaos       Find what breaks an app.\n" in comity("--help").stdout
    assert comity("chaos", "replay", str(CORPUS)).returncode == 0
    misuse = comity("chaos", "replay", "nowhere.toml")
    assert misuse.returncode == 64
    assert misuse.stderr == "comity chaos: nowhere.toml: No such file or directory\n"
    assert comity("choas").returncode == 2


def test_a_file_or_its_folder_names_its_only_actor(capsys: Printed, tmp_path: Path) -> None:
    """As for `comity run`; where there are several, or none, they are named."""
    for word in ("examples/todo", "examples/todo/todo.py"):
        assert main(["run", word, "--seeds", "2", "--turns", "12", "--faults", "delay"]) == 0
        assert capsys.readouterr().out.startswith("PASS")
    several = tmp_path / "several.py"
    several.write_text("from comity import Actor\nclass A(Actor): ...\nclass B(Actor): ...\n")
    empty = tmp_path / "nothing.py"
    empty.write_text("x = 1\n")
    for place, says in (
        (several, "has 2 actor classes (A, B): choose one as"),
        (empty, "has 0 actor classes (none): derive one from comity.Actor"),
        (tmp_path, "has 2 Python files"),
        ("examples/todo/todo.py:Nope", "todo.py has no 'Nope'"),
    ):
        assert main(["run", str(place), "--seeds", "2"]) == 64
        assert says in capsys.readouterr().err
