"""The density lane: a family from its density alone, whose M-step climbs.

`density` and `distributions` make such families, of functions and of scipy's names; `climbed` is
what both are; `newton`, `guesses` and `componentwise` are how they climb; `inversion` draws from
them, and `quadrature` integrates.
"""

from emframe.numeric.density import FromLogpdf, from_logpdf
from emframe.numeric.distributions import FromScipy, from_scipy

__all__ = ["FromLogpdf", "FromScipy", "from_logpdf", "from_scipy"]
