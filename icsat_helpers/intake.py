"""A table as its source has it, to one under the contract's names: one row an answer, codes labelled."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd

from icsat_helpers import databases, exports, locations, sources
from icsat_helpers.columns import decimal_mark, number, trimmed
from icsat_helpers.draft import Draft
from icsat_helpers.labels import FIVE_POINTS
from icsat_helpers.problems import Problem, Unreadable
from icsat_helpers.schemas import kinds
from icsat_helpers.settings import Item, TableSource, fold
from icsat_helpers.sources import TEXT, Raw


def raw(draft: Draft, table: str, source: TableSource) -> Raw | None:
    """Return a table under the contract's names; None without a source or with a bad one."""
    name = "query" if source.query else source.source
    try:
        if source.query:
            found = _asked(draft, table, source)
        else:
            paths = locations.files(draft, table, source.source)
            name = source.source or (paths[0].name if paths else "")
            found = sources.read(table, paths, draft.folder, source.sheet, source.format) if paths else None
        if found is None:
            return None
        _refuse_unnamed_export(found, source)
        if source.unpivot:
            found = _unpivoted(found, source.unpivot)
        found = _renamed(draft, found, source)
    except Unreadable as error:
        file = next(iter(getattr(error, "__notes__", [])), name)
        draft.problems.append(Problem(table, file, error.column, error.row, error.value, error.expected))
        return None
    except OSError:
        draft.refuse(table, name, "a file that can be read")
        return None
    for rule, column, rows, what in found.notes:
        draft.count(table, rule, column, rows, what)
    for column in found.frame.columns.intersection(list(kinds(table))):
        found.frame[column] = trimmed(found.frame[column])
    _label(draft, found)
    _point(draft, found)
    return found


def _asked(draft: Draft, table: str, source: TableSource) -> Raw | None:
    variable = draft.settings.url_variable
    if not variable:
        draft.refuse(
            "study", "study.toml", "url_variable under [database], for a query", column=f"tables.{table}.query"
        )
        return None
    cells = databases.read(source.query, variable)
    sheet = exports.read(sources.as_sheet(cells), source.format)
    return sources.assembled(table, [sheet], ("query",), databases.sha256(cells))


def _refuse_unnamed_export(found: Raw, source: TableSource) -> None:
    head = sources.written_out(found.frame.iloc[:2])
    if not source.format and any(head[column].str.contains('"ImportId"', regex=False).any() for column in head):
        raise Unreadable('format = "qualtrics", for this is an export of Qualtrics')


def _unpivoted(found: Raw, pattern: str) -> Raw:
    frame, came, empty = exports.unpivoted(sources.written_out(found.frame), pattern)
    note = ("unpivot", "", empty, "pairs of a respondent and what could be rated, without an answer: no rows")
    return replace(
        found, frame=frame, file=found.file[came], row=np.asarray(found.row)[came], notes=(*found.notes, note)
    )


def _renamed(draft: Draft, found: Raw, source: TableSource) -> Raw:
    frame, table = found.frame.copy(deep=False), found.table
    tidy = {" ".join(name.split()): name for name in frame}
    theirs = {ours: tidy.get(" ".join(name.split()), name) for ours, name in source.columns.items()}
    for ours, name in theirs.items():
        if name not in frame:
            draft.problems.append(found.problem(name, [], f"a column of that name, for {ours}"))
    names = {name: ours for ours, name in theirs.items()}
    if source.format:
        names = _questions(draft, found) | names
        left_out = [name for name in exports.PERSONAL[source.format] if name in frame and name not in names]
        if "answered_at" in kinds(table) and "answered_at" not in theirs and found.answered not in ("", "answered_at"):
            frame["answered_at"] = frame[found.answered]
        frame = frame.drop(columns=left_out)
    period = _periods(draft, found, source)
    frame = frame.rename(columns=names)
    if period is not None:
        frame["period"] = period
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise Unreadable("each column name once, also after renaming", column=str(twice[0]))
    words = {names.get(name, name): text for name, text in found.words.items()}
    labels = {names.get(name, name): codes for name, codes in found.labels.items()}
    return replace(found, frame=frame, words=words, labels=labels)


def _questions(draft: Draft, found: Raw) -> dict[str, str]:
    """Return the item of each column whose name is the item's question, in any language."""
    texts = {fold(text): item.name for item in draft.settings.items_of(found.table) for text in item.text.values()}
    return {name: texts[fold(name)] for name in found.frame if fold(name) in texts}


def _periods(draft: Draft, found: Raw, source: TableSource) -> pd.Series | None:
    """Return the text that each row's period is read from, where it is not a column of its own."""
    if source.period_from:
        if source.period_from in found.frame:
            return found.frame[source.period_from]
        draft.problems.append(found.problem(source.period_from, [], "this column, for period_from"))
    elif source.period_pattern:
        matches = [re.search(source.period_pattern, file) for file in found.files]
        texts = pd.array([match[1] if match else None for match in matches], dtype=TEXT)
        return pd.Series(texts[found.file], found.frame.index)
    return None


def _label(draft: Draft, found: Raw) -> None:
    """Put labels in the place of codes: in text always, in answers where labels are known and codes say less."""
    items = {item.name: item for item in draft.settings.items_of(found.table)}
    for column, codes in found.labels.items():
        if column not in found.frame:
            continue
        texts = found.frame[column]
        if column in items:
            codes = _known(draft, found, items[column], codes)
        elif kinds(found.table).get(column) in (None, "number", "date"):
            continue
        found.frame[column] = texts.map({text: codes.get(text, text) for text in texts.dropna().unique()}).astype(TEXT)


def _known(draft: Draft, found: Raw, item: Item, codes: dict[str, str]) -> dict[str, str]:
    """Return the labels that answers are to be read by; where a label contradicts its code every code needs one."""
    own = {fold(label): value for label, value in draft.settings.labels.items()}
    width = (item.maximum - item.minimum) / 4
    points = {label: item.minimum + (point - 1) * width for label, point in FIVE_POINTS.items()} | own
    known = {code: label for code, label in codes.items() if fold(label) in points}
    turned = [code for code, label in known.items() if points[fold(label)] not in ("missing", number(code))]
    if not turned:
        return {code: label for code, label in known.items() if points[fold(label)] == "missing"}
    texts = found.frame[item.name]
    bare = np.flatnonzero(texts.notna() & ~texts.isin(list(known)))
    if len(bare):
        expected = f"a known label for each code, for label {known[turned[0]]!r} is not the number of its code"
        draft.problems.append(found.problem(item.name, bare, expected, texts.iloc[bare[:100]]))
    return known


def _point(draft: Draft, found: Raw) -> None:
    """Write decimal commas as points, in the numbers of files that may hold them."""
    items = {item.name for item in draft.settings.items_of(found.table)}
    numbers = [name for name in found.frame if name in items or kinds(found.table).get(name) == "number"]
    for file, separator in enumerate(found.separators):
        if separator == ",":
            continue
        rows = found.file == file
        there = {text for name in numbers for text in found.frame.loc[rows, name].dropna().unique()}
        mark = decimal_mark(there, separator)
        doubtful = "," if any("," in text for text in there) else "."
        for name in numbers if mark in (",", "?") else ():
            texts = found.frame[name]
            marked = rows & texts.str.fullmatch(rf"[+-]?[0-9]*[{doubtful}][0-9]+").fillna(False).to_numpy(dtype=bool)
            if mark == ",":
                found.frame[name] = texts.where(~marked, texts.str.replace(",", ".", regex=False))
            elif marked.any():
                at = np.flatnonzero(marked)
                expected = "one decimal mark in the file's numbers, that can't be taken for one of thousands"
                draft.problems.append(found.problem(name, at, expected, texts.iloc[at[:100]]))
