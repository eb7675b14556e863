"""What users declare and hold as `Tree[T]`: nodes under nodes, which several people rearrange.

Owns: the Python face of a tree and of its nodes. May not know: causality, bytes, turns.
Source: API 'Replicated types', decision 32.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from operator import index as whole
from typing import TYPE_CHECKING, Any, Generic, Self, SupportsIndex, TypeVar, overload

from comity.crdt.tree_law import TOP, TreeLaw

if TYPE_CHECKING:
    from comity.crdt.descriptor import FieldOptions

__all__ = ["Tree", "TreeNode"]

T = TypeVar("T")


class TreeNode(Generic[T]):
    """A node of a tree: a value, what it stands under, what stands under it, in order.

    It stays the same node wherever it is moved, by whomever. Nodes are looked up in a tree,
    or returned by `add`; one that was deleted is refused when it is asked. Nodes are equal if
    they are the same one. Keep none beyond the message that looked it up.
    """

    __slots__ = ("_law", "_node")

    def __init__(self, law: TreeLaw, node: int) -> None:
        """Only trees make these."""
        self._law = law
        self._node = node

    @property
    def value(self) -> T:
        """What stands in the node. Raises: UsageError if it is not there any more."""
        value: T = self._law.value(self._node)
        return value

    @value.setter
    def value(self, value: T) -> None:
        self._law.set(self._node, value)

    @property
    def parent(self) -> TreeNode[T] | None:
        """The node that this one stands under; None at the top."""
        parent = self._law.parent(self._node)
        return None if parent == TOP else TreeNode(self._law, parent)

    @property
    def children(self) -> tuple[TreeNode[T], ...]:
        """The nodes under this one, in order."""
        law = self._law
        return tuple([TreeNode(law, each) for each in law.children(self._node)])

    @property
    def index(self) -> int:
        """The place among the children of the same parent, from 0."""
        return self._law.children(self._law.parent(self._node)).index(self._node)

    @property
    def path(self) -> tuple[int, ...]:
        """The indexes that lead here from the top, for `tree.at`; they change with the tree."""
        path: list[int] = []
        node: TreeNode[T] | None = self
        while node is not None:
            path.append(node.index)
            node = node.parent
        return tuple(path[::-1])

    @property
    def is_there(self) -> bool:
        """Whether the node is in the tree now."""
        return self._law.is_there(self._node)

    def add(self, value: T, index: SupportsIndex | None = None) -> TreeNode[T]:
        """Add a node under this one, before the child at `index`, at the end if None."""
        self._law.parent(self._node)
        return _add(self._law, self._node, value, index)

    def move(self, parent: TreeNode[T] | None, index: SupportsIndex | None = None) -> None:
        """Move this node, with all below it, under another one; to the top if that is None.

        index: where it stands among the children afterwards; at the end if None.
        Raises: UsageError if it would stand below itself.
        """
        law = self._law
        under = TOP if parent is None else parent._node  # noqa: SLF001  (of this class)
        law.parent(self._node)
        count = len([each for each in law.children(under) if each != self._node])
        law.move(self._node, under, _gap(index, count))

    def delete(self) -> None:
        """Delete this node and all below it, as they are seen here."""
        self._law.delete(self._node)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeNode):
            return NotImplemented
        return self._law is other._law and self._node == other._node

    def __hash__(self) -> int:
        return self._node

    def __repr__(self) -> str:
        return f"TreeNode({self.value!r})" if self.is_there else "TreeNode(deleted)"


class Tree(Collection[TreeNode[T]]):
    """A tree of values, in order at every level; moving keeps it one tree, whoever moves.

    `node = self.files.add("docs")`, `node.add("a.txt")`, `node.move(other, 0)`, `node.delete()`
    and `node.value = "x"` write. Iterating gives all nodes, parents first; `len` counts them.
    A node that two devices move at the same time is afterwards in one of the two places. Of
    moves that would together make a cycle, one does not count. A deletion takes away what its
    author saw; what others put under a deleted node stands under what that stood under.
    """

    __slots__ = ("_law",)
    __hash__ = None  # type: ignore[assignment]  # its nodes change

    def __init__(self, law: TreeLaw) -> None:
        """Show the state of one field."""
        self._law = law

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: type) -> FieldOptions: ...
        @overload
        def __get__(self, instance: object, owner: type) -> Self: ...
        def __get__(self, instance: object, owner: type) -> Any: ...
        def __set__(self, instance: object, value: Sequence[tuple[int, T]]) -> None: ...

    @property
    def children(self) -> tuple[TreeNode[T], ...]:
        """The nodes at the top, in order."""
        law = self._law
        return tuple([TreeNode(law, each) for each in law.children(TOP)])

    @property
    def outline(self) -> tuple[tuple[int, T], ...]:
        """Depth and value of each node, parents first; what a snapshot has."""
        return self._law.snapshot()

    def add(self, value: T, index: SupportsIndex | None = None) -> TreeNode[T]:
        """Add a node at the top, before the one at `index`, at the end if None."""
        return _add(self._law, TOP, value, index)

    def at(self, path: Sequence[int]) -> TreeNode[T]:
        """Return the node that indexes lead to from the top. Raises: IndexError if none is."""
        node = TOP
        for place in path:
            node = self._law.children(node)[place]
        if node == TOP:
            message = "the empty path leads to no node"
            raise IndexError(message)
        return TreeNode(self._law, node)

    def find(self, value: T) -> TreeNode[T] | None:
        """Return the first node with a value, parents first; None if there is none."""
        law = self._law
        found = (node for node in law.nodes() if law.value(node) == value)
        node = next(found, TOP)
        return None if node == TOP else TreeNode(law, node)

    def clear(self) -> None:
        """Delete all nodes that are there; what others add at the same time stays."""
        self._law.clear()

    def __len__(self) -> int:
        return len(self._law)

    def __iter__(self) -> Iterator[TreeNode[T]]:
        law = self._law
        nodes: list[TreeNode[T]] = [TreeNode(law, node) for node in law.nodes()]
        return iter(nodes)

    def __contains__(self, node: object) -> bool:
        return any(each == node for each in self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Tree):
            return self._law.outline() == other._law.outline()
        if isinstance(other, list | tuple):
            return self._law.outline() == [*other]
        return NotImplemented

    def __repr__(self) -> str:
        return f"Tree({self._law.outline()!r})"


def _add(law: TreeLaw, parent: int, value: T, index: SupportsIndex | None) -> TreeNode[T]:
    place = _gap(index, len(law.children(parent)))
    return TreeNode(law, law.add(parent, place, value))


def _gap(index: SupportsIndex | None, count: int) -> int:
    """Return a place to insert at, as `list.insert` understands it."""
    if index is None:
        return count
    place = whole(index)
    return max(0, place + count) if place < 0 else min(place, count)
