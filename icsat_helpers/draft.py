"""A study while it is read and cleaned."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from icsat_helpers.problems import Problem
from icsat_helpers.settings import Settings
from icsat_helpers.sources import Raw


@dataclass(slots=True)
class Draft:
    """A study's tables so far, what is wrong and what was changed."""

    folder: Path
    settings: Settings = field(default_factory=Settings)
    raw: dict[str, Raw] = field(default_factory=dict)
    frames: dict[str, pd.DataFrame] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    changes: list[tuple[str, str, str, int, str]] = field(default_factory=list)

    def copy(self) -> Draft:
        """Return one that can be cleaned while this one stays as it is."""
        frames = {table: frame.copy(deep=False) for table, frame in self.frames.items()}
        return replace(self, frames=frames, problems=[*self.problems], changes=[*self.changes])

    def refuse(self, table: str, file: str = "", expected: str = "", value: str = "", column: str = "") -> None:
        """Note what is wrong with a file."""
        self.problems.append(Problem(table, file, column, value=value, expected=expected))

    def count(self, table: str, rule: str, column: str, rows: int, what: str) -> None:
        """Note a change of `rows` rows; none is no change."""
        if rows:
            self.changes.append((table, rule, column, int(rows), what))
