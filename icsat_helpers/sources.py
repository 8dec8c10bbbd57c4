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

    def problem(
        self, column: str, at: Sequence[int] | np.ndarray, expected: str, values: Iterable[object] = ()
    ) -> Problem:
        """Return the one line that names `column` and the rows at `at`; private values stay unsaid."""
        at = np.asarray(at, dtype=np.int64)
        if PRIVATE & set(column.split(", ")):
            values = ()
        seen = list(dict.fromkeys(str(value) for value in values))
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
        data = path.read_bytes()
        digest.update(data)
        parts.append(_reader(path.name)(data))
    frame = pd.concat([part for part, _ in parts], ignore_index=True) if len(parts) > 1 else parts[0][0]
    file = np.repeat(np.arange(len(paths)), [len(rows) for _, rows in parts])
    names = tuple(path.relative_to(folder).as_posix() for path in paths)
    return Raw(table, frame, names, file, np.concatenate([rows for _, rows in parts]), digest.hexdigest())


def _reader(name: str) -> Reader:
    for suffix, reader in READERS.items():
        if name.lower().endswith(suffix):
            return reader
    raise Unreadable(f"a {', '.join(READERS)} file (no reader for this kind of file)")


def read_csv(data: bytes) -> tuple[pd.DataFrame, np.ndarray]:
    """Read comma-separated UTF-8 text, with or without a byte-order mark."""
    from pyarrow import csv as arrow

    if not data.strip(b"\xef\xbb\xbf \t\r\n"):
        raise Unreadable("a header row (the file is empty)")
    header = _header(data)
    try:
        table = arrow.read_csv(
            pa.BufferReader(data if b"\n" in data or b"\r" in data else data + b"\n"),
            parse_options=arrow.ParseOptions(newlines_in_values=True),
            convert_options=arrow.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True, null_values=[""]
            ),
        )
    except pa.ArrowInvalid:
        _walk(data, len(header))
        raise Unreadable("comma-separated text with a header row") from None
    count = table.num_rows
    lines = (data.count(b"\n") or data.count(b"\r")) + (not data.endswith((b"\n", b"\r")))
    # As many lines as rows: no blank line, no quoted line break, so row numbers need no second look.
    rows = np.arange(2, count + 2) if lines == count + 1 else _walk(data, len(header))
    return _text_frame(table, [name.strip() for name in header]), rows


def _records(data: bytes, strict: bool) -> Iterable[list[str]]:
    # A text wrapper decodes piece by piece; BytesIO shares the bytes.
    return csv.reader(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline=""), strict=strict)


def _header(data: bytes) -> list[str]:
    try:
        header = next(record for record in _records(data, strict=False) if record)
    except UnicodeDecodeError:
        raise _not_utf8(data) from None
    except csv.Error:
        raise Unreadable("a header row with quotes that close", row="row 1") from None
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise Unreadable("columns separated by commas", row="row 1")
    _refuse_twice([name.strip() for name in header])
    return header


def _walk(data: bytes, width: int) -> np.ndarray:
    """Return the row number of each record, counting blank lines; refuse rows of another width."""
    rows, wrong, number = [], [], 0
    try:
        for number, record in enumerate(_records(data, strict=True), 1):
            if record:
                rows.append(number)
                if len(record) != width:
                    wrong.append((number, len(record)))
    except UnicodeDecodeError:
        raise _not_utf8(data) from None
    except csv.Error:
        raise Unreadable("quotes that open and close in one cell", row=f"row {number + 1}") from None
    if wrong:
        cells = ", ".join(dict.fromkeys(f"{found} cells" for _, found in wrong[:3]))
        raise Unreadable(f"{width} cells, as in the header", rows_text([n for n, _ in wrong], len(wrong)), cells)
    return np.array(rows[1:], dtype=np.int64)


def _not_utf8(data: bytes) -> Unreadable:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Unreadable("UTF-8 text", row=f"row {line}")
    return Unreadable("UTF-8 text")


def _refuse_twice(names: list[str]) -> None:
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise Unreadable("each column name once", row="row 1", column=twice or "''")


def read_parquet(data: bytes) -> tuple[pd.DataFrame, np.ndarray]:
    """Read Parquet; numbers, dates and categories become the text a CSV file would hold."""
    from pyarrow import parquet

    try:
        table = parquet.read_table(pa.BufferReader(data))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
        raise Unreadable("a Parquet file" + (" (the file is empty)" if not data else "")) from None
    _refuse_twice([name.strip() for name in table.column_names])
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            columns.append(_as_text(column))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise Unreadable("text, numbers or dates", column=name, value=f"type {column.type}") from None
    text = pa.table(columns, names=[str(i) for i in range(len(columns))])
    return _text_frame(text, [name.strip() for name in table.column_names]), np.arange(2, table.num_rows + 2)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
        # Whole numbers as whole numbers: an id of 1e15 must not come out as '1e+15'.
        if pc.all(pc.equal(pc.floor(column), column)).as_py() and pc.all(pc.less(pc.abs(column), 2.0**53)).as_py():
            column = column.cast(pa.int64())
    return column.cast(pa.string())


def _text_frame(table: pa.Table, names: list[str]) -> pd.DataFrame:
    frame = table.to_pandas(types_mapper={pa.string(): TEXT}.get)
    frame.columns = pd.Index(names, dtype=object)
    return frame


def read_csv_gz(data: bytes) -> tuple[pd.DataFrame, np.ndarray]:
    """Read gzipped comma-separated text."""
    try:
        return read_csv(gzip.decompress(data))
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise Unreadable("a gzip file") from None


Reader = Callable[[bytes], tuple[pd.DataFrame, np.ndarray]]
READERS: dict[str, Reader] = {".csv": read_csv, ".csv.gz": read_csv_gz, ".parquet": read_parquet}
"""Readers by the end of a file's name; Excel, SPSS, survey exports and SQL results join here."""
