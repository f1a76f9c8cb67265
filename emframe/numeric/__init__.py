"""The density lane: a family from its density alone, whose M-step climbs.

`density` and `distributions` make such families, of functions and of scipy's names; `climbed` is
what both are; `newton`, `guesses` and `componentwise` are how they climb; `inversion` draws from
them, and `quadrature` integrates.  `gamma_shape` solves an equation that several families share.
"""

from emframe.numeric.density import FromLogpdf, from_logpdf
from emframe.numeric.distributions import FromScipy, from_scipy
from emframe.numeric.gamma_shape import gamma_shape, log_excess

__all__ = ["FromLogpdf", "FromScipy", "from_logpdf", "from_scipy", "gamma_shape", "log_excess"]
