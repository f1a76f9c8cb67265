"""Wrong lines that a script writes: small faults of arithmetic and logic, and a sample of them.

A mutant is one place of one module at which one thing is changed: an operator swapped, a bound that
is open closed, a constant changed, a condition turned round, a term or a factor dropped.  What a
reader sees (messages, annotations, docstrings) is left as it is.

`sample` takes some of each package, more of a larger one, by a seed: nobody chooses what is easily
found.  See `mutation_survey.py`, which runs them.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

HERE = Path(__file__).parent.parent
ROOTS = (HERE, HERE / "plugins", HERE / "plugins" / "emframe-rayleigh")
LEAST = 3  # of a package, where it has as many

_ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
}
_COMPARISON: dict[type[ast.cmpop], tuple[str, tuple[str, ...]]] = {
    ast.Lt: ("<", ("<=", ">")),
    ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<")),
    ast.GtE: (">=", (">", "<")),
    ast.Eq: ("==", ("!=",)),
    ast.NotEq: ("!=", ("==",)),
    ast.In: ("in", ("not in",)),
    ast.NotIn: ("not in", ("in",)),
    ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)),
}
_WORDS = (ast.JoinedStr, ast.List, ast.Tuple, ast.Dict, ast.Set)  # what arithmetic would refuse
# Where a wrong number is an error of numpy's and no wrong result.
_PLACES = ("axis", "axis1", "axis2", "ndmin", "keepdims", "stacklevel", "frozen", "repr", "strict")


@dataclass(frozen=True)
class Mutant:
    """One change to one module."""

    module: str
    path: str  # from the project's root
    start: int  # of what is replaced, in characters of the source
    end: int
    new: str
    line: int
    scope: str  # the innermost function, as `a.b`; empty outside of any
    kind: str
    original: str  # the line as it is

    @property
    def package(self) -> str:
        """`emframe.core`, say; modules at the top are those of `emframe` itself."""
        parts = self.module.split(".")
        is_inside = len(parts) > 2 or self.path.endswith("__init__.py")
        return ".".join(parts[: 2 if is_inside else 1])

    @property
    def key(self) -> str:
        return f"{self.module}:{self.line}:{self.start}-{self.end}:{self.new}"

    def spoil(self, source: str) -> str:
        """The module's source with the change made."""
        return source[: self.start] + self.new + source[self.end :]

    def shown(self, source: str) -> str:
        """The line before and after."""
        after = self.spoil(source).splitlines()[self.line - 1].strip()
        return f"{self.original}\n    -> {after}"


def modules() -> dict[str, Path]:
    """All modules of the packages and of the plugins, by name."""
    found = {}
    for root in ROOTS:
        for path in sorted(root.glob("emframe*/**/*.py")) + sorted(root.glob("emframe*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            if all(part.isidentifier() for part in parts) and "tests" not in parts:
                name = ".".join(part for part in parts if part != "__init__")
                found[name] = path
    return found


def mutants(module: str, path: Path, source: str | None = None) -> Iterator[Mutant]:
    """Every change that is known here, in the order of the source: of the file, if left out."""
    source = path.read_text(encoding="utf-8") if source is None else source
    yield from _Walk(module, path, source).inside(ast.parse(source), "")


class _Walk:
    """A walk through the source of a module, which has the places of its nodes."""

    def __init__(self, module: str, path: Path, source: str) -> None:
        self.module, self.source = module, source
        self.path = str(path.relative_to(HERE))
        self.lines = source.splitlines(keepends=True)
        self.offsets = [0]
        for line in self.lines:
            self.offsets.append(self.offsets[-1] + len(line))

    def inside(self, node: ast.AST, scope: str) -> Iterator[Mutant]:
        """The changes of a node and of all that is in it."""
        if isinstance(node, (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom, ast.Assert)):
            return
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            scope = f"{scope}.{node.name}" if scope else node.name
            if node.name in ("__repr__", "words"):
                return
            bodies: list[ast.AST] = [*node.body]
            if isinstance(node, ast.FunctionDef):
                bodies += [one for one in (*node.args.defaults, *node.args.kw_defaults) if one]
            for inner in bodies:
                yield from self.inside(inner, scope)
            return
        if isinstance(node, (ast.If, ast.While, ast.IfExp)) and not _is_typing(node.test):
            start, end = self._span(node.test)
            turned = f"not ({self.source[start:end]})"
            yield self._made(scope, start, end, turned, "condition negated")
        if isinstance(node, ast.expr):
            yield from self._of(node, scope)
        for name, value in ast.iter_fields(node):
            is_place = isinstance(node, ast.Subscript) and name == "slice"
            if name == "annotation" or is_place:
                continue
            for inner in value if isinstance(value, list) else [value]:
                is_keyword = isinstance(inner, ast.keyword) and inner.arg in _PLACES
                if isinstance(inner, ast.AST) and not is_keyword:
                    yield from self.inside(inner, scope)

    def _of(self, node: ast.expr, scope: str) -> Iterator[Mutant]:
        """The changes of an expression itself."""
        if isinstance(node, ast.BinOp):
            yield from self._of_arithmetic(node, scope)
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            old, others = _COMPARISON[type(node.ops[0])]
            found = self._between(node.left, node.comparators[0], old)
            for new in others if found is not None else ():
                yield self._made(scope, *found, new, "comparison")  # type: ignore[misc]
        elif isinstance(node, ast.BoolOp) and len(node.values) == 2:
            old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
            found = self._between(node.values[0], node.values[1], old)
            if found is not None:
                yield self._made(scope, *found, new, "logic")
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
            start, end = self._span(node)[0], self._span(node.operand)[0]
            if self.source[start:end].strip() in ("not", "-"):  # no parenthesis in between
                yield self._made(scope, start, end, "", "sign dropped")
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
            yield self._made(scope, *self._span(node), _other(node.value), "constant")

    def _of_arithmetic(self, node: ast.BinOp, scope: str) -> Iterator[Mutant]:
        if type(node.op) not in _ARITHMETIC or _is_text(node.left) or _is_text(node.right):
            return
        old, new = _ARITHMETIC[type(node.op)]
        found = self._between(node.left, node.right, old)
        if found is None:
            return
        yield self._made(scope, *found, new, "operator")
        start, end = self._span(node.left)[1], self._span(node)[1]
        rest = self.source[start:end]
        is_term = isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div))
        if is_term and rest.count("(") == rest.count(")"):
            yield self._made(scope, start, end, "", "term dropped")

    def _span(self, node: ast.expr) -> tuple[int, int]:
        """Where an expression begins and ends, in characters."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        begin = self._at(node.lineno, node.col_offset)
        return begin, self._at(node.end_lineno, node.end_col_offset)

    def _at(self, line: int, column: int) -> int:  # ast counts columns in bytes
        text = self.lines[line - 1].encode()[:column].decode()
        return self.offsets[line - 1] + len(text)

    def _between(self, left: ast.expr, right: ast.expr, word: str) -> tuple[int, int] | None:
        found = self.source.find(word, self._span(left)[1], self._span(right)[0])
        return None if found < 0 else (found, found + len(word))

    def _made(self, scope: str, start: int, end: int, new: str, kind: str) -> Mutant:
        line = self.source.count("\n", 0, start) + 1
        original = self.lines[line - 1].strip()
        return Mutant(self.module, self.path, start, end, new, line, scope, kind, original)


def _is_text(node: ast.expr) -> bool:
    text = isinstance(node, ast.Constant) and not isinstance(node.value, (int, float))
    return text or isinstance(node, _WORDS)


def _is_typing(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "TYPE_CHECKING"


def _other(value: float) -> str:
    """Another number: a tolerance by four orders of magnitude, for twice of one is the same."""
    if isinstance(value, bool):
        return repr(not value)
    if isinstance(value, int):
        return repr(value + 1)
    return repr(value * (1e4 if 0.0 < value < 1e-2 else 2.0) or 1.0)


def sample(size: int, seed: int, only: tuple[str, ...] = ("",)) -> list[Mutant]:
    """So many mutants, one a line at most, from every package: by the root of its lines.

    The order is a mixture of the packages, so that a part of the list is a sample too.  `only` are
    beginnings of the names of modules.
    """
    packages: dict[str, dict[tuple[str, int], list[Mutant]]] = {}
    for module, path in modules().items():
        for one in mutants(module, path) if module.startswith(only) else ():
            packages.setdefault(one.package, {}).setdefault((one.module, one.line), []).append(one)
    total = sum(sqrt(len(lines)) for lines in packages.values())
    chosen = []
    for package, lines in sorted(packages.items()):
        rng = random.Random(f"{seed} {package}")
        wanted = max(LEAST, round(size * sqrt(len(lines)) / total))
        picked = rng.sample(sorted(lines), min(wanted, len(lines)))
        each = [rng.choice(lines[line]) for line in picked]
        chosen += [((i + 0.5) / len(each), one) for i, one in enumerate(each)]
    chosen.sort(key=lambda pair: (pair[0], pair[1].key))
    return [one for _, one in chosen]
