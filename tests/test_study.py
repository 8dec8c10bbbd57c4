"""study.toml and tables to a checked study."""

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_folder import TABLES, TOML, write

from icsat_helpers import schemas
from icsat_helpers.clean import check, load
from icsat_helpers.columns import convert
from icsat_helpers.project import find
from icsat_helpers.schemas import ADDED
from icsat_helpers.settings import parse
from icsat_helpers.sources import TEXT
from icsat_helpers.study import Tables

STUDIES = Path(os.environ.get("ICSAT_STUDIES", Path(__file__).resolve().parents[2] / "shared" / "studies"))


def test_defaults_are_those_of_the_contract():
    settings, problems = parse('contract = 1\n[study]\nname = "A"\n')
    assert problems == []
    assert (settings.frequency, settings.minimum_group, settings.language) == ("quarter", 5, "en")
    assert (settings.minimum, settings.maximum, settings.favourable) == (1, 5, 4)
    assert settings.straight_lines == "keep" and settings.items == {}


def test_every_block_of_the_contract_is_read():
    settings, problems = parse(
        """
        contract = 1
        [study]
        name = "Example Group"
        frequency = "half"
        minimum_group = 7
        language = "de"
        [answer_scale]
        minimum = 0
        maximum = 8
        favourable = 5
        [answers]
        "Tout à fait d'accord" = 5
        "Don't know" = "missing"
        [items.overall]
        table = "service_ratings"
        scale = "overall"
        reversed = true
        missing = [99, "n/a"]
        minimum = 0
        maximum = 10
        favourable = 7
        text.en = "All in all?"
        text.fr = "En somme ?"
        [tables.morale]
        source = "pulse *.parquet"
        columns = { person_id = "Respondent" }
        period_from = "RecordedDate"
        period_pattern = '(\\d{4}H\\d)'
        [database]
        url_variable = "ICSAT_DATABASE_URL"
        [privacy]
        pseudonymise = "ICSAT_KEY"
        [cleaning]
        straight_lines = "drop"
        [smallest_effects]
        H1 = 2.0
        H3.performance = 0.1
        """
    )
    assert problems == []
    assert (settings.frequency, settings.minimum_group, settings.language) == ("half", 7, "de")
    assert (settings.minimum, settings.maximum, settings.favourable) == (0, 8, 5)
    assert settings.labels == {"Tout à fait d'accord": 5, "Don't know": "missing"}
    item = settings.items["overall"]
    assert (item.name, item.table, item.scale, item.reversed) == (
        "overall",
        "service_ratings",
        "overall",
        True,
    )
    assert (item.missing, item.minimum, item.maximum, item.favourable) == ((99, "n/a"), 0, 10, 7)
    assert item.own_scale and item.text == {"en": "All in all?", "fr": "En somme ?"}
    source = settings.tables["morale"]
    assert (source.source, source.columns) == ("pulse *.parquet", {"person_id": "Respondent"})
    assert (source.period_from, source.period_pattern) == ("RecordedDate", "(\\d{4}H\\d)")
    assert (settings.pseudonymise, settings.straight_lines) == ("ICSAT_KEY", "drop")
    assert settings.smallest_effects == {"H1": 2.0, "H3.performance": 0.1}


def test_an_item_without_a_scale_of_its_own_has_the_study_s():
    settings, _ = parse(TOML + "[answer_scale]\nminimum = 0\nmaximum = 8\nfavourable = 4\n")
    fast, engaged = settings.items["fast"], settings.items["engaged"]
    assert (fast.minimum, fast.maximum, fast.favourable, fast.own_scale) == (0, 8, 4, False)
    assert (engaged.minimum, engaged.maximum, engaged.favourable, engaged.own_scale) == (0, 10, 5, True)


def test_tables_have_the_types_agreed(tmp_path):
    study = load(write(tmp_path), "2026Q2")
    for name in TABLES:
        frame = study.table(name)
        assert study.has(name)
        for column, kind in schemas.kinds(name).items():
            if column in frame:
                wanted = {"number": "float64", "date": "datetime64[us]"}.get(kind, "str")
                assert str(frame[column].dtype) == wanted, (name, column)
        for column, dtype in ADDED.get(name, {}).items():
            assert str(frame[column].dtype) == dtype, (name, column)
    assert study.t == 2026 * 4 + 1 and study.label(study.t - 1) == "2026Q1"
    assert study.table("service_ratings")["t"].tolist() == [2026 * 4, 2026 * 4, 2026 * 4 + 1, 2026 * 4 + 1]
    assert study.table("programmes")[["started_t", "ended_t"]].iloc[1].tolist() == [2026 * 4, 2026 * 4 + 1]
    assert study.table("goals")["t"].tolist() == [2026 * 4 + 1, pd.NA]
    with pytest.raises(dataclasses.FrozenInstanceError):
        study.period = "2026Q1"


def test_a_table_that_is_absent_is_empty_and_typed_like_one_that_is_there(tmp_path):
    whole = load(write(tmp_path / "a"))
    part = load(write(tmp_path / "b", **{**dict.fromkeys(TABLES), "morale": TABLES["morale"]}))
    assert list(part.tables) == ["morale"] and not part.has("people")
    for name in set(TABLES) - {"morale"}:
        empty = part.table(name)
        assert len(empty) == 0
        there = whole.table(name)
        assert set(there) <= set(empty), name
        assert {column: str(empty[column].dtype) for column in there} == there.dtypes.astype(str).to_dict(), name


def test_ids_are_text_whatever_the_file_says(tmp_path):
    write(tmp_path, **dict.fromkeys(TABLES))
    pd.DataFrame({"unit_id": [3.0, 7.0, 1e15], "site": ["01", " 2.0 ", ""]}).to_parquet(tmp_path / "units.parquet")
    (tmp_path / "morale.csv").write_text(
        "period,unit_id,person_id,engaged\n2026Q1,3.0,01M015,1\n2026Q1,3,5.0,2\n2026Q1,7,5,3\n"
    )
    study = load(tmp_path)
    assert study.table("units")["unit_id"].tolist() == ["1000000000000000", "3", "7"]
    assert study.table("units")["site"].tolist()[1:] == ["01", "2"] and study.table("units")["site"].isna()[0]
    assert sorted(study.table("morale")["person_id"]) == ["01M015", "5", "5"]
    assert study.table("morale")["unit_id"].tolist().count("3") == 2


def test_an_id_is_the_same_however_its_accents_are_encoded(tmp_path):
    tables = {"units": "unit_id\nCaf\u00e9\n", "morale": "period,unit_id,engaged\n2026Q1,Cafe\u0301,1\n"}
    assert check(write(tmp_path, **{**dict.fromkeys(TABLES), **tables})) == []


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2026-03-31", "2026-03-31"), ("20260331", "2026-03-31"), ("2026-03-31 08:00", "2026-03-31 08:00"),
        ("2026-03-31T08:00:00.5Z", "2026-03-31 08:00:00.5"), ("2026-03-31T08:00+02:00", "2026-03-31 06:00"),
        ("2026-03", None), ("2026", None), ("31/03/2026", None), ("2026-W14-2", None), ("now", None),
    ],
)  # fmt: skip
def test_dates_are_whole_and_iso(text, date):
    read, _ = convert(pd.Series([text, None], dtype="str"), "date", "year")
    assert read.isna().tolist() == [date is None, True]
    assert date is None or read[0] == pd.Timestamp(date)


def test_parquet_and_csv_of_one_table_give_one_result(tmp_path):
    one = load(write(tmp_path / "a"))
    write(tmp_path / "b", service_ratings=None, people=None)
    for name in ("service_ratings", "people"):
        frame = pd.read_csv(tmp_path / "a" / f"{name}.csv")
        if name == "people":
            frame["hired_on"] = pd.to_datetime(frame["hired_on"])
        frame.to_parquet(tmp_path / "b" / f"{name}.parquet")
    two = load(tmp_path / "b")
    for name in ("service_ratings", "people"):
        pd.testing.assert_frame_equal(one.table(name), two.table(name))


def test_columns_nobody_knows_pass_through_untouched(tmp_path):
    study = load(write(tmp_path, units="unit_id,cost centre\nhr, 007\nit,=1+1\n"))
    assert study.table("units")["cost centre"].tolist() == [" 007", "=1+1"]


def test_renamed_columns_dates_for_periods_and_globs(tmp_path):
    toml = TOML.replace("[items.fast]", '[tables.morale]\nsource = "pulse-*.csv"\nperiod_from = "When"\n'
                        'columns = { person_id = "Who", engaged = "Q1" }\n[items.fast]')  # fmt: skip
    write(tmp_path, toml, morale=None)
    (tmp_path / "pulse-a.csv").write_text("When,unit_id,Who,Q1\n2026-03-31,it,ann,5\n")
    (tmp_path / "pulse-b.csv").write_text("When,unit_id,Who,Q1\n2026-04-01T00:00:00Z,it,ann,10\n")
    study = load(tmp_path)
    assert study.table("morale")[["period", "person_id", "engaged"]].to_numpy().tolist() == [
        ["2026Q1", "ann", 3.0], ["2026Q2", "ann", 5.0]]  # fmt: skip
    (tmp_path / "pulse-b.csv").write_text("When,unit_id,Who,Q1\nspring,it,ann,10\n")
    assert [str(problem) for problem in check(tmp_path)] == [
        "morale (pulse-b.csv), column When, row 2: found 'spring', expected a date such as 2026-03-31 (ISO 8601)"
    ]
    (tmp_path / "pulse-b.csv").write_text("When,unit_id,Who,person_id,Q1\n2026-03-31,it,ann,bob,10\n")
    assert "column person_id: expected each column name once, also after renaming" in str(check(tmp_path)[0])
    toml = toml.replace('"Who"', '"Whom"')
    (tmp_path / "pulse-b.csv").unlink()
    assert "column Whom: expected a column of that name, for person_id" in str(
        check(write(tmp_path, toml, morale=None))[0]
    )


def test_the_period_may_stand_in_the_name_of_the_file(tmp_path):
    toml = TOML + "[tables.morale]\nsource = \"pulse *.csv\"\nperiod_pattern = '(\\d{4}Q\\d)'\n"
    write(tmp_path, toml, morale=None)
    for quarter, answer in (("2026Q1", 0), ("2026Q2", 10)):
        (tmp_path / f"pulse {quarter}.csv").write_text(f"unit_id,person_id,engaged\nit,ann,{answer}\n")
    assert load(tmp_path).table("morale")[["period", "engaged"]].to_numpy().tolist() == [
        ["2026Q1", 1.0], ["2026Q2", 5.0]]  # fmt: skip
    (tmp_path / "pulse spring.csv").write_text("unit_id,person_id,engaged\nit,ann,5\n")
    assert "pulse spring.csv), column period, row 2" in str(check(tmp_path)[0])


def test_person_ids_are_replaced_at_the_door_and_still_match(tmp_path, monkeypatch):
    write(tmp_path, TOML + '[privacy]\npseudonymise = "ICSAT_TEST_KEY"\n')
    monkeypatch.delenv("ICSAT_TEST_KEY", raising=False)
    assert "environment variable ICSAT_TEST_KEY" in str(check(tmp_path)[0])
    monkeypatch.setenv("ICSAT_TEST_KEY", "k")
    one = load(tmp_path)
    assert set(one.table("service_ratings")["person_id"]) == set(one.table("people")["person_id"])
    assert not {"ann", "bob", "cyd"} & set(one.table("people")["person_id"])
    monkeypatch.setenv("ICSAT_TEST_KEY", "another")
    assert not set(one.table("people")["person_id"]) & set(load(tmp_path).table("people")["person_id"])


def test_hashes_are_those_of_the_files_and_files_stay_as_they_were(tmp_path):
    write(tmp_path)
    before = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}
    study = load(tmp_path)
    assert study.sha256["study.toml"] == before["study.toml"]
    assert {name: study.sha256[name] for name in TABLES} == {name: before[f"{name}.csv"] for name in TABLES}
    assert before == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in tmp_path.iterdir()}


def test_a_relative_folder_is_tried_here_then_from_the_project_s_root(tmp_path, monkeypatch):
    root = Path(__file__).resolve().parents[1]
    write(tmp_path / "data" / "mine")
    monkeypatch.chdir(tmp_path)
    assert find("data/mine").resolve() == tmp_path / "data" / "mine"
    if (root / "data" / "example" / "study.toml").is_file():
        assert find("data/example") == root / "data" / "example"


@pytest.mark.skipif(not STUDIES.is_dir(), reason="the real studies are not here")
@pytest.mark.parametrize(
    ("name", "period", "sizes"),
    [
        ("nyc-schools-2011", "2011", {"units": 301, "unit_scores": 1804}),
        ("fevs-2020-2024", "2024", {"units": 40, "unit_scores": 392}),
        ("bh1996", "1996", {"units": 99, "people": 7382, "service_ratings": 7382, "morale": 7382}),
    ],
)
def test_the_real_studies_are_ready(name, period, sizes):
    study = load(STUDIES / name)
    assert study.period == period and {name: len(frame) for name, frame in study.tables.items()} == sizes
    assert len(study.changes) == 0
    if name == "nyc-schools-2011":
        units = study.table("units")
        assert units["unit_id"][0] == "01M015" and set(units["site"]) == {f"0{i}" for i in range(1, 7)}
        one = load(STUDIES / name, 2011, "01")
        assert one.site == "01" and set(one.table("unit_scores")["unit_id"].str[:2]) == {"01"}
    if name == "bh1996":
        assert study.table("morale")["wellbeing"].between(0, 8).all() and study.table("morale")["linked"].all()
        raw = pd.read_csv(STUDIES / name / "service_ratings.csv")["leadership"]
        assert np.isclose(study.table("service_ratings")["leadership"].mean(), raw.mean())


def test_keys_are_categories_of_the_table_that_is_there(small):
    study = dataclasses.replace(small, tables=Tables(small.tables))
    table = study.table("service_ratings")
    coded = study.coded("service_ratings")
    for key in ("period", "person_id", "customer_unit", "provider_unit"):
        assert isinstance(coded[key].dtype, pd.CategoricalDtype) and coded[key].cat.categories.is_monotonic_increasing
        assert coded[key].tolist() == table[key].tolist() and table[key].dtype == TEXT
    study.tables["service_ratings"] = table.iloc[:5]
    assert study.coded("service_ratings")["person_id"].tolist() == table["person_id"].tolist()[:5]
    assert study.columns("service_ratings") == list(table) and study.coded("morale")["t"].tolist()


def test_a_loaded_table_is_text_however_it_is_asked_for(tmp_path):
    read = lambda: load(write(tmp_path)).tables  # noqa: E731
    for table in (read()["service_ratings"], dict(read())["service_ratings"], {**read()}["service_ratings"]):
        assert table["person_id"].dtype == TEXT and table["period"].dtype == TEXT and table["t"].dtype == "int64"
