"""Diagnostics in words, and as HTML: a table of components, and a line for each thing to know."""

from __future__ import annotations

from html import escape
from math import isnan

from emframe.inference.contingency import Contingency
from emframe.inference.diagnostics import Diagnostics
from emframe.showing.report import aligned, told_n

SHOWN = 5  # pairs of columns
HEADER = ("component", "size", "assigned", "average posterior", "odds of being right")


def diagnostics_text(found: Diagnostics) -> str:
    """What `print` shows."""
    table = aligned(HEADER, _body(found), text_columns=())
    return "\n".join([found.fit.model.title(), "", table, "", *_facts(found)])


def diagnostics_html(found: Diagnostics) -> str:
    """The same as HTML, without style sheets."""
    head = "".join(f"<th>{escape(name)}</th>" for name in HEADER)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in _body(found)
    )
    facts = "".join(f"<p>{escape(line)}</p>" for line in _facts(found) if line)
    return (
        f"<div><p><b>{escape(found.fit.model.title())}</b></p><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>{facts}</div>"
    )


def _body(found: Diagnostics) -> list[list[str]]:
    names = ("size", "assigned", "average_posterior", "odds")
    return [[str(row["component"]), *(_number(row[name]) for name in names)] for row in found.rows]


def _facts(found: Diagnostics) -> list[str]:
    fit, classes = found.fit, found.classes
    told = "   ".join(f"{name} {value:.3f}" for name, value in found.criteria.items())
    k = len(classes.sizes)
    lines = []
    if k > 1:
        lines = [
            f"entropy R2 {_number(classes.entropy_r2)}   "
            f"classification error {_number(classes.error_rate)}   "
            f"smallest component {_number(found.smallest)}",
            "",
            "component (down) assigned to (across), weight of rows",
            aligned(
                ("", *map(str, range(k))),
                [[str(i), *(f"{v:.2f}" for v in row)] for i, row in enumerate(classes.errors)],
                text_columns=(),
            ),
            "",
        ]
    lines += [told + told_n(fit), _determined(found), _replicated(found)]
    lines += _table(found.table) if found.table is not None else []
    if found.pairs:
        most = "   ".join(
            f"{' x '.join(one.columns)} {one.residual:.3f}" for one in found.pairs[:SHOWN]
        )
        lines.append(f"largest bivariate residuals (X2 over its degrees of freedom): {most}")
    return lines


def _determined(found: Diagnostics) -> str:
    p = found.fit.n_parameters
    if found.is_identified:
        return f"The data determine all {p} parameters."
    if p > found.freedom:
        return (
            f"The data can determine {found.freedom:g} numbers at most, and the model has {p} "
            "parameters: others may fit as well. Fewer components have fewer."
        )
    return (
        f"The data determine {found.n_determined} of {p} parameters near this fit; "
        "standard_errors(X) names those they do not."
    )


def _replicated(found: Diagnostics) -> str:
    if found.is_replicated:
        return "The optimum is replicated."
    return "The optimum is not replicated: it was found by one start; take more n_starts."


def _table(table: Contingency) -> list[str]:
    how = "chi-squared" if table.replicates is None else f"{len(table.replicates)} tables drawn"
    p = [f", p = {one:.4g}" if not isnan(one) else "" for one in table.p_values]
    lines = [
        f"G2 {table.likelihood_ratio:.4f}{p[0]}   X2 {table.pearson:.4f}{p[1]}   "
        f"degrees of freedom {table.freedom:g} ({table.cells:g} cells; p by {how})"
    ]
    return lines + ([table.message] if table.message else [])


def _number(value: float) -> str:
    return "-" if isnan(value) else f"{value:.4g}"
