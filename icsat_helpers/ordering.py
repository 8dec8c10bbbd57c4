"""Rows in the order of several columns at once, each column a small number: millions are sorted as plain integers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

BLOCK = 2**16
"""Rows of which some columns fit a processor's cache."""

_WIDEST = 2**63


@dataclass(frozen=True, slots=True)
class Order:
    """The places of rows in their order (n,), rows alike as they stood, and whether each is unlike the one before.

    `rows` is None where they stand in order.
    """

    rows: np.ndarray | None
    new: np.ndarray

    @property
    def first(self) -> np.ndarray:
        """The places of the first of each rows alike."""
        return np.flatnonzero(self.new) if self.rows is None else self.rows[self.new]


def order(columns: Sequence[pd.Categorical | np.ndarray]) -> Order:
    """Return the order of rows by some columns, the first first.

    Parameters
    ----------
    columns
        Integers, or categories in their order; nothing is missing (n,).

    Examples
    --------
    >>> found = order([np.array([2, 1, 2, 1]), pd.Categorical(["b", "a", "a", "a"])])
    >>> found.rows.tolist(), found.new.tolist()
    ([1, 3, 2, 0], [True, False, True, True])
    """
    parts = [_part(column) for column in columns]
    count, bits, width = len(columns[0]), len(columns[0]).bit_length(), 1
    for _, _, size in parts:
        width *= size
    if width > _WIDEST:
        parts = [_narrowed(parts)]
    new = _standing(parts)
    if new is not None:
        return Order(None, new)
    if width << bits <= _WIDEST:
        key = np.empty(count, dtype=np.int64)
        for start in range(0, count, BLOCK):
            here = key[start : start + BLOCK]
            here[:] = _packed(parts, start)
            here <<= bits
            here += np.arange(start, start + len(here))
        key.sort()  # plain integers, several times as fast as to find the order of them
        rows = key & ((1 << bits) - 1)
        key >>= bits
    else:
        key = np.concatenate([_packed(parts, start) for start in range(0, count, BLOCK)])
        rows = np.argsort(key, kind="stable")
        key = key[rows]
    return Order(rows, np.append(True, key[1:] != key[:-1]))


def counted(codes: np.ndarray, size: int) -> np.ndarray:
    """Return how often each code below `size` occurs, and last how often -1 does (size + 1,).

    Examples
    --------
    >>> counted(np.array([0, 2, -1, 2]), 3).tolist()
    [1, 0, 2, 1]
    """
    found = np.zeros(size + 1, dtype=np.int64)
    for start in range(0, len(codes), BLOCK):
        found += np.bincount(codes[start : start + BLOCK] + 1, minlength=size + 1)
    return np.roll(found, -1)


def taken(frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Return some rows of a frame, numbered anew."""
    with ThreadPoolExecutor(2) as pool:
        columns = list(pool.map(lambda name: frame[name].array.take(rows), frame))
    return pd.DataFrame(dict(zip(frame, columns, strict=True)), copy=False)


def _part(column: pd.Categorical | np.ndarray) -> tuple[np.ndarray, int, int]:
    """Return a column as numbers, the least, and how many there may be from there on."""
    if isinstance(column, pd.Categorical):
        return column.codes, 0, max(len(column.categories), 1)
    numbers = np.asarray(column)
    low, high = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    return numbers, low, high - low + 1


def _packed(parts: Sequence[tuple[np.ndarray, int, int]], start: int) -> np.ndarray:
    """Return one integer a row that sorts as the columns do, of the block that starts there."""
    key = np.zeros(min(BLOCK, len(parts[0][0]) - start), dtype=np.int64)
    for numbers, low, size in parts:
        key *= size
        key += numbers[start : start + BLOCK]
        key -= low
    return key


def _standing(parts: Sequence[tuple[np.ndarray, int, int]]) -> np.ndarray | None:
    """Return whether each row is unlike the one before; None where they do not stand in order."""
    new, last = np.ones(len(parts[0][0]), dtype=bool), np.array([-1])
    for start in range(0, len(new), BLOCK):
        key = np.append(last, _packed(parts, start))
        if (key[1:] < key[:-1]).any():
            return None
        new[start : start + BLOCK] = key[1:] != key[:-1]
        last = key[-1:]
    return new


def _narrowed(parts: Sequence[tuple[np.ndarray, int, int]]) -> tuple[np.ndarray, int, int]:
    """Return columns as one that is not too wide: numbered anew with each."""
    whole = parts[0]
    for part in parts[1:]:
        both = np.concatenate([_packed([whole, part], start) for start in range(0, len(part[0]), BLOCK)])
        numbers = np.unique(both, return_inverse=True)[1]
        whole = numbers, 0, int(numbers.max()) + 1
    return whole
