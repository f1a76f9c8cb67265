"""Saved fits: a zip of one JSON document and plain npy arrays.

Reading one executes no code: arrays are read with pickle forbidden, families are looked up among
the installed plugins by name, and their settings are plain JSON.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emframe.core import Status
from emframe.families import Family
from emframe.host import model as named_model
from emframe.models import Mixture, Model
from emframe.parameters import nested, to_mapping
from emframe.recipes import restore
from emframe.result import Fit, Start
from emframe.spaces import Array

FORMAT = 1
_DOCUMENT = "fit.json"
# What zipfile, json and numpy raise on bytes that no fit was saved as.  A RuntimeError is a secret
# or a compression that is not known, or brackets too deep; a MemoryError an array too long.
_UNREADABLE = (
    OSError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    MemoryError,
    RuntimeError,
    ValueError,
)
_NUMBERS = (
    "log_likelihood",
    "objective",
    "entropy",
    "classification_uncertainty",
    "remaining",
    "n_rows",
)


def save(fit: Fit, path: str | Path) -> None:
    """Write a fit; the file appears whole or not at all.

    Raises ValueError where the model or its prior cannot be told in JSON.
    """
    document = {
        "emframe": FORMAT,
        "model": fit.model.describe(),
        "status": fit.status.value,
        "message": fit.message,
        "numbers": {name: number_out(getattr(fit, name)) for name in _NUMBERS},
        "n_iter": fit.n_iter,
        "columns": list(fit.columns),
        "prior": fit.prior,
        "best": fit.best,
        "form": fit.form,
        "starts": [start_told(start) for start in fit.starts],
    }
    arrays = {f"params/{name}": array for name, array in to_mapping(fit.params).items()}
    arrays |= {"trace": fit.trace, "gains": fit.gains}
    try:
        write_archive(path, _DOCUMENT, document, arrays)
    except (TypeError, ValueError) as error:
        raise ValueError(f"this fit cannot be saved without code: {error}") from error


def load(path: str | Path, *, family: Family | None = None) -> Fit:
    """Read a saved fit.  Executes no code from the file.

    Parameters
    ----------
    path : file written by ``fit.save``.
    family : the family object, for a fit whose family is no installed plugin.

    Raises
    ------
    FileNotFoundError : where there is no such file.
    ValueError : for a file that is no saved fit, is damaged, or is of a later format.
    """
    document, arrays = read_archive(path, _DOCUMENT, "a saved fit")
    try:
        return _rebuild(document, arrays, family)
    except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
        raise ValueError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _rebuild(document: dict[str, Any], arrays: dict[str, Array], family: Family | None) -> Fit:
    model = _model(document["model"], family)
    columns, best = tuple(document["columns"]), int(document["best"])
    if not all(isinstance(name, str) for name in columns):
        raise TypeError(f"columns are {columns}, not names")
    if not 0 <= best < len(document["starts"]):
        raise IndexError(f"the best start is number {best} of {len(document['starts'])}")
    prefix = "params/"
    flat = {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }
    params = model.build(nested(flat))
    wrong = model.problem(params, len(columns))
    if wrong:
        raise ValueError(f"the saved parameters are not valid: {wrong}")
    starts = tuple(start_from(start) for start in document["starts"])
    return Fit(
        model=model,
        params=params,
        status=Status(document["status"]),
        message=str(document["message"]),
        trace=arrays["trace"],
        gains=arrays["gains"],
        n_iter=int(document["n_iter"]),
        columns=columns,
        prior=document["prior"],
        best=best,
        starts=starts,
        form=str(document.get("form", "")),
        **{name: float(document["numbers"][name]) for name in _NUMBERS},
    )


def _model(description: dict[str, Any], family: Family | None) -> Model:
    if description["model"] != "mixture":
        options = dict(description.get("options", {}))
        if isinstance(options.get("family"), dict):
            options["family"] = restore(options["family"], family)
        elif family is not None and options.get("family") == family.name:
            settings = family.ingredients()  # the object has them already
            options = {key: value for key, value in options.items() if key not in settings}
            options["family"] = family
        return named_model(description["model"], **options)
    parts: list[Family] = [restore(part, family) for part in description["families"]]
    sizes = [int(size) for size in description["n_components"]]
    return Mixture(parts[0], sizes[0]) if len(parts) == 1 else Mixture(parts, sizes)


# ---- what checkpoints are made of as well


def write_archive(
    path: str | Path, name: str, document: dict[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Write a JSON document and arrays as one file, which appears whole or not at all.

    Raises TypeError or ValueError for what is no JSON, OSError where the disk is full.
    """
    text = json.dumps(document, indent=1, allow_nan=False)
    target = Path(path)
    handle, temporary = tempfile.mkstemp(dir=target.parent or ".", prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr(name, text)
                for key, array in arrays.items():
                    buffer = io.BytesIO()
                    whole = np.ascontiguousarray(array)
                    np.lib.format.write_array(buffer, whole, allow_pickle=False)
                    archive.writestr(f"{key}.npy", buffer.getvalue())
            file.flush()
            os.fsync(file.fileno())  # before the name is given, the contents are there
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def read_archive(path: str | Path, name: str, what: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """The document and the arrays of a file by `write_archive`.  Executes no code from it.

    Raises FileNotFoundError, and ValueError for a file that is damaged, not `what`, or of a later
    format.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            document = json.loads(archive.read(name))
            arrays = {
                key.removesuffix(".npy"): _read(archive, key)
                for key in archive.namelist()
                if key.endswith(".npy")
            }
    except FileNotFoundError:
        raise
    except _UNREADABLE as error:
        raise ValueError(f"{path} is not {what}, or is damaged: {error}") from error
    found = document.get("emframe") if isinstance(document, dict) else None
    if found != FORMAT:
        raise ValueError(
            f"{path} has format {found!r}; this emframe reads format {FORMAT}. Update emframe."
        )
    return document, arrays


def start_told(start: Start) -> dict[str, Any]:
    """A line of the table of starts, as JSON."""
    return {
        **dataclasses.asdict(start),
        "status": start.status.value,
        "objective": number_out(start.objective),
        "log_likelihood": number_out(start.log_likelihood),
        "trace": [number_out(value) for value in start.trace],
    }


def start_from(told: dict[str, Any]) -> Start:
    """The start that `start_told` told."""
    return Start(
        **{
            **told,
            "status": Status(told["status"]),
            "objective": float(told["objective"]),
            "log_likelihood": float(told["log_likelihood"]),
            "trace": tuple(float(value) for value in told.get("trace", ())),
        }
    )


def _read(archive: zipfile.ZipFile, name: str) -> Array:
    with archive.open(name) as file:
        array = np.lib.format.read_array(io.BytesIO(file.read()), allow_pickle=False)
    if array.dtype.kind != "f":
        raise ValueError(f"{name} holds {array.dtype}, not real numbers")
    return np.asarray(array)


def number_out(number: float) -> float | str:
    """JSON has no nan and no inf; they are written as words."""
    return float(number) if math.isfinite(number) else repr(float(number))
