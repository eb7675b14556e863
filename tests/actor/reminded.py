"""An actor that is reminded of things, for tests."""

from datetime import UTC, datetime, timedelta

from comity import Actor, List, Register, Reminders, Tick


class Garden(Actor):
    """It is watered every five minutes, once each, by one device."""

    reminders: Reminders
    watered: List[str]
    note: Register[str]

    def on_create(self) -> None:
        """Plan the watering."""
        self.remind("water", self.water, every=timedelta(minutes=5))

    def water(self, tick: Tick) -> None:
        """Water, and write down when it was due, and how many were missed."""
        self.watered.append(f"{tick.due.isoformat()} missed {tick.missed}")

    def plan(self, name: str, seconds: float) -> None:
        """Do something once."""
        self.remind(name, self.done, at=self.now + timedelta(seconds=seconds))

    def done(self, tick: Tick) -> None:
        """It is done."""
        self.watered.append(tick.name)

    def plan_failure(self) -> None:
        """Do what cannot be done, again and again."""
        self.remind("fail", self.fail, every=timedelta(seconds=10))

    def fail(self) -> None:
        """Write, and raise."""
        self.watered.append("half")
        raise ValueError("no water")

    def stop_it(self, name: str) -> bool:
        """Forget a reminder."""
        return self.forget(name)

    def run_on(self, device: bytes) -> None:
        """Let another device do it."""
        self.reminders.runner = device

    def misuse(self, what: str) -> None:
        """Set a reminder in a wrong way."""
        match what:
            case "no time":
                self.remind("x", self.fail)
            case "naive":
                self.remind("x", self.fail, at=datetime(2030, 1, 1))  # noqa: DTZ001
            case "short":
                self.remind("x", self.fail, every=timedelta(milliseconds=5))
            case _:
                self.remind("x", datetime.now(UTC).isoformat, every=timedelta(days=1))


class Forgetful(Actor):
    """It has no field for reminders."""

    note: Register[str]

    def plan(self) -> None:
        """Set one all the same."""
        self.remind("x", self.plan, every=timedelta(days=1))
