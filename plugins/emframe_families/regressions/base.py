"""What regressions share: which column is the response, which are given, and a name for each slope.

The latent z picks a line, and the line says where the response of a row lies:

    z ~ w,      y | x, z_k = 1  ~  f(y | eta_k),      eta_k = b_k0 + b_k1 x_1 + ... + b_kp x_p

The columns x are not modelled: a density is one of y given x (DeSarbo and Cron 1988, J.
Classification 5, 249; Gruen and Leisch 2007).  Powers and products of columns are columns too.

One known case: with one component the coefficients are those of an ordinary regression.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emframe import Degenerate, Family, Real
from emframe.data.formulas import has_constant, is_formula
from emframe.families.kernel import NoSampler
from emframe.parameters import Declared
from emframe.parameters.records import identifier, record
from emframe.spaces import Array, ColumnsIn, Space

Column = str | int
# Words that stand for something else where a coefficient is named.
RESERVED = ("intercept", "sigma", "weights", "components")
# A column is collinear with those before it where no more than this share of its length is left.
COLLINEAR = 1e-11
# Coefficients are ratios of responses and predictors, and squares of them have to be numbers.
LARGEST, LEAST_RANGE = 1e70, 1e-70


@dataclass(frozen=True)
class Regression(Family):
    """Base of families of a response whose mean follows a linear predictor of the same row.

    Parameters
    ----------
    response : the column that is modelled, by name or by index.
    predictors : the columns that it is regressed on; a column of words stands for an indicator
        of each of its values but the first.  Or a formula, ``"~ x * C(g)"`` (extra ``formula``).
    intercept : whether every component has one.

    Columns are all named, or all told by their index.  Named ones are found in a data frame, which
    may have others too; rows without names have them in the order response, offset or trials,
    predictors.  Indices have to name every column.

    Raises
    ------
    TypeError, ValueError : for what are no columns, or name one twice; for no term at all.
    """

    response: Column = 0
    predictors: tuple[Column, ...] = (1,)
    intercept: bool = True
    covered: Array | None = field(default=None, repr=False, compare=False, kw_only=True)

    extra: ClassVar[str] = ""  # the setting that names one more column that is given
    own: ClassVar[Mapping[str, Declared]] = {}  # parameters beside the coefficients

    def __post_init__(self) -> None:
        if not isinstance(self.intercept, bool):
            raise TypeError(f"`intercept` is {self.intercept!r}; pass True or False.")
        given: Any = self.predictors
        listed = isinstance(given, Iterable) and not isinstance(given, str)
        object.__setattr__(self, "predictors", tuple(given) if listed else (given,))
        if any(is_formula(key) and not has_constant(str(key)) for key in self.predictors):
            object.__setattr__(self, "intercept", False)
        keys = self._keys
        if not all(isinstance(key, str) for key in keys) and not all(
            isinstance(key, (int, np.integer)) and not isinstance(key, bool) for key in keys
        ):
            raise TypeError(
                f"columns are all names or all indices; got {list(keys)}. By name: response='y', "
                "predictors=('x',)."
            )
        for name in ("response", *[self.extra] * len(self._extra)):
            object.__setattr__(self, name, _plain(getattr(self, name)))
        object.__setattr__(self, "predictors", tuple(map(_plain, self.predictors)))
        if len(set(keys)) < len(keys):
            raise ValueError(f"a column has one part in a regression; got {list(keys)}.")
        if self.columns is None and sorted(keys) != list(range(len(keys))):
            raise ValueError(
                f"indices name every column, 0 to {len(keys) - 1} each once; got {list(keys)}."
            )
        if not self.terms:
            raise ValueError("`predictors` is empty and there is no intercept; pass either.")
        clash = next((one for one in self.terms if self.terms.count(one) > 1), None)
        clash = clash or next((one for one in self._labels if one in RESERVED), None)
        if clash is not None:
            raise ValueError(f"a coefficient cannot be called {clash!r}; rename that column.")

    # ---- columns

    @property
    def _extra(self) -> tuple[Column, ...]:
        name = getattr(self, self.extra) if self.extra else None
        return () if name is None else (name,)

    @property
    def _keys(self) -> tuple[Column, ...]:
        return (self.response, *self._extra, *self.predictors)

    @property
    def columns(self) -> tuple[str, ...] | None:  # type: ignore[override]
        named = isinstance(self.response, str)
        return tuple(str(key) for key in self._keys) if named else None

    @property
    def width(self) -> int:  # type: ignore[override]
        return len(self._keys)

    @property
    def takes_columns(self) -> bool:
        return True

    @cached_property
    def places(self) -> tuple[int, ...]:
        """Where response, extra column and predictors stand in a row."""
        keys = self._keys
        return tuple(range(len(keys))) if self.columns else tuple(int(key) for key in keys)

    @property
    def covariates(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.places[1:]

    def y(self, x: Array) -> Array:
        """The responses, (n,)."""
        return np.asarray(x[:, self.places[0]])

    def design(self, x: Array) -> Array:
        """A column for each coefficient, (n, p): ones for the intercept, then the predictors."""
        chosen = x[:, self.places[1 + len(self._extra) :]]
        if not self.intercept:
            return chosen
        return np.concatenate([np.ones((len(x), 1)), chosen], axis=1)

    # ---- parameters

    @property
    def _labels(self) -> tuple[str, ...]:
        return tuple(_label(key) for key in self.predictors)

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """The names of the coefficients: ``intercept``, then those of the predictors."""
        return ("intercept",) * self.intercept + self._labels

    @cached_property
    def parameters(self) -> type:
        """A field of shape (K,) for each coefficient, and those that the family has beside."""
        named = {term: Declared(Real()) for term in self.terms}
        return record(f"{type(self).__name__}Parameters", {**named, **self.own})

    def coefficients(self, params: Any) -> Array:
        """Those of all components, (K, p), in the order of `terms`."""
        return np.stack([getattr(params, term) for term in self.terms], axis=1)

    def known(self, like: Any, held: tuple[str, ...]) -> Array:
        """The coefficients that are held, nan where they are to be estimated, (K, p)."""
        which = np.array([term in held for term in self.terms])
        return np.where(which, self.coefficients(like), np.nan)

    def made(self, coefficients: Array, **own: Array) -> Any:
        """Parameters from coefficients (K, p) and the rest."""
        each = np.ascontiguousarray(coefficients.T)
        return self.parameters(**dict(zip(self.terms, each, strict=True)), **own)

    # ---- rows

    @property
    @abstractmethod
    def spaces(self) -> tuple[Space, ...]:
        """Where the response lives, and the extra column if there is one."""

    @property
    def support(self) -> Space:  # type: ignore[override]
        each = dict.fromkeys(self.places, Real(LARGEST, LEAST_RANGE)) | dict(
            zip(self.places, self.spaces, strict=False)
        )
        return ColumnsIn(tuple(each[place] for place in sorted(each)))

    def given(self, x: Array) -> Regression:
        return replace(self, covered=np.array(x, dtype=float))

    def support_given(self, row: Array) -> Space:
        return self.spaces[0]

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        if self.covered is None and self.covariates:
            raise NoSampler(
                f"{self.name} is a density given covariates, and has none to draw at; pass rows "
                "that have them: fit.sample(n, given=X), fit.plot(X)."
            )
        given = np.zeros((1, len(self.spaces))) if self.covered is None else self.covered
        rows = given[np.arange(len(labels)) % len(given)]
        rows[:, self.places[0]] = self.draw(params, rows, np.asarray(labels), rng)
        return rows

    @abstractmethod
    def draw(
        self, params: Any, x: Array, labels: NDArray[np.intp], rng: np.random.Generator
    ) -> Array:
        """A response for each row x (n, d), whose own is not looked at, by its label; (n,)."""

    def spelt(self, names: Mapping[str, tuple[str, ...]]) -> Regression:
        spelt = tuple(one for key in self.predictors for one in names.get(str(key), (key,)))
        return self if spelt == self.predictors else replace(self, predictors=spelt)

    def ingredients(self) -> dict[str, Any]:
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "covered"}

    def refuse_collinear(self, root: Array, k: int, terms: Sequence[str] | None = None) -> None:
        """Raise `Degenerate` where a column of component k's design follows from those before it.

        root : (p, p) a triangle R with R'R the moments of the design on its rows.
        terms : what its columns are called; all, unless some are held.
        """
        terms = self.terms if terms is None else terms
        left, whole = np.abs(root.diagonal()), np.sqrt((root**2).sum(axis=0))
        follows = ~(left > COLLINEAR * whole)
        if follows.any():
            j = int(follows.argmax())
            others = f"collinear with {', '.join(terms[:j])}" if j else "always 0"
            raise Degenerate(
                f"component {k} does not determine {terms[j]}: on its rows that column is "
                f"{others}, or they are too few",
                k,
            )


def triangles(rows: Array) -> Array:
    """R of K stacks of rows (K, n, q), with R'R their moments, (K, q, q)."""
    found: Array = np.linalg.qr(rows, mode="r")  # type: ignore[assignment]
    missing = rows.shape[2] - found.shape[1]
    return np.pad(found, ((0, 0), (0, missing), (0, 0))) if missing > 0 else found


def _plain(key: Column) -> Column:
    """Of numpy's strings and integers, Python's, which are saved."""
    return str(key) if isinstance(key, str) else int(key)


def _label(key: Column) -> str:
    """The name of a predictor's coefficient; columns without a name are x0, x1, ..."""
    return identifier(key if isinstance(key, str) else f"x{key}")
