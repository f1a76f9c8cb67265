"""The terms of a trajectory: which columns they are made of, and what each coefficient is called.

    y_it = x_it' beta_k + z_it' b_i + e_it

x holds the terms whose coefficients are a component's own, then those that all components share;
z those that vary from person to person.  A term is a column, ``intercept``, or a product of
columns such as ``time:sex`` or ``time:time``.

One known case: with the intercept alone in z each person has a level of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from emframe import Array
from emframe.data.formulas import has_constant, is_formula, names_in
from emframe.parameters.records import identifier

CONSTANT = "intercept"
# What else has a name where a coefficient is named.
RESERVED = ("sigma", "random_covariance", "weights", "components")


def listed(name: str, given: Any) -> tuple[str, ...]:
    """A setting that lists terms, as a tuple; TypeError where it holds anything but names."""
    terms = tuple(given) if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    for term in terms:
        if is_formula(term):
            continue
        if not isinstance(term, str) or not all(term.split(":")):
            raise TypeError(
                f"`{name}` has {term!r}; pass names of columns, products of them such as "
                "'time:time', or 'intercept'."
            )
    return tuple(one for term in terms for one in _constants(name, str(term)))


def _constants(name: str, term: str) -> tuple[str, ...]:
    """A term; of a formula without columns, ``"~ 1"``, what it says of the intercept."""
    if not is_formula(term) or names_in(term):
        return (term,)
    return (CONSTANT,) if name == "random" and has_constant(term) else ()


def spelt(name: str, terms: Sequence[str], names: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Terms with others in the place of their columns; of a formula those that it makes."""
    found: list[str] = []
    for term in terms:
        if is_formula(term) and term in names:
            found += [CONSTANT] * (name == "random" and has_constant(term))
            found += names[term]
        else:
            found += map(":".join, product(*(names.get(one, (one,)) for one in parts(term))))
    return tuple(dict.fromkeys(found))


def parts(term: str) -> list[str]:
    """The columns that a term is a product of; a formula is one that stands for others."""
    return [term] if is_formula(term) else term.split(":")


@dataclass(frozen=True)
class Terms:
    """Which terms there are; all columns that they read have names.

    Parameters
    ----------
    response : the column that is modelled.
    own : terms with a coefficient for each component.
    common : terms with one coefficient for all components.
    random : terms whose coefficients vary from person to person.

    Raises ValueError for a term that is named twice, a coefficient whose name is taken, or no
    term at all.
    """

    response: str
    own: tuple[str, ...]
    common: tuple[str, ...]
    random: tuple[str, ...]

    def __post_init__(self) -> None:
        for name, terms in (("fixed and common", self.fixed), ("random", self.random)):
            twice = next((one for one in terms if terms.count(one) > 1), None)
            if twice is not None:
                raise ValueError(f"{name} terms name {twice!r} twice; name each term once.")
        if not self.fixed:
            raise ValueError("there is no fixed term and no intercept; pass either.")
        if self.response in self._read:
            raise ValueError(f"{self.response!r} is the response, and cannot be in a term too.")
        names = self.coefficients
        clash = next((one for one in names if names.count(one) > 1 or one in RESERVED), None)
        if clash is not None:
            raise ValueError(f"a coefficient cannot be called {clash!r}; rename that column.")

    @cached_property
    def fixed(self) -> tuple[str, ...]:
        """All terms of x, those of components first."""
        return self.own + self.common

    @cached_property
    def coefficients(self) -> tuple[str, ...]:
        """The name of the coefficient of each term of x."""
        return tuple(identifier(term) for term in self.fixed)

    @property
    def _read(self) -> tuple[str, ...]:
        """Columns that terms are made of, in order of their first mention."""
        read = [one for term in self.fixed + self.random for one in parts(term)]
        return tuple(one for one in dict.fromkeys(read) if one != CONSTANT)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns of a row: the response, then what is given."""
        return (self.response, *self._read)

    @cached_property
    def distinct(self) -> tuple[str, ...]:
        """Every term once."""
        return tuple(dict.fromkeys(self.fixed + self.random))

    @cached_property
    def x_places(self) -> list[int]:
        """Where the terms of x stand in `distinct`."""
        return [self.distinct.index(term) for term in self.fixed]

    @cached_property
    def z_places(self) -> list[int]:
        """Where the terms of z stand in `distinct`."""
        return [self.distinct.index(term) for term in self.random]

    def slots(self, k: int, held: Sequence[str] = (), shared: Sequence[str] = ()) -> Any:
        """Which unknown the coefficient of each of K components is, (K, p): see ``maximise``.

        Parameters
        ----------
        held, shared : coefficients that are known, and own ones that components share all the same.
        """
        found, used = np.full((k, len(self.fixed)), -1), 0
        for j, name in enumerate(self.coefficients):
            if name in held:
                continue
            size = 1 if j >= len(self.own) or name in shared else k
            found[:, j] = used + np.arange(size)
            used += size
        return found

    def values(self, rows: Array) -> Array:
        """The distinct terms of rows (n, d), and their responses as the last column, (n, c)."""
        found = np.empty((len(rows), len(self.distinct) + 1))
        for j, term in enumerate(self.distinct):
            found[:, j] = 1.0
            for part in (one for one in parts(term) if one != CONSTANT):
                found[:, j] *= rows[:, self.columns.index(part)]
        found[:, -1] = rows[:, 0]
        return found
