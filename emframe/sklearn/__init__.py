"""Mixtures as scikit-learn estimators: its names and conventions over `emframe.fit`.

    from emframe.sklearn import EMMixture

    EMMixture(n_components=3, random_state=0).fit(X).predict(X)

Needs the extra ``sklearn``.
"""

from emframe.extras import extra

extra("sklearn", "sklearn", "emframe.sklearn")

from emframe.sklearn.estimator import EMMixture  # noqa: E402 - after the extra is known to be there

__all__ = ["EMMixture"]
