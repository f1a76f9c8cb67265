"""A device that has arrays of its own, through the library that reaches it: torch, CuPy, JAX.

    emframe.fit(model, X, engine="cuda")
    emframe.fit(model, X, engine=emframe.Device("torch", "cuda:1"))

What is asked of the library is the array API standard, so that any which keeps it will do.
Numbers are float64 there as here: Q is a sum over rows of which an M-step moves the last digits,
and in float32 the books of a fit balance to 1e-7 of it, which is more than its last steps gain.

One known case: `Device("numpy")` is this machine's own memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emframe.engines.serial import Serial
from emframe.messages.extras import extra, installed

Array = NDArray[np.float64]

WHY = (
    "sums of float32 over rows are good to 1e-7, which is more than the last steps of a fit gain, "
    "so that its E- and M-step could no more be told right from wrong"
)
# Libraries whose main namespace is the standard's own.
NATIVE = {"jax": "jax.numpy", "array_api_strict": "array_api_strict"}
LIBRARIES = ("torch", "cupy", *NATIVE)  # whose arrays may be elsewhere than in memory


@dataclass(frozen=True)
class Device:
    """Where the passes of a fit run: on a device, where the rows stay for as long as it lasts.

    Parameters
    ----------
    library : the name of the library whose arrays lie there, "torch", "cupy" or "jax"; or of any
        other that keeps the array API standard.
    device : which device, as that library calls it, such as "cuda:1"; None for its default.

    Raises ModuleNotFoundError where the library is not there, or the extra ``device``; ValueError
    for a device that the library does not know, or that computes in float32.

    Examples
    --------
    >>> X = emframe.dataset("faithful").X
    >>> there = emframe.Device("numpy")
    >>> fit = emframe.fit(emframe.Mixture("gaussian", 2), X, rng=0, engine=there)
    >>> round(fit.log_likelihood, 4)
    -1130.264
    """

    library: str = "torch"
    device: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.library, str):
            raise TypeError(
                f"`library` is {self.library!r}; pass the name of one, such as 'torch'."
            )
        xp = self.xp
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that float64 was asked for and is not had
                made = self._made(np.zeros(1))
        except Exception as error:
            raise ValueError(
                f"`device` is {self.device!r}, of which {self.library} says: {error}"
            ) from error
        if made.dtype != xp.float64:
            more = " (jax.config.update('jax_enable_x64', True))" * (self.library == "jax")
            raise ValueError(f"{self} computes in float32; pass one of float64{more}: {WHY}.")

    def __str__(self) -> str:
        return self.library if self.device is None else f"{self.library} on {self.device}"

    def __reduce__(self) -> Any:
        return type(self), (self.library, self.device)

    @cached_property
    def xp(self) -> Any:
        """The namespace of its arrays."""
        return namespace(self.library)

    def to(self, values: Array) -> Any:
        """Numbers of this machine as an array of the device."""
        return self._made(values)

    def _made(self, values: Array) -> Any:
        # A copy that can be written to: some libraries share memory with what they are given.
        own = np.array(values, dtype=np.float64)
        return self.xp.asarray(own, dtype=self.xp.float64, device=self.device)

    def back(self, values: Any) -> Array:
        """An array of the device as one of this machine."""
        return on_host(values)

    def sum(self, of_block: Callable[..., Any], blocks: Iterable[Any]) -> Any:
        """``of_block(block, workspace)`` for each block, added up here: for what is no E-step."""
        return Serial().sum(of_block, blocks)


def namespace(library: str) -> Any:
    """The array API standard's namespace of a library.

    Raises ModuleNotFoundError where it is not there.
    """
    if library in NATIVE or (library == "numpy" and hasattr(np, "__array_namespace_info__")):
        return import_module(NATIVE.get(library, library))
    if not installed(library):
        raise ModuleNotFoundError(
            f"`library` is {library!r}, which is not installed; pass 'torch', 'cupy' or 'jax', or "
            "install it.",
            name=library,
        )
    extra("array_api_compat", "device", "a device as `engine`")
    return import_module(f"array_api_compat.{library}")


def on_host(values: Any) -> Any:
    """An array of any library as one of numpy."""
    if hasattr(values, "detach"):  # of torch
        return values.detach().cpu().numpy()
    if hasattr(values, "get"):  # of CuPy
        return values.get()
    try:
        return np.asarray(values)
    except RuntimeError:  # it says that it is somewhere else
        info = values.__array_namespace__().__array_namespace_info__()
        return np.asarray(values.to_device(info.default_device()))


def cuda(name: str) -> Device:
    """The device of that name, through the first library that finds it.

    Raises ModuleNotFoundError where none is installed, ValueError where none finds it.
    """
    known = [library for library in ("torch", "cupy") if installed(library)]
    if not known:
        raise ModuleNotFoundError(
            f"`engine` is {name!r}, for which torch or cupy has to be there, and neither is: "
            "pip install 'emframe[device]' torch"
        )
    for library in known:
        try:
            return Device(library, name if library == "torch" else None)
        except ValueError as error:
            failed = error
    raise ValueError(f"`engine` is {name!r}, and there is none: {failed}") from failed


def device_of(values: Any) -> Device | None:
    """The device that an array lies on; None where it is this machine's memory, or no array."""
    library = type(values).__module__.partition(".")[0].removesuffix("lib")
    if library not in LIBRARIES or not hasattr(values, "dtype") or not hasattr(values, "device"):
        return None
    if getattr(values, "requires_grad", False) or getattr(values, "is_sparse", False):
        return None  # what to do about that is told where rows are read
    device = values.device
    if str(getattr(device, "platform", device)).lower().startswith("cpu"):
        return None
    return Device(library, device if library != "cupy" else None)
