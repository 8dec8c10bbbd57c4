"""Files to raw tables: text columns and the row each came from, nothing converted, nothing dropped.

A new kind of file is one function in `READERS`: bytes in, a frame of text columns and its row numbers out.
Row numbers are those a spreadsheet shows: the header is row 1, and a quoted cell with line breaks is one row.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

PRIVATE = frozenset({"person_id", "comment", "performance"})
"""Columns whose values no message may show."""

TEXT = pd.StringDtype(na_value=np.nan)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a study; ``str()`` is one line naming the culprit and what was expected."""

    table: str
    file: str = ""
    column: str = ""
    row: str = ""
    value: str = ""
    expected: str = ""

    def __str__(self) -> str:
        place = f"{self.table} ({shown(self.file)})" if self.file else self.table
        column = f"column {shown(clipped(self.column))}" if self.column else ""
        said = f"found {self.value}, expected {self.expected}" if self.value else f"expected {self.expected}"
        return ", ".join(part for part in (place, column, self.row) if part) + f": {said}"


class Unreadable(ValueError):
    """A file that cannot be read as a table: where, what was found and what was expected."""

    def __init__(self, expected: str, row: str = "", value: str = "", column: str = "") -> None:
        super().__init__(expected)
        self.expected, self.row, self.value, self.column = expected, row, value, column


@dataclass(frozen=True, slots=True)
class Raw:
    """A table as its files hold it: text columns (n rows), and for each row its file and row number (n,)."""

    table: str
    frame: pd.DataFrame
    files: tuple[str, ...]
    file: np.ndarray
    row: np.ndarray
    sha256: str

    def problem(self, column: str, at: Sequence[int] | np.ndarray, expected: str, values: Iterable = ()) -> Problem:
        """Return the one line that names `column` and the rows at `at`; private values stay unsaid."""
        seen = [] if PRIVATE & set(column.split(", ")) else list(dict.fromkeys(str(value) for value in values))
        value = ", ".join(repr(clipped(text)) for text in seen[:3]) + (", ..." if len(seen) > 3 else "")
        if len(at) == 0:
            return Problem(self.table, ", ".join(self.files), column, "", value, expected)
        first = self.file[at[0]]
        names = [("" if self.file[i] == first else self.files[self.file[i]] + " ") + str(self.row[i]) for i in at[:3]]
        return Problem(self.table, self.files[first], column, rows_text(names, len(at)), value, expected)


def rows_text(rows: Sequence[object], count: int) -> str:
    """Return "row 7", or the count with the first three rows."""
    return f"row {rows[0]}" if count == 1 else f"{count} rows, first {', '.join(str(row) for row in rows[:3])}"


def clipped(text: str, width: int = 60) -> str:
    """Return `text` cut to `width` characters."""
    return text if len(text) <= width else text[: width - 3] + "..."


def shown(text: str) -> str:
    """Return a name as it may stand in a line: quoted and escaped where it would break it."""
    return text if text.isprintable() and text else repr(text)


def read(table: str, paths: Sequence[Path], folder: Path) -> Raw:
    """Read the file or files of one table; file bytes are read once and hashed.

    Raises
    ------
    Unreadable
        If there is no reader for a file or its bytes are no table. The caller names table and file.
    """
    digest, parts = hashlib.sha256(), []
    for path in paths:
        reader = next((READERS[suffix] for suffix in READERS if path.name.lower().endswith(suffix)), None)
        if reader is None:
            raise Unreadable(f"a {', '.join(READERS)} file (no reader for this kind of file)")
        data = path.read_bytes()
        digest.update(data)
        parts.append(reader(data))
    frames, rows = zip(*parts, strict=True)
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    file = np.repeat(np.arange(len(paths)), [len(each) for each in rows])
    return Raw(table, pd.concat(frames, ignore_index=True), names, file, np.concatenate(rows), digest.hexdigest())


def decoded(data: bytes) -> str:
    """Return UTF-8 bytes, with or without a byte-order mark, as text."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Unreadable("UTF-8 text", row=f"row {line}") from None


def read_csv(data: bytes) -> tuple[pd.DataFrame, np.ndarray]:
    """Read comma-separated UTF-8 text; empty cells are missing, blank lines are no rows but count as lines."""
    text = decoded(data)
    if not text.strip():
        raise Unreadable("a header row (the file is empty)")
    records: list[list[str]] = []
    try:
        records.extend(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        raise Unreadable("quotes that open and close in one cell", row=f"row {len(records) + 1}") from None
    cells = np.fromiter(map(len, records), dtype=np.int64, count=len(records))
    rows = np.flatnonzero(cells) + 1
    header = [name.strip() for name in records[rows[0] - 1]]
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise Unreadable("columns separated by commas", row="row 1")
    _refuse_twice(header)
    wrong = rows[cells[rows - 1] != len(header)]
    if len(wrong):
        found = ", ".join(dict.fromkeys(f"{count} cells" for count in cells[wrong[:3] - 1]))
        raise Unreadable(f"{len(header)} cells, as in the header", rows_text(wrong, len(wrong)), found)
    columns = zip(*filter(None, records), strict=True)
    arrays = [pa.array([cell or None for cell in column[1:]], pa.string()) for column in columns]
    return _text_frame(arrays, header), rows[1:]


def read_csv_gz(data: bytes) -> tuple[pd.DataFrame, np.ndarray]:
    """Read gzipped comma-separated text."""
    try:
        return read_csv(gzip.decompress(data))
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise Unreadable("a gzip file") from None


def read_parquet(data: bytes) -> tuple[pd.DataFrame, np.ndarray]:
    """Read Parquet; numbers, dates and categories become the text a CSV file would hold."""
    from pyarrow import parquet

    try:
        table = parquet.read_table(pa.BufferReader(data))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
        raise Unreadable("a Parquet file") from None
    names, columns = [name.strip() for name in table.column_names], []
    _refuse_twice(names)
    for name, column in zip(names, table.columns, strict=True):
        try:
            columns.append(_as_text(column))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise Unreadable("text, numbers or dates", column=name, value=f"type {column.type}") from None
    return _text_frame(columns, names), np.arange(2, table.num_rows + 2)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
        # Whole numbers as whole numbers: an id of 1e15 must not come out as '1e+15'.
        if pc.all(pc.equal(pc.floor(column), column)).as_py() and pc.all(pc.less(pc.abs(column), 2.0**53)).as_py():
            column = column.cast(pa.int64())
    return column.cast(pa.string())


def _text_frame(columns: list[pa.Array] | list[pa.ChunkedArray], names: list[str]) -> pd.DataFrame:
    return pa.table(columns, names=names).to_pandas(types_mapper={pa.string(): TEXT}.get)


def _refuse_twice(names: list[str]) -> None:
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise Unreadable("each column name once", row="row 1", column=twice or "''")


Reader = Callable[[bytes], tuple[pd.DataFrame, np.ndarray]]
READERS: dict[str, Reader] = {".csv": read_csv, ".csv.gz": read_csv_gz, ".parquet": read_parquet}
"""Readers by the end of a file's name; Excel, SPSS, survey exports and SQL results join here."""
