"""What commands ask of a node: every request, and every way to ask wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from comity import Node, UsageError, WorldError
from comity.base.clock import SECOND, Duration
from comity.drivers.control import control_call
from comity.drivers.store import CONTROL_FILE
from tests.node.ledger import Ledger

WAIT = Duration(20 * SECOND)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Run a node with one actor open."""
    with Node(tmp_path / "store", insecure_store=True) as node:
        node.create(Ledger)
        yield node


def ask(node: Node, do: str, **fields: object) -> dict[str, Any]:
    """Send a request over the socket, as commands do."""
    return control_call(node.path / CONTROL_FILE, {"do": do, **fields}, WAIT)


def test_a_message_is_parsed_run_and_answered(node: Node) -> None:
    """Words become arguments by the class that the node runs; the reply is durable."""
    found = ask(node, "message", method="enter", words=["milk", "3"], type="Ledger")
    assert found == {"value": 1}
    snapshot = ask(node, "snapshot")
    assert snapshot["state"] == {
        "title": "new",
        "total": 3,
        "names": ["milk"],
        "lines": {"milk": 3},
    }
    assert snapshot["bytes"] > 0
    assert len(bytes.fromhex(snapshot["digest"])) == 32


def test_what_a_message_raises_is_told(node: Node) -> None:
    """The app's own error is the world's to a command: no bug, no usage."""
    with pytest.raises(WorldError, match=r"Ledger\.enter_and_fail raised ValueError: milk"):
        ask(node, "message", method="enter_and_fail", words=["milk"])
    assert ask(node, "snapshot")["state"]["lines"] == {}


def test_status_and_topics_agree_with_the_node(node: Node) -> None:
    """Ids are hexadecimal, the address is the one in use."""
    status = ask(node, "status")
    assert bytes.fromhex(status["device"]) == node.device
    assert status["address"] == status["listening"] == node.address
    assert ask(node, "topics")["topics"] == status["topics"]
    assert status["topics"][0]["open"]


def test_others_are_told_the_advertised_address(tmp_path: Path) -> None:
    """A pair of addresses: connections come to the first, the second goes into invites."""
    where = ("127.0.0.1:0", "example.org:7400")
    with Node(tmp_path / "store", insecure_store=True, listen=where) as node:
        status = ask(node, "status")
    assert status["address"] == "example.org:7400"
    assert status["listening"] == node.address != "127.0.0.1:0"


def test_members_invites_and_removal(node: Node, tmp_path: Path) -> None:
    """A device that is let in is listed, and gone once it is removed."""
    link = ask(node, "invite", role="reader", hours=1)["link"]
    with Node(tmp_path / "other", insecure_store=True) as other:
        actor = ask(other, "join", link=link)["actor"]
        assert bytes.fromhex(actor) == node.refs[0].topic
        members = ask(node, "members")["members"]
        assert {member["role"] for member in members} == {"admin", "reader"}
        removed = ask(node, "remove", device=other.device.hex()[:8])["device"]
        assert removed == other.device.hex()
    assert [member["this"] for member in ask(node, "members")["members"]] == [True]


def test_commits_are_explained(node: Node) -> None:
    """The newest commit counts; an unknown one is the caller's mistake."""
    head = ask(node, "status")["topics"][0]["heads"][0]
    assert ask(node, "why", commit=head[:8])["why"]
    with pytest.raises(UsageError, match="nothing is known here"):
        ask(node, "why", commit="00" * 8)


def test_a_program_is_not_stopped_by_a_command(node: Node) -> None:
    """Unless it agreed to be."""
    with pytest.raises(UsageError, match="part of a program"):
        ask(node, "shutdown")
    asked: list[bool] = []
    node.on_shutdown(lambda: asked.append(True))
    assert ask(node, "shutdown") == {}
    assert asked == [True]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"do": "frobnicate"}, "does not know the request 'frobnicate'; it knows: message"),
        ({}, "the request lacks 'do'"),
        ({"do": 3}, "'do' in the request is 3: give a text"),
        ({"do": "message"}, "the request lacks 'method'"),
        ({"do": "message", "method": "count", "words": "x"}, "give a list of texts"),
        ({"do": "message", "method": "count", "words": [1]}, "give a list of texts"),
        ({"do": "message", "method": "_turn", "words": []}, "has no message '_turn'"),
        ({"do": "message", "method": "count", "type": "Chat"}, "has no Chat open; open are:"),
        ({"do": "snapshot", "actor": "ffff"}, "has no actor ffff open"),
        ({"do": "members", "actor": "zz"}, "holds 0 actors beginning with 'zz'"),
        ({"do": "invite", "role": "king", "hours": 1}, "'king' is not a role"),
        ({"do": "invite", "role": "reader", "hours": -1}, "give a positive number"),
        ({"do": "invite", "role": "reader", "hours": True}, "give a positive number"),
        ({"do": "remove", "device": "ff"}, "names 0 members"),
        ({"do": "remove", "device": ""}, "4 digits or more"),
        ({"do": "join", "link": "nonsense"}, "is not an invite"),
        ({"do": "why", "commit": "xyz"}, "is no commit id"),
    ],
)
def test_a_wrong_request_names_what_is_wrong(
    node: Node, fields: dict[str, object], says: str
) -> None:
    """As the caller's error, and the node goes on."""
    with pytest.raises(UsageError) as caught:
        control_call(node.path / CONTROL_FILE, dict(fields), WAIT)
    assert says in str(caught.value)
    assert ask(node, "status")["topics"]


def test_several_actors_must_be_named(node: Node) -> None:
    """With two of a kind, only an id tells which is meant."""
    second = node.create(Ledger)
    with pytest.raises(UsageError, match="2 open actors fit: add --actor ID"):
        ask(node, "snapshot")
    with pytest.raises(UsageError, match="holds 2 actors"):
        ask(node, "members")
    actor = second.topic.hex()
    assert ask(node, "snapshot", actor=actor[:10])["actor"] == actor
    assert ask(node, "members", actor=actor[:10])["actor"] == actor
