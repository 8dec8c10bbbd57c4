"""What is wrong with a study, in one line each, and the exception of a file that is no table.

This file imports nothing, for the processes that read foreign formats start with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PRIVATE = frozenset({"person_id", "comment", "performance"})
"""Columns whose values no message may show."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a study; ``str()`` is one line naming the culprit and what was expected.

    `rows` is the number of rows it harms, 0 where it harms more than rows; `closest` is a name in the file that
    is probably the column that was expected.
    """

    table: str
    file: str = ""
    column: str = ""
    row: str = ""
    value: str = ""
    expected: str = ""
    rows: int = 0
    closest: str = ""

    def __str__(self) -> str:
        place = f"{self.table} ({shown(self.file)})" if self.file else self.table
        column = f"column {shown(clipped(self.column))}" if self.column else ""
        said = f"found {self.value}, expected {self.expected}" if self.value else f"expected {self.expected}"
        if self.closest:
            said += f"; did you mean {shown(clipped(self.closest))}?"
        return ", ".join(part for part in (place, column, self.row) if part) + f": {said}"

    @property
    def harm(self) -> tuple[int, int]:
        """Where it stands in a list, the most harmful first: settings, files, columns, then by rows."""
        if self.table == "study":
            return 0, 0
        return (3, -self.rows) if self.row else (2 if self.column else 1, 0)


class Unreadable(ValueError):
    """A file that cannot be read as a table: where, what was found and what was expected."""

    def __init__(self, expected: str, row: str = "", value: str = "", column: str = "") -> None:
        super().__init__(expected)
        self.expected, self.row, self.value, self.column = expected, row, value, column


def rows_text(rows: Sequence[object], count: int) -> str:
    """Return "row 7", or the count with the first three rows."""
    return f"row {rows[0]}" if count == 1 else f"{count} rows, first {', '.join(str(row) for row in rows[:3])}"


def clipped(text: str, width: int = 60) -> str:
    """Return `text` cut to `width` characters."""
    return text if len(text) <= width else text[: width - 3] + "..."


def shown(text: str) -> str:
    """Return a name as it may stand in a line: quoted and escaped where it would break it."""
    return text if text.isprintable() and text else repr(text)
