"""The command as a whole: it starts at once, knows its version, completes, and fails well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from comity.base.errors import ComityError, StoreError, UsageError
from comity.cli.failures import Commands
from comity.cli.main import comity as root
from tests.cli.conftest import Run


def test_help_loads_nothing_of_the_runtime(project: Path) -> None:
    """`comity --help` answers at once: it imports click, and of ours only commands."""
    code = (
        "import sys; sys.argv = ['comity', '--help']; from comity.cli.main import comity\n"
        "try: comity()\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(project / "runtime")},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.partition("LOADED")[2].split()
    ours = {name for name in loaded if name.startswith("comity.")}
    assert {name.split(".")[1] for name in ours} == {"cli"}
    assert not {"rich", "grpc", "nacl", "sqlite3", "pykka", "asyncio", "keyring"} & set(loaded)


def test_every_command_is_listed_with_a_whole_sentence() -> None:
    """Help names each command, and no summary is cut off at 80 columns."""
    shown = CliRunner().invoke(root, ["--help"], terminal_width=80)
    assert shown.exit_code == 0
    for name in root.commands:
        assert f"\n  {name} " in shown.output
    assert "..." not in shown.output.partition("Commands:")[2]


def test_help_is_laid_out_as_it_was_written() -> None:
    """Examples stand one a line, and no mark-up shows."""
    said = CliRunner().invoke(root, ["--help"]).output
    assert "\n  comity demo      " in said
    for name in root.commands:
        assert "\\" not in CliRunner().invoke(root, [name, "--help"]).output


def test_the_version_is_told(process: Run) -> None:
    """`comity --version` says one line."""
    done = process("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("comity ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete(shell: str) -> None:
    """The script for a shell names the variable that click answers to."""
    shown = CliRunner().invoke(root, ["completion", shell])
    assert shown.exit_code == 0
    assert "_COMITY_COMPLETE" in shown.output


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (UsageError("name it"), 2, "error: name it\n"),
        (StoreError("the disk is full", retry=True), 1, "error: the disk is full\n"),
        (ComityError("the node stopped"), 70, "error: the node stopped\n"),
        (AssertionError("ours"), 70, "error: this is a bug in Comity: AssertionError: ours"),
    ],
)
def test_each_kind_of_error_is_one_sentence(error: Exception, code: int, says: str) -> None:
    """The exit code tells whose fault it is, and no trace is shown; with --debug it is."""

    @click.group(cls=Commands)
    @click.option("--debug", is_flag=True)
    def group(*, debug: bool) -> None:
        del debug

    @group.command()
    def fail() -> None:
        raise error

    shown = CliRunner().invoke(group, ["fail"])
    assert shown.exit_code == code
    assert shown.output.startswith(says)
    assert "Traceback" not in shown.output
    assert CliRunner().invoke(group, ["--debug", "fail"]).exception is error


def test_what_click_refuses_ends_with_2(comity: Run) -> None:
    """Unknown commands and options, also before a target, are usage errors."""
    for words in (("frobnicate",), ("run", "--sotre", "x", "examples/todo"), ("run",)):
        done = comity(*words)
        assert done.returncode == 2, done
        assert "Traceback" not in done.stderr
