"""How sure the fit is of each row's component: 1 less the largest responsibility, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from emframe.plotting.scene import Scene
from emframe.plotting.style import hues, legend, marker, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def uncertainty(scene: Scene, ax: Axes) -> None:
    """Uncertainty against the share of rows that are surer, with the component each row goes to.

    Raises ValueError without data.
    """
    if scene.resp is None or scene.sizes is None:
        raise ValueError("uncertainty is that of rows; pass them: fit.plot(X, 'uncertainty').")
    if scene.fit.model.choices() is None:
        raise ValueError(f"a {scene.fit.model.title()} gives rows no labels to be sure of.")
    resp = np.nan_to_num(scene.resp)
    doubt = 1.0 - resp.max(axis=1)
    order = np.argsort(doubt, kind="stable")
    share = np.cumsum(scene.sizes[order]) / scene.sizes.sum()
    winner = resp.argmax(axis=1)[order]
    for k, colour in enumerate(hues(ax, scene.k)):
        mine = winner == k
        ax.plot(
            share[mine], doubt[order][mine], marker(k), color=colour, ms=4, alpha=0.8,
            label=f"goes to component {k}",
        )  # fmt: skip
    ax.set(
        xlabel="share of rows that are surer",
        ylabel="1 - largest responsibility",
        xlim=(0.0, 1.01),
        ylim=(-0.01, max(0.5, 1.05 * float(doubt.max()))),
    )
    legend(ax, scene.k, loc="upper left")
    tidy(ax)
