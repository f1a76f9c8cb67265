"""Variants of EM for a model and data: what each changes in Q, and what it promises.

====================  ==============================================  ============================
`conditional`         the M-step, one block of parameters at a time   log-likelihood never falls
`incremental`         the E-step, one block of rows at a time         F never falls
`classification`      z is the most probable one                      classification likelihood
                                                                      never falls
`annealed`            the posterior is flattened, less and less       F of each temperature never
                                                                      falls; at the last it is the
                                                                      log-likelihood
`stochastic`          z is drawn from its posterior                   rises on average
`sparse`              each row sees the components near it            F never falls
====================  ==============================================  ============================

The last four change what each row is assigned to.  For any distribution r of a one-hot z,

    F(r, theta) = sum_ik r_ik log p(x_i, z_k | theta) + entropy(r) / beta

is raised by the M-step as it is, and by r_ik proportional to p(x_i, z_k | theta)^beta.  With
beta = 1 that is EM; with beta below 1 it is annealed (Ueda and Nakano 1998, Neural Networks 11,
271); and in the limit of large beta r is one-hot and F is the classification likelihood (Celeux
and Govaert 1992, CSDA 14, 315).  And where r is 0 outside of a few components, the best r is the
posterior within them.  So each is the same loop on another Q, and the ledger audits it
by F as it audits EM by the log-likelihood.

Each driver returns a `Run`, whose parameters are a start for `emframe.fit` like any other.

One known case: `annealed` with the temperatures (1,) is plain EM.

>>> counts = [0, 1, 1, 0, 2, 7, 8, 9, 8, 7]
>>> run = emframe.variants.classification(emframe.Mixture("poisson", 2), counts, rng=0)
>>> emframe.fit(emframe.Mixture("poisson", 2), counts, start=run.step.params).converged
True
"""

from __future__ import annotations

from emframe.variants.assignments import tempered
from emframe.variants.drivers import annealed, classification, stochastic
from emframe.variants.partial import conditional, incremental
from emframe.variants.sparse import sparse

__all__ = [
    "annealed",
    "classification",
    "conditional",
    "incremental",
    "sparse",
    "stochastic",
    "tempered",
]
