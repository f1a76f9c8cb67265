"""The way in: `check_family` for a list of verdicts, `FamilyConformance` for pytest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from emframe.families import Family
from emframe.models.once import Once
from emframe.testing.checks import CHECKS, Check
from emframe.testing.outcome import CheckResult
from emframe.testing.scheme import Observed, Scheme
from emframe.testing.trial import examine

EXAMPLES = 25


def check_family(
    family: Family,
    *,
    n_columns: int | None = None,
    given: Sequence[int] | None = None,
    observed: Observed | None = None,
    expected_failures: Mapping[str, str] | None = None,
    max_examples: int = EXAMPLES,
    seed: int = 0,
) -> list[CheckResult]:
    """Check that a family is what EM takes it for; one result per check, in a fixed order.

    Parameters
    ----------
    family : the family, with its settings.
    n_columns : columns of the data to check with, where the family takes one certain number;
        by default 1 to 4 where it takes any, and 1 otherwise.
    given : places of columns that are conditions and no random variables, where the family does
        not declare them as `covariates`; its density is one of the other columns.
    observed : ``observed(row)``, all that could have been seen in the place of a row (d,), as a
        list of `emframe.families.Outcome`; where the family does not declare it as `outcomes`.
        A censored time has a density over those: times of deaths before the end, and the end.
    expected_failures : reasons by name of check. One that fails as expected is reported as
        skipped, with the reason; one that passes is reported as failed, so that the list stays
        true.
    max_examples : examples for each check; dear checks take a share of them.
    seed : another seed looks at other examples; the same one gives the same verdicts.

    Raises
    ------
    TypeError : where `family` is not a `emframe.Family` object, or `observed` no function.
    ValueError : where `expected_failures` names a check that does not exist, or `given` no columns
        of the family.
    """
    columns = columns_of(family, n_columns)
    scheme = scheme_of(family, columns, given, observed)
    excused = _known(expected_failures or {})
    return [
        excuse(examine(check, family, columns, max_examples, seed, scheme), excused.get(check.name))
        for check in CHECKS
    ]


def scheme_of(
    family: Family, columns: Sequence[int], given: Any = None, observed: Any = None
) -> Scheme:
    """What of a row is observed and what is given, or why that cannot be."""
    if observed is not None and not callable(observed):
        raise TypeError(
            f"`observed` is {observed!r}; pass a function of a row (d,) that lists what could have "
            "been seen in its place, as emframe.families.Outcome."
        )
    places = () if given is None else tuple(given)
    if given is not None and (
        len(set(places)) < len(places)
        or len(places) >= min(columns)
        or not all(place in range(min(columns)) for place in places)
    ):
        raise ValueError(
            f"`given` is {given!r}; pass the places of some, and not all, of the {min(columns)} "
            "column(s) that the family is checked with; see `n_columns`."
        )
    return Scheme.of(family, None if given is None else places, observed)


def columns_of(family: Any, n_columns: int | None = None) -> Sequence[int]:
    """The numbers of columns to check a family with."""
    if not isinstance(family, Family):
        hint = "; pass an instance of it" if isinstance(family, type) else ""
        raise TypeError(f"`family` is {family!r}; expected an emframe.Family object{hint}.")
    if _repeats(family):
        raise TypeError(
            f"the rows of a run of {family.name!r} repeat each other, and the kit's own do not; "
            "check the family that it says once, and a mixture of it by check_model."
        )
    if n_columns is not None:
        if n_columns < 1:
            raise ValueError(f"`n_columns` is {n_columns}; pass 1 or more, or None.")
        if n_columns > 1 and not family.takes_columns:
            raise ValueError(
                f"`n_columns` is {n_columns}, but {family.name!r} is a family of one column; "
                f'declare `width = {n_columns}` in it, or a parameter of shape "d".'
            )
        return (n_columns,)
    if family.width is not None:
        return (family.width,)
    if not family.takes_columns:
        return (1,)
    fewest = max(family.fewest_columns, 2 if family.support.n_event_axes else 1)
    return tuple(range(fewest, max(fewest + 1, 4) + 1))


def _repeats(family: Any) -> bool:
    """Whether some of what a run of a family holds is the same in all its rows."""
    parts = (part.family for part in getattr(family, "parts", ()))
    return isinstance(family, Once) or any(map(_repeats, parts))


def _known(expected_failures: Mapping[str, str]) -> Mapping[str, str]:
    names = [check.name for check in CHECKS]
    unknown = sorted(set(expected_failures) - set(names))
    if unknown:
        raise ValueError(
            f"`expected_failures` names {', '.join(unknown)}; the checks are {', '.join(names)}."
        )
    return expected_failures


def excuse(result: CheckResult, reason: str | None) -> CheckResult:
    """The verdict where a failure was expected, with the reason, or None where it was not."""
    if reason is None or result.status == "skipped":
        return result
    if result.status == "failed":
        return CheckResult(result.name, "skipped", f"expected to fail: {reason}")
    return CheckResult(
        result.name,
        "failed",
        f"expected to fail ({reason}), but it passes; take it off `expected_failures`.",
    )


class FamilyConformance:
    """The same checks as methods of a pytest class, one test each.

    All that a class of yours has to say is its family::

        class TestMine(emframe.testing.FamilyConformance):
            family = Mine()
    """

    family: ClassVar[Family]
    n_columns: ClassVar[int | None] = None
    given: ClassVar[Sequence[int] | None] = None
    observed: ClassVar[Observed | None] = None
    expected_failures: ClassVar[Mapping[str, str]] = {}
    max_examples: ClassVar[int] = EXAMPLES
    seed: ClassVar[int] = 0


def _as_test(check: Check) -> Callable[[FamilyConformance], None]:
    def test(self: FamilyConformance) -> None:
        import pytest

        family: Any = getattr(self, "family", None)
        columns = columns_of(family, self.n_columns)
        reason = _known(self.expected_failures).get(check.name)
        scheme = scheme_of(family, columns, self.given, type(self).observed)
        found = examine(check, family, columns, self.max_examples, self.seed, scheme)
        result = excuse(found, reason)
        if result.status == "skipped":
            (pytest.xfail if found.status == "failed" else pytest.skip)(result.reason)
        if result.status == "failed":
            pytest.fail(result.reason, pytrace=False)

    test.__name__ = f"test_{check.name}"
    test.__qualname__ = f"FamilyConformance.{test.__name__}"
    test.__doc__ = check.summary
    return test


for _check in CHECKS:
    setattr(FamilyConformance, f"test_{_check.name}", _as_test(_check))
