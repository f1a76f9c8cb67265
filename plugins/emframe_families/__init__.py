"""The families that come with emframe.

They reach the library by the road a third party's do: this module is named in the entry-point
group ``emframe`` and hands over its entries through the hook.  emframe itself imports none of it.
"""

from emframe.host import FamilyEntry, hookimpl
from emframe_families.bernoulli import Bernoulli
from emframe_families.gaussian import Gaussian
from emframe_families.poisson import Poisson


@hookimpl
def emframe_families() -> list[FamilyEntry]:
    """The built-in families."""
    return [
        FamilyEntry(
            "gaussian",
            Gaussian,
            "Normal rows; covariance full, diag, spherical or tied",
            "McLachlan and Peel (2000), Finite Mixture Models, chapter 3",
        ),
        FamilyEntry(
            "bernoulli",
            Bernoulli,
            "Independent binary columns (latent class analysis)",
            "Bishop (2006), Pattern Recognition and Machine Learning, section 9.3.3",
        ),
        FamilyEntry(
            "poisson",
            Poisson,
            "Independent columns of counts",
            "McLachlan and Peel (2000), Finite Mixture Models, section 5.3",
        ),
    ]
