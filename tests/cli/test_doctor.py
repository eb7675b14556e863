"""Each finding is judged from facts, and says how to mend what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from comity.cli import diagnosis
from comity.cli.commands.doctor import _file_system
from comity.cli.diagnosis import Finding
from tests.cli.conftest import Run, Start

NOW = 1_800_000_000.0


def _status(**changed: object) -> dict[str, Any]:
    here = {"device": "aa" * 32, "listening": "10.0.0.1:1", "address": "10.0.0.1:1"}
    return {**here, "links": [], "topics": [], "refusals": {}, **changed}


def _node(status: dict[str, Any], *others: str, running: bool = True) -> list[Finding]:
    found = [{"device": each, "this": False} for each in others]
    members = {"t": [{"device": "aa" * 32, "this": True}, *found]}
    return [*diagnosis.node(status, members, running=running, store="S")]


def _levels(findings: list[Finding], about: str) -> list[str]:
    return [each.level for each in findings if each.about == about]


def test_a_healthy_node_has_nothing_to_mend() -> None:
    """Everything that is good says so and asks for nothing."""
    status = _status(links=[{"device": "bb" * 32, "address": "x"}])
    found = _node(status, "bb" * 32)
    assert {each.level for each in found} == {"good"}
    assert all(each.fix == "" for each in found)


@pytest.mark.parametrize(
    ("address", "listening", "level"),
    [
        ("127.0.0.1:1", "127.0.0.1:1", "notice"),
        ("[::1]:1", "[::1]:1", "notice"),
        ("0.0.0.0:1", "0.0.0.0:1", "bad"),
        ("", "", "notice"),
        ("home.example:1", "0.0.0.0:1", "good"),
    ],
)
def test_ports_are_judged_by_what_others_dial(address: str, listening: str, level: str) -> None:
    """Loopback surprises, and the address of no host cannot work."""
    found = _node(_status(address=address, listening=listening))
    assert _levels(found, "ports") == [level]


def test_peers_and_relays_are_told_apart() -> None:
    """A link to who is no member is a relay's; one without a device is still dialling."""
    alone = _node(_status(), "bb" * 32)
    assert _levels(alone, "peers") == ["notice"]
    links = [{"device": "cc" * 32, "address": "r"}, {"device": None, "address": "x:1"}]
    found = _node(_status(links=links), "bb" * 32)
    assert _levels(found, "relays") == ["good"]
    assert any("x:1" in each.text for each in found)


def test_what_waits_and_what_was_refused_is_told() -> None:
    """With how often, and where to read more."""
    topics = [{"type": "Todo", "orphans": 3}]
    found = _node(_status(topics=topics, refusals={"a fork": 2}))
    assert _levels(found, "sync") == ["notice"]
    assert any("2 x a fork" in each.text for each in found)
    assert _levels(_node(_status(), running=False), "node") == ["notice"]


def test_clocks_are_compared_with_what_others_said() -> None:
    """A commit from the future means that one of two clocks is wrong; so does the past."""
    near = {"aa" * 32: NOW + 60}
    far = {**near, "bb" * 32: NOW + 3600}
    assert [each.level for each in diagnosis.clock(NOW, near)] == ["good"]
    (found,) = diagnosis.clock(NOW, far)
    assert (found.level, "bbbbbbbb" in found.text, "60 minutes" in found.text) == (
        "notice",
        True,
        True,
    )
    assert [each.level for each in diagnosis.clock(1000.0, far)] == ["bad"]


def test_disk_python_and_packages() -> None:
    """Too little room is bad; a missing extra is not, and its install is named."""
    assert diagnosis.room(1 << 20).level == "bad"
    assert diagnosis.room(1 << 33).level == "good"
    found = [*diagnosis.versions({"a": "1", "b": None}, (3, 10))]
    assert [each.level for each in found] == ["bad", "good", "notice"]
    assert "comity[web]" in found[-1].fix


@pytest.mark.parametrize(
    ("kind", "found", "level"),
    [
        ("ext4", True, "good"),
        ("", True, "good"),
        ("tmpfs", True, "notice"),
        ("overlay", True, "notice"),
        ("", False, "notice"),
    ],
)
def test_what_tells_a_store_from_its_backups_must_last(
    kind: str, level: str, *, found: bool
) -> None:
    """On a file system that ends with the machine or its container it does not, nor nowhere."""
    said = diagnosis.witness("DIR", kind, found=found)
    assert said.level == level
    assert "DIR" in said.text
    assert ("XDG_STATE_HOME" in said.fix) == (level != "good")


def test_the_file_system_of_a_directory_is_the_one_that_the_system_names() -> None:
    """Those of /proc and of /dev/shm are known wherever there are any."""
    for path, kind in ((Path("/proc"), "proc"), (Path("/dev/shm"), "tmpfs")):  # noqa: S108
        if not path.is_dir() or not Path("/proc/self/mountinfo").exists():
            pytest.skip("no Linux here")
        assert _file_system(path) == kind


def test_a_missing_witness_is_told_before_it_is_made(
    comity: Run, start: Start, tmp_path: Path
) -> None:
    """A store that the state directory of this machine does not know is told of at once."""
    store = tmp_path / "store"
    start(store, "run", "examples/todo", "--insecure-store", "--no-page")
    away = str(tmp_path / "elsewhere")
    found = json.loads(comity("doctor", "--store", store, "--json", XDG_STATE_HOME=away).stdout)
    (said,) = [each for each in found if each["about"] == "restores"]
    assert said["level"] == "notice"
    assert away in said["text"]


def test_the_command_tells_of_a_store_and_of_a_node(
    comity: Run, start: Start, tmp_path: Path
) -> None:
    """Without a store, with one, and with a node that runs on it."""
    store = tmp_path / "store"
    assert "there is none" in comity("doctor", "--store", store).stdout
    start(store, "run", "examples/todo", "--insecure-store", "--no-page")
    done = comity("doctor", "--store", store)
    assert done.returncode == 0, done.stdout
    assert "runs as device" in done.stdout
    assert "for this machine only" in done.stdout
    store.chmod(0o755)
    done = comity("doctor", "--store", store, "--json")
    assert done.returncode == 1
    bad = [each for each in json.loads(done.stdout) if each["level"] == "bad"]
    assert [each["fix"][:9] for each in bad] == ["chmod 700"]


def test_relays_that_are_down_are_named() -> None:
    """One of two is a notice, all of them bad; one that withholds is bad; alone is a risk."""

    def found(*relays: tuple[str, bool, str]) -> list[Finding]:
        used = [
            {"address": address, "device": "cc" * 32 if up else None, "alarm": alarm}
            for address, up, alarm in relays
        ]
        return _node(_status(relays=used))

    one = found(("a:1", True, ""), ("b:1", False, ""))
    assert _levels(one, "relays") == ["notice", "good"]
    assert any("b:1 does not answer" in each.text for each in one)
    assert _levels(found(("a:1", False, ""), ("b:1", False, "")), "relays") == ["bad"]
    assert "bad" in _levels(found(("a:1", True, "lacks 3"), ("b:1", True, "")), "relays")
    assert _levels(found(("a:1", True, "")), "relays") == ["good", "notice"]
