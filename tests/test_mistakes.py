"""Mistakes that come naturally: each is answered with what was given, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import emframe
from emframe.sklearn import EMMixture

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2)) + 5.0 * (np.arange(40) >= 20)[:, None]
F = pd.DataFrame({"x": X[:, 0], "y": X[:, 1], "n": RNG.poisson(3, 40), "id": np.arange(40) // 4})
F["w"] = np.where(F.x > 2, "a", "b")
TWO = emframe.Mixture("gaussian", 2)
DATED = F.assign(when=pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(40), unit="D"))
COUNTS = emframe.Mixture("poisson", 2)
ONE = emframe.fit(TWO, X, rng=0, n_starts=1)
NAMED = emframe.fit(TWO, F[["x", "y"]], rng=0, n_starts=1)


def mixture(family: Any, k: Any = 2, **options: Any) -> Any:
    return emframe.Mixture(family, k, **options)


def fit(model: Any = TWO, rows: Any = X, **options: Any) -> Any:
    return emframe.fit(model, rows, **{"rng": 0, "n_starts": 1, **options})


# what is written, and what the answer has to hold
MISTAKES: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    # ---- the model
    "misspelt": (lambda: mixture("gausian"), ("'gausian'", "Did you mean 'gaussian'")),
    "a method's name": (lambda: mixture("lca"), ("'lca'", 'emframe.Mixture("categorical"')),
    "mixture of what": (lambda: mixture("GMM"), ("'GMM'", 'emframe.Mixture("gaussian"')),
    "elsewhere a family": (lambda: mixture("nbinom"), ("'nbinom'", "'negative-binomial'")),
    "with zeros": (lambda: mixture("zip"), ("'zip'", 'emframe.ZeroInflated("poisson")')),
    "none": (lambda: mixture("gaussian", 0), ("`n_components` is 0", "pass 1 or more")),
    "text": (lambda: mixture("gaussian", "2"), ("`n_components` is '2'", "a whole number")),
    "a fraction": (lambda: mixture("gaussian", 2.0), ("`n_components` is 2.0", "a whole number")),
    "n_clusters": (lambda: emframe.Mixture("gaussian", n_clusters=2), ("Did you mean n_comp",)),
    "swapped": (lambda: emframe.Mixture(2, "gaussian"), ("`family` is 2", "n_components=2")),
    "a shape": (lambda: mixture("gaussian", covariance="diagonal"), ("'diagonal'", "diag")),
    "covariance_type": (lambda: mixture("gaussian", covariance_type="full"), ("mean covariance?",)),
    "half by name": (
        lambda: mixture("gaussian-regression", response="y"),
        ("['y', 1]", "predictors=('x',)"),
    ),
    "given itself": (
        lambda: mixture("gaussian-regression", response="y", predictors="y"),
        ("['y', 'y']", "one part in a regression"),
    ),
    "parts by both": (
        lambda: emframe.Product({"x": "gaussian", 1: "poisson"}),
        ("['x', 1]", "all names or all indices"),
    ),
    "parts in a list": (
        lambda: emframe.Product(["gaussian", "poisson"]),  # type: ignore[arg-type]
        ("['gaussian', 'poisson']", "a mapping of columns to families"),
    ),
    "a list for a gate": (
        lambda: emframe.Gate(["age", "sex"]),  # type: ignore[arg-type]
        ("['age', 'sex']", "'age', 'sex'."),
    ),
    "a column for weights": (
        lambda: mixture("gaussian", weights="age"),
        ("`weights` is 'age'", "emframe.Gate('age')"),
    ),
    "weights beyond 1": (
        lambda: mixture("gaussian", weights=(0.5, 0.6)),
        ("(0.5, 0.6)", "sum to 1"),
    ),
    "hmm": (lambda: emframe.model("hmm"), ("'hmm'", 'emframe.model("hidden-markov"')),
    "components of a chain": (
        lambda: emframe.model("hidden-markov", family="gaussian", n_components=3),
        ("`n_components` is 3", "n_states="),
    ),
    "a gate without its column": (
        lambda: fit(mixture("poisson", columns="n", weights=emframe.Gate("age")), F),
        ("columns x, y, n, id, w", "no 'age'"),
    ),
    "censored by nothing": (lambda: emframe.Censored("weibull"), ("none of them", "time= and")),
    "an end in text": (
        lambda: emframe.Truncated("poisson", low="1"),  # type: ignore[arg-type]
        ("`low` is '1'", "pass a number"),
    ),
    "no such parameter held": (
        lambda: emframe.fixed(TWO, mean=0.0),
        ("got mean", "means, covariances"),
    ),
    "no such parameter shared": (
        lambda: emframe.tied(TWO, "cov"),
        ("got cov", "means, covariances"),
    ),
    "a formula without a response": (lambda: emframe.formula("y x"), ("'y x'", "'y ~ x + z'")),
    "a formula's family": (
        lambda: emframe.formula("y ~ x", family="weibul"),
        ("'weibul'", "Did you mean weibull?"),
    ),
    "effects of nobody": (
        lambda: emframe.formula("y ~ x", random="~ x"),
        ("group=None", "with `group`, whose effects vary"),
    ),
    "a formula's family elsewhere": (
        lambda: emframe.formula("y ~ x", family="logistic"),
        ("'logistic'", "Did you mean binomial?"),
    ),
    "a formula's data": (lambda: emframe.formula("y ~ x", data=F), ("'data'", "emframe.fit(model")),
    "data for a formula": (lambda: emframe.formula(F), ("a DataFrame", "'y ~ x'")),  # type: ignore[arg-type]
    "a formula by place": (
        lambda: emframe.formula("y ~ x", "poisson"),  # type: ignore[misc]
        ("got 2 by place", "by name family, n_components"),
    ),
    "lcmm's subject": (
        lambda: emframe.formula("y ~ x", random="~ 1", subject="id"),
        ("'subject'", "Did you mean group?"),
    ),
    "lcmm's mixture": (
        lambda: emframe.formula("y ~ x", random="~ 1", group="id", mixture="~ x"),
        ("'mixture'", "common="),
    ),
    "lme4's brackets": (
        lambda: emframe.formula("y ~ x + (1 + x | id)"),
        ("(1 + x | id)", "random='~ 1 + x', group='id'"),
    ),
    "a power in a formula": (
        lambda: fit(emframe.formula("y ~ x^2"), F),
        ("'x^2'", "write I(x**2)"),
    ),
    "R's power": (lambda: fit(emframe.formula("y ~ I(x^2)"), F), ("'^'", "write **")),
    "a setting of a growth model": (
        lambda: mixture("linear-mixed", response="y", fixed=("x",), slopes=("x",)),
        ("'slopes'", "response"),
    ),
    "the group among the terms": (
        lambda: mixture("linear-mixed", response="y", fixed=("x", "id"), group="id"),
        ("`group` is 'id'", "y, x, id"),
    ),
    "names for a gate": (
        lambda: mixture("poisson", weights=["age", "sex"]),
        ("['age', 'sex']", "emframe.Gate('age', 'sex')"),
    ),
    "survival's status": (
        lambda: emframe.Censored("weibull", time="x", status="w"),
        ("'status'", "Did you mean event?"),
    ),
    "events in words": (
        lambda: fit(mixture(emframe.Censored("weibull", time="n", event="w")), F),
        ("('w')", "X['w'] == '"),
    ),
    # ---- the data
    "dates": (lambda: fit(TWO, DATED[["x", "when"]]), ("'when'", "X['when'].min()).dt.days")),
    "dates in a formula": (
        lambda: fit(emframe.formula("y ~ when"), DATED),
        ("'when'", "make a column of days"),
    ),
    "dates in a gate": (
        lambda: fit(mixture("poisson", columns="n", weights=emframe.Gate("when")), DATED),
        ("'when'", "make a column of days"),
    ),
    "spans of time": (
        lambda: fit(TWO, DATED.assign(when=DATED.when - DATED.when.min())[["x", "when"]]),
        ("'when'", "pandas X['when'].dt.days"),
    ),
    "arguments swapped": (lambda: emframe.fit(X, TWO), ("(40, 2)", "emframe.fit(model, X)")),
    "no model": (lambda: fit("gaussian"), ("'gaussian'", "emframe.Mixture('gaussian'")),
    "a class": (lambda: fit(emframe.Mixture), ("Mixture'>", "emframe.Mixture(family, n_comp")),
    "gaps": (
        lambda: fit(TWO, np.where(X > 6, np.nan, X)),
        ("row 20, column 1", "is nan", "missing=True"),
    ),
    "infinite": (lambda: fit(TWO, np.where(X > 6, np.inf, X)), ("row 20", "is inf", "remove")),
    "words": (lambda: fit(TWO, F[["x", "w"]]), ("('w') is 'b'", "'categorical'")),
    "words in an array": (lambda: fit(TWO, np.array([["a", "b"]] * 5)), ("'a'", "real numbers")),
    "a file": (lambda: fit(TWO, "data.csv"), ("'data.csv'", "emframe.read_parquet")),
    "a plan": (lambda: fit(TWO, pl.DataFrame({"x": [1.0]}).lazy()), ("lazy frame", "collect()")),
    "below 0": (lambda: fit(COUNTS, [-1, 2, 3, 4]), ("row 0", "is -1", "choose another family")),
    "no counts": (lambda: fit(COUNTS, [0.5, 2, 3, 4]), ("row 0", "is 0.5", "whole numbers")),
    "codes from 1": (
        lambda: fit(mixture("categorical"), [[1], [2], [1], [3]]),
        ("has a 3 and no 0", "as 0, 1, 2"),
    ),
    "neither no nor yes": (
        lambda: fit(mixture("bernoulli"), [[0], [2], [1], [1]]),
        ("row 1", "is 2", "it takes 0 or 1"),
    ),
    "no rows": (lambda: fit(TWO, np.zeros((0, 2))), ("no rows", "pass at least one")),
    "a cube": (lambda: fit(TWO, np.zeros((3, 2, 2))), ("(3, 2, 2)", "rows by columns")),
    "complex": (lambda: fit(TWO, X + 1j), ("complex128", "pass real numbers")),
    "the same name twice": (
        lambda: fit(TWO, pd.concat([F[["x"]], F[["x"]]], axis=1)),
        ("two columns called 'x'", "rename one"),
    ),
    "more than there are": (
        lambda: fit(mixture("gaussian", 5), X[:3]),
        ("`n_components` is 5", "3 rows", "at most 3"),
    ),
    "constant": (
        lambda: fit(TWO, np.column_stack([X[:, 0], np.ones(40)])),
        ("column 1 ('x1')", "Leave out columns that are constant"),
    ),
    "runs to a model of rows": (
        lambda: fit(TWO, emframe.Sequences.by(F[["x", "y", "id"]], "id")),
        ("divided into runs", "emframe.Mixture(..., group='id')"),
    ),
    "rows to a model of runs": (
        lambda: fit(mixture(emframe.Grouped("gaussian"))),
        ("1 run", "emframe.Sequences.by(X, 'id')"),
    ),
    "lengths that do not add up": (
        lambda: emframe.Sequences(X, [3, 4]),
        ("[3 4]", "40 rows", "sum to the number of rows"),
    ),
    "no such group": (lambda: emframe.Sequences.by(F, "person"), ("no 'person'", "x, y, n")),
    # ---- the fit
    "too few weights": (lambda: fit(weights=np.ones(3)), ("(3,)", "40 rows", "one weight per")),
    "weights below 0": (lambda: fit(weights=-np.ones(40)), ("`weights[0]` is -1.0", "not neg")),
    "weights of another frame": (
        lambda: fit(TWO, F[["x", "y"]], weights=pd.Series(np.ones(40), index=range(1, 41))),
        ("another index", "reindex(X.index)"),
    ),
    "too few labels": (lambda: fit(start=np.zeros(3, int)), ("(3,)", "labels (40,)")),
    "labels beyond": (lambda: fit(start=np.full(40, 7)), ("`start[0]` is 7", "0 to 1")),
    "a start by name": (lambda: fit(start="kmeans"), ("'kmeans'", "pass labels (40,)")),
    "known beyond": (lambda: fit(labels=np.full(40, 9)), ("`labels[0]` is 9", "0 to 1")),
    "random_state": (lambda: fit(random_state=0), ("'random_state'", "Did you mean rng?")),
    "n_init": (lambda: fit(n_init=3), ("'n_init'", "Did you mean n_starts?")),
    "a seed in text": (lambda: fit(rng="abc"), ("`rng` is 'abc'", "an int")),
    "no starts": (lambda: fit(n_starts=0), ("`n_starts` is 0", "1 or above")),
    "a tolerance in text": (lambda: fit(tol="small"), ("`tol` is 'small'", "number of nats")),
    "a prior": (lambda: fit(prior="strong"), ("`prior` is 'strong'", "'weak'")),
    "fast": (lambda: fit(accelerate="fast"), ("'fast'", "squarem")),
    "gpu": (lambda: fit(engine="gpu"), ("`engine` is 'gpu'", "a number of threads")),
    "numbers of models": (
        lambda: emframe.select(range(1, 3), X),  # type: ignore[arg-type]
        ("range(1, 3)", '("gaussian", range(1, 10))'),
    ),
    "a criterion": (
        lambda: emframe.select(("gaussian", [1]), X, criterion="BICC"),
        ("'BICC'", "bic, aic, icl, cv"),
    ),
    "hmmlearn's lengths": (lambda: fit(lengths=[20, 20]), ("'lengths'", "Sequences(X, lengths)")),
    "a fit for a model": (lambda: fit(ONE), ("a fit", "fit.model")),
    "boot's R": (
        lambda: emframe.bootstrap_lrt(TWO, mixture("gaussian", 3), X, n_boot=9),  # type: ignore[call-arg]
        ("'n_boot'", "n_replicates"),
    ),
    "counts beside densities": (
        lambda: emframe.select([mixture("poisson"), mixture("gaussian")], F.n),
        ("no common scale", "families of one kind"),
    ),
    "a selection that predicts": (
        lambda: emframe.select(("gaussian", [1]), X, rng=0, n_starts=1).predict(X),
        ("'predict'", "selection.best.predict"),
    ),
    # ---- the results
    "a kind for rows": (lambda: ONE.plot("density"), ("'density'", "fit.plot(X, 'density')")),
    "an estimator of words": (
        lambda: EMMixture().fit(np.array([["a", "b"], ["c", "d"]])),
        ("array of words", "pass a data frame"),
    ),
    "settings in a list": (
        lambda: EMMixture("categorical", family_options=["missing"]).fit(X),
        ("['missing']", "by name"),
    ),
    "means_": (lambda: ONE.means_, ("'means_'", "fit['means']")),
    "labels_": (lambda: ONE.labels_, ("'labels_'", "fit.predict(X)")),
    "a model that fits": (lambda: TWO.fit(X), ("'fit'", "emframe.fit(model, X)")),
    "a model that predicts": (lambda: TWO.predict(X), ("'predict'", "then fit.predict")),
    "no such item": (lambda: ONE["mean"], ("'mean'", "'means'")),
    "fewer columns": (lambda: ONE.predict(X[:, :1]), ("1 column", "fitted to 2")),
    "a column less": (lambda: NAMED.predict(F[["x"]]), ("takes x, y", "'y' is not there")),
    "how errors": (
        lambda: ONE.standard_errors(X, method="boot"),
        ("'boot'", "bootstrap, parametric"),
    ),
    "95": (lambda: ONE.confint(X, level=95), ("`level` is 95", "0.95")),
    "no such number": (
        lambda: ONE.test("mean[0, x0] = 0", X),
        ("'mean[0, x0]'", "did you mean means[0, x0]"),
    ),
    "no equation": (lambda: ONE.test("means[0, x0]", X), ("'means[0, x0]'", "= weights[1]")),
    "no data": (lambda: ONE.test("means[0, x0] = 0"), ("fit keeps none", "test(hypothesis, X)")),
    "a kind": (lambda: ONE.plot(X, "scatter"), ("'scatter'", "plane, pairs")),
    "rows for errors": (lambda: ONE.to_frame(X), ("ndarray", "fit.standard_errors(X)")),
    "no path": (lambda: ONE.viterbi(X), ("no path", "predict(X)")),
    "draws of a part": (lambda: ONE.sample(2.5), ("`n` is 2.5", "a whole number")),
    "the larger first": (
        lambda: emframe.bootstrap_lrt(TWO, mixture("gaussian", 1), X, n_replicates=2),
        ("5 free parameters", "the smaller model first"),
    ),
    "no folder": (lambda: ONE.save("nowhere/fit"), ("nowhere", "make it first")),
    "another file": (lambda: emframe.load(__file__), ("not a saved fit", "that fit.save wrote")),
    "a data set": (lambda: emframe.dataset("iriss"), ("'iriss'", "Did you mean 'iris'")),
    "not a distribution": (
        lambda: emframe.from_scipy("gama"),  # type: ignore[arg-type]
        ("'gama'", "scipy.stats.gamma"),
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_answered_with_what_was_given_and_what_to_do(case: str) -> None:
    written, told = MISTAKES[case]
    with pytest.raises(Exception) as caught:  # noqa: PT011
        written()
    said = str(caught.value)
    assert all(part in said for part in told), said
    assert not isinstance(caught.value, (AssertionError, IndexError, UnboundLocalError))
