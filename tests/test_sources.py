"""Files of every kind to text columns and row numbers."""

import gzip
import hashlib

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from icsat_helpers.problems import Problem, Unreadable
from icsat_helpers.sources import read


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
    assert list(raw.row) == [2, 3, 4]
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
