"""Rows that lie in parts, each in a place of its own: other processes, files, a cluster.

    X = emframe.Parts([first, second, third])
    emframe.fit(model, X)

Q adds up over rows, so nobody needs to have them all.  There is one verb, `each`: a task goes to
every part, with parameters and what else it needs, and what comes back is a sum, or a few rows that
were drawn.  Whatever a fit does to rows goes through it, so any place that knows how to do it will
do: threads here, processes, Dask, a system of one's own.

What comes back is held to the rows that were there at first: a part that is missing, answers twice,
or holds other rows than before is an `EngineError`, and never a smaller n.

One known case: a single part is the data themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from emframe.data.blocks import UNREAD
from emframe.data.elsewhere import is_task
from emframe.data.frames import without
from emframe.data.gate import Table
from emframe.data.labelled import Labelled
from emframe.engines import EngineError, Serial, Threads, cores
from emframe.engines.tally import Tally, tally
from emframe.messages.refusals import numbered_from
from emframe.spaces import Array

Task = Callable[..., Any]
KEPT = 2  # ways in which the rows of a part were read that are kept with it
AT_ONCE = 1 << 16  # rows of which a fingerprint is taken together


class Places(Protocol):
    """Where parts lie."""

    def __len__(self) -> int:
        """How many parts there are."""

    def each(self, task: Task, args: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        """``task(part, *args[i])`` for part i, a `Part`, in the order of the parts."""


class Part:
    """The rows of one place, as tasks are handed them.

    Parameters
    ----------
    data : what `emframe.fit` takes for rows in memory, or a callable without arguments that gives
        it, the same at each call, such as ``functools.partial(numpy.load, path)``.
    weights, labels : one to each row of this part, or the name of a column that holds them.
    keep : whether what a callable gives stays in memory where the part is; False for a part that
        is read anew for each pass.

    Examples
    --------
    >>> x, weights, _ = emframe.Part(np.array([[1.0], [4.0]]), weights=[2.0, 1.0]).table()
    >>> x.shape, weights
    ((2, 1), [2.0, 1.0])
    """

    def __init__(
        self, data: Any, weights: Any = None, labels: Any = None, keep: bool = True
    ) -> None:
        self.data, self.weights, self.labels, self.keep = data, weights, labels, keep
        self._read: dict[Any, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without what was read: it is read anew where the part arrives."""
        return self.__dict__ | {"_read": {}}

    def table(self, weights: str | None = None, labels: str | None = None) -> tuple[Any, Any, Any]:
        """Its rows without the columns of weights and labels; its weights, its labels.

        weights, labels : names of columns, in the place of its own weights and labels.
        """
        X = self.data() if callable(self.data) else self.data
        each: Any = weights or self.weights
        known: Any = labels or self.labels
        if isinstance(each, str):
            X, each = without(X, each)
        elif each is None and isinstance(X, Table):
            each = X.weights
        if isinstance(known, str):
            X, known = without(X, known)
        return X, each, known

    def made(self, key: Any, make: Callable[[], Any]) -> Any:
        """What `make` makes, kept under a key where the part is kept."""
        found = self._read.get(key)
        if found is None:
            found = make()
            if self.keep:
                while len(self._read) >= KEPT:
                    self._read.pop(next(iter(self._read)), None)
                self._read[key] = found
        return found


class Parts:
    """Rows in parts, in their order, wherever they lie; `emframe.fit` takes them for its X.

        emframe.Parts([first, second])                                   # arrays, or frames
        emframe.Parts([functools.partial(numpy.load, path) for path in paths], workers=4)
        emframe.Parts(places)                                            # a system of one's own

    Parameters
    ----------
    parts : a list with the rows of each part, in memory or as callables that give them, or `Part`
        objects; or an object with ``len(places)`` and ``places.each(task, args)``, which returns
        ``[task(part_0, *args[0]), task(part_1, *args[1]), ...]`` for the `Part` objects that it
        holds, worked out wherever they are.
    weights, labels : a list with those of each part; or the name of the column that holds them.
    workers : processes that hold the parts, each some of them, and work where they hold them; 0
        for threads of this one.  A process that dies is replaced and given its parts again.
    patience : seconds within which a process has to answer; it is replaced when it does not.  None
        waits for as long as it takes.
    keep : False for callables to be called anew for each pass, for rows that memory does not hold.

    A collection of Dask may stand in the place of the list; see `emframe.data.dask`.
    A model of runs takes `Sequences` for a part, so that no run lies in two.  Sums are taken in the
    order of the parts: the same parts give the same bits wherever they lie, and however many work
    on them; otherwise cut, the same but for rounding.

    Raises ValueError for no parts, TypeError for what is neither.

    Examples
    --------
    >>> X = emframe.dataset("faithful").X
    >>> model = emframe.Mixture("gaussian", 2)
    >>> fit = emframe.fit(model, emframe.Parts([X[:100], X[100:]]), rng=0)
    >>> round(fit.log_likelihood, 4)
    -1130.264
    """

    cut_anywhere = False  # whether parts may begin and end within a run of rows

    def __init__(
        self,
        parts: Any,
        *,
        weights: Any = None,
        labels: Any = None,
        workers: int = 0,
        patience: float | None = None,
        keep: bool = True,
    ) -> None:
        if is_task(parts) and hasattr(parts, "to_delayed"):
            from emframe.data.dask import places_of  # not with emframe: an extra

            self.places: Places = places_of(parts, weights, labels, patience)
            self.cut_anywhere = True
            return
        if callable(getattr(parts, "each", None)):
            if weights is not None or labels is not None or workers:
                raise TypeError(
                    "`weights`, `labels` and `workers` go with a list of parts; an object with "
                    "`each` holds emframe.Part(data, weights, labels) where it likes."
                )
            self.places = parts
            return
        if not isinstance(parts, (list, tuple)):
            raise TypeError(
                f"`parts` is a {type(parts).__name__}; pass a list with the rows of each part, or "
                "an object with a method `each(task, args)`."
            )
        if not parts:
            raise ValueError("`parts` is an empty list; pass one part or more.")
        both = (_for_each("weights", weights, parts), _for_each("labels", labels, parts))
        made = [
            part if isinstance(part, Part) else Part(part, each, known, keep)
            for part, each, known in zip(parts, *both, strict=True)
        ]
        if workers:
            from emframe.data.processes import Processes  # not with emframe: few need it

            self.places = Processes(made, workers, patience)
        else:
            self.places = Here(made)

    def __len__(self) -> int:
        return len(self.places)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("`X` lies in parts, and is not read as one array; pass one part's rows.")

    def each(self, task: Task, *args: Any) -> list[Any]:
        """``task(part, *args)`` of every part, in their order."""
        return [answer.value for answer in self.ask(task, [args] * len(self))]

    def ask(self, task: Task, args: Sequence[tuple[Any, ...]]) -> list[Answer]:
        """``task(part, *args[i])`` of part i, in their order, with the rows it is of.

        Raises what a task raises, of the first part where one does, and `EngineError` for whatever
        else goes wrong, and for answers that are not one of each part.
        """
        answers = self._answers(task, args)
        for one in answers:
            if one.error is not None:
                raise one.error
        return answers

    def each_apart(self, task: Task, args: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What each part says, an exception that its task raised included."""
        return [one.value if one.error is None else one.error for one in self._answers(task, args)]

    def _answers(self, task: Task, args: Sequence[tuple[Any, ...]]) -> list[Answer]:
        try:
            answers = list(self.places.each(answer, [(i, task, *a) for i, a in enumerate(args)]))
        except EngineError as error:
            error.add_note(UNREAD)
            raise
        except Exception as error:
            raise _failed(f"raised {type(error).__name__}: {error}".rstrip(".: ")) from error
        told = [getattr(one, "index", None) for one in answers]
        if told != list(range(len(self))):
            raise _failed(f"answered for the parts {told}, where there are {len(self)}")
        return answers

    def frequencies(self, weights: Any) -> Any:
        """The weights that were given, or that those of the parts are to be taken, if any are."""
        if weights is None:
            return Own() if any(self.each(has_weights)) else None
        return Own(weights) if isinstance(weights, str) else weights


@dataclass(frozen=True)
class Own:
    """That what goes with the rows lies with the parts, in a column of this name if it has one."""

    column: str | None = None


@dataclass(frozen=True)
class Here:
    """Parts in this process, worked on by its threads."""

    parts: list[Part]

    def __len__(self) -> int:
        return len(self.parts)

    def each(self, task: Task, args: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        n = min(cores(), len(self))
        engine = Threads(n) if n > 1 else Serial()
        found: list[Any] = engine.sum(
            lambda pair, _: [task(pair[0], *pair[1])], zip(self.parts, args, strict=True)
        )
        return found


@dataclass(frozen=True)
class Answer:
    """What a part says: a value, or what was raised in its place; and the rows it is of."""

    index: int
    value: Any = None
    seen: Tally | None = None  # None where the task read no rows
    error: Exception | None = None


def answer(part: Part, index: int, task: Task, *args: Any) -> Answer:
    """The answer of a part; what it raises is the task's, and no fault of the place."""
    try:
        found = task(part, *args)
    except Exception as error:
        return Answer(index, error=error)
    return replace(found, index=index) if isinstance(found, Answer) else Answer(index, found)


def noted(what: str) -> EngineError:
    """An error of where rows lie, and not of the model; see `emframe.data.blocks.is_unread`."""
    error = EngineError(f"{what}.")
    error.add_note(UNREAD)
    return error


def _failed(what: str) -> EngineError:
    return noted(
        f"the parts of `X` {what}; an object with `each(task, args)` returns task(part, *args[i]) "
        "of part i for every part, in their order"
    )


def _for_each(name: str, values: Any, parts: Sequence[Any]) -> Sequence[Any]:
    """What goes with each part: the same name of a column, or one of a list."""
    if values is None or isinstance(values, str):
        return [values] * len(parts)
    if not isinstance(values, (list, tuple)) or len(values) != len(parts):
        raise ValueError(
            f"`{name}` of parts is a list with those of each of the {len(parts)} parts, or the "
            "name of a column."
        )
    return values


# ---- how a part is read


@dataclass(frozen=True)
class Reader:
    """How the rows of a part are read: by a model, with weights and labels of their own or without.

    `token` tells readings apart, so that a part which keeps one knows it again.
    """

    read: Callable[..., Any]  # (X, weights) -> rows, validated
    token: str
    weights: Own | None = None
    labels: Own | None = None

    def table(self, part: Part) -> tuple[Any, Any, Any]:
        """What a part has: rows, weights, labels."""
        names = [None if own is None else own.column for own in (self.weights, self.labels)]
        return part.table(*names)

    def rows(self, part: Part, first: int, weights: Array | None) -> Any:
        """The rows of a part, of which the first is row `first` of all; None where it has none.

        weights : (m,) of its rows, in the place of its own.

        Raises ValueError for a part without the weights or labels that others have.
        """
        X, own, labels = self.table(part)
        for wanted, found, name in (
            (self.weights, own, "weights"),
            (self.labels, labels, "labels"),
        ):
            if wanted is not None and found is None:
                raise ValueError(f"a part of `X` has no {name}; pass them for all parts, or none.")
        given = own if self.weights is not None else weights
        if _is_empty(X) or _weighs_nothing(given):
            return None
        if self.labels is not None:
            X = Labelled(X, labels)
        with numbered_from(first):
            return self.read(X, given)


def _is_empty(X: Any) -> bool:
    X = X.X if isinstance(X, Table) else X
    return hasattr(X, "__len__") and len(X) == 0


def _weighs_nothing(weights: Any) -> bool:
    """Whether all weights of a part are 0, which they may not be of all parts."""
    if weights is None:
        return False
    try:
        values = np.asarray(weights, dtype=float)
    except (TypeError, ValueError):
        return False  # which the gate tells
    return bool(values.ndim == 1 and (values == 0.0).all())


def has_weights(part: Part) -> bool:
    """Whether a part has weights of its own."""
    if part.weights is not None or not callable(part.data):
        return part.weights is not None or getattr(part.data, "weights", None) is not None
    return part.table()[1] is not None


def count(X: Any) -> int:
    """Rows of one part's data, or runs."""
    X = X.X if isinstance(X, Table) else X
    return len(X) if hasattr(X, "__len__") else 0


def fingerprint(rows: Any) -> Tally:
    """The tally of all rows of a part, with their weights."""
    seen = Tally()
    for block in rows.blocks(AT_ONCE):
        seen += tally(block)
    return seen
