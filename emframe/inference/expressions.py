"""Functions of parameters, written as text in the names that tables show.

    "time[0] - time[1]"      "exp(x[1])"      "means[0, waiting] = means[1, waiting] = 70"

An expression is read once, into a tree of +, -, *, /, **, exp, log, sqrt, numbers and places in
the vector of all parameters; nothing of it is run as code.  It can be evaluated at complex numbers
too, so that slopes come by a complex step to full precision (Squire and Trapp 1998, SIAM Review
40, 110).

One known case: "a = b = c" is two hypotheses, a - b and b - c.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.showing.tidy import Entry
from emframe.spaces import Array

TINY = 1e-200  # of a complex step, whose slopes have no rounding
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY: dict[type, Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt}
_MARK = "parameter_at_"


@dataclass(frozen=True)
class Expression:
    """A function of all numbers of a nest of parameters, (q,)."""

    text: str
    tree: ast.expr

    def value(self, numbers: NDArray[Any]) -> Any:
        """What it is at these numbers, real or complex."""
        return _value(self.tree, numbers)

    def slopes(self, numbers: Array) -> Array:
        """Its derivatives by each number, (q,); 0 for those that are not in it."""
        found = np.zeros(len(numbers))
        for place in self.places:
            moved = numbers.astype(complex)
            moved[place] += 1j * TINY
            found[place] = np.imag(self.value(moved)) / TINY
        return found

    @property
    def places(self) -> list[int]:
        """Which numbers are in it."""
        names = (node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name))
        return sorted({int(name.removeprefix(_MARK)) for name in names if name.startswith(_MARK)})


def hypotheses(texts: str | Sequence[str], known: Sequence[Entry]) -> list[Expression]:
    """What is 0 where the hypotheses hold: the left side less the right, chains one by one."""
    found = []
    for text in _several("hypothesis", texts):
        sides = text.replace("==", "=").split("=")
        if len(sides) < 2 or not all(side.strip() for side in sides):
            raise ValueError(
                f"the hypothesis {text!r} is no equation; write one such as "
                f"{_example(known)!r}, or several in a list."
            )
        for left, right in pairwise(sides):
            a, b = expression(left, known), expression(right, known)
            tree = ast.BinOp(a.tree, ast.Sub(), b.tree)
            found.append(Expression(f"{a.text} = {b.text}", tree))
    return found


def expressions(texts: str | Sequence[str], known: Sequence[Entry]) -> list[Expression]:
    """One expression, or several in a list."""
    return [expression(text, known) for text in _several("expression", texts)]


def expression(text: str, known: Sequence[Entry]) -> Expression:
    """Read an expression; ValueError for an unknown name, with those that are near it."""
    shown = text.strip()
    try:
        tree = ast.parse(_marked(shown, known), mode="eval").body
    except SyntaxError as error:
        raise ValueError(
            f"{shown!r} is no expression; write one such as {_example(known)!r}."
        ) from error
    _require_plain(tree, shown, known)
    return Expression(shown, tree)


def _several(what: str, texts: str | Sequence[str]) -> list[str]:
    found = [texts] if isinstance(texts, str) else list(texts)
    if not found or not all(isinstance(one, str) for one in found):
        raise TypeError(f"the {what} is {texts!r}; pass text, or a list of texts.")
    return found


def _marked(text: str, known: Sequence[Entry]) -> str:
    """The text with a mark in the place of each parameter, longest names first."""
    places = {_bare(one.label): one.position for one in known}
    longest = sorted((one.label for one in known), key=len, reverse=True)
    spaced = [r"\s*".join(map(re.escape, re.findall(r"[\w.]+|[^\w\s]", one))) for one in longest]
    pattern = rf"(?<![\w.])(?:{'|'.join(spaced)})(?![\w.\[])"

    def mark(hit: re.Match[str]) -> str:
        return _MARK + str(places[_bare(hit[0])])

    return re.sub(pattern, mark, text)


def _bare(text: str) -> str:
    """The text without its blanks."""
    return re.sub(r"\s", "", text)


def _require_plain(tree: ast.expr, text: str, known: Sequence[Entry]) -> None:
    """Refuse what is no number, known parameter, or operation on these."""
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node in called:
            if node.id not in _FUNCTIONS:
                raise ValueError(
                    f"{node.id!r} in {text!r} is no function of these: {', '.join(_FUNCTIONS)}."
                )
        elif isinstance(node, (ast.Name, ast.Subscript, ast.Attribute)):
            named = ast.unparse(node)
            if not named.startswith(_MARK):
                raise ValueError(_unknown(named, text, known))
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, bool) or not isinstance(node.value, (int, float)):
                raise ValueError(f"{node.value!r} in {text!r} is no number.")
        elif isinstance(node, ast.Call):
            if len(node.args) != 1 or node.keywords or not isinstance(node.func, ast.Name):
                raise ValueError(f"{text!r}: a function takes one number.")
        elif not isinstance(
            node,
            (ast.BinOp, ast.UnaryOp, ast.Load, *_BINARY, *_UNARY),
        ):
            raise ValueError(f"{text!r} is no expression of +, -, *, /, ** and parameters.")


def _unknown(named: str, text: str, known: Sequence[Entry]) -> str:
    labels = [one.label for one in known]
    near = get_close_matches(named, labels, n=3, cutoff=0.3) or labels[:3]
    return f"{named!r} in {text!r} is no parameter; did you mean {' or '.join(near)}?"


def _example(known: Sequence[Entry]) -> str:
    labels = [one.label for one in known]
    return " = ".join(labels[:2]) if len(labels) > 1 else f"{labels[0]} = 0"


def _value(node: ast.expr, numbers: NDArray[Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return numbers[int(name.removeprefix(_MARK))]
        case ast.UnaryOp(op=op, operand=operand):
            return _UNARY[type(op)](_value(operand, numbers))
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_value(left, numbers), _value(right, numbers))
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            return _FUNCTIONS[name](_value(argument, numbers))
    raise AssertionError(f"{ast.dump(node)} was let through")
