"""Figures: what the threads of a node count while they work, for whoever watches it.

Owns: the counters and how they are read. May not know: Prometheus, names of metrics.
Each counter is written by one thread only and read by any, without a lock: a reader may see
one of them a moment before another.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Figures", "HostTally", "LinkTally"]


@dataclass(slots=True)
class HostTally:
    """Counted by the host's thread since its start. seconds: of the monotonic clock."""

    events: int = 0
    steps: int = 0
    step_seconds: float = 0.0
    turns: int = 0
    writes: int = 0
    rows: int = 0
    write_seconds: float = 0.0


@dataclass(slots=True)
class LinkTally:
    """Counted by the links of a node since its start; bytes: of frames, without gRPC's own."""

    frames_sent: int = 0
    bytes_sent: int = 0
    frames_received: int = 0
    bytes_received: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """What a node has counted, at one moment.

    events_waiting: in the queue of its thread now. store_bytes: on the disk now. dead_letters:
    since the start.
    """

    host: HostTally
    links: LinkTally
    events_waiting: int
    store_bytes: int
    dead_letters: int
