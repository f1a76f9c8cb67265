"""What the columns of a model, and the values of those of words, are called in tables.

One known case: of columns of numbers these are their names, and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from emframe.data.words import Levels


class ColumnNames(tuple[str, ...]):
    """Names of columns, with those of their values, and of the columns that parts of a row read."""

    levels: Mapping[str, Levels]  # by column, in order of their codes
    parts: Mapping[str, tuple[str, ...]]  # by what the parameters of a part are under

    def __new__(
        cls,
        names: Iterable[str] = (),
        levels: Mapping[str, Levels] | None = None,
        parts: Mapping[str, tuple[str, ...]] | None = None,
    ) -> ColumnNames:
        made = super().__new__(cls, names)
        made.levels, made.parts = dict(levels or {}), dict(parts or {})
        return made

    def of(self, path: str) -> tuple[str, ...]:
        """The names along the columns of the parameters at a path, ``evening.probs``."""
        *above, _ = path.split(".")
        return next((self.parts[one] for one in reversed(above) if one in self.parts), self)

    def shown(self, path: str) -> tuple[str, ...]:
        """The same for numbers that are of the second of two values: ``smokes_yes``."""
        pairs = ((name, self.levels.get(name, ())) for name in self.of(path))
        return tuple(f"{name}_{two[1]}" if len(two) == 2 else name for name, two in pairs)

    def value(self, column: str, code: int) -> str:
        """What a code of a column stands for."""
        levels = self.levels.get(column, ())
        return levels[code] if code < len(levels) else str(code)


def as_names(columns: tuple[str, ...]) -> ColumnNames:
    """Plain names, as such."""
    return columns if isinstance(columns, ColumnNames) else ColumnNames(columns)
