"""Families made of families: products over columns, held and shared parameters, nested mixtures."""

from emframe.composing.constraints import Constrained, fixed, tied
from emframe.composing.nested import Nested
from emframe.composing.product import Product

__all__ = ["Constrained", "Nested", "Product", "fixed", "tied"]
