"""Validated rows that lie in parts: what a fit asks of rows, by tasks that are sent to them.

No row comes to the process that asks but those that are drawn for a sample, and no pass sends more
than what it works with.  The rows of each part are validated once, where they are, and kept there
as they were read; each answer tells of which rows it is, by a count and a fingerprint, and has to
tell the same as at first.

One known case: rows in one part are asked what rows in memory are, with the same answers.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import pairwise
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.data.arrays import Weighted, ones, read_only
from emframe.data.blocks import Blocks
from emframe.data.parts import Answer, Own, Part, Parts, Reader, count, fingerprint, noted
from emframe.data.rows import Rows
from emframe.data.runs import SequenceRows
from emframe.data.weights import in_units
from emframe.engines import Audited, Device, Workspace, one_blas_thread
from emframe.engines.tally import Tally
from emframe.spaces import Array

FEW_ROWS = 20_000  # as many as a start looks at, of any number: so many may come together
FEW = 1 << 18  # distinct rows of a part that are brought together with those of the others


@dataclass(frozen=True)
class Facts:
    """What is known of a part once its rows have been read."""

    seen: Tally
    given: int  # rows, or runs, that it was given, those of weight 0 included
    rows_given: int = 0  # the same, in single rows
    n: int = 0  # rows, or runs, of positive weight
    n_single: int = 0  # the same, in single rows
    weight: float = 0.0  # of rows, or runs, together
    total: float = 0.0  # rows that they stand for
    heaviest: float = 0.0
    is_plain: bool = True  # whether all weights are 1
    columns: tuple[str, ...] = ()
    in_runs: bool = False
    keys: NDArray[Any] | None = None  # (S,) what runs are called, where a column says so


def placed(
    read: Callable[..., Any], X: Parts, weights: Any, labels: Own | None = None
) -> PlacedRows:
    """The rows of all parts, validated where they lie.

    Parameters
    ----------
    read : ``read(data, weights)`` makes the rows of one part.
    weights : None; `Own` for those that lie with the parts; or (n,) of all rows in their order,
        which are sent along with each task.
    labels : which to read as well, if any.

    Raises what `read` raises, with the number of the row among all.
    """
    own_weights = weights if isinstance(weights, Own) else None
    reader = Reader(read, _token((read, own_weights, labels)), own_weights, labels)
    given = None if weights is None or own_weights else np.asarray(weights, dtype=float)
    told: list[Any] = X.each(_count) if given is not None else [0] * len(X)
    bounds = np.cumsum([0, *told])
    if given is not None and given.shape != (bounds[-1],):
        raise ValueError(
            f"`weights` has shape {given.shape}, data has {bounds[-1]} rows; pass one weight per "
            "row, or let them lie with the parts: emframe.Parts(parts, weights=[...])."
        )
    own = [None if given is None else given[slice(*bounds[i : i + 2])] for i in range(len(X))]
    facts: list[Facts] = []
    tried = X.each_apart(_facts, [(reader, weights_of) for weights_of in own])
    for i, found in enumerate(tried):
        if isinstance(found, Exception):
            first = sum(fact.rows_given for fact in facts)
            raise _told(X, i, reader, own, first, found)
        facts.append(found)
    _refuse_torn(facts)
    if X.cut_anywhere and any(fact.in_runs and fact.keys is None for fact in facts):
        raise TypeError(
            "`X` is cut into chunks without regard to runs of rows, and this model is of runs; "
            "pass emframe.Parts([...]) with emframe.Sequences for each part."
        )
    columns = next((fact.columns for fact in facts if fact.n), ())
    for i, fact in enumerate(facts):
        if fact.n and fact.columns != columns:
            raise ValueError(
                f"part {i} of `X` has the columns {', '.join(fact.columns)}, and those before it "
                f"{', '.join(columns)}; pass the same ones, in the same order."
            )
    if not any(fact.n for fact in facts):
        raise ValueError("`X` has no rows; pass at least one.")
    kind = PlacedRuns if any(fact.in_runs for fact in facts) else PlacedRows
    return kind(X, reader, tuple(facts), columns, tuple(own))


def _refuse_torn(facts: Sequence[Facts]) -> None:
    """Raise ValueError for a run that lies in two parts, where runs have names."""
    home: dict[Any, int] = {}
    for i, fact in enumerate(facts):
        for key in () if fact.keys is None else fact.keys.tolist():
            first = home.setdefault(key, i)
            if first != i:
                raise ValueError(
                    f"the rows of run {key!r} lie in the parts {first} and {i} of `X`; a run lies "
                    "whole in one part."
                )


def _token(key: Any) -> str:
    try:
        return hashlib.sha256(pickle.dumps(key)).hexdigest()
    except Exception:  # of what pickle does not know: a key of its own, for a reading of its own
        return f"{id(key)} {np.random.default_rng().integers(1 << 62)}"


def _told(
    X: Parts, i: int, reader: Reader, own: Sequence[Any], first: int, error: Exception
) -> Exception:
    """The same refusal, with the number of the row among all, and of the part."""
    again = X.each_apart(_facts_at, [(j == i, reader, own[j], first) for j in range(len(X))])[i]
    found = again if isinstance(again, type(error)) else error
    found.add_note(f"in part {i} of `X`, whose first row is row {first} of all")
    return found


# ---- what is done where a part is


def _count(part: Part) -> int:
    return count(part.table()[0])


def _facts(part: Part, reader: Reader, weights: Array | None, first: int = 0) -> Facts:
    """Read the rows of a part, and tell what they are."""
    rows, seen, given = _read(part, reader, weights, first)
    if rows is None:
        return Facts(seen, given, given)
    in_runs = isinstance(rows, SequenceRows)
    unit = rows.unit
    return Facts(
        seen,
        rows.n_given,
        rows.n_rows_given if in_runs else rows.n_given,
        len(rows),
        rows.n_single,
        unit * float(rows.weights.sum()),
        rows.total,
        unit * rows.heaviest,
        rows.weights.strides == (0,) and unit == 1.0 and float(rows.weights[0]) == 1.0,
        rows.columns,
        in_runs,
        np.asarray(rows.x.keys) if in_runs and rows.x.keys is not None else None,
    )


def _facts_at(part: Part, is_it: bool, *args: Any) -> Facts | None:
    return _facts(part, *args) if is_it else None


def _read(
    part: Part, reader: Reader, weights: Array | None, first: int = 0
) -> tuple[Any, Tally, int]:
    """The rows of a part as they were validated, or None; their tally; how many it was given."""

    def make() -> tuple[Any, Tally, int]:
        rows = reader.rows(part, first, weights)
        if rows is None:
            return None, Tally(), _count(part)
        if isinstance(getattr(rows, "source", None), Blocks):
            raise TypeError("a part is rows in memory, or a callable that gives them.")
        return rows, fingerprint(rows), rows.n_given

    own = None if weights is None else hashlib.sha256(weights.tobytes()).digest()
    found: tuple[Any, Tally, int] = part.made((reader.token, own), make)
    return found


def _on_rows(
    part: Part, reader: Reader, weights: Array | None, unit: float, task: Any, *args: Any
) -> Answer:
    """A task at the rows of a part: ``task(rows, *args)``."""
    try:
        rows, seen, _ = _read(part, reader, weights)
    except Exception as error:
        told = f"{type(error).__name__}: {error}".rstrip(".: ")
        raise noted(f"a part of `X` could not be read again: {told}") from error
    if rows is None:
        return Answer(0, None, seen)
    rows = in_units(rows, unit / rows.unit)
    with np.errstate(all="ignore"), one_blas_thread():
        return Answer(0, task(rows, *args), seen)


def _block_sums(rows: Any, size: int, of_block: Any) -> Any:
    """What an engine adds up, of the blocks of one part."""
    work = Workspace()
    return reduce(add, (of_block(block, work) for block in rows.blocks(size)))


def _of_blocks(rows: Any, size: int, is_sum: bool, of_block: Any, *beside: Any) -> Any:
    """``of_block(x, weights, *some)`` of each block, with its share of what goes with the rows."""
    found = list(over(rows, size, of_block, *beside))
    return reduce(add, found) if is_sum else found


def over(rows: Any, size: int, of_block: Any, *beside: Any) -> Iterator[Any]:
    """The same, of rows that are at hand; `beside` has one entry to each row, or each run."""
    unit = single = 0
    for x, weights in rows.blocks(size):
        n, m = len(weights), int(x.lengths.sum()) if hasattr(x, "lengths") else len(weights)
        own = (
            one[unit : unit + n] if len(one) == len(rows) else one[single : single + m]
            for one in beside
        )
        yield of_block(x, weights, *own)
        unit, single = unit + n, single + m


def _fetched(rows: Any, is_it: bool) -> Any:
    return rows if is_it else None


def _at(rows: Any, chosen: NDArray[np.intp]) -> Any:
    return rows.at(chosen)


def _drawn(rows: Any, places: Array) -> tuple[Any, int]:
    """Rows at these places of the total weight of a part, and how many of them."""
    if rows.weights.strides == (0,):
        chosen = (places / float(rows.weights[0])).astype(np.intp)
    else:
        chosen = np.searchsorted(np.cumsum(rows.weights), places, side="right")
    return rows.at(np.minimum(chosen, len(rows) - 1)), len(places)


def _some_distinct(rows: Any, at_most: int) -> Array:
    found: Array = rows.some_distinct(at_most)
    return found


def _condensed(rows: Any) -> tuple[Array, Array] | None:
    """Distinct rows and their weights, where they are few enough to be worth it."""
    found = rows.distinct()
    if found is rows or len(found) > FEW:
        return None
    return np.array(found.x), np.array(found.weights)


def _numbers(rows: Any) -> NDArray[np.intp]:
    return np.asarray(rows.numbers)


def _places(rows: SequenceRows) -> NDArray[np.intp]:
    """Where each row stood in what the part was given."""
    return np.arange(rows.n_single) if rows.rows is None else rows.rows


def _weights(rows: Any) -> Array:
    return np.array(rows.weights)


# ---- the rows of all parts


@dataclass(frozen=True)
class PlacedRows(Weighted):
    """`Rows` whose parts lie elsewhere."""

    parts: Parts
    reader: Reader
    facts: tuple[Facts, ...]
    columns: tuple[str, ...]  # (d,)
    sent: tuple[Array | None, ...]  # weights that are not with the parts
    unit: float = 1.0  # what a weight of 1 stands for
    in_memory = False
    kind: type = field(default=Rows, repr=False)

    def __getstate__(self) -> Any:
        raise TypeError("rows in parts lie where they are, and are not sent anywhere")

    def __len__(self) -> int:
        return sum(fact.n for fact in self.facts)

    @property
    def n_single(self) -> int:
        """Single rows, those of all runs together."""
        return sum(fact.n_single for fact in self.facts)

    @property
    def n_given(self) -> int:
        """Rows, or runs, that the user gave, those of weight 0 included."""
        return sum(fact.given for fact in self.facts)

    @property
    def n_rows_given(self) -> int:
        """The same in single rows."""
        return sum(fact.rows_given for fact in self.facts)

    @property
    def total(self) -> float:
        """Number of rows that the weights stand for."""
        return float(sum(fact.total for fact in self.facts))

    @property
    def weight(self) -> float:
        """Total weight, in the user's units."""
        return float(sum(fact.weight for fact in self.facts))

    @property
    def heaviest(self) -> float:
        return max(fact.heaviest for fact in self.facts) / self.unit

    def in_units(self, unit: float) -> PlacedRows:
        return replace(self, unit=unit * self.unit)

    @cached_property
    def weights(self) -> Array:  # type: ignore[override]
        """Those of all rows, (n,): a number for each row here, unless all are 1."""
        if all(fact.is_plain for fact in self.facts) and self.unit == 1.0:
            return ones(len(self))
        return read_only(np.concatenate(self.ask(_weights)))

    @property
    def numbers(self) -> NDArray[np.intp]:
        """Where each row, or run, stood in what the user gave, (n,)."""
        if self.n_given == len(self):
            return np.arange(len(self))
        firsts = np.cumsum([0, *(fact.given for fact in self.facts)])[self.with_rows]
        found = self.ask(_numbers)
        return np.concatenate([own + at for own, at in zip(found, firsts, strict=True)])

    @property
    def with_rows(self) -> list[int]:
        """The parts that have rows."""
        return [i for i, fact in enumerate(self.facts) if fact.n]

    # ---- asking

    def ask(self, task: Callable[..., Any], args: Sequence[tuple[Any, ...]] | None = None) -> Any:
        """``task(rows, *args[i])`` of part i, in the order of the parts that have rows.

        Raises what the task raises, and `EngineError` where a part holds other rows than at first.
        """
        own = [()] * len(self.facts) if args is None else args
        answers = self.parts.ask(
            _on_rows,
            [
                (self.reader, weights, self.unit, task, *more)
                for weights, more in zip(self.sent, own, strict=True)
            ],
        )
        for one, fact in zip(answers, self.facts, strict=True):
            if one.seen is None or not one.seen.is_of(fact.seen):
                raise noted(
                    f"part {one.index} of `X` answered for {one.seen or 'no rows'}, and had "
                    f"{fact.seen} at first{_odd(one.seen, fact.seen)}; parts have to hold the same "
                    "rows throughout a fit"
                )
        return [one.value for one, fact in zip(answers, self.facts, strict=True) if fact.n]

    def _shares(self, values: Any) -> list[Any]:
        """Values of rows, or of single rows, as those of each part; (n, ...)."""
        each = "n" if len(values) == len(self) else "n_single"
        bounds = np.cumsum([0, *(getattr(fact, each) for fact in self.facts)])
        return [values[bounds[i] : bounds[i + 1]] for i in range(len(self.facts))]

    def blocks(self, size: int) -> PlacedBlocks:
        """Blocks that are summed where they are; to go through them brings them here."""
        return PlacedBlocks(self, size)

    def of(self, parts: Sequence[Any], weights: Array) -> Any:
        """Other rows, or runs, of the same columns, which are here."""
        return self.kind.of(self, parts, weights)  # type: ignore[attr-defined]

    def sample(self, most: int, rng: np.random.Generator) -> Any:
        """Rows drawn as often as their weights say, as `Rows.sample` draws them; they come here."""
        n = self.n_single
        if n <= most:
            return self.fetched()
        size = most if self.kind is Rows else max(1, most * len(self) // n)
        places = (np.arange(size) + rng.random(size)) / size * (self.weight / self.unit)
        ends = np.cumsum([fact.weight / self.unit for fact in self.facts])
        begins = np.append(0.0, ends[:-1])
        of = np.minimum(np.searchsorted(ends, places, side="right"), self.with_rows[-1])
        args = [(np.maximum(places[of == i] - begins[i], 0.0),) for i in range(len(self.facts))]
        found = self.ask(_drawn, args)
        return self.of([x for x, m in found if m], np.ones(size))

    def at(self, chosen: NDArray[np.intp]) -> Any:
        """The rows, or runs, with these indices, which ascend."""
        ends = np.cumsum([0, *(fact.n for fact in self.facts)])
        args = []
        for first, last in pairwise(ends):
            mine = chosen[slice(*np.searchsorted(chosen, [first, last]))]
            args.append((mine - first,))
        found = self.ask(_at, args)
        return self.of(found, ones(len(chosen))).x

    def fetched(self) -> Any:
        """All rows, here."""
        whole: Any = self.blocks(1).whole()
        return whole

    @property
    def x(self) -> Any:
        """All rows, or runs, here; with a warning where they are more than a few."""
        if self.n_single > FEW_ROWS:
            size = 8e-6 * self.n_single * len(self.columns)
            warnings.warn(
                f"all {self.n_single} rows of `X`, {size:.1f} MB, are brought here from their "
                "parts, for what is asked of them needs them side by side; pass some of them "
                "where they are too many.",
                stacklevel=3,
            )
        return self.fetched().x

    def n_distinct(self, at_most: int) -> int:
        """Number of distinct rows, counted no further than `at_most`."""
        found = np.concatenate(self.ask(_some_distinct, [(at_most,)] * len(self.facts)))
        return min(at_most, len(np.unique(found, axis=0)))

    def distinct(self) -> Any:
        """Distinct rows with their weights added up, here, where all parts have few of them."""
        found = self.ask(_condensed)
        if any(one is None for one in found):
            return self
        x, weights = (np.concatenate(each) for each in zip(*found, strict=True))
        whole = Rows(read_only(x), read_only(weights), self.columns, unit=self.unit)
        again = whole.distinct()
        return self if 2 * len(again) > len(self) else again


@dataclass(frozen=True)
class PlacedRuns(PlacedRows):
    """`SequenceRows` whose parts lie elsewhere; no run lies in two."""

    kind: type = field(default=SequenceRows, repr=False)

    @property
    def n_runs(self) -> float:
        """Number of runs that the weights stand for."""
        return self.weight

    def of_rows(self, values: NDArray[Any]) -> NDArray[Any]:
        """Values of all rows that the user gave, as those of the rows that are left."""
        if self.n_given == len(self):
            return values
        firsts = np.cumsum([0, *(fact.rows_given for fact in self.facts)])[self.with_rows]
        own = zip(self.ask(_places), firsts, strict=True)
        return values[np.concatenate([places + first for places, first in own])]


def _odd(seen: Tally | None, before: Tally) -> str:
    """What is odd about a tally whose numbers look right."""
    return ", but these are others" if f"{seen}" == f"{before}" else ""


@dataclass(frozen=True)
class PlacedBlocks:
    """The blocks of rows in parts."""

    rows: PlacedRows
    size: int

    def sum(self, of_block: Callable[..., Any]) -> Any:
        """``of_block(block, workspace)`` of every block, added up part by part, in their order.

        A sum of some parts that is no number is asked for again.

        Raises `EngineError` where it is a number the second time.
        """
        found = self._asked(_block_sums, (self.size, of_block))
        odd = [_is_nan(one) for one in found]
        if any(odd) and not all(odd):
            again = [_is_nan(one) for one in self._asked(_block_sums, (self.size, of_block))]
            for i, (before, after) in enumerate(zip(odd, again, strict=True)):
                if before != after:
                    raise noted(
                        f"part {self.rows.with_rows[i]} of `X` answered nan, and then a number to "
                        "the same task; what it lies in is not to be relied on"
                    )
        return reduce(add, found)

    def over(self, is_sum: bool, of_block: Callable[..., Any], *beside: Any) -> Any:
        """``of_block(x, weights, *some)`` of every block: their sum, or all of them in order."""
        shares = [self.rows._shares(one) for one in beside]
        args = [
            (self.size, is_sum, of_block, *(share[i] for share in shares))
            for i in range(len(self.rows.facts))
        ]
        return reduce(add, self.rows.ask(_of_blocks, args))

    def _asked(self, task: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        return self.rows.ask(task, [args] * len(self.rows.facts))

    def __iter__(self) -> Iterator[tuple[Any, Array]]:
        for part in self.brought():
            yield from part.blocks(self.size)

    def brought(self) -> Iterator[Any]:
        """The rows of one part after another, brought here."""
        n = len(self.rows.facts)
        for i, fact in enumerate(self.rows.facts):
            if fact.n:
                found = self.rows.ask(_fetched, [(j == i,) for j in range(n)])
                yield next(one for one in found if one is not None)

    def whole(self) -> Any:
        """All rows, or runs, here."""
        found, rows = list(self.brought()), self.rows
        weights = ones(len(rows)) if _is_plain(rows) else _joined(found)
        parts = [one.x for one in found]
        together = rows.of(parts, read_only(weights))
        numbers = rows.numbers
        if rows.kind is Rows:
            kept = None if rows.n_given == len(rows) else numbers
            return replace(together, kept=kept, n_removed=rows.n_given - len(rows), unit=rows.unit)
        firsts = np.cumsum([0, *(fact.rows_given for fact in rows.facts)])[rows.with_rows]
        places = [at + _places(one) for one, at in zip(found, firsts, strict=True)]
        return replace(
            together,
            numbers=numbers,
            n_given=rows.n_given,
            unit=rows.unit,
            rows=np.concatenate(places),
            n_rows_given=rows.n_rows_given,
        )


def _is_nan(found: Any) -> bool:
    """Whether the log-likelihood of a sum is no number, or the sum itself."""
    value = getattr(found, "loglik", found)
    return bool(np.isnan(value).any()) if isinstance(value, (float, np.ndarray)) else False


def _is_plain(rows: PlacedRows) -> bool:
    return all(fact.is_plain for fact in rows.facts) and rows.unit == 1.0


def _joined(found: Sequence[Any]) -> Array:
    return np.concatenate([one.weights for one in found])


def here_if_few(rows: Any) -> Any:
    """The rows, which come here from their parts where they are too few to be worth the way."""
    few = isinstance(rows, PlacedRows) and rows.n_single <= FEW_ROWS
    return rows.fetched() if few else rows


def engine_sum(engine: Any, of_block: Callable[..., Any], blocks: Any) -> Any:
    """``of_block(block, workspace)`` of every block, added up: by an engine, or where blocks lie.

    Raises TypeError for an engine of one's own where blocks lie in parts.
    """
    if not isinstance(blocks, PlacedBlocks):
        return engine.sum(of_block, blocks)
    refuse_engine(engine, blocks.rows)
    return blocks.sum(of_block)


def refuse_engine(engine: Any, rows: Any) -> None:
    """Raise TypeError for a device, or an engine of one's own, where rows lie in parts."""
    if isinstance(engine, (Audited, Device)) and isinstance(rows, PlacedRows):
        what = engine if isinstance(engine, Device) else "an object"
        raise TypeError(
            f"`engine` is {what}, and `X` lies in parts, which are worked on where they lie; "
            "pass engine=None."
        )
