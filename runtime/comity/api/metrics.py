"""Metrics of a node, as Prometheus reads them, on loopback only.

Owns: the names, types and labels of metrics, and the port that serves them. May not know: what
any of the figures means to the node; it reads `Node.status`, `Node.figures` and reports.

    made: the port is taken -> a scrape asks the node, once -> `close`

Names follow Prometheus' conventions: a prefix, base units, `_total` for counters. Labels have
few values: reasons, directions, states, and the actors that this node holds. Nothing in here
tells a key, a field or who wrote what; device ids are public. Whoever may connect to loopback
may read it, so it stays off until it is asked for.
Source: docs/reference/metrics.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final, Self, final

from prometheus_client import start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from comity.base.errors import ComityError, LinkError
from comity.base.ids import short

if TYPE_CHECKING:
    from types import TracebackType

    from comity.api.node import Node
    from comity.drivers.figures import Figures
    from comity.node.commands import NodeStatus
    from comity.node.effects import Report

__all__ = ["Metrics"]

_LOOPBACK: Final = "127.0.0.1"

_EVENTS: Final = {
    "accepted": "Commits that were accepted.",
    "censored": "Alarms about relays that withhold something.",
    "code tried": "Tries at short codes of this node.",
    "delayed": "Commits that were put off because their author writes fast.",
    "delivered": "Commits of this node that somebody else has on disk.",
    "fork": "Devices that were seen to write two histories.",
    "left": "Messages that a relay took for a device which is off.",
    "left out": "Commits that were passed over because their author writes fast.",
    "linked": "Sessions that were opened.",
    "synced": "Comparisons with a peer that ended in equal sets.",
    "told": "Refusals by others of what this node sent.",
    "unlinked": "Sessions that ended.",
}
"""Reports that are counted, by their word; the metric is `comity_<word>_total`."""


@final
class Metrics:
    """Serves the metrics of one node at `url`. A context manager.

    port: 0 for a free one. Raises: LinkError if the port is taken.
    """

    __slots__ = ("_collector", "_server", "_thread", "port")

    def __init__(self, node: Node, *, port: int = 0) -> None:
        """Take the port and serve."""
        registry = CollectorRegistry(auto_describe=False)
        self._collector = _NodeCollector(node)
        registry.register(self._collector)
        try:
            self._server, self._thread = start_http_server(port, _LOOPBACK, registry)
        except (OSError, OverflowError) as error:
            raise LinkError(
                f"metrics cannot be served at {_LOOPBACK}:{port}: {error}", retry=True
            ) from error
        node.on_report(self._collector.count)
        self.port = int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """What Prometheus scrapes."""
        return f"http://{_LOOPBACK}:{self.port}/metrics"

    def close(self) -> None:
        """Stop serving; safe to repeat."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        """Return the metrics themselves."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close them."""
        self.close()


@final
class _NodeCollector(Collector):
    """Asks a node at each scrape."""

    def __init__(self, node: Node) -> None:
        """Count from now on."""
        self._node = node
        self._counts = dict.fromkeys(_EVENTS, 0)

    def count(self, report: Report) -> None:
        """Count a report; called in the node's thread."""
        if report.what in self._counts:
            self._counts[report.what] += 1

    def collect(self) -> Iterable[Metric]:
        """Return all metrics; of a node that stopped, that it did."""
        try:
            status, figures = self._node.status(), self._node.figures()
        except ComityError:
            yield _gauge("up", "Whether the node runs.", 0)
            return
        yield _gauge("up", "Whether the node runs.", 1)
        yield _info(status)
        yield from self._events()
        yield from _links(status, figures)
        yield from _actors(status)
        yield from _relays(status)
        yield from _mail(status)
        yield from _shelves(status)
        yield from _work(figures)

    def _events(self) -> Iterable[Metric]:
        for what, text in _EVENTS.items():
            yield _counter(what.replace(" ", "_"), text, self._counts[what])


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"comity_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"comity_{name}", text, value=value)


def _info(status: NodeStatus) -> Metric:
    try:
        release = version("comity")
    except PackageNotFoundError:
        release = "unknown"
    kind = "relay" if status.relay else "device"
    labels = {"device": short(status.device), "kind": kind, "version": release}
    found = GaugeMetricFamily("comity_node_info", "Who this is; always 1.", labels=list(labels))
    found.add_metric(list(labels.values()), 1)
    return found


def _links(status: NodeStatus, figures: Figures) -> Iterable[Metric]:
    links = GaugeMetricFamily("comity_links", "Links that stand now.", labels=["state"])
    opened = sum(peer is not None for peer, _ in status.links)
    links.add_metric(["open"], opened)
    links.add_metric(["handshake"], len(status.links) - opened)
    yield links
    tally = figures.links
    for name, text, received, sent in (
        ("frames", "Frames of links.", tally.frames_received, tally.frames_sent),
        ("bytes", "Bytes in frames of links.", tally.bytes_received, tally.bytes_sent),
    ):
        found = CounterMetricFamily(f"comity_link_{name}", text, labels=["direction"])
        found.add_metric(["received"], received)
        found.add_metric(["sent"], sent)
        yield found
    refusals = CounterMetricFamily(
        "comity_refusals", "Commits and joins that were refused here.", labels=["reason"]
    )
    for reason, count in status.refusals:
        refusals.add_metric([reason], count)
    yield refusals


def _actors(status: NodeStatus) -> Iterable[Metric]:
    for name, text in (
        ("commits", "Accepted commits of an actor."),
        ("hidden_commits", "Of those, hidden by a removal."),
        ("orphan_commits", "Commits that wait for parents or keys."),
        ("heads", "Newest commits of an actor, one where nothing is concurrent."),
        ("open", "Whether the actor is open here."),
    ):
        found = GaugeMetricFamily(f"comity_actor_{name}", text, labels=["actor", "type"])
        for topic in status.topics:
            value = {
                "commits": topic.commits,
                "hidden_commits": topic.hidden,
                "orphan_commits": topic.orphans,
                "heads": len(topic.heads),
                "open": int(topic.active),
            }[name]
            found.add_metric([short(topic.topic), topic.actor_type], value)
        yield found


def _relays(status: NodeStatus) -> Iterable[Metric]:
    for name, text in (
        ("used_relay_linked", "Whether a relay that this node uses is linked."),
        ("used_relay_lacking", "Commits that it lacked at the last comparison."),
        ("used_relay_alarm", "Whether it withholds something without a reason."),
    ):
        found = GaugeMetricFamily(f"comity_{name}", text, labels=["relay"])
        for each in status.relays:
            value = {
                "used_relay_linked": int(each.device is not None),
                "used_relay_lacking": each.lacking,
                "used_relay_alarm": int(bool(each.alarm)),
            }[name]
            found.add_metric([each.address], value)
        yield found


def _mail(status: NodeStatus) -> Iterable[Metric]:
    waiting = sum(each.count for each in status.letters)
    yield _gauge("letters_waiting", "Messages that other devices have not taken.", waiting)
    mail = status.mail
    yield _gauge("relay_mailboxes", "Mailboxes of this relay.", mail.mailboxes)
    yield _gauge("relay_mails", "Sealed messages that lie in them.", mail.mails)
    yield _gauge("relay_mail_bytes", "Bytes of those.", mail.bytes)


def _shelves(status: NodeStatus) -> Iterable[Metric]:
    yield _gauge("relay_topics", "Topics that this relay keeps.", len(status.shelves))
    commits = sum(count for _, count, _ in status.shelves)
    yield _gauge("relay_commits", "Sealed commits that this relay keeps.", commits)
    size = sum(each for _, _, each in status.shelves)
    yield _gauge("relay_bytes", "Bytes of sealed commits that this relay keeps.", size)


def _work(figures: Figures) -> Iterable[Metric]:
    host = figures.host
    yield _counter("turns", "Messages whose turn has ended.", host.turns)
    yield _counter("events", "Events that the node's thread took.", host.events)
    yield _counter("steps", "Batches in which it took them.", host.steps)
    yield _counter("step_seconds", "Time that those took.", host.step_seconds)
    yield _gauge("events_waiting", "Events that wait for it now.", figures.events_waiting)
    yield _counter("store_writes", "Transactions of the store.", host.writes)
    yield _counter("store_rows", "Rows that those set or deleted.", host.rows)
    yield _counter("store_write_seconds", "Time until they were durable.", host.write_seconds)
    yield _gauge("store_bytes", "Bytes of the store on disk.", figures.store_bytes)
    text = "Messages that were taken and never handled."
    yield _counter("dead_letters", text, figures.dead_letters)
