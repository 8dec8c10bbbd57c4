"""`icsat new`, `icsat check` and its codebook: a study begun, filled, advised and described."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
import pytest
from study_folder import TABLES, TOML, write

from icsat_helpers import clean, cli, schemas
from icsat_helpers.labels import FIVE_POINTS
from icsat_helpers.settings import fold, parse
from icsat_helpers.study import StudyError
from icsat_helpers.template import questionnaire_page


def test_a_new_study_is_settings_questionnaire_and_headers(tmp_path, capsys):
    folder = tmp_path / "mine"
    assert cli.main(["new", str(folder)]) == 0 and "icsat check" in capsys.readouterr().out
    settings, problems = parse((folder / "study.toml").read_text(encoding="utf-8"))
    assert problems == [] and all(set(item.text) == {"en", "fr", "de"} for item in settings.items.values())
    for table in schemas.TABLES:
        header, *rows = (folder / f"{table}.csv").read_text().splitlines()
        assert rows == [] and set(header.split(",")) == {
            *schemas.kinds(table),
            *(item.name for item in settings.items_of(table)),
        }
    rows = list(csv.DictReader(io.StringIO((folder / "questionnaire.csv").read_text(encoding="utf-8-sig"))))
    assert [row["item"] for row in rows] == list(settings.items)
    for language in ("en", "fr", "de"):
        page = (folder / f"questionnaire-{language}.html").read_text(encoding="utf-8")
        assert f'lang="{language}"' in page and "http" not in page and "<script" not in page
        for row in rows:
            assert row[language].replace("'", "&#39;") in page
    assert cli.main(["check", str(folder)]) == 1
    assert capsys.readouterr().out == (
        "service_ratings, unit_scores, morale: expected at least one row with a period in one of these tables\n"
    )


def test_every_comment_of_the_new_study_is_right(tmp_path):
    cli.main(["new", str(tmp_path / "mine")])
    text = (tmp_path / "mine" / "study.toml").read_text(encoding="utf-8")
    head, items = text.split("# A table whose file", 1)[1].split("\n", 1)[1].split("# The questionnaire.")
    opened = "\n".join(line.removeprefix("#").strip() for line in head.splitlines())
    opened = opened.replace('query = "', 'query = "')
    settings, problems = parse('contract = 1\n[study]\nname = "x"\n' + opened)
    assert [str(problem) for problem in problems] == [] and settings.tables["service_ratings"].unpivot
    assert items and settings.url_variable == "ICSAT_DATABASE_URL" and settings.pseudonymise == "ICSAT_KEY"


def test_the_labels_on_the_questionnaire_are_known():
    import tomllib

    from icsat_helpers import template

    words = tomllib.loads((Path(template.__file__).parent / "resources" / "words.toml").read_text(encoding="utf-8"))
    for language, each in words.items():
        assert [FIVE_POINTS[fold(label)] for label in each["labels"]] == [1, 2, 3, 4, 5], language


def test_texts_of_a_questionnaire_are_escaped():
    items = {"a": {"table": "morale", "text": {"en": "<b>&"}}}
    assert "<b>" not in questionnaire_page(items, "en") and "&lt;b&gt;&amp;" in questionnaire_page(items, "en")


@pytest.mark.parametrize("left", [(), ("units", "people")])
def test_filled_with_one_quarter_it_is_ready(left, small, tmp_path, capsys):
    cli.main(["new", str(tmp_path / "mine")])
    for name, table in small.tables.items():
        header = (tmp_path / "mine" / f"{name}.csv").read_text().strip().split(",")
        raw = pd.read_csv(small.folder / f"{name}.csv", dtype="str")
        raw = raw[raw["period"] == small.period] if "period" in raw else raw
        if name not in left and len(table):
            raw.reindex(columns=header).to_csv(tmp_path / "mine" / f"{name}.csv", index=False)
    assert cli.main(["check", str(tmp_path / "mine")]) == 0
    said = capsys.readouterr().out
    assert f"ready: My organisation, {small.period}" in said and "H1" in said


def test_nothing_is_written_over(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert cli.main(["new", str(tmp_path)]) == 2 and "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert cli.main(["new", str(tmp_path / "notes.txt" / "x")]) == 1


def test_check_prints_the_lines_to_add_and_they_help(tmp_path, capsys):
    pulse = "Quarter;Dept;engaged\n2026Q1;it;4,5\n2026Q1;hr;3\n"
    toml = TOML + '[tables.morale]\ncolumns = { period = "Quarter" }\n'
    ratings = TABLES["service_ratings"].replace("provider_unit", "Service provider")
    write(tmp_path, toml, **{**dict.fromkeys(TABLES), "morale": pulse, "service_ratings": ratings})
    assert cli.main(["check", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "column unit_id: expected this column; did you mean Dept?" in said
    added = said.split("belongs into study.toml:\n")[1]
    assert added == (
        '[tables.service_ratings]\ncolumns = { provider_unit = "Service provider" }\n'
        '[tables.morale]\ncolumns = { period = "Quarter", unit_id = "Dept" }\n'
    )
    (tmp_path / "study.toml").write_text(TOML + added)
    assert cli.main(["check", str(tmp_path)]) == 0


def test_the_most_harmful_comes_first(tmp_path):
    write(
        tmp_path,
        TOML + "[cleening]\n",
        operations="period,unit_id,output\n2026Q1,it,a\n2026Q1,hr,b\n",
        external_ratings="period,unit_id,score\n2026Q1,it,x\n",
        units=b"",
        goals="provider_unit\nit\n",
    )
    said = [str(problem).split(":")[0] for problem in clean.check(tmp_path)]
    assert said == [
        "study (study.toml), column cleening",
        "units (units.csv)",
        "goals (goals.csv), column target",
        "operations (operations.csv), column output, 2 rows, first 2, 3",
        "external_ratings (external_ratings.csv), column score, row 2",
    ]
    with pytest.raises(StudyError) as refused:
        clean.load(tmp_path)
    assert list(refused.value.problems) == clean.check(tmp_path)


def test_check_says_which_table_opens_what(tmp_path, capsys):
    write(tmp_path, **{**dict.fromkeys(TABLES), "morale": TABLES["morale"]})
    assert cli.main(["check", str(tmp_path)]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("add ")]
    assert said[0].startswith("add service_ratings (period, customer_unit, provider_unit) for H1, H2, H3")
    assert [line.split()[1] for line in said] == [
        "service_ratings", "external_ratings", "people", "operations", "programmes"]  # fmt: skip
    assert not any("morale (" in line for line in said)


def test_a_codebook_describes_columns_not_people(tmp_path, capsys):
    study = write(tmp_path / "s", TOML.replace("maximum = 10", 'maximum = 10\ntext.en = "<i>Engaged?"'))
    assert cli.main(["check", str(study), "--codebook"]) == 0
    page = (study / "codebook.html").read_text(encoding="utf-8")
    for words in (
        "&lt;i&gt;Engaged?",
        "scale responsiveness; turned",
        "0 to 10",
        "2026Q1 to 2026Q2",
        "unit_id of units",
    ):
        assert words in page
    assert "<i>Engaged" not in page and "%" not in page.split("<h2>people</h2>")[1].split("<h2>")[0]  # three people
    for value in ("ann", "fine", "2026-06-30", "2020-01-01"):
        assert f">{value}<" not in page
    assert cli.main(["check", str(study), "--codebook", str(tmp_path / "none" / "x.html")]) == 1
    assert "could not be written" in capsys.readouterr().err
