"""What a mixture is made of: one family for all components, or a list of them, or mixtures again.

One known case: a list of one family is that family with one component.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from emframe.composing import beside
from emframe.families import Family, Stack, is_mixed, together
from emframe.host import families, family_of, models
from emframe.host import family as named_family
from emframe.host import model as named_model


def composed(
    family: Any, n_components: Any, options: Mapping[str, Any], word: str = "n_components"
) -> tuple[Family, int]:
    """The family of all components, and their number K, from what a user names.

    `word` is what the argument for their number is called.

    Raises TypeError, ValueError, as `emframe.Mixture` says.
    """
    other = next((one for one in ("n_components", "n_states") if one in options), None)
    if other is not None:
        raise TypeError(f"`{other}` is {options[other]!r}; this model's number is {word}=.")
    if isinstance(family, (str, Family)) or not isinstance(family, Sequence):
        resolved, k = _resolve(family, options, word), 1 if n_components is None else n_components
        if not isinstance(k, (int, np.integer)) or isinstance(k, bool):
            raise TypeError(f"`{word}` is {k!r}; pass a whole number.")
    else:
        resolved, k = _listed(
            [_resolve(item, options, word) for item in family], n_components, word
        )
    if k < 1:
        raise ValueError(f"`{word}` is {k}; pass 1 or more.")
    return resolved, int(k)


def parts(family: Family, k: int) -> tuple[tuple[Family, ...], tuple[int, ...]]:
    """The families side by side, and how many components each has."""
    return (family.families, family.sizes) if isinstance(family, Stack) else ((family,), (k,))


def titled(family: Family) -> str:
    """For example ``gaussian mixture, covariance=full``."""
    if isinstance(family, Stack):
        return f"{'+'.join(one.name for one in family.families)} mixture"
    # What a family was put together from is too much for a title, and what is off goes unsaid.
    options = {} if family.maker else family.ingredients()
    told = (
        f", {key}={one}" for key, one in options.items() if one is not None and one is not False
    )
    return f"{family.name} mixture" + "".join(told)


def _listed(families: list[Family], n_components: Any, word: str) -> tuple[Stack, int]:
    """Families side by side, and the number of components of all."""
    sizes = [1] * len(families) if n_components is None else n_components
    if not families:
        raise ValueError("`family` is an empty list; pass at least one family.")
    if isinstance(sizes, (int, np.integer)) or len(sizes) != len(families):
        raise ValueError(
            f"`{word}` is {n_components!r} for {len(families)} families; pass one "
            "size for each, or leave it out for one component of each."
        )
    if min(sizes) < 1:
        raise ValueError(f"`{word}` is {sizes!r}; pass sizes of 1 or more.")
    families = beside(families)
    for one in families[1:]:
        _refuse_unlike(families[0], one)
    if is_mixed(families):
        warnings.warn(
            "a mixture of families of counts and of real numbers compares probabilities "
            "with densities: its likelihood depends on the units of the columns.",
            stacklevel=4,
        )
    return Stack(together(families), tuple(int(size) for size in sizes)), sum(sizes)


def _refuse_unlike(one: Family, other: Family) -> None:
    """Raise where two families are densities of unlike things, of which there is no mixture."""
    if one.in_runs != other.in_runs:
        raise TypeError(
            f"{one.name!r} and {other.name!r} are densities of unlike things: runs of rows, and "
            "rows; pass emframe.Grouped for all families or for none."
        )
    named = one.columns is not None and other.columns is not None
    given = sorted(one.covariates) != sorted(other.covariates)
    if given or (named and one.columns != other.columns):
        raise ValueError(
            f"{one.name!r} and {other.name!r} are densities of unlike columns: {_reads(one)}, and "
            f"{_reads(other)}; pass families of the same response given the same columns (a slope "
            "is held at 0 by emframe.fixed)."
        )


def _reads(family: Family) -> str:
    """What a family is a density of, in words."""
    names = family.columns or tuple(f"column {j}" for j in range(family.width or 0))
    if not names:
        return "all columns"
    free = [str(name) for j, name in enumerate(names) if j not in family.covariates]
    held = [str(name) for j, name in enumerate(names) if j in family.covariates]
    return ", ".join(free) + (f" given {', '.join(held)}" if held else "")


def _resolve(family: Any, options: Mapping[str, Any], word: str) -> Family:
    if isinstance(family, str):
        if family in models() and family not in families():
            family, options = named_model(family, **options), {}
        else:
            return named_family(family, **options)
    if hasattr(family, "as_component"):  # a model
        family = family.as_component()
    if not isinstance(family, Family):
        raise TypeError(
            f"`family` is {family!r}; pass a plugin's name, a Family object, or a list of them."
            + f" The number of components is {word}={family}." * isinstance(family, int)
        )
    made: Family = family_of(family, options)
    return made
