"""EM, stated once.

EM alternates two moves: build ``Q(. | at)``, the expected complete-data log-likelihood at the
current parameters, and maximise it.  Everything in this package follows from that sentence and
from the identity that ties Q to the objective (Dempster, Laird and Rubin 1977, section 3):

    log p(x | theta) = Q(theta | at) + H(theta | at),
    H(theta | at) = -E[ log p(z | x, theta) | x, at ]

H is smallest at ``theta = at``, where it is the entropy of the posterior, so raising Q raises the
log-likelihood by at least as much.  Nothing here knows what z is, or what the parameters are.
"""

from emframe.core.acceleration import QuasiNewton
from emframe.core.coordinates import Coordinates
from emframe.core.expectation import (
    EDGE,
    Contract,
    Degenerate,
    Expectation,
    PassFailed,
    Separated,
    log_prior,
    objective,
)
from emframe.core.ledger import Breach, Step
from emframe.core.loop import Midway, Run, Stopped, iterate, run
from emframe.core.methods import EM, Method, Move, aitken
from emframe.core.montecarlo import MonteCarloEM, MonteCarloExpectation, Sampler, by_draws
from emframe.core.squarem import Squarem
from emframe.core.status import Status
from emframe.core.stopping import (
    Callback,
    HeldOut,
    MaxExpectations,
    MaxIterations,
    MaxSeconds,
    ParameterChange,
    RemainingGain,
    Rule,
    Together,
)

__all__ = [
    "EDGE",
    "EM",
    "Breach",
    "Callback",
    "Contract",
    "Coordinates",
    "Degenerate",
    "Expectation",
    "HeldOut",
    "MaxExpectations",
    "MaxIterations",
    "MaxSeconds",
    "Method",
    "Midway",
    "MonteCarloEM",
    "MonteCarloExpectation",
    "Move",
    "ParameterChange",
    "PassFailed",
    "QuasiNewton",
    "RemainingGain",
    "Rule",
    "Run",
    "Sampler",
    "Separated",
    "Squarem",
    "Status",
    "Step",
    "Stopped",
    "Together",
    "aitken",
    "by_draws",
    "iterate",
    "log_prior",
    "objective",
    "run",
]
