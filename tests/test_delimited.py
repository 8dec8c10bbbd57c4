"""Delimited text to text columns and row numbers: encodings, separators, quotes, and what is refused."""

import gzip

import numpy as np
import pytest

from icsat_helpers import delimited
from icsat_helpers.clean import check, load
from icsat_helpers.columns import decimal_mark
from icsat_helpers.problems import Unreadable


def table(data: bytes):
    cells = delimited.read(data)
    columns = [column.to_pylist() for column in cells.columns]
    return [list(row) for row in zip(*columns, strict=True)], np.asarray(cells.rows).tolist()


def test_everything_is_text_and_empty_is_missing():
    read, rows = table(b"id,n,d,e\n01M015,3.0,2026-01-01,\n=1+1,1e5,\xc3\xa9,NA\n")
    assert read == [["01M015", "3.0", "2026-01-01", None], ["=1+1", "1e5", "é", "NA"]] and rows == [2, 3]


@pytest.mark.parametrize("head", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("last", [True, False])
def test_byte_order_mark_and_line_ends_do_not_matter(head, end, last):
    data = head + end.join([b"a,b", b"1,2", b"3,4"]) + end * last
    assert table(data) == ([["1", "2"], ["3", "4"]], [2, 3])
    assert delimited.read(data).names == ["a", "b"]


@pytest.mark.parametrize("more", ["", ',"x""y, z"'])
def test_row_numbers_survive_blank_lines_and_line_breaks_in_cells(more):
    assert table(b'a,b\n1,"x\ny"\n\n3,4\n\n') == ([["1", "x\ny"], ["3", "4"]], [2, 4])
    assert table(b'a,b\n1,"x\n\ny"\n3,4\n') == ([["1", "x\n\ny"], ["3", "4"]], [2, 3])
    assert table(b"\na,b\n1,2\n") == ([["1", "2"]], [3])
    assert table(b'"a\nb",c\n1,2\n\n3,""\n') == ([["1", "2"], ["3", None]], [2, 4])


def test_quotes_doubled_and_in_the_middle_of_a_cell_are_themselves():
    assert table(b'a,b\n"say ""no""","x, y"\n5" pipe,2\n')[0] == [['say "no"', "x, y"], ['5" pipe', "2"]]


def test_a_header_alone_is_an_empty_table():
    for data in (b"a,b", b"a,b\n", b"\xef\xbb\xbfa,b\r\n", b"a;b\n\n"):
        assert table(data) == ([], [])


@pytest.mark.parametrize(
    ("data", "row", "expected"),
    [
        (b"", "", "the file is empty"),
        (b"\xef\xbb\xbf\n \n", "", "the file is empty"),
        (b"a,b\n1,2\n3\n4,5,6\n", "2 rows, first 3, 4", "2 cells, as in the header"),
        (b"a,b\n1,2\n\n3\n", "row 4", "2 cells, as in the header"),
        (b'a,b\n1,"2\n3,4\n5,6\n', "row 2", "quotes that open and close in one cell"),
        (b'a,b,c\n1,"good,2\n3,x,4\n5,"bad,6\n', "row 2", "quotes that open and close"),
        (b'a,b"c,d\n1,2\n', "row 2", "3 cells, as in the header"),  # a quote in the header hides no row
        (b"a|b\n1|2\n", "row 1", "columns separated by commas, semicolons or tabs"),
        (b"a,b;c\n1,2;3\n", "row 1", "one mark between columns"),
        (b"a,b\n1,\0\n", "row 2", "text"),
        ("a,b\n1,é\n".encode() + b"2,\xe9\n", "row 3", "UTF-8 text"),
        (b"a,b\n1,\x8d\n", "row 2", "UTF-8, UTF-16 or Windows-1252 text"),
        ("a,b\n1,2\n".encode("utf-16")[:-1], "", "UTF-16 text"),
        (b",".join([b"c"] * 16_385) + b"\n", "", "at most 16384 columns"),
    ],
)
def test_what_is_no_table_is_refused_with_its_row(data, row, expected):
    with pytest.raises(Unreadable) as refused:
        delimited.read(data)
    assert refused.value.row == row and expected in refused.value.expected


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16-LE"),
        ("utf-16-be", "UTF-16-BE"),
        ("windows-1252", "Windows-1252"),
    ],
)
def test_the_encoding_is_found_out_and_said(encoding, said):
    cells = delimited.read("unit,n\nCafé,3\nŒuvre,4\n".encode(encoding))
    assert cells.columns[0].to_pylist() == ["Café", "Œuvre"]
    assert cells.notes == ([("encoding", "", 2, f"read as {said} text")] if said else [])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"a;b\n1;2,5\n", "semicolons"),
        (b"a\tb\n1\t2,5\n", "tabs"),
        (b"sep=;\na;b\n1;2,5\n", "semicolons"),
        # A comma in a heading: the rows tell.
        (b"a, or so;b\n1;2,5\n3;4\n", "semicolons"),
    ],
)
def test_the_separator_is_found_out_and_said(data, said):
    cells = delimited.read(data)
    assert cells.columns[1][0].as_py() == "2,5" and cells.separator != ","
    assert [note[3] for note in cells.notes] == [f"columns separated by {said}"]
    assert cells.rows[0] == (3 if data.startswith(b"sep") else 2)


@pytest.mark.parametrize(
    ("texts", "separator", "mark"),
    [
        ({"4", "Agree"}, ";", ""),
        ({"4", "3,5"}, "\t", ","),
        ({"0,125", "1,250"}, "\t", ","),
        ({"3.5", "4"}, ";", "."),
        ({"1,250"}, "\t", "?"),
        ({"1,250"}, ";", ","),
        ({"1.250"}, "\t", "."),
        ({"1.250"}, ";", "?"),
        ({"3,5", "3.5"}, ";", "?"),
        ({"1.250", "3,5"}, ";", "?"),
        ({"teils, teils", "1.2.3"}, ";", ""),
    ],
)
def test_a_decimal_mark_is_told_or_not_told(texts, separator, mark):
    assert decimal_mark(texts, separator) == mark


def test_decimal_commas_are_numbers_and_doubtful_ones_are_named(tmp_path):
    toml = 'contract = 1\n[study]\nname = "S"\n'
    head = "period;unit_id;score;recommend\n"
    for rows, found in {
        "2026Q1;it;4,125;10\n2026Q1;hr;3;1\n": [],
        "2026Q1;it;4,5;10\n2026Q1;hr;3.5;1\n": ["column score, row 2: found '4,5', expected one decimal mark"],
        "2026Q1;it;1.250;10\n": ["column score, row 2: found '1.250', expected one decimal mark"],
        "2026Q1;it;1.250,5;10\n": ["column score, row 2: found '1.250,5', expected a number"],
    }.items():
        (tmp_path / "external_ratings.csv").write_text(head + rows)
        (tmp_path / "morale.csv").write_text("period,unit_id\n2026Q1,it\n")
        (tmp_path / "study.toml").write_text(toml)
        said = [str(problem) for problem in check(tmp_path)]
        assert len(said) >= len(found) and all(any(part in line for line in said) for part in found), said
    (tmp_path / "external_ratings.csv").write_text(head + "2026Q1;it;4,125;10\n")
    assert load(tmp_path).table("external_ratings")["score"].tolist() == [4.125]


def test_plain_and_strict_reading_agree(monkeypatch):
    rng = np.random.default_rng(5)
    pieces = ["", "1", "é", '"a,b"', '"c\nd"', '"e ""f"""', " ", "=1"]
    for _ in range(60):
        rows = [",".join(rng.choice(pieces, 3)) for _ in range(rng.integers(1, 8))]
        blank = ["" if rng.random() < 0.2 else None for _ in rows]
        lines = ["x,y,z"] + [each for pair in zip(rows, blank, strict=True) for each in pair if each is not None]
        data = "\n".join(lines).encode()
        plain = table(data)
        with monkeypatch.context() as patched:
            patched.setattr(delimited, "_columns", lambda *_: None)
            assert table(data) == plain


def test_long_lines_and_gzip_bombs_are_not_unpacked(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_bytes(b"a,b\n" + b"x" * 3 * delimited.LONGEST)
    with pytest.raises(Unreadable, match="lines of at most"):
        delimited.load(tmp_path / "a.csv")
    monkeypatch.setattr(delimited, "SMALL", 2**16)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 200_000))
    with pytest.raises(Unreadable, match="unpacks to at most"):
        delimited.load(tmp_path / "a.csv.gz")
    with pytest.raises(Unreadable, match="cells of at most"):
        delimited.read(b'a,b\n1,"' + b"x\n" * delimited.LONGEST + b'"\n')
