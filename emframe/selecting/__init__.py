"""Which model: several of them fitted, compared, and grown from one another."""

from emframe.selecting.selection import Selection, select

__all__ = ["Selection", "select"]
