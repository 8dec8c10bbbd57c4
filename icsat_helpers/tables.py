"""A study's folder to typed, checked tables: every problem found, none of them guessed away."""

from __future__ import annotations

import difflib
import hashlib
import hmac
import os
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from icsat_helpers import sources
from icsat_helpers.periods import period_label, period_of
from icsat_helpers.schemas import ADDED, TABLES, kinds, required, schema_of
from icsat_helpers.settings import Settings, TableSource, nearest, parse
from icsat_helpers.sources import TEXT, Problem, Raw, Unreadable
from icsat_helpers.values import convert, trimmed

_OTHERS = (".xlsx", ".xls", ".ods", ".sav", ".tsv", ".txt")


@dataclass(frozen=True, slots=True)
class Typed:
    """A table with its text read as the contract's types; `raw` says where each row comes from."""

    raw: Raw
    frame: pd.DataFrame


def read(folder: Path) -> tuple[Settings, dict[str, Typed], dict[str, str], list[Problem]]:
    """Read and check a study's folder: settings, typed tables, file hashes, and everything that is wrong."""
    try:
        data = (folder / "study.toml").read_bytes()
        settings, problems = parse(data.decode("utf-8-sig"))
    except OSError:
        wanted = "a folder with a study.toml that can be read"
        problems = [Problem("study", "study.toml", value=repr(str(folder)), expected=wanted)]
        return Settings(), {}, {}, problems
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Settings(), {}, {}, [Problem("study", "study.toml", row=f"row {line}", expected="UTF-8 text")]
    if settings is None:
        return Settings(), {}, {}, problems
    hashes, tables = {"study.toml": hashlib.sha256(data).hexdigest()}, {}
    for table in TABLES:
        raw = _raw(table, folder, settings.tables.get(table, TableSource()), problems)
        if raw is not None:
            hashes[table] = raw.sha256
            tables[table] = _typed(raw, settings, problems)
    if not tables and not problems:
        problems.append(Problem("study", "study.toml", expected="at least one table, such as service_ratings.csv"))
    problems += _misnamed(folder, settings, tables)
    problems += _unknown_units(tables)
    if any(problem.column == "study.frequency" for problem in problems):
        # Without a frequency nothing can be said of a period.
        problems = [
            problem
            for problem in problems
            if problem.table not in TABLES or kinds(problem.table).get(problem.column) != "period"
        ]
    return settings, tables, hashes, problems


def _raw(table: str, folder: Path, source: TableSource, problems: list[Problem]) -> Raw | None:
    """Read the files of a table under the contract's column names; None without files or with bad ones."""
    paths = _paths(table, folder, source, problems)
    name = source.source or ", ".join(path.name for path in paths)
    try:
        if not paths:
            return None
        raw = sources.read(table, paths, folder)
    except Unreadable as error:
        problems.append(Problem(table, name, error.column, error.row, error.value, error.expected))
        return None
    except OSError:
        problems.append(Problem(table, name, expected="a file that can be read"))
        return None
    for ours, theirs in source.columns.items():
        if theirs not in raw.frame:
            problems.append(raw.problem(theirs, [], f"a column of that name, for {ours}" + nearest(theirs, raw.frame)))
    frame = raw.frame.rename(columns={theirs: ours for ours, theirs in source.columns.items()})
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        problems.append(raw.problem(str(twice[0]), [], "each column name once, also after renaming"))
        return None
    raw = replace(raw, frame=frame)
    if source.period_pattern:
        found = [re.search(source.period_pattern, file) for file in raw.files]
        labels = np.array([match[1] if match else None for match in found], dtype=object)
        raw = replace(raw, frame=frame.assign(period=pd.Series(labels[raw.file], dtype=TEXT, index=frame.index)))
    return raw


def _misnamed(folder: Path, settings: Settings, tables: Collection[str]) -> list[Problem]:
    """Return a problem for each file that is nearly the file of a table that the study does not have."""
    named = {source.source for source in settings.tables.values()}
    absent = [table for table in TABLES if table not in {*tables, *settings.tables}]
    ours = [table + suffix for table in absent for suffix in sources.READERS]
    problems = []
    for name in sorted({path.name for path in folder.iterdir()} - named - set(ours)):
        near = difflib.get_close_matches(name, ours, n=1, cutoff=0.85)
        if near:
            problems.append(Problem("study", name, expected=f"the name of a table; did you mean {near[0]}?"))
        elif Path(name).stem in absent and Path(name).suffix.lower() in _OTHERS:
            problems.append(Problem(Path(name).stem, name, expected=f"a {', '.join(sources.READERS)} file"))
    return problems


def _paths(table: str, folder: Path, source: TableSource, problems: list[Problem]) -> list[Path]:
    if not source.source:
        paths = [path for suffix in sources.READERS if (path := folder / f"{table}{suffix}").exists()]
        if len(paths) > 1:
            problems.append(Problem(table, ", ".join(path.name for path in paths), expected="one file, not several"))
            return []
    else:
        if Path(source.source).is_absolute() or ".." in Path(source.source).parts:
            problems.append(Problem(table, source.source, expected="a file inside the study's folder"))
            return []
        paths = _glob(folder, source.source) if re.search(r"[*?\[]", source.source) else [folder / source.source]
        paths = [path for path in paths if path.is_file()]
        if not paths:
            problems.append(Problem(table, source.source, expected="a file of that name in the study's folder"))
    if any(not path.resolve().is_relative_to(folder.resolve()) for path in paths):
        problems.append(Problem(table, source.source or paths[0].name, expected="a file inside the study's folder"))
        return []
    return paths


def _glob(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except ValueError:  # not a pattern, such as "**.csv"
        return []


def _typed(raw: Raw, settings: Settings, problems: list[Problem]) -> Typed:
    """Convert the text of each column the contract names; what does not convert is a problem."""
    table, frame = raw.table, raw.frame.copy(deep=False)
    source = settings.tables.get(table, TableSource())
    unread: dict[str, np.ndarray] = {}
    if source.period_from:
        _period_from(raw, frame, source.period_from, settings, problems, unread)
    _absent_columns(raw, frame, settings, problems)
    for column, kind in kinds(table).items():
        if column not in frame or (column == "period" and source.period_from in frame):
            continue
        frame[column], bad, expected = convert(trimmed(frame[column]), kind, settings.frequency)
        unread[column] = bad
        if len(bad):
            problems.append(raw.problem(column, bad, expected, raw.frame[column].iloc[bad[:100]]))
    if settings.pseudonymise and "person_id" in frame:
        frame["person_id"] = _pseudonyms(frame["person_id"], settings.pseudonymise, raw, problems)
    problems += _schema_problems(raw, frame, settings, unread)
    return Typed(raw, frame)


def _absent_columns(raw: Raw, frame: pd.DataFrame, settings: Settings, problems: list[Problem]) -> None:
    items = [item.name for item in settings.items_of(raw.table)]
    others = [name for name in frame if name not in kinds(raw.table) and name not in items]
    for column in required(raw.table):
        if column not in frame:
            problems.append(raw.problem(column, [], "this column" + nearest(column, others)))
    for column in ADDED.get(raw.table, {}):
        if column in frame:
            problems.append(raw.problem(column, [], "another name, for cleaning adds a column of this one"))
    for column in items:
        if column not in frame:
            problems.append(raw.problem(column, [], "this column, for items." + column + nearest(column, others)))


def _period_from(
    raw: Raw,
    frame: pd.DataFrame,
    column: str,
    settings: Settings,
    problems: list[Problem],
    unread: dict[str, np.ndarray],
) -> None:
    if column not in frame:
        problems.append(raw.problem(column, [], "this column, for period_from" + nearest(column, frame)))
        return
    dates, bad, expected = convert(trimmed(frame[column]), "date", settings.frequency)
    if len(bad):
        problems.append(raw.problem(column, bad, expected, frame[column].iloc[bad[:100]]))
    numbers = period_of(dates, settings.frequency)
    labels = {number: period_label(number, settings.frequency) for number in numbers.dropna().unique()}
    frame["period"], unread["period"] = numbers.map(labels).astype(TEXT), bad


def _pseudonyms(ids: pd.Series, variable: str, raw: Raw, problems: list[Problem]) -> pd.Series:
    key = os.environ.get(variable, "")
    if not key:
        problems.append(raw.problem("person_id", [], f"a key in the environment variable {variable}"))
    codes, texts = pd.factorize(ids)
    masked = [hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:20] for text in texts]
    return pd.Series(pd.array(masked, dtype=TEXT).take(codes, allow_fill=True), index=ids.index)


def _schema_problems(raw: Raw, frame: pd.DataFrame, settings: Settings, unread: dict[str, np.ndarray]) -> list[Problem]:
    """Return what pandera finds, but for cells already named because their text could not be read."""
    schema = schema_of(raw.table, list(frame), (settings.minimum, settings.maximum))
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as failed:
        return [
            problem
            for error in failed.schema_errors
            if (problem := _schema_problem(raw, frame, schema, error, unread)) is not None
        ]
    return []


def _schema_problem(
    raw: Raw,
    frame: pd.DataFrame,
    schema: pa.DataFrameSchema,
    error: pa.errors.SchemaError,
    unread: dict[str, np.ndarray],
) -> Problem | None:
    at = np.unique(error.failure_cases["index"].to_numpy(dtype=np.int64))
    reason = error.reason_code.name
    if reason == "DUPLICATES":
        keys = list(schema.unique)
        empty = np.flatnonzero(frame[[key for key in keys if key in required(raw.table)]].isna().any(axis=1))
        at = np.setdiff1d(at, np.concatenate([empty, *(unread.get(key, at[:0]) for key in keys)]))
        rows = frame.iloc[at[:100]]
        values = rows[keys].fillna("").agg(", ".join, axis=1)
        return raw.problem(", ".join(keys), at, "one row for each", values) if len(at) else None
    column = str(error.column_name or error.check.name)
    at = np.setdiff1d(at, unread.get(column, at[:0]))
    if len(at) == 0:
        return None
    if reason == "SERIES_CONTAINS_NULLS":
        return raw.problem(column, at, "a value in each row, found none")
    texts = raw.frame if column in raw.frame else frame
    return raw.problem(column, at, error.check.error, texts[column].iloc[at[:100]])


def _unknown_units(tables: dict[str, Typed]) -> list[Problem]:
    if "units" not in tables or "unit_id" not in tables["units"].frame:
        return []
    known = tables["units"].frame["unit_id"].dropna().unique()
    problems = []
    for table, typed in tables.items():
        for column, kind in kinds(table).items():
            if kind != "unit" or column not in typed.frame:
                continue
            ids = typed.frame[column]
            at = np.flatnonzero(ids.notna() & ~ids.isin(known))
            if len(at):
                absent = list(dict.fromkeys(ids.iloc[at[:100]]))
                problems.append(typed.raw.problem(column, at, "a unit_id of units" + nearest(absent[0], known), absent))
    return problems
