"""Workbooks (.xlsx, .xlsm, .xlsb, .xls, .ods) to text cells, read in a confined process.

Cells hold the values that the spreadsheet last showed, never formulas; dates come as ISO 8601.
"""

from __future__ import annotations

import datetime
import io
import re
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree

import python_calamine as calamine

from icsat_helpers.confined import MOST_COLUMNS, Cells
from icsat_helpers.problems import Unreadable, rows_text

_CELL = re.compile(rb"<(?:\w+:)?c\b([^>]*?)(?:/>|>(.*?)</(?:\w+:)?c>)", re.DOTALL)
_REFERENCE = re.compile(rb'\br="([A-Z]+)([0-9]+)"')
_VALUE = re.compile(rb"<(?:\w+:)?(?:v|is)\b[^>/]*>[^<]*[^<\s]|<(?:\w+:)?is\b")
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def read(data: bytes, sheet: str = "", table: str = "") -> Cells:
    """Read a sheet: the one named `sheet`, else the only one, else the one with the name of the table.

    Raises
    ------
    Unreadable
        Where there is no such sheet, cells are merged, or a cell holds an error or a formula without a value.
    """
    try:
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        name = _sheet(book, sheet, table)
        grid = book.get_sheet_by_name(name)
        merged = grid.merged_cell_ranges
        _refuse_merged([] if merged is None else merged)
        top, rows = (grid.start or (0, 0))[0], [[as_text(cell) for cell in row] for row in grid.iter_rows()]
    except calamine.PasswordError:
        raise Unreadable("a workbook without a password") from None
    except (calamine.CalamineError, ValueError, OverflowError) as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable("a workbook that a spreadsheet can open") from None
    if data.startswith(b"PK"):
        _refuse_valueless(data, name)
    return _table(rows, [top + number + 1 for number in range(len(rows))])


def _sheet(book: Any, sheet: str, table: str) -> str:
    names = [each.name for each in book.sheets_metadata if each.typ == calamine.SheetTypeEnum.WorkSheet]
    wanted = sheet or (names[0] if len(names) == 1 else table)
    if wanted in names:
        return str(wanted)
    listed = ", ".join(repr(name) for name in names[:10]) or "none"
    raise Unreadable(f"sheet = one of the sheets there are: {listed}", value=repr(sheet) if sheet else "")


def _refuse_merged(ranges: Iterable[tuple[tuple[int, int], tuple[int, int]]]) -> None:
    for (row, column), (last_row, last_column) in sorted(ranges)[:1]:
        place = f"{_letters(column)}{row + 1}:{_letters(last_column)}{last_row + 1}"
        raise Unreadable("one header row and no merged cells", f"row {row + 1}", f"merged cells {place}")


def _letters(column: int) -> str:
    return (_letters(column // 26 - 1) if column >= 26 else "") + chr(ord("A") + column % 26)


def _refuse_valueless(data: bytes, sheet: str) -> None:
    """Refuse cells that show an error and formulas never calculated; both would come as empty cells."""
    bad = []
    for found in _CELL.finditer(_sheet_xml(data, sheet)):
        attributes, inside = found[1], found[2] or b""
        error = b't="e"' in attributes
        if error or (b"f" in inside and b't="str"' not in attributes and _is_uncalculated(inside)):
            place = _REFERENCE.search(attributes)
            bad.append((int(place[2]) if place else 0, place[1].decode() if place else "", error))
    if bad:
        row, column, error = bad[0]
        found_there = "an error" if error else "a formula that was never calculated (open and save it once)"
        rows = sorted({number for number, _, _ in bad})
        raise Unreadable("a value", rows_text(rows, len(rows)), f"{found_there} in {column}{row}")


def _is_uncalculated(inside: bytes) -> bool:
    return re.search(rb"<(?:\w+:)?f\b", inside) is not None and _VALUE.search(inside) is None


def _sheet_xml(data: bytes, sheet: str) -> bytes:
    """Return the XML of a sheet of an .xlsx, or nothing where the file is of another kind."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            sheets = ElementTree.fromstring(book.read("xl/workbook.xml")).iter()
            relation = next(
                each.get(_RELATION) for each in sheets if each.get("name") == sheet and _RELATION in each.attrib
            )
            relations = ElementTree.fromstring(book.read("xl/_rels/workbook.xml.rels"))
            target = next(each.get("Target", "") for each in relations if each.get("Id") == relation)
            return book.read(target.lstrip("/") if target.startswith("/") else f"xl/{target}")
    except (KeyError, StopIteration):  # of another kind, .ods or .xlsb
        return b""
    except (ElementTree.ParseError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        raise Unreadable("a workbook that a spreadsheet can open") from None


def _table(rows: list[list[str | None]], numbers: list[int]) -> Cells:
    there = [(number, row) for number, row in zip(numbers, rows, strict=True) if any(cell is not None for cell in row)]
    if not there:
        raise Unreadable("a header row (the sheet is empty)")
    names = [(cell or "").strip() for cell in there[0][1]]
    if len(names) > MOST_COLUMNS:
        raise Unreadable(f"at most {MOST_COLUMNS} columns")
    columns = [list(column) for column in zip(*(row for _, row in there[1:]), strict=True)] or [[] for _ in names]
    return Cells(names, columns, [number for number, _ in there[1:]])


_TEXTS: dict[Any, str] = {}


def as_text(value: Any) -> str | None:
    """Return a cell's value as the text a CSV file would hold; equal texts are one object.

    Examples
    --------
    >>> as_text(3.0), as_text(datetime.datetime(2026, 3, 31)), as_text("")
    ('3', '2026-03-31', None)
    """
    if value is None:
        return None
    if isinstance(value, datetime.datetime):
        text = value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ")
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        text = str(int(value))
    else:
        text = value if isinstance(value, str) else str(value)
    return _TEXTS.setdefault(text, text) if text else None
