"""Two disjoint halves of a unit's people, so that one can correct the other's noise (Gillen, Snowberg & Yariv 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

SPLITS = 10
AT_ONCE = 1_000_000  # answers that are fitted together, those of each split counted


def halves_of(names: pd.Series, groups: pd.Series, splits: int = SPLITS) -> np.ndarray:
    """Assign names to halves at random, as evenly as can be within each group, whatever the order of rows.

    Returns
    -------
    ndarray of bool, splits x len(names)
        True for the second half. A name stands in one half throughout.
    """
    first = pd.DataFrame({"name": names.to_numpy(), "group": groups.to_numpy()}).sort_values(["name", "group"])
    unique = first.drop_duplicates("name").reset_index(drop=True)
    code = pd.util.hash_array(unique["name"].to_numpy(dtype=object))
    place = pd.Index(unique["name"]).get_indexer(names)
    group = pd.factorize(unique["group"], sort=True)[0]
    result = np.empty((splits, len(names)), dtype=bool)
    for s in range(splits):
        order = np.lexsort((_mixed(code, s), group))
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        start = np.full(group.max(initial=0) + 1, len(order), dtype=np.int64)
        np.minimum.at(start, group, rank)
        coin = _mixed(pd.util.hash_array(np.arange(len(start), dtype=np.uint64)), s) & np.uint64(1)
        result[s] = (((rank - start[group]) % 2) ^ coin[group].astype(np.int64)).astype(bool)[place]
    return result


def _mixed(code: np.ndarray, seed: int) -> np.ndarray:
    """Splitmix64 of a hash: ten independent-looking orders from one hash of the names."""
    z = code.astype(np.uint64) + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def joint_halves(tables: Sequence[pd.DataFrame], splits: int = SPLITS, net: bool = True) -> list[pd.DataFrame]:
    """`split_half_means` of several measures, each person in the same half of all of them.

    What one half says of one measure and the other half of another is then free of the moods that a person
    brings to both.
    """
    everyone = pd.concat([table[["person", "unit"]] for table in tables], ignore_index=True)
    return [split_half_means(table, splits, net, everyone) for table in tables]


def split_half_means(
    answers: pd.DataFrame, splits: int = SPLITS, net: bool = True, everyone: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Unit-period scores of two disjoint halves of the people, net of who answered.

    Halves are of people, the same in every period: a fresh split each period would make the halves' errors
    negatively correlated in a finite unit. In each half, answers are taken apart into a person and a unit-period
    effect within connected components; a level means nothing across components, so they are blocks.

    Parameters
    ----------
    answers : DataFrame
        unit, t, person, linked, score.
    splits : int
    net : bool
        False: plain means (as where persons cannot be linked over time).
    everyone : DataFrame, optional
        unit, person: who is dealt out, so that several measures have the same halves of people; those of `answers`
        where not given.

    Returns
    -------
    DataFrame
        split, unit, t, block (int; a fixed effect of the unit, finer where components differ), half_a, half_b, n.
    """
    net = net and bool(answers["linked"].mean() > 0.5) and _linkable(answers[answers["linked"]])
    n = answers.groupby(["unit", "t"]).size().rename("n").reset_index()
    kept = np.ones(len(answers), dtype=bool)
    if net:
        kept = (answers["linked"] & (answers.groupby("person")["score"].transform("size") > 1)).to_numpy(dtype=bool)
    rows = answers[kept]
    halves = halves_of(rows["person"], rows["unit"], splits) if everyone is None else _dealt(everyone, rows, splits)
    cells, cell_rows = _factorize(rows, ["unit", "t"])
    person = pd.factorize(rows["person"])[0]
    score = rows["score"].to_numpy(dtype=float)
    values, component = np.empty((splits, 2, len(cells))), np.empty((splits, 2, len(cells)), dtype=np.int64)
    several = max(1, AT_ONCE // max(1, len(rows)))
    for s in range(0, splits, several):  # all halves of several splits in one fit: they share nothing
        half = 2 * np.arange(len(halves[s : s + several]))[:, None] + halves[s : s + several]
        found = cell_scores(
            (half * len(cells) + cell_rows).ravel(), (half * len(rows) + person).ravel(),
            np.tile(score, len(half)), 2 * len(half) * len(cells), net,
        )  # fmt: skip
        values[s : s + several], component[s : s + several] = (x.reshape(len(half), 2, -1) for x in found)
    split, cell = np.nonzero(np.isfinite(values).all(axis=1))
    unit = pd.factorize(cells["unit"], sort=True)[0][cell]
    order = np.lexsort((component[split, 1, cell], component[split, 0, cell], unit, split))
    keys = np.column_stack([split, unit, component[split, 0, cell], component[split, 1, cell]])[order]
    block = np.empty(len(order), dtype=np.int64)
    block[order] = np.cumsum(np.append(False, (keys[1:] != keys[:-1]).any(axis=1))[: len(order)])
    found = cells.merge(n, on=["unit", "t"]).iloc[cell].reset_index(drop=True)
    means = {"half_a": values[split, 0, cell], "half_b": values[split, 1, cell]}
    return found.assign(split=split, block=block, **means)[["split", "unit", "t", "block", "half_a", "half_b", "n"]]


def _dealt(everyone: pd.DataFrame, rows: pd.DataFrame, splits: int) -> np.ndarray:
    """Halves of the persons of `rows`, as `everyone` was dealt out."""
    once = ~everyone["person"].duplicated().to_numpy()
    dealt = halves_of(everyone["person"], everyone["unit"], splits)[:, once]
    return np.asarray(dealt[:, pd.Index(everyone["person"][once]).get_indexer(rows["person"])])


def _linkable(answers: pd.DataFrame) -> bool:
    """Whether persons answer often enough for person effects: half of the answers from people with two or more."""
    return bool((answers.groupby("person")["score"].transform("size") > 1).mean() >= 0.5)


def _factorize(frame: pd.DataFrame, keys: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    code = frame.groupby(keys, sort=True).ngroup().to_numpy()
    return frame[keys].drop_duplicates().sort_values(keys, ignore_index=True), code


def cell_scores(
    cell: np.ndarray, person: np.ndarray, score: np.ndarray, cells: int, net: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Effect of each cell (NaN without answers) and its connected component, one least-squares fit."""
    count = np.bincount(cell, minlength=cells)
    mean = np.bincount(cell, score, cells) / np.where(count > 0, count, np.nan)
    if not net:
        return mean, np.zeros(cells, dtype=int)
    _, person = np.unique(person, return_inverse=True)
    links = sparse.csr_matrix((np.ones(len(cell)), (person, cell)), shape=(person.max(initial=-1) + 1, cells))
    each = np.asarray(links.sum(axis=1)).ravel()
    scaled = sparse.diags_array(1 / each) @ links
    laplacian = sparse.diags_array(count.astype(float)) - links.T @ scaled
    right = np.bincount(cell, score, cells) - scaled.T @ np.bincount(person, score)
    _, component = connected_components(laplacian, directed=False)
    anchor = np.zeros(cells)
    anchor[np.unique(component, return_index=True)[1]] = 1.0  # one cell a component is held at zero
    solved = splu((laplacian + sparse.diags_array(anchor)).tocsc()).solve(right)
    shift = np.bincount(component, count * np.nan_to_num(mean - solved)) / np.maximum(np.bincount(component, count), 1)
    return np.where(count > 0, solved + shift[component], np.nan), component


def answer_halves(answers: pd.DataFrame, splits: int = SPLITS) -> pd.DataFrame:
    """Unit-period means of two random halves of answers that belong to nobody, such as external customers'.

    Parameters
    ----------
    answers : DataFrame
        unit, t, score. Answers are dealt out after sorting, so that the order of rows does not matter.

    Returns
    -------
    DataFrame
        split, unit, t, half_a, half_b, n.
    """
    rows = answers.sort_values(["unit", "t", "score"], ignore_index=True)
    cells, code = _factorize(rows, ["unit", "t"])
    score = rows["score"].to_numpy(dtype=float)
    size = np.bincount(code, minlength=len(cells))
    parts = []
    for s in range(splits):
        second = np.random.default_rng(s).random(len(rows)) < 0.5
        values = []
        for mine in (~second, second):
            count = np.bincount(code[mine], minlength=len(cells))
            values.append(np.bincount(code[mine], score[mine], len(cells)) / np.where(count > 0, count, np.nan))
        parts.append(cells.assign(split=s, half_a=values[0], half_b=values[1], n=size.astype(float)))
    return pd.concat(parts, ignore_index=True).dropna(subset=["half_a", "half_b"])
