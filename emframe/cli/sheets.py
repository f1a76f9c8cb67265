"""Data for the commands: a data set that is shipped, or a CSV or Parquet file, as a sheet of cells.

Cells stay text until a column is asked for by name or number, so that a file may hold columns
that are no numbers, and predictions can be appended to the rows as they came.

A first line with no number in it is a header; one with nothing but numbers is data.  One with
both could be either, and is refused unless the caller says which.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import click
import numpy as np

import emframe
from emframe.data.dask import client_in_use
from emframe.datasets import Dataset
from emframe.messages.extras import extra
from emframe.spaces import Array

_PARQUET = b"PAR1"  # how a Parquet file begins
_OTHER = {  # how files begin that hold no plain text
    b"PK": "a workbook, or another archive",
    b"\xd0\xcf\x11\xe0": "an old workbook",
    b"\x1f\x8b": "compressed",
    b"$FL2": "a file of SPSS",
}
_MISSING = {"", "na", "nan", "null"}
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)([T ]\d\d:\d\d\S*)?")
_DAY = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}")  # a date in another order


@dataclass(frozen=True)
class Spelling:
    """How numbers are written in cells, which stay as they are."""

    decimal: str = "."  # what they have before their fraction
    since: date | None = None  # where dates are numbers of days since then

    def plain(self, cell: str) -> str:
        """A number as Python writes it; anything else as it is."""
        text = cell.strip()
        if self.decimal == "," and re.fullmatch(r"[+-]?\d*,\d+([eE][+-]?\d+)?", text):
            return text.replace(",", ".")
        if self.since is None or not _DATE.fullmatch(text):
            return text
        try:
            then = datetime.fromisoformat(text)
        except ValueError:  # no day of the calendar
            return text
        start = datetime.combine(self.since, time(), then.tzinfo)
        return exact((then - start) / timedelta(days=1))


@dataclass(frozen=True)
class Sheet:
    """Rows of cells, the line that each came from, and a name for every column."""

    origin: str
    names: tuple[str, ...]  # x0, x1, ... where there is no header
    has_header: bool
    cells: Sequence[Sequence[str]]
    lines: Sequence[int]
    weights: Array | None = None  # a shipped data set's own
    family: str | None = None  # that a shipped data set illustrates
    unit: str = "line"  # what `lines` count
    spelling: Spelling = Spelling()
    collection: Any = None  # of Dask, which has the rows in the place of `cells`

    def find(self, columns: str) -> list[int]:
        """Column numbers from ``a,b``: names, or numbers from 0.

        Raises ValueError for an unknown or repeated one.
        """
        found = []
        names = next(csv.reader([columns], skipinitialspace=True), [])
        for which in map(str.strip, names):
            if which in self.names:
                found.append(self.names.index(which))
            elif which.isdecimal() and int(which) < len(self.names):
                found.append(int(which))
            else:
                raise ValueError(
                    f"{self.origin} has no column {which!r}; it has {', '.join(self.names)} "
                    f"(or by number, 0 to {len(self.names) - 1})."
                )
        if not found or len(set(found)) < len(found):
            raise ValueError(f"columns {columns!r} name none, or one of them twice.")
        return found

    def numbers(self, columns: Sequence[int], covariates: Collection[str] = ()) -> Array:
        """The cells of these columns, (n, d); missing ones are nan, for the gate to refuse.

        Of `covariates` words are not to be coded, which a message says.

        Raises ValueError for the first cell that is no number, with its line and column.
        """
        values = np.empty((len(self.cells), len(columns)))
        for i, row in enumerate(self.cells):
            for j, column in enumerate(columns):
                try:
                    values[i, j] = _number(self.spelling.plain(row[column]))
                except ValueError:
                    is_given = self.names[column] in covariates
                    raise ValueError(self._complaint(i, column, is_given)) from None
        return values

    def holds_words(self, column: int) -> bool:
        """Whether a column has words; ValueError where these are dates, or decimal commas."""
        cells = [self.spelling.plain(row[column]) for row in self.cells]
        strange = [i for i, cell in enumerate(cells) if not _is_missing(cell) and not _reads(cell)]
        if strange and all(_is_otherwise_number(cells[i]) for i in strange):
            raise ValueError(self._complaint(strange[0], column, False))
        return bool(strange)

    def frame(self, columns: Sequence[int], words: Collection[int]) -> Any:
        """These columns as a data frame: words as such, None where missing; others as numbers."""
        pandas = extra("pandas", "dataframe", "words in a file")
        made: dict[str, Any] = {}
        for j in columns:
            if j in words:
                cells = [row[j].strip() for row in self.cells]
                made[self.names[j]] = [None if _is_missing(cell) else cell for cell in cells]
            else:
                made[self.names[j]] = self.numbers([j])[:, 0]
        return pandas.DataFrame(made)

    @contextmanager
    def telling_lines(self) -> Iterator[None]:
        """What is said of rows of `X` is said of the lines that they came from."""

        def line(row: re.Match[str]) -> str:
            return f"{self.origin}, {self.unit} {self.lines[int(row[1])]}"

        try:
            yield
        except (ValueError, TypeError) as error:
            told = re.sub(r"`X` row (\d+)", line, str(error)).replace("`X`", self.origin)
            if told == str(error):
                raise
            raise type(error)(told) from error

    def _complaint(self, i: int, column: int, is_covariate: bool) -> str:
        cell = self.cells[i][column]
        hint = (
            "leave the column out with --columns, correct the cell, or take the family "
            "'categorical' for words (of a response 'binomial' or 'multinomial')"
        )
        if is_covariate:
            hint = (
                "correct the cell, or where it is a category make a column of 0 and 1 for each "
                "value but one, and name these as predictors (codes 0, 1, 2 would have a slope)"
            )
        if _is_number(cell.replace(",", ".", 1)):
            hint = "say --decimal , or write decimals with a point"
        dated = _DATE.fullmatch(cell.strip())
        if dated:
            hint = f"say --since {dated[1]}, or another day, to read dates as days since then"
        elif _DAY.fullmatch(cell.strip()):
            hint = "write dates as 2024-03-31, and say by --since from which day they count"
        place = f"{self.origin}, {self.unit} {self.lines[i]}, column {self.names[column]!r}"
        return f"{place}: {cell!r} is not a number; {hint}."


@dataclass(frozen=True)
class TableReading:
    """How a file is written, as far as its text does not tell."""

    has_header: bool | None = None  # whether the first line names the columns
    sep: str | None = None  # what separates cells, if not what the first line suggests
    spelling: Spelling = Spelling()


def read(data: str, reading: TableReading = TableReading()) -> Sheet:
    """The sheet of a shipped data set, of a CSV or Parquet file, or of standard input (``-``).

    Raises ValueError for what is neither, or is no table.
    """
    if data in emframe.datasets():
        return _shipped(emframe.dataset(data))
    if data != "-" and not Path(data).is_file():
        try:
            emframe.dataset(data)
        except ValueError as error:
            is_folder = Path(data).is_dir()
            what = f"{data!r} is a directory" if is_folder else f"there is no file {data!r}"
            raise ValueError(f"{what}, and {error}") from None
    with click.open_file(data, "rb") as file:
        content = file.read()
    origin = "standard input" if data == "-" else data
    if content.startswith(_PARQUET):
        return replace(_parquet(content, origin), spelling=reading.spelling)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = next((one for mark, one in _OTHER.items() if content.startswith(mark)), None)
        if kind is not None:
            raise ValueError(f"{origin} is {kind}; save the table as CSV.") from error
        raise ValueError(f"{origin} is not UTF-8 text: {error}; save it as UTF-8.") from error
    return parse(text, origin, reading)


def on_dask(data: str, address: str) -> Sheet:
    """The sheet of Parquet files whose rows workers of Dask hold, and no cell comes here.

    Parameters
    ----------
    data : a file, a folder, or a pattern such as ``rows/*.parquet``.
    address : of a cluster's scheduler; empty for the client that is in use, or for workers of
        this machine, until the command ends.

    Raises ValueError for files that are not there, or are no Parquet.
    """
    frames = extra("dask.dataframe", "dask", "--dask")
    distributed = extra("distributed", "dask", "--dask")
    if address or client_in_use() is None:
        client = distributed.Client(*([address] if address else []), dashboard_address=None)
        click.get_current_context().call_on_close(client.close)
    told = f"{data!r} is no Parquet file, and no folder or pattern of some"
    try:
        rows = frames.read_parquet(data)
    except (OSError, ValueError) as error:
        raise ValueError(f"{told}: {error}.") from error
    if not len(rows.columns):
        raise ValueError(f"{told}.")
    return Sheet(data, tuple(map(str, rows.columns)), True, (), (), unit="row", collection=rows)


def parse(text: str, origin: str, reading: TableReading = TableReading()) -> Sheet:
    """The sheet that a text of comma, semicolon or tab separated values holds."""
    rows = _split(text, origin, reading.sep)
    has_header = reading.has_header
    if not rows:
        raise ValueError(f"{origin} is empty; expected rows of numbers.")
    line, first = rows[0]
    for number, row in rows:
        if len(row) != len(first):
            what = f"{len(row)} cell{'' if len(row) == 1 else 's'}" if row else "blank"
            raise ValueError(
                f"{origin}, line {number}: {what}; line {line} has {len(first)}. Cells are "
                "separated by commas, semicolons or tabs."
            )
    if has_header is None:
        has_header = _guess_header([reading.spelling.plain(one) for one in first], origin, line)
    names = tuple((name.strip() if has_header else "") or f"x{j}" for j, name in enumerate(first))
    for j, name in enumerate(names):
        if name in names[:j]:
            raise ValueError(f"{origin} has two columns called {name!r}; rename one.")
    body = rows[1:] if has_header else rows
    cells, lines = [row for _, row in body], [n for n, _ in body]
    return Sheet(origin, names, has_header, cells, lines, spelling=reading.spelling)


def exact(value: float) -> str:
    """A number as the shortest text that reads back as the same; whole ones without a point."""
    return repr(float(value)).removesuffix(".0")


def _split(text: str, origin: str, sep: str | None = None) -> list[tuple[int, list[str]]]:
    """Lines with their numbers, cut into cells; blank lines at the ends are no lines.

    The delimiter is the first of tab ; , that splits the first line: in that order, because a
    comma beside one of the others is a decimal comma.
    """
    head = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = sep or next(
        (d for d in "\t;," if len(next(csv.reader([head], delimiter=d), [])) > 1), ","
    )
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        skipinitialspace=delimiter != "\t",
        strict=True,
    )
    rows = []
    try:
        for row in reader:
            is_blank = len(row) < 2 and not "".join(row).strip()
            rows.append((reader.line_num, [] if is_blank else row))
    except csv.Error as error:
        raise ValueError(f"{origin}, line {reader.line_num}: {error}.") from error
    filled = [i for i, (_, row) in enumerate(rows) if row]
    return rows[filled[0] : filled[-1] + 1] if filled else []


def _guess_header(first: Sequence[str], origin: str, line: int) -> bool:
    present = [cell for cell in first if cell.strip().lower() not in _MISSING]
    numeric = [cell for cell in present if _is_number(cell)]
    if numeric and len(numeric) < len(present):
        word = next(cell for cell in present if cell not in numeric)
        raise ValueError(
            f"{origin}, line {line} has both numbers ({numeric[0]!r}) and words ({word!r}); say "
            "--header if these are the names of the columns, --no-header if they are data."
        )
    return bool(present) and not numeric


def _number(cell: str) -> float:
    text = cell.strip()
    if _is_missing(text):
        return math.nan
    if "_" in text:  # Python would read 1_000
        raise ValueError(cell)
    return float(text)


def _is_number(cell: str) -> bool:
    return not _is_missing(cell) and _reads(cell)


def _is_otherwise_number(cell: str) -> bool:
    """Whether a cell is a date, or would be a number with a decimal comma."""
    return bool(_DATE.fullmatch(cell) or _DAY.fullmatch(cell)) or _is_number(
        cell.replace(",", ".", 1)
    )


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in _MISSING


def _reads(cell: str) -> bool:
    """Whether a cell is a number, or missing."""
    try:
        _number(cell)
    except ValueError:
        return False
    return True


def _parquet(content: bytes, origin: str) -> Sheet:
    """The sheet of a Parquet file; rows count from 0."""
    pq = extra("pyarrow.parquet", "parquet", "reading Parquet")
    try:
        read = pq.read_table(io.BytesIO(content))
    except (OSError, ValueError) as error:  # pyarrow's own are of these kinds
        raise ValueError(f"{origin} is a damaged Parquet file: {error}.") from error
    columns = [[_cell(value) for value in column.to_pylist()] for column in read.columns]
    cells = list(zip(*columns, strict=True))
    names = tuple(read.column_names)
    return Sheet(origin, names, True, cells, range(len(cells)), unit="row")


def _cell(value: Any) -> str:
    """A value of a typed column as the text that a sheet has for it."""
    if value is None:
        return ""
    return exact(value) if isinstance(value, (bool, float)) else str(value)


def _shipped(data: Dataset) -> Sheet:
    cells = [[exact(value) for value in row] for row in data.X]
    return Sheet(
        data.name,
        data.columns,
        True,
        cells,
        range(len(cells)),
        weights=data.weights,
        family=data.family,
        unit="row",
    )
