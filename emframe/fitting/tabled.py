"""What has rows is a table: as text, as a frame, as a file, in a notebook.

One known case: ``fit.profiles().to_csv("profiles.csv")``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from emframe.fitting.faces import face

if TYPE_CHECKING:
    from pandas import DataFrame


class Tabled:
    """A result that can be shown as a table of `rows`, each a dict of the same names."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the table."""
        raise NotImplementedError

    def to_frame(self) -> DataFrame:
        """`rows` as a data frame; ImportError without pandas, naming the extra."""
        return face("frame_of")(self.rows)

    def to_csv(self, path: str | Path | None = None, **options: Any) -> str | None:
        """Write `rows` as CSV, by pandas and with its options; the text where there is no path."""
        return self.to_frame().to_csv(path, index=False, **options)

    def to_latex(self, path: str | Path | None = None, **options: Any) -> str | None:
        """Write `rows` as a LaTeX table, by pandas and with its options (it needs jinja2)."""
        return self.to_frame().to_latex(path, index=False, **options)

    def __str__(self) -> str:
        return face("rows_text")(self.rows)

    def _repr_html_(self) -> str:
        return face("rows_html")(self.rows)
