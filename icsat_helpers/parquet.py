"""Parquet files to text cells, read in a confined process: each column's distinct texts, and a code for each row."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from icsat_helpers.confined import MOST_COLUMNS, Cells, limits
from icsat_helpers.problems import Unreadable

BATCH = 2**20
"""Rows that are read at once."""

_LETTERS = 4  # bytes of a text that are looked up at once
_SPARSE = 4  # places in a table for each text to look up there; beyond that it does not pay
_CODE = 4  # bytes of a row that tell codes from text
_EMPTY_CELL = 8  # bytes that a cell takes beside its text, or a number


def read(data: bytes) -> Cells:
    """Read Parquet; numbers, dates and categories become the text a CSV file would hold."""
    most = limits(len(data))[0] * 2**20 // 2  # as much again is needed to type and to sort it
    try:
        file = parquet.ParquetFile(pa.BufferReader(data))
        file = parquet.ParquetFile(pa.BufferReader(data), read_dictionary=_coded(file.metadata))
        schema, rows = file.schema_arrow, file.metadata.num_rows
        parts: list[list[pa.Array]] = [[] for _ in schema]
        if len(schema) <= MOST_COLUMNS and rows * len(schema) * _EMPTY_CELL <= most:
            for columns in _batches(file):
                for part, column in zip(parts, columns, strict=True):
                    part.append(column)
            if any(sum(map(len, part)) != rows for part in parts):
                raise ValueError("not as many rows as it says")
    except (pa.ArrowException, OSError, ValueError):
        raise Unreadable("a Parquet file") from None
    if len(schema) > MOST_COLUMNS:
        raise Unreadable(f"at most {MOST_COLUMNS} columns")
    columns, size = [], rows * len(schema) * _EMPTY_CELL
    for field, part in zip(schema, parts, strict=True):
        try:
            columns.append(_joined(part, field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            name, kind = field.name.strip(), f"type {field.type}"
            raise Unreadable("text, numbers or dates", column=name, value=kind) from None
        part.clear()
        size += _letters(columns[-1], most - size)
        if size > most:
            raise Unreadable(f"a table of at most {most} bytes")
    return Cells([name.strip() for name in schema.names], columns, range(2, rows + 2))


def _batches(file: parquet.ParquetFile) -> Iterator[list[pa.Array]]:
    """Return encoded columns of some rows at a time; one batch is encoded while the next is read."""
    before: list[Future[pa.Array]] = []
    with ThreadPoolExecutor(2) as pool:
        for batch in file.iter_batches(BATCH):
            batch.validate(full=True)  # text that is no UTF-8, for one
            if before:
                yield [future.result() for future in before]
            before = [pool.submit(_encoded, column) for column in batch.columns]
        if before:
            yield [future.result() for future in before]


def _coded(metadata: parquet.FileMetaData) -> list[str]:
    """Return the columns of text that the file itself holds as codes, throughout."""
    if not metadata.num_row_groups:
        return []
    group = metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    return [
        column.path_in_schema
        for column in columns
        if column.physical_type == "BYTE_ARRAY" and column.total_uncompressed_size < _CODE * column.num_values
    ]


def _encoded(column: pa.Array) -> pa.Array:
    """Return a column as codes of its distinct values; one of another type than numbers, text and dates as it is."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _by_letters(column) or column.dictionary_encode()
    try:
        return column if pa.types.is_dictionary(kind) else column.dictionary_encode()
    except pa.ArrowNotImplementedError:
        return column


def _by_letters(texts: pa.Array) -> pa.DictionaryArray | None:
    """Encode short texts some letters at a time: tables of few words fit a processor's cache, one of all ids does not.

    Nothing where that would not pay.
    """
    here = texts.drop_null().cast(pa.large_binary())
    code, words, size = np.zeros(len(here), dtype=np.int64), [], 1
    for start in range(0, pc.max(pc.binary_length(here)).as_py() or 0, _LETTERS):
        part = pc.binary_slice(here, start, start + _LETTERS).dictionary_encode()
        words.append(part.dictionary)
        size *= len(part.dictionary)
        if size > _SPARSE * len(here):
            return None
        code *= len(part.dictionary)
        code += part.indices.to_numpy()
    if len(words) < 2:
        return None
    there = np.zeros(size, dtype=bool)
    there[code] = True
    places = np.unravel_index(np.flatnonzero(there), [len(word) for word in words])
    found = [word.take(pa.array(place)) for word, place in zip(words, places, strict=True)]
    codes = np.full(len(texts), -1, dtype=np.int32)
    codes[texts.is_valid().to_numpy(zero_copy_only=False)] = (np.cumsum(there, dtype=np.int32) - 1)[code]
    return _dictionary(codes, pc.binary_join_element_wise(*found, pa.scalar(b"", here.type)).cast(texts.type))


def _dictionary(codes: np.ndarray, values: pa.Array) -> pa.DictionaryArray:
    """Return codes, of which -1 is an empty cell, and their values as one array."""
    codes = codes.astype(np.min_scalar_type(-max(len(values), 1)), copy=False)
    empty = codes < 0
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=empty if empty.any() else None), values)


def _codes(column: pa.DictionaryArray) -> np.ndarray:
    return column.indices.fill_null(-1).to_numpy() if column.null_count else column.indices.to_numpy()


def _joined(parts: list[pa.Array], kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    """Return the parts of a column as one, in text, its distinct texts in order."""
    if not parts or not pa.types.is_dictionary(parts[0].type):
        return as_text(pa.chunked_array(parts, kind))
    whole = _encoded(pa.concat_arrays([part.dictionary for part in parts]))
    texts = as_text(pa.chunked_array([whole.dictionary])).combine_chunks().dictionary_encode()  # 0.0 and -0.0 are one
    order = pc.sort_indices(texts.dictionary)
    ranks = np.empty(len(order) + 1, dtype=np.min_scalar_type(-max(len(order), 1)))
    ranks[order.to_numpy()] = np.arange(len(order))
    ranks[-1] = -1  # an empty cell
    known = ranks[np.append(_codes(texts), -1)[_codes(whole)]]
    starts = np.cumsum([0, *(len(part.dictionary) for part in parts)])
    codes = [
        np.append(known[start : start + len(part.dictionary)], ranks[-1:])[_codes(part)]
        for start, part in zip(starts, parts, strict=False)
    ]
    return _dictionary(np.concatenate(codes), texts.dictionary.take(order))


def _letters(column: pa.Array | pa.ChunkedArray, enough: int) -> int:
    """Return how many bytes the texts of a column take, each written out; at most so many where that is `enough`."""
    if not isinstance(column, pa.DictionaryArray):
        return int(column.nbytes)
    lengths = np.append(pc.binary_length(column.dictionary).to_numpy().astype(np.int32), 0)
    codes = _codes(column)
    if len(codes) * int(lengths.max()) <= enough:
        return len(codes) * int(lengths.max())
    return sum(int(lengths[codes[at : at + BATCH]].sum(dtype=np.int64)) for at in range(0, len(codes), BATCH))


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as text; whole numbers as such: an id of 1e15 must not come out as '1e+15'."""
    if pa.types.is_floating(column.type):
        column = column.cast(pa.float64())
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, pa.float64()), column)
        if pc.all(pc.equal(pc.floor(column), column)).as_py() and pc.all(pc.less(pc.abs(column), 2.0**53)).as_py():
            column = column.cast(pa.int64())
    text = column.cast(pa.string())
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
