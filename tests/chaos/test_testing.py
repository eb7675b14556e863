"""A newcomer's chaos test: under ten lines, a verdict in seconds, failures in plain words."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import pytest

from comity.base.errors import UsageError
from comity_chaos.oracles.oracle import Violation
from comity_chaos.sim import Sim
from comity_chaos.testing import ATTRIBUTE, Broken, chaos
from tests.chaos.planted import HastyTodo, everything_has_its_place
from tests.node.ledger import Ledger, consistent

APP = """
from comity import Actor, Map, Register

class Notes(Actor):
    texts: Map[str, str]
    last: Register[str]

    def write(self, name: str, text: str) -> None:
        self.texts[name] = text
        self.last = name

    def erase(self, name: str) -> None:
        self.texts.pop(name, None)
"""

FIRST_TEST = """
from comity_chaos import chaos
from notes import Notes

@chaos()
def test_notes(sim):
    sim.share(Notes)
"""

WRONG_PROMISE = """
from comity_chaos import chaos
from notes import Notes

def last_is_there(state):
    return not state["last"] or state["last"] in state["texts"]

@chaos(seeds=10)
def test_the_last_note_is_there(sim):
    sim.always(last_is_there)
    sim.share(Notes)
"""


def ran(folder: Path, project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a folder, as somebody does who has installed this."""
    path = os.pathsep.join(str(project / part) for part in ("runtime", "chaos"))
    return subprocess.run(
        [sys.executable, *words],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def pytest_in(folder: Path, project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder, with the plugin once, whether it is installed or not."""
    plugin = ("-p", "no:comity", "-p", "comity_chaos.pytest_plugin")
    return ran(folder, project, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, *words)


@pytest.fixture
def newcomer(tmp_path: Path) -> Path:
    """Return a folder with an app of three messages."""
    (tmp_path / "notes.py").write_text(APP)
    return tmp_path


def test_a_first_test_has_few_lines_and_is_quick(newcomer: Path, project: Path) -> None:
    """Six lines, twenty-five seeds of everything, and a verdict in less than ten seconds."""
    assert len(FIRST_TEST.strip().splitlines()) < 10
    (newcomer / "test_notes.py").write_text(FIRST_TEST)
    before = getrusage(RUSAGE_CHILDREN).ru_utime
    done = pytest_in(newcomer, project)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    spent = getrusage(RUSAGE_CHILDREN).ru_utime - before
    assert spent < 10, "seconds of its own, whatever else the machine does"


def test_a_failure_is_its_story_and_its_line_repeats_it(newcomer: Path, project: Path) -> None:
    """Nothing of the lab's insides is shown; the line works from the same folder."""
    (newcomer / "tests").mkdir()
    (newcomer / "conftest.py").write_text("")
    (newcomer / "tests" / "test_notes.py").write_text(WRONG_PROMISE)
    done = pytest_in(newcomer, project)
    assert done.returncode == 1
    assert "comity_chaos/" not in done.stdout
    assert "Traceback" not in done.stdout
    assert "another exception" not in done.stdout
    assert "share Notes." in done.stdout or "shares Notes." in done.stdout
    assert "erase(" in done.stdout
    assert "'last_is_there' does not hold on node 0" in done.stdout
    line = next(each for each in done.stdout.splitlines() if each.startswith("Repeat it: "))
    words = shlex.split(line.removeprefix("Repeat it: "))
    again = ran(newcomer, project, *words[1:])
    assert again.returncode == 1, again.stderr
    assert "FAIL: invariant: 'last_is_there' does not hold" in again.stdout


def test_the_option_decides_how_many_seeds(newcomer: Path, project: Path) -> None:
    """More seeds than the test names, or fewer; none is refused."""
    (newcomer / "test_notes.py").write_text(WRONG_PROMISE)
    assert "FAIL: seed 0, run 1" in pytest_in(newcomer, project, "--chaos-seeds", "1").stdout
    none = pytest_in(newcomer, project, "--chaos-seeds", "0")
    assert none.returncode != 0
    assert "at least 1 is needed" in none.stdout + none.stderr


def test_without_the_plugin_a_failure_is_as_plain(newcomer: Path, project: Path) -> None:
    """`@chaos` makes a plain function: any runner calls it, and the error is the story."""
    (newcomer / "test_notes.py").write_text(WRONG_PROMISE)
    call = "import test_notes; test_notes.test_the_last_note_is_there()"
    done = ran(newcomer, project, "-c", call)
    assert done.returncode == 1
    assert "Broken: FAIL: seed 0" in done.stderr
    assert "Repeat it: python -m comity_chaos replay plan:" in done.stderr


# In this process


def test_a_test_that_shares_nothing_is_told_so() -> None:
    """An empty test would prove nothing; it says what to do."""

    @chaos(seeds=1)
    def forgetful(sim: Sim) -> None:
        assert sim.nodes

    with pytest.raises(UsageError, match=r"call sim.share\(YourActor\)"):
        forgetful()


def test_an_assertion_of_the_test_is_shrunk_and_placed() -> None:
    """What a test asserts itself is told with its line, and with the plan that broke it."""

    @chaos(seeds=3, turns=5)
    def doubtful(sim: Sim) -> None:
        sim.share(Ledger)
        assert sim.survive().commits < 3, "so many commits"

    with pytest.raises(Broken) as seen:
        doubtful()
    assert "scenario is broken: AssertionError: so many commits" in str(seen.value)
    assert f"doubtful, {Path(__file__).name}:" in str(seen.value)
    assert "Repeat it by this test: another process cannot" in str(seen.value)
    assert isinstance(seen.value.__cause__, AssertionError)


def test_a_true_promise_is_kept() -> None:
    """Whole turns show whole, under all faults; the campaign says what it judged."""

    @chaos(seeds=4, relays=1, byzantine=1)
    def whole(sim: Sim) -> None:
        sim.always(lambda state: state["total"] is not None)
        sim.share(Ledger)

    campaign = getattr(whole, ATTRIBUTE).search()
    assert campaign.failure is None
    assert campaign.judged["invariant"] > 0


def test_decorating_keeps_the_name_and_refuses_nonsense() -> None:
    """Faults that do not exist and numbers too small are refused when the module loads."""

    @chaos(seeds=1, faults="none", turns=0)
    def named(sim: Sim) -> None:
        """Say what it is."""
        sim.share(Ledger)

    assert (named.__name__, named.__doc__) == ("named", "Say what it is.")
    with pytest.raises(UsageError, match="no fault 'weather'"):
        chaos(faults="weather")
    too_small: tuple[Callable[[], object], ...] = (
        lambda: chaos(nodes=0),
        lambda: chaos(seeds=0),
        lambda: chaos(byzantine=-1),
        lambda: chaos(turns=-1),
        lambda: chaos(relays=-1),
    )
    for wrong in too_small:
        with pytest.raises(UsageError, match="at least"):
            wrong()


def test_by_hand() -> None:
    """Cut, write on both sides, heal, agree; a crash forgets nothing that was acknowledged."""
    with Sim(seed=7, nodes=3) as sim:
        a, b, c = sim.share(Ledger)
        sim.cut(a, [b, c])
        a.tell(Ledger.enter, "milk", 1)
        reply = b.ask(Ledger.enter, "eggs", 2)
        sim.run(1)
        assert reply.value == 1
        assert set(a.state["names"]) == {"milk"}  # type: ignore[call-overload]
        sim.crash(b)
        sim.heal()
        settled = sim.settle()
        assert settled.state["names"] == frozenset({"milk", "eggs"})
        assert consistent(settled.state)
        assert a.state_bytes == b.state_bytes == c.state_bytes == settled.state_bytes


def test_a_node_that_is_off_is_the_caller_s_error() -> None:
    """Asking a dead node is refused with the fix."""
    sim = Sim(nodes=2)
    a, _ = sim.share(Ledger)
    sim.crash(a)
    with pytest.raises(UsageError, match="node 0 is off: restart it first"):
        a.tell(Ledger.count)
    with pytest.raises(UsageError, match="node 0 is off"):
        assert a.state
    with pytest.raises(UsageError, match="0 nodes are too few"):
        Sim(nodes=0)
    with pytest.raises(UsageError, match="'rot13' is no crypto profile"):
        Sim(crypto="rot13")


def test_real_crypto_keeps_the_same_promises() -> None:
    """What holds under symbolic crypto holds with libsodium; a lost update is found alike."""
    with Sim(seed=2, nodes=2, crypto="sodium") as sim:
        a, b = sim.share(HastyTodo)
        sim.cut(a, b)
        a.tell(HastyTodo.add, "milk")
        b.tell(HastyTodo.add, "eggs")
        sim.run(1)
        sim.heal()
        assert not everything_has_its_place(sim.settle().state)


def test_a_violation_names_its_oracle() -> None:
    """A promise that breaks in a hand-written test raises at once, in words."""
    sim = Sim(nodes=1)
    sim.always(consistent)
    (a,) = sim.share(Ledger)
    a.tell(Ledger.enter, "milk", 1)
    sim.run(1)
    sim.judge.sample()
    sim.always(lambda state: not state["names"])
    with pytest.raises(Violation, match="invariant: the app's promise does not hold on node 0"):
        sim.judge.sample()
