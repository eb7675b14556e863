"""Metrics: every one is in the reference with its type, tells what happened, and no secret."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from comity import Actor, Counter, LinkError, Node
from comity.api.metrics import Metrics

REFERENCE = "docs/reference/metrics.md"
DASHBOARD = "docs/reference/grafana-dashboard.json"


class Tally(Actor):
    """Counts."""

    count: Counter

    def more(self) -> None:
        """Count one."""
        self.count.add(1)


def scrape(metrics: Metrics) -> str:
    """Read it as Prometheus does."""
    with urlopen(metrics.url, timeout=10) as answer:  # noqa: S310  (http, our own)
        return str(answer.read().decode())


def families(text: str) -> dict[str, Metric]:
    """Parse the text format."""
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(text: str, name: str, **labels: str) -> float:
    """Return one sample."""
    found = [
        sample.value
        for family in families(text).values()
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    assert len(found) == 1, (name, found)
    return found[0]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    """Return a node."""
    with Node(tmp_path / "node", insecure_store=True) as found:
        yield found


def test_the_reference_names_every_metric(node: Node, project: Path) -> None:
    """Each has a row, with its type; each row is served; so is all that the dashboard asks."""
    node.create(Tally)
    with Metrics(node) as metrics:
        served = {
            family.name + ("_total" if family.type == "counter" else ""): family.type
            for family in families(scrape(metrics)).values()
        }
    page = (project / REFERENCE).read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(comity_\w+)` \| (\w+) \|", page, re.MULTILINE))
    assert rows == served
    asked = set(re.findall(r"comity_\w+", (project / DASHBOARD).read_text(encoding="utf-8")))
    assert asked <= set(served)
    assert json.loads((project / DASHBOARD).read_text(encoding="utf-8"))["panels"]
    rules = page.split("## What to be alarmed by")[1]
    assert set(re.findall(r"comity_\w+", rules)) <= set(served)


def test_names_keep_the_conventions(node: Node) -> None:
    """Counters end in `_total`, times are seconds, sizes bytes; each has a help text."""
    with Metrics(node) as metrics:
        text = scrape(metrics)
    for name, family in families(text).items():
        assert name.startswith("comity_")
        assert family.documentation.endswith(".")
        assert not re.search(r"_(ms|millis|kb|mb|count)$", name)
        assert family.type in {"counter", "gauge"}


def test_promtool_has_no_objection(node: Node) -> None:
    """Prometheus' own check of names and texts, where it is installed."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("PROMTOOL IS NOT INSTALLED: names of metrics are NOT checked by it")
    with Metrics(node) as metrics:
        text = scrape(metrics)
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_work_shows(node: Node) -> None:
    """Turns, writes, commits and events go up with the work, and time with them."""
    ref = node.create(Tally)
    with Metrics(node) as metrics:
        before = scrape(metrics)
        for _ in range(20):
            ref.ask(Tally.more).get(timeout=5)
        after = scrape(metrics)
        node.put_to_sleep(ref.topic)
        asleep = scrape(metrics)
    gained = value(after, "comity_turns_total") - value(before, "comity_turns_total")
    assert gained == 20
    for name in ("store_writes", "store_rows", "store_write_seconds", "step_seconds", "events"):
        counter = f"comity_{name}_total"
        assert value(after, counter) > value(before, counter), counter
    actor = ref.topic.hex()[:8]
    assert value(after, "comity_actor_open", actor=actor) == 1
    assert value(asleep, "comity_actor_open", actor=actor) == 0
    assert value(asleep, "comity_actor_commits", actor=actor, type="Tally") >= 2
    assert value(after, "comity_up") == 1
    assert value(after, "comity_store_bytes") > 0


def test_links_show(node: Node, tmp_path: Path) -> None:
    """A session is counted on both sides, with its bytes."""
    ref = node.create(Tally)
    with Metrics(node) as metrics:
        with Node(tmp_path / "other", insecure_store=True) as other, Metrics(other) as theirs:
            other.open(Tally, ref.invite())
            for text in (scrape(metrics), scrape(theirs)):
                assert value(text, "comity_links", state="open") == 1
                assert value(text, "comity_link_bytes_total", direction="sent") > 300
                assert value(text, "comity_link_frames_total", direction="received") >= 2
        assert value(scrape(metrics), "comity_linked_total") >= 1


def test_a_relay_shows_what_it_keeps(tmp_path: Path) -> None:
    """Topics, commits and bytes, without saying whose."""
    with Node(tmp_path / "relay", insecure_store=True, relay=True) as relay:
        assert relay.address is not None
        with (
            Metrics(relay) as metrics,
            Node(tmp_path / "n", insecure_store=True, relays=[relay.address]) as member,
        ):
            ref = member.create(Tally)
            member._wait_until(lambda: bool(relay.status().shelves), 20)
            relay._wait_until(lambda: relay.status().shelves[0][1] > 0, 20)
            text = scrape(metrics)
            assert value(text, "comity_relay_topics") == 1
            assert value(text, "comity_relay_commits") >= 1
            assert value(text, "comity_relay_bytes") > 100
            assert value(text, "comity_node_info", kind="relay") == 1
            assert ref.topic.hex() not in text
            with Metrics(member) as theirs:
                used = scrape(theirs)
            assert value(used, "comity_used_relay_linked", relay=relay.address) == 1
            assert value(used, "comity_used_relay_alarm", relay=relay.address) == 0


def test_a_node_that_is_closed_is_down(tmp_path: Path) -> None:
    """The scrape answers, and says so."""
    node = Node(tmp_path / "node", insecure_store=True)
    with Metrics(node) as metrics:
        node.close()
        assert value(scrape(metrics), "comity_up") == 0


def test_a_port_that_is_taken(node: Node) -> None:
    """Two cannot serve at one port; it is a fault of the world, and ports end at 65535."""
    with Metrics(node) as metrics:
        with pytest.raises(LinkError, match="metrics cannot be served"):
            Metrics(node, port=metrics.port)
        with pytest.raises(LinkError, match="metrics cannot be served"):
            Metrics(node, port=70_000)
