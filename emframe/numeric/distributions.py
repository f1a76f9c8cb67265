"""Any univariate distribution of scipy.stats as a family.

    emframe.from_scipy(scipy.stats.gamma)                       a, scale
    emframe.from_scipy(scipy.stats.t, fixed={"df": 4})          loc, scale
    emframe.from_scipy(scipy.stats.nbinom)                      n, p

A maximum of the likelihood needs a support that no parameter moves: where an end of it goes with
loc, the density may be pushed against the lowest row and grow there without bound.  So loc is held
at scipy's standard 0 where the support has an end, and scale at 1 where the end is not at 0; what
is held shows in ``family.held``.  A shape that moves the support, or that only takes whole
numbers, has no such standard, and has to be held by the caller.

On a circle no parameter moves the support: of scipy's von Mises distribution, whose density is
periodic, loc is the direction and is fitted, to angles within a turn about 0.

One known case: ``from_scipy(scipy.stats.expon)`` has one parameter, the scale, and a single
component is fitted by the mean.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import scipy

from emframe.core import Degenerate
from emframe.numeric.climbed import NumericFamily
from emframe.parameters import Declared
from emframe.parameters.records import record
from emframe.spaces import (
    Array,
    Integers,
    Interval,
    NonNegative,
    NonNegativeInteger,
    Positive,
    Real,
    Space,
    Turn,
    UnitInterval,
)

STANDARD = {"loc": 0.0, "scale": 1.0}
PROBES = (0.3, -1.5, 1.5)  # coordinates at which shapes are tried
PERIODIC = {"vonmises"}  # densities on a circle, of which the rows are one turn
NO_DIRECTION = {  # on a turn that loc would move: what to say where it is not held
    "vonmises_line": "pass scipy.stats.vonmises, whose loc is fitted",
    "wrapcauchy": "write the density with its direction by emframe.from_logpdf",
}
INTEGRATED = {"levy_stable", "studentized_range"}  # whose densities are integrals, row by row
# Bounds that scipy writes as the number next to the one meant.
MEANT = 1e-12


@dataclass(frozen=True)
class FromScipy(NumericFamily):
    """A family made by `from_scipy`."""

    dist: Any = field(compare=False, repr=False)
    fields: tuple[tuple[str, Declared], ...] = field(compare=False, repr=False)
    held: tuple[tuple[str, float], ...]  # scipy's parameters that are none here, and their values
    support: Space = Real()  # type: ignore[misc]
    name: str = ""  # type: ignore[misc]
    broadcasts: bool = field(default=False, compare=False, repr=False)  # see `_formula`

    maker = "from_scipy"

    def ingredients(self) -> dict[str, Any]:
        name = str(getattr(self.dist, "name", ""))
        if type(getattr(scipy.stats, name, None)) is not type(self.dist):
            raise ValueError(f"{name} is no distribution of scipy.stats, to be found by name.")
        return {"dist": name, "fixed": dict(self.held), "name": self.name}

    @property
    def parameters(self) -> type:
        return record("Parameters", dict(self.fields))

    def log_density(self, params: Any, x: Array) -> Array:
        """(n, K); a row for which scipy has no answer (nan) is impossible.

        Raises `Degenerate` where a density is infinite at a row.
        """
        density = self.raw(params, x)
        if (density == np.inf).any():
            row, k = np.argwhere(density == np.inf)[0]
            raise Degenerate(f"component {k} has an infinite density at {x[row, 0]:g}", int(k))
        return _impossible(density)

    def raw(self, params: Any, x: Array) -> Array:
        log_density = self.dist.logpmf if self.support.discrete else self.dist.logpdf
        given = self._arguments(params)
        with np.errstate(all="ignore"):
            found = _formula(self.dist, x, given) if self.broadcasts else log_density(x, **given)
        return np.asarray(found, dtype=float)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        own = {name: getattr(params, name)[labels] for name, _ in self.fields}
        everything = {**dict(self.held), **own}
        turn = self.support if isinstance(self.support, Turn) else None
        scale = 1.0 if turn is None else everything["scale"]
        if turn is not None:  # scipy brings draws to a turn of 2 pi, whatever the scale
            everything |= {"loc": everything["loc"] / scale, "scale": 1.0}
        drawn = self.dist.rvs(**everything, size=len(labels), random_state=rng)
        rows = scale * np.asarray(drawn, dtype=float).reshape(len(labels), 1)
        return rows if turn is None else turn.wrapped(rows)

    # ---- the distribution of a row, as scipy has it

    def log_cdf(self, params: Any, x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(self.dist.logcdf(x, **self._arguments(params)), dtype=float)

    def log_sf(self, params: Any, x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(self.dist.logsf(x, **self._arguments(params)), dtype=float)

    def mean(self, params: Any) -> Array:
        return self._columns(self.dist.mean(**self._arguments(params)), params)

    def variance(self, params: Any) -> Array:
        return self._columns(self.dist.var(**self._arguments(params)), params)

    def quantile(self, params: Any, p: Array) -> Array:
        found = self.dist.ppf(np.asarray(p, dtype=float)[:, None], **self._arguments(params))
        return np.asarray(found, dtype=float)[:, :, None]

    def _columns(self, values: Any, params: Any) -> Array:
        """One column of values (K,), or of one that all components have."""
        k = len(getattr(params, self.fields[0][0]))
        return np.broadcast_to(np.asarray(values, dtype=float), (k,))[:, None]

    def _arguments(self, params: Any) -> dict[str, Any]:
        return {**dict(self.held), **{name: getattr(params, name) for name, _ in self.fields}}


def from_scipy(
    dist: Any, *, fixed: Mapping[str, float] | None = None, name: str | None = None, **held: float
) -> FromScipy:
    """A family from a univariate distribution of scipy.stats, continuous or discrete.

    loc is held at 0 where the support has an end and scale at 1 where that end is not at 0,
    unless they are given; those of a discrete distribution always.

    Parameters
    ----------
    dist : such as ``scipy.stats.gamma``, or its name there. A frozen one holds what it was given,
        as ``scipy.stats.t(df=4)`` its df.
    fixed : parameters to hold, by scipy's names.
    name : for messages and reports; scipy's own by default.
    **held : the same in scipy's spelling, ``floc=0``.

    Raises
    ------
    TypeError : for anything but a univariate distribution of scipy, or an unknown parameter.
    ValueError : for a shape that has to be held, naming it and how; where nothing is left to fit.

    Warns where the density is itself a numerical integral, row by row, and a fit so takes long.

    Examples
    --------
    >>> family = emframe.from_scipy("gamma")
    >>> fit = emframe.fit(emframe.Mixture(family, 1), [1.0, 2.0, 4.0, 3.0])
    >>> fit["a"].shape, fit["scale"].shape
    ((1,), (1,))
    """
    dist, given = _thawed(dist)
    if dist.name in INTEGRATED:
        warnings.warn(
            f"{dist.name} integrates numerically at each row, for milliseconds, and a fit asks for "
            "tens of thousands of densities: a few hundred rows take many minutes. Hold some "
            f"shapes ({_example(dist, *_shapes(dist))}), or pass a quicker density to "
            "emframe.from_logpdf.",
            stacklevel=2,
        )
    discrete = isinstance(dist, scipy.stats.rv_discrete)
    shapes = _shapes(dist)
    names = [*shapes, "loc"] if discrete else [*shapes, "loc", "scale"]
    given |= _asked(dist, names, fixed or {}, held)
    for shape, info in shapes.items():
        if shape not in given and info.integrality and _whole_only(dist, shapes, given, shape):
            raise ValueError(
                f"`{shape}` of {dist.name} is a whole number, along which Q cannot be climbed; "
                f"hold it: {_example(dist, shape)}."
            )
    if dist.name in NO_DIRECTION and "loc" not in given:
        raise ValueError(
            f"{dist.name} is on a turn of a circle that moves with loc, so that its direction is "
            f"not fitted; {NO_DIRECTION[dist.name]}, or hold the direction: "
            f"{_example(dist, 'loc')}."
        )
    spaces = {one: _space(dist, shapes, given, one) for one in shapes if one not in given}
    low, high = _support(dist, spaces, given)
    _refuse_excluded(dist, spaces, given)
    if dist.name in PERIODIC:
        given.setdefault("scale", STANDARD["scale"])
    if discrete:
        given.setdefault("loc", 0.0)
    elif np.isfinite([low, high]).any():
        given.setdefault("loc", STANDARD["loc"])
        if any(np.isfinite(end) and end != 0 for end in (low, high)):
            given.setdefault("scale", STANDARD["scale"])
    free = {**spaces, "loc": Real(), "scale": Positive()}
    fields = tuple((one, Declared(free[one])) for one in names if one not in given)
    if not fields:
        raise ValueError(
            f"no parameter of {dist.name} is left to fit: its support moves with those that are "
            f"held, {', '.join(f'{key} = {value:g}' for key, value in given.items())}. Choose a "
            "distribution with a parameter that leaves the support where it is."
        )
    if np.isinf([low, high]).all() and not discrete and dist.name not in PERIODIC:
        _refuse_periodic(dist, spaces, given)
    shift, stretch = given.get("loc", 0.0), given.get("scale", 1.0)
    ends = shift + stretch * low, shift + stretch * high
    closed = np.isfinite(low) and _finite_at_end(dist, spaces, given, ends[0])
    support = _where(ends, discrete=discrete, closed=bool(closed))
    if dist.name in PERIODIC:
        support = Turn(-np.pi * stretch, np.pi * stretch)
    kept = tuple((one, float(given[one])) for one in names if one in given)
    family = FromScipy(dist, fields, kept, support, name or dist.name)
    return replace(family, broadcasts=_broadcasts(family))


# ---- scipy's formulas


def _formula(dist: Any, x: Array, given: Mapping[str, Any]) -> Array:
    """What logpdf or logpmf of rows (n, 1) is for parameters (K,): (n, K).

    Those copy every parameter out to every row first, which costs more than most formulas do.
    """
    shapes = [np.asarray(given[name], dtype=float) for name in _shapes(dist)]
    scale = np.asarray(given.get("scale", 1.0))
    y = (x - given["loc"]) / scale
    held = dist._argcheck(*shapes) & (scale > 0.0) & dist._support_mask(y, *shapes)
    if isinstance(dist, scipy.stats.rv_discrete):
        return np.where(held & (np.floor(y) == y), dist._logpmf(y, *shapes), -np.inf)
    return np.where(held, dist._logpdf(y, *shapes) - np.log(scale), -np.inf)


def _broadcasts(family: FromScipy) -> bool:
    """Whether `_formula` finds what scipy's method finds, on a few rows and two components."""
    rows = family.support.point(np.array([-0.5, 0.4, 1.2]), (3,))[:, None]
    params = family.parameters(
        **{
            name: declared.space.point(np.array([0.3, 0.8]), (2,))
            for name, declared in family.fields
        }
    )
    try:
        quick = replace(family, broadcasts=True).raw(params, rows)
    except (AttributeError, IndexError, TypeError, ValueError):
        return False
    return np.array_equal(quick, _impossible(family.raw(params, rows)))


def _impossible(density: Array) -> Array:
    """-inf for nan: a row for which scipy has no answer."""
    return np.where(np.isnan(density), -np.inf, density)


# ---- what scipy says of a distribution


def _thawed(dist: Any) -> tuple[Any, dict[str, float]]:
    """The distribution, and what a frozen one holds."""
    dist = getattr(scipy.stats, dist, dist) if isinstance(dist, str) else dist
    if isinstance(dist, (scipy.stats.rv_continuous, scipy.stats.rv_discrete)):
        return dist, {}
    base = getattr(dist, "dist", None)
    if not isinstance(base, (scipy.stats.rv_continuous, scipy.stats.rv_discrete)):
        raise TypeError(
            f"`dist` is {dist!r}; pass a univariate distribution, such as scipy.stats.gamma."
        )
    order = [*_shapes(base), "loc", "scale"]
    given = {**dict(zip(order, dist.args, strict=False)), **dist.kwds}
    return base, {key: float(value) for key, value in given.items()}


def _shapes(dist: Any) -> dict[str, Any]:
    found = {info.name: info for info in dist._shape_info()}
    if len(found) != dist.numargs:
        raise TypeError(
            f"{dist.name} takes a list of parameters, or parameters that scipy does not describe; "
            "write its density with emframe.from_logpdf."
        )
    return found


def _asked(
    dist: Any, names: Sequence[str], fixed: Mapping[str, float], held: Mapping[str, float]
) -> dict[str, float]:
    asked = {**fixed, **{key.removeprefix("f"): value for key, value in held.items()}}
    spelt = all(key.startswith("f") for key in held)
    unknown = [key for key in asked if key not in names]
    if unknown or not spelt:
        raise TypeError(
            f"{dist.name} has the parameters {', '.join(names)}; got "
            f"{', '.join([*fixed, *held])}. Hold some with fixed={{name: value}} or f<name>=value."
        )
    return {key: float(value) for key, value in asked.items()}


def _example(dist: Any, *names: str) -> str:
    inside = ", ".join(f'"{name}": ...' for name in names)
    return f"emframe.from_scipy(scipy.stats.{dist.name}, fixed={{{inside}}})"


def _valid(dist: Any, shapes: Sequence[float]) -> bool:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")  # scipy warns of a fraction where a whole number belongs
        try:
            return bool(np.all(dist._argcheck(*[np.float64(one) for one in shapes])))
        except (RuntimeWarning, TypeError, ValueError):
            return False


def _whole_only(dist: Any, shapes: Mapping[str, Any], given: Mapping[str, float], one: str) -> bool:
    """Whether a shape that scipy calls whole in fact has to be."""
    others = {key: 2.0 if info.integrality else 0.5 for key, info in shapes.items()}
    values = {**others, **given, one: 2.5}
    return not _valid(dist, [values[key] for key in shapes])


def _space(dist: Any, shapes: Mapping[str, Any], given: Mapping[str, float], one: str) -> Space:
    """The space of a shape, from the domain that scipy gives it."""
    info = shapes[one]
    low, high = (_meant(float(end)) for end in info.domain)
    if np.isinf([low, high]).all():
        return Real()
    if (low, high) == (0.0, np.inf):
        return NonNegative() if info.inclusive[0] and float(info.domain[0]) == 0 else Positive()
    if (low, high) == (0.0, 1.0) and all(info.inclusive):
        others = {key: given.get(key, 0.5) for key in shapes}
        ends = ([{**others, one: end}[key] for key in shapes] for end in (0.0, 1.0))
        if all(_valid(dist, values) for values in ends):
            return UnitInterval()
    return Interval(low, high)


def _meant(end: float) -> float:
    near = round(end) if np.isfinite(end) else end
    return float(near) if abs(end - near) <= MEANT else end


def _points(spaces: Mapping[str, Space], given: Mapping[str, float], names: Any) -> list[Any]:
    """Values of all shapes, in scipy's order, at probing coordinates of the free ones."""
    reals = product(PROBES, repeat=len(spaces))
    found = []
    for at in reals:
        free = {
            key: float(space.point(np.array([one]), (1,))[0])
            for (key, space), one in zip(spaces.items(), at, strict=True)
        }
        found.append([{**given, **free}[key] for key in names])
    return found


def _support(
    dist: Any, spaces: Mapping[str, Space], given: Mapping[str, float]
) -> tuple[float, float]:
    """The standard support, the same for all shapes; or ValueError naming those that move it."""
    names = list(_shapes(dist))
    middle = _points(spaces, given, names)[0]
    if not _valid(dist, middle):
        return _any_support(dist, spaces, given)
    found = tuple(float(end) for end in dist.support(*middle))
    moving = []
    for one in spaces:
        for at in PROBES[1:]:
            point = float(spaces[one].point(np.array([at]), (1,))[0])
            values = [point if key == one else old for key, old in zip(names, middle, strict=True)]
            ends = tuple(float(end) for end in dist.support(*values))
            if _valid(dist, values) and ends != found and one not in moving:
                moving.append(one)
    if moving:
        raise ValueError(
            f"the support of {dist.name} moves with {' and '.join(moving)}, so its likelihood may "
            f"grow without bound at the outermost row; hold {'it' if len(moving) == 1 else 'them'}:"
            f" {_example(dist, *moving)}."
        )
    return found[0], found[1]


def _any_support(
    dist: Any, spaces: Mapping[str, Space], given: Mapping[str, float]
) -> tuple[float, float]:
    for values in _points(spaces, given, list(_shapes(dist))):
        if _valid(dist, values):
            low, high = dist.support(*values)
            return float(low), float(high)
    held = ", ".join(f"{key} = {value:g}" for key, value in given.items()) or "nothing"
    raise ValueError(f"{dist.name} has no valid parameters with {held} held; check the values.")


def _refuse_excluded(dist: Any, spaces: Mapping[str, Space], given: Mapping[str, float]) -> None:
    """Parameters have to vary freely, each in its space."""
    points = _points(spaces, given, list(_shapes(dist)))
    if all(_valid(dist, values) for values in points):
        return
    raise ValueError(
        f"the shapes {', '.join(spaces)} of {dist.name} bound each other, and coordinates have to "
        f"be free of each other; hold some: {_example(dist, list(spaces)[-1])}."
    )


def _refuse_periodic(dist: Any, spaces: Mapping[str, Space], given: Mapping[str, float]) -> None:
    values = _points(spaces, given, list(_shapes(dist)))[0]
    with np.errstate(all="ignore"):
        below = float(dist.cdf(1e3, *values))
    if below > 1.5:
        raise ValueError(
            f"{dist.name} is periodic, no density on the real line; write that of one turn with "
            "emframe.from_logpdf, its support an interval."
        )


def _finite_at_end(
    dist: Any, spaces: Mapping[str, Space], given: Mapping[str, float], end: float
) -> bool:
    """Whether the density is positive and finite at the lower end, whatever the shapes."""
    if isinstance(dist, scipy.stats.rv_discrete):
        return True
    with np.errstate(all="ignore"):
        values = [
            float(dist.logpdf(end, *at, loc=given.get("loc", 0.0), scale=given.get("scale", 1.0)))
            for at in _points(spaces, given, list(_shapes(dist)))
        ]
    return bool(np.isfinite(values).all())


def _where(ends: tuple[float, float], *, discrete: bool, closed: bool) -> Space:
    if discrete:
        return NonNegativeInteger() if ends == (0.0, np.inf) else Integers(*ends)
    if np.isinf(ends).all():
        return Real()
    if ends == (0.0, np.inf):
        return NonNegative() if closed else Positive()
    return Interval(*ends)
