"""Syncing: which topics are synced over which links, and the bytes for it.

Owns: the sync machines of all links, by topic, and the way from their words to rows, records
and replicas. May not know: how one topic is brought into step (`protocol.sync`), who counts
(`Desk.trusts`).

    a link opens   -> each side announces its topics (tags), a relay is told their names
    a tag matches, and the peer is trusted with the topic -> both sides start a machine
    an announcement of a tag that runs already -> the machine starts over

A topic that becomes known, or a peer that becomes a member, later is announced then.
Source: PROTOCOL sections 5, 6, 8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from comity.base.errors import Reason, Rejected
from comity.base.ids import CommitId, LinkId, Topic
from comity.base.limits import ANNOUNCE_TAGS_MAX, COMMITS_RECORD_BYTES_MAX
from comity.node import rows
from comity.node.dialer import Purpose
from comity.node.effects import Table
from comity.node.links import Link, Links
from comity.node.replica import Source
from comity.node.step import Rows, Step
from comity.wire.records import Announce, Commit, Commits, Record, Subscribe

if TYPE_CHECKING:
    from comity.node.desk import Desk
