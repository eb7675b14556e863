"""Marks: they grow, shrink, overlap and come back with the text that they are on."""

from __future__ import annotations

import pytest

from comity.base.errors import UsageError
from comity.crdt.text.document import Document
from comity.crdt.text.marks import Mark, Span
from tests.crdt.text.histories import BOLD, COMMENT, LINK, Device, History

Short = list[tuple[int, int, dict[str, tuple[str, ...]]]]


def device(history: History | None = None, text: str = "the quick fox") -> Device:
    """Return a device with a text."""
    made = Device(History() if history is None else history)
    made.write(b"0", lambda document: document.insert(0, text))
    return made


def marked(of: Device, tie: bytes, start: int, stop: int, mark: Mark) -> int:
    """Run a turn that marks a stretch."""
    return of.write(tie, lambda document: document.mark(start, stop, mark, clears=False))


def typed(of: Device, tie: bytes, position: int, text: str) -> int:
    """Run a turn that types."""
    return of.write(tie, lambda document: document.insert(position, text))


def short(document: Document) -> Short:
    """Return the spans without their class."""
    return [(each.start, each.stop, dict(each.marks)) for each in document.spans()]


def meet(*devices: Device) -> None:
    """Give all devices all turns, and see that they agree."""
    for each in devices:
        for other in devices:
            each.deliver(list(other.arrived))
    for each in devices:
        assert each.flat() == each.marked()
        assert each.document.encode_state() == devices[0].document.encode_state()


def test_bold_grows_and_a_link_does_not() -> None:
    """What is typed at the end of bold is bold, of a link not; nor what is typed in front."""
    for mark, before, after in ((BOLD, 0, 1), (LINK, 0, 0)):
        one = device()
        marked(one, b"1", 4, 9, mark)
        assert short(one.document) == [(4, 9, {mark.name: ("",)})]
        typed(one, b"2", 9, "!")
        assert short(one.document) == [(4, 9 + after, {mark.name: ("",)})]
        typed(one, b"3", 4, "?")
        assert short(one.document) == [(5 - before, 10 + after, {mark.name: ("",)})]
        typed(one, b"4", 7, "-")
        assert short(one.document) == [(5, 11 + after, {mark.name: ("",)})]
        assert str(one.document) == "the ?qu-ick! fox"
        assert one.flat() == one.marked()


def test_bold_that_ends_with_a_link_grows_alone() -> None:
    """Where both end, what is typed is bold and not of the link, whichever came first."""
    for first, second in ((BOLD, LINK), (LINK, BOLD)):
        one = device()
        marked(one, b"1", 4, 9, first)
        marked(one, b"2", 0, 9, second)
        typed(one, b"3", 9, "er")
        spans = short(one.document)
        assert spans[-1] == (9, 11, {"bold": ("",)})
        assert all(("link" in names) == (stop <= 9) for _, stop, names in spans if stop > 4)


def test_concurrent_bold_joins() -> None:
    """Two overlapping stretches made bold at the same time are one bold stretch."""
    history = History()
    a = device(history)
    b = Device(history)
    b.deliver(a.arrived)
    marked(a, b"1", 0, 9, BOLD)
    marked(b, b"2", 4, 13, BOLD)
    meet(a, b)
    assert short(a.document) == [(0, 13, {"bold": ("",)})]


def test_of_concurrent_links_one_counts_and_comments_overlap() -> None:
    """Different links on one word: the same one wins on all devices; comments all stay."""
    history = History()
    a = device(history)
    b = Device(history)
    b.deliver(a.arrived)
    marked(a, b"1", 0, 9, Mark("link", "a", grows=False))
    marked(a, b"3", 0, 9, Mark("comment", "1", grows=False, overlaps=True))
    marked(b, b"2", 4, 13, Mark("link", "b", grows=False))
    marked(b, b"4", 4, 13, Mark("comment", "2", grows=False, overlaps=True))
    meet(a, b)
    assert short(a.document) == [
        (0, 4, {"comment": ("1",), "link": ("a",)}),
        (4, 9, {"comment": ("1", "2"), "link": ("b",)}),
        (9, 13, {"comment": ("2",), "link": ("b",)}),
    ]


def test_clearing_takes_away_what_it_saw() -> None:
    """The later turn counts; a comment is cleared by its value, the others stay."""
    one = device()
    marked(one, b"1", 0, 13, BOLD)
    one.write(b"2", lambda document: document.mark(4, 9, BOLD, clears=True))
    assert short(one.document) == [(0, 4, {"bold": ("",)}), (9, 13, {"bold": ("",)})]
    marked(one, b"3", 6, 7, BOLD)
    assert (6, 7, {"bold": ("",)}) in short(one.document)
    again = device()
    for value in ("1", "2"):
        marked(again, b"4" + value.encode(), 0, 3, Mark("comment", value, overlaps=True))
    gone = Mark("comment", "1", overlaps=True)
    again.write(b"5", lambda document: document.mark(0, 3, gone, clears=True))
    assert short(again.document) == [(0, 3, {"comment": ("2",)})]


def test_a_mark_is_undone_and_comes_back() -> None:
    """Undo takes a mark away and redo brings it back, with what was typed at it meanwhile."""
    one = device()
    bold = marked(one, b"1", 4, 9, BOLD)
    one.undo(b"2", bold)
    assert short(one.document) == []
    typed(one, b"3", 6, "__")
    one.undo(b"4", bold)
    assert short(one.document) == [(4, 11, {"bold": ("",)})]
    assert str(one.document) == "the qu__ick fox"
    one.document.check()


def test_marks_move_with_their_text() -> None:
    """Edits before, in and over a marked stretch; deletions step over its ends."""
    history = History()
    a = device(history)
    b = Device(history)
    b.deliver(a.arrived)
    marked(a, b"1", 4, 9, BOLD)
    b.write(b"2", lambda document: document.delete(2, 4))
    typed(b, b"3", 0, "now ")
    meet(a, b)
    assert str(a.document) == "now thick fox"
    assert short(a.document) == [(6, 9, {"bold": ("",)})]
    a.write(b"4", lambda document: document.delete(5, 6))
    assert (str(a.document), short(a.document)) == ("now t fox"[:5] + "ox", [])
    typed(a, b"5", 5, "w")
    meet(a, b)
    for start in range(len(a.document)):
        for stop in range(start, len(a.document)):
            assert a.document.slice(start, stop) == str(a.document)[start:stop]


def test_a_marked_turn_is_rolled_back_and_read_as_it_goes() -> None:
    """An open turn shows its own marks; taking it back leaves none."""
    one = device()
    document = one.document
    document.begin(9)
    document.insert(0, "so ")
    document.mark(0, 6, BOLD, clears=False)
    document.insert(6, "!")
    document.delete(1, 1)
    assert (str(document), short(document)) == ("s the! quick fox", [(0, 6, {"bold": ("",)})])
    document.rollback()
    assert (str(document), short(document), len(document)) == ("the quick fox", [], 13)
    assert document.spans() == []
    marked(one, b"1", 0, 3, COMMENT)
    assert document.spans() == [Span(0, 3, {"comment": ("",)})]


def test_what_is_no_mark_is_refused() -> None:
    """No name, a zero, too long, half a character, nothing to mark: each names the fix."""
    document = device().document
    with pytest.raises(UsageError, match="outside a turn"):
        document.mark(0, 1, BOLD, clears=False)
    document.begin(9)
    for bad in (Mark(""), Mark("a\0b"), Mark("x" * 256), Mark("a", "\ud800")):
        with pytest.raises(UsageError, match="1 to 255 bytes"):
            document.mark(0, 1, bad, clears=False)
    with pytest.raises(UsageError, match="4096"):
        document.mark(0, 1, Mark("a", "x" * 4097), clears=False)
    for start, stop in ((0, 0), (3, 2), (-1, 2), (0, 14)):
        with pytest.raises(UsageError, match="marked"):
            document.mark(start, stop, BOLD, clears=False)
    assert document.commit() == b""
