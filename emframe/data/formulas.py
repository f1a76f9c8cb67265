"""Formulas: columns of numbers made from the columns of a frame by Wilkinson's rules.

    "~ time * sex + bs(age, df=4)"      time, sex_m, time*sex_m, bs_age_1, ..., bs_age_4

The rules and the transformations are formulaic's (extra `formula`).  What a formula learns from
the data it was first read with, the levels of words and where a spline has its knots, is kept as
JSON; so that new rows are read alike, also by a fit that was loaded from a file.  A formula is no
program: it may call the transformations that are listed here, and nothing else.

One known case: ``"~ age + sex"`` is the columns `Covariates(("age", "sex"))` makes.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from emframe.data.frames import refuse_dates
from emframe.data.words import Levels, column_of, levels_of, refuse_gaps, words_of
from emframe.messages.extras import extra
from emframe.spaces import Array

_OF_NUMBERS = (
    *("abs", "cos", "exp", "expm1", "log", "log10", "log1p", "log2"),
    *("maximum", "minimum", "sin", "sqrt", "tan"),
)
_CONTRASTS = [f"contr.{name}" for name in ("diff", "helmert", "poly", "sum", "treatment")]
_OF_COLUMNS = (
    *("C", "I", "bs", "cc", "center", "cr", "cs", "exp10", "poly"),
    *("scale", "standardize"),
)
CALLS = frozenset([*_OF_NUMBERS, *_CONTRASTS, *_OF_COLUMNS])
LEARNING = frozenset(_OF_COLUMNS) - {"C", "I", "exp10"}  # what depends on all rows
_NODES = (
    ast.Expression,
    ast.BinOp,
    ast.UnaryOp,
    ast.operator,
    ast.unaryop,
    ast.Compare,
    ast.cmpop,
    ast.Constant,
    ast.Name,
    ast.Load,
    ast.Call,
    ast.keyword,
    ast.Tuple,
    ast.List,
)
_CONSTANT = "Intercept"  # what formulaic calls it


def is_formula(text: Any) -> bool:
    """Whether a column is told by a formula: text that begins with ``~``."""
    return isinstance(text, str) and text.lstrip().startswith("~")


def has_constant(text: str) -> bool:
    """Whether a formula leaves the intercept in: it does unless it says ``0 +`` or ``- 1``."""
    outside = _outside(text.strip().lstrip("~")).strip()
    return not re.search(r"(^|\+)\s*0\s*(\+|$)|-\s*1\s*(\+|-|$)", outside)


def _outside(text: str) -> str:
    """The same without what stands in brackets."""
    while "(" in text and (shorter := re.sub(r"\([^()]*\)", "", text)) != text:
        text = shorter
    return text


def sides(text: str) -> tuple[str, str]:
    """The response and the one-sided formula of ``"y ~ x"``; ValueError without a response."""
    left, tilde, right = text.partition("~")
    if not tilde or not left.strip() or not right.strip() or "~" in right:
        raise ValueError(f"`formula` is {text!r}; expected a response and terms, 'y ~ x + z'.")
    return left.strip(), f"~ {right.strip()}"


def outcomes_of(left: str, text: str) -> tuple[str, ...]:
    """The columns on the left of a formula: ``y``, ``a + b``, or ``cbind(a, b)``."""
    inside = re.fullmatch(r"cbind\((.*)\)", left)
    names = [
        one.strip().strip("`") for one in re.split(r"[,+]", inside.group(1) if inside else left)
    ]
    if not all(re.fullmatch(r"[^()*:]+", one) for one in names):
        raise ValueError(
            f"the left of the formula {text!r} is {left!r}; name columns, 'y' or 'a + b', and make "
            "those that are to be transformed in the frame."
        )
    return tuple(names)


@dataclass(frozen=True)
class Design:
    """A formula, and what it learnt from the rows that it was first read with."""

    text: str
    labels: tuple[str, ...]  # of the columns that it makes, the intercept not among them
    words: tuple[tuple[str, Levels], ...]  # the columns of words that it reads, and their values
    learnt: str  # what its transformations learnt, as JSON

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The columns of the frame that it reads."""
        return names_in(self.text)

    def of(self, frame: Any) -> Array:
        """Its columns of the rows of a frame, (n, q)."""
        spec = _spec(self.text).update(transform_state=_revived(json.loads(self.learnt)))
        return _columns(_made(spec, _table(frame, self.sources, dict(self.words))))[1]

    def describe(self) -> dict[str, Any]:
        """The same as JSON."""
        words = [[name, list(levels)] for name, levels in self.words]
        return {
            "formula": self.text,
            "labels": list(self.labels),
            "words": words,
            "learnt": self.learnt,
        }


def described(told: Any) -> Design:
    """The design of what `Design.describe` gave; refused as one that is written by hand."""
    names_in(told["formula"])
    words = tuple((name, tuple(levels)) for name, levels in told["words"])
    return Design(told["formula"], tuple(told["labels"]), words, told["learnt"])


def read_off(text: str, frames: Sequence[Any]) -> Design:
    """The design of a formula by the rows of data frames.

    Raises ValueError for a formula that is none, a column that is missing or has gaps, and for one
    that makes no column.
    """
    sources, as_words = names_in(text), categories_in(text)
    words: dict[str, Levels] = {}
    for name in sources:
        found: dict[str, None] = {}
        for frame in frames:
            column = column_of(frame, name)
            refuse_gaps(column, name)
            own = levels_of(column) or (levels_of(column, True) if name in as_words else ())
            found |= dict.fromkeys(own)
        if len(found) == 1:
            raise ValueError(
                f"`X` column {name!r} is {next(iter(found))!r} in every row, and says nothing of "
                "them; leave it out."
            )
        if found:
            words[name] = tuple(found)
    tables = [_table(frame, sources, words) for frame in frames]
    pandas = extra("pandas", "formula", "formulas")
    made = _made(_spec(text), pandas.concat(tables, ignore_index=True))
    names, _ = _columns(made)
    if not names:
        raise ValueError(f"the formula {text!r} makes no column; name one, '~ age'.")
    learnt = json.dumps(made.model_spec.transform_state, default=_plain)
    return Design(text, _named(names), tuple(words.items()), learnt)


def refuse_learning(text: str) -> None:
    """Raise TypeError for a formula that would learn from rows that lie in parts."""
    called = {found for one, _ in _factors(text) for found in re.findall(r"(\w+)\(", one)}
    learning = sorted(called & LEARNING)
    if learning:
        raise TypeError(
            f"the formula {text!r} has {learning[0]!r}, which learns from all rows, and these lie "
            "in parts; pass the fit model.settled(frame), of rows in memory that tell as much."
        )


def names_in(text: str) -> tuple[str, ...]:
    """The columns that a formula reads, in order; ValueError for what no formula may hold."""
    power = re.search(r"([A-Za-z]\w*)\s*(\^|\*\*)\s*\d+", _outside(text))
    if power:
        raise ValueError(
            f"the formula {text!r} has {power[0]!r}, which crosses a term with itself and is "
            f"{power[1]!r}; write I({power[1]}**2) for a power."
        )
    found: dict[str, None] = {}
    for expression, is_name in _factors(text):
        if is_name:  # also one that is no identifier
            found[expression] = None
            continue
        quoted: dict[str, str] = {}
        nodes = list(ast.walk(_parsed(_unquoted(expression, quoted))))
        called = [node.func for node in nodes if isinstance(node, ast.Call)]
        for node in nodes:
            _refuse_beyond(node, text)
            if isinstance(node, ast.Name) and node not in called and node.id != "contr":
                found[quoted.get(node.id, node.id)] = None
    return tuple(found)


def categories_in(text: str) -> tuple[str, ...]:
    """The columns that stand in ``C(...)``."""
    inside = (
        re.match(r"C\(\s*(?:`([^`]+)`|(\w+))", expression) for expression, _ in _factors(text)
    )
    return tuple(found.group(1) or found.group(2) for found in inside if found)


def _factors(text: str) -> Iterator[tuple[str, bool]]:
    """The factors of the terms of a one-sided formula, each once, and whether it is a name."""
    formulaic = extra("formulaic", "formula", "formulas")
    try:
        terms = formulaic.Formula(text)
        each = [(one.expr, one.eval_method.value == "lookup") for t in terms for one in t.factors]
    except Exception as error:
        why = str(error).partition("\n")[0]
        raise ValueError(f"the formula {text!r} cannot be read: {why}") from error
    yield from (one for one in dict.fromkeys(each) if one[0] not in ("1", "0"))


def _unquoted(expression: str, quoted: dict[str, str]) -> str:
    """The same with a word in the place of each name in backticks, and what it stands for."""

    def word(found: re.Match[str]) -> str:
        own = f"quoted_{len(quoted)}_"
        quoted[own] = found.group(1)
        return own

    return re.sub(r"`([^`]+)`", word, expression)


def _parsed(expression: str) -> ast.Expression:
    try:
        return ast.parse(expression.strip(), mode="eval")
    except SyntaxError as error:
        raise ValueError(f"{expression!r} in a formula cannot be read: {error.msg}") from error


def _refuse_beyond(node: ast.AST, text: str) -> None:
    """Raise ValueError for what would make a formula a program."""
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        if name not in CALLS:
            raise ValueError(
                f"the formula {text!r} calls {name!r}, which is none of its transformations: "
                f"{', '.join(sorted(CALLS))}; make such a column in the frame."
            )
    elif isinstance(node, ast.Attribute):
        if ast.unparse(node) not in CALLS:
            raise ValueError(f"the formula {text!r} has {ast.unparse(node)!r}; name columns.")
    elif isinstance(node, ast.BitXor):
        raise ValueError(f"the formula {text!r} has a '^' inside a transformation; write **.")
    elif not isinstance(node, _NODES):
        raise ValueError(
            f"the formula {text!r} has a {type(node).__name__}; it takes columns, numbers, "
            "+ - * / ** and transformations."
        )


def _spec(text: str) -> Any:
    formulaic = extra("formulaic", "formula", "formulas")
    return formulaic.ModelSpec.from_spec(
        formulaic.Formula(text), output="numpy", na_action="ignore"
    )


def _made(spec: Any, table: Any) -> Any:
    try:
        return spec.get_model_matrix(
            table, context={name: getattr(np, name) for name in _OF_NUMBERS}
        )
    except Exception as error:
        text = " + ".join(map(str, spec.formula))
        raise ValueError(f"the formula '~ {text}' cannot be worked out: {error}") from error


def _columns(made: Any) -> tuple[list[str], Array]:
    """Names and values of the columns of a model matrix but the intercept."""
    names = list(made.model_spec.column_names)
    kept = [j for j, name in enumerate(names) if name != _CONSTANT]
    values = np.asarray(made, dtype=float).reshape(-1, len(names))
    return [names[j] for j in kept], np.asarray(values[:, kept])


def _table(frame: Any, sources: Sequence[str], words: dict[str, Levels]) -> Any:
    """The columns that a formula reads, in pandas: numbers, or words among their levels."""
    pandas = extra("pandas", "formula", "formulas")
    made = {}
    for name in sources:
        column = column_of(frame, name)
        refuse_gaps(column, name)
        if name in words:
            found = words_of(column, name, words[name])
            made[name] = pandas.Categorical(found, categories=list(words[name]))
        else:
            if column.dtype.is_temporal():
                refuse_dates(column, sources.index(name), "X")
            values = column.to_numpy()
            if np.asarray(values).dtype.kind not in "fiub":
                values = np.asarray(values, dtype=float)
            made[name] = values
    return pandas.DataFrame(made, index=range(len(column_of(frame, sources[0])) if sources else 0))


def _named(names: Sequence[str]) -> tuple[str, ...]:
    """Short names for the columns: ``sex_m`` for ``sex[T.m]``, ``x^2`` for ``I(x ** 2)``."""
    found = list(map(_short, names))
    clash = {one for one in found if found.count(one) > 1}
    return tuple(
        name if short in clash else short for name, short in zip(names, found, strict=True)
    )


def _short(name: str) -> str:
    parts = re.split(r":(?![^\[(]*[\])])", name)
    return "*".join(map(_short_factor, parts))


def _short_factor(name: str) -> str:
    base, bracket, level = name.partition("[") if name.endswith("]") else (name, "", "")
    level = level.removesuffix("]").removeprefix("T.") if bracket else ""
    call = re.fullmatch(r"(\w+)\((.*)\)", base)
    if call:
        function, inside = call.groups()
        first = inside.partition(",")[0].strip()
        power = inside.replace(" ", "").replace("**", "^")
        base = {"C": first, "I": power}.get(function, f"{function}_{first}")
    return f"{base}_{level}" if bracket else base


def _plain(value: Any) -> Any:
    """Of numpy's numbers and arrays, JSON's."""
    return value.tolist()


def _revived(state: Any) -> Any:
    """What was a mapping by whole numbers is one again."""
    if isinstance(state, dict):
        return {
            int(key) if key.isdecimal() else key: _revived(value) for key, value in state.items()
        }
    return state
