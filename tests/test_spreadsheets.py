"""Workbooks, SPSS and Parquet, read in a process of their own; bombs, merged cells and errors are refused."""

from __future__ import annotations

import datetime
import io
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pyreadstat
import pytest
from study_folder import TABLES, TOML, write

from icsat_helpers import clean, confined, parquet
from icsat_helpers.problems import Unreadable


def book(*rows, sheet="Sheet", change=lambda sheet: None) -> bytes:
    made = openpyxl.Workbook()
    made.active.title = sheet
    for row in rows:
        made.active.append(row)
    change(made.active)
    stream = io.BytesIO()
    made.save(stream)
    return stream.getvalue()


def swapped(data: bytes, old: bytes, new: bytes, name: str = "xl/worksheets/sheet1.xml") -> bytes:
    """Return a workbook with a part of its XML replaced."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old_book, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new_book:
        for each in old_book.namelist():
            content = old_book.read(each)
            assert each != name or old in content
            new_book.writestr(each, content.replace(old, new) if each == name else content)
    return stream.getvalue()


def cells(data: bytes, **options):
    read = confined.read("spreadsheets", data, **options)
    return [list(row) for row in zip(*read.columns, strict=True)], list(read.rows)


def test_cells_are_the_text_a_csv_would_hold():
    day = datetime.datetime(2026, 3, 31)
    data = book(["a", "b", "c", "d"], [3, 2.5, "01M015", day], [], [True, 1e15, day.replace(hour=9), day.date()])
    assert cells(data) == (
        [
            ["3", "2.5", "01M015", "2026-03-31"],
            ["true", "1000000000000000", "2026-03-31 09:00:00", "2026-03-31"],
        ],
        [2, 4],
    )


def test_a_formula_is_the_value_it_last_showed():
    data = book(["a", "b"], [1, "=1+1"])
    assert cells(swapped(data, b"<v></v>", b"<v>2</v>"))[0] == [["1", "2"]]
    empty = swapped(data, b'<c r="B2"><f>1+1</f><v></v>', b'<c r="B2" t="str"><f>IF(1,"")</f><v></v>')
    assert cells(empty)[0] == [["1", None]]
    with pytest.raises(Unreadable) as refused:
        cells(data)
    assert refused.value.row == "row 2" and "never calculated" in refused.value.value and "B2" in refused.value.value


def test_an_error_in_a_cell_is_refused_not_emptied():
    with pytest.raises(Unreadable) as refused:
        cells(book(["a"], [1], ["#N/A"], ["#DIV/0!"]))
    assert refused.value.row == "2 rows, first 3, 4" and refused.value.value == "an error in A3"


@pytest.mark.parametrize("place", ["A1:B1", "A2:A3", "AB30:AC31"])
def test_merged_cells_are_refused_in_words(place):
    with pytest.raises(Unreadable, match="merged") as refused:
        cells(book(["a", "b"], [1, 2], [3, 4], change=lambda sheet: sheet.merge_cells(place)))
    assert place in refused.value.value


def test_the_sheet_is_the_one_named_the_only_one_or_the_one_of_the_table():
    made = openpyxl.Workbook()
    for name in ("units", "notes"):
        made.create_sheet(name).append([name])
    stream = io.BytesIO()
    made.save(stream)
    read = lambda **options: confined.read("spreadsheets", stream.getvalue(), **options).names  # noqa: E731
    assert read(sheet="notes", table="units") == ["notes"] and read(table="units") == ["units"]
    for options in ({"sheet": "nots"}, {"table": "people"}):
        with pytest.raises(Unreadable, match="'Sheet', 'units', 'notes'"):
            read(**options)
    assert confined.read("spreadsheets", book(["x"], sheet="Any"), table="units").names == ["x"]


def test_an_open_document_is_read():
    head = (
        '<office:document-content xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"><office:body><office:spreadsheet>'
        '<table:table table:name="S">'
    )
    row = "<table:table-row>{}</table:table-row>"
    text = '<table:table-cell office:value-type="string"><text:p>{}</text:p></table:table-cell>'
    number = '<table:table-cell office:value-type="float" office:value="{}"/>'
    date = '<table:table-cell office:value-type="date" office:date-value="2026-03-31"/>'
    rows = row.format(text.format("a") + text.format("b")) + row.format(number.format("3.5") + date)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        end = "</table:table></office:spreadsheet></office:body></office:document-content>"
        made.writestr("content.xml", head + rows + end)
        made.writestr("META-INF/manifest.xml", "<manifest/>")
    assert cells(stream.getvalue())[0] == [["3.5", "2026-03-31"]]


def _zip_bomb() -> bytes:
    data = book(["a"], [1])
    return swapped(data, b"<v>1</v>", b"<v>" + b"1" * 300 * 2**20 + b"</v>")


def _many_cells() -> bytes:
    return swapped(book(["a"], [1]), b'r="A2"', b'r="XFD1048576"')


def _many_strings() -> bytes:
    data = book(["a"], [1])
    return swapped(
        data, b"</row></sheetData>", b"</row>" + b"<row><c><v>1</v></c></row>" * 12_000_000 + b"</sheetData>"
    )


@pytest.mark.parametrize("bomb", [_zip_bomb, _many_cells, _many_strings])
def test_a_bomb_is_refused_in_time_and_leaves_the_caller_alone(bomb, tmp_path):
    write(tmp_path, **{**TABLES, "goals": None})
    (tmp_path / "goals.xlsx").write_bytes(bomb())
    start = time.monotonic()
    found = [str(problem) for problem in clean.check(tmp_path)]
    assert len(found) == 1 and found[0].startswith("goals (goals.xlsx")
    assert time.monotonic() - start < 60  # processor time is what is limited; machines are busy


def test_a_reader_that_crashes_or_hangs_is_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(confined, "ROOT", tmp_path)
    monkeypatch.setattr(confined, "SECONDS", 1)
    package = tmp_path / "icsat_helpers"
    package.mkdir()
    for name in ("confined", "problems", "project"):
        source = (Path(confined.__file__).parent / f"{name}.py").read_text()
        (package / f"{name}.py").write_text(source)
    (package / "__init__.py").write_text("")
    for name, line in {"dies": "os.abort()", "turns": "[0 for _ in iter(int, 1)]", "eats": "bytearray(2**33)"}.items():
        (package / f"{name}.py").write_text(f"import os\ndef read(data):\n    {line}\n")
        with pytest.raises(Unreadable, match="MB of memory"):
            confined.read(name, b"")


def test_spss_labels_are_text_in_text_and_numbers_in_answers(tmp_path):
    frame = pd.DataFrame(
        {"period": ["2026Q1"] * 3, "unit_id": [1, 2, 1], "person_id": list("abc"), "engaged": [10, 9, 99]}
    )
    pyreadstat.write_sav(
        frame, tmp_path / "x.sav", column_labels={"engaged": "How engaged?"}, missing_ranges={"engaged": [99]},
        variable_value_labels={"unit_id": {1: "it", 2: "hr"}, "engaged": {0: "Not at all", 10: "Very", 99: "None"}},
    )  # fmt: skip
    write(tmp_path / "s", morale=None)
    os.replace(tmp_path / "x.sav", tmp_path / "s" / "morale.sav")
    study = clean.load(tmp_path / "s", "2026Q1")
    rows = study.table("morale")[["unit_id", "person_id", "engaged"]]
    assert rows[["unit_id", "person_id"]].to_numpy().tolist() == [["it", "a"], ["hr", "b"], ["it", "c"]]
    assert rows["engaged"].tolist()[:2] == [5, 4.6] and rows["engaged"].isna()[2]
    assert study.words["morale"] == {"engaged": "How engaged?"}


def test_labels_that_contradict_their_codes_are_the_answer(tmp_path):
    write(tmp_path, service_ratings=None)
    frame = pd.read_csv(io.StringIO(TABLES["service_ratings"])).drop(columns="comment")
    turned = {1: "Strongly agree", 2: "Agree", 4: "Disagree", 5: "Strongly disagree"}
    pyreadstat.write_sav(frame, tmp_path / "service_ratings.sav", variable_value_labels={"fast": turned})
    found = [str(problem) for problem in clean.check(tmp_path)]
    assert found == [
        "service_ratings (service_ratings.sav), column fast, row 4: found '3', "
        "expected a known label for each code, for label 'Strongly agree' is not the number of its code"
    ]
    whole = turned | {3: "Neither agree nor disagree"}
    pyreadstat.write_sav(frame, tmp_path / "service_ratings.sav", variable_value_labels={"fast": whole})
    assert clean.load(tmp_path).table("service_ratings")["fast"].tolist() == [2, 1, 3, 4]
    apart = {1: "Strongly disagree", 5: "Don't know"}
    pyreadstat.write_sav(frame, tmp_path / "service_ratings.sav", variable_value_labels={"fast": apart})
    read = clean.load(tmp_path).table("service_ratings")["fast"]
    assert read.isna().tolist() == [False, True, False, False] and read.dropna().tolist() == [4, 3, 2]


def test_parquet_that_unpacks_to_more_than_a_table_is_refused(tmp_path):
    column = pa.array(["x" * 2**20]).dictionary_encode()
    many = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000), column.dictionary)
    pq.write_table(pa.table({"a": many}), tmp_path / "x.parquet")
    data = (tmp_path / "x.parquet").read_bytes()
    with pytest.raises(Unreadable):
        confined.read("parquet", data)


def test_parquet_of_more_rows_than_a_file_of_its_size_should_hold_is_refused(tmp_path):
    pq.write_table(pa.table({"a": np.zeros(100_000_000, dtype=np.int8)}), tmp_path / "x.parquet")
    data = (tmp_path / "x.parquet").read_bytes()
    assert len(data) < 1e6
    with pytest.raises(Unreadable, match="at most"):
        confined.read("parquet", data)


@pytest.mark.parametrize("dictionary", [True, False])
def test_parquet_is_the_same_text_in_whatever_parts_it_is_read(tmp_path, monkeypatch, dictionary):
    ids = [f"P{n * 7919 % 1000:06d}" for n in range(500)]
    columns = {
        "id": [None, "", "P1", *ids],
        "long": ["x" * 40, None, "", *(f"{n}-{n * n}-{n * 31}@example.org" for n in range(500))],
        "whole": [0.0, -0.0, float("nan"), *map(float, range(500))],
        "share": [0.5, None, 1.0, *range(500)],
        "number": [None, 99, 1, *range(500)],
        "day": [None, datetime.date(2026, 3, 31), datetime.date(2026, 1, 1)] + [datetime.date(2025, 1, 1)] * 500,
        "labels": pa.array(["b", None, "a", *"ab" * 250]).dictionary_encode(),
    }
    pq.write_table(pa.table(columns), tmp_path / "x.parquet", use_dictionary=dictionary, row_group_size=200)
    data = (tmp_path / "x.parquet").read_bytes()

    def text(name: str) -> list[str | None]:
        return whole.columns[whole.names.index(name)].to_pylist()

    whole = parquet.read(data)
    assert text("id") == [None, None, "P1", *ids] and text("long")[1:4] == [None, None, "0-0-0@example.org"]
    assert text("whole")[:5] == ["0", "0", None, "0", "1"] and text("share")[:4] == ["0.5", None, "1", "0"]
    assert text("number")[:3] == [None, "99", "1"] and text("day")[:2] == [None, "2026-03-31"]
    assert text("labels")[:3] == ["b", None, "a"]
    assert all(column.dictionary.to_pylist() == sorted(set(column.dictionary.to_pylist())) for column in whole.columns)
    monkeypatch.setattr(parquet, "BATCH", 77)
    assert [column.to_pylist() for column in parquet.read(data).columns] == [
        column.to_pylist() for column in whole.columns
    ]


def test_a_large_file_may_need_more_than_a_small_one():
    assert confined.limits(0) == (1500, 4) and confined.limits(10**8) == (2300, 104)


def test_damaged_files_of_every_kind_are_refused_in_one_line(tmp_path):
    for kind in (".xlsx", ".xls", ".ods", ".sav", ".zsav", ".parquet"):
        for data in (b"", b"PK\3\4", b"$FL2@(#) SPSS", b"PAR1PAR1", bytes(range(256)) * 9):
            write(tmp_path / kind, **{**TABLES, "goals": None})
            (tmp_path / kind / f"goals{kind}").write_bytes(data)
            found = [str(problem) for problem in clean.check(tmp_path / kind)]
            assert len(found) == 1 and found[0].startswith(f"goals (goals{kind}"), (kind, data[:9], found)


def test_a_sheet_is_for_workbooks(tmp_path):
    write(tmp_path, TOML + '[tables.goals]\nsource = "goals.csv"\nsheet = "x"\n')
    assert "no sheet, which only a workbook has" in str(clean.check(tmp_path)[0])
