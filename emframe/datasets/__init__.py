"""Small data sets that ship with the package, each with its source.

One known case: Old Faithful's 272 eruptions fall into two groups, short and long.
"""

from __future__ import annotations

import csv
import difflib
from dataclasses import dataclass
from importlib import resources

import numpy as np

from emframe.data import Table
from emframe.spaces import Array


@dataclass(frozen=True, kw_only=True)
class Dataset(Table):
    """A data set: rows with named columns, and frequencies where each row stands for several.

    It goes into `emframe.fit` as it is, weights included.
    """

    name: str
    family: str  # the family that it illustrates
    about: str
    source: str


@dataclass(frozen=True)
class _Entry:
    columns: tuple[str, ...]
    weights: str | None
    family: str
    about: str
    source: str


_ENTRIES = {
    "faithful": _Entry(
        ("eruptions", "waiting"),
        None,
        "gaussian",
        "272 eruptions of the Old Faithful geyser: duration and waiting time, minutes",
        "Azzalini and Bowman (1990), Applied Statistics 39, 357; Haerdle (1991)",
    ),
    "death_notices": _Entry(
        ("deaths",),
        "days",
        "poisson",
        "Death notices of women aged 80 and over in The Times, 1910-1912: days by count",
        "Hasselblad (1969), JASA 64, 1459; Titterington, Smith and Makov (1985)",
    ),
    "carcinoma": _Entry(
        ("A", "B", "C", "D", "E", "F", "G"),
        None,
        "bernoulli",
        "118 slides rated for carcinoma, yes or no, by seven pathologists",
        "Landis and Koch (1977), Biometrics 33, 363; Agresti (2002), table 13.1",
    ),
    "iris": _Entry(
        ("sepal_length", "sepal_width", "petal_length", "petal_width"),
        None,
        "gaussian",
        "150 iris flowers of three species: four measurements, cm",
        "Anderson (1935); Fisher (1936), Annals of Eugenics 7, 179",
    ),
    "earthquakes": _Entry(
        ("count",),
        None,
        "poisson",
        "Earthquakes of magnitude 7 or more in the world, each year from 1900 to 2006",
        "Zucchini and MacDonald (2009), Hidden Markov Models for Time Series, table 1.1",
    ),
    "orthodont": _Entry(
        ("child", "age", "distance", "male"),
        None,
        "linear-mixed",
        "27 children at ages 8, 10, 12, 14: from pituitary to pterygomaxillary fissure, mm",
        "Potthoff and Roy (1964), Biometrika 51, 313",
    ),
}


def datasets() -> dict[str, str]:
    """Names of the data sets that are shipped, each with a line about it.

    Examples
    --------
    >>> "iris" in emframe.datasets()
    True
    """
    return {name: entry.about for name, entry in _ENTRIES.items()}


def dataset(name: str) -> Dataset:
    """Load a data set that is shipped.

    Raises ValueError for an unknown name, with the known ones.

    Examples
    --------
    >>> emframe.dataset("faithful").columns
    ('eruptions', 'waiting')
    """
    if name not in _ENTRIES:
        near = difflib.get_close_matches(name, _ENTRIES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"no data set is called {name!r}; shipped: {', '.join(_ENTRIES)}.{hint}")
    entry = _ENTRIES[name]
    text = resources.files(__name__).joinpath(f"{name}.csv").read_text(encoding="utf-8")
    header, *lines = list(csv.reader(text.splitlines()))

    def column(which: str) -> Array:
        return np.array([float(line[header.index(which)]) for line in lines])

    return Dataset(
        X=np.column_stack([column(which) for which in entry.columns]),
        columns=entry.columns,
        weights=None if entry.weights is None else column(entry.weights),
        name=name,
        family=entry.family,
        about=entry.about,
        source=entry.source,
    )
