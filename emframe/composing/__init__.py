"""Families made of families: products over columns, held and shared parameters, nested mixtures."""

from emframe.composing.constraints import Constrained, fixed, tied
from emframe.composing.nested import Nested
from emframe.composing.point import Point
from emframe.composing.product import Product
from emframe.composing.zeros import Hurdle, ZeroInflated

__all__ = ["Constrained", "Hurdle", "Nested", "Point", "Product", "ZeroInflated", "fixed", "tied"]
