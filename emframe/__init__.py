"""emframe: the expectation-maximization algorithm for any latent-variable model.

import emframe

model = emframe.Mixture("gaussian", n_components=2)
fit = emframe.fit(model, X, rng=0)
print(fit)
"""

import importlib
from typing import Any

from emframe import stopping, variants
from emframe.composing import (
    Censored,
    Hurdle,
    MultiGroup,
    Noisy,
    Point,
    Product,
    Truncated,
    ZeroInflated,
    constrained,
    fixed,
    ordered,
    tied,
)
from emframe.core import Contract, Degenerate, Expectation, Status, Step, iterate
from emframe.data import Blocks, Labelled, Part, Parts, read_parquet
from emframe.datasets import dataset, datasets
from emframe.engines import Device
from emframe.families import ConjugatePrior, ExponentialFamily, Family, FamilyError
from emframe.files.saving import load
from emframe.fitting import Interrupted, fit
from emframe.fitting.gap import Gap
from emframe.fitting.optima import Optimum
from emframe.fitting.profiles import Profiles
from emframe.fitting.relabelling import relabelled
from emframe.fitting.result import Fit, Start
from emframe.host import (
    AccelerationEntry,
    FamilyEntry,
    LatentEntry,
    ModelEntry,
    PluginWarning,
    SourceEntry,
    families,
    family,
    hookimpl,
    model,
    plugins,
)
from emframe.inference import Intervals, Regularity, StandardErrors
from emframe.inference.diagnostics import Diagnostics
from emframe.inference.hypotheses import Derived, HypothesisTest
from emframe.inference.information import Information
from emframe.inference.resampling import LikelihoodRatioTest, bootstrap_lrt
from emframe.latents import Gate, Ridge
from emframe.models import Grouped, LatentModel, Mixture, Once, Sequences
from emframe.models.formula import formula
from emframe.numeric import from_logpdf, from_scipy
from emframe.parameters import parameter
from emframe.relating import Relation, outcomes, predictors
from emframe.selecting.selection import Selection, select
from emframe.showing.versions import show_versions
from emframe.spaces import (
    Array,
    Binary,
    Integers,
    Interval,
    NonNegative,
    NonNegativeInteger,
    OrMissing,
    Positive,
    PositiveDefinite,
    PositiveSemidefinite,
    Real,
    Simplex,
    Space,
    UnitInterval,
)
from emframe.variants.stepwise import Stepwise, Stream

__version__ = "0.1.0"

__all__ = [
    "AccelerationEntry",
    "Array",
    "Binary",
    "Blocks",
    "Censored",
    "ConjugatePrior",
    "Contract",
    "Degenerate",
    "Derived",
    "Device",
    "Diagnostics",
    "Expectation",
    "ExponentialFamily",
    "Family",
    "FamilyEntry",
    "FamilyError",
    "Fit",
    "Gap",
    "Gate",
    "Grouped",
    "Hurdle",
    "HypothesisTest",
    "Information",
    "Integers",
    "Interrupted",
    "Interval",
    "Intervals",
    "Labelled",
    "LatentEntry",
    "LatentModel",
    "LikelihoodRatioTest",
    "Mixture",
    "ModelEntry",
    "MultiGroup",
    "Noisy",
    "NonNegative",
    "NonNegativeInteger",
    "Once",
    "Optimum",
    "OrMissing",
    "Part",
    "Parts",
    "PluginWarning",
    "Point",
    "Positive",
    "PositiveDefinite",
    "PositiveSemidefinite",
    "Product",
    "Profiles",
    "Real",
    "Regularity",
    "Relation",
    "Ridge",
    "Selection",
    "Sequences",
    "Simplex",
    "SourceEntry",
    "Space",
    "StandardErrors",
    "Start",
    "Status",
    "Step",
    "Stepwise",
    "Stream",
    "Truncated",
    "UnitInterval",
    "ZeroInflated",
    "__version__",
    "bootstrap_lrt",
    "constrained",
    "dataset",
    "datasets",
    "families",
    "family",
    "fit",
    "fixed",
    "formula",
    "from_logpdf",
    "from_scipy",
    "hookimpl",
    "iterate",
    "load",
    "model",
    "ordered",
    "outcomes",
    "parameter",
    "plugins",
    "predictors",
    "read_parquet",
    "relabelled",
    "select",
    "show_versions",
    "stopping",
    "tied",
    "variants",
]


def __getattr__(name: str) -> Any:
    """The conformance kit on first use: it needs hypothesis, which a plain install lacks."""
    if name == "testing":
        return importlib.import_module("emframe.testing")
    raise AttributeError(f"module 'emframe' has no attribute {name!r}")
