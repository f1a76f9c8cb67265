"""Data on their way in: frames, arrays, files and streams become rows that a model may read.

`gate` lets them in or refuses them, `rows` is what they are from then on, `weights` says how often
each row counts, `demands` what every value has to be, and `gaps` which may be missing; `blocks`,
`frames` and `parquet` are where they may come from.
"""

from emframe.data.blocks import Blocks, is_unread
from emframe.data.elsewhere import refuse_elsewhere
from emframe.data.frames import aligned, refuse_other_index
from emframe.data.gaps import filled
from emframe.data.gate import Table, as_rows, chosen
from emframe.data.labelled import Labelled
from emframe.data.parquet import read_parquet
from emframe.data.parts import Own, Part, Parts
from emframe.data.placed import PlacedBlocks, PlacedRows
from emframe.data.rows import MOST_AT_ONCE, Rows, drawn
from emframe.data.sources import (
    brought_in,
    frequencies,
    from_device,
    in_parts,
    placed_rows,
    planned,
)
from emframe.data.sweeps import summed, swept
from emframe.data.weights import as_weights, counted, in_range, measured, warn_of_shares

__all__ = [
    "MOST_AT_ONCE",
    "Blocks",
    "Labelled",
    "Own",
    "Part",
    "Parts",
    "PlacedBlocks",
    "PlacedRows",
    "Rows",
    "Table",
    "aligned",
    "as_rows",
    "as_weights",
    "brought_in",
    "chosen",
    "counted",
    "drawn",
    "filled",
    "frequencies",
    "from_device",
    "in_parts",
    "in_range",
    "is_unread",
    "measured",
    "placed_rows",
    "planned",
    "read_parquet",
    "refuse_elsewhere",
    "refuse_other_index",
    "summed",
    "swept",
    "warn_of_shares",
]
