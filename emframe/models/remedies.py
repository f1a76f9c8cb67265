"""What a model can do without: the remedies for a fit that is more than the data can bear.

Advice has to exist for the model at hand: there are fewer components only where there are two, a
more restricted covariance where the family has one to choose, and a prior where all parts know it.

One known case: a full Gaussian mixture of two components has all three.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from emframe.composing import Nested, Product
from emframe.families import Family, Wrapped
from emframe.families.stack import Stack
from emframe.host import models

MOST_RESTRICTED = {"EII", "E"}  # covariances of which there is nothing less


def remedies(model: Any, prior: Any = None) -> str:
    """``Use fewer components, a more restricted covariance, or prior='weak'.``, or what exists.

    Parameters
    ----------
    prior : of the fit, which needs no other where there is one.

    Empty where nothing does.
    """
    ways = []
    word, size = sized(model)
    if size > 1:
        ways.append(f"fewer {word}")
    family = getattr(model, "family", None)
    leaves = list(within(family)) if isinstance(family, Family) else []
    options = [one.ingredients() for one in leaves] or [getattr(model, "options", {})]
    covariances = [own["covariance"] for own in options if "covariance" in own]
    if any(one not in MOST_RESTRICTED for one in covariances):
        ways.append("a more restricted covariance")
    if any(len(own.get("predictors", ())) > 1 for own in options):
        ways.append("fewer predictors")
    if prior is None:
        ways += [f"prior={name!r}" for name in model.priors]
    if not ways:
        return ""
    *others, last = ways
    comma = "," * (len(others) > 1)
    return f"Use {', '.join(others)}{comma}{' or ' * bool(others)}{last}."


def sized(model: Any) -> tuple[str, int]:
    """What a model counts, in a word, and how many it has; 0 where it comes in one size."""
    entry = models().get(getattr(model, "name", ""))
    if entry is None:
        return "components", model.choices() or 0
    word = entry.size.removeprefix("n_").replace("_", " ")
    return word, getattr(model, entry.size) if entry.size else 0


def within(family: Family) -> Iterator[Family]:
    """The families that a family is put together from; itself where it is no composition."""
    if isinstance(family, Wrapped):
        inner: tuple[Family, ...] = (family.family,)
    elif isinstance(family, Stack):
        inner = family.families
    elif isinstance(family, Product):
        inner = tuple(part.family for part in family.parts)
    elif isinstance(family, Nested):
        inner = family.inner
    else:
        yield family
        return
    for one in inner:
        yield from within(one)
