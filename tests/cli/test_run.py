"""Nodes from the command line: offline, hosted, shared, and everything that can go wrong."""

from __future__ import annotations

import json
import signal
import socket
import time
from pathlib import Path

import pytest

from comity.drivers.store import STORE_FILE, VAULT_FILE
from tests.cli.conftest import SECONDS, Run, Start

TODO = "examples/todo"
OPEN = "--insecure-store"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return where a store is to be made."""
    return tmp_path / "store"


def test_a_message_works_without_any_node(process: Run, comity: Run, store: Path) -> None:
    """The first makes store and actor, the next finds them; nothing listens anywhere."""
    first = process("run", TODO, "add", "milk", "--store", store, OPEN)
    assert (first.returncode, first.stdout) == (0, "1\n")
    assert "created Todo" in first.stderr
    second = comity("run", TODO, "--store", store, OPEN, "add", "oat bread")
    assert (second.returncode, second.stdout) == (0, "2\n")
    shown = comity("run", TODO, "show", "--store", store, OPEN)
    assert shown.stdout == "[ ] milk\n[ ] oat bread\n"
    as_json = comity("run", TODO, "show", "--store", store, OPEN, "--json")
    assert json.loads(as_json.stdout) == ["[ ] milk", "[ ] oat bread"]
    assert comity("run", TODO, "drop", "milk", "--store", store, OPEN).stdout == ""
    state = comity("snapshot", TODO, "--store", store, OPEN).stdout
    assert state.splitlines() == ["title: ", "items:", "  oat bread: false", "done: 0"]


def test_the_store_can_come_from_the_environment(comity: Run, store: Path) -> None:
    """COMITY_STORE stands in for --store."""
    assert comity("run", TODO, "add", "x", OPEN, COMITY_STORE=str(store)).returncode == 0
    assert (store / STORE_FILE).exists()


def test_a_passphrase_file_protects_a_store(comity: Run, store: Path, tmp_path: Path) -> None:
    """Without it, or with another, nothing opens, and the error says what would."""
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    for path in (right, wrong):
        path.write_text(f"{path.name}\n", encoding="ascii")
        path.chmod(0o600)
    made = comity("run", TODO, "add", "x", "--store", store, "--passphrase-file", right)
    assert (made.returncode, made.stdout) == (0, "1\n")
    for words, says in (
        (("--passphrase-file", wrong), "the passphrase does not open"),
        ((), "needs its passphrase: name a file that holds it, with --passphrase-file"),
        ((OPEN,), "protected by a passphrase"),
    ):
        refused = comity("status", "--store", store, *words)
        assert refused.returncode == 2
        assert says in refused.stderr


def test_without_keyring_and_terminal_the_ways_are_named(comity: Run, store: Path) -> None:
    """No store is made that nobody protects, and the error names both options."""
    refused = comity("run", TODO, "add", "milk", "--store", store)
    assert refused.returncode == 2
    assert "--passphrase-file" in refused.stderr
    assert "--insecure-store" in refused.stderr
    assert not store.exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("ad", "milk"), "Todo has no message 'ad'; its messages are\n  add(what: str) -> int"),
        (("add",), "missing a required argument: 'what': the message is add(what: str) -> int"),
        (("add", "a", "b"), "'b' is one argument too many: the message is add(what: str)"),
    ],
)
def test_a_wrong_message_makes_nothing(
    comity: Run, store: Path, words: tuple[str, ...], says: str
) -> None:
    """It is refused before a store is made, with the signatures."""
    refused = comity("run", TODO, *words, "--store", store, OPEN)
    assert refused.returncode == 2
    assert says in refused.stderr
    assert not store.exists()


def test_a_wrong_type_names_the_value_and_the_fix(
    comity: Run, store: Path, tmp_path: Path
) -> None:
    """Arguments are parsed by annotation, negative numbers too."""
    app = tmp_path / "tally.py"
    app.write_text(
        "from comity import Actor, Counter\n"
        "class Tally(Actor):\n"
        "    total: Counter\n"
        "    def add(self, amount: int) -> int:\n"
        "        if amount == 13: raise ValueError('unlucky')\n"
        "        self.total += amount\n"
        "        return int(self.total)\n",
        encoding="utf-8",
    )
    assert comity("run", app, "add", "5", "--store", store, OPEN).stdout == "5\n"
    assert comity("run", app, "add", "-7", "--store", store, OPEN).stdout == "-2\n"
    refused = comity("run", app, "add", "many", "--store", store, OPEN)
    assert refused.returncode == 2
    assert "'many' does not fit the parameter 'amount': give a whole number" in refused.stderr
    raised = comity("run", app, "add", "13", "--store", store, OPEN)
    assert raised.returncode == 1
    assert "Tally.add raised ValueError: unlucky; nothing that it wrote" in raised.stderr


def test_a_running_node_is_asked_over_its_socket(
    comity: Run, start: Start, store: Path
) -> None:
    """Commands need no key then; SIGTERM and `comity stop` end it well; all is kept."""
    node = start(store, "run", TODO, OPEN)
    assert comity("run", TODO, "add", "milk", "--store", store).stdout == "1\n"
    status = json.loads(comity("status", "--store", store, "--json").stdout)
    assert status["running"]
    assert [topic["type"] for topic in status["topics"]] == ["Todo"]
    assert "milk: false" in comity("snapshot", "--store", store).stdout
    unknown = comity("run", TODO, "ad", "x", "--store", store)
    assert (unknown.returncode, "add(what: str)" in unknown.stderr) == (2, True)
    node.send_signal(signal.SIGTERM)
    assert node.wait(30) == 0
    node = start(store, "run", TODO, OPEN)
    assert comity("run", TODO, "show", "--store", store).stdout == "[ ] milk\n"
    assert comity("stop", "--store", store).returncode == 0
    assert node.wait(30) == 0
    again = comity("stop", "--store", store)
    assert (again.returncode, "nothing to stop" in again.stderr) == (2, True)


def test_a_store_in_use_names_the_process(comity: Run, start: Start, store: Path) -> None:
    """A second node on one store is refused with the pid of the first, before any prompt."""
    node = start(store, "run", TODO, OPEN)
    refused = comity("run", TODO, "--store", store)
    assert refused.returncode == 1
    assert f"is in use by process {node.pid}" in refused.stderr


def test_a_killed_node_leaves_nothing_in_the_way(
    comity: Run, start: Start, store: Path
) -> None:
    """After kill -9 the socket is stale and the lock is free: commands open the store."""
    node = start(store, "run", TODO, OPEN)
    assert comity("run", TODO, "add", "milk", "--store", store).returncode == 0
    node.kill()
    node.wait(30)
    assert comity("run", TODO, "show", "--store", store, OPEN).stdout == "[ ] milk\n"


def test_two_devices_share_by_invite(
    comity: Run, start: Start, store: Path, tmp_path: Path
) -> None:
    """Invite, join, see the history; the invite works once; a removed device is gone."""
    start(store, "run", TODO, OPEN)
    comity("run", TODO, "add", "milk", "--store", store)
    link = comity("invite", "writer", "--store", store).stdout.strip()
    friend, late = tmp_path / "friend", tmp_path / "late"
    joined = comity("join", link, TODO, "--store", friend, OPEN)
    assert joined.returncode == 0, joined.stderr
    assert comity("run", TODO, "show", "--store", friend, OPEN).stdout == "[ ] milk\n"
    members = json.loads(comity("members", "--store", store, "--json").stdout)["members"]
    assert sorted(member["role"] for member in members) == ["admin", "writer"]
    used = comity("join", link, TODO, "--store", late, OPEN)
    assert (used.returncode, "the invite was used already" in used.stderr) == (2, True)
    assert not late.exists(), "a store of nothing would begin an app of its own"
    hosted = comity("run", TODO, "--join", link, "--store", late, OPEN)
    assert (hosted.returncode, late.exists()) == (2, False)
    (theirs,) = [member["device"] for member in members if not member["this"]]
    removed = comity("remove", theirs[:8], "--store", store)
    assert removed.returncode == 0, removed.stderr
    assert comity("members", "--store", store).stdout.count("\n") == 1
    unknown = comity("remove", theirs[:8], "--store", store)
    assert (unknown.returncode, "names 0 members" in unknown.stderr) == (2, True)


@pytest.mark.parametrize("how", ["--words", "--code", "--qr"])
def test_invites_in_other_forms(
    how: str, comity: Run, start: Start, store: Path, tmp_path: Path
) -> None:
    """Words and codes come with the line to type there; a QR code is drawn under the link."""
    start(store, "run", TODO, OPEN)
    made = comity("invite", "writer", how, "--store", store)
    assert made.returncode == 0, made.stderr
    text, *drawn = made.stdout.splitlines()
    where: tuple[str, ...] = ()
    if how == "--qr":
        assert len(drawn) > 10
        assert len({len(line) for line in drawn}) == 1
    else:
        address = made.stderr.rpartition("--at ")[2].strip()
        where = ("--at", address)
        assert f"TARGET --at {address}" in made.stderr
        lost = comity("join", text, TODO, "--store", tmp_path / "none", OPEN)
        assert (lost.returncode, "--at HOST:PORT" in lost.stderr) == (2, True)
        assert not (tmp_path / "none").exists()
    friend = tmp_path / "friend"
    joined = comity("join", text, TODO, *where, "--json", "--store", friend, OPEN)
    assert joined.returncode == 0, joined.stderr
    members = json.loads(comity("members", "--store", store, "--json").stdout)
    assert json.loads(joined.stdout)["actor"] == members["actor"]
    assert len(members["members"]) == 2
    both = comity("invite", "--words", "--code", "--store", store)
    assert (both.returncode, "give one" in both.stderr) == (2, True)


def test_relays_of_a_node(comity: Run, start: Start, store: Path, tmp_path: Path) -> None:
    """They are listed, added and forgotten, while the node runs and while it does not."""
    vault = tmp_path / "relay"
    start(vault, "relay", "--listen", "127.0.0.1:0", OPEN)
    at = json.loads(comity("status", "--store", vault, "--json").stdout)["address"]
    node = start(store, "run", TODO, OPEN, "--relay", at, "--metrics", "0")
    assert "http://127.0.0.1:" in (tmp_path / f"{store.name}.log").read_text("utf-8")
    end = time.monotonic() + SECONDS
    while f"{at}  linked" not in comity("relays", "--store", store).stdout:
        assert time.monotonic() < end
    assert f"relay     {at}  linked" in comity("status", "--store", store).stdout
    assert comity("relays", "forget", at, "--store", store).stdout.startswith("no relays")
    unknown = comity("relays", "forget", at, "--store", store)
    assert (unknown.returncode, "uses no relay at" in unknown.stderr) == (2, True)
    bare = comity("relays", "add", "--store", store)
    assert (bare.returncode, "give an address" in bare.stderr) == (2, True)
    assert comity("relays", "add", "nonsense", "--store", store).returncode == 2
    assert comity("stop", "--store", store).returncode == 0
    node.wait(SECONDS)
    added = comity("relays", "add", at, "--store", store, "--json")
    assert [each["address"] for each in json.loads(added.stdout)["relays"]] == [at]
    assert at in comity("relays", "--store", store).stdout


def test_a_message_without_a_node_hands_over_what_it_wrote(
    comity: Run, start: Start, store: Path, tmp_path: Path
) -> None:
    """Who can be reached has it when the command ends; else the command says so."""
    first = start(store, "run", TODO, OPEN)
    link = comity("invite", "writer", "--store", store).stdout.strip()
    friend = tmp_path / "friend"
    joined = comity("run", TODO, "add", "eggs", "--join", link, "--store", friend, OPEN)
    assert (joined.returncode, joined.stdout) == (0, "1\n")
    assert comity("run", TODO, "show", "--store", store).stdout == "[ ] eggs\n"
    again = comity("run", TODO, "add", "milk", "--store", friend)
    assert "nobody else has it yet" not in again.stderr
    assert comity("run", TODO, "show", "--store", store).stdout == "[ ] eggs\n[ ] milk\n"
    assert comity("stop", "--store", store).returncode == 0
    first.wait(SECONDS)
    alone = comity("run", TODO, "add", "flour", "--store", friend)
    assert (alone.returncode, alone.stdout) == (0, "3\n")
    assert "nobody else has it yet" in alone.stderr
    assert "nobody else" not in comity("run", TODO, "show", "--store", friend).stderr


def test_leaving_is_asked_about(comity: Run, start: Start, store: Path, tmp_path: Path) -> None:
    """A device that removes itself is out for good, so a slip of the finger does nothing."""
    start(store, "run", TODO, OPEN)
    link = comity("invite", "writer", "--store", store).stdout.strip()
    friend = tmp_path / "friend"
    assert comity("join", link, TODO, "--store", friend, OPEN).returncode == 0
    members = json.loads(comity("members", "--store", friend, "--json").stdout)["members"]
    (own,) = [member["device"] for member in members if member["this"]]
    asked = comity("remove", own[:8], "--store", friend)
    assert (asked.returncode, "Leave actor" in asked.stderr) == (1, True)
    assert comity("members", "--store", store).stdout.count("\n") == 2
    left = comity("remove", own[:8], "--yes", "--store", friend)
    assert left.returncode == 0, left.stderr


def test_an_invite_that_is_none_makes_no_store(comity: Run, store: Path) -> None:
    """Mistyped and foreign links are told apart, before anything is made."""
    for link, says in (("nonsense", "is not an invite"), ("comity:AAAA", "mistyped")):
        refused = comity("join", link, TODO, "--store", store, OPEN)
        assert refused.returncode == 2
        assert says in refused.stderr
    assert not store.exists()


def test_an_inviter_who_is_away_is_a_world_error(
    comity: Run, start: Start, store: Path, tmp_path: Path
) -> None:
    """Joining while nobody listens says who cannot be reached, and can be tried again."""
    node = start(store, "run", TODO, OPEN)
    link = comity("invite", "--store", store).stdout.strip()
    node.send_signal(signal.SIGTERM)
    node.wait(30)
    refused = comity("join", link, TODO, "--store", tmp_path / "friend", OPEN)
    assert refused.returncode == 1
    assert "cannot be reached" in refused.stderr


def test_a_taken_port_is_named(comity: Run, store: Path) -> None:
    """The error names the address and the way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        refused = comity("run", TODO, "--store", store, OPEN, "--listen", address)
    assert refused.returncode == 1
    assert f"cannot listen at {address}" in refused.stderr
    assert "port 0 takes a free one" in refused.stderr


def test_a_corrupt_store_is_named_and_left_alone(comity: Run, store: Path) -> None:
    """Neither a broken database nor a broken vault is written to; both are named."""
    comity("run", TODO, "add", "milk", "--store", store, OPEN)
    for name in (STORE_FILE, VAULT_FILE):
        path = store / name
        good = path.read_bytes()
        bad = bytes(64) + good[64:]
        path.write_bytes(bad)
        refused = comity("run", TODO, "show", "--store", store, OPEN)
        assert refused.returncode == 1, refused
        assert str(path) in refused.stderr
        assert "Traceback" not in refused.stderr
        assert path.read_bytes() == bad
        path.write_bytes(good)
    assert comity("run", TODO, "show", "--store", store, OPEN).stdout == "[ ] milk\n"


def test_looking_calls_nobody(comity: Run, start: Start, store: Path, tmp_path: Path) -> None:
    """Without a running node a store is read, and no peer hears of it."""
    start(store, "run", TODO, OPEN)
    link = comity("invite", "writer", "--store", store).stdout.strip()
    friend = tmp_path / "friend"
    assert comity("join", link, TODO, "--store", friend, OPEN).returncode == 0
    log = tmp_path / "store.log"
    before = log.read_text("utf-8").count("linked with")
    assert "link " not in comity("status", "--store", friend).stdout
    assert comity("snapshot", TODO, "--store", friend).returncode == 0
    assert comity("members", "--store", friend).stdout.count("\n") == 2
    assert log.read_text("utf-8").count("linked with") == before


def test_looking_makes_no_store(comity: Run, store: Path) -> None:
    """Commands that only look refuse a store that is not there, and leave it so."""
    for words in (("status",), ("members",), ("why", "12345678"), ("snapshot", TODO)):
        refused = comity(*words, "--store", store, OPEN)
        assert refused.returncode == 2
        assert f"there is no store at {store}" in refused.stderr
    assert not store.exists()


def test_a_relay_runs_and_says_what_it_keeps(
    comity: Run, start: Start, store: Path, tmp_path: Path
) -> None:
    """A node that is told of a relay leaves its sealed commits there."""
    keeper = tmp_path / "keeper"
    start(keeper, "relay", "--listen", "127.0.0.1:0", OPEN)
    status = json.loads(comity("status", "--store", keeper, "--json").stdout)
    assert status["relay"]
    start(store, "run", TODO, OPEN, "--relay", status["address"])
    comity("run", TODO, "add", "milk", "--store", store)
    ours = json.loads(comity("status", "--store", store, "--json").stdout)
    ends = time.monotonic() + SECONDS
    shelves: list[dict[str, object]] = []
    while not shelves:  # the relay has what it is given when it is given it
        assert time.monotonic() < ends
        shelves = json.loads(comity("status", "--store", keeper, "--json").stdout)["shelves"]
    (shelf,) = shelves
    assert shelf["actor"] == ours["topics"][0]["actor"]
    assert "sealed commit" in comity("status", "--store", keeper).stdout
