"""What classes go with: outcomes that follow them, and predictors that they follow.

A mixture is fitted first, and related to other columns after: the classes of rows are known but
with error, and the relation is corrected for it.

`outcomes`    how an outcome differs between classes
`predictors`  how class membership depends on covariates
"""

from emframe.relating.relations import Relation, outcomes, predictors

__all__ = ["Relation", "outcomes", "predictors"]
