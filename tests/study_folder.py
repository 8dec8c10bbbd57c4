"""A small study of every table, to be written and broken by tests."""

from __future__ import annotations

from pathlib import Path

TOML = """
contract = 1
[study]
name = "Small"
[answers]
"Don't know" = "missing"
[items.fast]
table = "service_ratings"
scale = "responsiveness"
[items.slow]
table = "service_ratings"
scale = "responsiveness"
reversed = true
missing = [99]
[items.engaged]
table = "morale"
scale = "engagement"
minimum = 0
maximum = 10
"""

TABLES = {
    "units": "unit_id,unit_name,parent_unit,kind,site\nit,IT,,internal,01\nhr,HR,it,internal,02\n",
    "people": (
        "person_id,unit_id,associate_type,hired_on,left_on,leave_reason,performance\n"
        "ann,it,employee,2020-01-01,,,4\nbob,hr,,2020-01-01,2026-06-30,voluntary,5\n"
        "cyd,hr,contractor,2026-07-01,,,\n"
    ),
    "service_ratings": (
        "period,customer_unit,provider_unit,person_id,fast,slow,comment\n"
        "2026Q1,it,hr,ann,4,2,fine\n2026Q1,hr,it,bob,5,1,\n2026Q2,it,hr,ann,3,3,\n2026Q2,hr,it,bob,2,4,slow\n"
    ),
    "morale": "period,unit_id,person_id,engaged\n2026Q1,it,ann,10\n2026Q2,hr,bob,5\n",
    "external_ratings": "period,unit_id,score,recommend\n2026Q1,it,4,10\n2026Q2,it,5,0\n",
    "operations": "period,unit_id,output,hours,rework_rate\n2026Q1,it,10,5,0.5\n2026Q2,it,12,5,\n",
    "programmes": (
        "unit_id,programme,started,ended,assigned\nit,training,2026Q1,2026Q2,random\nhr,feedback,2026Q2,,\n"
    ),
    "goals": "provider_unit,target,scale,period\nit,4,,\nit,4.5,responsiveness,2026Q2\n",
    "unit_scores": (
        "period,unit_id,measure,value,n,source\n2025Q4,it,internal,3.5,,staff survey\n2025Q4,it,turnover,0.1,20,\n"
    ),
}


def write(folder: Path, toml: str = TOML, **tables: str | bytes | None) -> Path:
    """Write the small study; a table given as text or bytes replaces its file, None leaves it out."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text(toml, encoding="utf-8")
    for name, text in {**TABLES, **tables}.items():
        if text is not None:
            data = text if isinstance(text, bytes) else text.encode("utf-8")
            (folder / f"{name}.csv").write_bytes(data)
    return folder


def edited(table: str, old: str, new: str) -> dict[str, str]:
    """Return the one table with `old` replaced, once."""
    assert TABLES[table].count(old) >= 1, (table, old)
    return {table: TABLES[table].replace(old, new, 1)}
