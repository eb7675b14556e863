"""A page over real HTTP: the node answers its owner, by the allow-list, and live."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from comity import Actor, LinkError, Map, Node, Page, Site, UsageError
from comity.web.page import page_of
from tests.web.conftest import Network


class Shelf(Actor):
    """Things on a shelf."""

    things: Map[str, int]

    def put(self, what: str, number: int = 1) -> int:
        """Put something there."""
        if number < 1:
            raise ValueError(f"{number} is too few")
        self.things[what] = number
        return len(self.things)

    def secret(self) -> str:
        """Tell what no page may ask."""
        return "secret"


class Other(Actor):
    """Another type."""

    things: Map[str, int]

    def put(self, what: str) -> None:
        """Have a message of the same name."""
        self.things[what] = 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a page."""
    made = tmp_path / "page"
    made.mkdir()
    (made / "index.html").write_text("<!doctype html><p>hello", encoding="utf-8")
    (tmp_path / "private.txt").write_text("private", encoding="utf-8")
    return made


@pytest.fixture
def node(network: Network) -> Node:
    """Open a node."""
    return network.node("ann")


class Client:
    """Speaks to a site as its page would."""

    def __init__(self, site: Site) -> None:
        """Take address and token from what is printed."""
        address, _, self.token = site.url.partition("/#")
        self.address = address.removeprefix("http://")

    def ask(
        self, verb: str, path: str, body: str | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Send one request; return status and body."""
        connection = http.client.HTTPConnection(self.address, timeout=10)
        headers = {"Authorization": f"Bearer {self.token}"} | headers
        connection.request(verb, path, body, headers)
        answer = connection.getresponse()
        told = answer.status, answer.read()
        connection.close()
        return told

    def post(self, path: str, fields: object) -> tuple[int, Any]:
        """Send JSON; return status and JSON."""
        status, body = self.ask("POST", path, json.dumps(fields))
        return status, json.loads(body)

    def call(self, method: object, *arguments: object) -> tuple[int, Any]:
        """Send a message."""
        return self.post("/comity/call", {"method": method, "arguments": arguments})


def test_a_page_sends_the_messages_that_are_listed(node: Node, folder: Path) -> None:
    """The reply comes back, also the error; anything else is refused by name."""
    ref = node.create(Shelf)
    with Site(node, ref, Page(folder, calls=(Shelf.put,))) as site:
        client = Client(site)
        assert client.call("put", "cup", 2) == (200, {"value": 1})
        assert ref.snapshot() == {"things": {"cup": 2}}
        status, told = client.call("put", "cup", 0)
        assert status == 409
        assert told["error"] == {"kind": "raised", "type": "ValueError", "text": "0 is too few"}
        for method in ("secret", "on_start", "_hidden", "__class__", None, ["put"], 1):
            status, told = client.call(method)
            assert status == 400
            assert "may not send" in told["error"]["text"]
            assert told["error"]["text"].endswith("may send: put")
        for wrong, says in (((), "missing"), ((1,), "'what'"), (("a", 1, 2), "2 arguments")):
            status, told = client.call("put", *wrong)
            assert (status, told["error"]["kind"]) == (400, "usage")
            assert says in told["error"]["text"]
        assert ref.snapshot() == {"things": {"cup": 2}}


@pytest.mark.parametrize("body", ["", "[]", "1", "{", '{"method": "put", "arguments": 3}'])
def test_a_request_that_is_none_is_refused(node: Node, folder: Path, body: str) -> None:
    """It says what is wrong; the server goes on."""
    with Site(node, node.create(Shelf), Page(folder, calls=(Shelf.put,))) as site:
        status, told = Client(site).ask("POST", "/comity/call", body)
        assert status == 400
        assert json.loads(told)["error"]["kind"] == "usage"
        status, told = Client(site).ask("POST", "/comity/call", '"' + "x" * (2 << 20) + '"')
        assert (status, b"longer than" in told) == (400, True)
        assert Client(site).call("put", "cup") == (200, {"value": 1})


def test_the_files_of_the_page_and_no_others(node: Node, folder: Path) -> None:
    """What lies beside the folder stays there, however it is asked for."""
    with Site(node, node.create(Shelf), Page(folder)) as site:
        client = Client(site)
        status, text = client.ask("GET", "/", Authorization="")
        assert (status, b"hello" in text) == (200, True)
        assert client.ask("GET", "/comity.js")[0] == 200
        assert client.ask("GET", "/comity.css")[0] == 200
        for path in (
            "/../private.txt",
            "/%2e%2e/private.txt",
            "/..%2fprivate.txt",
            "//etc/hosts",
        ):
            status, text = client.ask("GET", path)
            assert (status, b"private" in text) == (404, False), path
        assert client.ask("GET", "/comity/call")[0] == 404


def test_the_page_is_told_what_changes(node: Node, network: Network, folder: Path) -> None:
    """At once what it is now; then each change, its own and what comes from elsewhere."""
    ref = node.create(Shelf)
    with Site(node, ref, Page(folder, calls=(Shelf.put,))) as site:
        client = Client(site)
        connection = http.client.HTTPConnection(client.address, timeout=20)
        connection.request(
            "GET", "/comity/live", headers={"Authorization": f"Bearer {client.token}"}
        )
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("text/event-stream")

        def told() -> dict[str, Any]:
            line = answer.readline()
            assert line.startswith(b"data: ")
            assert answer.readline() == b"\n"
            found: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
            return found

        first = told()
        assert first["state"] == {"things": {}}
        assert (first["me"], first["role"]) == (node.device.hex(), "admin")
        client.call("put", "cup")
        assert told()["state"] == {"things": {"cup": 1}}
        other = network.node("bob").open(Shelf, ref.invite())
        other.tell(Shelf.put, "pan")
        while (now := told())["state"] != {"things": {"cup": 1, "pan": 1}}:
            pass
        assert len(now["members"]) == 2
    connection.close()


def test_a_page_may_invite_unless_it_may_not(node: Node, folder: Path) -> None:
    """The link comes with its QR code; a wrong role is a sentence."""
    ref = node.create(Shelf)
    with Site(node, ref, Page(folder)) as site:
        status, told = Client(site).post("/comity/invite", {"role": "reader"})
        assert status == 200
        assert told["value"]["link"].startswith("comity:")
        assert told["value"]["qr"].startswith("<svg")
        assert Client(site).post("/comity/invite", {"role": "owner"})[0] == 400
    with Site(node, ref, Page(folder, shares=False)) as site:
        assert Client(site).post("/comity/invite", {})[0] == 400


def test_a_page_looks_back_unless_it_may_not(node: Node, folder: Path) -> None:
    """What was, undone, redone and written back; what is asked wrongly is said."""
    ref = node.create(Shelf)
    with Site(node, ref, Page(folder, calls=(Shelf.put,))) as site:
        client = Client(site)
        for count in (1, 2):
            client.call("put", "cup", count)

        def past(**asked: object) -> Any:
            status, told = client.post("/comity/past", asked)
            return told["value"] if status == 200 else told["error"]["text"]

        first, second = past(do="history", newest=10)
        assert (first["fields"], first["author"]) == (["things"], node.device.hex())
        assert past(do="at", turn=first["turn"]) == {"things": {"cup": 1}}
        assert past(do="undo") == second["turn"]
        assert ref.snapshot() == {"things": {"cup": 1}}
        assert past(do="redo") == second["turn"]
        assert past(do="restore", turn=first["turn"]) == ["things"]
        assert ref.snapshot() == {"things": {"cup": 1}}
        assert "nothing to do with the past" in past(do="forget")
        assert "'turn' is None" in past(do="at")
        assert "is no turn" in past(do="at", turn="zz")
        assert "'newest' is 0" in past(do="history", newest=0)
    with Site(node, ref, Page(folder, past=False)) as site:
        assert Client(site).post("/comity/past", {"do": "history"})[0] == 400


def test_a_page_that_does_not_fit_is_refused_where_it_is_served(
    node: Node, folder: Path, tmp_path: Path
) -> None:
    """A method of another class, no message at all, no file to show."""
    ref = node.create(Shelf)
    for call in (Other.put, Shelf.on_start, len):
        with pytest.raises(UsageError, match="is no message of Shelf"):
            Site(node, ref, Page(folder, calls=(call,)))
    with pytest.raises(UsageError, match=r"no index\.html"):
        Site(node, ref, Page(tmp_path))


def test_a_port_that_is_taken_is_named(node: Node, folder: Path) -> None:
    """It is the environment's fault, and may work later."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(LinkError, match=str(port)) as raised:
            Site(node, node.create(Shelf), Page(folder), port=port)
    assert raised.value.retry


def test_the_token_is_new_each_time_and_in_no_repr(node: Node, folder: Path) -> None:
    """What is logged gives nothing away; closing twice is fine."""
    ref = node.create(Shelf)
    tokens: list[str] = []
    for _ in range(2):
        with Site(node, ref, Page(folder)) as site:
            tokens.append(Client(site).token)
            assert tokens[-1] not in repr(site)
            site.close()
    assert len({*tokens}) == 2
    assert all(len(each) >= 43 for each in tokens)


PAGES = [Page(Path("page"), calls=(Shelf.put,))]


def test_a_module_declares_one_page_for_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found by its calls; two that fit, or one that fits nobody, are an error."""
    assert page_of(Shelf) is None
    monkeypatch.setitem(globals(), "PAGE", PAGES[0])
    assert page_of(Shelf) is PAGES[0]
    with pytest.raises(UsageError, match="not all of them are messages of Other"):
        page_of(Other)
    monkeypatch.setitem(globals(), "MORE", Page(Path("page"), calls=(Shelf.secret,)))
    with pytest.raises(UsageError, match="declares 2 pages"):
        page_of(Shelf)
