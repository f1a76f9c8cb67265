"""Parameters that are held, shared, in order, or related: the words for it, and what they refuse.

    emframe.fixed("gaussian", means=[[0.0], [nan]])          held, nan free
    emframe.tied("gaussian", "covariances")                  one value for all components
    emframe.ordered("poisson", "rates")                      none lower than that of the one before
    emframe.constrained("gaussian", means=[[1, -2, 1]])      mu_1 - 2 mu_2 + mu_3 = 0

Each may be said of what the others made.

One known case: a Gaussian with tied covariances is ``covariance="tied"``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from emframe.composing.constraints import (
    Constrained,
    conditioned,
    fields_by_path,
    has_free,
    is_free,
    nested,
)
from emframe.families import Family
from emframe.host import family as named_family
from emframe.parameters import Declared, real_values
from emframe.spaces import ROUNDED, Array, Linear, Restricted, Rising


def fixed(family: Any, /, **values: Any) -> Any:
    """A family, or a model that has its own word for it, with some parameters held.

    Parameters
    ----------
    family : a family, or the name of a plugin; or a mixture, of which ``weights`` may be held too.
    **values : by field; one value for all components, or an array with the axis K, with nan for
        numbers that are free. A field of a part of a product is written with a dot,
        ``**{"height.means": 0.0}``. What is off its space by rounding to single precision, as
        shares that sum to 1.0000001 or a covariance that is not symmetric to the last digit, is
        moved into it.

    Raises TypeError for an unknown field, ValueError for a value outside its space, or nan in a
    field whose values are several numbers, such as a covariance.

    Examples
    --------
    >>> model = emframe.fixed(emframe.Mixture("poisson", 2), weights=0.5)
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> emframe.fit(model, counts, rng=0).params.weights
    array([0.5, 0.5])
    """
    if hasattr(family, "fixed"):
        return family.fixed(**values)
    inner = _resolved(family)
    _refuse_unknown(inner, list(values))
    found = fields_by_path(inner.parameters)
    held = {path: nested(_near(path, found[path], value)) for path, value in values.items()}
    return _checked(conditioned(inner, held, ()))


def tied(family: Any, /, *names: str) -> Any:
    """A family, or a mixture, with some parameters shared by all components, and counted once.

    Raises TypeError for an unknown field.

    Examples
    --------
    >>> model = emframe.tied(emframe.Mixture("gaussian-regression", 2), "sigma")
    >>> model.family.maker
    'constrained'
    """
    if hasattr(family, "tied"):
        return family.tied(*names)
    inner = _resolved(family)
    _refuse_unknown(inner, list(names))
    return _checked(conditioned(inner, {}, names))


def ordered(family: Any, /, *names: str) -> Any:
    """A family, or a model, with some parameters in rising order of the components.

    None is lower than that of the component before; where the likelihood would have it lower both
    are equal.  Of several columns each is in order by itself.  An order takes no degree of freedom.
    The M-step is its maximum: that of the family where it is in order, else components that are
    not have one value, found together with all that is free, until none would gain by rising alone
    (where that is least squares, isotonic regression; Robertson, Wright and Dykstra 1988, Order
    Restricted Statistical Inference, section 1.5).

    Raises TypeError for an unknown field, ValueError for one whose values are several numbers, or
    that is held or shared.

    Examples
    --------
    >>> model = emframe.ordered(emframe.Mixture("poisson", 2), "rates")
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> emframe.fit(model, counts, rng=0)["rates"].ravel().round(1)
    array([0.8, 7.7])
    """
    if hasattr(family, "ordered"):
        return family.ordered(*names)
    return _restricted(family, dict.fromkeys(names, Rising()))


def constrained(family: Any, /, **equations: Any) -> Any:
    """A family, or a model, with linear equations between parameters of the components.

    Parameters
    ----------
    family : a family, or the name of a plugin; or a model.
    **equations : by field; the contrasts C (m, K) of C x = 0, or a pair (C, c) of C x = c with c
        (m,). They hold in each column, and for the values themselves, not for their logarithms. A
        field of a part of a product is written with a dot, ``**{"height.means": [[1, -1, 0]]}``.

    Each equation that does not follow from the others takes a degree of freedom in each column.

    Raises TypeError for an unknown field, ValueError for one whose values are several numbers, or
    that is held or shared, and for equations that contradict each other or leave nothing free.

    Examples
    --------
    Three means with equal steps:

    >>> model = emframe.Mixture("gaussian", 3, covariance="tied")
    >>> model = emframe.constrained(model, means=[[1, -2, 1]])
    >>> x = [0.0, 0.1, 0.2, 3.0, 3.1, 3.4, 5.9, 6.0, 6.1]
    >>> fit = emframe.fit(model, x, start=[0, 0, 0, 1, 1, 1, 2, 2, 2])
    >>> np.diff(fit["means"].ravel()).round(2), fit.n_parameters
    (array([2.95, 2.95]), 5)
    """
    if hasattr(family, "constrained"):
        return family.constrained(**equations)
    return _restricted(family, {path: _equations(path, one) for path, one in equations.items()})


def _restricted(family: Any, rules: dict[str, Restricted]) -> Constrained:
    inner = _resolved(family)
    _refuse_unknown(inner, list(rules))
    found = fields_by_path(inner.parameters)
    for path, rule in rules.items():
        declared = found[path]
        if declared.shared or declared.fixed or not declared.is_own:
            raise ValueError(
                f"`{path}` is held, shared or restricted already, or one value of all components; "
                "say one thing of it, a held value as an equation: "
                f"emframe.constrained(family, {path}=([[1, 0, ...]], [value]))."
            )
        try:
            rule.of(declared.space, len(declared.axes()))
        except ValueError as error:
            raise ValueError(f"`{path}`: {error}") from None
    return conditioned(inner, {}, (), rules)


def _equations(path: str, told: Any) -> Linear:
    """C x = c as a rule, from contrasts or a pair of contrasts and constants."""
    pair = isinstance(told, tuple) and len(told) == 2 and np.ndim(told[0]) == 2
    contrasts = np.atleast_2d(real_values(path, told[0] if pair else told))
    constants = real_values(path, told[1]) if pair else np.zeros(len(contrasts))
    if contrasts.ndim != 2 or constants.shape != contrasts.shape[:1] or not contrasts.any():
        raise ValueError(
            f"`{path}` has contrasts of shape {contrasts.shape} and constants of shape "
            f"{constants.shape}; pass contrasts (m, K), a row for each equation, or "
            "(contrasts, constants) with constants (m,)."
        )
    return Linear(contrasts=nested(contrasts), constants=nested(constants))


def _refuse_unknown(family: Family, names: list[str]) -> None:
    if family.parameters is tuple:
        raise TypeError(
            f"got {', '.join(names) or 'none'}; components of several families have no parameters "
            "in common to hold or share. Hold those of each in the list, "
            'emframe.Mixture([emframe.fixed("gaussian", means=0.0), "gaussian"]); what components '
            "share are those of one family, n_components of them."
        )
    found = fields_by_path(family.parameters)
    unknown = [name for name in names if name not in found]
    if unknown or not names:
        raise TypeError(
            f"the family {family.name!r} has the parameters {', '.join(found)}; got "
            f"{', '.join(unknown) or 'none'}."
        )


def _checked(family: Constrained) -> Constrained:
    found = fields_by_path(family.family.parameters)
    for path in (*dict(family.held), *family.shared):
        if path in dict(family.rules):
            raise ValueError(f"`{path}` is in order or an equation; it is not held or shared too.")
    for path, value in family.held:
        space = found[path].space
        array = np.atleast_1d(np.array(value, dtype=float))
        if has_free(value):
            _refuse_freed(family, path, value, found[path])
            array = array[~np.isnan(array)]
        if array.ndim >= space.n_event_axes and not space.contains(array).all():
            raise ValueError(f"`{path}` is held at {value}; expected {space.words}.")
    return family


def _refuse_freed(family: Constrained, path: str, value: Any, declared: Declared) -> None:
    """Raise ValueError where a field cannot be held in part, or nothing of it is."""
    if is_free(value):
        raise ValueError(f"`{path}` is nan throughout; leave it out, and it is free.")
    if declared.shared or path in family.shared:
        raise ValueError(f"`{path}` is shared by all components; hold it as a whole, or free it.")
    if declared.space.n_event_axes:
        raise ValueError(
            f"`{path}` has nan: its values are {declared.space.words}, which are held as a whole. "
            "Hold those of single components in a list, "
            f"emframe.Mixture([emframe.fixed({family.name!r}, {path}=...), {family.name!r}])."
        )


def _resolved(family: str | Family) -> Family:
    found = named_family(family) if isinstance(family, str) else family
    if not isinstance(found, Family):
        raise TypeError(f"`family` is {family!r}; pass a plugin's name or a Family object.")
    return found


def _near(path: str, declared: Declared, value: Any) -> Array:
    """A value as it was given, or what lies in its space that it is the rounding of.

    Raises ValueError for unlike values of components that share one.
    """
    space, array = declared.space, real_values(path, value)
    if array.ndim < space.n_event_axes:
        return array
    array = space.near(array)
    if not declared.shared or array.ndim < len(declared.axes()) or not space.contains(array).all():
        return array
    each = space.coordinates(array).reshape(len(array), -1)
    if (np.abs(each - each[0]) > ROUNDED * space.units(array[:1])).any():
        raise ValueError(
            f"`{path}` is held at values that differ between components; it is one value shared by "
            "all of them."
        )
    return array[0]
