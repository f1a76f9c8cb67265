"""Parquet files as blocks of rows: data that stay on the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.data.blocks import Blocks
from emframe.extras import extra


def read_parquet(
    path: str | Path, columns: Sequence[str] | None = None, *, rows: int = 1 << 16
) -> Blocks:
    """The rows of a Parquet file, read anew for each pass over them.

    Parameters
    ----------
    columns : which, by name; all if None.
    rows : how many are read at a time.

    Raises
    ------
    ImportError : where pyarrow is missing.
    ValueError : for a column that the file does not have.
    """
    ParquetFile = extra("pyarrow.parquet", "parquet", "reading Parquet").ParquetFile
    with ParquetFile(path) as file:
        known, n_rows = file.schema_arrow.names, file.metadata.num_rows
    names = tuple(known if columns is None else columns)
    missing = [name for name in names if name not in known]
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(map(repr, missing))}; it has {', '.join(known)}."
        )

    def read() -> Iterator[NDArray[Any]]:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=rows, columns=list(names)):
                values = [batch.column(name).to_numpy(zero_copy_only=False) for name in names]
                yield np.column_stack(values)

    return Blocks(read, n_rows, len(names), names)
