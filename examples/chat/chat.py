"""Chat: a group that talks, on devices that are seldom on at the same time."""

from pathlib import Path

from comity import Actor, Map, MaxLength, OwnKey, Page, Record, Register, field

TEXT_MAX = 4_000


class Said(Record):
    """One message. Who said it is in its key.

    place: one more than the largest that its author had seen: an answer comes after what it
    answers, on every device, whatever clocks say. sent: when, by its author's clock. text: none
    once it is taken back. edited: when it was last, likewise.
    """

    place: Register[int]
    sent: Register[str]
    text: Register[str]
    edited: Register[str]


class Chat(Actor):
    """What was said, who calls himself what, and how far each has read.

    seen: the place of the newest message that a device has shown of another's, under
    `reader/author`. What one device says arrives in its order; of what several say while they
    cannot hear each other, no single number tells what was read.
    """

    title: Register[str] = field(rule=MaxLength(80))
    people: Map[str, str] = field(rule=OwnKey & MaxLength(40))
    messages: Map[str, Said] = field(rule=OwnKey & MaxLength(TEXT_MAX))
    seen: Map[str, int] = field(rule=OwnKey)

    def rename(self, title: str) -> None:
        """Give the group a name."""
        self.title = title

    def call_me(self, name: str) -> None:
        """Say what the others shall call who uses this device."""
        if not name.strip():
            raise ValueError("a name has letters in it")
        self.people[self.device.hex()] = name.strip()

    def say(self, text: str) -> str:
        """Say something; return the message's key."""
        key = f"{self.device.hex()}/{self._next():09}"
        self.messages[key] = Said(
            place=self._next(), sent=self._stamp(), text=self._fit(text), edited=""
        )
        return key

    def edit(self, key: str, text: str) -> None:
        """Say it in other words; only one's own."""
        said = self._mine(key)
        if not said.text.value:
            raise ValueError("it was taken back: say it anew")
        said.text = self._fit(text)
        said.edited = self._stamp()

    def take_back(self, key: str) -> None:
        """Leave nothing of a message of one's own but that there was one."""
        said = self._mine(key)
        said.text = ""
        said.edited = self._stamp()

    def see(self, shown: tuple[tuple[str, int], ...]) -> None:
        """Note how far this device's owner has read; never back.

        shown: of each author, a device, the place of the newest message that was shown.
        """
        me = self.device.hex()
        for author, place in shown:
            reached = min(place, self._newest(author))
            if reached > self.seen.get(f"{me}/{author}", 0):
                self.seen[f"{me}/{author}"] = reached

    def unread(self) -> int:
        """Return how many messages of others were not shown here yet."""
        me = self.device.hex()
        return sum(
            (said.place.value or 0) > self.seen.get(f"{me}/{key[:64]}", 0)
            for key, said in self.messages.items()
            if not key.startswith(me)
        )

    def read(self) -> tuple[str, ...]:
        """Return what was said as lines, in order."""
        ordered = sorted((said.place.value or 0, key) for key, said in self.messages.items())
        return tuple(
            f"{self.people.get(key[:64], key[:8])}: {self.messages[key].text.value}"
            for _, key in ordered
            if self.messages[key].text.value
        )

    def _mine(self, key: str) -> Said:
        if key not in self.messages:
            raise ValueError(f"there is no message {key!r}")
        if not key.startswith(self.device.hex()):
            raise ValueError("somebody else said this: only who did can change it")
        return self.messages[key]

    def _newest(self, author: str) -> int:
        return max(
            (
                said.place.value or 0
                for key, said in self.messages.items()
                if key.partition("/")[0] == author
            ),
            default=0,
        )

    def _last(self) -> int:
        return max((said.place.value or 0 for said in self.messages.values()), default=0)

    def _next(self) -> int:
        return self._last() + 1

    def _stamp(self) -> str:
        return self.now.isoformat(timespec="seconds")

    def _fit(self, text: str) -> str:
        if not text.strip():
            raise ValueError("say something")
        if len(text) > TEXT_MAX:
            raise ValueError(f"{len(text)} characters are too many for one message: {TEXT_MAX}")
        return text.strip()


PAGE = Page(
    Path(__file__).with_name("page"),
    calls=(Chat.rename, Chat.call_me, Chat.say, Chat.edit, Chat.take_back, Chat.see),
    past=False,
)
"""What a browser shows. No look back: what was taken back should stay so for who just looks."""
