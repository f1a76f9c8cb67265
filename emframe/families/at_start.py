"""Rows at a start of a family that hides a latent of its own: no parameters complete them yet.

An M-step without previous parameters sees the rows themselves, with the shares that components
have of them, and with the sums of a prior, where there is one.

One known case: nothing but a prior's sums has no rows, and is no `AtStart`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from emframe.data.runs import Sequences
from emframe.spaces import Array


@dataclass(frozen=True)
class AtStart:
    """Rows, or runs, and shares of components in them, block by block; they add side by side."""

    blocks: tuple[tuple[Any, Array], ...]  # x and resp (n, K) of each
    prior: Any = None  # the family's sums

    @classmethod
    def of_rows(cls, x: Any, resp: Array) -> AtStart:
        """One block; the caller writes the next one's shares where these are."""
        return cls(((x, np.array(resp)),))

    def __add__(self, other: Any) -> AtStart:
        if isinstance(other, AtStart):
            blocks, own = self.blocks + other.blocks, other.prior
        else:
            blocks, own = self.blocks, other
        if self.prior is None or own is None:
            return AtStart(blocks, self.prior if own is None else own)
        return AtStart(blocks, self.prior + own)

    def __mul__(self, factor: float) -> AtStart:
        blocks = tuple((x, resp * factor) for x, resp in self.blocks)
        return AtStart(blocks, None if self.prior is None else self.prior * factor)

    @property
    def x(self) -> Any:
        """All rows, or runs."""
        each = [x for x, _ in self.blocks]
        if not isinstance(each[0], Sequences):
            return np.concatenate(each)
        rows = np.concatenate([x.x for x in each])
        return Sequences(rows, np.concatenate([x.lengths for x in each]))

    @property
    def resp(self) -> Array:
        """The shares of components, (n, K)."""
        return np.concatenate([resp for _, resp in self.blocks])

    def with_prior(self, sums: Any) -> Any:
        """A family's sums, and the prior's."""
        return sums if self.prior is None else sums + self.prior
