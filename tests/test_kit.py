"""The kit is on trial: it accepts every honest family, and rejects every mutant for its reason."""

import dataclasses
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from honest import HONEST, Exponential
from hypothesis import settings
from mutants import (
    MUTANTS,
    OVER_RUNS,
    EmptyIsNaN,
    FreeAndBounded,
    Normal,
    ScaleOff,
    Unbiased,
    WithoutConstant,
)
from scipy import special, stats

import emframe
import emframe.testing
from emframe import Binary, Interval, Positive, Real
from emframe.families import Outcome
from emframe.spaces import ColumnsIn
from emframe.testing import CHECKS, CheckResult, FamilyConformance, check_family
from emframe.testing.conformance import columns_of, scheme_of
from emframe.testing.trial import examine

pytest_plugins = ["pytester"]

EXAMPLES = settings.default.max_examples  # to find what is wrong with a mutant
DEEP = EXAMPLES >= 200
FEWER = EXAMPLES // 5  # of each check, where there are many families and nothing to find
BY_NAME = {check.name: check for check in CHECKS}
BUILT_IN = [
    *(emframe.family("gaussian", covariance=c) for c in ("full", "diag", "spherical", "tied")),
    *(emframe.family("gaussian", covariance=c) for c in ("VEI", "EVI", "VEE", "EVE")),
    *(emframe.family("gaussian", covariance=c) for c in ("VVE", "EEV", "VEV", "EVV")),
    *(emframe.family("bernoulli", missing=missing) for missing in (False, True)),
    emframe.family("categorical", levels=3),
    emframe.family("categorical", levels=(2, 4, 3), missing=True),
    emframe.family("poisson"),
    emframe.family("student-t"),
    emframe.family("student-t", covariance="tied", dof="shared"),
    emframe.family("student-t", covariance="diag", dof=5.0),
    emframe.family("student-t", covariance="EVE"),
    emframe.family("gaussian", missing=True),
    emframe.family("factor-analysis"),
    emframe.family("factor-analysis", n_factors=2, noise="shared"),
    emframe.family("factor-analysis", missing=True),
    emframe.family("gaussian-regression"),
    emframe.family("poisson-regression", offset=1, predictors=2),
    emframe.family("binomial-regression", trials=1, predictors=2),
    *(emframe.family(name) for name in ("normal", "laplace", "exponential", "gamma", "weibull")),
    *(emframe.family(name) for name in ("lognormal", "inverse-gaussian", "beta", "dirichlet")),
    *(emframe.family(name) for name in ("negative-binomial", "geometric")),
    emframe.family("lognormal", covariance="VEI"),
    emframe.family("binomial", trials=7),
    emframe.family("binomial", trials=(3, 8)),
    emframe.family("multinomial", trials=12),
    *(emframe.family(f"{law}-regression") for law in ("gamma", "exponential", "weibull")),
    *(emframe.family(f"{law}-regression") for law in ("lognormal", "beta", "student-t")),
    emframe.family("negative-binomial-regression", offset=1, predictors=2),
    emframe.family("multinomial-regression", levels=3),
    emframe.family("ordinal-regression", levels=4),
    emframe.ZeroInflated("poisson"),
    emframe.Hurdle("poisson"),
]


def named(family):
    """A family as a test is called after it, the same in every process."""
    return repr(family).partition(" object at ")[0].removeprefix("<honest.")


@pytest.mark.parametrize("family", [*BUILT_IN, *HONEST, Normal()], ids=named)
def test_honest_families_are_accepted(family):
    results = check_family(family, max_examples=FEWER)
    assert [result.name for result in results] == list(BY_NAME)
    assert not [str(result) for result in results if result.status == "failed"]
    if not family.support.n_event_axes and family.fewest_columns < 3:  # else no quadrature
        assert {result.status for result in results} == {"passed"}


@pytest.mark.deep
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("family", BUILT_IN, ids=named)
def test_built_in_families_are_accepted_at_any_seed(family, seed):
    results = check_family(family, seed=seed)
    assert not [str(result) for result in results if result.status == "failed"]


@pytest.mark.parametrize(
    ("mutant", "name"),
    [
        pytest.param(mutant, name, id=f"{mutant.__name__}-{name}")
        for mutant, names in MUTANTS.items()
        for name in names
    ],
)
def test_mutants_are_rejected(mutant, name):
    family = mutant()
    result = examine(BY_NAME[name], family, columns_of(family), EXAMPLES, 0)
    assert result.status == "failed"
    assert result.reason.startswith(BY_NAME[name].summary)


OF_RUNS: dict[str, emframe.Family] = {
    "linear-mixed": emframe.family("linear-mixed"),
    "ordinal-mixed": emframe.family("ordinal-mixed", levels=3, n_nodes=9),
    "grouped": emframe.Grouped("gaussian", covariance="diag"),
}
if DEEP:
    OF_RUNS |= {
        "linear-mixed, each": emframe.family(
            "linear-mixed", random=("intercept", "time"), between="each", sigma="each"
        ),
        "linear-mixed, ar1": emframe.family("linear-mixed", residual="ar1"),
        "poisson-mixed": emframe.family("poisson-mixed"),
        "binomial-mixed": emframe.family("binomial-mixed"),
    }


@pytest.mark.parametrize("family", OF_RUNS)
def test_honest_families_over_runs_are_accepted(family):
    results = check_family(OF_RUNS[family], max_examples=1)
    assert [result.name for result in results] == list(BY_NAME)
    assert not [str(result) for result in results if result.status != "passed"]


def first_mutant(name):
    """A family over runs that a check has to reject: rows of a mutant of it, grouped."""
    found = next(mutant for mutant, names in MUTANTS.items() if name in names)
    # The pieces of grouped rows are Grouped's own; and sums of runs are not as far out as rows.
    found = {"pieces": FreeAndBounded, "m_step": Unbiased}.get(name, found)
    return emframe.Grouped(found())


WRONG_RUNS = [(name, f"{name}, grouped", first_mutant(name)) for name in BY_NAME] + [
    (name, f"{name}, {mutant.__name__}", mutant())
    for mutant, names in OVER_RUNS.items()
    for name in names
]


@pytest.mark.parametrize(
    ("name", "family"), [pytest.param(name, one, id=told) for name, told, one in WRONG_RUNS]
)
def test_mutants_over_runs_are_rejected(name, family):
    result = examine(BY_NAME[name], family, columns_of(family), EXAMPLES, 0)
    assert result.status == "failed"
    assert result.reason.startswith(BY_NAME[name].summary)


def test_every_check_has_a_mutant():
    assert {name for names in MUTANTS.values() for name in names} == set(BY_NAME)


def test_a_mutant_fails_where_it_is_wrong_and_nowhere_else():
    failed = {r.name for r in check_family(EmptyIsNaN(), max_examples=8) if r.status == "failed"}
    assert failed == {"empty"}


def test_the_report_names_expectation_finding_culprit_and_example():
    check = BY_NAME["normalised"]
    result = examine(check, WithoutConstant(), (1,), 10, 0)
    for part in (check.summary, "expected", "found", "first at: log_density", "Example", "K ="):
        assert part in result.reason
    # log sqrt(2 pi), the constant that is missing
    assert "off by 0.918939 nats" in result.reason


def test_results_are_frozen_and_repeatable():
    one, two = (check_family(ScaleOff(), max_examples=6) for _ in range(2))
    assert one == two
    with pytest.raises(dataclasses.FrozenInstanceError):
        one[0].status = "failed"


def test_expected_failures_are_excused_and_held_to_it():
    excuses = {"sample": "a known matter", "order": "no matter at all"}
    results = check_family(ScaleOff(), max_examples=6, expected_failures=excuses)
    by_name = {result.name: result for result in results}
    assert by_name["sample"] == CheckResult("sample", "skipped", "expected to fail: a known matter")
    assert by_name["order"].status == "failed"
    assert "take it off" in by_name["order"].reason


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((Normal(), {"expected_failures": {"smaple": "typo"}}), ValueError, "smaple.*sample"),
        ((Normal(), {"n_columns": 0}), ValueError, "n_columns"),
        ((Normal, {}), TypeError, "pass an instance"),
        (("poisson", {}), TypeError, "expected an emframe.Family"),
        ((emframe.Once("poisson"), {}), TypeError, "repeat each other"),
        ((Normal(), {"observed": [1]}), TypeError, "`observed` is .*a function of a row"),
        ((Normal(), {"given": (0,)}), ValueError, "`given` is .*n_columns"),
        ((Normal(), {"n_columns": 3, "given": (1, 1)}), ValueError, "`given`"),
        ((Normal(), {"n_columns": 3, "given": (3,)}), ValueError, "`given`"),
    ],
)
def test_wrong_arguments_are_refused(arguments, error, message):
    family, options = arguments
    with pytest.raises(error, match=message):
        check_family(family, **options)


def test_a_fixed_number_of_columns_is_respected():
    results = {r.name: r for r in check_family(Normal(), n_columns=4, max_examples=4)}
    assert results["normalised"].status == "skipped"
    assert results["identity"].status == "passed"


def censored(x, rate):
    """Log density of exponential times (n, 1, 2), with whether each was the end."""
    return x[..., 1] * np.log(rate) - rate * x[..., 0]


def until_the_limit(row):
    end = float(row[0])
    return [Outcome([end, 1.0], (0,), Interval(0.0, end)), Outcome([end, 0.0])]


def between(x, mean, sd):
    """Log probability of a normal value between two limits (n, 1, 2)."""
    low, high = ((x[..., j] - mean) / sd for j in range(2))
    # In the tail that is nearer to 0, so that no digit of the difference is lost.
    flip = low > 0
    low, high = np.where(flip, -high, low), np.where(flip, -low, high)
    upper, lower = special.log_ndtr(high), special.log_ndtr(low)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(low < high, upper + np.log1p(-np.exp(lower - upper)), -np.inf)


def around_the_limits(row):
    ends = [-np.inf, *sorted(row), np.inf]
    return [Outcome(pair) for pair in pairwise(ends)]


def line(x, slope, sd):
    """Log density of a normal y given z, of rows (n, 1, 2)."""
    return stats.norm.logpdf(x[..., 0], slope * x[..., 1], sd)


TOLD = {
    "right-censored": (
        emframe.from_logpdf(
            censored,
            {"rate": Positive()},
            support=ColumnsIn((Positive(), Binary())),
            n_columns=2,
        ),
        {"observed": until_the_limit},
    ),
    "between limits": (
        emframe.from_logpdf(between, {"mean": Real(), "sd": Positive()}, n_columns=2),
        {"observed": around_the_limits},
    ),
    "a line": (
        emframe.from_logpdf(line, {"slope": Real(), "sd": Positive()}, n_columns=2),
        {"given": (1,)},
    ),
}


LONG = {"between limits", "a line"}  # totals by quadrature in two columns


@pytest.mark.parametrize(
    "case", [pytest.param(one, marks=[pytest.mark.deep] if one in LONG else []) for one in TOLD]
)
def test_a_density_of_what_was_seen_has_total_1_once_that_is_said(case):
    family, told = TOLD[case]
    columns = columns_of(family)
    check = BY_NAME["normalised"]
    untold = examine(check, family, columns, 5, 0)
    assert untold.status == "failed"
    assert "`observed`" in untold.reason
    assert examine(check, family, columns, FEWER, 0, scheme_of(family, columns, **told)) == (
        CheckResult("normalised", "passed")
    )


@pytest.mark.parametrize("case", TOLD)
def test_one_that_is_off_fails_all_the_same(case):
    family, told = TOLD[case]
    off = dataclasses.replace(family, logpdf=lambda x, *values: family.logpdf(x, *values) + 1e-3)
    columns = columns_of(family)
    found = examine(
        BY_NAME["normalised"], off, columns, EXAMPLES, 0, scheme_of(off, columns, **told)
    )
    assert "off by 0.001 nats" in found.reason


def test_every_check_takes_what_it_is_told():
    results = check_family(TOLD["right-censored"][0], observed=until_the_limit, max_examples=6)
    by_status = {r.name: r.status for r in results if r.status != "passed"}
    assert by_status == {"draws": "skipped", "sample": "skipped", "recovery": "skipped"}


@pytest.mark.parametrize(
    ("observed", "reason"),
    [
        (lambda row: 1 / 0, "ZeroDivisionError"),
        (lambda row: [], "a list of emframe.families.Outcome"),
        (lambda row: [row], "a list of emframe.families.Outcome"),
        (lambda row: [Outcome([1.0])], "rows of 2 columns"),
    ],
)
def test_outcomes_that_are_none_are_told(observed, reason):
    results = check_family(TOLD["right-censored"][0], observed=observed, max_examples=3)
    assert {result.status for result in results} == {"failed"}
    assert all(reason in result.reason for result in results)


@pytest.mark.parametrize("name", ["ascent", "sample", "units", "fisher", "recovery"])
def test_a_family_of_one_certain_wide_row_is_looked_at_as_closely(name):
    check = BY_NAME[name]
    wrong = next(one for one in MUTANTS if issubclass(one, Normal) and name in MUTANTS[one])
    assert examine(check, wrong(), (5,), EXAMPLES, 0).status == "failed"
    assert examine(check, Normal(), (5,), EXAMPLES, 0).status == "passed"


class TestExponential(FamilyConformance):
    family = Exponential()
    max_examples = 8


def test_the_conformance_class_reports_through_pytest(pytester):
    pytester.syspathinsert(Path(__file__).parent)
    pytester.makepyfile(
        """
        import emframe.testing, mutants

        class TestMutant(emframe.testing.FamilyConformance):
            family = mutants.ScaleOff()
            max_examples = 6
            expected_failures = {"draws": "not so"}

        class TestExcused(emframe.testing.FamilyConformance):
            family = mutants.ScaleOff()
            max_examples = 6
            expected_failures = {"sample": "a known matter"}

        class TestForgotten(emframe.testing.FamilyConformance):
            pass
        """
    )
    n = len(CHECKS)
    run = pytester.runpytest("-p", "no:cacheprovider")
    run.assert_outcomes(passed=2 * n - 3, failed=2 + n, xfailed=1)
    run.stdout.fnmatch_lines(["*Look first at: sample*"])
    run.stdout.fnmatch_lines(["*take it off*"])
    run.stdout.fnmatch_lines(["*expected an emframe.Family object*"])


def test_without_hypothesis_the_extra_is_named():
    code = "import sys; sys.modules['hypothesis'] = None; import emframe.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "pip install 'emframe[testing]'" in done.stderr
