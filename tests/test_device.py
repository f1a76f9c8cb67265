"""Rows on a device: the same kernels in the array API standard, sum by sum and fit by fit.

The oracle is numpy's executor.  Stand-ins for a device are numpy itself, array-api-strict, which
has nothing but the standard, and torch on this machine's processor, where they are installed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import emframe
from emframe import Device, Mixture, Status
from emframe.engines import EngineError, Resident, Serial, engine_for
from emframe.families.kernel import can_meet
from emframe.models import device_pass
from emframe.models.device_pass import device_sums
from emframe.parameters import leaves
from emframe.testing import CHECKS, check_family, conformance, passing

CLOSE = 1e-12  # of the largest of some sums: what adding them up in another order may change


@pytest.fixture(params=["numpy", "array_api_strict", "torch"])
def device(request: pytest.FixtureRequest) -> Device:
    pytest.importorskip(request.param)
    return Device(request.param)


RNG = np.random.default_rng(8)
Z = RNG.integers(3, size=600)
REAL = RNG.normal(size=(600, 4)) + 1.5 * Z[:, None]
COUNTS = RNG.poisson(1.0 + 3.0 * Z[:, None] * np.ones(3)).astype(float)
BITS = (RNG.random((600, 6)) < (0.2 + 0.3 * Z[:, None])).astype(float)
CODES = np.column_stack([COUNTS[:, 0] % 3, COUNTS[:, 1] % 4])

# What goes there, and by which forms.
THERE: dict[str, tuple[Mixture, Any, set[str]]] = {
    "full": (Mixture("gaussian", 3), REAL, {"quadratic", "direct"}),
    "diag": (Mixture("gaussian", 3, covariance="diag"), REAL, {"quadratic", "direct"}),
    "tied": (Mixture("gaussian", 3, covariance="tied"), REAL, {"linear", "direct"}),
    "VEV": (Mixture("gaussian", 3, covariance="VEV"), REAL, {"quadratic", "direct"}),
    "wide": (Mixture("gaussian", 2), np.tile(REAL, 5) + RNG.normal(size=(600, 20)), {"direct"}),
    "poisson": (Mixture("poisson", 3), COUNTS, {"products"}),
    "large counts": (Mixture("poisson", 3), COUNTS[:, :1] + 1e4, {"products"}),
    "bernoulli": (Mixture("bernoulli", 3), BITS, {"log odds", "products"}),
    "gaps": (
        Mixture("bernoulli", 3, missing=True),
        np.where(RNG.random(BITS.shape) < 0.1, np.nan, BITS),
        {"products"},
    ),
    "categorical": (Mixture("categorical", 3, levels=(3, 4)), CODES, {"products"}),
    "exponential": (Mixture("exponential", 3), np.exp(REAL[:, :1]), {"products"}),
    "a product": (
        Mixture(emframe.Product({(0, 1, 2, 3): "gaussian", tuple(range(4, 10)): "bernoulli"}), 3),
        np.column_stack([REAL, BITS]),
        {"quadratic+log odds", "direct+products"},
    ),
    "unlike": (
        Mixture(["poisson", "geometric"], (2, 1)),
        COUNTS[:, :1],
        {"products"},
    ),
    "held": (
        Mixture("gaussian", 3).fixed(means=np.arange(3.0)[:, None] * np.ones(4)),
        REAL,
        {"quadratic", "direct"},
    ),
}
WEIGHTS = RNG.integers(1, 4, 600).astype(float)
START = np.where(RNG.random(600) < 0.2, 0, Z)


def numbers(sums: Any) -> list[Any]:
    """The arrays of which a kernel's sums consist."""
    return [sums] if isinstance(sums, np.ndarray) else [a for p in sums.parts for a in numbers(p)]


@pytest.mark.parametrize("name", THERE)
def test_each_kernel_has_the_sums_of_numpy(name: str, device: Device) -> None:
    model, x, forms = THERE[name]
    model = model.settled(x)
    rows = model.rows(x, WEIGHTS)
    survey = replace(model.survey(rows), n_rows=passing.MANY_ROWS)
    params = model.from_responsibilities(rows, np.eye(3)[Z][:, : model.n_components] + 0.2)
    judged = set()
    for one in model.passes(params, survey):
        if not can_meet(one.kernel):
            continue
        judged.add(one.kernel.form)
        here = Serial().sum(one.block, rows.blocks(250))
        there = device_sums(device, one, rows, 250)
        assert there.loglik == pytest.approx(here.loglik, rel=CLOSE)
        assert there.entropy == pytest.approx(here.entropy, rel=1e-10)
        for mine, theirs in zip(numbers(there.sums), numbers(here.sums), strict=True):
            assert np.abs(mine - theirs).max() <= CLOSE * np.abs(theirs).max()
    assert judged == forms


@pytest.mark.parametrize("name", ["full", "tied", "poisson", "gaps", "a product", "held"])
def test_a_fit_is_that_of_numpy(name: str, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x, _ = THERE[name]
    monkeypatch.setattr(device_pass, "NUMBERS", 200 * 2 * model.n_components * 8)  # some blocks
    start = START % model.n_components
    options: dict[str, Any] = {"start": start, "weights": WEIGHTS, "max_iter": 4}
    here = emframe.fit(model, x, engine="serial", **options)
    there = emframe.fit(model, x, engine=device, **options)
    assert there.status is here.status
    np.testing.assert_allclose(there.trace, here.trace, rtol=1e-10)
    for mine, theirs in zip(leaves(there.params), leaves(here.params), strict=True):
        np.testing.assert_allclose(mine.value, theirs.value, rtol=1e-9, atol=1e-10)
    assert there.classification_uncertainty == pytest.approx(here.classification_uncertainty)


PASSES = [check for check in CHECKS if check.name == "passes"]


@pytest.mark.parametrize("name", ["gaussian", "poisson", "bernoulli", "categorical"])
def test_the_kit_holds_a_family_to_its_kernels_there(
    name: str, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[Any] = []

    def counted(*args: Any) -> Any:
        met.append(args)
        return device_sums(*args)

    monkeypatch.setattr(passing, "DEVICE", device.library)
    monkeypatch.setattr(passing, "device_sums", counted)
    monkeypatch.setattr(conformance, "CHECKS", PASSES)
    options = {"levels": 3} if name == "categorical" else {}
    results = check_family(emframe.family(name, **options), max_examples=3)
    assert [one for one in results if one.status == "failed"] == []
    assert met


def test_a_kernel_that_is_wrong_there_fails_the_kit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "CHECKS", PASSES)

    class Wrong(type(emframe.family("exponential"))):  # type: ignore[misc]
        def kernels(self, *args: Any) -> Any:
            for one in super().kernels(*args):
                natural = getattr(one, "natural", None)
                yield one if natural is None else _Off(*vars(one).values())

    class _Off(type(next(_kernels()))):  # type: ignore[misc]
        def meet_on(self, block: Any) -> Any:
            joint, collect = super().meet_on(block)
            return joint, lambda resp: collect(resp) * (1.0 + 1e-6)

    (result,) = check_family(Wrong(), max_examples=3)
    assert result.status == "failed"
    assert "on a device" in result.reason


def _kernels() -> Any:
    family = emframe.family("exponential")
    x = np.ones((3, 1))
    survey = Mixture(family, 1).survey(Mixture(family, 1).rows(x))
    return family.kernels(family.build({"rates": [[1.0]]}), np.zeros(1), survey)


def test_statistics_are_brought_there_once(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    to = Device.to

    def noted(self: Device, values: Any) -> Any:
        sent.append(np.size(values))
        return to(self, values)

    monkeypatch.setattr(Device, "to", noted)
    model, x, _ = THERE["diag"]
    fit = emframe.fit(model, x, start=Z, accelerate=False, tol=1e-12, engine=Device("numpy"))
    assert fit.n_iter > 4
    large = [size for size in sent if size >= 600]
    assert large == [600, 600 * 4]  # weights, and rows


def test_statistics_that_no_pass_reads_are_let_go_of() -> None:
    model, x, _ = THERE["diag"]
    rows = Resident(Device("numpy"), model.rows(x), 600)
    for power in range(20):
        (block,) = rows.blocks()
        block.of(lambda x, power=power: x**power)
    assert len(rows._held) <= 5


def test_rows_on_a_device_are_fitted_there(monkeypatch: pytest.MonkeyPatch) -> None:
    xp = pytest.importorskip("array_api_strict")
    model, x, _ = THERE["diag"]
    there = xp.asarray(x, device=xp.Device("device1"))
    seen: list[Any] = []
    total = device_pass.OnDevice.total
    monkeypatch.setattr(
        device_pass.OnDevice,
        "total",
        lambda self, one: (seen.append(self.device), total(self, one))[1],
    )
    fit = emframe.fit(model, there, start=Z)
    assert {one.device for one in seen} == {there.device}
    assert fit.log_likelihood == pytest.approx(emframe.fit(model, x, start=Z).log_likelihood)
    with pytest.raises(TypeError, match="float32 on a device; pass it in float64: sums of float32"):
        emframe.fit(model, xp.asarray(x, dtype=xp.float32, device=there.device))


CHAIN = emframe.model("hidden-markov", family="gaussian", n_states=2)
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a family": (
        lambda: emframe.fit(Mixture("student-t", 2), REAL, engine=Device("numpy")),
        TypeError,
        "not for the family 'student-t'; a device works in products",
    ),
    "a chain": (
        lambda: emframe.fit(CHAIN, REAL, engine=Device("numpy")),
        TypeError,
        "not for a model of chain latents",
    ),
    "labels": (
        lambda: emframe.fit(Mixture("gaussian", 3), REAL, labels=Z, engine=Device("numpy")),
        TypeError,
        "labels are not heeded",
    ),
    "parts": (
        lambda: emframe.fit(
            Mixture("gaussian", 2), emframe.Parts([np.tile(REAL, (40, 1))]), engine=Device("numpy")
        ),
        TypeError,
        "numpy, and `X` lies in parts",
    ),
    "processes": (
        lambda: emframe.fit(
            Mixture("gaussian", 2), REAL, n_starts=2, workers=2, engine=Device("numpy")
        ),
        ValueError,
        "`workers` is 2 and `engine` numpy",
    ),
    "no library": (lambda: Device("numpyy"), ModuleNotFoundError, "not installed; pass 'torch'"),
    "an array": (lambda: Device(REAL), TypeError, "pass the name"),
    "no device": (lambda: Device("numpy", "gpu"), ValueError, "`device` is 'gpu', of which numpy"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_go_there_is_refused(what: str) -> None:
    ask, error, words = REFUSED[what]
    with pytest.raises(error, match=words):
        ask()


def test_float32_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Device._made
    monkeypatch.setattr(Device, "_made", lambda self, values: made(self, values).astype(np.float32))
    with pytest.raises(ValueError, match="numpy computes in float32; pass one of float64: sums"):
        Device("numpy")


def test_cuda_is_the_first_library_that_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from emframe.engines import device

    monkeypatch.setattr(device, "installed", lambda package: False)
    with pytest.raises(ModuleNotFoundError, match="torch or cupy has to be there"):
        engine_for("cuda", 1)
    monkeypatch.undo()
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        assert engine_for("cuda", 1) == Device("torch", "cuda")
    else:
        with pytest.raises(ValueError, match="`engine` is 'cuda:1', and there is none"):
            engine_for("cuda:1", 1)


def test_a_pass_that_loses_digits_in_every_form_is_made_here_and_told() -> None:
    x = np.append(REAL[:50, 0], REAL[:50, 0] + 1e7)[:, None]
    start = {
        "weights": [0.5, 0.5],
        "means": [[0.0], [1e7 - 1e6]],
        "covariances": [[[1.0]], [[1.0]]],
    }
    options: dict[str, Any] = {"start": start}
    here = emframe.fit(Mixture("gaussian", 2), x, **options)
    with pytest.warns(UserWarning, match="lost too many digits in products"):
        there = emframe.fit(Mixture("gaussian", 2), x, engine=Device("numpy"), **options)
    assert there.log_likelihood == pytest.approx(here.log_likelihood, rel=1e-10)
    assert there.status is Status.CONVERGED


def test_what_a_device_raises_ends_the_fit_with_the_best_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls, sums = [0], device_pass._sums

    def fails(*args: Any) -> Any:
        calls[0] += 1
        if calls[0] > limit:
            raise RuntimeError("out of memory")
        return sums(*args)

    monkeypatch.setattr(device_pass, "_sums", fails)
    model, x, _ = THERE["diag"]
    limit = 3
    fit = emframe.fit(model, x, start=Z, engine=Device("numpy"), accelerate=False)
    assert fit.status is Status.ENGINE_FAILED
    assert "numpy raised RuntimeError: out of memory" in fit.message
    assert len(fit.trace) == 3
    calls[0] = limit = 0
    with pytest.raises(EngineError, match="out of memory"):
        emframe.fit(model, x, start=Z, engine=Device("numpy"))


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_rows_without_a_density_are_told_as_here(value: float) -> None:
    x = np.array([[0.0], [1.0], [1e200]])
    start = {"weights": [1.0], "means": [[0.0]], "covariances": [[[1.0]]]}
    told = []
    for engine in ("serial", Device("numpy")):
        with pytest.raises((emframe.Degenerate, ValueError)) as raised:
            emframe.fit(Mixture("gaussian", 1), x, start=start, engine=engine)
        told.append(str(raised.value))
    assert told[0] == told[1]


@pytest.mark.parametrize("method", ["observed", "scores"])
def test_standard_errors_are_those_of_numpy(method: str) -> None:
    model, x, _ = THERE["poisson"]
    fit = emframe.fit(model, x, start=Z)
    here, there = (
        [one["standard_error"] for one in fit.standard_errors(x, method=method, engine=e).table]
        for e in ("serial", Device("numpy"))
    )
    np.testing.assert_allclose(there, here, rtol=1e-6)
