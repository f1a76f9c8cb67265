"""Parameters as a data frame: a row for each number, ready to be joined, filtered and plotted.

pandas is imported here and nowhere else; it is in the extra `dataframe`.
"""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING, Any

from emframe.fitting.result import Fit
from emframe.inference import StandardErrors
from emframe.messages.extras import extra
from emframe.showing.tidy import entries, flat

if TYPE_CHECKING:
    from pandas import DataFrame


def parameter_frame(
    fit: Fit, errors: StandardErrors | None = None, level: float = 0.95
) -> DataFrame:
    """A tidy frame of a fit's parameters; see `Fit.to_frame`."""
    if errors is not None and not isinstance(errors, StandardErrors):
        raise TypeError(
            f"`errors` is a {type(errors).__name__}; pass fit.standard_errors(X), or nothing."
        )
    pandas = extra("pandas", "dataframe", "making data frames")
    shown = entries(fit.params, fit.component_columns)
    places = max((len(entry.place) for entry in shown), default=0)
    numbers: dict[str, Any] = {"estimate": flat(fit.params)}
    if errors is not None:
        ends = errors.confint(level)
        numbers["standard_error"] = flat(errors.params)
        numbers["lower"], numbers["upper"] = flat(ends.lower), flat(ends.upper)
    at = [entry.position for entry in shown]
    named = {
        "column" if axis == 0 else f"column_{axis + 1}": [
            entry.place[axis] if axis < len(entry.place) else nan for entry in shown
        ]
        for axis in range(places)
    }
    return pandas.DataFrame(
        {
            "parameter": [entry.parameter for entry in shown],
            "component": pandas.array([entry.component for entry in shown], dtype="Int64"),
            **named,
            **{name: values[at] for name, values in numbers.items()},
        }
    )


def frame_of(rows: list[dict[str, Any]]) -> DataFrame:
    """Rows of a table, each a dict of the same names, as a data frame."""
    return extra("pandas", "dataframe", "making data frames").DataFrame(rows)
