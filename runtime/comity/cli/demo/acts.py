"""The acts of the demonstration: what is done on the stage, and what is claimed of it.

Owns: the actions. May not know: how a process is run, a wire cut or a claim printed.
Source: issue 2, item 5.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from comity.base.errors import WorldError
from comity.base.ids import DeviceId, short
from comity.cli.demo import evidence
from comity.cli.demo.attack import Mallory
from comity.cli.demo.story import (
    ACTS,
    ANA,
    APART,
    APP_NAME,
    BEN,
    CANARIES,
    CLEO,
    DEVICES,
    MALLORY,
    ONLINE,
    RELAY,
    RELAYED,
    TITLE,
    TITLE_APART,
    Edit,
)

if TYPE_CHECKING:
    from comity.cli.demo.claims import Claims
    from comity.cli.demo.household import Household, Place

__all__ = [
    "Stage",
    "attack",
    "crash",
    "cut",
    "edit",
    "heal",
    "relay",
    "search_all",
    "set_up",
    "share",
]

_SYNC_SECONDS: Final = 15.0
"""Connected devices agree by then on a slow machine; usually within a tenth of a second."""

_DIAL_SECONDS: Final = 20.0
"""As above, with the longest wait between two dials after a cut of this length."""

_WRITERS: Final = 4
_BURST: Final = 60
"""Acknowledged writes before the kill: the disk is then in the middle of something."""

_PREFACE: Final = b"PRI * HTTP/2.0"
"""How every connection of gRPC begins: a recording without it did not record."""


@dataclass(slots=True)
class Stage:
    """What all acts share."""

    claims: Claims
    household: Household
    passphrase: str = field(repr=False)
    acknowledged: list[str] = field(default_factory=list)

    def places(self, names: Iterable[str] = DEVICES) -> tuple[Place, ...]:
        """Return places by name."""
        return tuple(self.household[name] for name in names)

    def write(self, edits: Iterable[Edit]) -> None:
        """Have everybody write what the story says."""
        for each in edits:
            self.household[each.who].send("add", each.what, each.who)

    def agree(self, claim: str, names: tuple[str, ...], seconds: float = _SYNC_SECONDS) -> None:
        """Check that these devices come to the same state and the same log."""

        def same() -> bool:
            found = [place.snapshot() for place in self.places(names)]
            return len({(each["digest"], tuple(each["heads"])) for each in found}) == 1

        self.claims.await_(claim, same, seconds=seconds, seen=lambda: self.views(names))

    def views(self, names: tuple[str, ...]) -> str:
        """Say what each of these devices sees."""
        return "; ".join(
            f"{place.name}: {place.snapshot()['digest'][:8]} {len(place.items())} items"
            for place in self.places(names)
        )


def set_up(stage: Stage) -> None:
    """Start the relay and the first device."""
    claims, household = stage.claims, stage.household
    claims.act(ACTS["set up"])
    keeper = household.add_relay(RELAY)
    ana = household.add_device(ANA, keeper)
    keeper.launch()
    ana.launch()
    keeper.await_ready()
    ana.await_ready()
    for place in (keeper, ana):
        claims.say(f"{place.name}: process {place.pid}, known to others as {place.address}")
    status = ana.ask("status")
    claims.check("Ana's device holds a list that nobody else knows", len(status["topics"]) == 1)


def share(stage: Stage) -> None:
    """Invite the other two."""
    claims, household = stage.claims, stage.household
    claims.act(ACTS["share"])
    ana = household[ANA]
    ana.send("rename", TITLE)
    for name in (BEN, CLEO):
        link = ana.ask("invite", role="writer", hours=1)["link"]
        claims.say(f"invite for {name}: {link[:22]}… ({len(link)} characters, works once)")
        household.add_device(name, household[RELAY]).launch("--join", link)
    for place in stage.places((BEN, CLEO)):
        place.await_ready()
    claims.await_(
        "three devices take part, each known by its own key",
        lambda: all(len(p.ask("members")["members"]) == len(DEVICES) for p in stage.places()),
        seconds=_SYNC_SECONDS,
        seen=lambda: [len(p.ask("members")["members"]) for p in stage.places()],
    )
    titles = [place.snapshot()["state"]["title"] for place in stage.places()]
    claims.check("the newcomers read what was written before", titles == [TITLE] * 3, titles)


def edit(stage: Stage) -> None:
    """Write on all devices."""
    stage.claims.act(ACTS["edit"])
    stage.write(ONLINE)
    stage.agree("all three see all of it", DEVICES)
    stage.claims.show(_listed(stage.household[CLEO].items()))


def cut(stage: Stage) -> None:
    """Isolate Ben; write on both sides."""
    claims, household = stage.claims, stage.household
    claims.act(ACTS["cut"])
    household.wires.isolate(BEN)
    claims.await_(
        "Ben's device has nobody to talk to",
        lambda: not household[BEN].ask("status")["links"],
        seconds=_SYNC_SECONDS,
        seen=lambda: household[BEN].ask("status")["links"],
    )
    stage.write(APART)
    household[BEN].send("rename", TITLE_APART)
    stage.agree("Ana and Cleo go on as before", (ANA, CLEO))
    his, theirs = household[BEN].items(), household[ANA].items()
    claims.check(
        "Ben goes on too: he has what he wrote, and they have what they wrote",
        _only(his, theirs) == _written(BEN) and _only(theirs, his) == _written(ANA, CLEO),
        f"{_only(his, theirs)} and {_only(theirs, his)}",
    )
    claims.show((f"only Ben:  {', '.join(_only(his, theirs))}",))
    claims.show((f"only they: {', '.join(_only(theirs, his))}",))


def crash(stage: Stage) -> None:
    """Kill Cleo's device while it writes; look at what its disk kept."""
    claims, household = stage.claims, stage.household
    claims.act(ACTS["crash"])
    cleo = household[CLEO]
    burst = _Burst(cleo)
    burst.until(_BURST)
    code = cleo.kill()
    acknowledged, failed = burst.end()
    claims.say(f"kill -9 after {len(acknowledged)} acknowledged writes, {failed} on their way")
    claims.check("the process died by the signal, in mid-write", code == -9 and failed > 0)
    stage.acknowledged += acknowledged
    household.wires.isolate(CLEO)
    cleo.start()
    found = cleo.snapshot()
    items, added = found["state"]["items"], found["state"]["added"]
    lost = [what for what in acknowledged if what not in items]
    claims.check(
        f"none of the {len(acknowledged)} acknowledged writes is missing", not lost, lost
    )
    claims.check(
        f"no half write: {len(items)} items, and the counter of the same turns says {added}",
        len(items) == added,
    )
    household.wires.restore(CLEO)
    stage.agree("back on the network, she and Ana agree", (ANA, CLEO), _DIAL_SECONDS)


def relay(stage: Stage) -> None:
    """Have the relay hand over what Ana wrote."""
    claims = stage.claims
    claims.act(ACTS["relay"])
    ana, cleo, keeper = stage.places((ANA, CLEO, RELAY))
    claims.check("Cleo's device goes offline", cleo.stop() == 0, cleo.tail())
    stage.write((RELAYED,))
    claims.await_(
        "the relay has all that Ana has",
        lambda: _shelved(keeper) == ana.snapshot()["commits"],
        seconds=_SYNC_SECONDS,
        seen=lambda: f"{_shelved(keeper)} of {ana.snapshot()['commits']}",
    )
    claims.check("Ana's device goes offline", ana.stop() == 0, ana.tail())
    cleo.start()
    claims.await_(
        "Cleo has it, and only the relay was there to tell her",
        lambda: RELAYED.what in cleo.items(),
        seconds=_SYNC_SECONDS,
        seen=cleo.items,
    )
    peers = [link["device"] for link in cleo.ask("status")["links"] if link["device"]]
    device = keeper.ask("status")["device"]
    claims.check("her only link is to the relay", peers == [device], peers)


def heal(stage: Stage) -> None:
    """Bring everybody back and compare."""
    claims, household = stage.claims, stage.household
    claims.act(ACTS["heal"])
    household.wires.restore(BEN)
    household[ANA].start()
    stage.agree("all three hold the same state, to the byte, and the same log", DEVICES, 30.0)
    for place in stage.places():
        found = place.snapshot()
        heads = " ".join(head[:8] for head in found["heads"])
        state = f"state {found['digest'][:12]} ({found['bytes']} bytes)"
        log = f"log {heads} ({found['commits']} commits)"
        claims.show((f"{place.name:<5} {state}, {log}",))
    items = household[BEN].items()
    wanted = {each.what for each in (*ONLINE, *APART, RELAYED)} | set(stage.acknowledged)
    lost = sorted(wanted - items.keys())
    claims.check(f"none of the {len(wanted)} things that anybody wrote is lost", not lost, lost)
    title = household[ANA].snapshot()["state"]["title"]
    claims.check("the title is the one that Ben gave while he was away", title == TITLE_APART)


def search_all(stage: Stage) -> None:
    """Look for plaintext in everything that left a device."""
    claims, household = stage.claims, stage.household
    claims.act(ACTS["search"])
    recordings = [each for each in household.wires.recordings() if each.size]
    traffic = {
        f"connection {number}, {each.source} to {each.place}, {direction}": bytes(data)
        for number, each in enumerate(recordings, start=1)
        for direction, data in (("there", each.there), ("back", each.back))
    }
    total = sum(each.size for each in recordings)
    claims.say(f"{total} bytes on {len(recordings)} connections: {_busiest(traffic)}")
    known = json.dumps(household[ANA].snapshot(), ensure_ascii=False).encode()
    words = (*CANARIES, APP_NAME)
    plain = {line.rpartition(" as ")[0] for line in evidence.search(words, {"Ana": known})}
    missing = [each for each in words if each != TITLE and repr(each) not in plain]
    claims.check("the search finds the words where they must be, in Ana's list", not missing)
    largest = max(traffic.values(), key=len)
    planted = sum(len(evidence.forms(each)) for each in words)
    found = evidence.self_test(words, largest)
    claims.check(f"and {found} of {planted} disguises planted in traffic", found == planted)
    begun = sum(data.startswith(_PREFACE) for data in traffic.values())
    whole = begun == len(recordings) > 0
    claims.check("the recording is whole: every connection begins as gRPC does", whole, begun)
    hits = evidence.search(words, traffic)
    claims.check(f"not one of {len(words)} words is on the wires", not hits, hits)
    files = evidence.files_of(household[RELAY].store)
    size = sum(map(len, files.values()))
    topic = bytes.fromhex(household[ANA].snapshot()["actor"])
    claims.check(
        f"the relay keeps {_shelved(household[RELAY])} commits of the list, {size} bytes",
        any(topic in data for data in files.values()),
    )
    hits = evidence.search(words, files)
    claims.check("not one of the words is in the relay's files", not hits, hits)
    disks = {
        name: data
        for place in stage.places()
        for name, data in evidence.files_of(place.store).items()
    }
    hits = evidence.search(words, disks)
    claims.check("nor in any file of the devices: they are sealed at rest too", not hits, hits)


def attack(stage: Stage) -> None:
    """Let Mallory in as a reader, have her cheat, and throw her out."""
    claims, household = stage.claims, stage.household
    claims.act(ACTS["attack"])
    ana = household[ANA]
    link = ana.ask("invite", role="reader", hours=1)["link"]
    place = household.add_device(MALLORY, household[RELAY])
    place.start("--join", link)
    stage.agree("Mallory reads the list", (*DEVICES, MALLORY), _DIAL_SECONDS)
    before = ana.snapshot()
    place.stop()
    mallory = Mallory(place.store, stage.passphrase)
    victim = DeviceId(bytes.fromhex(ana.ask("status")["device"]))
    household.wires.register(os.getpid(), MALLORY)
    attacks = mallory.attacks(victim)
    refused = mallory.hand_over(attacks, ana.address, victim)
    claims.check(
        "Ana's device refuses all three, and says so", refused == len(attacks), refused
    )
    for each, wanted in zip(attacks, _REASONS, strict=True):
        why = _why(ana, each.id.hex())
        claims.check(f"{each.name}: refused with its reason", wanted in why, why)
        claims.show((f"$ comity why {short(each.id)}", why))
    after = ana.snapshot()
    same = [(f["digest"], f["heads"]) for f in (before, after)]
    claims.check("nothing has changed by it", same[0] == same[1], same)
    ana.ask("remove", device=mallory.device.hex())
    claims.await_(
        "Mallory is removed, the key is changed, and all three agree again",
        lambda: _members_of(stage) == [len(DEVICES)] * 3 and _agreed(stage),
        seconds=_DIAL_SECONDS,
        seen=lambda: f"{_members_of(stage)}; {stage.views(DEVICES)}",
    )


_REASONS: Final = (
    "does not open with the key",
    "signature is not its author's",
    "role does not permit",
)


class _Burst:
    """Several writers at once on one device, each remembering what was acknowledged."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._acknowledged: list[str] = []
        self._failed = 0
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._write, args=(number,), daemon=True)
            for number in range(_WRITERS)
        ]
        for thread in self._threads:
            thread.start()

    def until(self, count: int) -> None:
        """Wait until so many writes are acknowledged, or every writer has failed."""
        with self._changed:
            self._changed.wait_for(
                lambda: len(self._acknowledged) >= count or self._failed == _WRITERS, 30.0
            )

    def end(self) -> tuple[list[str], int]:
        """Return what was acknowledged, and how many writes got no answer."""
        for thread in self._threads:
            thread.join()
        return self._acknowledged, self._failed

    def _write(self, writer: int) -> None:
        number = 0
        while True:
            what = f"candle {writer}-{number}"
            try:
                self._place.send("add", what, CLEO)
            except WorldError:
                with self._changed:
                    self._failed += 1
                    self._changed.notify()
                return
            with self._changed:
                self._acknowledged.append(what)
                self._changed.notify()
            number += 1


def _listed(items: Mapping[str, str]) -> list[str]:
    return [f"{what} ({who})" for what, who in sorted(items.items())]


def _only(these: Mapping[str, str], those: Mapping[str, str]) -> list[str]:
    return sorted(these.keys() - those.keys())


def _written(*names: str) -> list[str]:
    return sorted(each.what for each in APART if each.who in names)


def _shelved(keeper: Place) -> int:
    return sum(int(shelf["commits"]) for shelf in keeper.ask("status")["shelves"])


def _busiest(traffic: Mapping[str, bytes]) -> str:
    place, data = max(traffic.items(), key=lambda pair: len(pair[1]))
    return f"the most, {len(data)}, from {place}"


def _why(place: Place, commit: str) -> str:
    found: Any = place.ask("why", commit=commit)["why"]
    return str(found)


def _members_of(stage: Stage) -> list[int]:
    return [len(place.ask("members")["members"]) for place in stage.places()]


def _agreed(stage: Stage) -> bool:
    found = [place.snapshot() for place in stage.places()]
    return len({(each["digest"], tuple(each["heads"])) for each in found}) == 1
