"""The process that checks signatures: same answers, nothing left behind, no need of it."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import select
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

from comity.crypto.sodium import Sodium
from comity.crypto.symbolic import Symbolic
from comity.drivers import verifier
from comity.drivers.verifier import Claim, Verifier, serve

SODIUM: Final = Sodium()
SECONDS: Final = 60.0


def claims(count: int) -> tuple[list[Claim], tuple[bool, ...]]:
    """Return right and wrong signatures in turn, some of odd shapes, and which are right."""
    found: list[Claim] = []
    for number in range(count):
        seed, message = bytes([number % 251]) * 32, b"message %d" % number
        public, signature = SODIUM.sign_public(seed), SODIUM.sign(seed, message)
        odd = [
            (public, message, signature),
            (public, message + b"!", signature),
            (public, message, signature[:-1]),
            (public, b"", b""),
            (public, b"x" * 60_000, SODIUM.sign(seed, b"x" * 60_000)),
        ]
        found.append(odd[number % len(odd)])
    return found, tuple(SODIUM.verify(*claim) for claim in found)


def answers(under_test: Verifier, batches: list[list[Claim]]) -> Iterator[tuple[bool, ...]]:
    """Ask for batches and return what comes."""
    came: queue.SimpleQueue[tuple[bool, ...]] = queue.SimpleQueue()
    for batch in batches:
        under_test.check(batch, came.put)
    for _ in batches:
        yield came.get(timeout=SECONDS)


def test_another_process_gives_the_same_answers() -> None:
    """Right is right and wrong is wrong, whatever the lengths, batch after batch."""
    asked, expected = claims(50)
    assert True in expected
    assert False in expected
    with closing(Verifier(SODIUM, elsewhere=True)) as under_test:
        assert list(answers(under_test, [asked, asked[:1], asked])) == [
            expected,
            expected[:1],
            expected,
        ]
        assert under_test.is_elsewhere


def test_it_can_be_closed_unused_and_twice() -> None:
    """Nothing is started before it is needed; closing is safe to repeat."""
    for elsewhere in (True, False):
        under_test = Verifier(SODIUM, elsewhere=elsewhere)
        under_test.close()
        under_test.close()


def test_without_a_process_it_answers_at_once() -> None:
    """On one core, or with crypto that costs nothing, the caller is answered in the call."""
    assert not Verifier(Symbolic()).is_elsewhere
    asked, expected = claims(10)
    came: list[tuple[bool, ...]] = []
    Verifier(SODIUM, elsewhere=False).check(asked, came.append)
    assert came == [expected]


@pytest.mark.parametrize("program", ["", "/nonexistent/python", "/bin/cat", "/bin/false"])
def test_what_is_no_python_is_done_without(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another program stands where Python should, signatures are checked here."""
    if program.startswith("/bin") and not Path(program).exists():
        pytest.skip(f"no {program} here")
    monkeypatch.setattr(sys, "executable", program)
    asked, expected = claims(10)
    with closing(Verifier(SODIUM, elsewhere=True)) as under_test:
        assert list(answers(under_test, [asked, asked])) == [expected, expected]
        assert not under_test.is_elsewhere


def test_a_process_that_is_killed_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """If it dies, what it was asked is checked here, and so is all that follows."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))
        return started[-1]

    popen: Any = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", start)
    asked, expected = claims(10)
    with closing(Verifier(SODIUM, elsewhere=True)) as under_test:
        assert list(answers(under_test, [asked])) == [expected]
        started[0].kill()
        started[0].wait(SECONDS)
        assert list(answers(under_test, [asked, asked])) == [expected, expected]
        assert not under_test.is_elsewhere
    assert len(started) == 1


def test_requests_that_break_off_end_it() -> None:
    """An input that ends, at whatever byte, ends the process without an answer or an error."""
    public, message, signature = claims(1)[0][0]
    parts = (public, message, signature)
    body = b"".join(len(part).to_bytes(2, "little") + part for part in parts)
    request = len(body).to_bytes(4, "little") + body
    greeting = b""
    for cut in range(len(request)):
        target = io.BytesIO()
        serve(io.BytesIO(request[:cut]), target)
        greeting = target.getvalue()
    target = io.BytesIO()
    serve(io.BytesIO(request), target)
    assert target.getvalue() == greeting + b"\1"


SCRIPT = """
import os, queue
from comity.crypto.sodium import Sodium
from comity.drivers.verifier import Verifier
with open("runs", "a") as runs:
    runs.write("run ")
crypto = Sodium()
seed = bytes(32)
claim = crypto.sign_public(seed), b"message", crypto.sign(seed, b"message")
came = queue.SimpleQueue()
checker = Verifier(crypto, elsewhere=True)
checker.check([claim] * 100, came.put)
assert came.get(timeout=60) == (True,) * 100
assert checker.is_elsewhere
print(subprocess_id(checker), flush=True)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for a stranger's process")
def test_a_script_is_run_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """A script without a main guard is not run again; when it dies, so does its process."""
    script = tmp_path / "script.py"
    finder = textwrap.dedent(
        """
        def subprocess_id(_):
            import os
            own = os.getpid()
            path = f"/proc/{own}/task/{own}/children"
            found = set()
            for task in os.listdir(f"/proc/{own}/task"):
                with open(f"/proc/{own}/task/{task}/children") as children:
                    found |= set(children.read().split())
            assert len(found) == 1, found
            return found.pop()
        """
    )
    script.write_text(finder + SCRIPT)
    root = str(Path(verifier.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        timeout=SECONDS,
        check=True,
        text=True,
    )
    with contextlib.suppress(ProcessLookupError):  # it may have ended, and be gone, already
        child = os.pidfd_open(int(done.stdout))
        try:
            assert select.select([child], [], [], SECONDS)[0], "it outlives the script"
        finally:
            os.close(child)
    assert (tmp_path / "runs").read_text() == "run "
