"""Whereabouts: where the members of this node's actors are, as members say.

Owns: the addresses of devices, and this node's own. May not know: links, beyond that one is
kept to each address; who may read what.
Source: PROTOCOL section 10 'peer records'.
"""

from __future__ import annotations

from collections.abc import Callable

from comity.base.ids import DeviceId
from comity.node.dialer import Purpose
from comity.node.effects import Table
from comity.node.links import Links
from comity.node.step import Rows, Step

__all__ = ["Known", "Whereabouts"]

Known = Callable[[DeviceId], bool]
"""Tells whether a device may be told of, or believed."""


class Whereabouts:
    """Where devices are."""

    __slots__ = ("_addresses", "_device", "_links", "here")

    def __init__(self, device: DeviceId, links: Links) -> None:
        """Know nobody. here: where this node takes connections; empty if it takes none."""
        self.here = ""
        self._device = device
        self._links = links
        self._addresses: dict[DeviceId, str] = {}

    def recover(self, found: Rows, step: Step) -> None:
        """Call whom this node knew when it stopped."""
        for key, value in found:
            self._addresses[DeviceId(key)] = value.decode()
            self._links.keep(value.decode(), DeviceId(key), Purpose.PEER, step)

    def learn(self, device: DeviceId, address: str, step: Step) -> None:
        """Remember where a device is, and call it."""
        if device == self._device or self._addresses.get(device) == address:
            return
        self._addresses[device] = address
        step.put(Table.PEER, device, address.encode())
        self._links.keep(address, device, Purpose.PEER, step)

    def hear(
        self, peer: DeviceId, said: tuple[tuple[DeviceId, str], ...], shares: Known, step: Step
    ) -> None:
        """Remember where members are, as a peer says.

        A peer's word for itself counts over others'; strangers are not listened to.
        """
        if not shares(peer):
            return
        for device, address in said:
            if shares(device) and (device == peer or device not in self._addresses):
                self.learn(device, address, step)

    def welcome(self, said: tuple[tuple[DeviceId, str], ...], step: Step) -> None:
        """Remember where members are, as a host says to a newcomer: what is known stays."""
        for device, address in said:
            if device not in self._addresses:
                self.learn(device, address, step)

    def of(self, trusts: Known) -> tuple[tuple[DeviceId, str], ...]:
        """Return where the devices are that may be told of, this one first."""
        found = [(self._device, self.here)] if self.here else []
        found += [pair for pair in self._addresses.items() if trusts(pair[0])]
        return tuple(found)
