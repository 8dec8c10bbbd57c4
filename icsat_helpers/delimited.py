"""Delimited text (.csv, .csv.gz, .tsv, .txt) to text cells: encoding and separator found out, and said.

Row numbers are those a spreadsheet shows: the header is row 1, and a quoted cell with line breaks is one row.
"""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from icsat_helpers.confined import MOST_COLUMNS, Cells
from icsat_helpers.problems import Unreadable, rows_text

LONGEST = 2**20  # bytes in a line, or in a cell with line breaks
UNPACKED = 200  # times its own size that a .gz may unpack to, beyond what any file may
SMALL = 2**26
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_MULTIBYTE = re.compile(rb"[\xc3-\xf4][\x80-\xbf]|\xc2[\x80-\xa0]")  # UTF-8 that only chance would make of Windows-1252
_FIRST_ROWS = 30


def load(path: Path) -> bytes:
    """Return a file's bytes, unpacked where they are gzipped; no line without an end is loaded."""
    try:
        with path.open("rb") if path.suffix.lower() != ".gz" else gzip.open(path) as file:
            most = None if path.suffix.lower() != ".gz" else max(SMALL, UNPACKED * path.stat().st_size)
            return b"".join(_blocks(file, most))
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise Unreadable("a gzip file") from None


def _blocks(file: io.BufferedIOBase, most: int | None) -> Iterator[bytes]:
    read = 0
    while block := file.read(LONGEST):
        read += len(block)
        if len(block) == LONGEST and b"\n" not in block and b"\r" not in block:
            raise Unreadable(f"lines of at most {LONGEST} bytes")
        if most is not None and read > most:
            raise Unreadable(f"a gzip file that unpacks to at most {most} bytes")
        yield block


def decoded(data: bytes) -> tuple[bytes, str]:
    """Return text as UTF-8 without a byte-order mark and with plain line ends, and the encoding it came in."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    elif b"\0" in data[:2] and len(data) % 2 == 0:
        encoding = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
    else:
        encoding = "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        row = f"row {data.count(bytes([10]), 0, error.start) + 1}" if encoding == "utf-8-sig" else ""
        if encoding != "utf-8-sig" or _MULTIBYTE.search(data):
            raise Unreadable(f"{'UTF-16' if encoding != 'utf-8-sig' else 'UTF-8'} text", row) from None
        encoding = "windows-1252"
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            raise Unreadable("UTF-8, UTF-16 or Windows-1252 text", row) from None
    if "\0" in text:
        raise Unreadable("text", f"row {text[: text.index(chr(0))].count(chr(10)) + 1}", "a zero byte")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.encode("utf-8"), encoding


def utf8(data: bytes) -> str:
    """Return UTF-8 bytes, with or without a byte-order mark, as text."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("UTF-8 text", row=f"row {data.count(bytes([10]), 0, error.start) + 1}") from None


def read(data: bytes) -> Cells:
    """Read delimited text; empty cells are missing, blank lines are no rows but count as lines.

    Raises
    ------
    Unreadable
        Where it is no text, its separator cannot be told, a quote is not closed, or a row has too many or too
        few cells.
    """
    text, encoding = decoded(data)
    told = re.match(rb"sep=([,;\t|])\n", text)  # a first line that tells Excel the separator
    text = text[told.end() :] if told else text
    if not text.strip():
        raise Unreadable("a header row (the file is empty)")
    separator = told[1].decode() if told else _separator(text)
    header = [name.strip() for name in next(filter(None, _records(text, separator)))]
    if len(header) > MOST_COLUMNS:
        raise Unreadable(f"at most {MOST_COLUMNS} columns")
    columns = None
    if b'"' not in text or _well_quoted(text, separator):
        rows, body = _rows(text)
        columns = _columns(text[body:], separator, len(header))
    if columns is None or len(columns[0]) != len(rows):
        rows, columns = _strictly(text, separator, len(header))
    notes = []
    if encoding != "utf-8-sig":
        notes.append(("encoding", "", len(rows), f"read as {encoding.upper().replace('WINDOWS', 'Windows')} text"))
    if separator != ",":
        notes.append(("separator", "", len(rows), f"columns separated by {SEPARATORS.get(separator, repr(separator))}"))
    return Cells(header, columns, rows + bool(told), notes=notes, separator=separator)


def _separator(text: bytes) -> str:
    """Return the separator by which the first rows have as many cells as the header."""
    head = text[: 4 * LONGEST].decode("utf-8", errors="ignore")
    first = next(line for line in head.splitlines() if line.strip())
    there = [mark for mark in SEPARATORS if mark in first]
    if len(there) > 1:  # a comma in a heading, for example
        counts = {mark: _cells(head, mark) for mark in there}
        even = [mark for mark in there if len(counts[mark]) == 1 and min(counts[mark]) > 1]
        there = even if len(even) == 1 else [mark for mark in even if min(counts[mark]) > 2] if even else [","]
        if len(there) != 1:
            raise Unreadable("one mark between columns: a comma, a semicolon or a tab", row="row 1")
    if not there and "|" in first:
        raise Unreadable("columns separated by commas, semicolons or tabs", row="row 1")
    return there[0] if there else ","


def _cells(head: str, separator: str) -> Counter[int]:
    try:
        rows = list(islice(csv.reader(io.StringIO(head, newline=""), delimiter=separator, strict=True), _FIRST_ROWS))
    except csv.Error:
        return Counter([0])
    return Counter(len(row) for row in rows if row)


def _records(text: bytes, separator: str) -> Iterator[list[str]]:
    """Return the records of a text, strictly; a blank line is an empty one."""
    lines = io.TextIOWrapper(io.BytesIO(text), encoding="utf-8", newline="")
    reader, number = csv.reader(lines, delimiter=separator, strict=True), 0
    try:
        for number, record in enumerate(reader, 1):  # noqa: B007
            yield record
    except csv.Error:
        raise Unreadable("quotes that open and close in one cell", row=f"row {number + 1}") from None


def _rows(text: bytes) -> tuple[np.ndarray, int]:
    """Return the row number of each record below the header, and where the first of them starts."""
    marks = np.frombuffer(text, dtype=np.uint8)
    ends = np.flatnonzero(marks == ord("\n"))
    if b'"' in text:
        ends = ends[np.searchsorted(np.flatnonzero(marks == ord('"')), ends) % 2 == 0]  # outside of quotes
    starts = np.concatenate(([0], ends + 1))
    filled = np.flatnonzero(np.append(ends, len(text)) > starts)
    body = int(starts[filled[0] + 1]) if filled[0] + 1 < len(starts) else len(text)
    return filled[1:] + 1, body


def _columns(body: bytes, separator: str, count: int) -> list[pa.ChunkedArray] | None:
    """Return the columns of plain records; None where they must be looked at one by one."""
    if not body.strip(b"\n"):
        return [pa.array([], pa.string())] * count
    names = [str(i) for i in range(count)]
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(body),
            read_options=arrow_csv.ReadOptions(column_names=names, block_size=4 * LONGEST),
            parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=b'"' in body),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
                check_utf8=False,
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowCapacityError):
        return None
    return list(table.columns)


def _well_quoted(body: bytes, separator: str) -> bool:
    """Return whether each quote opens or closes a whole cell, or is doubled inside one."""
    marks = np.frombuffer(body, dtype=np.uint8)
    quotes = np.flatnonzero(marks == ord('"'))
    if len(quotes) % 2:
        return False
    opens, closes = quotes[::2], quotes[1::2]
    if (closes - opens).max() > LONGEST:
        raise Unreadable(f"cells of at most {LONGEST} bytes")
    edges = np.array([ord(separator), ord("\n"), ord('"')], dtype=np.uint8)
    before, after = marks[np.maximum(opens - 1, 0)], marks[np.minimum(closes + 1, len(marks) - 1)]
    return bool(
        (np.isin(before, edges) | (opens == 0)).all() and (np.isin(after, edges) | (closes == len(marks) - 1)).all()
    )


def _strictly(text: bytes, separator: str, count: int) -> tuple[np.ndarray, list[pa.Array]]:
    """Read record by record, to name the rows that are wrong."""
    wrong, found, kept, rows = [], [], [], []
    for number, record in enumerate(_records(text, separator), 1):
        if len(record) not in (0, count):
            wrong.append(number)
            found.append(f"{len(record)} cells")
        elif record and not wrong:
            kept.append(record)
            rows.append(number)
    if wrong:
        value = ", ".join(dict.fromkeys(found[:3]))
        raise Unreadable(f"{count} cells, as in the header", rows_text(wrong, len(wrong)), value)
    columns = zip(*kept[1:], strict=True) if len(kept) > 1 else [()] * count
    return np.array(rows[1:], dtype=np.int64), [
        pa.array([cell or None for cell in one], pa.string()) for one in columns
    ]
