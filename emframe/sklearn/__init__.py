"""Mixtures as scikit-learn estimators: its names and conventions over `emframe.fit`.

    from emframe.sklearn import EMMixture

    EMMixture(n_components=3, random_state=0).fit(X).predict(X)

Needs the extra ``sklearn``.
"""

from emframe.messages.extras import extra

extra("sklearn", "sklearn", "emframe.sklearn")

# ruff: noqa: E402 - only once the extra is known to be there
from emframe.sklearn.estimator import EMMixture

__all__ = ["EMMixture"]
