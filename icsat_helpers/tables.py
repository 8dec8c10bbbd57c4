"""A study's folder to typed, checked tables: every problem found, none of them guessed away."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pandera.pandas as pa

from icsat_helpers import aliases, delimited, intake, locations
from icsat_helpers.columns import coded, convert, distinct
from icsat_helpers.draft import Draft
from icsat_helpers.problems import Problem, Unreadable
from icsat_helpers.schemas import ADDED, DTYPES, MERGED_ON, TABLES, Rule, between, kinds, required
from icsat_helpers.settings import TableSource, nearest, parse
from icsat_helpers.sources import TEXT, Raw, written_out


def read(folder: Path) -> Draft:
    """Read and check a study's folder."""
    draft = Draft(folder)
    try:
        data = (folder / "study.toml").read_bytes()
        settings, draft.problems = parse(delimited.utf8(data))
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
        raw = intake.raw(draft, table, settings.tables.get(table, TableSource()))
        if raw is not None:
            draft.raw[table], draft.sha256[table] = raw, raw.sha256
            draft.frames[table] = _typed(draft, raw)
    if not draft.raw and not draft.problems:
        draft.refuse("study", "study.toml", "at least one table, such as service_ratings.csv")
    locations.refuse_misnamed(draft)
    _refuse_unknown_units(draft)
    return draft


def _typed(draft: Draft, raw: Raw) -> pd.DataFrame:
    """Convert the text of each column the contract names; what does not convert is a problem.

    The keys of answers become categories, for there may be millions of answers.
    """
    settings, frame, keys = draft.settings, raw.frame.copy(deep=False), MERGED_ON.get(raw.table, [])
    dates = settings.tables.get(raw.table, TableSource()).period_from
    undated = any(problem.column == "study.frequency" for problem in draft.problems)
    _refuse_columns(draft, raw)
    for column, kind in kinds(raw.table).items():
        if column not in frame:
            continue
        named, kind = (dates, "period of a date") if column == "period" and dates else (column, kind)
        frame[column], expected = convert(frame[column], kind, settings.frequency, column in keys)
        bad = np.flatnonzero(frame[column].isna() & raw.frame[column].notna())
        if len(bad) and not (undated and kind == "period"):
            draft.problems.append(raw.problem(named, bad, expected, raw.frame[column].iloc[bad[:100]]))
    if settings.pseudonymise and "person_id" in frame:
        frame = _pseudonymised(draft, raw, frame)
    frame = written_out(frame, [*keys, *(item.name for item in settings.items_of(raw.table))])
    _refuse_values(draft, raw, frame)
    return frame


def _refuse_columns(draft: Draft, raw: Raw) -> None:
    items = {item.name: item for item in draft.settings.items_of(raw.table)}
    others = [name for name in raw.frame if name not in kinds(raw.table) and name not in items]
    private = "person_id" in kinds(raw.table)
    for wanted in dict.fromkeys([*required(raw.table), *items]):
        if wanted not in raw.frame:
            expected = f"this column, for items.{wanted}" if wanted in items else "this column"
            texts = items[wanted].text.values() if wanted in items else ()
            closest = aliases.probable(wanted, others, raw.words, texts, private=private)
            draft.problems.append(raw.problem(wanted, [], expected, closest=closest))
    for column in raw.frame.columns.intersection(list(ADDED.get(raw.table, {}))):
        draft.problems.append(raw.problem(column, [], "another name, for cleaning adds a column of this one"))


def _pseudonymised(draft: Draft, raw: Raw, frame: pd.DataFrame) -> pd.DataFrame:
    """Replace each person_id by a keyed hash, and leave out what the contract doesn't name: it may tell who it is."""
    variable = draft.settings.pseudonymise
    key = os.environ.get(variable, "").encode()
    if not key:
        draft.problems.append(raw.problem("person_id", [], f"a key in the environment variable {variable}"))
    key = key if len(key) <= hashlib.blake2b.MAX_KEY_SIZE else hashlib.blake2b(key).digest()
    codes, ids = distinct(frame["person_id"])
    masked = [hashlib.blake2b(i.encode(), key=key, digest_size=16).hexdigest() for i in ids]
    items = {item.name for item in draft.settings.items_of(raw.table)}
    other = [name for name in frame if name not in kinds(raw.table) and name not in items]
    what = "left out, for it may tell who a person is (ids are replaced)"
    for name in other:
        draft.count(raw.table, "pseudonymise", name, len(frame), what)
    person_id = pd.Series(coded(codes, pd.Series(masked, dtype=TEXT)), frame.index)
    return frame.assign(person_id=person_id).drop(columns=other)


def _schema(table: str) -> pa.DataFrameSchema:
    columns = {
        name: pa.Column(
            str if DTYPES[column.kind] is TEXT else DTYPES[column.kind],
            _check(column.rule) if column.rule else None,
            nullable=not column.needed,
            required=column.needed,
        )
        for name, column in TABLES[table].columns.items()
    }
    rows = [pa.Check(each.holds, name=each.column, error=each.expected) for each in TABLES[table].rules]
    return pa.DataFrameSchema(columns, unique=list(TABLES[table].unique) or None, checks=rows)


def _check(rule: Rule) -> pa.Check:
    made: pa.Check = getattr(pa.Check, rule.check)(*rule.given, error=rule.expected)
    return made


def _refuse_values(draft: Draft, raw: Raw, frame: pd.DataFrame) -> None:
    """Refuse what pandera finds, but for cells already named because their text could not be read."""
    schema = _schema(raw.table)
    if raw.table == "goals":
        scale = between(draft.settings.minimum, draft.settings.maximum)
        schema = schema.update_column("target", checks=_check(scale[1]))
    named = frame[frame.columns.intersection(list(schema.columns))]
    codes = {name for name in named if isinstance(named[name].dtype, pd.CategoricalDtype)}  # of ids that can be read
    named = named.drop(columns=[name for name in codes if named[name].notna().all()])
    schema = schema.update_columns({name: {"dtype": None} for name in codes})
    try:
        schema.validate(named, lazy=True, inplace=True)  # which would be copied otherwise, and is not changed
    except pa.errors.SchemaErrors as failed:
        for error in failed.schema_errors:
            if error.reason_code.name != "COLUMN_NOT_IN_DATAFRAME":
                _refuse_cells(draft, raw, frame, error)


def _refuse_cells(draft: Draft, raw: Raw, frame: pd.DataFrame, error: pa.errors.SchemaError) -> None:
    at = np.unique(error.failure_cases["index"].to_numpy(dtype=np.int64))
    empty = error.reason_code.name == "SERIES_CONTAINS_NULLS"
    if error.reason_code.name == "DUPLICATES":
        keys, needed = list(TABLES[raw.table].unique), required(raw.table)
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
        texts = written_out(raw.frame[keys].iloc[at[:100]]).fillna("").agg(", ".join, axis=1)
        draft.problems.append(raw.problem(", ".join(keys), at, expected, () if empty else texts))


def _refuse_unknown_units(draft: Draft) -> None:
    units = draft.frames.get("units", pd.DataFrame())
    if "unit_id" not in units or units.empty:  # a table with a header only names no units, and forbids none
        return
    known = units["unit_id"].dropna().unique()
    for table, frame in draft.frames.items():
        for column in [name for name, kind in kinds(table).items() if kind == "unit" and name in frame]:
            at = np.flatnonzero(frame[column].notna() & ~frame[column].isin(known))
            if len(at):
                absent = frame[column].iloc[at[:100]].tolist()
                expected = "a unit_id of units" + nearest(absent[0], known)
                draft.problems.append(draft.raw[table].problem(column, at, expected, absent))
