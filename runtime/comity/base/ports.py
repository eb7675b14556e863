"""Ports: what the core needs from the outside, as protocols.

Owns: the shapes. May not know: any implementation. The drivers implement them for real
machines, the fault lab for simulated ones, and wrappers of them inject faults.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Entropy"]


class Entropy(Protocol):
    """A source of secret random bytes."""

    def draw(self, count: int) -> bytes:
        """Return `count` fresh bytes, unpredictable to everybody else."""
        ...
