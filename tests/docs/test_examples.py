"""What the documentation shows works: Python is run, commands are parsed, targets exist.

Each page is a program: its Python blocks in order, at their own lines, in an empty directory,
against real nodes. So a page that shows a class and then uses it is tested as it is read, and
a trace names the line of the page.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from comity.cli.main import comity
from tests.docs.pages import PAGES, Block, blocks, name_of

_SECONDS = 60.0
_OPERATORS = frozenset("();<>|&")

_TESTS_TOO = """
for name, found in list(globals().items()):
    if name.startswith("test_"):
        found()
"""
"""A page that shows how to test an app is run with its tests."""


def _with(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, language)]


def _program(page: Path) -> str:
    """Return all Python blocks of a page, each at the line where it stands there."""
    lines: list[str] = []
    for block in blocks(page, "python"):
        lines += [""] * (block.line - 1 - len(lines))
        lines += block.text.splitlines()
    return "\n".join(lines) + _TESTS_TOO


def _run(folder: Path, project: Path, program: str) -> subprocess.CompletedProcess[str]:
    script = folder / "page.py"
    script.write_text(program, encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=folder,
        env={
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(project / "runtime"), str(project / "chaos")]),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
        },
        input="\n" * 9,  # for `input("Enter ends it")`
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("page", _with("python"), ids=name_of)
def test_the_python_of_a_page_runs(page: Path, project: Path, tmp_path: Path) -> None:
    """Every statement and every assert that a page shows holds."""
    done = _run(tmp_path, project, _program(page))
    assert done.returncode == 0, f"{page}\n{done.stdout}\n{done.stderr}"


def test_a_wrong_example_would_be_seen(project: Path, tmp_path: Path) -> None:
    """The test above can fail, and it says on which line."""
    done = _run(tmp_path, project, "\n\nassert 1 == 2\n")
    assert done.returncode != 0
    assert "line 3" in done.stderr


def _commands(block: Block) -> list[list[str]]:
    """Return the simple commands of a block, without comments, operators and variables."""
    found: list[list[str]] = []
    for line in block.text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if set(word) <= _OPERATORS:
                found.append(words)
                words = []
            else:
                words.append(word)
        found.append(words)
    return [words for words in found if words]


def _parse(words: list[str]) -> None:
    """Parse a command as the program would. Raises: click.ClickException."""
    options = {name for each in comity.params for name in each.opts} | {"-h", "--help"}
    rest = list(itertools.dropwhile(options.__contains__, words))
    if not rest:
        return
    command = comity.commands.get(rest[0])
    if command is None:
        raise click.UsageError(f"there is no command {rest[0]!r}")
    found = command.make_context(rest[0], rest[1:])
    for word in (found.params.get("method"), *found.params.get("words", ())):
        if isinstance(word, str) and word.startswith("-"):
            raise click.NoSuchOption(word)


@pytest.mark.parametrize("page", _with("sh"), ids=name_of)
def test_the_commands_of_a_page_exist(page: Path, project: Path) -> None:
    """Each `comity` line parses, with the options it has; each `make` line has its target."""
    makefile = (project / "Makefile").read_text(encoding="utf-8")
    for block in blocks(page, "sh"):
        for words in _commands(block):
            if words[0] == "comity":
                try:
                    _parse(words[1:])
                except click.exceptions.Exit:
                    pass  # it asked for help, and there is some
                except click.ClickException as error:
                    pytest.fail(f"{page}:{block.line}: {' '.join(words)}: {error}")
            elif words[0] == "make":
                for target in words[1:]:
                    assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize(
    "line", ["comity rum app", "comity run app --stor x", "comity invite owner", "comity why"]
)
def test_a_wrong_command_would_be_seen(line: str) -> None:
    """The test above can fail: a name, an option, a choice, an argument that is missing."""
    ((_, *words),) = _commands(Block("sh", 1, line))
    with pytest.raises(click.ClickException):
        _parse(words)


def test_comments_pipes_and_variables_are_not_commands() -> None:
    """A block is read as the shell reads it."""
    block = Block(
        "sh", 1, "comity status --store a | head -1  # a comment\ncomity stop \\\n -h"
    )
    assert _commands(block) == [
        ["comity", "status", "--store", "a"],
        ["head", "-1"],
        ["comity", "stop", "-h"],
    ]
