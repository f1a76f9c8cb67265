"""Parquet files as blocks of rows: data that stay on the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.data.blocks import Blocks
from emframe.messages.extras import extra


def read_parquet(
    path: str | Path | Sequence[str | Path],
    columns: Sequence[str] | None = None,
    *,
    rows: int = 1 << 16,
) -> Blocks:
    """The rows of a Parquet file, read anew for each pass over them.

    Parameters
    ----------
    path : the file, or a list of files whose rows follow on from one another.
    columns : which, by name; all of the first file if None.
    rows : how many are read at a time.

    Raises
    ------
    ImportError : where pyarrow is missing.
    ValueError : for a column that a file does not have, and for no files.

    Examples
    --------
    >>> import tempfile, pathlib, pyarrow as pa, pyarrow.parquet as pq
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "rows.parquet"
    ...     pq.write_table(pa.table({"n": [0, 1, 7, 8]}), path)
    ...     rows = emframe.read_parquet(path)
    ...     rows.n_rows, rows.columns
    (4, ('n',))
    """
    ParquetFile = extra("pyarrow.parquet", "parquet", "reading Parquet").ParquetFile
    paths = [path] if isinstance(path, (str, PathLike)) else list(path)
    if not paths:
        raise ValueError("`path` is an empty list; pass the path of a Parquet file, or several.")
    n_rows, names = 0, None if columns is None else tuple(columns)
    for one in paths:
        with ParquetFile(one) as file:
            known = file.schema_arrow.names
            n_rows += file.metadata.num_rows
        names = tuple(known) if names is None else names
        missing = [name for name in names if name not in known]
        if missing:
            raise ValueError(
                f"{one} has no column {', '.join(map(repr, missing))}; it has {', '.join(known)}."
            )
    taken = list(names or ())

    def read() -> Iterator[NDArray[Any]]:
        for one in paths:
            with ParquetFile(one) as file:
                for batch in file.iter_batches(batch_size=rows, columns=taken):
                    values = [batch.column(name).to_numpy(zero_copy_only=False) for name in taken]
                    yield np.column_stack(values)

    return Blocks(read, n_rows, len(taken), tuple(taken))
