"""The gate lets in the owner's own browser, and nobody else whatever they say."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from comity.web.gate import Gate

TOKEN = "a-token-of-this-test"
HOST = (b"host", b"127.0.0.1:8000")
BEARER = (b"authorization", f"Bearer {TOKEN}".encode())


def _gate(app: Any = None) -> Gate:
    return Gate(app, token=TOKEN, port=8000)


def _status(path: str, *headers: tuple[bytes, bytes]) -> int | None:
    refusal = _gate().refuse(path, list(headers))
    return None if refusal is None else refusal[0]


def test_the_page_itself_needs_no_token_and_all_that_acts_does() -> None:
    """A browser loads the files before it can say a token; they hold nothing secret."""
    assert _status("/", HOST) is None
    assert _status("/app.js", HOST) is None
    assert _status("/comity/live", HOST) == 401
    assert _status("/comity/live", HOST, BEARER) is None


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"Bearer ",
        b"Bearer a-token-of-this-tes",
        TOKEN.encode(),
        b"bearer " + TOKEN.encode(),
    ],
)
def test_a_wrong_token_is_refused(said: bytes) -> None:
    """Nothing but the whole of it counts; two of them do not either."""
    assert _status("/comity/call", HOST, (b"authorization", said)) == 401
    assert _status("/comity/call", HOST, BEARER, BEARER) == 401


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        (b"evil.example:8000",),
        (b"127.0.0.1",),
        (b"127.0.0.1:8001",),
        (b"127.0.0.1.evil.example:8000",),
        (b"127.0.0.1:8000", b"evil.example:8000"),
    ],
)
def test_a_foreign_name_that_leads_here_is_refused(hosts: tuple[bytes, ...]) -> None:
    """DNS rebinding: the browser is sent here under the attacker's name, and says it."""
    headers = [(b"host", each) for each in hosts]
    assert _status("/", *headers, BEARER) == 421


@pytest.mark.parametrize(
    "header",
    [
        (b"origin", b"http://evil.example"),
        (b"origin", b"null"),
        (b"origin", b"http://127.0.0.1:9000"),
        (b"origin", b"https://127.0.0.1:8000"),
        (b"origin", b"http://localhost:8000"),
        (b"sec-fetch-site", b"cross-site"),
        (b"sec-fetch-site", b"same-site"),
        (b"sec-fetch-site", b"none"),
    ],
)
def test_what_another_site_asks_is_refused(header: tuple[bytes, bytes]) -> None:
    """Also with the token, and also another port of this machine."""
    assert _status("/comity/call", HOST, BEARER, header) == 403


def test_the_own_page_may_ask() -> None:
    """As browsers say it, under either name of loopback."""
    for name in (b"127.0.0.1:8000", b"localhost:8000"):
        own = [
            (b"host", name),
            (b"origin", b"http://" + name),
            (b"sec-fetch-site", b"same-origin"),
        ]
        assert _status("/comity/call", *own, BEARER) is None


def _answer(path: str, headers: list[tuple[bytes, bytes]]) -> tuple[list[Any], int]:
    calls = 0

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        nonlocal calls
        calls += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"secret"})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("the gate reads no body")

    scope = {"type": "http", "path": path, "headers": headers}
    asyncio.run(_gate(app)(scope, receive, send))
    return sent, calls


def test_a_refused_request_never_reaches_the_app() -> None:
    """It gets the reason, and the same headers."""
    sent, calls = _answer("/comity/call", [HOST])
    assert calls == 0
    assert sent[0]["status"] == 401
    assert b"token" in sent[1]["body"]
    assert b"secret" not in sent[1]["body"]


def test_every_answer_forbids_scripts_from_elsewhere_and_frames() -> None:
    """A page of an app cannot load code that nobody looked at, nor be put into another."""
    for host in (HOST, (b"host", b"evil.example")):
        sent, _ = _answer("/", [host])
        told = dict(sent[0]["headers"])
        assert b"default-src 'self'" in told[b"content-security-policy"]
        assert b"frame-ancestors 'none'" in told[b"content-security-policy"]
        assert b"unsafe" not in told[b"content-security-policy"]
        assert told[b"cache-control"] == b"no-store"
        assert told[b"referrer-policy"] == b"no-referrer"


def test_what_is_not_http_is_not_answered() -> None:
    """A websocket would not go through the checks, so there is none."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("the gate asks for nothing")

    asyncio.run(_gate()({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert sent == []
