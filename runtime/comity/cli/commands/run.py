"""`run`, `join`, `relay`: bringing a node to life, and messages to its actor.

Owns: which actor is hosted and how it came here (created, joined, found). May not know: how
values are parsed or shown.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from comity.cli.options import Access, access_options, actor_option, json_option

if TYPE_CHECKING:
    from comity.actor.actor import Actor
    from comity.api.node import Node
    from comity.api.ref import Ref

__all__ = ["join", "relay", "run"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which actor to open, and how to come by it."""

    target: str
    actor_class: type[Actor]
    link: str | None
    actor: str | None
    create: bool
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """Where the app's page is to be, None for nowhere, and whether it is opened.

    metrics: the port of those, None for nowhere.
    """

    port: int | None
    opens: bool
    metrics: int | None = None


_AT = click.option(
    "--at", metavar="HOST:PORT", help="Where the inviter is: for words and codes."
)


_METRICS = click.option(
    "--metrics", metavar="PORT", type=click.IntRange(0, 65535),
    help="Serve metrics for Prometheus at 127.0.0.1; 0 is a free port.",
)  # fmt: skip


@click.command(
    context_settings={"ignore_unknown_options": True},
    short_help="Host an actor until Ctrl-C, or send it one message.",
)
@click.argument("target")
@click.argument("method", required=False)
@click.argument("words", nargs=-1, metavar="[ARGS]...")
@click.option(
    "--listen", metavar="HOST:PORT", default="127.0.0.1:0", show_default=True,
    help="Where to take connections; port 0 is a free one.",
)  # fmt: skip
@click.option("--advertise", metavar="HOST:PORT", help="Where others reach that, if elsewhere.")
@click.option(
    "--relay", "relays", metavar="HOST:PORT", multiple=True,
    help="A relay that keeps the actor available while this node is away; again for more.",
)  # fmt: skip
@click.option("--join", "link", metavar="LINK", help="An invite to somebody else's actor.")
@_AT
@click.option("--create", is_flag=True, help="Create another actor, though there is one.")
@click.option(
    "--page-port", metavar="PORT", type=click.IntRange(0, 65535), default=0, show_default=True,
    help="Where the app's page is, at 127.0.0.1; 0 is a free port.",
)  # fmt: skip
@click.option("--no-page", is_flag=True, help="Serve no page.")
@click.option("--open", "opens", is_flag=True, help="Open the page in the browser.")
@_METRICS
@click.option("--until-eof", is_flag=True, hidden=True)
@actor_option
@access_options
@json_option
def run(  # noqa: PLR0913  (one for each option)
    *,
    access: Access,
    target: str,
    method: str | None,
    words: tuple[str, ...],
    listen: str,
    advertise: str | None,
    relays: tuple[str, ...],
    link: str | None,
    at: str | None,
    create: bool,
    page_port: int,
    no_page: bool,
    opens: bool,
    metrics: int | None,
    until_eof: bool,
    actor: str | None,
    as_json: bool,
) -> None:
    """Host the actor of TARGET until Ctrl-C, or send it one message.

    TARGET is a Python file with an actor class, a folder of one, or PATH:Class. On first use
    the actor is created, or joined with --join. With METHOD the message is sent to the node
    that runs on the store, or done here and now if none runs; online or not.
    """
    if method is not None and method.startswith("-"):
        raise click.NoSuchOption(method)
    from comity.api.joining import read_invite
    from comity.cli.target import load_actor

    wanted = Wanted(target, load_actor(target), link, actor, create, at)
    if link is not None:
        read_invite(link, at)  # before anybody is asked for a passphrase
    if method is not None:
        _send(access, wanted, method, words, relays=relays, as_json=as_json)
    else:
        address = listen if advertise is None else (listen, advertise)
        shown = Shown(None if no_page else page_port, opens=opens, metrics=metrics)
        _host(access, wanted, address, relays, shown=shown, until_eof=until_eof)


@click.command(short_help="Take part in somebody's actor, by an invite.")
@click.argument("link")
@click.argument("target")
@_AT
@access_options
@json_option
def join(*, access: Access, link: str, target: str, at: str | None, as_json: bool) -> None:
    """Take part in somebody's actor by the LINK of an invite; TARGET is its class.

    LINK is what `comity invite` printed: a link, twelve words in quotes, or a code. The
    inviter must be running. Afterwards `comity run TARGET` hosts it here.
    """
    from comity.api.joining import read_invite
    from comity.cli.progress import await_history, history_bar
    from comity.cli.reach import open_node, running, unmade_if_refused
    from comity.cli.show import print_json, quoted
    from comity.cli.target import load_actor

    read_invite(link, at)
    wanted = Wanted(target, load_actor(target), link, None, create=False, at=at)
    ask = running(access.store)
    if ask is not None:
        topic = ask({"do": "join", "link": link, "at": at})["actor"]
        if as_json:
            print_json({"actor": topic})
            return
        click.echo(f"joined actor {topic[:8]}: the node that runs on {access.store} syncs it")
        return
    with unmade_if_refused(access), open_node(access, listen=None) as node:
        with history_bar(node):
            ref, how = _open(node, wanted)
            to_go = await_history(node, ref.topic)
        if as_json:
            print_json({"actor": ref.topic.hex()})
            return
        click.echo(f"{how} {ref.actor_type.name} {ref.topic.hex()[:8]}")
        if to_go:
            later = f"{to_go} commits are still to come: they do when it is hosted"
            click.echo(later, err=True)
    click.echo(f"host it with:  comity run {quoted(target)} --store {quoted(access.store)}")


@click.command(short_help="Keep sealed changes for devices that are offline.")
@click.option(
    "--listen", metavar="HOST:PORT", default="0.0.0.0:7400", show_default=True,
    help="Where to take connections: a relay is there for everybody.",
)  # fmt: skip
@click.option("--advertise", metavar="HOST:PORT", help="Where others reach that, if elsewhere.")
@_METRICS
@click.option("--until-eof", is_flag=True, hidden=True)
@access_options
def relay(
    *,
    access: Access,
    listen: str,
    advertise: str | None,
    metrics: int | None,
    until_eof: bool,
) -> None:
    """Keep sealed changes for devices that are offline. A relay can read none of them."""
    from comity.cli.hosting import heed_stops, serve
    from comity.cli.reach import open_node

    where = listen if advertise is None else (listen, advertise)
    with open_node(access, listen=where, relay=True) as node:
        stopped = heed_stops(node)
        click.echo(f"relay at {node.address}, device {node.device.hex()}")
        at = advertise or str(node.address)
        if at.rpartition(":")[0] in {"0.0.0.0", "[::]"}:  # noqa: S104  (compared, not bound)
            at = f"THIS-HOST:{at.rpartition(':')[2]}"
        click.echo(f"use it with:  comity run TARGET --relay {at}")
        click.echo("what it keeps is sealed: it knows sizes and times, never a word")
        with _measured(node, metrics):
            serve(node, stopped, until_eof=until_eof)


def _send(
    access: Access,
    wanted: Wanted,
    method: str,
    words: tuple[str, ...],
    *,
    relays: tuple[str, ...],
    as_json: bool,
) -> None:
    """Send one message and print the reply."""
    from comity.actor.actor_type import ActorType
    from comity.api.control import Control
    from comity.api.text import message_from_words
    from comity.base.errors import UsageError
    from comity.cli.hand_over import HandOver
    from comity.cli.reach import open_node, running
    from comity.cli.show import as_lines, print_json

    actor_type = ActorType.of(wanted.actor_class)
    message_from_words(actor_type, method, words)  # before a store is made for nothing
    request: dict[str, Any] = {"do": "message", "type": actor_type.name}
    request |= {"method": method, "words": list(words)}
    ask = running(access.store)
    if ask is not None:
        if wanted.link or wanted.create or relays:
            raise UsageError(
                f"a node runs on {access.store} already: --join, --create and --relay are for "
                "the start of a node; stop it first (comity stop)"
            )
        if wanted.actor is not None:
            request["actor"] = wanted.actor
        value = ask(request)["value"]
    else:
        with open_node(access, listen=None, relays=relays) as node:
            ref, how = _open(node, wanted)
            if how != "opened":
                click.echo(f"{how} {actor_type.name} {ref.topic.hex()[:8]}", err=True)
            request["actor"] = ref.topic.hex()
            hand_over = HandOver(node, ref)
            value = Control(node).handle(request)["value"]
            if not hand_over.done():
                click.echo(
                    "kept here; nobody else has it yet: `comity run` without a message hands "
                    "it over when somebody can be reached",
                    err=True,
                )
    if as_json:
        print_json(value)
    else:
        for line in as_lines(value):
            click.echo(line)


def _host(
    access: Access,
    wanted: Wanted,
    listen: str | tuple[str, str],
    relays: tuple[str, ...],
    *,
    shown: Shown,
    until_eof: bool,
) -> None:
    """Host the actor, and serve its page, until the node is stopped."""
    from comity.cli.hosting import heed_stops, serve
    from comity.cli.pages import page_of_app
    from comity.cli.progress import history_bar
    from comity.cli.reach import open_node, unmade_if_refused

    with ExitStack() as stack:
        if wanted.link is not None:
            stack.enter_context(unmade_if_refused(access))
        node = stack.enter_context(open_node(access, listen=listen, relays=relays))
        stopped = heed_stops(node)
        with history_bar(node) if wanted.link is not None else nullcontext():
            ref, how = _open(node, wanted)
        with page_of_app(node, ref, port=shown.port) as site:
            _introduce(node, ref, how, wanted.target, None if site is None else site.url)
            if site is not None and shown.opens:
                click.launch(site.url)
            with _measured(node, shown.metrics):
                serve(node, stopped, until_eof=until_eof)


@contextmanager
def _measured(node: Node, port: int | None) -> Generator[None]:
    """Serve metrics if they are asked for, and say where."""
    if port is None:
        yield
        return
    from comity.api.metrics import Metrics

    with Metrics(node, port=port) as metrics:
        click.echo(f"  {click.style('metrics   ', dim=True)}{metrics.url}")
        yield


def _open(node: Node, wanted: Wanted) -> tuple[Ref[Actor], str]:
    """Open the actor that is wanted; say whether it was created, joined or found."""
    from comity.actor.actor_type import ActorType

    if wanted.link is not None:
        topic = node.join(wanted.link, at=wanted.at)
        ref = node.open(wanted.actor_class, topic)
        caught_up = any(member.device == node.device for member in ref.members())
        return ref, "joined" if caught_up else "joined (history still coming)"
    name = ActorType.of(wanted.actor_class).name
    held = any(topic.actor_type == name for topic in node.status().topics)
    if wanted.create or not (held or wanted.actor):
        return node.create(wanted.actor_class), "created"
    return node.open(wanted.actor_class, wanted.actor), "opened"


def _reachable(known_as: str, listening: str | None) -> list[tuple[str, str]]:
    """Say where others reach this node, and what to do if they cannot."""
    rows = [("address", known_as or "takes no connections")]
    if listening not in {known_as, None}:
        rows.append(("", f"listening at {listening}"))
    host = known_as.rpartition(":")[0].strip("[]")
    if host in {"127.0.0.1", "::1", "localhost"} and listening == known_as:
        rows.append(("", "for this machine only; for others: --listen 0.0.0.0:7401"))
        rows.append(("", "                                   --advertise THIS-HOST:7401"))
    elif host in {"0.0.0.0", "::"}:  # noqa: S104  (it is compared, not bound)
        rows.append(("", "nobody can dial that: add --advertise THIS-HOST:PORT"))
    return rows


def _introduce(node: Node, ref: Ref[Actor], how: str, target: str, page: str | None) -> None:
    """Print what somebody needs to know who sees this for the first time."""
    from comity.api.text import signatures
    from comity.cli.show import quoted
    from comity.log.entries import Role

    store = f"--store {quoted(node.path)}"
    status, members = node.status(), ref.members()
    messages = signatures(ref.actor_type)
    first = next(iter(sorted(ref.actor_type.methods)), "METHOD")
    app = quoted(Path(target))
    rows = [
        *(
            [("page", page), ("", "yours alone: whoever has this address acts as you")]
            if page
            else ()
        ),
        ("actor", ref.topic.hex()),
        ("device", status.device.hex()),
        *_reachable(status.address, node.address),
        *(
            [
                ("invite", f"comity invite writer {store}"),
                ("", f"comity run {app} --store ... --join LINK    (on the other device)"),
            ]
            if any(each.device == status.device and each.role is Role.ADMIN for each in members)
            else [("invite", "only an admin of it can let others in")]
        ),
        ("send", f"comity run {app} {store} {first} ..."),
        ("look", f"comity status {store}"),
        *(("" if place else "messages", each) for place, each in enumerate(messages)),
    ]
    click.echo(click.style(f"{how} {ref.actor_type.name}", bold=True))
    for name, value in rows:
        click.echo(f"  {click.style(f'{name:<10}', dim=True)}{value}")
    click.echo(click.style("Ctrl-C stops it; everything acknowledged is kept.", dim=True))
