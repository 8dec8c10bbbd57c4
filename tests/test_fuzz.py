"""Studies mutated at random are read with the right numbers or refused, table and file named.

The suite runs a few hundred cases from a fixed seed. ``python -m tests.test_fuzz --cases 2000 --seed 1`` runs more,
each form of the study in turn, with at most 2 GB of memory, and prints how they ended.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyarrow.parquet as pq
import pyreadstat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from icsat_helpers import delimited
from icsat_helpers.clean import _prepared
from icsat_helpers.problems import Unreadable
from icsat_helpers.settings import parse

ROOT = Path(__file__).resolve().parent.parent
SECONDS, GIGABYTES = 10, 2
TOML = """contract = 1
[study]
name = "Fuzz"
[items.engaged]
table = "morale"
scale = "engagement"
[items.tired]
table = "morale"
scale = "energy"
reversed = true
missing = [99]
"""
EXTERNAL = "period,unit_id,score,recommend\n" + "".join(
    f"2026Q{1 + i % 3},{'it' if i % 2 else 'hör'},{4 + i / 8:.3f},{i % 11}\n" for i in range(24)
)
MORALE = "period,unit_id,person_id,engaged,tired,comment\n" + "".join(
    f'2026Q{1 + i % 3},{"it" if i % 2 else "hör"},p{i},{1 + i % 5},{"Agree" if i % 4 else 99},"so, ""so""\nla {i}"\n'
    for i in range(24)
)
TABLES = {"external_ratings": EXTERNAL, "morale": MORALE}


def _frames() -> dict[str, pd.DataFrame]:
    return {name: pd.read_csv(io.StringIO(text)) for name, text in TABLES.items()}


def _semicolons(text: str) -> str:
    rows = list(csv.reader(io.StringIO(text, newline="")))
    made = io.StringIO()
    writer = csv.writer(made, delimiter=";", lineterminator="\r\n")
    writer.writerows([[re.sub(r"^(\d+)\.(\d+)$", r"\1,\2", cell) for cell in row] for row in rows])
    return made.getvalue()


def _binary(kind: str) -> dict[str, bytes]:
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, frame in _frames().items():
            path = Path(folder) / f"{name}.{kind}"
            if kind == "xlsx":
                frame.to_excel(path, index=False)
            elif kind == "parquet":
                frame.to_parquet(path)
            else:
                pyreadstat.write_sav(frame, path)
            made[path.name] = path.read_bytes()
    return made


FORMS: dict[str, Callable[[], dict[str, bytes]]] = {
    "comma": lambda: {f"{name}.csv": text.encode() for name, text in TABLES.items()},
    "semicolon": lambda: {f"{name}.csv": _semicolons(text).encode("cp1252") for name, text in TABLES.items()},
    "wide": lambda: {f"{name}.csv": text.replace(",", "\t").encode("utf-16") for name, text in TABLES.items()},
    "gzip": lambda: {f"{name}.csv.gz": gzip.compress(text.encode(), mtime=0) for name, text in TABLES.items()},
    "parquet": lambda: _binary("parquet"),
    "xlsx": lambda: _binary("xlsx"),
    "sav": lambda: _binary("sav"),
}
_BITS = [
    b",", b";", b"\t", b"\n", b"\r\n", b'"', b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xe9", b"\xc3\xa9", b"1e400",
    b"nan", b"-1", b"1,5", b"1.5", b"1.250,5", b"9" * 400, b"2026Q1", b"=1+1", b"sep=;\n", b"period", b"|", b"\x1a",
    b"\xe2\x80\xa8", b" ",
]  # fmt: skip


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Return bytes with one to three of them, or stretches of them, changed, doubled, moved, cut or put in."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at, to = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
        kind = rng.randrange(9)
        if kind == 0 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        elif kind == 1:
            data = data[:at] + rng.choice(_BITS) + data[at:]
        elif kind == 2:
            data = data[:at] + data[min(to, at + 40) :]
        elif kind == 3:
            data = data[:to] + data[at : at + 60] + data[to:]
        elif kind == 4:
            data = (
                data[:at]
                if rng.random() < 0.3
                else data[:at] + bytes(rng.randrange(256) for _ in range(4)) + data[at + 4 :]
            )
        elif kind == 5:
            old, new = rng.choice(_BITS[:6]), rng.choice(_BITS)
            data = data.replace(old, new, rng.choice([1, 1, -1]))
        elif kind < 8:
            digits = [i for i, byte in enumerate(data) if byte in b"0123456789"] or [0]
            at = rng.choice(digits)
            data = data[:at] + rng.choice([b"0", b"1", b"2", b"3", b"4"]) + data[at + 1 :]
        else:
            lines = data.split(b"\n")
            rng.shuffle(lines) if rng.random() < 0.3 else lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
            data = b"\n".join(lines)
    return data


def read_otherwise(path: Path) -> list[list[str]]:
    """Return the rows of a file, header first, as another library reads them; numbers as the shortest text."""
    data = path.read_bytes()
    if path.suffix in (".csv", ".gz"):
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        try:
            text = data.decode("utf-16" if utf16 else "utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        mark = next((each[4] for each in [text] if re.match("sep=.\n", each)), "")
        body = text[6:] if mark else text
        head = next(line for line in body.split("\n") if line)
        for separator in [mark] if mark else sorted(",;\t", key=head.count, reverse=True):
            rows = [row for row in csv.reader(io.StringIO(body, newline=""), delimiter=separator) if row]
            if len({len(row) for row in rows}) == 1:
                return rows
        raise AssertionError("rows of different lengths")
    if path.suffix == ".xlsx":
        try:
            sheet = openpyxl.load_workbook(path, data_only=True).active
        except (ValueError, KeyError, OSError, zipfile.BadZipFile, zlib.error, SyntaxError):
            # What no table needs, such as its theme, is harmed: the numbers must be the unharmed ones.
            sheet = openpyxl.load_workbook(io.BytesIO(_CACHE["xlsx"][path.name]), data_only=True).active
        rows = [list(row) for row in sheet.iter_rows(values_only=True) if any(cell not in (None, "") for cell in row)]
    elif path.suffix == ".parquet":
        frame = pq.read_table(path).replace_schema_metadata(None).to_pandas()
        rows = [list(frame), *frame.astype(object).where(frame.notna(), None).to_numpy().tolist()]
    else:
        frame, _ = pyreadstat.read_sav(path)
        rows = [list(frame), *frame.astype(object).where(frame.notna(), None).to_numpy().tolist()]
    return [["" if cell is None else _short(cell) for cell in row] for row in rows]


def _short(cell: object) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _value(cell: str) -> str | float:
    number = re.fullmatch(r"([+-]?[0-9]*)(?:[.,]([0-9]+))?((?:[eE][+-]?[0-9]+)?)", cell.strip())
    if not number or not re.search(r"[0-9]", cell):
        return cell.strip()
    value = float(f"{number[1]}.{number[2] or 0}{number[3]}")
    return value if np.isfinite(value) else cell.strip()


def outcome(folder: Path) -> str:
    """Read a study, check that it is read rightly or refused in words, and return which."""
    start = time.process_time()
    draft, _, _ = _prepared(folder, "", "")
    assert time.process_time() - start < SECONDS
    for problem in draft.problems:
        line = str(problem)
        assert len(line.splitlines()) == 1 and "expected" in line and "Traceback" not in line
        assert line.split(" ")[0].strip(":,") in {"study", *TABLES, "service_ratings,", "service_ratings"}, line
        named = re.search(r"\((.+?)\)", line)
        assert (named and named[1].strip("'") in {path.name for path in folder.iterdir()}) or "one row" in line, line
    if draft.problems:
        return "refused"
    for name, raw in draft.raw.items():
        expected = read_otherwise(folder / raw.files[0])
        header = [cell.strip() for cell in expected[0]]
        assert len(raw.frame) == len(expected) - 1, name
        for column in raw.frame:
            place = header.index(column)
            ours = [_value("" if pd.isna(cell) else cell) for cell in raw.frame[column]]
            theirs = [_value(row[place]) for row in expected[1:]]
            assert ours == theirs, (name, column)
            if column in ("score", "recommend", "engaged") and draft.frames[name][column].dtype == "float64":
                told = [isinstance(value, float) and (column != "engaged" or 1 <= value <= 5) for value in theirs]
                told = np.array(told, dtype=bool)
                wanted = np.array(theirs, dtype=object)[told].astype(float)
                if column == "engaged" and draft.settings.items[column].reversed:  # the settings were mutated
                    wanted = 6 - wanted
                np.testing.assert_allclose(draft.frames[name][column][told], wanted, rtol=1e-12)
    return "read"


def case(form: str, seed: int, folder: Path) -> str:
    """Write one mutated study and return how it ended."""
    rng = random.Random(f"{form} {seed}")
    files = _CACHE.setdefault(form, FORMS[form]()) | {"study.toml": TOML.encode()}
    victim = rng.choice([*files, *[name for name in files if name != "study.toml"]])
    for name, data in files.items():
        (folder / name).write_bytes(mutated(data, rng) if name == victim else data)
    return outcome(folder)


_CACHE: dict[str, dict[str, bytes]] = {}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_rightly_unharmed(form, tmp_path):
    for name, data in (FORMS[form]() | {"study.toml": TOML.encode()}).items():
        (tmp_path / name).write_bytes(data)
    assert outcome(tmp_path) == "read"


@pytest.mark.parametrize(
    ("form", "cases"),
    [
        ("comma", 60),
        ("semicolon", 40),
        ("wide", 30),
        ("gzip", 20),
        ("parquet", 20),
        ("xlsx", 15),
        ("sav", 15),
    ],
)
def test_a_mutated_study_is_read_rightly_or_refused(form, cases, tmp_path):
    ends = Counter(case(form, seed, tmp_path) for seed in range(cases))
    assert ends["refused"] and sum(ends.values()) == cases


@pytest.mark.parametrize("seed", [27486, 28296])
def test_variables_without_a_name_are_refused(seed, tmp_path):
    assert case("sav", seed, tmp_path) == "refused"


def test_a_parquet_file_with_fewer_rows_than_it_says_is_refused(tmp_path):
    assert case("parquet", 22024, tmp_path) == "refused"


CELLS = st.text(st.sampled_from('ab1,;\t"\n é=.-'), max_size=4)


@settings(max_examples=200, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=5), st.sampled_from(",;\t"))
def test_whatever_is_written_as_csv_is_read_as_it_was(rows, separator):
    made = io.StringIO()
    writer = csv.writer(made, delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    writer.writerows([["x", "y", "z"], *rows])
    cells = delimited.read(made.getvalue().encode())
    plain = [[cell or None for cell in row] for row in rows]
    assert [list(row) for row in zip(*(column.to_pylist() for column in cells.columns), strict=True)] == plain


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_a_table_or_refused(data):
    try:
        cells = delimited.read(data)
    except Unreadable as refused:
        assert refused.expected
    else:
        assert all(len(column) == len(cells.rows) for column in cells.columns)


KEYS = st.sampled_from(
    ["contract", "study", "name", "items", "q", "table", "tables", "morale", "source", "columns", "x"]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["morale", "quarter"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value).lower() if isinstance(value, bool | int | float) else repr(value or "")


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_settings_are_read_or_refused(found):
    _, problems = parse("\n".join(f"{key} = {_toml(value)}" for key, value in found.items()))
    assert problems and all(len(str(problem).splitlines()) == 1 for problem in problems)


def _million_columns(folder: Path) -> None:
    (folder / "goals.csv").write_text(",".join(f"c{i}" for i in range(10**6)) + "\n" + "1," * 999_999 + "1\n")


def _line_of_a_gigabyte(folder: Path) -> None:
    with (folder / "goals.csv").open("wb") as file:
        file.write(b"provider_unit,target\nit,4\nit,")
        file.truncate(2**30)  # zero bytes that take no room on disk


def _line_at_the_end(folder: Path) -> None:
    with (folder / "goals.csv").open("wb") as file:
        file.write(b"provider_unit,target\n" + b"it,4\n" * 200_000 + b"it," + b"4" * 3 * 2**20)


def _packed(folder: Path) -> None:
    with gzip.open(folder / "goals.csv.gz", "wb", compresslevel=6) as file:
        for _ in range(80):
            file.write(b"it,4\n" * 200_000)


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({0}, {0}))
from icsat_helpers import cli
sys.exit(cli.main(["check", sys.argv[1]]))
"""


@pytest.mark.parametrize("bomb", [_million_columns, _line_of_a_gigabyte, _line_at_the_end, _packed])
def test_what_is_too_much_is_refused_within_ten_seconds_and_two_gigabytes(bomb, tmp_path):
    (tmp_path / "study.toml").write_text('contract = 1\n[study]\nname = "B"\n')
    bomb(tmp_path)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    limited = LIMITED.format(GIGABYTES * 2**30)
    done = subprocess.run([sys.executable, "-c", limited, tmp_path], capture_output=True, text=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 1 and done.stdout.startswith("goals (goals.csv"), done
    assert "at most" in done.stdout and "Traceback" not in done.stderr
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < SECONDS


def main() -> int:
    """Run many cases and count how they ended; a failure prints its form and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long and say how far it came")
    asked = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (GIGABYTES * 2**30, resource.RLIM_INFINITY))
    warnings.simplefilter("ignore")
    ends: Counter[tuple[str, str]] = Counter()
    start, slowest = time.monotonic(), 0.0
    forms = [*FORMS, *list(FORMS)[:4], *list(FORMS)[:4]]  # text has more ways to be nearly right
    seed = asked.seed
    for seed in range(asked.seed, asked.seed + asked.cases):
        form = forms[seed % len(forms)]
        with tempfile.TemporaryDirectory() as folder:
            began = time.monotonic()
            try:
                ends[form, case(form, seed, Path(folder))] += 1
            except Exception as error:  # whatever it is, it is what is looked for
                ends[form, "failed"] += 1
                print(f"{form} {seed}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
                if os.environ.get("FUZZ_STOP"):
                    raise
            slowest = max(slowest, time.monotonic() - began)
        if time.monotonic() - start > 60 * asked.minutes:
            break
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    for (form, end), count in sorted(ends.items()):
        print(f"{form:<16} {end:<8} {count}")
    memory = f"at most {max(used) / 2**20:.2f} GB"
    print(f"{sum(ends.values())} cases, seeds {asked.seed} to {seed}; slowest {slowest:.1f} s, {memory}")
    return int(any(end == "failed" for _, end in ends))


if __name__ == "__main__":
    sys.exit(main())
