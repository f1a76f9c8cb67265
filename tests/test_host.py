"""The plugin host: a table of broken plugins, none of which may harm another.

Each is a real distribution in a temporary directory (a dist-info folder and a module), found by
`importlib.metadata` as any installed one is.
"""

from __future__ import annotations

import importlib
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import emframe
from emframe import host

BUILT_IN = {"gaussian", "bernoulli", "categorical", "poisson", "student-t"}
INSTALLED = frozenset(emframe.families())  # whatever else there is

HEAD = """
import emframe
from emframe import ExponentialFamily, FamilyEntry, ModelEntry, Positive, hookimpl, parameter
from emframe_families.counting.poisson import Poisson
class Mine(Poisson):
    name = "mine"
"""
GOOD = """
@hookimpl
def emframe_families():
    return [FamilyEntry("mine", Mine, "a family of mine")]
"""

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution with one plugin; the registry is read anew after it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = []

    def make(name: str, code: str | None, *, target: str = "", version: str = "1.2") -> None:
        module = name.replace("-", "_")
        modules.append(module)
        if code is not None:
            (tmp_path / f"{module}.py").write_text(HEAD + textwrap.dedent(code))
        info = tmp_path / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(
            f"[emframe]\n{name}-plugin = {target or module}\n", encoding="utf-8"
        )
        monkeypatch.setattr(host.installed, "_installed", host.installed._Installed())

    yield make
    for module in modules:
        sys.modules.pop(module, None)


def quietly() -> host.Registry:
    """The registry, its warnings left aside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emframe.PluginWarning)
        return host.registry()


def report(name: str) -> host.PluginReport:
    return next(one for one in quietly().plugins if one.distribution == name)


def test_the_built_in_families_come_through_the_same_door() -> None:
    (own,) = (one for one in emframe.plugins() if one.distribution == "emframe")
    assert set(own.families) >= BUILT_IN
    assert own.version == emframe.__version__
    assert set(own.hooks) == {
        f"emframe_{kind}" for kind in ("families", "models", "accelerations", "latents")
    }
    assert set(own.latents) == {"one-hot", "chain"}
    assert set(own.accelerations) == {"quasi-newton", "squarem"}
    assert not own.error


BROKEN = {
    "import error": ("import no_such_module_anywhere", "ModuleNotFoundError: No module named"),
    "syntax error": ("def oops(:", "SyntaxError"),
    "exit at import": ("raise SystemExit(3)", "SystemExit: 3"),
    "exception that is no Exception": (
        "class Odd(BaseException): pass\nraise Odd('strange')",
        "Odd: strange",
    ),
    "no hook": ("x = 1", "it implements no hook; the hooks are emframe_families"),
    "hook without its mark": (
        "def emframe_families(): return []",
        "each marked with @emframe.hookimpl",
    ),
    "misspelt hook": (
        "@hookimpl\ndef emframe_familys(): return []",
        "unknown hook 'emframe_familys'",
    ),
    "misspelt hook beside a good one": (
        GOOD + "@hookimpl\ndef emframe_modles(): return []",
        "unknown hook 'emframe_modles'",
    ),
    "wrong signature": (
        "@hookimpl\ndef emframe_families(config): return []",
        "Argument(s) {'config'} are declared in the hookimpl but can not be found",
    ),
    "raises when called": (
        "@hookimpl\ndef emframe_families(): raise RuntimeError('no licence')",
        "RuntimeError: no licence",
    ),
    "raises while its answer is read": (
        "@hookimpl\ndef emframe_families():\n    yield FamilyEntry('mine', Mine, '')\n    1 / 0",
        "ZeroDivisionError",
    ),
    "returns None": ("@hookimpl\ndef emframe_families(): pass", "returned None; expected a list"),
    "returns one entry": (
        "@hookimpl\ndef emframe_families(): return FamilyEntry('mine', Mine, '')",
        "expected a list of FamilyEntry objects",
    ),
    "returns a mapping": (
        "@hookimpl\ndef emframe_families(): return {'mine': Mine}",
        "expected a list of FamilyEntry objects",
    ),
    "returns text": ("@hookimpl\ndef emframe_families(): return 'mine'", "expected a list"),
    "returns classes": (
        "@hookimpl\ndef emframe_families(): return [Mine]",
        "expected FamilyEntry objects",
    ),
    "returns the other kind": (
        "@hookimpl\ndef emframe_families(): return [ModelEntry('mine', Mine, '')]",
        "expected FamilyEntry objects",
    ),
    "later api": (
        "@hookimpl\ndef emframe_families(): return [FamilyEntry('mine', Mine, '', api=2)]",
        "'mine' is written for api 2; this emframe speaks api 1",
    ),
    "no factory": (
        "@hookimpl\ndef emframe_families(): return [FamilyEntry('mine', None, '')]",
        "needs a name and a callable factory",
    ),
    "no name": (
        "@hookimpl\ndef emframe_families(): return [FamilyEntry('', Mine, '')]",
        "needs a name and a callable factory",
    ),
    "the same name twice": (
        "@hookimpl\ndef emframe_families(): return [FamilyEntry('mine', Mine, '')] * 2",
        "it brings 'mine' more than once",
    ),
    "asks for the registry while it loads": (
        "emframe.families()",
        "let it ask inside a function",
    ),
    "takes a built-in name": (
        "@hookimpl\ndef emframe_families(): return [FamilyEntry('poisson', Mine, '')]",
        "and 'emframe_families' of emframe",
    ),
}


@pytest.mark.parametrize(("code", "said"), BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_named_and_harms_no_other(
    install: Install, code: str, said: str
) -> None:
    install("broken", code)
    install("working", GOOD.replace('"mine"', '"other"'))
    with pytest.warns(emframe.PluginWarning, match=r"'broken-plugin' of broken 1.2") as caught:
        known = emframe.families()
    assert len(caught) == 1
    assert said in str(caught[0].message)

    assert set(known) == INSTALLED | {"other"}
    broken = report("broken")
    assert (broken.name, broken.version, broken.families) == ("broken-plugin", "1.2", ())
    assert said in broken.error
    assert "\n" not in broken.error
    assert not report("working").error
    assert not report("emframe").error
    assert emframe.fit(emframe.Mixture("poisson", 2), [0, 1, 9, 12], rng=0).log_likelihood < 0

    with warnings.catch_warnings():  # warned of once, not again
        warnings.simplefilter("error")
        assert set(emframe.families()) == set(known)


def test_an_entry_point_to_nowhere_is_reported(install: Install) -> None:
    install("hollow", None)
    install("nameless", GOOD, target="nameless:nothing")
    assert "No module named 'hollow'" in report("hollow").error
    assert "AttributeError" in report("nameless").error
    assert set(quietly().families) == INSTALLED


def test_a_distribution_without_metadata_is_still_reported(
    install: Install, tmp_path: Path
) -> None:
    install("bare", "import no_such_module_anywhere")
    (tmp_path / "bare-1.2.dist-info" / "METADATA").unlink()
    (found,) = (one for one in quietly().plugins if one.name == "bare-plugin")
    assert found.error
    assert set(quietly().families) == INSTALLED


def test_ctrl_c_while_a_plugin_loads_is_the_users(install: Install) -> None:
    install("slow", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        emframe.families()


def test_a_name_that_two_claim_belongs_to_neither_and_names_both(install: Install) -> None:
    more = 'return [FamilyEntry("mine", Mine, ""), FamilyEntry("{}", Mine, "")]'
    install("one", "@hookimpl\ndef emframe_families(): " + more.format("first"))
    install("two", "@hookimpl\ndef emframe_families(): " + more.format("second"))
    assert set(quietly().families) == INSTALLED | {"first", "second"}
    for name, kept in (("one", "first"), ("two", "second")):
        assert report(name).families == (kept,)
        assert "'mine' is claimed by" in report(name).error
        assert "'one-plugin' of one 1.2" in report(name).error
        assert "'two-plugin' of two 1.2" in report(name).error
    with pytest.raises(ValueError, match=r"no family is called 'mine'.*claimed by.*one.*two"):
        emframe.family("mine")


def test_a_built_in_name_stays_with_emframe_and_names_both(install: Install) -> None:
    install("thief", '@hookimpl\ndef emframe_families(): return [FamilyEntry("poisson", Mine, "")]')
    error = report("thief").error
    assert "'emframe_families' of emframe" in error
    assert "'thief-plugin' of thief 1.2" in error
    assert emframe.family("poisson").name == "poisson"


OBJECTS = {
    "module": (GOOD, "fine"),
    "instance": (
        """
        class Plugin:
            @hookimpl
            def emframe_families(self):
                return (FamilyEntry("mine", Mine, "") for _ in range(1))
        plugin = Plugin()
        """,
        "fine:plugin",
    ),
    "class": (
        """
        class Plugin:
            @hookimpl
            def emframe_families(self):
                return [FamilyEntry("mine", Mine, "")]
        """,
        "fine:Plugin",
    ),
    "class with a static hook": (
        """
        class Plugin:
            @staticmethod
            @hookimpl
            def emframe_families():
                return [FamilyEntry("mine", Mine, "")]
        """,
        "fine:Plugin",
    ),
    "with a hook of a later emframe": (
        GOOD + "@hookimpl(optionalhook=True)\ndef emframe_later(): return []",
        "fine",
    ),
}


@pytest.mark.parametrize(("code", "target"), OBJECTS.values(), ids=OBJECTS)
def test_a_plugin_is_a_module_or_an_object(install: Install, code: str, target: str) -> None:
    install("fine", code, target=target)
    assert emframe.family("mine").name == "mine"  # and no warning
    found = report("fine")
    assert found.families == ("mine",)
    assert found.hooks == ("emframe_families",)


def test_a_family_and_a_model_may_share_a_name(install: Install) -> None:
    model = '@hookimpl\ndef emframe_models(): return [ModelEntry("mine", Mine, "")]'
    install("fine", GOOD + model)
    assert report("fine").models == ("mine",)
    assert "mine" in emframe.host.models()
    assert "mine" in emframe.families()


def test_a_law_of_z_comes_by_name(install: Install) -> None:
    """Weights of which no component may have more than a plugin says, over any family."""
    install(
        "capped",
        """
        from dataclasses import dataclass
        import numpy as np
        from emframe import LatentEntry
        from emframe.latents import OneHot
        @dataclass(frozen=True)
        class Capped(OneHot):
            most: float = 0.6
            name = "capped"
            def m_step(self, sums, previous):
                first = min(max(sums[0] / sums.sum(), 1 - self.most), self.most)
                return {"weights": np.array([first, 1 - first])}
        @hookimpl
        def emframe_latents():
            return [LatentEntry("capped", Capped, "weights with a cap")]
        """,
    )
    quietly()
    assert report("capped").latents == ("capped",)
    X = [0] * 80 + [9] * 20
    model = emframe.model("composed", latent="capped", family="poisson", n=2, law={"most": 0.7})
    fit = emframe.fit(model, X, rng=0, n_starts=2)
    assert sorted(fit.params.weights) == pytest.approx([0.3, 0.7])
    assert sorted(fit.params.components.rates.ravel()) == pytest.approx([0.0, 9.0], abs=0.1)
    with pytest.raises(ValueError, match="no latent is called 'caped'"):
        emframe.model("composed", latent="caped", family="poisson", n=2)


def test_data_of_another_system_come_as_parts(install: Install) -> None:
    install(
        "shelf",
        """
        from emframe import Parts, SourceEntry
        class Shelf:
            def __init__(self, books, asked):
                self.books, self.asked = books, asked
        def of_shelf(X):
            if not isinstance(X, Shelf):
                return None
            X.asked.append(1)
            return X.books if X.books else 7
        @hookimpl
        def emframe_sources():
            return [SourceEntry("shelf", of_shelf, "Books on a shelf")]
        """,
    )
    quietly()
    assert report("shelf").sources == ("shelf",)
    shelf = importlib.import_module("shelf").Shelf
    X, model = emframe.dataset("faithful").X, emframe.Mixture("gaussian", 2)
    there = shelf([X[:100], X[100:]], asked=[])
    fit = emframe.fit(model, there, rng=0)
    assert fit.log_likelihood == pytest.approx(-1130.264, abs=1e-3)
    assert np.array_equal(fit.predict(there), fit.predict(X))
    assert there.asked == [1]  # its parts are made once
    with pytest.raises(TypeError, match="the source 'shelf' made no parts of `X`: `parts` is a"):
        emframe.fit(model, shelf([], asked=[]))
    with pytest.raises(TypeError, match="cut into chunks without regard to runs"):
        emframe.fit(emframe.model("hidden-markov", family="gaussian", n_states=2), there)
    with pytest.raises(TypeError, match="pass rows by columns"):
        emframe.fit(model, type("Other", (), {})())


def test_a_law_of_z_by_its_name_is_the_model_that_it_makes() -> None:
    X = emframe.dataset("earthquakes").X
    by_name = emframe.model("composed", latent="chain", family="poisson", n=2)
    one, two = (
        emframe.fit(model, X, rng=0, n_starts=2)
        for model in (by_name, emframe.model("hidden-markov", family="poisson", n_states=2))
    )
    assert one.log_likelihood == pytest.approx(two.log_likelihood, abs=1e-6)


def test_an_acceleration_comes_by_name(install: Install) -> None:
    install(
        "fast",
        """
        from emframe import AccelerationEntry
        from emframe.core import EM
        made = []
        def make(coordinates):
            made.append(coordinates)
            return EM()
        @hookimpl
        def emframe_accelerations():
            return [AccelerationEntry("plain", make, "EM as it is"),
                    AccelerationEntry("odd", lambda coordinates: 3, "no method")]
        """,
    )
    model, X = emframe.Mixture("poisson", 2), [0, 1, 9, 12]
    quietly()
    assert report("fast").accelerations == ("plain", "odd")
    assert emframe.fit(model, X, rng=0, accelerate="plain").converged
    made = sys.modules["fast"].made
    assert len(made) == 1
    assert made[0].to_vector(model.build({"weights": [0.5, 0.5], "rates": [[4], [9]]}))[2:] == (
        pytest.approx([2, 3])
    )
    with pytest.raises(TypeError, match="made 3, which is no Method: it has no start and no adv"):
        emframe.fit(model, X, accelerate="odd")
    with pytest.raises(ValueError, match=r"no acceleration is called 'plane'.*mean 'plain'"):
        emframe.fit(model, X, accelerate="plane")
    with pytest.raises(TypeError, match=r"`accelerate` is 3; pass True, False, a name, or a call"):
        emframe.fit(model, X, accelerate=3)


def test_entry_points_may_come_without_a_distribution() -> None:
    point = metadata.EntryPoint("stray", "no_such_module_anywhere", host.GROUP)
    (found,) = host.load([point]).plugins
    assert found.name == "stray"
    assert found.distribution == "an unknown distribution"
    assert "ModuleNotFoundError" in found.error


UNKNOWN = {
    "gausian": "Did you mean 'gaussian'",
    "POISSON": "Did you mean 'poisson'",
    "zzz": "known: " + ", ".join(sorted(INSTALLED)),
    "nbinom": "Here it is the family 'negative-binomial'.",
    "fmm: nbreg": "Here it is the family 'negative-binomial'.",
    "Weibull_Min": "Here it is the family 'weibull'.",
    "ordinal-logit": "Here it is the family 'ordinal-regression'.",
    "rayleigh": 'It is one of scipy\'s: emframe.from_scipy("rayleigh").',
    "zero-inflated-negbin": 'It is emframe.ZeroInflated("negative-binomial").',
    "hurdle-rayleigh": 'It is emframe.Hurdle(emframe.from_scipy("rayleigh")).',
    "zip": 'It is emframe.ZeroInflated("poisson").',
    "point-mass": "It is emframe.Point(value).",
    "hidden-markov": "It is a model: emframe.model('hidden-markov').",
}


@pytest.mark.parametrize(("name", "said"), UNKNOWN.items())
def test_an_unknown_family_answers_with_the_known_ones(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"no family is called '{name}'") as caught:
        emframe.family(name)
    assert said in str(caught.value)


def test_a_family_that_is_asked_for_as_a_model_is_told_as_what_it_is() -> None:
    with pytest.raises(ValueError, match=r"'gaussian' is a family: emframe.Mixture\('gaussian'"):
        emframe.model("gaussian")


def test_no_name_of_elsewhere_stands_for_two_families() -> None:
    """But for words that two ask for alike, of which the first is answered."""
    names = [other for entry in emframe.families().values() for _, other in entry.synonyms]
    own = [one for where, one in names_of("also")] + [one for _, one in names_of("scipy")]
    assert len(set(own)) == len(own)
    assert not set(own) & (set(emframe.families()) - set(names))


def names_of(where: str) -> list[tuple[str, str]]:
    """Families, and what they are called there."""
    entries = emframe.families().values()
    return [(one.name, other) for one in entries for at, other in one.synonyms if at == where]


@pytest.mark.parametrize(("name", "other"), names_of("also"))
def test_a_synonym_is_answered_with_the_name_here(name: str, other: str) -> None:
    with pytest.raises(ValueError, match=f"Here it is the family '{name}'"):
        emframe.family(other)


def test_an_unknown_family_answers_with_plugins_that_might_have_had_it(install: Install) -> None:
    install("broken", "import no_such_module_anywhere")
    quietly()
    with pytest.raises(ValueError, match=r"'broken-plugin' of broken 1.2: ModuleNotFoundError"):
        emframe.family("rayleigh-like")


def test_an_unknown_setting_answers_with_the_known_ones() -> None:
    with pytest.raises(TypeError, match=r"'gaussian'.*'cov'.*settings: covariance='full'"):
        emframe.family("gaussian", cov="tied")
    with pytest.raises(TypeError, match=r"'poisson'.*'cov'.*settings: none"):
        emframe.family("poisson", cov="tied")


def test_a_factory_has_to_make_a_family(install: Install) -> None:
    install("odd", '@hookimpl\ndef emframe_families(): return [FamilyEntry("odd", lambda: 3, "")]')
    with pytest.raises(TypeError, match=r"brings 'odd' made .*, which is no Family"):
        emframe.family("odd")


def test_a_factory_may_be_a_function_with_settings_of_its_own(install: Install) -> None:
    install(
        "preset",
        """
        from emframe_families.gaussian.family import Gaussian
        def make(*, loose=False):
            return Gaussian("full" if loose else "tied")
        @hookimpl
        def emframe_families():
            return [FamilyEntry("preset", make, "")]
        """,
    )
    assert vars(emframe.family("preset")) == {"covariance": "tied"}
    assert vars(emframe.family("preset", loose=True)) == {"covariance": "full"}
    with pytest.raises(TypeError, match="settings: loose=False"):
        emframe.family("preset", tight=True)


def test_a_family_from_a_density_goes_by_its_plugins_name(install: Install, tmp_path: Path) -> None:
    install(
        "unnamed",
        """
        import numpy as np
        from emframe import Positive, from_logpdf
        def density(x, rate):
            return np.log(rate) - rate * x
        def make():
            return from_logpdf(density, {"rate": Positive()}, Positive())
        @hookimpl
        def emframe_families():
            return [FamilyEntry("unnamed", make, "")]
        """,
    )
    assert emframe.family("unnamed").name == "unnamed"
    fit = emframe.fit(emframe.Mixture("unnamed"), [1.0, 2.0, 4.0], rng=0)
    fit.save(tmp_path / "one.fit")
    assert emframe.load(tmp_path / "one.fit").model == fit.model
