"""The conformance kit: is a family what EM takes it for?

    for result in emframe.testing.check_family(MyFamily()):
        print(result)

EM certifies itself, so most of what can be wrong with a family shows in identities between its
own five methods: Q and the log-likelihood, blocks and the whole, weights and repeated rows, the
maximum and its neighbourhood, draws and densities.  The kit tries these on examples made from the
declared spaces, and reports the simplest example that breaks one.
"""

from emframe.messages.extras import extra

extra("hypothesis", "testing", "emframe.testing")

# ruff: noqa: E402 - only once the extra is known to be there
from emframe.testing.checks import CHECKS, Check
from emframe.testing.conformance import FamilyConformance, check_family
from emframe.testing.latents import LATENT_CHECKS, check_latent
from emframe.testing.models import MODEL_CHECKS, check_model
from emframe.testing.outcome import CheckResult, Fault

__all__ = [
    "CHECKS",
    "LATENT_CHECKS",
    "MODEL_CHECKS",
    "Check",
    "CheckResult",
    "FamilyConformance",
    "Fault",
    "check_family",
    "check_latent",
    "check_model",
]
