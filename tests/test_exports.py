"""Survey exports: what the tool puts around answers is taken off and counted, questions find their items."""

from __future__ import annotations

import pandas as pd
import pytest
from study_folder import TABLES, TOML, write

from icsat_helpers import clean, exports
from icsat_helpers.problems import Unreadable

QUALTRICS = (
    'StartDate,Status,Finished,RecordedDate,IPAddress,RecipientEmail,Unit,Who,"Q1"\n'
    'Start Date,Type,Finished,Recorded Date,IP Address,Email,Your unit,Your id,"How engaged\nare you?"\n'
    + ",".join([f'"{{""ImportId"":""{i}""}}"' for i in range(9)])
    + "\n"
    "2026-01-05 09:00:00,Survey Preview,True,2026-01-05 09:01:00,1.1.1.1,a@b.c,it,pre,1\n"
    "2026-01-05 09:00:00,IP Address,False,2026-01-05 09:01:00,1.1.1.1,a@b.c,it,half,1\n"
    "2026-02-05 09:00:00,IP Address,True,2026-02-05 09:01:00,1.1.1.1,a@b.c,it,ann,10\n"
    "2026-03-05 09:00:00,IP Address,True,2026-03-05 09:01:00,1.1.1.1,a@b.c,it,ann,5\n"
    "2026-04-05 09:00:00,IP Address,True,2026-04-05 09:01:00,1.1.1.1,a@b.c,hr,bob,oops\n"
)
BLOCK = (
    '[tables.morale]\nformat = "{}"\nperiod_from = "{}"\n'
    'columns = {{ unit_id = "{}", person_id = "{}", engaged = "{}" }}\n'
)
TOML_Q = TOML + BLOCK.format("qualtrics", "RecordedDate", "Unit", "Who", "Q1")


def only(folder, toml, data):
    return write(folder, toml, **{**dict.fromkeys(TABLES), "morale": data})


def told(study):
    return {(row.rule, row.column): row.rows for row in study.changes.itertuples()}


def lines(folder):
    return [str(problem) for problem in clean.check(folder)]


def test_a_qualtrics_export_is_its_answers(tmp_path):
    study = clean.load(only(tmp_path, TOML_Q, QUALTRICS.replace("oops", "0")))
    rows = study.table("morale")
    assert rows[["period", "unit_id", "person_id", "engaged"]].to_numpy().tolist() == [
        ["2026Q1", "it", "ann", 3.0],  # the later of two answers: the export says when each was given
        ["2026Q2", "hr", "bob", 1.0],
    ]
    assert told(study)["previews", ""] == 1 and told(study)["unfinished", ""] == 1
    assert study.words["morale"]["engaged"] == "How engaged\nare you?"
    assert not {"IPAddress", "RecipientEmail"} & set(rows)  # nobody asked for them


def test_rows_of_an_export_are_those_of_its_file(tmp_path):
    assert lines(only(tmp_path, TOML_Q, QUALTRICS)) == [
        "morale (morale.csv), column engaged, row 8: found 'oops', expected a number from 0 to 10 or a known label"
    ]


def test_columns_about_the_person_come_only_when_asked_for(tmp_path):
    toml = TOML_Q.replace('"Who"', '"RecipientEmail"')
    study = clean.load(only(tmp_path, toml, QUALTRICS.replace("oops", "0")))
    assert set(study.table("morale")["person_id"]) == {"a@b.c"}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("Survey Preview", "Umfragevorschau", "column Status, row 4: found 'Umfragevorschau', expected a status that"),
        (",False,", ",perhaps,", "column Finished, row 5: found 'perhaps', expected True or False"),
        ("Finished,RecordedDate", "Done,RecordedDate", "expected a column Finished or Progress"),
        ("Status,", "State,", "expected a column Status or DistributionChannel"),
    ],
)
def test_what_tells_answers_from_others_must_be_there(tmp_path, old, new, expected):
    found = lines(only(tmp_path, TOML_Q, QUALTRICS.replace(old, new, 1)))
    assert len(found) == 1 and expected in found[0]


def test_numeric_states_and_a_workbook_without_import_ids(tmp_path):
    frame = pd.DataFrame(
        {
            "RecordedDate": ["Recorded Date", "2026-01-05", "2026-01-06", "2026-01-07"],
            "Status": ["Type", "0", "1", "16"],
            "Progress": ["Progress", "100", "100", "80"],
            "x": ["Question?", "1", "2", "3"],
        },
        dtype="str",
    )
    sheet = exports.read(exports.Sheet(frame, pd.RangeIndex(2, 6).to_numpy()), "qualtrics")
    assert sheet.frame["x"].tolist() == ["1"] and sheet.rows.tolist() == [3] and sheet.words["x"] == "Question?"
    sheet = exports.read(
        exports.Sheet(frame.iloc[1:].reset_index(drop=True), pd.RangeIndex(2, 5).to_numpy()), "qualtrics"
    )
    assert sheet.frame["x"].tolist() == ["1"] and sheet.rows.tolist() == [2] and sheet.words == {}


def test_a_qualtrics_export_that_does_not_say_so_is_told(tmp_path):
    found = lines(only(tmp_path, TOML, QUALTRICS))
    assert found == ['morale (morale.csv): expected format = "qualtrics", for this is an export of Qualtrics']


LIME = (
    '"id","submitdate","lastpage","startlanguage","G01Q01. Unit","G01Q02[SQ001]. How engaged?","ipaddr"\n'
    '"1","2026-01-05 10:00:00","3","en","it","Agree","1.1.1.1"\n"2","","1","en","it","Agree","1.1.1.1"\n'
    '"3","2026-01-06 10:00:00","3","en","hr","N/A","1.1.1.1"\n"4","2026-01-07 10:00:00","3","de","hr","A2","1.1.1.1"\n'
)


def test_a_limesurvey_export_in_codes_or_full_answers(tmp_path):
    toml = TOML.replace("[answers]", '[answers]\nA2 = 2.0\n"AO01" = 1')
    toml += BLOCK.format("limesurvey", "submitdate", "G01Q01", "id", "G01Q02[SQ001]")
    study = clean.load(only(tmp_path, toml, LIME))
    rows = study.table("morale")
    assert rows["person_id"].tolist() == ["1", "3", "4"] and rows["engaged"].dropna().tolist() == [4.0, 1.8]
    assert told(study)["unfinished", ""] == 1 and study.words["morale"]["engaged"] == "How engaged?"
    found = lines(only(tmp_path, toml, LIME.replace("submitdate", "gone")))
    assert any("a column submitdate, to tell unfinished answers" in line for line in found)


FORMS = (
    "Timestamp,Your department,How engaged\u00a0are  you?,Email Address\n"
    + "".join(f"2026/01/{i:02d} 9:15:00 PM GMT+1,it,{i},a@b.c\n" for i in range(1, 11))
    + "2026/01/11 9:15:00 AM GMT+1,it,It depends,a@b.c\n"
)
TOML_F = TOML.replace("maximum = 10", 'maximum = 10\ntext.en = "How engaged are you?"')


def test_a_form_finds_its_items_by_their_question_and_counts_own_words(tmp_path):
    toml = (
        TOML_F
        + '[tables.morale]\nformat = "forms"\nperiod_from = "Timestamp"\ncolumns = { unit_id = "Your department" }\n'
    )
    study = clean.load(only(tmp_path, toml, FORMS))
    rows = study.table("morale")
    assert len(rows) == 11 and rows["engaged"].isna().sum() == 1 and told(study)["other_answers", "engaged"] == 1
    assert rows["answered_at"].min() == pd.Timestamp("2026-01-01 20:15") and "Email Address" not in rows
    found = lines(only(tmp_path, toml, FORMS.replace(",1,", ",one,").replace(",2,", ",two,")))
    assert found == [
        "morale (morale.csv), column engaged, 3 rows, first 2, 3, 12: found 'one', 'two', 'It depends', "
        "expected a number from 0 to 10 or a known label"
    ]


@pytest.mark.parametrize(
    ("times", "first"),
    [
        (["2026/03/31 9:15:00 PM GMT+1", "2026/03/30 9:15:00 AM GMT+1"], "2026-03-31T21:15:00+01:00"),
        (["3/31/2026 21:15:00", "1/2/2026 1:00:00"], "2026-03-31T21:15:00"),
        (["31/03/2026 21:15", "1/2/2026 1:00"], "2026-03-31T21:15:00"),
        (["31.03.2026 12:15:00 AM"], "2026-03-31T00:15:00"),
        (["2026-03-31 21:15:00"], "2026-03-31 21:15:00"),
        (["1/2/2026 21:15", "2/1/2026 21:15"], None),
        (["13/2/2026 21:15", "2/13/2026 21:15"], None),
    ],
)
def test_times_of_forms_are_read_or_refused(times, first):
    sheet = exports.Sheet(pd.DataFrame({"Timestamp": times}, dtype="str"), pd.RangeIndex(len(times)).to_numpy())
    if first is None:
        with pytest.raises(Unreadable, match="day and month"):
            exports.read(sheet, "forms")
    else:
        assert exports.read(sheet, "forms").frame["Timestamp"][0] == first


WIDE = "period,customer_unit,person_id,hr_fast,hr_slow,it_fast,it_slow\n2026Q1,it,ann,4,2,,\n2026Q1,hr,bob,,,5,x\n"


def test_one_row_a_respondent_becomes_one_row_a_rating(tmp_path):
    toml = TOML + "[tables.service_ratings.unpivot]\npattern = '(?P<provider_unit>hr|it)_(?P<item>\\w+)'\n"
    study = clean.load(write(tmp_path, toml, service_ratings=WIDE.replace("x", "1")))
    columns = ["customer_unit", "provider_unit", "person_id", "fast", "slow"]
    assert study.table("service_ratings")[columns].to_numpy().tolist() == [
        ["it", "hr", "ann", 4.0, 4.0], ["hr", "it", "bob", 5.0, 5.0]]  # fmt: skip
    assert told(study)["unpivot", ""] == 2
    assert lines(write(tmp_path, toml, service_ratings=WIDE)) == [
        "service_ratings (service_ratings.csv), column slow, row 3: found 'x', "
        "expected a number from 1 to 5 or a known label"
    ]
    for text, expected in {
        WIDE.replace("_", "-"): "columns whose names fit the pattern of unpivot",
        WIDE.replace("period,", "period,fast,").replace(
            "2026Q1,", "2026Q1,1,"
        ): "each column name once, also after unpivot",
    }.items():
        assert expected in lines(write(tmp_path, toml, service_ratings=text))[0]


def test_formats_keep_their_hands_off_other_columns():
    frame = pd.DataFrame({"a": ["1"]}, dtype="str")
    sheet = exports.Sheet(frame, pd.RangeIndex(2, 3).to_numpy())
    assert exports.read(sheet, "") is sheet
    for form in exports.FORMS:
        with pytest.raises(Unreadable):
            exports.read(sheet, form)
