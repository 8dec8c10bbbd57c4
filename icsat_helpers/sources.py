"""The files of a table, or the answer of a database, to one raw table of text; nothing converted or dropped in silence.

A new kind of file is one reader: bytes in, `Cells` out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from icsat_helpers import confined, delimited, exports
from icsat_helpers.confined import Cells
from icsat_helpers.ordering import BLOCK
from icsat_helpers.problems import PRIVATE, Problem, Unreadable, clipped, rows_text

TEXT = pd.StringDtype(na_value=np.nan)

WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
DELIMITED = (".csv", ".csv.gz", ".tsv", ".txt")
KINDS = (*DELIMITED, ".parquet", *WORKBOOKS, ".sav", ".zsav")
"""The ends of names of files that can be read."""


@dataclass(frozen=True, slots=True)
class Raw:
    """A table as its files hold it: text columns (n rows), and for each row its file and row number (n,).

    Columns may be categories that are text. `labels` are those of a column's codes, `words` the questions behind
    columns, `notes` what is to be said of the files: rule, column, rows, what. `separators` are what stands between
    the cells of each file. `answered` is the column that tells when somebody answered, in a survey export.
    """

    table: str
    frame: pd.DataFrame
    files: tuple[str, ...]
    file: np.ndarray
    row: np.ndarray | range
    sha256: str
    words: dict[str, str] = field(default_factory=dict)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
    notes: tuple[tuple[str, str, int, str], ...] = ()
    separators: tuple[str, ...] = (",",)
    answered: str = ""

    def problem(
        self, column: str, at: Sequence[int] | np.ndarray, expected: str, values: Iterable = (), closest: str = ""
    ) -> Problem:
        """Return the one line that names `column` and the rows at `at`; private values stay unsaid."""
        seen = [] if PRIVATE & set(column.split(", ")) else list(dict.fromkeys(str(value) for value in values))
        value = ", ".join(repr(clipped(text)) for text in seen[:3]) + (", ..." if len(seen) > 3 else "")
        if len(at) == 0:
            return Problem(self.table, ", ".join(self.files), column, "", value, expected, closest=closest)
        first = self.file[at[0]]
        names = [("" if self.file[i] == first else self.files[self.file[i]] + " ") + str(self.row[i]) for i in at[:3]]
        place = rows_text(names, len(at))
        return Problem(self.table, self.files[first], column, place, value, expected, len(at), closest)


def read(table: str, paths: Sequence[Path], folder: Path, sheet: str = "", form: str = "") -> Raw:
    """Read the file or files of one table; of a survey export (`form`), answers and not what surrounds them.

    Raises
    ------
    Unreadable
        If there is no reader for a file or its bytes are no table; its `file` is the name of the culprit.
    """
    digest, parts = hashlib.sha256(), []
    for path in paths:
        try:
            parts.append(_file(table, path, sheet, form, digest.update))
        except Unreadable as error:
            error.add_note(_name(path, folder))
            raise
    return assembled(table, parts, tuple(_name(path, folder) for path in paths), digest.hexdigest())


def _file(table: str, path: Path, sheet: str, form: str, digest: Callable[[bytes], object]) -> exports.Sheet:
    kind = next((kind for kind in KINDS if path.name.lower().endswith(kind)), None)
    if kind is None:
        raise Unreadable(f"a {', '.join(KINDS)} file (no reader for this kind of file)")
    if sheet and kind not in WORKBOOKS:
        raise Unreadable("no sheet, which only a workbook has")
    data = delimited.load(path) if kind in DELIMITED else path.read_bytes()
    with ThreadPoolExecutor(1) as pool:  # while it is read
        pool.submit(digest, path.read_bytes() if kind == ".csv.gz" else data)
        if kind in DELIMITED:
            cells = delimited.read(data)
        elif kind in WORKBOOKS:
            cells = confined.read("spreadsheets", data, sheet=sheet, table=table)
        else:
            cells = confined.read("parquet" if kind == ".parquet" else "spss", data)
    found = as_sheet(cells)
    return exports.read(replace(found, frame=written_out(found.frame)), form) if form else found


def as_sheet(cells: Cells) -> exports.Sheet:
    """Return cells as a frame of text or of categories; what has neither a name nor a value is no column."""
    arrays = [
        column if isinstance(column, pa.ChunkedArray | pa.Array) else pa.array(column, pa.string())
        for column in cells.columns
    ]
    named = [i for i, name in enumerate(cells.names) if name or arrays[i].null_count < len(arrays[i])]
    names = [cells.names[i] for i in named]
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise Unreadable("each column name once", row="row 1", column=twice or "''")
    frame = pd.DataFrame(dict(zip(names, (_column(arrays[i]) for i in named), strict=True)), copy=False)
    rows = cells.rows if isinstance(cells.rows, range) else np.asarray(cells.rows, dtype=np.int64)
    return exports.Sheet(frame, rows, cells.words, cells.labels, list(cells.notes), cells.separator)


def _column(array: pa.Array | pa.ChunkedArray) -> pd.Series:
    if not isinstance(array, pa.DictionaryArray):
        return array.to_pandas(types_mapper={pa.string(): TEXT}.get)
    codes = (array.indices.fill_null(-1) if array.null_count else array.indices).to_numpy()
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(array.dictionary.to_pandas(), dtype=TEXT)), copy=False)


def written_out(frame: pd.DataFrame, but: Iterable[str] = ()) -> pd.DataFrame:
    """Return a frame with texts and numbers in the place of categories, in all columns `but` some."""
    coded = [name for name in frame.columns.difference(list(but)) if isinstance(frame[name].dtype, pd.CategoricalDtype)]
    with ThreadPoolExecutor(2) as pool:
        columns = list(pool.map(lambda name: values(frame[name].array), coded))
    return frame.assign(
        **{name: pd.Series(column, frame.index, copy=False) for name, column in zip(coded, columns, strict=True)}
    )


def values(column: pd.api.extensions.ExtensionArray) -> Any:
    """Return a copy of a column, texts and numbers in the place of categories."""
    if not isinstance(column, pd.Categorical):
        return column.copy()
    found, codes = column.categories.array, column.codes
    if found.dtype.kind not in "fi":
        return found.take(codes, allow_fill=True)
    numbers = np.append(found.to_numpy(), np.nan) if found.dtype.kind == "f" else found.to_numpy()
    result = np.empty(len(codes), dtype=numbers.dtype)
    for start in range(0, len(codes), BLOCK):
        rows = slice(start, start + BLOCK)
        np.take(numbers, codes[rows], out=result[rows], mode="wrap")  # the last for the code -1
    return result


def assembled(table: str, parts: Sequence[exports.Sheet], names: tuple[str, ...], sha256: str) -> Raw:
    """Return the parts of a table as one; what a part has no column for is missing."""
    frame = parts[0].frame
    if len(parts) > 1:
        frame = pd.concat([written_out(part.frame) for part in parts], ignore_index=True).astype(TEXT)
    words: dict[str, str] = {}
    labels: dict[str, dict[str, str]] = {}
    for part in parts:
        words |= part.words
        for column, codes in part.labels.items():
            if any(labels.get(column, {}).get(code, label) != label for code, label in codes.items()):
                raise Unreadable("the same labels of its codes in every file", column=column)
            labels[column] = labels.get(column, {}) | codes
    if len(parts) == 1:
        file, rows = np.broadcast_to(np.int32(0), len(frame)), parts[0].rows
    else:
        file = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part.rows) for part in parts])
        rows = np.concatenate([part.rows for part in parts])
    notes = tuple(note for part in parts for note in part.notes)
    separators, answered = tuple(part.separator for part in parts), parts[0].answered
    return Raw(table, frame, names, file, rows, sha256, words, labels, notes, separators, answered)


def _name(path: Path, folder: Path) -> str:
    inside = path.is_relative_to(folder)
    return path.relative_to(folder).as_posix() if inside else path.name
