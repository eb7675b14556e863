"""Values that are made often: the same frozen dataclasses, made in a third of the time.

Owns: how the fields of a frozen slotted dataclass are stored when one is made. May not know:
any of them. `dataclasses` stores each field of a frozen class by name (`object.__setattr__`,
0.5 us each); here each is stored through its slot's descriptor, 0.2 us. A commit on its way in
is some fifty such fields, an event of a node some ten. Everything else about the class is as
`dataclasses` made it.
Source: decision 0014; docs.python.org, "Descriptor Guide", Member objects and __slots__.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

__all__ = ["made_fast"]

T = TypeVar("T")


def made_fast(cls: type[T]) -> type[T]:
    """Replace the `__init__` of a frozen slotted dataclass by a faster one that does the same.

    For classes whose fields are all given when one is made, in order or by name: none with
    `init=False`, `kw_only` or a factory for its default.
    """
    given: tuple[Field[Any], ...] = fields(cls)  # type: ignore[arg-type]  # a dataclass
    assert all(
        each.init and not each.kw_only and each.default_factory is MISSING for each in given
    ), cls
    before: Any = cls.__init__
    names = [each.name for each in given]
    lines = [f"def __init__(self, {', '.join(names)}):"]
    lines += [f" _set_{name}(self, {name})" for name in names]
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    store: dict[str, Any] = {f"_set_{name}": vars(cls)[name].__set__ for name in names}
    exec("\n".join(lines), store)  # noqa: S102  (as `dataclasses` does; names are identifiers)
    made: Callable[..., None] = store["__init__"]
    for copied in ("__defaults__", "__annotations__", "__qualname__", "__module__"):
        setattr(made, copied, getattr(before, copied))
    cls.__init__ = made  # type: ignore[method-assign]
    return cls
