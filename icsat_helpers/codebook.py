"""The codebook of a study: every table, column, item wording, range and missing share; never a person's value."""

from __future__ import annotations

from typing import Any

import pandas as pd

from icsat_helpers import listing, publish
from icsat_helpers.schemas import ADDED, TABLES, kinds, required
from icsat_helpers.settings import Item
from icsat_helpers.study import Study

_KINDS = {
    "id": "text",
    "unit": "unit_id of units",
    "text": "text",
    "period": "period",
    "number": "number",
    "date": "date",
}
_NO_CODE = "<style>.switch, .switch-label { display: none; }</style>"


def page(study: Study) -> str:
    """Return the codebook as one self-contained HTML page.

    Ranges are those a column may have, periods those it has; nothing is said of columns with fewer rows than the
    smallest group that may be published.
    """
    parts = [f"{_NO_CODE}<p>Up to {study.period}. Answers are brought to {_range(study.settings)}.</p>"]
    for table in [name for name in TABLES if study.has(name)]:
        rows = [_column(study, table, name) for name in study.table(table) if name not in ADDED.get(table, {})]
        told = f"{len(study.table(table))} rows" if _enough(study, table) else "too few rows to describe"
        shown = listing.listing(rows, ("column", "what it is", "may be", "missing"))
        parts += [f"<h2>{table}</h2><p>{told}.</p>", shown.html]
    body = publish.Page("codebook", f"Codebook: {study.settings.name}", "".join(parts))
    return publish.document([body], title=body.title, subtitle=study.period, language="en")


def _enough(study: Study, table: str) -> bool:
    frame = study.table(table)
    people = frame["person_id"].nunique() if "person_id" in frame else len(frame)
    return people >= study.settings.minimum_group


def _column(study: Study, table: str, name: str) -> tuple[str, str, str, str]:
    values, item = study.table(table)[name], study.settings.items.get(name)
    missing = f"{100 * values.isna().mean():.1f}%" if _enough(study, table) else ""
    if item is not None and item.table == table:
        words = " / ".join(item.text.values()) or study.words.get(table, {}).get(name, "an item")
        turned = "; turned, for it is worded the other way" if item.reversed else ""
        return name, f"{words} (scale {item.scale}{turned})", _range(item), missing
    kind = _KINDS.get(kinds(table).get(name, ""), "not used, passed through as it is")
    return (
        name,
        kind + (", needed in each row" if name in required(table) else ""),
        _allowed(table, name, values),
        missing,
    )


def _range(scale: Item | Any) -> str:
    return f"{scale.minimum:g} to {scale.maximum:g}, favourable from {scale.favourable:g}"


def _allowed(table: str, name: str, values: pd.Series) -> str:
    if name == "period" and values.notna().any():
        return f"{values.min()} to {values.max()}"
    rule = TABLES[table].columns[name].rule if name in kinds(table) else None
    return rule.expected if rule else ""
