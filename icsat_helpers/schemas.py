"""The tables of the contract: the one statement of columns, types, ranges and keys.

A column's kind says how its text is read (id, unit, text, period, number, date); the kind ``unit`` is an id that must
be in `units`. `Table.unique` holds the keys whose duplicates are refused, `MERGED_ON` those whose duplicates cleaning
settles. What reads a study makes pandera's schemas of it; who only takes the clean tables does without pandera.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from icsat_helpers.sources import TEXT

DTYPES = {"id": TEXT, "unit": TEXT, "text": TEXT, "period": TEXT, "number": "float64", "date": "datetime64[us]"}
"""The pandas type that columns of each kind have in a study."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold of each value: a check of pandera's, what it is given, and what it expects in words."""

    check: str
    given: tuple[Any, ...]
    expected: str


@dataclass(frozen=True, slots=True)
class RowRule:
    """What must hold of each row of a table, the column that is blamed, and what is expected of it in words."""

    holds: Callable[[pd.DataFrame], pd.Series]
    column: str
    expected: str


@dataclass(frozen=True, slots=True)
class Column:
    """How the text of a column is read, whether each row must have it, and what must hold of it."""

    kind: str
    needed: bool
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a table by name; what each row has alone, if anything; what must hold of each row."""

    columns: dict[str, Column]
    unique: tuple[str, ...]
    rules: tuple[RowRule, ...]


def _table(columns: dict[str, Any], unique: tuple[str, ...] = (), *rules: RowRule) -> Table:
    """Return a table from kinds, or pairs of kind and rule, by column; a ``*`` marks what each row must have."""
    made = {}
    for name, given in columns.items():
        kind, rule = given if isinstance(given, tuple) else (given, None)
        made[name.strip("*")] = Column(kind, name.endswith("*"), rule)
    return Table(made, unique, rules)


def _one_of(*allowed: str) -> tuple[str, Rule]:
    return "text", Rule("isin", (allowed,), ", ".join(allowed[:-1]) + f" or {allowed[-1]}")


def between(low: float, high: float) -> tuple[str, Rule]:
    """Return the kind and rule of a number on a scale."""
    return "number", Rule("in_range", (low, high), f"a number from {low:g} to {high:g}")


def _not_before(first: str, last: str, expected: str) -> RowRule:
    # Labels of one frequency sort as their periods do.
    def in_order(table: pd.DataFrame) -> pd.Series:
        if not {first, last} <= set(table):
            return pd.Series(True, index=table.index)
        return table[[first, last]].isna().any(axis=1) | (table[last] >= table[first])

    return RowRule(in_order, last, expected)


def _shares_fit(scores: pd.DataFrame) -> pd.Series:
    if not {"measure", "value"} <= set(scores):
        return pd.Series(True, index=scores.index)
    share = scores["measure"].isin(("turnover", "intent_to_leave"))
    return ~share | scores["value"].isna() | scores["value"].between(0, 1)


_POSITIVE = ("number", Rule("ge", (0,), "a number of 0 or more"))
_MEASURE = Rule(
    "str_matches",
    (r"^(internal(\..+)?|morale|external|turnover|intent_to_leave|productivity)$",),
    "internal, internal.<scale>, morale, external, turnover, intent_to_leave or productivity",
)
_ANSWER = {"person_id": "id", "answered_at": "date"}
_UNIT_PERIOD = {"period*": "period", "unit_id*": "unit"}

TABLES: dict[str, Table] = {
    "units": _table(
        {
            "unit_id*": "id",
            "unit_name": "text",
            "parent_unit": "unit",
            "kind": _one_of("internal", "supplier", "contractor", "distributor"),
            "site": "id",
        },
        ("unit_id",),
    ),
    "people": _table(
        {
            "person_id*": "id",
            "unit_id*": "unit",
            "associate_type": _one_of("employee", "contractor", "supplier", "distributor"),
            "hired_on": "date",
            "left_on": "date",
            "leave_reason": _one_of("voluntary", "involuntary", "other"),
            "performance": between(1, 5),
            "language": "text",
        },
        ("person_id",),
        _not_before("hired_on", "left_on", "a day not before hired_on"),
    ),
    "service_ratings": _table(
        {"period*": "period", "customer_unit*": "unit", "provider_unit*": "unit"}
        | {"person_id": "id", "comment": "text", "language": "text", "answered_at": "date"}
    ),
    "morale": _table(_UNIT_PERIOD | _ANSWER),
    "external_ratings": _table(_UNIT_PERIOD | {"score*": "number", "recommend": between(0, 10)}),
    "operations": _table(
        _UNIT_PERIOD
        | {"output": "number", "hours": _POSITIVE, "requests": _POSITIVE}
        | {"first_response_hours": _POSITIVE, "rework_rate": between(0, 1)},
        ("period", "unit_id"),
    ),
    "programmes": _table(
        {"unit_id*": "unit", "programme*": "id", "started*": "period", "ended": "period"}
        | {"assigned": ("text", Rule("isin", (("random",),), "random or nothing"))},
        ("unit_id", "programme", "started"),
        _not_before("started", "ended", "a period not before started"),
    ),
    "goals": _table(
        {"provider_unit*": "unit", "target*": "number", "scale": "text", "period": "period"},
        ("provider_unit", "scale", "period"),
    ),
    "unit_scores": _table(
        _UNIT_PERIOD | {"measure*": ("text", _MEASURE), "value*": "number", "n": _POSITIVE, "source": "text"},
        ("period", "unit_id", "measure"),
        RowRule(_shares_fit, "value", "a share from 0 to 1 for turnover and intent_to_leave"),
    ),
}
"""Each table; columns that are not named here pass through untouched."""

MERGED_ON = {
    "service_ratings": ["period", "person_id", "customer_unit", "provider_unit"],
    "morale": ["period", "person_id", "unit_id"],
}
"""The columns that tell one answer from its duplicate, where cleaning settles duplicates."""

ADDED: dict[str, dict[str, str]] = {
    "service_ratings": {"t": "int64", "linked": "bool"},
    "morale": {"t": "int64", "linked": "bool"},
    "external_ratings": {"t": "int64"},
    "operations": {"t": "int64"},
    "unit_scores": {"t": "int64"},
    "goals": {"t": "Int64"},
    "programmes": {"started_t": "int64", "ended_t": "Int64"},
}
"""The columns that cleaning adds to a table; a file may not have columns of these names."""


def kinds(table: str) -> dict[str, str]:
    """Return how the text of each column of `table` is read.

    Examples
    --------
    >>> kinds("goals")["target"]
    'number'
    """
    return {name: column.kind for name, column in TABLES[table].columns.items()}


def required(table: str) -> list[str]:
    """Return the columns that each row of `table` must have."""
    return [name for name, column in TABLES[table].columns.items() if column.needed]
