"""The tables of the contract as pandera schemas: the one statement of columns, types, ranges and keys.

A column's ``metadata["kind"]`` says how its text is read (id, unit, text, period, number, date); the kind
``unit`` is an id that must be in `units`. ``unique`` holds the keys whose duplicates are refused,
``metadata["merge"]`` of a schema those whose duplicates cleaning settles.
"""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa

from icsat_helpers.sources import TEXT

DTYPES = {"id": str, "unit": str, "text": str, "period": str, "number": float, "date": "datetime64[us]"}


def _column(kind: str, check: pa.Check | None = None, required: bool = False) -> pa.Column:
    return pa.Column(DTYPES[kind], check, nullable=not required, required=required, metadata={"kind": kind})


def _one_of(*allowed: str) -> pa.Check:
    return pa.Check.isin(
        allowed,
        error=" or ".join((", ".join(allowed[:-1]), allowed[-1])) if allowed[1:] else f"{allowed[0]} or nothing",
    )


def _between(low: float, high: float) -> pa.Check:
    return pa.Check.in_range(low, high, error=f"a number from {low:g} to {high:g}")


_POSITIVE = pa.Check.ge(0, error="a number of 0 or more")
_SHARES = ("turnover", "intent_to_leave")
_MEASURE = pa.Check.str_matches(
    r"^(internal(\..+)?|morale|external|turnover|intent_to_leave|productivity)$",
    error="internal, internal.<scale>, morale, external, turnover, intent_to_leave or productivity",
)


def _shares_fit(scores: pd.DataFrame) -> pd.Series:
    return ~scores["measure"].isin(_SHARES) | scores["value"].isna() | scores["value"].between(0, 1)


def _left_after_hired(people: pd.DataFrame) -> pd.Series:
    if not {"hired_on", "left_on"} <= set(people):
        return pd.Series(True, index=people.index)
    return ~(people["left_on"] < people["hired_on"])


def _ended_after_started(programmes: pd.DataFrame) -> pd.Series:
    # Labels of one frequency sort as their periods do.
    if not {"started", "ended"} <= set(programmes):
        return pd.Series(True, index=programmes.index)
    both = programmes["started"].notna() & programmes["ended"].notna()
    return ~(both & (programmes["ended"].fillna("") < programmes["started"].fillna("")))


TABLES: dict[str, pa.DataFrameSchema] = {
    "units": pa.DataFrameSchema(
        {
            "unit_id": _column("id", required=True),
            "unit_name": _column("text"),
            "parent_unit": _column("unit"),
            "kind": _column("text", _one_of("internal", "supplier", "contractor", "distributor")),
            "site": _column("id"),
        },
        unique=["unit_id"],
    ),
    "people": pa.DataFrameSchema(
        {
            "person_id": _column("id", required=True),
            "unit_id": _column("unit", required=True),
            "associate_type": _column("text", _one_of("employee", "contractor", "supplier", "distributor")),
            "hired_on": _column("date"),
            "left_on": _column("date"),
            "leave_reason": _column("text", _one_of("voluntary", "involuntary", "other")),
            "performance": _column("number", _between(1, 5)),
            "language": _column("text"),
        },
        unique=["person_id"],
        checks=pa.Check(_left_after_hired, name="left_on", error="a day not before hired_on"),
    ),
    "service_ratings": pa.DataFrameSchema(
        {
            "period": _column("period", required=True),
            "customer_unit": _column("unit", required=True),
            "provider_unit": _column("unit", required=True),
            "person_id": _column("id"),
            "comment": _column("text"),
            "language": _column("text"),
            "answered_at": _column("date"),
        },
        metadata={"merge": ["period", "person_id", "customer_unit", "provider_unit"]},
    ),
    "morale": pa.DataFrameSchema(
        {
            "period": _column("period", required=True),
            "unit_id": _column("unit", required=True),
            "person_id": _column("id"),
            "answered_at": _column("date"),
        },
        metadata={"merge": ["period", "person_id", "unit_id"]},
    ),
    "external_ratings": pa.DataFrameSchema(
        {
            "period": _column("period", required=True),
            "unit_id": _column("unit", required=True),
            "score": _column("number", required=True),
            "recommend": _column("number", _between(0, 10)),
        }
    ),
    "operations": pa.DataFrameSchema(
        {
            "period": _column("period", required=True),
            "unit_id": _column("unit", required=True),
            "output": _column("number"),
            "hours": _column("number", _POSITIVE),
            "requests": _column("number", _POSITIVE),
            "first_response_hours": _column("number", _POSITIVE),
            "rework_rate": _column("number", _between(0, 1)),
        },
        unique=["period", "unit_id"],
    ),
    "programmes": pa.DataFrameSchema(
        {
            "unit_id": _column("unit", required=True),
            "programme": _column("id", required=True),
            "started": _column("period", required=True),
            "ended": _column("period"),
            "assigned": _column("text", _one_of("random")),
        },
        unique=["unit_id", "programme", "started"],
        checks=pa.Check(_ended_after_started, name="ended", error="a period not before started"),
    ),
    "goals": pa.DataFrameSchema(
        {
            "provider_unit": _column("unit", required=True),
            "target": _column("number", required=True),
            "scale": _column("text"),
            "period": _column("period"),
        },
        unique=["provider_unit", "scale", "period"],
    ),
    "unit_scores": pa.DataFrameSchema(
        {
            "period": _column("period", required=True),
            "unit_id": _column("unit", required=True),
            "measure": _column("text", _MEASURE, required=True),
            "value": _column("number", required=True),
            "n": _column("number", _POSITIVE),
            "source": _column("text"),
        },
        unique=["period", "unit_id", "measure"],
        checks=pa.Check(_shares_fit, name="value", error="a share from 0 to 1 for turnover and intent_to_leave"),
    ),
}
"""The schema of each table; columns that are not named here pass through untouched."""


ADDED: dict[str, dict[str, object]] = {
    "service_ratings": {"t": "int64", "linked": "bool"},
    "morale": {"t": "int64", "linked": "bool"},
    "external_ratings": {"t": "int64"},
    "operations": {"t": "int64"},
    "unit_scores": {"t": "int64"},
    "goals": {"t": "Int64"},
    "programmes": {"started_t": "int64", "ended_t": "Int64"},
}
"""The columns that cleaning adds to a table; a file may not have columns of these names."""


def schema_of(table: str, present: list[str], scale: tuple[float, float]) -> pa.DataFrameSchema:
    """Return the schema of `table` for the columns that are there; targets lie on the answer `scale`."""
    schema = TABLES[table]
    if table == "goals":
        schema = schema.update_column("target", checks=_between(*scale))
    absent = [name for name in schema.columns if name not in present]
    keys, needed = (
        list(schema.unique or ()),
        {name for name, column in schema.columns.items() if column.required},
    )
    if needed & set(absent):
        schema = schema.remove_columns(absent)
        schema.checks, schema.unique = [], None
        return schema
    # An optional key column that is absent is the same (empty) on every row.
    schema = schema.remove_columns(absent)
    schema.unique = [name for name in keys if name in present] or None
    return schema


def kinds(table: str) -> dict[str, str]:
    """Return how the text of each column of `table` is read.

    Examples
    --------
    >>> kinds("goals")["target"]
    'number'
    """
    return {str(name): (column.metadata or {})["kind"] for name, column in TABLES[table].columns.items()}


def required(table: str) -> list[str]:
    """Return the columns that each row of `table` must have."""
    return [str(name) for name, column in TABLES[table].columns.items() if column.required]


def merged_on(table: str) -> list[str]:
    """Return the columns that tell one answer from its duplicate, where cleaning settles duplicates."""
    return list((TABLES[table].metadata or {}).get("merge", ()))


def dtype_of(kind: str) -> object:
    """Return the pandas type that columns of a kind have in a study."""
    return TEXT if DTYPES[kind] is str else DTYPES[kind]
