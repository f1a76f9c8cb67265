"""The way to what is known by another name, or is had by another word than its name.

    "nbinom"                 the family 'negative-binomial'
    "zero-inflated-poisson"  emframe.ZeroInflated("poisson")
    "rayleigh"               emframe.from_scipy("rayleigh")
    "hidden-markov"          a model: emframe.model("hidden-markov")

One known case: a name that nothing is like has no way to be told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from emframe.host.hooks import FamilyEntry, ModelEntry

# What is put before the name of a family, and the class that makes it.
WRAPPERS = {"zero-inflated-": "ZeroInflated", "zi-": "ZeroInflated", "hurdle-": "Hurdle"}
# What has a word of its own.
SHORT = {
    "zip": 'emframe.ZeroInflated("poisson")',
    "zinb": 'emframe.ZeroInflated("negative-binomial")',
    "point": "emframe.Point(value)",
    "point-mass": "emframe.Point(value)",
    "pointmass": "emframe.Point(value)",
    "degenerate": "emframe.Point(value)",
    "product": 'emframe.Product({"column": "family", ...})',
    "mixed": 'emframe.Product({"column": "family", ...})',
    "gmm": 'emframe.Mixture("gaussian", n_components)',
    "mclust": 'emframe.Mixture("gaussian", n_components)',
    "lpa": 'emframe.Mixture("gaussian", n_components, covariance="diag")',
    "lca": 'emframe.Mixture("categorical", n_components)',
    "latent-class": 'emframe.Mixture("categorical", n_components)',
    "hmm": 'emframe.model("hidden-markov", family="gaussian", n_states=2)',
    "markov": 'emframe.model("hidden-markov", family="gaussian", n_states=2)',
    "hlme": 'emframe.Mixture("linear-mixed", n_components, response="y", fixed=("time",))',
    "growth": 'emframe.Mixture("linear-mixed", n_components, response="y", fixed=("time",))',
    "pca": 'emframe.model("factor-analysis", n_factors=2, noise="shared")',
    "ppca": 'emframe.model("factor-analysis", n_factors=2, noise="shared")',
}


def ways(
    kind: str, name: str, families: Mapping[str, FamilyEntry], models: Mapping[str, ModelEntry]
) -> Iterator[str]:
    """Sentences that say how to have what a user calls `name` and nothing is installed as.

    Parameters
    ----------
    kind : "family" or "model"; of anything else no way is known.
    """
    if kind == "model" and name in families:
        yield f"{name!r} is a family: emframe.Mixture({name!r}, n_components)."
    plain = _plain(name)
    if kind == "model" and plain in SHORT:
        yield f"It is {SHORT[plain]}."
    if kind != "family":
        return
    if name in models:
        yield f"It is a model: emframe.model({name!r})."
    if plain in SHORT:
        yield f"It is {SHORT[plain]}."
    for word, wrapper in WRAPPERS.items():
        if plain.startswith(word):
            inner = plain.removeprefix(word)
            named, law = _named(inner, families), _of_scipy(inner)
            if named is not None:
                yield f'It is emframe.{wrapper}("{named}").'
            elif law is not None:
                yield f'It is emframe.{wrapper}(emframe.from_scipy("{law}")).'
    if plain in families:  # in other letters, which is near enough to be guessed
        return
    found = _named(plain, families)
    if found is not None:
        yield f"Here it is the family {found!r}."
    elif (law := _of_scipy(name)) is not None:
        yield f'It is one of scipy\'s: emframe.from_scipy("{law}").'


def _plain(name: str) -> str:
    """A name as words with hyphens."""
    return re.sub(r"[\s_.]+", "-", name.strip().lower())


def _named(plain: str, families: Mapping[str, FamilyEntry]) -> str | None:
    """The family of that name, or that is called so elsewhere."""
    if plain in families:
        return plain
    for entry in families.values():
        if plain in (_plain(other) for _, other in entry.synonyms):
            return entry.name
    return None


def _of_scipy(name: str) -> str | None:
    """The distribution of scipy.stats of that name, which is imported for it."""
    import scipy.stats  # not with emframe: it takes long, and only a mistake asks

    known: tuple[Any, ...] = (scipy.stats.rv_continuous, scipy.stats.rv_discrete)
    for one in (name, _plain(name), _plain(name).replace("-", "_"), _plain(name).replace("-", "")):
        if isinstance(getattr(scipy.stats, one, None), known):
            return one
    return None
