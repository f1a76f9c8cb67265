"""Data that are not numbers in this process's memory, and the way in that there is for each.

Asked for its values an array of Dask works all of them out, a tensor on a device or with a gradient
raises an error of its own, and a file's name holds no numbers: each is told before it is read.

One known case: of an array nothing is said.
"""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any


def refuse_elsewhere(values: Any, name: str) -> None:
    """Raise TypeError for values that are not in memory, with what to pass in their place.

    Costs nothing that depends on how many there are: of a list the first is looked at.
    """
    for is_one, told in _KINDS:
        if is_one(values):
            raise TypeError(f"`{name}` is {told(values, name)}.")
    if isinstance(values, (list, tuple)) and values and not isinstance(values[0], str):
        refuse_elsewhere(values[0], f"{name}[0]")


def is_lazy(values: Any) -> bool:
    """Whether it is a frame that is only planned, as polars' lazy ones are."""
    return all(hasattr(type(values), mark) for mark in ("collect", "collect_schema"))


def _of_lazy(_: Any, name: str) -> str:
    return f"a lazy frame; pass its rows (`{name}.collect()`)"


def files_in(values: Any) -> list[str]:
    """The names of files, where that is what values are: one of them, or a list; else none."""
    each = values if isinstance(values, (list, tuple)) else [values]
    return [str(one) for one in each] if each and all(map(_is_file, each)) else []


def _is_file(value: Any) -> bool:
    if isinstance(value, PathLike):
        return True
    if not isinstance(value, str) or len(value) > 4096 or "\n" in value:
        return False
    try:
        float(value)
    except ValueError:
        return Path(value).suffix.isascii() and Path(value).suffix[1:].isalnum()
    return False


def _of_files(values: Any, name: str) -> str:
    first, *others = files_in(values)
    what = (
        f"the names of files, {first!r} and so on" if others else f"the name of a file, {first!r}"
    )
    read = f"emframe.read_parquet({name}) where that is Parquet, or " if name == "X" else ""
    return f"{what}, and not what is in it; pass {read}what another library reads from it"


def is_task(values: Any) -> bool:
    """Whether it is work still to be done, as Dask's collections are."""
    graph = getattr(values, "__dask_graph__", None)
    if callable(graph):
        return graph() is not None
    has_parts = any(hasattr(values, mark) for mark in ("dask", "npartitions", "chunks"))
    return has_parts and hasattr(type(values), "compute")


def _of_task(values: Any, name: str) -> str:
    told = f"{_article(values)} whose values are not worked out yet; pass {name}.compute()"
    is_other = name == "X" and not hasattr(values, "to_delayed")
    return f"{told}, or an array or a frame of Dask itself" if is_other else told


def _is_tensor(values: Any) -> bool:
    """Whether it is a tensor that numpy cannot see: with a gradient, sparse, or on a device."""
    return (
        hasattr(type(values), "detach")
        and hasattr(values, "requires_grad")
        and _steps(values) != ""
    )


def _steps(tensor: Any) -> str:
    """What makes a tensor one that numpy can see; empty where it is."""
    device = getattr(getattr(tensor, "device", None), "type", "cpu")
    return (
        ".detach()" * bool(tensor.requires_grad)
        + ".to_dense()" * bool(getattr(tensor, "is_sparse", False))
        + ".cpu()" * (device != "cpu")
    )


def _of_tensor(values: Any, name: str) -> str:
    why = {
        ".detach()": "that requires a gradient",
        ".to_dense()": "that is sparse",
        ".cpu()": "on a device",
    }
    steps = _steps(values)
    told = " and ".join(words for step, words in why.items() if step in steps)
    return f"a tensor {told}; pass {name}{steps}"


def _is_on_device(values: Any) -> bool:
    kind = type(values)
    return hasattr(kind, "__cuda_array_interface__") and hasattr(kind, "get")


def _of_device(values: Any, name: str) -> str:
    return f"{_article(values)} on a device; pass {name}.get()"


def _is_reader(values: Any) -> bool:
    """Whether it is an open file or data set, as pyarrow's are."""
    return _way_to_read(values) is not None and not hasattr(values, "__array__")


def _way_to_read(values: Any) -> str | None:
    pairs = (("to_batches", "to_table"), ("iter_batches", "read"))
    kind = type(values)
    return next((way for mark, way in pairs if hasattr(kind, mark) and hasattr(kind, way)), None)


def _of_reader(values: Any, name: str) -> str:
    return (
        f"{_article(values)}, which is still to be read; pass {name}.{_way_to_read(values)}(), or "
        "emframe.read_parquet of the names of its files where memory does not hold it"
    )


def _article(values: Any) -> str:
    kind = f"{type(values).__module__.partition('.')[0]} {type(values).__name__}"
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[Any, str], str]], ...] = (
    (lambda values: bool(files_in(values)), _of_files),
    (is_task, _of_task),
    (is_lazy, _of_lazy),
    (_is_tensor, _of_tensor),
    (_is_on_device, _of_device),
    (_is_reader, _of_reader),
)
