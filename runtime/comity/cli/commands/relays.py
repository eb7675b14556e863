"""`relays`: which relays a node uses.

Owns: the arguments and what is printed. May not know: whether a node runs (`cli.reach`).
"""

from __future__ import annotations

import click

from comity.cli.options import Access, access_options, json_option

__all__ = ["relays"]


@click.command(short_help="List the relays of a node, add one, or forget one.")
@click.argument("action", type=click.Choice(["list", "add", "forget"]), default="list")
@click.argument("address", required=False, metavar="[HOST:PORT]")
@access_options
@json_option
def relays(*, access: Access, action: str, address: str | None, as_json: bool) -> None:
    """List the relays that a node uses, and whether they keep what they are given.

    With `add HOST:PORT` one more is used from now on, with `forget HOST:PORT` one less. What a
    relay keeps stays there.
    """
    from comity.base.errors import UsageError
    from comity.cli.reach import reach
    from comity.cli.show import print_json, relay_lines

    if (action == "list") != (address is None):
        raise UsageError(
            "give an address with 'add' and 'forget', and with nothing else: "
            "comity relays add HOST:PORT"
        )
    request = {"do": "relays"} if address is None else {"do": "relays", action: address}
    with reach(access, looks=action == "list") as ask:
        found = ask(request)
    if as_json:
        print_json(found)
        return
    for line in relay_lines(found["relays"]) or ["no relays: comity relays add HOST:PORT"]:
        click.echo(line)
