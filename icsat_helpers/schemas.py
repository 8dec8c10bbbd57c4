"""The tables of the contract as pandera schemas: the one statement of columns, types, ranges and keys.

A column's ``metadata["kind"]`` says how its text is read (id, unit, text, period, number, date); the kind
``unit`` is an id that must be in `units`. ``unique`` holds the keys whose duplicates are refused,
`MERGED_ON` those whose duplicates cleaning settles.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pandera.pandas as pa

from icsat_helpers.sources import TEXT

DTYPES = {"id": TEXT, "unit": TEXT, "text": TEXT, "period": TEXT, "number": "float64", "date": "datetime64[us]"}
"""The pandas type that columns of each kind have in a study."""


def _schema(columns: dict[str, Any], unique: list[str] | None = None, *checks: pa.Check) -> pa.DataFrameSchema:
    """Return a schema from kinds, or pairs of kind and check, by column; a ``*`` marks what each row must have."""
    made = {}
    for name, given in columns.items():
        kind, check = given if isinstance(given, tuple) else (given, None)
        dtype, needed = str if DTYPES[kind] is TEXT else DTYPES[kind], name.endswith("*")
        made[name.strip("*")] = pa.Column(dtype, check, nullable=not needed, required=needed, metadata={"kind": kind})
    return pa.DataFrameSchema(made, unique=unique, checks=list(checks))


def _one_of(*allowed: str) -> tuple[str, pa.Check]:
    return "text", pa.Check.isin(allowed, error=", ".join(allowed[:-1]) + f" or {allowed[-1]}")


def between(low: float, high: float) -> tuple[str, pa.Check]:
    """Return the kind and check of a number on a scale."""
    return "number", pa.Check.in_range(low, high, error=f"a number from {low:g} to {high:g}")


def _not_before(first: str, last: str, error: str) -> pa.Check:
    # Labels of one frequency sort as their periods do.
    def in_order(table: pd.DataFrame) -> pd.Series:
        if not {first, last} <= set(table):
            return pd.Series(True, index=table.index)
        return table[[first, last]].isna().any(axis=1) | (table[last] >= table[first])

    return pa.Check(in_order, name=last, error=error)


def _shares_fit(scores: pd.DataFrame) -> pd.Series:
    if not {"measure", "value"} <= set(scores):
        return pd.Series(True, index=scores.index)
    share = scores["measure"].isin(("turnover", "intent_to_leave"))
    return ~share | scores["value"].isna() | scores["value"].between(0, 1)


_POSITIVE = ("number", pa.Check.ge(0, error="a number of 0 or more"))
_MEASURE = pa.Check.str_matches(
    r"^(internal(\..+)?|morale|external|turnover|intent_to_leave|productivity)$",
    error="internal, internal.<scale>, morale, external, turnover, intent_to_leave or productivity",
)
_ANSWER = {"person_id": "id", "answered_at": "date"}
_UNIT_PERIOD = {"period*": "period", "unit_id*": "unit"}

TABLES: dict[str, pa.DataFrameSchema] = {
    "units": _schema(
        {
            "unit_id*": "id",
            "unit_name": "text",
            "parent_unit": "unit",
            "kind": _one_of("internal", "supplier", "contractor", "distributor"),
            "site": "id",
        },
        ["unit_id"],
    ),
    "people": _schema(
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
        ["person_id"],
        _not_before("hired_on", "left_on", "a day not before hired_on"),
    ),
    "service_ratings": _schema(
        {"period*": "period", "customer_unit*": "unit", "provider_unit*": "unit"}
        | {"person_id": "id", "comment": "text", "language": "text", "answered_at": "date"}
    ),
    "morale": _schema(_UNIT_PERIOD | _ANSWER),
    "external_ratings": _schema(_UNIT_PERIOD | {"score*": "number", "recommend": between(0, 10)}),
    "operations": _schema(
        _UNIT_PERIOD
        | {"output": "number", "hours": _POSITIVE, "requests": _POSITIVE}
        | {"first_response_hours": _POSITIVE, "rework_rate": between(0, 1)},
        ["period", "unit_id"],
    ),
    "programmes": _schema(
        {"unit_id*": "unit", "programme*": "id", "started*": "period", "ended": "period"}
        | {"assigned": ("text", pa.Check.isin(["random"], error="random or nothing"))},
        ["unit_id", "programme", "started"],
        _not_before("started", "ended", "a period not before started"),
    ),
    "goals": _schema(
        {"provider_unit*": "unit", "target*": "number", "scale": "text", "period": "period"},
        ["provider_unit", "scale", "period"],
    ),
    "unit_scores": _schema(
        _UNIT_PERIOD | {"measure*": ("text", _MEASURE), "value*": "number", "n": _POSITIVE, "source": "text"},
        ["period", "unit_id", "measure"],
        pa.Check(_shares_fit, name="value", error="a share from 0 to 1 for turnover and intent_to_leave"),
    ),
}
"""The schema of each table; columns that are not named here pass through untouched."""

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
    return {str(name): column.metadata["kind"] for name, column in TABLES[table].columns.items()}


def required(table: str) -> list[str]:
    """Return the columns that each row of `table` must have."""
    return [str(name) for name, column in TABLES[table].columns.items() if column.required]
