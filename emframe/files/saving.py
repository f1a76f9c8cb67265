"""Saved fits: one JSON document and plain npy arrays, in a zip.

Reading one executes no code: see `emframe.files.archives` for the file.  Families are looked up
among the installed plugins by name, their settings are plain JSON, and of functions that a family
was made from only those are used that the caller allows by handing them over.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from emframe.core import Status
from emframe.data.legend import Legend, legend_from
from emframe.families import Family
from emframe.files.archives import FORMAT, read_archive, write_archive
from emframe.fitting.result import Fit, Start
from emframe.host import model as named_model
from emframe.host import models
from emframe.host.recipes import NotHere, restore
from emframe.latents import Ridge
from emframe.latents.gate import described
from emframe.messages.refusals import shown
from emframe.models import ComponentModel, Mixture, Model
from emframe.parameters import nested, to_mapping
from emframe.spaces import Array

_DOCUMENT = "fit.json"
_NUMBERS = (
    "log_likelihood",
    "objective",
    "entropy",
    "classification_uncertainty",
    "remaining",
    "n_rows",
)
_FINITE = ("log_likelihood", "objective", "entropy", "n_rows")
_KINDS = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a whole number",
    bool: "true or false",
}


def save(fit: Fit, path: str | Path) -> None:
    """Write a fit; the file appears whole or not at all.

    Raises ValueError where the model or its prior cannot be told in JSON.
    """
    document = {
        "emframe": FORMAT,
        "model": fit.model.describe(),
        **_legend_told(fit),
        "status": fit.status.value,
        "message": fit.message,
        "numbers": {name: number_out(getattr(fit, name)) for name in _NUMBERS},
        "n_iter": fit.n_iter,
        "columns": _columns(fit),
        "prior": _prior_told(fit.prior),
        "best": fit.best,
        "form": fit.form,
        "n_runs": number_out(fit.n_runs),
        "count": fit.count,
        "starts": [start_told(start) for start in fit.starts],
    }
    arrays = {f"params/{name}": array for name, array in to_mapping(fit.params).items()}
    arrays |= {"trace": fit.trace, "gains": fit.gains}
    try:
        write_archive(path, _DOCUMENT, document, arrays)
    except (TypeError, ValueError) as error:
        raise ValueError(f"this fit cannot be saved without code: {error}") from error


def _legend_told(fit: Fit) -> dict[str, Any]:
    """What the numbers of its rows stand for, where they were words."""
    legend = getattr(fit.model, "legend", Legend())
    return {} if legend == Legend() else {"legend": legend.describe()}


def _columns(fit: Fit) -> list[str]:
    """The columns that are read of rows; what was known of their components is not kept."""
    own = len(fit.component_columns)
    known = getattr(getattr(fit.model, "latent", None), "labelled", False)
    return [*fit.columns[:own], *fit.columns[own + known :]]


def load(path: str | Path, *, family: Family | None = None, allow: Sequence[Any] = ()) -> Fit:
    """Read a saved fit.  Executes no code from the file, and imports nothing for it.

    Parameters
    ----------
    path : file written by ``fit.save``.
    family : the family object, for a fit whose family is no installed plugin.
    allow : functions that the file may name as parts of a family, such as the density of
        `emframe.from_logpdf`, or modules whose functions it may; and classes of one's own models. A
        file is not free to choose.

    Raises
    ------
    FileNotFoundError : where there is no such file.
    ValueError : for a file that is no saved fit, is damaged, or is of a later format, naming the
        entry and the value; and for a family that takes `family` or `allow` to be made again.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
    >>> fit = emframe.fit(emframe.Mixture("poisson", 2), counts, rng=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fit.save(pathlib.Path(folder) / "counts.fit")
    ...     again = emframe.load(pathlib.Path(folder) / "counts.fit")
    >>> again.log_likelihood == fit.log_likelihood
    True
    """
    document, arrays = read_archive(path, _DOCUMENT, "a saved fit")
    try:
        return _rebuild(document, arrays, family, allow)
    except NotHere as error:
        raise ValueError(f"{path} needs what no file may bring along: {error}") from error
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError, ValueError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path} is damaged, or not for this emframe: {what}") from error


def _rebuild(
    document: dict[str, Any],
    arrays: dict[str, Array],
    family: Family | None,
    allow: Sequence[Any],
) -> Fit:
    model = _model(_item(document, "model", dict), family, allow)
    if document.get("legend") is not None:
        if not isinstance(model, ComponentModel):
            raise TypeError("the model has no components, and the file has a legend")
        model = model._with(legend=legend_from(_item(document, "legend", dict)))
    columns = tuple(_item(document, "columns", list))
    if not all(isinstance(name, str) for name in columns):
        raise TypeError(f"`columns` are {list(columns)}; expected names")
    starts = tuple(start_from(start) for start in _item(document, "starts", list))
    best = _count(document, "best")
    if best >= len(starts):
        raise IndexError(f"`best` is {best}, but there are {len(starts)} starts")
    numbers = {name: _number(_item(document, "numbers", dict), name) for name in _NUMBERS}
    unknown = [name for name in _FINITE if not math.isfinite(numbers[name])]
    if unknown or numbers["n_rows"] <= 0:
        name = (*unknown, "n_rows")[0]
        raise ValueError(f"`{name}` is {numbers[name]}, which no fit has")
    runs = {"n_runs": _number({"n_runs": "nan", **document}, "n_runs")}
    # 0.1.0 kept no number of runs, and counted rows.
    count = document.get("count") if "n_runs" in document else "rows"
    if model.unit == "runs" and "n_runs" in document and not 0.0 < runs["n_runs"] < math.inf:
        raise ValueError(f"`n_runs` is {runs['n_runs']}, which no fit of runs has")
    prior = _prior_from(document["prior"])
    found = Fit(
        model=model,
        params=_parameters(model, arrays, len(columns)),
        status=_status(document),
        message=_item(document, "message", str),
        trace=_shaped(arrays, "trace", 1),
        gains=_shaped(arrays, "gains", 2),
        n_iter=_count(document, "n_iter"),
        columns=columns,
        prior=prior,
        best=best,
        starts=starts,
        form=_item({"form": "", **document}, "form", str),
        error=None,
        **numbers,
        **runs,
    )
    return found.counting(count if model.unit == "runs" else document.get("count"))


def _prior_told(prior: Any) -> Any:
    return {"ridge": vars(prior)} if isinstance(prior, Ridge) else prior


def _prior_from(told: Any) -> str | Ridge | None:
    if isinstance(told, dict) and set(told) == {"ridge"}:
        ridge = Ridge(**_item(told, "ridge", dict))
        if not (ridge.components is None or isinstance(ridge.components, str)):
            raise TypeError(f"`components` is {ridge.components!r}; expected a name or null")
        return ridge
    if not (told is None or isinstance(told, str)):
        raise TypeError(f"`prior` is {told!r}; expected a name or null")
    return told


def _parameters(model: Model, arrays: Mapping[str, Array], d: int) -> Any:
    prefix = "params/"
    own = {key: value for key, value in arrays.items() if key.startswith(prefix)}
    strange = [key for key in arrays if key not in own and key not in {"trace", "gains"}]
    if strange:
        raise ValueError(f"the array {strange[0]!r} belongs to no fit")
    params = model.build(nested({key.removeprefix(prefix): own[key] for key in own}))
    wrong = model.problem(params, d)
    if wrong:
        raise ValueError(f"the saved parameters are not valid: {wrong}")
    return params


def _model(description: dict[str, Any], family: Family | None, allow: Sequence[Any]) -> Model:
    kind = _item(description, "model", str)
    if kind != "mixture":
        options = dict(_item({"options": {}, **description}, "options", dict))
        if isinstance(options.get("family"), (dict, list)):
            options["family"] = restore(options["family"], family, allow)
        elif family is not None and options.get("family") == family.name:
            settings = family.ingredients()  # the object has them already
            options = {key: value for key, value in options.items() if key not in settings}
            options["family"] = family
        own = next((one for one in allow if isinstance(one, type) and _names(one, kind)), None)
        if own is not None:
            return cast(Model, own(**options))
        if kind not in models():
            raise NotHere(
                f"the model {kind!r} is no installed plugin; hand its class over: "
                "emframe.load(path, allow=[...])"
            )
        return named_model(kind, **options)
    parts = [restore(part, family, allow) for part in _item(description, "families", list)]
    sizes = _item(description, "n_components", list)
    if not parts or len(parts) != len(sizes):
        raise ValueError(f"`families` are {len(parts)}, of `n_components` {sizes}")
    weights = description.get("weights")
    if isinstance(weights, dict):
        weights = described(weights)
    if len(parts) == 1:
        return Mixture(parts[0], sizes[0], weights=weights)
    return Mixture(parts, sizes, weights=weights)


def _names(one: type, kind: str) -> bool:
    """Whether a class is that of the model of this name."""
    return getattr(one, "name", None) == kind and hasattr(one, "passes")


def start_told(start: Start) -> dict[str, Any]:
    """A line of the table of starts, as JSON."""
    return {
        **dataclasses.asdict(start),
        "status": start.status.value,
        "objective": number_out(start.objective),
        "log_likelihood": number_out(start.log_likelihood),
        "trace": [number_out(value) for value in start.trace],
    }


def start_from(told: Any) -> Start:
    """The start that `start_told` told.  Raises TypeError, ValueError, naming what is wrong."""
    if not isinstance(told, dict):
        raise TypeError(f"a start is {told!r}; expected an object")
    # What came with later versions.
    told = {"spurious": "", "parent": None, "trace": [], "grown": False, "sample": 0, **told}
    known = {field.name for field in dataclasses.fields(Start)}
    if set(told) != known:
        odd = sorted(set(told) ^ known)[0]
        raise TypeError(f"a start has {'no' if odd in known else 'the unknown'} `{odd}`")
    return Start(
        index=_count(told, "index"),
        kind=_item(told, "kind", str),
        status=_status(told),
        objective=_number(told, "objective"),
        log_likelihood=_number(told, "log_likelihood"),
        n_iter=_count(told, "n_iter"),
        message=_item(told, "message", str),
        spurious=_item(told, "spurious", str),
        parent=None if told["parent"] is None else _count(told, "parent"),
        trace=tuple(_number({"trace": one}, "trace") for one in _item(told, "trace", list)),
        grown=_item(told, "grown", bool),
        sample=_count(told, "sample"),
    )


def _item(told: Mapping[str, Any], key: str, kind: type) -> Any:
    if type(told[key]) is not kind:
        raise TypeError(f"`{key}` is {shown(told[key])}; expected {_KINDS[kind]}")
    return told[key]


def _count(told: Mapping[str, Any], key: str) -> int:
    value = _item(told, key, int)
    if value < 0:
        raise ValueError(f"`{key}` is {value}; expected 0 or above")
    return int(value)


def _number(told: Mapping[str, Any], key: str) -> float:
    """A number as `number_out` wrote it."""
    value = told[key]
    if type(value) not in (int, float) and value not in ("nan", "inf", "-inf"):
        raise TypeError(f"`{key}` is {shown(value)}; expected a number")
    return float(value)


def _status(told: Mapping[str, Any]) -> Status:
    value = _item(told, "status", str)
    if value not in {status.value for status in Status}:
        raise ValueError(f"`status` is {value!r}, which no run ends with")
    return Status(value)


def _shaped(arrays: Mapping[str, Array], name: str, axes: int) -> Array:
    array = arrays[name]
    if array.ndim != axes or (axes == 2 and array.shape[1] != 2):
        raise ValueError(f"`{name}` has shape {array.shape}; expected {axes} axes")
    return array


def number_out(number: float) -> float | str:
    """JSON has no nan and no inf; they are written as words."""
    return float(number) if math.isfinite(number) else repr(float(number))
