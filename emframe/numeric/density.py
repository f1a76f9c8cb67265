"""The first lane: a log density is a family.

    def logpdf(x, rate):
        return np.log(rate) - rate * x

    family = emframe.from_logpdf(logpdf, params={"rate": Positive()}, support=Positive())

The rows come with an axis of length one for the components and each parameter with its axis K, so
an ordinary formula broadcasts to (n, K).  The M-step, starts and draws follow from its values (see
`emframe.numeric.climbed`); any of them may be handed over where one knows better.

One known case: for the density above the M-step reaches one over the weighted mean.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe.core import Contract
from emframe.families.kernel import FamilyError
from emframe.numeric.autodiff import require, slope_of_sum
from emframe.numeric.climbed import Kept, NumericFamily
from emframe.parameters import Declared
from emframe.parameters.records import as_declared, record
from emframe.spaces import Array, Real, Space

OneRow = Callable[..., Any]


@dataclass(frozen=True)
class FromLogpdf(NumericFamily):
    """A family made by `from_logpdf`."""

    logpdf: OneRow
    fields: tuple[tuple[str, Declared], ...]
    support: Space = Real()  # type: ignore[misc]
    fit: OneRow | None = None
    sampler: OneRow | None = None
    grad: OneRow | str | None = None
    name: str = "logpdf"  # type: ignore[misc]
    width: int | None = None  # type: ignore[misc]

    maker = "from_logpdf"

    def ingredients(self) -> dict[str, Any]:
        return {
            "logpdf": self.logpdf,
            "params": dict(self.fields),
            "support": self.support,
            "fit": self.fit,
            "sample": self.sampler,
            "grad": self.grad,
            "name": self.name,
            "n_columns": self.width,
        }

    @property
    def parameters(self) -> type:
        return record("Parameters", dict(self.fields))

    @property
    def contract(self) -> Contract:  # type: ignore[override]
        """Exact where `fit` is given: it is said to maximise."""
        return Contract.GENERALISED if self.fit is None else Contract.EXACT

    @property
    def effort(self) -> float:  # type: ignore[override]
        return super().effort if self.fit is None else 1.0

    def log_density(self, params: Any, x: Array) -> Array:
        return self._called("logpdf", self.logpdf, x, params)

    def m_step(self, statistics: Kept, previous: Any) -> Any:
        if self.fit is None:
            return super().m_step(statistics, previous)
        previous = self.guess(statistics) if previous is None else previous
        found: dict[str, list[Any]] = {name: [] for name, _ in self.fields}
        for k, count in enumerate(statistics.counts):
            own = {name: getattr(previous, name)[k] for name in found}
            new = self._fitted(statistics, k, own) if count > 0 else own
            for name, values in found.items():
                values.append(np.asarray(new[name], dtype=float))
        return self.parameters(**{name: np.array(values) for name, values in found.items()})

    def _fitted(self, statistics: Kept, k: int, own: dict[str, Any]) -> Mapping[str, Any]:
        assert self.fit is not None
        x, weights = statistics.of(k)
        new = self.fit(x if self.takes_columns else x[:, 0], weights, own)
        if not isinstance(new, Mapping) or set(new) != set(own):
            raise FamilyError(
                f"{self.name}: `fit` returned {new!r}; expected a mapping with the keys "
                f"{', '.join(own)}"
            )
        return new

    @property
    def has_slope(self) -> bool:
        return self.grad is not None

    def slope(self, x: Array, weights: Array, params: Any) -> Any:
        names = tuple(name for name, _ in self.fields)
        values = {name: np.asarray(getattr(params, name), dtype=float) for name in names}
        rows = _rows(x, self.takes_columns)
        if isinstance(self.grad, str):
            found = slope_of_sum(
                self.grad, _Applied(self.logpdf, names), rows, values, weights[:, None]
            )
            return type(params)(**found)
        assert self.grad is not None
        found = _apply(self.grad, names, rows, values)
        if not isinstance(found, Mapping) or set(found) != set(names):
            raise FamilyError(
                f"{self.name}: `grad` returned {found!r}; expected a mapping with the keys "
                f"{', '.join(names)}"
            )
        totals = {}
        for name, value in values.items():
            one = np.broadcast_to(found[name], (len(x), *value.shape))
            totals[name] = np.tensordot(weights, one, axes=1)
        return type(params)(**totals)

    def sample(self, params: Any, labels: Any, rng: np.random.Generator) -> Array:
        if self.sampler is None:
            return super().sample(params, labels, rng)
        own = {name: getattr(params, name)[labels] for name, _ in self.fields}
        drawn = np.asarray(self.sampler(rng, **own), dtype=float)
        return drawn[:, None] if drawn.ndim == 1 else drawn

    def _called(self, what: str, function: OneRow, x: Array, params: Any) -> Array:
        names = tuple(name for name, _ in self.fields)
        given = {name: getattr(params, name) for name in names}
        values = np.asarray(_apply(function, names, _rows(x, self.takes_columns), given))
        if values.dtype == np.float32:
            raise FamilyError(
                f"{self.name}: `{what}` gave single precision, of which EM's differences lose the "
                "last digits; compute in double (jax.config.update('jax_enable_x64', True))"
            )
        wanted = (len(x), len(getattr(params, names[0])))
        try:
            return np.broadcast_to(values, wanted)
        except ValueError:
            raise FamilyError(
                f"{self.name}: `{what}` gave shape {values.shape} for rows of shape "
                f"{_rows(x, self.takes_columns).shape} and {wanted[1]} components; expected "
                f"(n, K) = {wanted}. It has to broadcast."
            ) from None


def from_logpdf(
    logpdf: OneRow,
    params: Mapping[str, Any],
    support: Space | None = None,
    *,
    fit: OneRow | None = None,
    sample: OneRow | None = None,
    grad: OneRow | str | None = None,
    name: str | None = None,
    n_columns: int | None = None,
) -> FromLogpdf:
    """A family from its log density.

    Parameters
    ----------
    logpdf : ``logpdf(x, rate)``, nats, all constants kept. It broadcasts: x is (n, 1) and each
        parameter (K,), for an answer of (n, K). With a parameter of a shape, such as
        ``emframe.parameter(Real(), shape="d")``, the family takes any number of columns: x is
        (n, 1, d), that parameter (K, d), and the density sums over the last axis. With
        `n_columns` above 1 and parameters (K,), x is (n, 1, n_columns).
    params : the parameters by name, each with its space.
    support : where the rows live; the real line by default.
    fit : ``fit(x, weights, previous) -> {"rate": ...}``, one component's weighted maximum
        likelihood from its rows (n,) and their weights (n,); `previous` holds its parameters by
        name. Without it the M-step is numeric and only promises not to lower Q.
    sample : ``sample(rng, rate=...) -> (n,)``, one row for each entry of the parameters, which
        come with one value for each row. Without it draws invert the distribution function.
    grad : ``grad(x, rate) -> {"rate": ...}``, derivatives of logpdf by each parameter; it
        broadcasts as `logpdf` does. ``"autograd"`` or ``"jax"`` for a logpdf that is written in
        autograd.numpy or jax.numpy. Without it they are difference quotients.
    name : for messages and reports; by default that of the function.
    n_columns : where the family takes a certain number of columns, how many.

    Raises
    ------
    TypeError : where something cannot be called, or a parameter has no space.
    ValueError : for an unknown name of a way to differentiate.
    ModuleNotFoundError : where that way is not installed, with the extra that brings it.

    Examples
    --------
    >>> def waiting(x, rate):
    ...     return np.log(rate) - rate * x
    >>> family = emframe.from_logpdf(waiting, {"rate": emframe.Positive()}, emframe.Positive())
    >>> emframe.fit(emframe.Mixture(family, 1), [1.0, 2.0, 3.0])["rate"].round(3)
    array([0.5])
    """
    if isinstance(grad, str):
        require(grad)
    functions = {"logpdf": logpdf, "fit": fit, "sample": sample}
    for what, function in {
        **functions,
        **({} if isinstance(grad, str) else {"grad": grad}),
    }.items():
        if not callable(function) and (what == "logpdf" or function is not None):
            raise TypeError(f"`{what}` is {function!r}; pass a function.")
    if not isinstance(params, Mapping) or not params:
        raise TypeError(
            f'`params` is {params!r}; pass a mapping of names to spaces, {{"rate": Positive()}}.'
        )
    where = Real() if support is None else support
    if not isinstance(where, Space):
        raise TypeError(f"`support` is {where!r}; pass a space, such as emframe.Positive().")
    fields = tuple((key, as_declared(key, value)) for key, value in params.items())
    for key, declared in fields:
        _refuse_bound(key, declared)
    _check_arguments(logpdf, tuple(params))
    own = getattr(logpdf, "__name__", type(logpdf).__name__)
    label = name or ("logpdf" if own == "<lambda>" else own)
    return FromLogpdf(logpdf, fields, where, fit, sample, grad, label, n_columns)


def _refuse_bound(name: str, declared: Declared) -> None:
    """Raise TypeError for a parameter that is not each component's own to estimate."""
    ways = {
        "shared=True": (declared.shared, f"emframe.tied(family, {name!r})"),
        "fixed=True": (declared.fixed, f"emframe.fixed(family, {name}=...)"),
        "per_component=False": (not declared.per_component, f"emframe.tied(family, {name!r})"),
    }
    for setting, (is_set, remedy) in ways.items():
        if is_set:
            raise TypeError(
                f"`params[{name!r}]` has {setting}, but the M-step takes components one by one; "
                f"leave it out, and pass {remedy}."
            )


def _rows(x: Array, wide: bool) -> Array:
    """Rows with an axis for the components: (n, 1), or (n, 1, d) in any number of columns."""
    return x[:, None, :] if wide else x


def _apply(function: OneRow, names: tuple[str, ...], x: Array, values: Mapping[str, Any]) -> Any:
    """The function at rows and parameters: by name where it knows the names, else in order."""
    if _takes_names(function, names):
        return function(x, **values)
    return function(x, *values.values())


@dataclass(frozen=True)
class _Applied:
    """A log density of rows and parameters by name; equal where the function is the same."""

    function: OneRow
    names: tuple[str, ...]

    def __call__(self, x: Any, values: Mapping[str, Any]) -> Any:
        return _apply(self.function, self.names, x, {name: values[name] for name in self.names})


def _takes_names(function: OneRow, names: tuple[str, ...]) -> bool:
    try:
        inspect.signature(function).bind(None, **dict.fromkeys(names))
    except (TypeError, ValueError):
        return False
    return True


def _check_arguments(function: OneRow, names: tuple[str, ...]) -> None:
    """Raise TypeError where the function can take the parameters neither by name nor in order."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions written in C have none to read
        return
    if _takes_names(function, names):
        return
    try:
        signature.bind(None, *names)
    except TypeError:
        raise TypeError(
            f"`logpdf` takes {signature}; with these `params` it is called as logpdf(x, "
            f"{', '.join(names)})."
        ) from None
