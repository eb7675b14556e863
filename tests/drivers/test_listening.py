"""The port of the last time: kept where any would have done, by host, over restarts."""

from __future__ import annotations

from comity.drivers.listening import LastPorts
from comity.drivers.memory_store import MemoryStore


def test_a_free_port_is_the_same_the_next_time() -> None:
    """And each host has its own."""
    store = MemoryStore()
    ports = LastPorts(store)
    assert ports.recall("127.0.0.1:0") == "127.0.0.1:0"
    ports.note("127.0.0.1:0", "127.0.0.1:4711")
    ports.note("[::]:0", "[::]:4712")
    assert LastPorts(store).recall("127.0.0.1:0") == "127.0.0.1:4711"
    assert LastPorts(store).recall("[::]:0") == "[::]:4712"
    ports.note("127.0.0.1:0", "127.0.0.1:4713")
    assert ports.recall("127.0.0.1:0") == "127.0.0.1:4713"


def test_a_port_that_was_asked_for_is_neither_kept_nor_replaced() -> None:
    """Who names a port gets that one."""
    ports = LastPorts(MemoryStore())
    ports.note("127.0.0.1:7400", "127.0.0.1:7400")
    assert ports.recall("127.0.0.1:0") == "127.0.0.1:0"
    ports.note("127.0.0.1:0", "127.0.0.1:4711")
    assert ports.recall("127.0.0.1:7400") == "127.0.0.1:7400"
