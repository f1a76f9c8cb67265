"""Files of one JSON document and plain npy arrays: a zip that is read as data and nothing else.

Nothing in such a file is executed.  Arrays are read with pickle forbidden, and names are labels,
never paths.  Entries are stored as they are, without compression, so that reading a file takes no
more memory than the file is long, whatever it says of itself.  What is not exactly such a file is
refused, with the entry concerned.

One known case: what `write_archive` wrote, `read_archive` gives back bit for bit.
"""

from __future__ import annotations

import errno
import io
import json
import os
import re
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from emframe.messages.arguments import file
from emframe.messages.refusals import shown
from emframe.spaces import Array

FORMAT = 1
# What zipfile raises on bytes that are no archive of ours: a RuntimeError is a secret, a
# NotImplementedError a compression that is not known.
_UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)
_NAME = re.compile(r"[\w.\-]+(/[\w.\-]+)*\.npy")
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def write_archive(
    path: str | Path, name: str, document: dict[str, Any], arrays: Mapping[str, Array]
) -> None:
    """Write a JSON document and arrays as one file, which appears whole or not at all.

    Raises TypeError or ValueError for what is no JSON, OSError where the disk is full.
    """
    text = json.dumps(document, indent=1, allow_nan=False)
    target = file("path", path)
    if not target.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "the folder to write to is not there; make it first", str(target.parent)
        )
    handle, temporary = tempfile.mkstemp(dir=target.parent or ".", prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            with zipfile.ZipFile(stream, "w") as archive:
                archive.writestr(name, text)
                for key, array in arrays.items():
                    buffer = io.BytesIO()
                    whole = np.asarray(array, order="C")  # and a single number without axes
                    np.lib.format.write_array(buffer, whole, allow_pickle=False)
                    archive.writestr(f"{key}.npy", buffer.getvalue())
            stream.flush()
            os.fsync(stream.fileno())  # before the name is given, the contents are there
        os.replace(temporary, target)
    except OSError as error:
        os.unlink(temporary)
        raise type(error)(error.errno, error.strerror, str(target)) from error
    except BaseException:
        os.unlink(temporary)
        raise


def read_archive(path: str | Path, name: str, what: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """The document and the arrays of a file by `write_archive`.  Executes no code from it.

    Raises FileNotFoundError, and ValueError for a file that is damaged, not `what`, or of a later
    format.
    """
    target = file("path", path)
    try:
        size = target.stat().st_size
        with zipfile.ZipFile(target) as archive:
            entries = _checked(archive.infolist(), name, size)
            document = _document(archive.read(name), name)
            found = document.get("emframe")
            if type(found) is not int or found != FORMAT:
                known = f"this emframe reads format {FORMAT}"
                raise _OtherFormat(f"{target} has format {found!r}; {known}. Update emframe.")
            arrays = {key.removesuffix(".npy"): _array(archive.read(key), key) for key in entries}
    except (FileNotFoundError, _OtherFormat):
        raise
    except NotADirectoryError as error:
        raise FileNotFoundError(error.errno, error.strerror, str(target)) from error
    except _UNREADABLE as error:
        told = f"{target} is not {what}, or is damaged: {error}"
        raise ValueError(f"{told}; pass a file that fit.save wrote.") from error
    return document, arrays


class _OtherFormat(ValueError):
    """Written by another version."""


def _checked(entries: list[zipfile.ZipInfo], document: str, size: int) -> list[str]:
    """The names of the arrays, where the directory is one of ours."""
    names = [entry.filename for entry in entries]
    if document not in names:
        there = ", ".join(map(shown, names[:4])) or "nothing"
        raise ValueError(f"it holds no {document!r}, but {there}")
    for entry in entries:
        label = shown(entry.filename)
        if names.count(entry.filename) > 1:
            raise ValueError(f"the entry {label} is there twice")
        parts = entry.filename.split("/")
        if entry.filename != document and (
            not _NAME.fullmatch(entry.filename) or any(part.strip(".") == "" for part in parts)
        ):
            raise ValueError(f"the entry {label} is no name that arrays have here")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ValueError(f"the entry {label} is compressed, which none is that emframe wrote")
    if sum(entry.file_size for entry in entries) > size:
        raise ValueError("its entries are larger than the file")
    return [name for name in names if name != document]


def _document(data: bytes, name: str) -> dict[str, Any]:
    def no_number(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"the key {twice!r} is there twice")
        return found

    try:
        document = json.loads(data, parse_constant=no_number, object_pairs_hook=once)
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply") from None
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are such
        raise ValueError(f"{name}: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{name} holds {shown(document)}, not an object")
    return document


def _array(data: bytes, name: str) -> Array:
    """An array of real numbers, of which nothing is read but its shape and its numbers."""
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise ValueError(f"npy format {version} is not known")
        shape, fortran, dtype = _HEADERS[version](stream)
        if dtype.kind != "f" or fortran:
            raise ValueError(f"{dtype} is not real numbers in rows")
        body = data[stream.tell() :]
        count = 1
        for length in shape:
            count *= length
        if min(shape, default=0) < 0 or len(body) != count * dtype.itemsize:
            raise ValueError(f"shape {shape} of {dtype} is not what its {len(body)} bytes hold")
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{name}: {error}") from error
    return np.frombuffer(body, dtype).reshape(shape).astype(float)
