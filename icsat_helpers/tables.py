"""A study's folder to typed, checked tables: every problem found, none of them guessed away."""

from __future__ import annotations

import difflib
import hashlib
import hmac
import os
import re
import unicodedata
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from icsat_helpers import sources
from icsat_helpers.periods import EXAMPLES, period_label, period_number, period_of
from icsat_helpers.schemas import ADDED, TABLES, between, kinds, required
from icsat_helpers.settings import Settings, TableSource, nearest, parse
from icsat_helpers.sources import TEXT, Problem, Raw, Unreadable

_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DAY = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}([T ].+)?")
_SUFFIXES = (*sources.READERS, ".xlsx", ".xls", ".ods", ".sav", ".tsv", ".txt")


@dataclass(slots=True)
class Draft:
    """A study while it is read and cleaned: its tables so far, what is wrong and what was changed."""

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

    def refuse(self, table: str, file: str = "", expected: str = "", value: str = "") -> None:
        """Note what is wrong with a file."""
        self.problems.append(Problem(table, file, value=value, expected=expected))

    def count(self, table: str, rule: str, column: str, rows: int, what: str) -> None:
        """Note a change of `rows` rows; none is no change."""
        if rows:
            self.changes.append((table, rule, column, int(rows), what))


def read(folder: Path) -> Draft:
    """Read and check a study's folder."""
    draft = Draft(folder)
    try:
        data = (folder / "study.toml").read_bytes()
        settings, draft.problems = parse(sources.decoded(data))
    except OSError:
        draft.refuse("study", "study.toml", "a folder with a study.toml that can be read", repr(str(folder)))
        return draft
    except Unreadable as error:
        draft.problems = [Problem("study", "study.toml", row=error.row, expected=error.expected)]
        return draft
    if settings is None:
        return draft
    draft.settings, draft.sha256["study.toml"] = settings, hashlib.sha256(data).hexdigest()
    for table in TABLES:
        raw = _raw(draft, table, settings.tables.get(table, TableSource()))
        if raw is not None:
            draft.raw[table], draft.sha256[table] = raw, raw.sha256
            draft.frames[table] = _typed(draft, raw)
    if not draft.raw and not draft.problems:
        draft.refuse("study", "study.toml", "at least one table, such as service_ratings.csv")
    _refuse_misnamed(draft)
    _refuse_unknown_units(draft)
    return draft


def _raw(draft: Draft, table: str, source: TableSource) -> Raw | None:
    """Read the files of a table under the contract's column names; None without files or with bad ones."""
    paths = _paths(draft, table, source.source)
    if not paths:
        return None
    name = source.source or paths[0].name
    try:
        raw = sources.read(table, paths, draft.folder)
    except Unreadable as error:
        draft.problems.append(Problem(table, name, error.column, error.row, error.value, error.expected))
        return None
    except OSError:
        draft.refuse(table, name, "a file that can be read")
        return None
    for ours, theirs in source.columns.items():
        if theirs not in raw.frame:
            draft.problems.append(raw.problem(theirs, [], f"a column of that name, for {ours}"))
    frame = raw.frame.rename(columns={theirs: ours for ours, theirs in source.columns.items()})
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        draft.problems.append(raw.problem(twice[0], [], "each column name once, also after renaming"))
        return None
    if source.period_pattern:
        found = [re.search(source.period_pattern, file) for file in raw.files]
        frame["period"] = pd.array([match[1] if match else None for match in found], dtype=TEXT)[raw.file]
    if source.period_from and source.period_from not in frame:
        draft.problems.append(raw.problem(source.period_from, [], "this column, for period_from"))
    elif source.period_from:
        frame["period"] = frame[source.period_from]
    for column in frame.columns.intersection(list(kinds(table))):
        text = frame[column].str.strip()
        frame[column] = text.where(text != "")
    return replace(raw, frame=frame)


def _paths(draft: Draft, table: str, source: str) -> list[Path]:
    """Return the files of a table, in order; none where they are absent or may not be read."""
    inside = "a file inside the study's folder"
    try:
        names = [source] if source else [f"{table}{suffix}" for suffix in sources.READERS]
        paths = sorted(path for name in names for path in draft.folder.glob(name))
    except NotImplementedError:  # an absolute path
        draft.refuse(table, source, inside)
        return []
    except ValueError:  # not a pattern, such as "**.csv"
        paths = []
    if source and not paths:
        draft.refuse(table, source, "a file of that name in the study's folder")
    elif not source and len(paths) > 1:
        draft.refuse(table, ", ".join(path.name for path in paths), "one file, not several")
    elif any(not path.resolve().is_relative_to(draft.folder.resolve()) for path in paths):
        draft.refuse(table, source or paths[0].name, inside)
    else:
        return paths
    return []


def _refuse_misnamed(draft: Draft) -> None:
    """Refuse each file that is nearly the file of a table that the study does not have."""
    told = draft.settings.tables
    absent = [table for table in TABLES if table not in draft.raw and table not in told]
    mine = {source.source for source in told.values()} | {f"{t}{suffix}" for t in absent for suffix in sources.READERS}
    for name in sorted({path.name for path in draft.folder.iterdir()} - mine):
        near = difflib.get_close_matches(name.partition(".")[0], absent, n=1, cutoff=0.85)
        if near and name.lower().endswith(_SUFFIXES):
            draft.refuse(near[0], name, f"a file such as {near[0]}.csv ({', '.join(sources.READERS)})")


def _typed(draft: Draft, raw: Raw) -> pd.DataFrame:
    """Convert the text of each column the contract names; what does not convert is a problem."""
    settings, frame = draft.settings, raw.frame.copy(deep=False)
    dates = settings.tables.get(raw.table, TableSource()).period_from
    undated = any(problem.column == "study.frequency" for problem in draft.problems)
    _refuse_columns(draft, raw)
    for column, kind in kinds(raw.table).items():
        if column not in frame:
            continue
        named, kind = (dates, "period of a date") if column == "period" and dates in frame else (column, kind)
        frame[column], expected = convert(frame[column], kind, settings.frequency)
        bad = np.flatnonzero(frame[column].isna() & raw.frame[column].notna())
        if len(bad) and not (undated and kind == "period"):
            draft.problems.append(raw.problem(named, bad, expected, raw.frame[column].iloc[bad[:100]]))
    if settings.pseudonymise and "person_id" in frame:
        frame["person_id"] = _pseudonyms(draft, raw, frame["person_id"])
    _refuse_values(draft, raw, frame)
    return frame


def _refuse_columns(draft: Draft, raw: Raw) -> None:
    items = [item.name for item in draft.settings.items_of(raw.table)]
    others = [name for name in raw.frame if name not in kinds(raw.table) and name not in items]
    cutoff = 0.6
    if "person_id" in kinds(raw.table):
        # Without a header the first row's id stands here: only what is surely a column's name may be said.
        others, cutoff = [name for name in others if not re.search(r"\d", name)], 0.8
    for wanted, expected in {
        **dict.fromkeys(required(raw.table), "this column"),
        **{item: f"this column, for items.{item}" for item in items},
    }.items():
        if wanted not in raw.frame:
            draft.problems.append(raw.problem(wanted, [], expected + nearest(wanted, others, cutoff)))
    for column in raw.frame.columns.intersection(list(ADDED.get(raw.table, {}))):
        draft.problems.append(raw.problem(column, [], "another name, for cleaning adds a column of this one"))


def convert(column: pd.Series, kind: str, frequency: str) -> tuple[pd.Series, str]:
    """Return a text column as its type, missing where it cannot be read, and what was expected there."""
    if kind == "text":
        return column, ""
    codes, texts = pd.factorize(column)  # each distinct text is read once
    expected = "a date such as 2026-03-31 (ISO 8601)"
    if kind == "date":
        read = _dates(texts)
    elif kind == "period of a date":
        read = pd.Series(
            [None if pd.isna(t) else period_label(t, frequency) for t in period_of(_dates(texts), frequency)],
            dtype=TEXT,
        )
    elif kind == "number":
        read, expected = pd.Series([number(text) for text in texts], dtype="float64"), "a number"
    elif kind == "period":
        read = pd.Series([_period(text, frequency) for text in texts], dtype=TEXT)
        expected = f"a {frequency} such as {EXAMPLES[frequency]}"
    else:
        read = pd.Series([_id(text) for text in texts], dtype=TEXT)
        expected = "text without control characters"
    return read.reindex(codes).set_axis(column.index), expected  # the code -1, missing, is not in the index


def number(text: str) -> float:
    """Return the number that `text` is, NaN where it is none (or not finite): 1e400, nan, 1,5, 1_000.

    Examples
    --------
    >>> number("2.50"), number("2,50")
    (2.5, nan)
    """
    value = float(text) if _NUMBER.fullmatch(text) else np.nan
    return value if np.isfinite(value) else np.nan


def _dates(texts: pd.Index) -> pd.Series:
    days = pd.Series([text if _DAY.fullmatch(text) else None for text in texts], dtype=TEXT)
    # Where an offset is given the time is brought to UTC, so that answers can be put in order.
    dates = pd.to_datetime(days, format="ISO8601", utc=True, errors="coerce")
    return dates.dt.tz_localize(None).astype("datetime64[us]")


def _period(text: str, frequency: str) -> str | None:
    try:
        return period_label(period_number(_whole(text), frequency), frequency)
    except ValueError:
        return None


def _id(text: str) -> str | None:
    return unicodedata.normalize("NFC", _whole(text)) if text.isprintable() else None


def _whole(text: str) -> str:
    return re.sub(r"^(-?[1-9][0-9]*|0)\.0+$", r"\1", text)


def _pseudonyms(draft: Draft, raw: Raw, ids: pd.Series) -> pd.Series:
    variable = draft.settings.pseudonymise
    key = os.environ.get(variable, "")
    if not key:
        draft.problems.append(raw.problem("person_id", [], f"a key in the environment variable {variable}"))
    masked = {text: hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:20] for text in ids.dropna()}
    return ids.map(masked).astype(TEXT)


def _refuse_values(draft: Draft, raw: Raw, frame: pd.DataFrame) -> None:
    """Refuse what pandera finds, but for cells already named because their text could not be read."""
    schema = TABLES[raw.table]
    if raw.table == "goals":
        scale = draft.settings.minimum, draft.settings.maximum
        schema = schema.update_column("target", checks=between(*scale)[1])
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as failed:
        for error in failed.schema_errors:
            if error.reason_code.name != "COLUMN_NOT_IN_DATAFRAME":
                _refuse_cells(draft, raw, frame, error)


def _refuse_cells(draft: Draft, raw: Raw, frame: pd.DataFrame, error: pa.errors.SchemaError) -> None:
    at = np.unique(error.failure_cases["index"].to_numpy(dtype=np.int64))
    empty = error.reason_code.name == "SERIES_CONTAINS_NULLS"
    if error.reason_code.name == "DUPLICATES":
        keys, needed = TABLES[raw.table].unique, required(raw.table)
        if not set(keys) & set(needed) <= set(frame):
            return
        keys, expected = [key for key in keys if key in frame], "one row for each"
        at = at[frame[[key for key in keys if key in needed]].notna().all(axis=1).to_numpy()[at]]
    else:
        keys = [str(error.column_name or error.check.name)]
        expected = "a value in each row, found none" if empty else error.check.error
    read = ~(raw.frame[keys].notna() & frame[keys].isna()).any(axis=1)
    at = at[read.to_numpy()[at]]
    if len(at):
        texts = raw.frame[keys].iloc[at[:100]].fillna("").agg(", ".join, axis=1)
        draft.problems.append(raw.problem(", ".join(keys), at, expected, () if empty else texts))


def _refuse_unknown_units(draft: Draft) -> None:
    if "unit_id" not in draft.frames.get("units", ()):
        return
    known = draft.frames["units"]["unit_id"].dropna().unique()
    for table, frame in draft.frames.items():
        for column in [name for name, kind in kinds(table).items() if kind == "unit" and name in frame]:
            at = np.flatnonzero(frame[column].notna() & ~frame[column].isin(known))
            if len(at):
                absent = frame[column].iloc[at[:100]].tolist()
                expected = "a unit_id of units" + nearest(absent[0], known)
                draft.problems.append(draft.raw[table].problem(column, at, expected, absent))
