"""Files to text columns and row numbers."""

import gzip
import hashlib

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icsat_helpers import sources
from icsat_helpers.sources import Problem, Unreadable, read, read_csv


def table(data: bytes):
    frame, rows = read_csv(data)
    return frame.astype(object).where(frame.notna(), None).to_numpy().tolist(), rows.tolist()


def test_everything_is_text_and_empty_is_missing():
    frame, rows = read_csv(b"id,n,d,e\n01M015,3.0,2026-01-01,\n=1+1,1e5,\xc3\xa9,NA\n")
    assert (frame.dtypes == sources.TEXT).all()
    assert frame.iloc[0].tolist()[:3] == ["01M015", "3.0", "2026-01-01"] and pd.isna(frame.iloc[0, 3])
    assert frame.iloc[1].tolist() == ["=1+1", "1e5", "é", "NA"] and rows.tolist() == [2, 3]


@pytest.mark.parametrize("head", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("last", [True, False])
def test_byte_order_mark_and_line_ends_do_not_matter(head, end, last):
    data = head + end.join([b"a,b", b"1,2", b"3,4"]) + end * last
    assert table(data) == ([["1", "2"], ["3", "4"]], [2, 3])
    assert list(read_csv(data)[0]) == ["a", "b"]


def test_row_numbers_survive_blank_lines_and_line_breaks_in_cells():
    assert table(b'a,b\n1,"x\ny"\n\n3,4\n\n') == ([["1", "x\ny"], ["3", "4"]], [2, 4])
    assert table(b'a,b\n1,"x\n\ny"\n3,4\n') == ([["1", "x\n\ny"], ["3", "4"]], [2, 3])
    assert table(b"\na,b\n1,2\n")[0] == [["1", "2"]]


def test_a_header_alone_is_an_empty_table():
    for data in (b"a,b", b"a,b\n", b"\xef\xbb\xbfa,b\r\n"):
        assert table(data) == ([], [])


@pytest.mark.parametrize(
    ("data", "row", "expected"),
    [
        (b"", "", "the file is empty"),
        (b"\xef\xbb\xbf\n \n", "", "the file is empty"),
        (b"a,b\n1,2\n3\n4,5,6\n", "2 rows, first 3, 4", "2 cells, as in the header"),
        (b"a,b\n1,2\n\n3\n", "row 4", "2 cells, as in the header"),
        (b"a,b\n1,2\n3,Andr\xe9\n", "row 3", "UTF-8 text"),
        (b"a,Andr\xe9\n1,2\n", "row 1", "UTF-8 text"),
        ("a,b\n1,2\n".encode("utf-16"), "row 1", "UTF-8 text"),
        (b'a,b\n1,"2\n3,4\n5,6\n', "row 2", "quotes that open and close in one cell"),
        (b'a,b,c\n1,"good,2\n3,x,4\n5,"bad,6\n', "row 2", "quotes that open and close"),
        (b"a;b\n1;2\n", "row 1", "columns separated by commas"),
        (b"a,b,a\n1,2,3\n", "row 1", "each column name once"),
        (b"a, a\n1,2\n", "row 1", "each column name once"),
    ],
)
def test_what_is_no_table_is_refused_with_its_row(data, row, expected):
    with pytest.raises(Unreadable) as refused:
        read_csv(data)
    assert refused.value.row == row and expected in refused.value.expected


def test_parquet_and_gzip_read_as_the_same_text_as_csv(tmp_path):
    frame = pd.DataFrame(
        {
            "id": [3.0, None, 1e15],
            "n": [1, 2, 3],
            "x": [0.5, float("nan"), 2.0],
            "d": pd.to_datetime(["2026-01-05", None, "2026-02-01"]),
            "c": pd.Categorical(["a", None, "b"]),
            "f": [True, False, True],
        }
    )
    frame.to_parquet(tmp_path / "units.parquet")
    raw = read("units", [tmp_path / "units.parquet"], tmp_path)
    text = raw.frame.astype(object).where(raw.frame.notna(), None)
    assert text["id"].tolist() == ["3", None, "1000000000000000"]
    assert text["x"].tolist() == ["0.5", None, "2"] and text["c"].tolist() == ["a", None, "b"]
    assert text["n"].tolist() == ["1", "2", "3"] and text["d"][0].startswith("2026-01-05")
    assert raw.row.tolist() == [2, 3, 4]
    pq.write_table(pa.table({"x": pa.array([0.5, float("nan")])}), tmp_path / "nan.parquet")
    assert read("units", [tmp_path / "nan.parquet"], tmp_path).frame["x"].isna().tolist() == [False, True]
    (tmp_path / "units.csv.gz").write_bytes(gzip.compress(b"a\n1\n"))
    assert read("units", [tmp_path / "units.csv.gz"], tmp_path).frame["a"].tolist() == ["1"]


@pytest.mark.parametrize("name", ["x.parquet", "x.csv.gz", "x.xlsx", "x.pkl"])
def test_damaged_and_unknown_files_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04 neither\n")
    with pytest.raises(Unreadable):
        read("units", [tmp_path / name], tmp_path)


def test_several_files_are_one_table_and_rows_say_which(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"x,y\n1,2\n")
    (tmp_path / "b.csv").write_bytes(b"x\n3\n4\n")
    raw = read("units", [tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path)
    assert raw.frame["x"].tolist() == ["1", "3", "4"]
    assert str(raw.problem("x", [0, 2], "good", ["1", "4"])) == (
        "units (a.csv), column x, 2 rows, first 2, b.csv 3: found '1', '4', expected good"
    )
    assert raw.sha256 == hashlib.sha256(b"x,y\n1,2\nx\n3\n4\n").hexdigest()


def test_a_problem_is_one_line_and_keeps_private_values_to_itself(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"person_id,x\nann,1\n")
    raw = read("people", [tmp_path / "a.csv"], tmp_path)
    assert "ann" not in str(raw.problem("person_id", [0], "an id", ["ann"]))
    line = str(raw.problem("x\ny", [0], "one line", ["a\nb\u2028c" + "d" * 100]))
    assert len(line.splitlines()) == 1 and len(line) < 200
    assert str(Problem("units", expected="x")) == "units: expected x"
