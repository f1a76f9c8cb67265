"""Checks of good manners: true declarations, no writing into arguments, no memory, pickling."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import sys
from contextlib import suppress
from typing import Any, cast

import numpy as np

from emframe.core import Contract, Degenerate
from emframe.families import Family
from emframe.families.kernel import NoSampler
from emframe.parameters import declarations, frozen, leaves
from emframe.spaces import Array, Space
from emframe.testing.bookkeeping import terms
from emframe.testing.cases import Case, any_params, coordinate_rows, inside, responsibilities
from emframe.testing.outcome import Fault, Inapplicable, same, told
from emframe.testing.runs import own_copy, rows_of, with_rows
from emframe.testing.subject import Subject, copied


def declared(family: Any) -> str | None:
    """What is wrong with a family's declarations before anything is computed, or None."""
    if not (isinstance(family.name, str) and family.name):
        return f"`name` is {family.name!r}; give the family a name"
    if not isinstance(family.contract, Contract):
        return f"`contract` is {family.contract!r}; expected a member of emframe.Contract"
    for space in family.supports:
        if not isinstance(space, Space):
            return f"`support` is {space!r}; expected a space, such as emframe.Real()"
    return _parameters_declared(family.parameters)


def _parameters_declared(kind: Any) -> str | None:
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return f"`parameters` is {kind!r}; expected a frozen dataclass of emframe.parameter fields"
    if not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return f"`parameters` is {kind.__name__}, which is not frozen"
    fields = declarations(kind)
    for field in dataclasses.fields(kind):
        if field.name not in fields and dataclasses.is_dataclass(field.type):
            wrong = _parameters_declared(field.type)
            if wrong:
                return wrong
            continue
        if field.name not in fields:
            return f"`{kind.__name__}.{field.name}` declares no space; make it an emframe.parameter"
        for axis in fields[field.name].shape:
            if axis not in ("K", "d") and not isinstance(axis, int):
                where = f"{kind.__name__}.{field.name}"
                return f'`{where}` has an axis {axis!r}; expected "d" or a size'
    if not dataclasses.fields(kind):
        return f"`{kind.__name__}` declares no field"
    return None


def declaration(subject: Subject, case: Case) -> None:
    """Shapes and spaces are those declared: log_density, expected, and the answers of m_step."""
    family = case.family
    wrong = family.problem(case.params, case.dims)
    if wrong:
        raise Fault("spaces whose points they contain", wrong, "the spaces of the parameters")
    if not inside(family, coordinate_rows(family, 8, case.d, case.rng())).all():
        raise Fault("a support that contains its own points", "one outside", "the support")
    subject.log_density(case.params, case.x)
    statistics = subject.accumulate(case.x, case.resp)
    subject.expected(statistics, case.params)
    for previous in (case.params, None):
        new = subject.m_step(statistics, previous)
        if not isinstance(new, family.parameters):
            raise Fault(
                f"m_step to return {family.parameters.__name__}", type(new).__name__, "m_step"
            )
        wrong = family.problem(new, case.dims)
        if wrong:
            raise Fault(
                "m_step to return parameters within their declared spaces",
                wrong,
                "m_step, or the spaces that the parameters declare",
            )
        for leaf in leaves(new):
            if np.asarray(leaf.value).dtype in (np.float16, np.float32):
                raise Fault(
                    "parameters in double precision",
                    f"`{leaf.path}` of dtype {np.asarray(leaf.value).dtype}",
                    "m_step: what it computes with a narrower type than float64",
                )


def mutation(subject: Subject, case: Case) -> None:
    """No method writes into its arguments; they come read-only in earnest."""
    family, rows, resp = subject.family, rows_of(case.x).copy(), case.resp.copy()
    kept = copied(case.params)
    writeable = copied(case.params)
    labels = case.rng().integers(case.k, size=5)

    def rng() -> np.random.Generator:
        return np.random.default_rng(case.seed)

    for array in (rows, resp, labels):
        array.flags.writeable = False
    # Views cannot be made writeable again.
    x, resp, labels = with_rows(case.x, rows.view()), resp.view(), labels.view()
    for params in (frozen(copied(case.params)), writeable):
        _unharmed("log_density", lambda at=params: family.log_density(at, x))
        _unharmed("accumulate", lambda: family.accumulate(x, resp))
        statistics = _unharmed(
            "completed", lambda at=params: family.completed(at, x, resp).statistics
        )
        with suppress(NoSampler):
            _unharmed("sample", lambda at=params: family.sample(at, labels, rng()))
        scale = terms(subject.log_density(case.params, x), resp)
        before = subject.expected(statistics, case.params)
        for method, call in (
            ("expected", lambda at=params, s=statistics: family.expected(s, at)),
            ("m_step", lambda at=params, s=statistics: family.m_step(s, at)),
            (
                "+",
                lambda at=params, s=statistics: s + family.completed(at, x, resp).statistics,
            ),
        ):
            try:
                _unharmed(method, call)
            except Degenerate:
                continue
            same(
                before,
                subject.expected(statistics, case.params),
                1e-3 * scale,
                f"{method} to leave the statistics as they are",
                method,
            )
    for was, now in zip(leaves(kept), leaves(writeable), strict=True):
        if not np.array_equal(was.value, now.value):
            raise Fault(
                "parameters that are only read",
                f"`{now.path}` changed from {was.value} to {now.value}",
                "log_density, expected, m_step or sample: one writes into its argument",
            )
    private = own_copy(case.x), case.resp.copy()
    family.log_density(case.params, private[0])
    family.accumulate(*private)
    same_x = np.array_equal(rows_of(private[0]), rows_of(case.x), equal_nan=True)
    if not (same_x and np.array_equal(private[1], case.resp)):
        raise Fault("x and resp that are only read", "one changed", "log_density or accumulate")


def _unharmed(method: str, call: Any) -> Any:
    try:
        return call()
    except (Degenerate, NoSampler):
        raise
    except Exception as error:
        raise Fault(
            "each method to work on read-only arguments",
            f"{method} raised {told(error)}",
            f"{method}: it writes into an argument; copy the array first",
        ) from error


def stateless(subject: Subject, case: Case) -> None:
    """The same call gives the same bits, whatever was called before, on any copy of the family."""
    rng = case.rng()
    other = Case(
        case.family,
        any_params(case.params, rng),
        with_rows(case.x, coordinate_rows(case.family, len(rows_of(case.x)), case.d, rng)),
        responsibilities(len(case.x), case.k, rng),
        case.seed + 1,
    )
    fresh = [Subject(_fresh(case.family)) for _ in range(2)]
    first, second = _outputs(subject, case), _outputs(subject, other)
    _same_bits(first, _outputs(subject, case), "with other data in between")
    _same_bits(first, _outputs(fresh[0], case), "from a fresh instance")
    _same_bits(second, _outputs(fresh[1], other), "from a fresh instance")


def _fresh(family: Family) -> Family:
    """The same family made anew from its settings, or copied where it is no dataclass."""
    settings: Any = family
    how = getattr(family, "__dataclass_params__", None)
    remake = dataclasses.replace if how is not None and how.init else copy.deepcopy
    return cast(Family, remake(settings))


def pickles(subject: Subject, case: Case) -> None:
    """Family and parameters survive pickling: other processes and clusters need them to."""
    first = _outputs(subject, case)
    family, params = (_round_trip(value) for value in (case.family, case.params))
    again = Case(family, params, case.x, case.resp, case.seed)
    _same_bits(first, _outputs(Subject(family), again), "from a pickled copy")
    compares = any("__eq__" in vars(kind) for kind in type(family).__mro__[:-1])
    if compares and family != case.family:
        raise Fault("a pickled family to equal itself", f"{family!r}", "the family's settings")


def _round_trip(value: Any) -> Any:
    """Through pickle; of a class that pickle cannot find by name, what the instance holds."""
    try:
        home = sys.modules.get(type(value).__module__)
        if getattr(home, type(value).__qualname__, None) is not type(value):
            held = pickle.loads(pickle.dumps(vars(value)))
            twin = copy.copy(value)
            twin.__dict__.update(held)
            return twin
        return pickle.loads(pickle.dumps(value))
    except Exception as error:
        raise Fault(
            f"{type(value).__name__} to be pickled and back",
            f"{type(error).__name__}: {error}",
            "settings such as lambdas, locks and open files; define functions in a module",
        ) from error


def _outputs(subject: Subject, case: Case) -> dict[str, Array]:
    """All that a family computes from a case, by the method behind it."""
    labels = np.arange(30) % case.k
    subject = subject.about(case.params)
    statistics = subject.accumulate(case.x, case.resp)
    found = {
        "log_density": subject.log_density(case.params, case.x),
        "accumulate or expected": np.array(subject.expected(statistics, case.params)),
    }
    with suppress(Inapplicable):  # it has no sampler
        drawn = subject.sample(case.params, labels, np.random.default_rng(case.seed))
        found["sample"] = np.asarray(drawn)
    try:
        new = subject.m_step(statistics, case.params)
    except Degenerate:
        return found
    return found | {f"m_step ({leaf.path})": np.asarray(leaf.value) for leaf in leaves(new)}


def _same_bits(one: dict[str, Array], other: dict[str, Array], when: str) -> None:
    for method in one.keys() | other.keys():
        known = method in one and method in other
        if not (known and np.array_equal(one[method], other[method], equal_nan=True)):
            raise Fault(
                f"the same bits from the same call, {when}",
                f"{method} differs: {one.get(method)} and {other.get(method)}",
                f"{method}: state kept between calls, or randomness of its own",
            )
