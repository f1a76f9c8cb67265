"""A model by a formula: what is modelled, given what, for whom, by which law of z.

    emframe.formula("y ~ time * sex", random="~ time", group="id", n_components=2)

One known case: ``emframe.formula("y ~ x")`` is the linear regression of y on x.
"""

from __future__ import annotations

import re
from typing import Any

from emframe.composing import Hurdle, ZeroInflated
from emframe.data.formulas import is_formula, names_in, outcomes_of, sides
from emframe.host import families
from emframe.host import family as named_family
from emframe.latents import Gate
from emframe.messages.words import in_our_words, meant
from emframe.models.mixture import Mixture

# Families of responses by what they are called where regressions are.
LAWS = {
    **dict.fromkeys(("logistic", "logit", "bernoulli", "binary", "probit"), "binomial"),
    **dict.fromkeys(("normal", "linear", "ols", "lm"), "gaussian"),
    **dict.fromkeys(("nb", "negbin", "nbinom", "negbinomial"), "negative-binomial"),
    **dict.fromkeys(("multinom", "categorical", "softmax"), "multinomial"),
    **dict.fromkeys(("t", "student", "robust"), "student-t"),
    **dict.fromkeys(("polr", "ordered", "cumulative"), "ordinal"),
}
# Arguments of lcmm's, flexmix's and statsmodels' calls.
ELSEWHERE = {
    "data": "A model has no data; fit it by emframe.fit(model, data).",
    "subject": "Did you mean group?",
    "id": "Did you mean group?",
    "groups": "Did you mean group?",
    "mixture": "Terms of the formula are each component's own, and those of common= alike in all.",
    "classmb": "Did you mean weights?",
    "concomitant": "Did you mean weights?",
}
MIXED = {"gaussian": "linear-mixed", "poisson": "poisson-mixed", "binomial": "binomial-mixed"}


@in_our_words
def formula(
    text: str,
    *,
    family: str = "gaussian",
    n_components: int = 1,
    random: str | None = None,
    common: str | None = None,
    group: str | None = None,
    weights: str | Gate | None = None,
    zeros: str | None = None,
    **options: Any,
) -> Mixture:
    """A mixture by a formula, of a data frame's columns (extra ``formula``).

    Parameters
    ----------
    text : ``"y ~ x * C(g) + log(u)"``, a response and what it is given; or ``"a + b + c ~ 1"``,
        columns that are modelled together. ``"y ~ x | id"`` says `group` as well.
    family : of the response, or of the columns: "gaussian", "poisson", "categorical", ...
    n_components : K.
    random : ``"~ 1 + time"``, terms that vary from group to group (a growth mixture).
    common : ``"~ sex"``, terms of which all components have one coefficient; then with `random`.
    group : the column that says which rows share one z, such as the person.
    weights : ``"~ educ"``, what the mixing weights depend on, or an `emframe.Gate`.
    zeros : "inflated" for a share of zeros beside the response's own, "hurdle" in their place.
    **options : settings of the family, such as ``covariance="diag"``.

    Raises
    ------
    ValueError : for a formula that is none, a family without a response, `random` without `group`.

    Examples
    --------
    >>> import emframe
    >>> emframe.formula("y ~ x", n_components=2).title()
    "gaussian-regression mixture, response=y, predictors=('~ x',), intercept=True, K = 2"
    """
    if not isinstance(text, str):
        raise TypeError(f"`text` is a {type(text).__name__}; pass a formula, such as 'y ~ x'.")
    strange = next((name for name in options if name in ELSEWHERE), None)
    if strange is not None:
        raise TypeError(f"formula() has no argument {strange!r}. {ELSEWHERE[strange]}")
    left, right = sides(text)
    effects = re.search(r"\(([^()|]*)\|([^()]*)\)", right)
    if effects:
        raise ValueError(
            f"the formula {text!r} has random effects in brackets; leave {effects[0]!r} out, and "
            f"pass random='~ {effects[1].strip()}', group={effects[2].strip()!r}."
        )
    right, bar, named = right.partition("|")
    right, named = right.strip(), named.strip()
    if bar and group not in (None, named):
        raise ValueError(f"`group` is {group!r}, and the formula {text!r} says {named!r}.")
    group = named or group
    given = weights if weights is None or isinstance(weights, Gate) else Gate(*_one_sided(weights))
    outcomes = outcomes_of(left, text)
    wanted = f"{family}-regression"
    if zeros not in (None, "inflated", "hurdle"):
        raise ValueError(f"`zeros` is {zeros!r}; expected 'inflated' or 'hurdle', or None.")
    if random is not None or common is not None:
        if group is None or family not in MIXED or len(outcomes) > 1:
            raise ValueError(
                "`random` and `common` go with one response of the family "
                f"{', '.join(MIXED)}, and with `group`, whose effects vary; got {text!r}, "
                f"family={family!r}, group={group!r}."
            )
        terms = {"random": _one_sided(random), "common": _one_sided(common)}
        told: dict[str, Any] = {"response": outcomes[0], "fixed": right, **terms, **options}
        return Mixture(MIXED[family], n_components, given, group=group, **told)
    bare = not names_in(right)
    if len(outcomes) == 1 and not (bare and wanted not in families()):
        if wanted not in families():
            known = sorted(one.removesuffix("-regression") for one in families() if "-regr" in one)
            own = LAWS.get(family.lower())
            near = f"Did you mean {own}?" if own else meant(family, known)
            raise ValueError(
                f"`family` is {family!r}, which has no regression; those that have: "
                f"{', '.join(known)}. {near}".rstrip()
            )
        predictors: Any = () if bare else (right,)
        told = {"response": outcomes[0], "predictors": predictors, **options}
        whole: Any = named_family(wanted, **told)
        if zeros:
            whole = (ZeroInflated if zeros == "inflated" else Hurdle)(whole)
        return Mixture(whole, n_components, given, group=group)
    if not bare:
        raise ValueError(
            f"the formula {text!r} models several columns given others; write '~ 1' on the right, "
            "and weights='~ ...' for what their classes depend on; or an emframe.Product of "
            "regressions."
        )
    if zeros:
        raise ValueError(f"`zeros` goes with one response; the formula {text!r} models several.")
    return Mixture(family, n_components, given, columns=outcomes, group=group, **options)


def _one_sided(text: str | None) -> tuple[str, ...]:
    """A formula with its ``~``, which may be left out where nothing else is meant."""
    return () if text is None else (text if is_formula(text) else f"~ {text}",)
