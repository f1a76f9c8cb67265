"""Fits and selections in words: plain text, for `print` and for the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from emframe.core import Status
from emframe.optima import optima
from emframe.parameters import leaves
from emframe.spaces import Array

if TYPE_CHECKING:
    from emframe.result import Fit
    from emframe.selection import Selection


def summary(fit: Fit) -> str:
    """The model, its criteria, its parameters, and the verdict on convergence."""
    lines = [
        fit.model.title(),
        f"{fit.n_rows:g} rows, columns {', '.join(fit.columns)}",
        "",
        f"log-likelihood {fit.log_likelihood:.6f}   parameters {fit.n_parameters}",
        f"AIC {fit.aic:.3f}   BIC {fit.bic:.3f}   ICL {fit.icl:.3f}",
    ]
    if fit.prior is not None:
        lines.append(f"prior {fit.prior}: log prior {fit.log_prior:.6f}")
    lines += ["", *parameter_lines(fit.params, fit.columns), "", verdict(fit)]
    return "\n".join(lines)


def verdict(fit: Fit) -> str:
    """How the fit ended, how often its optimum was found, and whether to trust it."""
    found = [s.objective for s in fit.starts if s.status.usable and not s.spurious]
    parts = [f"{'Converged' if fit.converged else 'Not converged'}: {fit.message}"]
    if len(fit.starts) > 1:
        groups = optima(found)
        times = groups[0][1] if groups and not fit.spurious else 0
        parts.append(
            f"{len(fit.starts)} starts, {fit.n_iter} E-steps; the best optimum was found "
            f"{times} times among {len(groups)} distinct regular ones."
        )
    degenerate = sum(s.status is Status.DEGENERATE for s in fit.starts)
    spurious = sum(bool(s.spurious) and s.status.usable for s in fit.starts)
    aside = [
        f"{count} {what}"
        for count, what in ((degenerate, "degenerate"), (spurious, "spurious"))
        if count
    ]
    if aside:
        parts.append(f"Set aside: {' and '.join(aside)}.")
    if fit.spurious:
        parts.append(
            f"This optimum looks spurious ({fit.spurious}). Use fewer components, a more "
            "restricted structure, or prior='weak'."
        )
    return " ".join(parts)


def parameter_lines(params: Any, columns: tuple[str, ...]) -> list[str]:
    """Every parameter array under its name, one component to a line."""
    lines: list[str] = []
    for leaf in leaves(params):
        name = leaf.path.removeprefix("components.")
        value = np.asarray(leaf.value)
        if value.ndim == 1:
            lines += [name, "  " + _numbers(value)]
        elif value.ndim == 2:
            header = f" ({', '.join(columns)})" if value.shape[1] == len(columns) else ""
            lines.append(name + header)
            lines += [f"  {k}: {_numbers(row)}" for k, row in enumerate(value)]
        else:
            shown = value[:1] if leaf.declared.shared else value
            lines.append(name + (" (shared by all components)" if leaf.declared.shared else ""))
            for k, matrix in enumerate(shown):
                rows = [_numbers(row) for row in matrix]
                lines += [f"  {k}: {rows[0]}", *(f"     {row}" for row in rows[1:])]
    return lines


def selection_table(selection: Selection) -> str:
    """The table of a selection as aligned text; the chosen model is starred."""
    names = ("model", "parameters", "log-likelihood", "AIC", "BIC", "ICL", "status")
    body = [
        (
            ("* " if row["best"] else "  ") + row["model"],
            str(row["n_parameters"]),
            f"{row['log_likelihood']:.4f}",
            f"{row['aic']:.3f}",
            f"{row['bic']:.3f}",
            f"{row['icl']:.3f}",
            row["status"] + (", spurious" if row["spurious"] else ""),
        )
        for row in selection.table
    ]
    widths = [max(len(row[j]) for row in [names, *body]) for j in range(len(names))]
    lines = []
    for row in [("  " + names[0], *names[1:]), *body]:
        cells = [row[0].ljust(widths[0] + 2)]
        cells += [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def _numbers(values: Array) -> str:
    return "  ".join(f"{value:>11.6g}" for value in np.atleast_1d(values))
