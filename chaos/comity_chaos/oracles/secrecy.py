"""Secrecy: plaintext leaves no device, only members hold keys, no key meets a nonce twice.

Owns: `Secrecy`, `Readers`, `Nonces`. May not know: how anything is sealed. The words that work
is done with (`workload.CANARIES`) occur nowhere else; they must not be found, plain or in a
common encoding, in any frame, on any relay's disk, or in what a node tells its owner.
Source: ARCHITECTURE invariant 5; CHAOS 'Oracles', Confidentiality.
"""

from __future__ import annotations

import base64

from comity.base.errors import Rejected
from comity.log.sealed import EPOCH_PREFIX_BYTES, parse
from comity.node import rows
from comity.node.effects import Table
from comity_chaos.history import History
from comity_chaos.oracles.durability import commits_on_disk
from comity_chaos.oracles.oracle import Violation
from comity_chaos.scene import Part, Scene
from comity_chaos.workload import CANARIES

__all__ = ["Nonces", "Readers", "Secrecy"]

_RELAY_BYTES_MAX = 1 << 26


def _needles() -> tuple[bytes, ...]:
    """Return what to look for: the words, in hexadecimal, and in base64 at any offset."""
    found: list[bytes] = []
    for word in CANARIES:
        plain = word.encode()
        found += (plain, plain.hex().encode(), plain.decode().encode("utf-16-le"))
        for rest in (
            plain,
            plain[1:],
            plain[2:],
        ):  # the whole digits only: the next byte counts
            found.append(base64.b64encode(rest)[: len(rest) * 4 // 3])
    return tuple(found)


_NEEDLES = _needles()


class Secrecy:
    """No canary leaves a device."""

    __slots__ = ("_history", "_scene", "_told", "judged")

    name = "confidentiality"

    def __init__(self, scene: Scene, history: History) -> None:
        """Start without having looked at anything."""
        self.judged = 0
        self._scene = scene
        self._history = history
        self._told = 0

    def sample(self) -> None:
        """Search what has left the nodes since the last look."""
        frames, self._history.frames = self._history.frames, []
        self.judged += len(frames)
        self._search(b"\n".join(frames), "a frame")
        told = self._history.reports[self._told :]
        self._told = len(self._history.reports)
        text = "\n".join(
            f"{report.what} {report.detail} {report.refusal or ''}"
            for _, report in told
            if report.what != "handler failed"  # stays with the owner; says what his code said
        )
        self._search(text.encode(), "what a node told its owner")

    def conclude(self) -> None:
        """Search the disks of relays as well."""
        self.sample()
        for node in self._scene.world.nodes:
            if node.local.relay:
                self.judged += 1
                self._search(node.disk.bytes_of_everything(), "the disk of a relay")

    def _search(self, found: bytes, where: str) -> None:
        for needle in _NEEDLES:
            if needle in found:
                raise Violation(self.name, f"plaintext ({needle!r}) is in {where}")


class Readers:
    """Who was removed holds no key of what was sealed after that by who knew."""

    __slots__ = ("_scene", "judged")

    name = "readers"

    def __init__(self, scene: Scene) -> None:
        """Start without having judged anything."""
        self.judged = 0
        self._scene = scene

    def sample(self) -> None:
        """Only the end is judged."""

    def conclude(self) -> None:
        """Compare the keys of removed members with the epochs of later commits."""
        removed = [part for part in self._scene.parts if part.node.index in self._scene.removed]
        member = next((part for part in self._scene.members() if part.replica), None)
        if member is None:
            return
        for part in removed:
            self._judge(member, part)

    def _judge(self, member: Part, removed: Part) -> None:
        device = next(
            device
            for device, index in self._scene.devices.items()
            if index == removed.node.index
        )
        replica = member.replica
        assert replica is not None
        journal = replica.journal
        assert journal.authority is not None
        if journal.authority.role_of(device) is not None:
            return
        struck = journal.authority.removals()
        held = [
            rows.split_epoch_key(key)[1][:EPOCH_PREFIX_BYTES]
            for key, _ in removed.node.disk.table(Table.EPOCH)
        ]
        for number, each in commits_on_disk(member).items():
            commit = number - 1
            after = [r for r in struck if journal.graph.is_before(r, commit)]
            sealed = parse(each.sealed)
            if len(after) < len(struck) or isinstance(sealed, Rejected) or sealed.is_epoch:
                continue
            self.judged += 1
            if sealed.epoch in held:
                raise Violation(
                    self.name,
                    f"node {removed.node.index} was removed and holds the key of a commit that "
                    f"{self._scene.known_as(journal.graph.author_of(commit))} made after that",
                )


class Nonces:
    """No two commits are sealed with one key and one nonce."""

    __slots__ = ("_scene", "judged")

    name = "nonces"

    def __init__(self, scene: Scene) -> None:
        """Start without having judged anything."""
        self.judged = 0
        self._scene = scene

    def sample(self) -> None:
        """Only the end is judged: the disk holds every commit."""

    def conclude(self) -> None:
        """Compare the nonces of all commits that a trusted node holds, under each key."""
        for part in self._scene.members():
            seen: dict[tuple[bytes, bytes], bytes] = {}
            for commit in commits_on_disk(part).values():
                sealed = parse(commit.sealed)
                if isinstance(sealed, Rejected):
                    continue
                self.judged += 1
                name = sealed.epoch, sealed.nonce
                if seen.setdefault(name, sealed.cipher) != sealed.cipher:
                    raise Violation(
                        self.name,
                        f"two commits on the disk of node {part.node.index} are sealed with "
                        f"one key and one nonce, {sealed.nonce.hex()}",
                    )
