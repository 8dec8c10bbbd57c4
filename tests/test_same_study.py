"""One organisation in ten forms is one study: the same clean tables, and so the same findings."""

from __future__ import annotations

import pandas as pd
import pytest
import same_study

from icsat_helpers import clean, scores


@pytest.fixture(scope="session")
def postgres_address():
    """A real PostgreSQL, started for these tests; its address goes into the variable the tests name."""
    with same_study.server() as address:
        yield address


FOUND_OUT = {"encoding", "separator", "labels", "missing_codes", "unpivot", "previews", "unfinished"}


@pytest.mark.parametrize("form", [form for form in same_study.FORMS if form != "csv"])
def test_every_form_of_a_study_is_the_same_study(form, small, tmp_path, monkeypatch, request):
    monkeypatch.setenv("ICSAT_TEST_DATABASE", "")
    if form == "postgres":
        monkeypatch.setenv("ICSAT_TEST_POSTGRES", request.getfixturevalue("postgres_address"))
    found = clean.load(same_study.write(form, small.folder, tmp_path / form))
    assert found.period == small.period and set(found.tables) == set(small.tables)
    for name, expected in small.tables.items():
        table = found.table(name)
        assert set(expected) <= set(table), name
        if form == "qualtrics" and "answered_at" in expected:
            table = table.assign(answered_at=table["answered_at"].dt.normalize())
        pd.testing.assert_frame_equal(table[list(expected)], expected, rtol=1e-9, obj=f"{form}: {name}")
    told = found.changes[~found.changes["rule"].isin(FOUND_OUT)].reset_index(drop=True)
    pd.testing.assert_frame_equal(told, small.changes[~small.changes["rule"].isin(FOUND_OUT)].reset_index(drop=True))
    for measure in ("internal", "morale", "external", "productivity"):
        pd.testing.assert_frame_equal(scores.unit_scores(found, measure), scores.unit_scores(small, measure))


def test_what_is_found_out_is_said(small, tmp_path):
    said = clean.load(same_study.write("semicolons", small.folder, tmp_path / "a")).changes
    found_out = {"read as Windows-1252 text", "read as UTF-16 text", "columns separated by semicolons"}
    assert found_out <= set(said["what"])
    said = clean.load(same_study.write("qualtrics", small.folder, tmp_path / "b")).changes
    counts = {(row.table, row.rule): row.rows for row in said.itertuples()}
    for table in ("service_ratings", "morale"):
        assert counts[table, "previews"] == 2 and counts[table, "unfinished"] == 1
    tables, _ = same_study.read(small.folder)
    empty = sum((tables["morale"][item] == "").sum() for item in small.settings.items if item in tables["morale"])
    said = clean.load(same_study.write("spss", small.folder, tmp_path / "c")).changes
    declared = said[(said["table"] == "morale") & (said["rule"] == "missing_codes")]
    assert declared["rows"].sum() == empty and set(declared["what"]) == {"set to missing, as the SPSS file declares"}
