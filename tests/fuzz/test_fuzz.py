"""No decoder raises anything but what it promises, or takes more memory than its input is due.

The short run is the same everywhere. `make soak` runs ten million inputs, guided by coverage
where atheris is installed (`pip install atheris`); where it is not, by our own mutations,
and the run says so in capitals.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Final

import pytest

from tests.fuzz import targets_between, targets_disk, targets_outside
from tests.fuzz.mutate import INPUT_BYTES_MAX, inputs
from tests.fuzz.targets import TARGETS

assert len({targets_between, targets_disk, targets_outside}) == 3, "they fill the list"

INPUTS: Final = 2_000
"""A target, in `make test`."""

INPUTS_WEIGHED: Final = 150
"""Of these, how many are run again with every allocation counted: that is slow."""

INPUTS_SOAK: Final = int(os.environ.get("COMITY_SOAK_INPUTS", "10000000"))
"""Over all targets."""

PATH: Final = os.pathsep.join(
    ["runtime", "chaos", ".", *filter(None, [os.environ.get("PYTHONPATH")])]
)
GUIDED: Final = importlib.util.find_spec("atheris") is not None
ROOT: Final = Path(__file__).resolve().parents[2]
each_target = pytest.mark.parametrize("name", TARGETS)


@each_target
def test_no_input_breaks_a_decoder(name: str) -> None:
    """Thousands of inputs near real ones, and none raises."""
    one = TARGETS[name]
    corpus = one.corpus()
    assert corpus
    for data in inputs(name, corpus, INPUTS):
        one.run(data)


@each_target
def test_memory_is_bounded(name: str) -> None:
    """No input makes a decoder hold, at any moment, more than 2 MiB and 200 times its size."""
    one = TARGETS[name]
    chosen = list(inputs(name, one.corpus(), INPUTS))
    one.run(chosen[0])  # what is made once is not its input's fault
    tracemalloc.start()
    try:
        for data in chosen[:: INPUTS // INPUTS_WEIGHED]:
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            one.run(data)
            _, peak = tracemalloc.get_traced_memory()
            assert peak - before < (2 << 20) + 200 * len(data), data[:100].hex()
    finally:
        tracemalloc.stop()


def test_mutations_are_many_and_repeat() -> None:
    """The same name gives the same inputs; few of them are equal, and all are bounded."""
    corpus = [bytes(range(200)), b"text"]
    made = list(inputs("a", corpus, 2_000))
    assert made == list(inputs("a", corpus, 2_000))
    assert made != list(inputs("b", corpus, 2_000))
    assert len({*made}) > 1_500
    assert max(map(len, made)) <= INPUT_BYTES_MAX


def test_seeds_are_taken() -> None:
    """Most seeds pass their decoder whole: else the fuzzer would only see the first check."""
    refused = {
        name: sum("Rejected" in repr(one.run(data)) for data in one.corpus())
        for name, one in TARGETS.items()
    }
    accepting = [name for name, count in refused.items() if not count]
    assert len(accepting) > len(TARGETS) * 2 // 3, refused


@pytest.mark.soak
@pytest.mark.timeout(0)
@each_target
def test_no_input_breaks_a_decoder_at_length(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """This target's share of the ten million, in a process of its own with a memory limit."""
    count = INPUTS_SOAK // len(TARGETS)
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.soak", name, str(count)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": PATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    with capsys.disabled():
        guided = "guided by coverage" if GUIDED else "ATHERIS IS NOT INSTALLED, NOT GUIDED"
        print(f"\n{name}: {count} inputs, {guided}")  # noqa: T201
