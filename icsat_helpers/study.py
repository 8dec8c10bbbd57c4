"""The study: typed, clean tables as they stood at the end of a period, or the list of what is wrong."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Hashable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from icsat_helpers.columns import coded, distinct
from icsat_helpers.periods import period_label, period_number
from icsat_helpers.problems import Problem
from icsat_helpers.schemas import ADDED, DTYPES, MERGED_ON, TABLES, kinds
from icsat_helpers.settings import Settings
from icsat_helpers.sources import written_out

Made = TypeVar("Made")

ASKED: set[str] = set()
"""The tables that were asked for in this process, those that a study does not have included."""


class StudyError(ValueError):
    """A study that cannot be used; `problems` are all, the most harmful first; ``str()`` is one a line."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: problem.harm))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Tables(UserDict[str, pd.DataFrame]):
    """Tables by name; keys and answers are categories as cleaning left them until somebody asks for the table."""

    def __init__(self, tables: Mapping[str, pd.DataFrame] | None = None) -> None:
        self._coded: dict[str, pd.DataFrame] = {}
        super().__init__(tables)

    def __getitem__(self, name: str) -> pd.DataFrame:
        frame = self.data[name]
        if name in MERGED_ON and name not in self._coded:
            self._coded[name], self.data[name] = frame, written_out(frame)
        return self.data[name]

    def __setitem__(self, name: str, frame: pd.DataFrame) -> None:
        self._coded.pop(name, None)
        self.data[name] = frame

    def cleaned(self, name: str) -> pd.DataFrame:
        """Return a table as it was put here, with categories where cleaning left some."""
        return self._coded.get(name, self.data[name])


@dataclass(frozen=True, slots=True)
class Study:
    """A study as it stood at the end of `period`: typed and clean tables and what cleaning changed.

    Attributes
    ----------
    tables
        The tables there are; each with a period has its label in `period` and its number in `t`.
    period, site
        The reporting period's label; the site, or "" for all.
    changes
        One row a change: table, rule, column, rows, what.
    sha256
        Of the bytes of each table's files, and of ``study.toml``.
    words
        The questions behind columns, by table, where a file says them.
    derived
        What `once` has made.
    """

    folder: Path
    settings: Settings
    tables: MutableMapping[str, pd.DataFrame]
    period: str
    site: str
    changes: pd.DataFrame
    sha256: dict[str, str]
    words: dict[str, dict[str, str]] = field(default_factory=dict, repr=False, compare=False)
    derived: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __getattribute__(self, name: str) -> Any:
        """Note that who looks at everything depends on everything."""
        if name in ("tables", "changes"):
            ASKED.update(TABLES)
        return object.__getattribute__(self, name)

    @property
    def t(self) -> int:
        """The number of the reporting period."""
        return period_number(self.period, self.settings.frequency)

    def once(self, name: Hashable, make: Callable[[], Made]) -> Made:
        """Return what `make` makes, made once a study and kept by `name`; never to be changed by who reads it."""
        if name not in self.derived:
            self.derived[name] = make()
        made: Made = self.derived[name]
        return made

    def has(self, name: str) -> bool:
        """Return whether the study has the table (it may be empty)."""
        ASKED.add(name)
        return name in object.__getattribute__(self, "tables")

    def table(self, name: str) -> pd.DataFrame:
        """Return a table, or one without rows and with the contract's columns where there is none."""
        if self.has(name):
            frame: pd.DataFrame = object.__getattribute__(self, "tables")[name]
            return frame
        types: dict[str, Any] = {column: DTYPES[kind] for column, kind in kinds(name).items()}
        types |= {item.name: "float64" for item in self.settings.items_of(name)} | ADDED.get(name, {})
        return pd.DataFrame({column: pd.Series(dtype=dtype) for column, dtype in types.items()})

    def columns(self, name: str) -> list[str]:
        """Return the names of a table's columns."""
        tables = object.__getattribute__(self, "tables")
        return list(tables.cleaned(name) if self.has(name) and isinstance(tables, Tables) else self.table(name))

    def coded(self, name: str) -> pd.DataFrame:
        """Return a table of answers with its keys as categories in their order, and its items as these or numbers."""
        tables = object.__getattribute__(self, "tables")
        frame: pd.DataFrame = (
            tables.cleaned(name) if self.has(name) and isinstance(tables, Tables) else self.table(name)
        )
        keys = [key for key in ("t", *MERGED_ON[name]) if not isinstance(frame[key].dtype, pd.CategoricalDtype)]
        return frame.assign(**{key: coded(*distinct(frame[key])) for key in keys}) if keys else frame

    def label(self, t: int) -> str:
        """Return the label of a period number in this study's frequency."""
        return period_label(t, self.settings.frequency)
