"""The house rules that no linter on the shelf knows, as walks over the syntax trees.

Owns: sizes of files and functions everywhere; below `drivers` and in the fault lab also what
would make two runs differ. May not know: any module of ours; it reads text, never imports.

    everywhere      file and function sizes · bare except · an error swallowed in silence
    deterministic   the order of a set read · hash() · id() · what reaches around the imports

A set is what is written as one, annotated as one, or bound to one in its scope; attributes,
and functions that return a set, count in every file, unless another file gives the same name
to something else. To ask a set what does not depend on its order (`in`,
`len`, `sorted`, `sum`, `any`, `all`, another set) is fine. Compound asserts and argument
counts are ruff's (PT018, PLR0913).
Run as `python scripts/tidy.py [FILE...]`; without files, on all that git has or would take.
Source: STYLE 'Shape', 'Errors', 'Determinism below drivers'.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

FILE_LINES_MAX: Final = 600
"""A file that is longer has swallowed its neighbours."""

FUNCTION_LINES_MAX: Final = 70
"""A function that is longer does not fit on a screen."""

GENERATED: Final = "runtime/comity/wire/v1/"
DETERMINISTIC: Final = (
    "runtime/comity/base/",
    "runtime/comity/crypto/",
    "runtime/comity/log/",
    "runtime/comity/authority/",
    "runtime/comity/crdt/",
    "runtime/comity/wire/",
    "runtime/comity/actor/",
    "runtime/comity/protocol/",
    "runtime/comity/node/",
    "chaos/comity_chaos/",
)
SET_TYPES: Final = frozenset({"set", "frozenset", "AbstractSet"})
SET_METHODS: Final = frozenset({"union", "intersection", "difference", "symmetric_difference"})
SET_OPERATORS: Final = (ast.BitOr, ast.BitAnd, ast.BitXor, ast.Sub)

ORDER_FREE: Final = frozenset({"all", "any", "frozenset", "len", "set", "sorted", "sum"})
"""Calls whose result does not depend on the order of what they read."""

ORDER_KEEPING: Final = frozenset(
    {"bytes", "deque", "dict", "enumerate", "filter", "iter", "list", "map", "max", "min"}
    | {"next", "repr", "reversed", "str", "tuple", "zip"}
)
"""Calls whose result does; `min` and `max` by ties of a key, so only with one."""

REACHING: Final = frozenset(
    {"__builtins__", "__import__", "breakpoint", "compile", "eval", "exec", "input", "open"}
)
"""Builtins that read, write or import without an import that a contract could see."""

MAKES_CODE: Final = {"runtime/comity/base/values.py": frozenset({"exec"})}
"""Where one of them is called all the same: on text made of the names of fields, as
`dataclasses` does, whose module is no import either."""

Finding = tuple[int, str]
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def findings(files: Mapping[str, str]) -> Iterator[str]:
    """Yield one line a breach; keys are paths relative to the project, values the text."""
    trees = {path: ast.parse(text, path) for path, text in files.items()}
    trees = {path: tree for path, tree in trees.items() if not path.startswith(GENERATED)}
    deterministic = {p: tree for p, tree in trees.items() if p.startswith(DETERMINISTIC)}
    shared = _shared_names(deterministic)
    for path, tree in trees.items():
        lines = files[path].count("\n")
        if lines > FILE_LINES_MAX:
            yield f"{path}:1: the file has {lines} lines; the most is {FILE_LINES_MAX}"
        for node in ast.walk(tree):
            for line, what in (*_size(node), *_silence(node)):
                yield f"{path}:{line}: {what}"
        if path in deterministic:
            reaching = REACHING - MAKES_CODE.get(path, frozenset())
            for line, what in (*_addresses(tree, reaching), *_set_orders(tree, shared)):
                yield f"{path}:{line}: {what}"


def _size(node: ast.AST) -> Iterator[Finding]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    assert node.end_lineno is not None
    lines = node.end_lineno - node.lineno + 1
    if lines > FUNCTION_LINES_MAX:
        yield node.lineno, f"{node.name} has {lines} lines; the most is {FUNCTION_LINES_MAX}"


def _silence(node: ast.AST) -> Iterator[Finding]:
    if not isinstance(node, ast.ExceptHandler):
        return
    if node.type is None:
        yield node.lineno, "bare except: name the error"
        return
    caught = {each.id for each in ast.walk(node.type) if isinstance(each, ast.Name)}
    if caught & {"Exception", "BaseException"} and all(map(_does_nothing, node.body)):
        yield node.lineno, "every error is swallowed in silence: name the one that is meant"


def _does_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Continue() | ast.Expr(value=ast.Constant()):
            return True
        case _:
            return False


def _addresses(tree: ast.AST, reaching: frozenset[str]) -> Iterator[Finding]:
    # A name, not only a call: `sorted(items, key=id)` differs just as much.
    special = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "__hash__"
    ]
    excused = {each for function in special for each in ast.walk(function)}
    for node in ast.walk(tree):
        match node:
            case ast.Name(id="hash" | "id" as name, ctx=ast.Load()) if node not in excused:
                yield node.lineno, f"{name}() differs between processes"
            case ast.Attribute(attr="__hash__", ctx=ast.Load()) if node not in excused:
                yield node.lineno, "__hash__() differs between processes"
            case ast.Name(id=name, ctx=ast.Load()) if name in reaching:
                yield node.lineno, f"{name} reaches what no import contract can see"
            case _:
                pass


def _set_orders(tree: ast.AST, shared: frozenset[str]) -> Iterator[Finding]:
    own, others = _attributes(tree)
    yield from _Sets(tree, (shared - others) | own).orders()


class _Sets:
    """What in one scope is a set, and where the order of one is read.

    Attributes hold for any object: coarse, on the safe side. `shared` are those of all files.
    """

    __slots__ = ("_excused", "_names", "_scope", "_shared")

    def __init__(
        self, scope: ast.AST, shared: frozenset[str], outer: frozenset[str] = frozenset()
    ) -> None:
        self._scope = scope
        self._shared = shared
        self._names = set(outer) - _bound_names(scope)
        self._excused: set[ast.AST] = set()
        known = -1
        while known < len(self._names):  # what is bound to a set later in the text counts too
            known = len(self._names)
            for node in _nodes(scope):
                self._learn(node)

    def orders(self) -> Iterator[Finding]:
        """Yield each place that depends on the order of a set, in inner scopes too."""
        for node in _nodes(self._scope):
            if node is not self._scope and isinstance(node, _SCOPES):
                yield from _Sets(node, self._shared, frozenset(self._names)).orders()
            elif node not in self._excused:
                for each in _read_in_order(node):
                    if self._is_set(each):
                        yield each.lineno, "a set's order differs between processes: sort it"

    def _learn(self, node: ast.AST) -> None:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=hint) if _is_hint(hint):
                self._names.add(name)
            case ast.arg(arg=name, annotation=ast.expr() as hint) if _is_hint(hint):
                self._names.add(name)
            case ast.Assign(targets=targets, value=value) if self._is_set(value):
                self._names.update(each.id for each in targets if isinstance(each, ast.Name))
            case ast.NamedExpr(target=target, value=value) if self._is_set(value):
                self._names.add(target.id)
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in ORDER_FREE:
                self._excused.update(arguments)
            case ast.Set(elts=elements):
                self._excused.update(elements)
            case _:
                pass

    def _is_set(self, node: ast.expr) -> bool:
        match node:
            case ast.Set() | ast.SetComp():
                return True
            case ast.Name(id=name):
                return name in self._names
            case ast.Attribute(attr=name):
                return name in self._shared
            case ast.Call(func=function):
                return self._returns_set(function)
            case ast.BinOp(left=left, op=op, right=right) if isinstance(op, SET_OPERATORS):
                return any(self._is_set(each) or _is_view(each) for each in (left, right))
            case ast.IfExp(body=body, orelse=orelse):
                return self._is_set(body) or self._is_set(orelse)
            case ast.BoolOp(values=values):
                return any(map(self._is_set, values))
            case ast.NamedExpr(value=value):
                return self._is_set(value)
            case _:
                return False

    def _returns_set(self, function: ast.expr) -> bool:
        match function:
            case ast.Name(id=name):
                return name in {"set", "frozenset"} or name in self._shared
            case ast.Attribute(attr="copy", value=value):
                return self._is_set(value)
            case ast.Attribute(attr=name, value=value):
                return name in self._shared or (name in SET_METHODS and self._is_set(value))
            case _:
                return False


def _nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Walk a scope: into its own statements, up to but not into the functions inside it."""
    waiting = [scope]
    while waiting:
        node = waiting.pop()
        yield node
        if node is scope or not isinstance(node, _SCOPES):
            waiting.extend(ast.iter_child_nodes(node))


def _bound_names(scope: ast.AST) -> set[str]:
    """Collect the names that a function binds anew; those of the module are none."""
    if not isinstance(scope, _SCOPES):
        return set()
    bound = {each.arg for each in _nodes(scope) if isinstance(each, ast.arg)}
    for node in _nodes(scope):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    return bound


def _shared_names(trees: Mapping[str, ast.AST]) -> frozenset[str]:
    """Find the attributes and functions that are sets wherever they are defined."""
    pairs = [_attributes(tree) for tree in trees.values()]
    sets = frozenset[str]().union(*(own for own, _ in pairs))
    return sets.difference(*(others for _, others in pairs))


def _attributes(tree: ast.AST) -> tuple[frozenset[str], frozenset[str]]:
    """Return the attributes and functions of a file that are sets, and those that are not."""
    hints = [
        (each.target.id, each.annotation)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    ]
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign(target=ast.Attribute(attr=name), annotation=hint):
                hints.append((name, hint))
            case ast.FunctionDef(name=name, returns=ast.expr() as hint):
                hints.append((name, hint))
            case ast.Assign(targets=[ast.Attribute(attr=name)], value=value):
                if isinstance(value, ast.Set | ast.SetComp):
                    hints.append((name, ast.Name("set")))
            case _:
                pass
    sets = frozenset(name for name, hint in hints if _is_hint(hint))
    return sets, frozenset(name for name, _ in hints) - sets


def _read_in_order(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the expressions that this node reads one item after another."""
    match node:
        case ast.For(iter=source) | ast.AsyncFor(iter=source) | ast.YieldFrom(value=source):
            yield source
        case ast.ListComp() | ast.DictComp() | ast.GeneratorExp():
            yield from (each.iter for each in node.generators)
        case ast.Call(func=ast.Name(id="min" | "max"), keywords=[]):
            return
        case ast.Call(func=ast.Name(id=name), args=arguments) if name in ORDER_KEEPING:
            yield from arguments
        case ast.Call(func=ast.Attribute(attr="join" | "extend" | "fromkeys"), args=arguments):
            yield from arguments
        case ast.Call(func=ast.Attribute(attr="pop", value=source), args=[]):
            yield source
        case ast.Starred(value=source) | ast.FormattedValue(value=source):
            yield source
        case ast.Assign(targets=[ast.Tuple() | ast.List()], value=source):
            yield source
        case _:
            return


def _is_view(node: ast.expr) -> bool:
    """Tell views of a dict: operators on them give sets, though they keep its order."""
    match node:
        case ast.Call(func=ast.Attribute(attr="keys" | "items"), args=[]):
            return True
        case _:
            return False


def _is_hint(annotation: ast.expr) -> bool:
    """Tell whether an annotation names a set type, or a union with one."""
    match annotation:
        case ast.Constant(value=str() as text):
            return _is_hint(ast.parse(text, mode="eval").body)
        case ast.Subscript(value=ast.Name(id="Final" | "ClassVar"), slice=inner):
            return _is_hint(inner)
        case ast.Subscript(value=value):
            return _is_hint(value)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _is_hint(left) or _is_hint(right)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in SET_TYPES
        case _:
            return False


def tracked(root: Path) -> list[str]:
    """List the Python files of the project that git has or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],  # noqa: S607
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    return sorted(name for name in listed.stdout.splitlines() if (root / name).exists())


def main(arguments: list[str]) -> int:
    """Print every finding; return 1 where there is one."""
    root = Path(__file__).resolve().parent.parent
    names = arguments or tracked(root)
    found = list(findings({name: (root / name).read_text(encoding="utf-8") for name in names}))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
