"""Words in data frames: as outcomes, as predictors, by formulas; and columns by their names.

What a model of words comes to is what it comes to on codes and indicators that are made by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import emframe
from emframe.data.formulas import CALLS, has_constant, names_in, read_off

N = 120
RNG = np.random.default_rng(3)
KIND = RNG.integers(2, size=N)
FRAME = pd.DataFrame(
    {
        "evening": np.where(RNG.random(N) < 0.8, np.array(["sofa", "dance"])[KIND], "read"),
        "smokes": np.where(RNG.random(N) < 0.8, np.array(["yes", "no"])[KIND], "no"),
        "sex": np.where(RNG.random(N) < 0.5, "m", "f"),
        "town": RNG.choice(["c", "a", "b"], size=N),
        "age": RNG.uniform(20, 60, N),
        "who": np.arange(N) // 4,
        "time": np.arange(N) % 4 * 1.0,
    },
    index=[f"r{i}" for i in range(N)],
)
FRAME["y"] = RNG.normal(size=N) + 3.0 * KIND + 0.05 * FRAME.age + (FRAME.sex == "m")
FRAME["n"] = RNG.poisson(2, N)
CODED = FRAME.assign(
    evening=FRAME.evening.map({"dance": 0, "read": 1, "sofa": 2}),
    smokes=FRAME.smokes.map({"no": 0, "yes": 1}),
    sex_m=(FRAME.sex == "m") * 1.0,
    town_b=(FRAME.town == "b") * 1.0,
    town_c=(FRAME.town == "c") * 1.0,
)
CODED["age_m"] = CODED.age * CODED.sex_m


def mixture(family: Any, k: int = 2, **options: Any) -> Any:
    return emframe.Mixture(family, k, **options)


def line(*predictors: str, name: str = "gaussian-regression", y: str = "y") -> Any:
    return emframe.family(name, response=y, predictors=predictors)


def markov(family: Any, **options: Any) -> Any:
    return emframe.model("hidden-markov", family=family, n_states=2, **options)


def runs(frame: Any) -> Any:
    return emframe.Sequences.by(frame, "who")


def growth(**terms: Any) -> Any:
    return mixture("linear-mixed", 1, response="y", **terms)


rows: Callable[[Any], Any] = lambda frame: frame  # noqa: E731

# what is written of words, what of numbers made by hand, and how rows are handed over
ALIKE: dict[str, tuple[Any, Any, Any]] = {
    "answers": (mixture("categorical", columns=("evening", "smokes")),) * 2 + (rows,),
    "yes and no": (mixture("bernoulli", columns="smokes"),) * 2 + (rows,),
    "predictors": (
        mixture(line("age", "sex", "town")),
        mixture(line("age", "sex_m", "town_b", "town_c")),
        rows,
    ),
    "a response": (
        mixture(line("age", name="binomial-regression", y="smokes")),
        mixture(line("age", name="binomial-regression", y="smokes")),
        rows,
    ),
    "one of several": (
        mixture(line("age", name="multinomial-regression", y="evening"), 1),
        mixture(line("age", name="multinomial-regression", y="evening"), 1),
        rows,
    ),
    "parts": (
        mixture(emframe.Product({"y": line("sex"), "n": "poisson", "evening": "categorical"})),
        mixture(emframe.Product({"y": line("sex_m"), "n": "poisson", "evening": "categorical"})),
        rows,
    ),
    "a gate": (
        mixture("gaussian", columns="y", weights=emframe.Gate("town")),
        mixture("gaussian", columns="y", weights=emframe.Gate("town_b", "town_c")),
        rows,
    ),
    "a gate beside": (
        mixture(line("sex"), weights=emframe.Gate("sex")),
        mixture(line("sex_m"), weights=emframe.Gate("sex_m")),
        rows,
    ),
    "zeros": (
        mixture(emframe.ZeroInflated(line("sex", name="poisson-regression", y="n")), 1),
        mixture(emframe.ZeroInflated(line("sex_m", name="poisson-regression", y="n")), 1),
        rows,
    ),
    "another law": (
        mixture(line("sex", name="lognormal-regression", y="age"), 1),
        mixture(line("sex_m", name="lognormal-regression", y="age"), 1),
        rows,
    ),
    "in common": (
        emframe.tied(mixture(line("town")), "town"),
        emframe.tied(mixture(line("town_b", "town_c")), "town_b", "town_c"),
        rows,
    ),
    "left out": (
        emframe.fixed(mixture(line("age", "town")), town=0.0),
        emframe.fixed(mixture(line("age", "town_b", "town_c")), town_b=0.0, town_c=0.0),
        rows,
    ),
    "groups": (
        mixture(emframe.Grouped(line("sex"))),
        mixture(emframe.Grouped(line("sex_m"))),
        runs,
    ),
    "mixtures of mixtures": (mixture(mixture(line("sex"))), mixture(mixture(line("sex_m"))), rows),
    "a chain": (markov("categorical", columns=("evening", "smokes")),) * 2 + (runs,),
    "a chain by a gate": (
        markov("gaussian", columns="y", transitions=emframe.Gate("sex")),
        markov("gaussian", columns="y", transitions=emframe.Gate("sex_m")),
        runs,
    ),
    "growth": (
        growth(fixed=("time",), common=("sex",)),
        growth(fixed=("time",), common=("sex_m",)),
        runs,
    ),
    "growth by a formula": (
        growth(fixed="~ time * sex", random="~ 1 + time"),
        growth(fixed=("time", "sex_m", "time:sex_m"), random=("intercept", "time")),
        runs,
    ),
    "a formula": (
        mixture(line("~ age * sex")),
        mixture(line("age", "sex_m", "age_m")),
        rows,
    ),
    "a gate by a formula": (
        mixture("gaussian", columns="y", weights=emframe.Gate("~ age + C(town)")),
        mixture("gaussian", columns="y", weights=emframe.Gate("age", "town_b", "town_c")),
        rows,
    ),
    "a formula of a part": (
        mixture(emframe.Product({"y": line("~ age * sex"), "n": "poisson"})),
        mixture(emframe.Product({"y": line("age", "sex_m", "age_m"), "n": "poisson"})),
        rows,
    ),
}


def fitted(model: Any, X: Any) -> Any:
    return emframe.fit(model, X, rng=0, n_starts=1, max_iter=12)


@pytest.mark.parametrize("case", ALIKE)
def test_words_come_to_what_numbers_made_by_hand_do(case: str, tmp_path: Any) -> None:
    words, numbers, made = ALIKE[case]
    one, other = fitted(words, made(FRAME)), fitted(numbers, made(CODED))
    assert one.log_likelihood == pytest.approx(other.log_likelihood, rel=1e-10)
    assert one.n_parameters == other.n_parameters
    turned = FRAME[FRAME.columns[::-1]].assign(more="whatever")  # by name, whatever the order
    asked = np.asarray(one.score_samples(made(turned)))
    assert asked == pytest.approx(np.asarray(other.score_samples(made(CODED))), rel=1e-9)
    one.save(tmp_path / "fit")
    again = emframe.load(tmp_path / "fit")
    assert np.array_equal(np.asarray(again.score_samples(made(turned))), asked)
    assert again.levels == one.levels
    assert str(again) == str(one)


@pytest.mark.parametrize("case", ["answers", "predictors", "parts", "a formula", "a gate"])
def test_polars_gives_the_same(case: str) -> None:
    words, _, made = ALIKE[case]
    own = pl.from_pandas(FRAME)
    assert fitted(words, made(own)).log_likelihood == fitted(words, made(FRAME)).log_likelihood


def test_tables_have_the_words() -> None:
    parts = emframe.Product({("evening",): "categorical", "smokes": "bernoulli"})
    fit = fitted(mixture(parts, 1), FRAME)
    names = fit.profiles().names
    assert {"evening.probs[evening, sofa]", "smokes.probs[smokes_yes]"} <= set(names)
    assert "dance 0." in str(fit)
    assert "sofa" in fit._repr_html_()
    frame = fit.to_frame()
    assert list(frame[frame.column == "evening"].column_2.unique()) == ["dance", "read", "sofa"]
    errors = fit.standard_errors(FRAME)
    assert "evening.probs[0, evening, read]" in [row["parameter"] for row in errors.table]
    test = errors.test("evening.probs[0, evening, read] = evening.probs[0, evening, sofa]")
    assert 0.0 <= test.p_value <= 1.0


def test_draws_are_words_again() -> None:
    fit = fitted(mixture("categorical", columns=("evening", "smokes")), FRAME)
    rows, _ = fit.sample(50, rng=0)
    assert set(rows.evening) <= {"dance", "read", "sofa"}
    assert len(fit.predict(rows)) == 50
    assert rows.evening.cat.categories.tolist() == list(fit.levels["evening"])


def test_what_is_filled_in_is_words() -> None:
    model = mixture("categorical", columns=("evening", "smokes"), missing=True)
    gone = FRAME.assign(evening=FRAME.evening.where(np.arange(N) % 7 > 0))
    filled = fitted(model, gone).impute(gone)
    assert filled.index.equals(gone.index)
    known = gone.evening.notna()
    assert (filled.evening[known] == gone.evening[known]).all()
    assert set(filled.evening) <= {"dance", "read", "sofa"}


def test_an_order_of_categories_is_kept() -> None:
    order = ["sofa", "read", "dance", "opera"]
    frame = FRAME.assign(evening=pd.Categorical(FRAME.evening, categories=order))
    model = mixture("categorical", columns="evening")
    assert fitted(model, frame).levels["evening"] == ("sofa", "read", "dance")
    four = mixture("categorical", columns="evening", levels=4)
    assert fitted(four, frame).levels["evening"] == tuple(order)
    ranked = frame.assign(evening=frame.evening.cat.as_ordered())
    grades = mixture(line("age", name="ordinal-regression", y="evening"), 1)
    assert fitted(grades, ranked).levels["evening"] == ("sofa", "read", "dance")
    first = frame.assign(town=pd.Categorical(FRAME.town, categories=["c", "b", "a"]))
    assert fitted(mixture(line("town"), 1), first).columns == ("y", "town_b", "town_a")


def test_answers_that_are_missing_are_so_whatever_stands_for_them() -> None:
    model = mixture("categorical", columns=("evening", "smokes"), missing=True)
    gone = FRAME.assign(evening=FRAME.evening.where(np.arange(N) % 7 > 0))
    found = fitted(model, gone).log_likelihood
    category = gone.assign(evening=gone.evening.astype("category"))
    assert fitted(model, category).log_likelihood == found
    assert fitted(model, pl.from_pandas(gone)).log_likelihood == found
    codes = pd.DataFrame(
        {name: gone[name].astype("category").cat.codes for name in model.legend.columns}
    )
    assert fitted(mixture("categorical", missing=True), codes).log_likelihood == found  # -1
    beside = mixture("bernoulli", missing=True, columns="smokes", weights=emframe.Gate("age"))
    below = CODED.assign(age=-1.0 - (np.arange(N) % 5), smokes=CODED.smokes.where(CODED.n > 0, -1))
    gaps = below.assign(smokes=below.smokes.where(below.smokes >= 0))
    assert fitted(beside, below).log_likelihood == fitted(beside, gaps).log_likelihood
    with pytest.raises(ValueError, match=r"row 0, column 0 \('evening'\).*missing=True"):
        fitted(mixture("categorical", columns=("evening", "smokes")), gone)


REFUSED: dict[str, tuple[Any, Any, str]] = {
    "a word that came later": (
        mixture("categorical", 1, columns="evening"),
        lambda fit: fit.predict(FRAME.assign(evening="opera")),
        "'opera', which is none of the values that were fitted: dance, read, sofa",
    ),
    "a predictor that came later": (
        mixture(line("town"), 1),
        lambda fit: fit.predict(FRAME.assign(town="z")),
        "'z', which is none of the values that were fitted: a, b, c",
    ),
    "a formula's that came later": (
        mixture(line("~ town"), 1),
        lambda fit: fit.predict(FRAME.assign(town="z")),
        "'z', which is none of the values that were fitted: a, b, c",
    ),
    "three for two": (mixture("bernoulli", columns="evening"), None, "takes 2; the family"),
    "one of two": (
        mixture("bernoulli", columns="one"),
        None,
        "which of two values that is; pass a category of both",
    ),
    "an order that is not told": (
        mixture(line("age", name="ordinal-regression", y="evening"), 1),
        None,
        "whose order the family 'ordinal-regression' has to know; pass pandas.Categorical",
    ),
    "a predictor of one value": (mixture(line("one"), 1), None, "says nothing of them"),
    "a predictor with gaps": (mixture(line("gaps"), 1), None, "row 2, column 'gaps' is missing"),
    "a formula with gaps": (mixture(line("~ gaps"), 1), None, "row 2, column 'gaps' is missing"),
    "words in numbers": (
        mixture("gaussian", columns=("y", "sex")),
        None,
        "the families 'categorical'",
    ),
    "no such column": (mixture("gaussian", columns=("y", "z")), None, "'z' is not there"),
    "no such column in a formula": (mixture(line("~ age + z"), 1), None, "and no 'z'"),
    "a formula without an end": (mixture(line("~ age +"), 1), None, "cannot be read"),
    "a formula that makes nothing": (mixture(line("~ 1"), 1), None, "makes no column"),
    "a value held of several": (
        emframe.fixed(mixture(line("town"), 1), town=2.0),
        None,
        "has the coefficients town_b, town_c",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_of_words(case: str) -> None:
    model, asked, told = REFUSED[case]
    frame = FRAME.assign(one="yes", gaps=FRAME.sex.where(np.arange(N) != 2))
    fit = None if asked is None else fitted(model, frame)
    with pytest.raises((TypeError, ValueError)) as caught:
        fitted(model, frame) if asked is None else asked(fit)
    assert told in str(caught.value)


def test_a_formula_is_no_program() -> None:
    for text in ("~ __import__('os')", "~ open(age)", "~ {age.real}", "~ age[0]"):
        with pytest.raises(ValueError, match="the formula"):
            read_off(text, [FRAME])
    with pytest.raises(ValueError, match=r"no 'age\.real'"):  # the name of a column, as R has them
        read_off("~ age.real", [FRAME])


FORMULAS = {
    "~ age + I(age**2)": (("age", "age^2"), True),
    "~ sex:age": (("sex_f*age", "sex_m*age"), True),
    "~ 0 + town": (("town_a", "town_b", "town_c"), False),
    "~ town - 1": (("town_a", "town_b", "town_c"), False),
    "~ bs(age, df=4)": (("bs_age_1", "bs_age_2", "bs_age_3", "bs_age_4"), True),
    "~ center(age) + log(age)": (("center_age", "log_age"), True),
}


@pytest.mark.parametrize("text", [text for text, told in FORMULAS.items() if told])
def test_a_formula_reads_new_rows_as_it_read_the_first(text: str) -> None:
    design = read_off(text, [FRAME])
    labels, constant = FORMULAS[text] or ((), True)
    assert design.labels == labels
    assert has_constant(text) == constant
    assert set(names_in(text)) <= set(FRAME.columns)
    some = FRAME.iloc[10:20]
    assert np.array_equal(design.of(some), design.of(FRAME)[10:20])


def test_every_transformation_that_a_formula_may_call_is_there() -> None:
    """And names that are no identifiers stand in backticks, also inside of a call."""
    frame = FRAME.assign(**{"age at start": FRAME.age, "home town": FRAME.town})
    more = {"minimum": ", 30", "maximum": ", 30"} | dict.fromkeys(
        ["bs", "cc", "cr", "cs"], ", df=4"
    )
    for call in CALLS:
        if call.startswith("contr"):
            text = f"~ C(`home town`, {call}())"
        else:
            column = "home town" if call == "C" else "age at start"
            text = f"~ {call}(`{column}`{more.get(call, '')})"
        design = read_off(text, [frame])
        assert design.sources in (("age at start",), ("home town",))
        assert np.isfinite(design.of(frame)).all(), call
    named = read_off("~ `age at start` + log1p(`age at start`)", [frame]).of(frame)
    assert named == pytest.approx(np.column_stack([FRAME.age, np.log1p(FRAME.age)]))
