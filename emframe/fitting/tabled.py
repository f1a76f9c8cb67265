"""What has rows is a table: as text, as a frame, as a file, in a notebook.

One known case: ``fit.profiles().to_csv("profiles.csv")``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from emframe.fitting.faces import face

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


class Tabled:
    """A result that can be shown as a table of `rows`, each a dict of the same names.

    Every result is one: it prints, and has the same verbs, ``to_frame``, ``to_dict``, ``to_csv``,
    ``to_latex`` and ``plot``; a notebook shows it as a table.
    """

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the table."""
        own: list[dict[str, Any]] = self.table  # type: ignore[attr-defined]
        return own

    def to_frame(self) -> DataFrame:
        """`rows` as a data frame; ImportError without pandas, naming the extra."""
        return face("frame_of")(self.rows)

    def to_dict(self) -> dict[str, list[Any]]:
        """The columns of the table by their names, as plain Python."""
        rows = self.rows
        return {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}

    def to_csv(self, path: str | Path | None = None, **options: Any) -> str | None:
        """Write `rows` as CSV, by pandas and with its options; the text where there is no path."""
        return self.to_frame().to_csv(path, **{"index": False, **options})

    def to_latex(self, path: str | Path | None = None, **options: Any) -> str | None:
        """Write `rows` as a LaTeX table, by pandas and with its options (it needs jinja2)."""
        return self.to_frame().to_latex(path, **{"index": False, **options})

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw it, on the Axes that is given or in a new figure; needs matplotlib."""
        return face("result")(self, ax)

    def __str__(self) -> str:
        return face("rows_text")(self.rows) if self.rows else "nothing"

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.brief}>"

    @property
    def brief(self) -> str:
        """What it is, in a line."""
        return " ".join(str(self).split("\n")[0].split())

    def _repr_html_(self) -> str:
        return face("rows_html")(self.rows) if self.rows else "<p>nothing</p>"
