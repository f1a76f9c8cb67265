"""Families made of others: products, held and shared parameters, models as components."""

from emframe.composing.censored import Censored
from emframe.composing.columns import AtColumns, Home, RowsOf
from emframe.composing.constraints import Constrained
from emframe.composing.copies import Copies
from emframe.composing.declaring import constrained, fixed, ordered, tied
from emframe.composing.multi_group import MultiGroup
from emframe.composing.nested import Nested
from emframe.composing.noisy import Noisy
from emframe.composing.point import Point
from emframe.composing.product import Product
from emframe.composing.regardless import Regardless, beside
from emframe.composing.truncated import Truncated
from emframe.composing.zeros import Hurdle, ZeroInflated

__all__ = [
    "AtColumns",
    "Censored",
    "Constrained",
    "Copies",
    "Home",
    "Hurdle",
    "MultiGroup",
    "Nested",
    "Noisy",
    "Point",
    "Product",
    "Regardless",
    "RowsOf",
    "Truncated",
    "ZeroInflated",
    "beside",
    "constrained",
    "fixed",
    "ordered",
    "tied",
]
