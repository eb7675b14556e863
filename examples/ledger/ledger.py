"""Ledger: what a group spends together, who paid, and who owes whom."""

from collections.abc import Mapping
from pathlib import Path

from comity import (
    Actor,
    Between,
    BoundedCounter,
    Flag,
    Map,
    MaxLength,
    OwnKey,
    Page,
    Record,
    Register,
    Set,
    field,
)

PAID, REPAID, FILLED, SPENT = "paid", "repaid", "filled", "spent"
"""What an entry says: somebody paid for some; somebody paid somebody back; somebody put money
into the purse; something was paid from the purse."""

CENTS_MAX = 10_000_000
"""Of one entry: more is a slip of the finger."""


class Entry(Record):
    """One payment. Who made it is in its key; nobody else can write there.

    made: when, by that device's clock. cents: what it cost. among: the devices of those whom
    it was for, in equal shares.
    struck: it was a mistake: it stays to be seen, and does not count.
    """

    made: Register[str]
    what: Register[str]
    kind: Register[str]
    cents: Register[int]
    among: Set[str]
    struck: Flag


class Ledger(Actor):
    """Entries, each its maker's own; a common purse; and what follows from both."""

    title: Register[str] = field(rule=MaxLength(80))
    people: Map[str, str] = field(rule=OwnKey & MaxLength(40))
    entries: Map[str, Entry] = field(rule=OwnKey & MaxLength(200) & Between(1, CENTS_MAX))
    purse: BoundedCounter = field(floor=0)

    def rename(self, title: str) -> None:
        """Give the ledger a name."""
        self.title = title

    def call_me(self, name: str) -> None:
        """Say what the others shall call who uses this device."""
        if not name.strip():
            raise ValueError("a name has letters in it")
        self.people[self.device.hex()] = name.strip()

    def pay(self, what: str, cents: int, among: tuple[str, ...] = ()) -> str:
        """Write down what this device's owner paid; return the entry's key.

        among: for whom, as devices; all who have a name if nobody is named.
        """
        return self._enter(PAID, what, cents, among or tuple(self.people))

    def repay(self, to: str, cents: int) -> str:
        """Write down that this device's owner gave somebody money back."""
        return self._enter(REPAID, "", cents, (to,))

    def fill(self, cents: int) -> str:
        """Put money into the purse; until it is handed on only this device can spend it."""
        key = self._enter(FILLED, "", cents, ())
        self.purse += cents
        return key

    def spend(self, what: str, cents: int, among: tuple[str, ...] = ()) -> str:
        """Pay something from the purse.

        Raises: RightsError if this device may not spend so much: it names who may.
        """
        key = self._enter(SPENT, what, cents, among or tuple(self.people))
        self.purse -= cents
        return key

    def hand_on(self, to: str, cents: int) -> None:
        """Let another device spend what this one may spend from the purse."""
        self.purse.transfer(self._person(to), cents)

    def change(self, key: str, what: str, cents: int) -> None:
        """Correct an entry of one's own; what went through the purse is struck instead."""
        entry = self._mine(key)
        if entry.kind.value in {FILLED, SPENT} and entry.cents.value != cents:
            raise ValueError("money went through the purse: strike the entry, make another")
        self._check(entry.kind.value or "", what, cents)
        entry.what = what.strip()
        entry.cents = cents

    def strike(self, key: str) -> None:
        """Let an entry of one's own count no more; the purse gets back what it gave.

        Raises: RightsError if it was put into the purse and is spent already.
        """
        entry = self._mine(key)
        if entry.kind.value == FILLED:
            self.purse -= entry.cents.value
        elif entry.kind.value == SPENT:
            self.purse += entry.cents.value
        entry.struck.enable()

    def overview(self) -> dict[str, object]:
        """Return what follows from the entries, in cents.

        balances: of each device, what it gets back, or owes if it is negative. repay: a way to
        settle all, as (from, to, cents). purse: what is in it. here: what this device may
        spend of that. unexplained: what is in the purse beyond what entries say; not 0 only
        if somebody uses another program.
        """
        entries = {key: as_line(entry) for key, entry in self.entries.items()}
        owed = balances(entries)
        return {
            "balances": owed,
            "repay": settlements(owed),
            "purse": self.purse.value,
            "here": self.purse.rights,
            "unexplained": self.purse.value - sum(owed.values()),
        }

    def _enter(self, kind: str, what: str, cents: int, among: tuple[str, ...]) -> str:
        me = self.device.hex()
        self._check(kind, what, cents)
        if kind in {PAID, SPENT} and not among:
            raise ValueError("nobody has a name here yet: give yourself one first")
        for each in among:
            self._person(each)
        number = sum(key.startswith(f"{me}/") for key in self.entries)
        key = f"{me}/{number:06}"
        self.entries[key] = Entry(
            made=self.now.isoformat(timespec="milliseconds"),
            what=what.strip(),
            kind=kind,
            cents=cents,
            among=set(among),
            struck=False,
        )
        return key

    def _check(self, kind: str, what: str, cents: int) -> None:
        if not 1 <= cents <= CENTS_MAX:
            raise ValueError(f"{cents} cents: give 1 to {CENTS_MAX} of them")
        if kind in {PAID, SPENT} and not what.strip():
            raise ValueError("say what it was for")

    def _mine(self, key: str) -> Entry:
        if key not in self.entries:
            raise ValueError(f"there is no entry {key!r}")
        if not key.startswith(f"{self.device.hex()}/"):
            raise ValueError("this is somebody else's entry: only who made it can change it")
        entry = self.entries[key]
        if entry.struck:
            raise ValueError("this entry is struck already")
        return entry

    def _person(self, device: str) -> bytes:
        if device not in self.people:
            known = ", ".join(self.people.values()) or "nobody yet"
            raise ValueError(f"{device!r} has no name here; who has: {known}")
        return bytes.fromhex(device)


Line = tuple[str, int, tuple[str, ...], bool]
"""What counts of an entry: its kind, its cents, for whom, and whether it is struck."""


def as_line(entry: Entry) -> Line:
    """Return what counts of an entry."""
    kind, cents = entry.kind.value, entry.cents.value
    return kind or "", cents or 0, tuple(sorted(entry.among)), bool(entry.struck)


def balances(entries: Mapping[str, Line]) -> dict[str, int]:
    """Return what each device gets back. They sum up to what is in the purse.

    Every cent of an entry is counted once for who gave it, and once against those it was for:
    an amount that cannot be shared equally is shared in whole cents, and none is lost.
    """
    owed: dict[str, int] = {}
    for key in sorted(entries):
        kind, cents, among, struck = entries[key]
        if struck or cents <= 0:
            continue
        maker = key.partition("/")[0]
        if kind != SPENT:
            owed[maker] = owed.get(maker, 0) + cents
        if kind == FILLED or not among:
            continue
        share, rest = divmod(cents, len(among))
        for place, each in enumerate(among):
            owed[each] = owed.get(each, 0) - share - (place < rest)
    return owed


def settlements(owed: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """Return who could pay whom so that nobody owes anybody anything."""
    left = {each: cents for each, cents in sorted(owed.items()) if cents}
    found: list[tuple[str, str, int]] = []
    while left and min(left.values()) < 0 < max(left.values()):
        debtor = min(left, key=left.__getitem__)
        creditor = max(left, key=left.__getitem__)
        paid = min(-left[debtor], left[creditor])
        found.append((debtor, creditor, paid))
        left[debtor] += paid
        left[creditor] -= paid
    return found


PAGE = Page(
    Path(__file__).with_name("page"),
    calls=(
        Ledger.rename, Ledger.call_me, Ledger.pay, Ledger.repay, Ledger.fill, Ledger.spend,
        Ledger.hand_on, Ledger.change, Ledger.strike, Ledger.overview,
    ),
    past=False,
)  # fmt: skip
"""What a browser shows. No undo: what went through the purse cannot be undone, but struck."""
