"""What the numbers that a model sees stand for in the frame that they come from.

    smokes   no, yes, yes      smokes   0, 1, 1      an outcome: the place of each value
    sex      m, f, m           sex_m    1, 0, 1      a predictor: indicators of all but the first

Read off the data once, before the fit, and kept with the model: rows that come later are read
alike, and tables, pictures and files have the words.

One known case: of a frame of numbers the legend is empty, and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from emframe.data.covariates import Covariates, frames
from emframe.data.formulas import Design, described, is_formula
from emframe.data.frames import is_frame, names_of
from emframe.data.runs import Sequences
from emframe.data.words import (
    Levels,
    codes_of,
    column_of,
    is_ordered,
    levels_of,
    told,
    with_columns,
)
from emframe.messages.extras import extra
from emframe.spaces import Array

SERIES = "x0"  # what the one column of a series without a name is called


@dataclass(frozen=True)
class Kind:
    """What a column of outcomes may hold in the place of codes."""

    most: float  # how many values
    ranked: bool  # whether their order means something
    owner: str  # whose it is, for messages


@dataclass(frozen=True)
class Legend:
    """The words behind codes and indicators, and which columns are read where that was said."""

    columns: tuple[str, ...] | None = None  # that the family reads, if it does not say so itself
    outcomes: tuple[tuple[str, Levels], ...] = ()  # columns, and what 0, 1, ... stand for in each
    given: Covariates | None = None  # predictors of words, and formulas
    group: str | None = None  # the column that says which rows are of one run

    @property
    def levels(self) -> Mapping[str, Levels]:
        """The values of each column of words that is modelled, in order of their codes."""
        return dict(self.outcomes)

    @property
    def spelt(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the columns in the place of each predictor."""
        return {} if self.given is None else self.given.spelt

    @property
    def is_empty(self) -> bool:
        """Whether nothing was read off data yet."""
        return not self.outcomes and self.given is None

    def in_runs(self, X: Any) -> Any:
        """The rows of a frame in runs, where a column says which; anything else as it is."""
        return X if self.group is None or not is_frame(X) else Sequences.by(X, self.group)

    def of(self, X: Any) -> Any:
        """Frames in numbers; anything else as it is."""
        X = self.in_runs(X)
        return X if self.is_empty else self._coded(X)

    def _coded(self, X: Any) -> Any:
        if isinstance(X, Sequences):
            return replace(X, x=self._coded(X.x))
        if isinstance(X, (list, tuple)):
            return [self._frame(one) if is_frame(one) else one for one in X]
        return self._frame(X) if is_frame(X) else X

    def _frame(self, frame: Any) -> Any:
        made: dict[str, Array] = {}
        for name, levels in self.outcomes:
            column = column_of(frame, name)
            if levels_of(column, always=column.dtype == extra_boolean()):
                made[name] = codes_of(column, name, levels)
        if self.given is not None:
            there = self.given.of(frame)
            made |= dict(zip(self.given.labels, there.T, strict=True))
        return with_columns(frame, made) if made else frame

    def words(self, rows: Array, columns: Sequence[str]) -> Any:
        """Rows (n, d) of a model as a data frame, with words where they were read as such."""
        pandas = extra("pandas", "dataframe", "rows with words in them")
        made: dict[str, Any] = {}
        for name, values in zip(columns, rows.T, strict=True):
            levels = self.levels.get(name)
            if levels is None:
                made[name] = values
                continue
            codes = np.where(np.isnan(values), -1, values).astype(int)
            made[name] = pandas.Categorical.from_codes(codes, categories=list(levels))
        return pandas.DataFrame(made)

    def describe(self) -> dict[str, Any]:
        """The legend as JSON; `legend_from` makes it again."""
        given = None
        if self.given is not None:
            levels = self.given.levels or ()
            told_levels = [
                one.describe() if isinstance(one, Design) else list(one) for one in levels
            ]
            given = {"columns": list(self.given.columns), "levels": told_levels}
        return {
            "columns": None if self.columns is None else list(self.columns),
            "group": self.group,
            "outcomes": [[name, list(levels)] for name, levels in self.outcomes],
            "given": given,
        }


def legend_from(described_: Mapping[str, Any]) -> Legend:
    """The legend of what `Legend.describe` gave."""
    given = described_["given"]
    if given is not None:
        levels = (
            described(one) if isinstance(one, Mapping) else tuple(map(str, one))
            for one in given["levels"]
        )
        given = Covariates(tuple(given["columns"]), tuple(levels))
    columns = described_["columns"]
    outcomes = ((str(name), tuple(map(str, levels))) for name, levels in described_["outcomes"])
    group = described_.get("group")
    if not (group is None or isinstance(group, str)):
        raise TypeError(f"`group` is {group!r}; expected a name or null")
    own = None if columns is None else tuple(map(str, columns))
    return Legend(own, tuple(outcomes), given, group)


def read_off(
    X: Any,
    columns: Sequence[str] | None,
    beside: Collection[str],
    covariates: Sequence[int],
    kinds: Callable[[int], Mapping[int, Kind]],
    said: Legend,
) -> Legend:
    """The legend of frames for a model that reads some of their columns.

    Parameters
    ----------
    columns : those of the family, by name; None for all but those `beside`, which a gate reads.
    covariates : places among them that are given and not modelled.
    kinds : for a number of columns what each place holds that may hold words.
    said : what the user said of the model's columns.

    Raises ValueError for a column that is missing, a predictor with gaps or a single value, more
    values than the family has codes, and values whose order is not told where it matters.
    """
    X = said.in_runs(X)
    some = [*frames(X), *_series(X)]
    if not some:
        if columns is not None and any(is_formula(columns[j]) for j in covariates):
            raise TypeError("a formula reads columns by name; pass a data frame.")
        return said
    names = tuple(n for n in names_of(some[0]) if n != said.group) or (_name(some[0]),)
    if len(set(names)) < len(names):  # which is refused where rows are read
        return said
    own = tuple(columns) if columns is not None else tuple(n for n in names if n not in beside)
    given = [own[j] for j in covariates if j < len(own)] if columns is not None else []
    found = {}
    for place, kind in kinds(len(own)).items():
        name = own[place]
        if name not in names:
            continue
        levels = _levels([column_of(frame, name) for frame in some], name, kind)
        if levels:
            found[name] = levels
    formulas = [name for name in given if is_formula(name)]
    there = [name for name in given if name in names and name not in found]
    words = [name for name in there if levels_of(column_of(some[0], name))]
    told_given = Covariates((*formulas, *words)).settled(X) if formulas or words else None
    return replace(said, outcomes=tuple(found.items()), given=told_given)


def _series(X: Any) -> list[Any]:
    X = X.x if isinstance(X, Sequences) else X
    return [X] if is_frame(X) and not names_of(X) and not hasattr(X, "collect_schema") else []


def _name(series: Any) -> str:
    return str(getattr(series, "name", None) or SERIES)


def _levels(columns: Sequence[Any], name: str, kind: Kind) -> Levels:
    """The values of a column of outcomes over all frames; none of numbers."""
    boolean = kind.most > 2 and all(one.dtype == extra_boolean() for one in columns)
    each = [levels_of(column, boolean, unseen=True) for column in columns]
    levels = tuple(dict.fromkeys(one for some in each for one in some))
    if len(levels) != kind.most:  # what no row has is no answer, unless they are as many as said
        each = [levels_of(column, boolean) for column in columns]
        seen = {one for some in each for one in some}
        levels = tuple(one for one in levels if one in seen)
    if not levels:
        return ()
    if len(set(each)) > 1 and not all(map(is_ordered, columns)):
        levels = tuple(sorted(levels))
    if len(levels) > kind.most:
        raise ValueError(
            f"`X` column {name!r} has the values {told(levels)}, and {kind.owner} takes "
            f"{kind.most:g}; "
            + (
                "the family 'categorical' takes any number."
                if kind.most == 2
                else "pass a larger levels=, or put values together."
            )
        )
    if kind.most == 2 and len(levels) == 1:
        raise ValueError(
            f"`X` column {name!r} is {levels[0]!r} in every row, so that it is not told which of "
            "two values that is; pass a category of both, "
            f"pandas.Categorical(X[{name!r}], categories=['no', 'yes'])."
        )
    if kind.ranked and len(levels) > 2 and not all(map(is_ordered, columns)):
        raise ValueError(
            f"`X` column {name!r} has the values {told(levels)}, whose order {kind.owner} has to "
            f"know; pass pandas.Categorical(X[{name!r}], categories=[...], ordered=True), the "
            "lowest first."
        )
    return levels


def extra_boolean() -> Any:
    """The type of columns of True and False."""
    return extra("narwhals", "dataframe", "reading data frames").Boolean
