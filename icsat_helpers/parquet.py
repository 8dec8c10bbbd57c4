"""Parquet files to text cells, read in a confined process."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from icsat_helpers.confined import MOST_COLUMNS, Cells
from icsat_helpers.problems import Unreadable


def read(data: bytes) -> Cells:
    """Read Parquet; numbers, dates and categories become the text a CSV file would hold."""
    try:
        table = parquet.read_table(pa.BufferReader(data))
        table.validate(full=True)  # text that is no UTF-8, for one
        table = table.replace_schema_metadata(None)
    except (pa.ArrowException, OSError, ValueError):
        raise Unreadable("a Parquet file") from None
    names, columns = [name.strip() for name in table.column_names], []
    if len(names) > MOST_COLUMNS:
        raise Unreadable(f"at most {MOST_COLUMNS} columns")
    for name, column in zip(names, table.columns, strict=True):
        try:
            columns.append(as_text(column))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise Unreadable("text, numbers or dates", column=name, value=f"type {column.type}") from None
    return Cells(names, columns, range(2, table.num_rows + 2))


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as text; whole numbers as such: an id of 1e15 must not come out as '1e+15'."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
        if pc.all(pc.equal(pc.floor(column), column)).as_py() and pc.all(pc.less(pc.abs(column), 2.0**53)).as_py():
            column = column.cast(pa.int64())
    text = column.cast(pa.string())
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
