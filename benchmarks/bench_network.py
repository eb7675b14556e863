"""What a message to another process costs: ours beside grpc.aio, in one run, on loopback.

Owns: the figures. Two processes, 100-byte messages. Ours are authenticated, on the disk of both
sides when they are counted, and effective once; the others promise none of it. Quote ratios.
Peers that are not installed are skipped aloud. Run as `python benchmarks/bench_network.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Any, Final

from comity import Actor, Counter, Node

TELLS: Final = 60_000
FIELD_TELLS: Final = 20_000
ASKS: Final = 300
REPEATS: Final = 3
BODY: Final = b"x" * 100
_GRPC: Final[Any] = importlib.import_module("grpc")  # its types ask for generated code
_AIO: Final[Any] = importlib.import_module("grpc.aio")
_METHOD: Final = "/bench/Unary"
_STREAM: Final = "/bench/Stream"


class Sink(Actor):
    """Takes messages: into an attribute, or into a replicated field."""

    total: Counter

    def on_start(self) -> None:
        """Start from nothing."""
        self.seen = 0

    def take(self, body: bytes) -> None:
        """Count in an attribute."""
        self.seen += len(body)

    def count(self, body: bytes) -> None:
        """Count in a replicated field."""
        self.total += len(body)

    def read(self) -> int:
        """Return what was counted without a field."""
        return self.seen

    def echo(self, body: bytes) -> bytes:
        """Return what came."""
        return body


def main() -> None:
    """Measure and print all of it."""
    logging.disable(logging.WARNING)
    unary, stream, unary_ask = asyncio.run(_grpc())
    print(f"{'':44}{'tell/s':>10}{'x unary':>9}{'ask p50 us':>12}{'x unary':>9}")
    _row("grpc.aio unary", unary, unary, unary_ask, unary_ask)
    _row("grpc.aio stream, 1 a frame", stream, unary, None, unary_ask)
    with (
        tempfile.TemporaryDirectory() as path,
        _served("comity", path) as link,
        Node(Path(path) / "here", insecure_store=True, listen=None) as node,
    ):
        far = node.ref(Sink, link)
        far.ask(Sink.read).get(timeout=30)
        asks: list[float] = []
        for _ in range(ASKS):
            started = time.perf_counter()
            far.ask(Sink.echo, BODY).get(timeout=30)
            asks.append(time.perf_counter() - started)
        ask = statistics.median(asks) * 1e6
        plain = _rate(TELLS, lambda: far.tell(Sink.take, BODY), lambda: _done(far))
        field = _rate(FIELD_TELLS, lambda: far.tell(Sink.count, BODY), lambda: _done(far))
    _row("comity: durable, once; plain handler", plain, unary, ask, unary_ask)
    _row("comity: durable, once; replicated field", field, unary, None, unary_ask)
    for name in ("xoscar", "ray", "nats", "thespian"):
        if importlib.util.find_spec(name) is None:
            print(f"{name}: SKIPPED, not installed")
        else:
            print(f"{name}: SKIPPED, installed but not measured by this file")


def _done(far: Any) -> None:  # noqa: ANN401
    far.ask(Sink.read).get(timeout=120)


def _row(name: str, tells: float, unary: float, ask: float | None, unary_ask: float) -> None:
    asked = "" if ask is None else f"{ask:12.0f}{ask / unary_ask:9.2f}"
    print(f"{name:44}{tells:10,.0f}{tells / unary:9.2f}{asked}")


def _rate(count: int, tell: Callable[[], object], done: Callable[[], object]) -> float:
    """Return messages a second, from the first tell until all have taken effect."""
    rates: list[float] = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        for _ in range(count):
            tell()
        done()
        rates.append(count / (time.perf_counter() - started))
    return statistics.median(rates)


@contextlib.contextmanager
def _served(what: str, path: str) -> Generator[str]:
    """Run the other side in a process of its own; yields what it says first."""
    command = [sys.executable, __file__, what, path]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _serve_comity(path: str) -> None:
    logging.disable(logging.WARNING)
    with Node(Path(path) / "there", insecure_store=True) as node:
        print(node.create(Sink).link(), flush=True)
        sys.stdin.read()


async def _serve_grpc() -> None:
    async def unary(request: bytes, _: object) -> bytes:
        return request[:0]

    async def stream(requests: AsyncIterator[bytes], _: object) -> AsyncIterator[bytes]:
        async for _ in requests:
            pass
        yield b""

    server = _AIO.server()
    handlers = {
        "Unary": _GRPC.unary_unary_rpc_method_handler(unary),
        "Stream": _GRPC.stream_stream_rpc_method_handler(stream),
    }
    server.add_generic_rpc_handlers((_GRPC.method_handlers_generic_handler("bench", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def _grpc() -> tuple[float, float, float]:
    """Return unary calls a second, messages of a stream a second, p50 of a call in us."""
    with _served("grpc", "") as address:
        async with _AIO.insecure_channel(address) as channel:
            call = channel.unary_unary(_METHOD)
            await call(BODY)
            asks: list[float] = []
            for _ in range(ASKS):
                started = time.perf_counter()
                await call(BODY)
                asks.append(time.perf_counter() - started)
            rates: list[float] = []
            streams: list[float] = []
            for _ in range(REPEATS):
                started = time.perf_counter()
                for _ in range(40):
                    await asyncio.gather(*(call(BODY) for _ in range(100)))
                rates.append(4000 / (time.perf_counter() - started))
                started = time.perf_counter()
                streaming = channel.stream_stream(_STREAM)()
                for _ in range(10_000):
                    await streaming.write(BODY)
                await streaming.done_writing()
                await streaming.read()
                streams.append(10_000 / (time.perf_counter() - started))
    return (
        statistics.median(rates),
        statistics.median(streams),
        statistics.median(asks) * 1e6,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["comity"]:
        _serve_comity(sys.argv[2])
    elif sys.argv[1:2] == ["grpc"]:
        asyncio.run(_serve_grpc())
    else:
        main()
