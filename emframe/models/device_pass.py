"""One E-step over rows that stay on a device, in the array API standard.

    r_ik = p(x_i, z_k) / sum_k p(x_i, z_k),        sums = r T

It is the pass of `emframe.models.model_pass` with the same kernels, which say what is to be
multiplied with what; for arrays of any library, it writes nothing in place.  Sums come back as
numpy's, and all that follows from them is done here.

One known case: on `Device("numpy")` it is that pass, to rounding.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from emframe.core import Degenerate
from emframe.engines import Device, EngineError, Resident, ResidentBlock, Serial
from emframe.families import LOG_ZERO, FamilyError, NoDensity
from emframe.families.kernel import can_meet, meet_on
from emframe.latents import OneHot
from emframe.models.model_pass import BlockSums, ModelPass

NUMBERS = 1 << 26  # numbers of work space for a block: half a gigabyte
FEW_ROWS = 1000  # that tell whether a family can go there
REMEDY = "Pass engine='serial', or a number of threads."
EXPECTED = (
    "a device works in products of statistics: gaussian without gaps, bernoulli, categorical, "
    "poisson, other exponential families, and products of these, in mixtures by weights alone"
)


def device_sums(device: Device, one: ModelPass, rows: Any, size: int) -> BlockSums:
    """The sums over all blocks of `size` rows, of one pass alone."""
    blocks = Resident(device, rows, max(1, size)).blocks()
    return reduce(add, (_sums(one, block) for block in blocks))


class OnDevice:
    """A model's passes over rows that stay on a device.

    Raises TypeError, naming what cannot go there.
    """

    def __init__(self, device: Device, model: Any, rows: Any, survey: Any) -> None:
        _refuse(device, model, rows, survey)
        self.device, self.family = device, model.family.name
        self.resident = Resident(device, rows, max(1, NUMBERS // model.work(rows)))
        self._told = False

    def total(self, one: ModelPass) -> BlockSums:
        """The sums over all blocks, there, or here for a pass that cannot go there.

        Raises as `ModelPass.block` does, and `EngineError` for what the device raises.
        """
        if can_meet(one.kernel):
            return reduce(add, self._over(_sums, one))
        rows = self.resident.rows
        found: BlockSums = Serial().sum(one.block, rows.blocks(one.rows(len(rows.columns))))
        return found

    def uncertainty(self, one: ModelPass) -> float:
        """-log of the posterior probability of the likeliest z, summed over rows; nats."""
        return sum(self._over(_surprise, one))

    def passes(self, found: Iterable[Any]) -> Iterator[ModelPass]:
        """Those of a model's passes that can go there, and then one that can not.

        The last is for where all before it lost too many digits, and is made here; it is told.
        """
        last = None
        for one in found:
            last = one
            if can_meet(one.kernel):
                yield one
        assert last is not None
        if not self._told:
            self._told = True
            warnings.warn(
                f"a pass of the family {self.family!r} lost too many digits in products, and was "
                f"made by its densities, on this machine and not on {self.device}.",
                stacklevel=2,
            )
        yield last

    def _over(self, of_block: Any, one: ModelPass) -> Iterator[Any]:
        try:
            for block in self.resident.blocks():
                yield of_block(one, block)
        except (ArithmeticError, FamilyError):  # of the model
            raise
        except Exception as error:
            told = f"{self.device} raised {type(error).__name__}: {error}".rstrip(".: ")
            raise EngineError(told) from error


def _refuse(device: Device, model: Any, rows: Any, survey: Any) -> None:
    """Raise TypeError for a model of which no pass can be made on a device."""
    latent = getattr(model, "latent", None)
    if type(latent) is not OneHot:
        what = model.title() if latent is None else f"a model of {latent.name} latents"
        raise TypeError(f"`engine` is {device}, and not for {what}; {EXPECTED}. {REMEDY}")
    if latent.labelled:
        raise TypeError(f"`engine` is {device}, where labels are not heeded. {REMEDY}")
    some = rows.sample(FEW_ROWS, np.random.default_rng(0))
    try:  # where all components are alike, there is the least to lose
        alike = np.full((len(some), latent.n), 1.0 / latent.n)
        passes = list(model.passes(model.from_responsibilities(some, alike), survey))
    except ArithmeticError:  # what is wrong with the rows is told by the fit itself
        return
    if not any(can_meet(one.kernel) for one in passes):
        raise TypeError(
            f"`engine` is {device}, and not for the family {model.family.name!r}; {EXPECTED}. "
            f"{REMEDY}"
        )


def _sums(one: ModelPass, block: ResidentBlock) -> BlockSums:
    """The sums of a block."""
    xp, back = block.device.xp, block.device.back
    joint, collect = meet_on(one.kernel, block)
    highest, joint, share, total = _softmax(xp, joint)
    resp = share * (block.weights / total)
    loglik = xp.sum(block.weights * (highest + xp.log(total)))
    # -sum r log r, with log r = joint - log total.
    entropy = xp.sum(block.weights * xp.log(total)) - xp.sum(resp * joint)
    told = back(xp.stack([loglik, entropy, xp.min(highest), xp.max(highest)]))
    _refuse_rows(told[2], told[3], highest, block)
    return BlockSums(float(told[0]), float(told[1]), None, collect(resp))


def _surprise(one: ModelPass, block: ResidentBlock) -> float:
    """-log of the largest share of each row, which is 1 / total after the shift."""
    xp = block.device.xp
    *_, total = _softmax(xp, meet_on(one.kernel, block)[0])
    return float(block.device.back(xp.sum(block.weights * xp.log(total))))


def _softmax(xp: Any, joint: Any) -> tuple[Any, Any, Any, Any]:
    """The highest of log p(x, z_k) (K, b); all less it; exp of that; and the sum of these, (b,)."""
    highest = xp.max(joint, axis=0)
    joint = xp.clip(joint - highest, min=LOG_ZERO)
    share = xp.exp(joint)
    return highest, joint, share, xp.sum(share, axis=0)


def _refuse_rows(low: float, high: float, highest: Any, block: ResidentBlock) -> None:
    """Raise as `emframe.latents.softmax` does for what no log density may be."""
    if np.isnan(high) or high > -LOG_ZERO * 1e-100:
        raise NoDensity(f"a component gave a log density of {high}")
    if low < LOG_ZERO * 1e-100:
        row = int(block.device.back(highest).argmin())
        raise Degenerate(f"a row has density zero under every component: {block.row(row)}")
