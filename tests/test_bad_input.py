"""Each kind of bad input is one line that names the culprit, all lines come together, and secrets stay in."""

import pytest
from study_folder import TABLES, TOML, edited, write

from icsat_helpers.clean import check, load
from icsat_helpers.settings import parse
from icsat_helpers.study import StudyError

RATINGS = "service_ratings (service_ratings.csv)"
PEOPLE = "people (people.csv)"
SCORES = "unit_scores (unit_scores.csv)"


def lines(folder):
    found = [str(problem) for problem in check(folder)]
    assert all(len(line.splitlines()) == 1 for line in found)
    return found


def test_the_small_study_is_ready(tmp_path):
    assert lines(write(tmp_path)) == []


# What is broken, and the one line it must give.
ONE_LINE = {
    "text in a number": (
        edited("operations", "10,5,0.5", "ten,5,0.5"),
        "operations (operations.csv), column output, row 2: found 'ten', expected a number",
    ),
    "decimal comma": (
        edited("external_ratings", "it,4,10", 'it,"4,5",10'),
        "external_ratings (external_ratings.csv), column score, row 2: found '4,5', expected a number",
    ),
    "nan, inf and 1e400 are no numbers": (
        {"external_ratings": ("period,unit_id,score\n2026Q1,it,nan\n2026Q1,it,inf\n2026Q1,it,1e400\n2026Q1,it,NA\n")},
        "external_ratings (external_ratings.csv), column score, 4 rows, first 2, 3, 4: "
        "found 'nan', 'inf', '1e400', ..., expected a number",
    ),
    "out of range": (
        edited("operations", "10,5,0.5", "10,5,1.5"),
        "operations (operations.csv), column rework_rate, row 2: found '1.5', expected a number from 0 to 1",
    ),
    "recommend out of range": (
        edited("external_ratings", "it,4,10", "it,4,11"),
        "external_ratings (external_ratings.csv), column recommend, row 2: found '11', expected a number from 0 to 10",
    ),
    "target off the answer scale": (
        edited("goals", "it,4,,", "it,6,,"),
        "goals (goals.csv), column target, row 2: found '6', expected a number from 1 to 5",
    ),
    "turnover is a share": (
        edited("unit_scores", "turnover,0.1", "turnover,10"),
        f"{SCORES}, column value, row 3: found '10', expected a share from 0 to 1 for turnover and intent_to_leave",
    ),
    "impossible period": (
        edited("service_ratings", "2026Q2,it", "2026Q5,it"),
        f"{RATINGS}, column period, row 4: found '2026Q5', expected a quarter such as 2026Q3",
    ),
    "impossible start": (
        edited("programmes", "2026Q1,2026Q2", "spring,2026Q2"),
        "programmes (programmes.csv), column started, row 2: found 'spring', expected a quarter such as 2026Q3",
    ),
    "ended before it started": (
        edited("programmes", "2026Q1,2026Q2", "2026Q1,2025Q4"),
        "programmes (programmes.csv), column ended, row 2: found '2025Q4', expected a period not before started",
    ),
    "a date that is none": (
        edited("people", "2026-06-30", "30.06.2026"),
        f"{PEOPLE}, column left_on, row 3: found '30.06.2026', expected a date such as 2026-03-31 (ISO 8601)",
    ),
    "a day that does not exist": (
        edited("people", "2026-06-30", "2026-02-30"),
        f"{PEOPLE}, column left_on, row 3: found '2026-02-30', expected a date such as 2026-03-31 (ISO 8601)",
    ),
    "left before hired": (
        edited("people", "2026-06-30", "2019-06-30"),
        f"{PEOPLE}, column left_on, row 3: found '2019-06-30', expected a day not before hired_on",
    ),
    "an unknown kind": (
        edited("units", "it,internal,02", "it,Internal,02"),
        "units (units.csv), column kind, row 3: found 'Internal', "
        "expected internal, supplier, contractor or distributor",
    ),
    "an unknown measure": (
        edited("unit_scores", "turnover", "churn"),
        f"{SCORES}, column measure, row 3: found 'churn', expected internal, internal.<scale>, "
        f"morale, external, "
        "turnover, intent_to_leave or productivity",
    ),
    "assigned is random or nothing": (
        edited("programmes", "random", "yes"),
        "programmes (programmes.csv), column assigned, row 2: found 'yes', expected random or nothing",
    ),
    "unknown unit": (
        edited("service_ratings", "2026Q1,hr,it", "2026Q1,hrr,it"),
        f"{RATINGS}, column customer_unit, row 3: found 'hrr', expected a unit_id of units; did you mean hr?",
    ),
    "unknown parent": (
        edited("units", "HR,it", "HR,board"),
        "units (units.csv), column parent_unit, row 3: found 'board', expected a unit_id of units",
    ),
    "required cell empty": (
        edited("service_ratings", "2026Q1,it,hr,ann", "2026Q1, ,hr,ann"),
        f"{RATINGS}, column customer_unit, row 2: expected a value in each row, found none",
    ),
    "required column missing": (
        edited("service_ratings", "customer_unit", "costumer_unit"),
        f"{RATINGS}, column customer_unit: expected this column; did you mean costumer_unit?",
    ),
    "item without its column": (
        edited("service_ratings", "fast", "fasst"),
        f"{RATINGS}, column fast: expected this column, for items.fast; did you mean fasst?",
    ),
    "a label nobody knows": (
        {"morale": "period,unit_id,person_id,engaged\n" + "2026Q1,it,p{0},so so\n" * 4},
        "morale (morale.csv), column engaged, 4 rows, first 2, 3, 4: found 'so so', "
        "expected a number from 0 to 10 or a known label",
    ),
    "duplicate unit": (
        {"units": TABLES["units"] + "it,IT again,,internal,01\n"},
        "units (units.csv), column unit_id, 2 rows, first 2, 4: found 'it', expected one row for each",
    ),
    "duplicate operations": (
        edited("operations", "2026Q2,it", "2026Q1,it"),
        "operations (operations.csv), column period, unit_id, 2 rows, first 2, 3: found '2026Q1, it', "
        "expected one row for each",
    ),
    "duplicate unit score": (
        edited("unit_scores", "turnover,0.1", "internal,0.1"),
        f"{SCORES}, column period, unit_id, measure, 2 rows, first 2, 3: found '2025Q4, it, internal', "
        "expected one row for each",
    ),
    "duplicate programme": (
        edited("programmes", "hr,feedback,2026Q2", "it,training,2026Q1"),
        "programmes (programmes.csv), column unit_id, programme, started, 2 rows, first 2, 3: "
        "found 'it, training, 2026Q1', expected one row for each",
    ),
    "duplicate goal, scale and period empty": (
        {"goals": "provider_unit,target\nit,4\nit,5\n"},
        "goals (goals.csv), column provider_unit, 2 rows, first 2, 3: found 'it', expected one row for each",
    ),
    "empty file": ({"units": b""}, "units (units.csv): expected a header row (the file is empty)"),
    "damaged UTF-8": (
        {"units": "unit_id,unit_name\nit,Café\nhr,".encode() + b"\xe9\n"},
        "units (units.csv), row 3: expected UTF-8 text",
    ),
    "no text at all": (
        {"units": b"unit_id\nit\x81\n"},
        "units (units.csv), row 2: expected UTF-8, UTF-16 or Windows-1252 text",
    ),
    "a cell too many": (
        edited("morale", "bob,5", "bob,5,6"),
        "morale (morale.csv), row 3: found 5 cells, expected 4 cells, as in the header",
    ),
    "a column name twice": (
        edited("morale", "engaged", "unit_id"),
        "morale (morale.csv), column unit_id, row 1: expected each column name once",
    ),
    "a name that cleaning uses": (
        edited("unit_scores", "source", "t"),
        f"{SCORES}, column t: expected another name, for cleaning adds a column of this one",
    ),
    "a control character in an id": (
        edited("units", "hr,HR,it,internal,02", "hr,HR,it,internal,0\x072"),
        r"units (units.csv), column site, row 3: found '0\x072', expected text without control characters",
    ),
}


@pytest.mark.parametrize("kind", ONE_LINE)
def test_one_fault_is_one_line_naming_it(tmp_path, kind):
    tables, line = ONE_LINE[kind]
    needed = {"units": TABLES["units"], "morale": TABLES["morale"]}
    assert lines(write(tmp_path, **{**dict.fromkeys(TABLES), **needed, **tables})) == [line]


# What is wrong in study.toml, and the one line it must give after "study (study.toml), ".
TOML_LINES = {
    "misspelt key": (
        TOML + '[cleaning]\nstrait_lines = "drop"\n',
        "column cleaning.strait_lines: expected a known name; did you mean straight_lines?",
    ),
    "misspelt block": (
        TOML + "[cleening]\n",
        "column cleening: expected a known name; did you mean cleaning?",
    ),
    "misspelt item key": (
        TOML.replace("reversed", "revered"),
        "column items.slow.revered: expected a known name; did you mean reversed?",
    ),
    "another contract": (
        TOML.replace("contract = 1", "contract = 2"),
        "column contract: found '2', expected contract = 1",
    ),
    "true is not one": (
        TOML.replace("contract = 1", "contract = true"),
        "column contract: found 'True', expected contract = 1",
    ),
    "no name": (TOML.replace('name = "Small"', ""), "column study.name: expected the name of the study"),
    "no such frequency": (
        TOML.replace("[answers]", 'frequency = "quarterly"\n[answers]'),
        "column study.frequency: found 'quarterly', expected one of quarter, year, half, month; did you mean quarter?",
    ),
    "group of none": (
        TOML.replace("[answers]", "minimum_group = 0\n[answers]"),
        "column study.minimum_group: found '0', expected a whole number of 1 or more",
    ),
    "scale upside down": (
        TOML + "[answer_scale]\nminimum = 9\nmaximum = 5\n",
        "column answer_scale.maximum: found '5.0', expected a number above the minimum, 9",
    ),
    "true is no number": (
        TOML + "[answer_scale]\nminimum = true\n",
        "column answer_scale.minimum: found 'True', expected a number",
    ),
    "infinite scale": (
        TOML + "[answer_scale]\nmaximum = inf\n",
        "column answer_scale.maximum: found 'inf', expected a number",
    ),
    "favourable off the scale": (
        TOML + "[answer_scale]\nfavourable = 6\n",
        "column answer_scale.favourable: found '6.0', expected a number from 1 to 5",
    ),
    "label of a word": (
        TOML.replace('"missing"', '"none"', 1),
        "column answers.Don't know: found 'none', expected a number or \"missing\"",
    ),
    "one label, two numbers": (
        TOML.replace("[answers]", '[answers]\n"DON’T KNOW" = 3'),
        "column answers.Don't know: found 'missing', expected the same number as DON’T KNOW, the same label",
    ),
    "item of another table": (
        TOML.replace('"morale"', '"moral"'),
        "column items.engaged.table: found 'moral', expected one of service_ratings, morale; did you mean morale?",
    ),
    "item named like a column": (
        TOML.replace("[items.slow]", "[items.comment]"),
        "column items.comment: expected a name that is not a column of the table already",
    ),
    "reversed in words": (
        TOML.replace("reversed = true", 'reversed = "yes"'),
        "column items.slow.reversed: found 'yes', expected true or false",
    ),
    "missing is a list": (
        TOML.replace("[99]", "99"),
        "column items.slow.missing: found '99', expected a list of codes such as [99]",
    ),
    "text of another language": (
        TOML.replace("[items.slow]", 'text.it = "Veloce"\n[items.slow]'),
        "column items.fast.text: expected a text for any of en, fr, de",
    ),
    "unknown table": (
        TOML + '[tables.moral]\nsource = "morale.csv"\n',
        "column tables.moral: expected a table of the contract; did you mean morale?",
    ),
    "a query and a file": (
        TOML + '[tables.goals]\nquery = "select 1"\nsource = "goals.csv"\n',
        "column tables.goals.query: expected either a query or files, not both",
    ),
    "no such format": (
        TOML + '[tables.goals]\nformat = "qualtric"\n',
        "column tables.goals.format: found 'qualtric', expected one of qualtrics, limesurvey, forms; "
        "did you mean qualtrics?",
    ),
    "unpivot without an item": (
        TOML + '[tables.service_ratings.unpivot]\npattern = "(?P<provider_unit>[A-Z]+)_(.+)"\n',
        'column tables.service_ratings.unpivot: expected pattern = "...", with a group named item and a group for '
        "each other column",
    ),
    "pattern without a group": (
        TOML + '[tables.morale]\nperiod_pattern = "x"\n',
        "column tables.morale.period_pattern: found 'x', expected a regular expression with one group, the period",
    ),
    "smallest effect of zero": (
        TOML + "[smallest_effects]\nH1 = 0\n",
        "column smallest_effects.H1: found '0', expected a hypothesis from H1 to H7 and a number above 0",
    ),
    "smallest effect of nothing": (
        TOML + "[smallest_effects]\nH9 = 1\n",
        "column smallest_effects.H9: found '1', expected a hypothesis from H1 to H7 and a number above 0",
    ),
    "a variable that is none": (
        TOML + '[database]\nurl_variable = "my db"\n',
        "column database.url_variable: expected the name of an environment variable",
    ),
}


@pytest.mark.parametrize("kind", TOML_LINES)
def test_one_fault_in_the_settings_is_one_line_naming_it(kind):
    toml, line = TOML_LINES[kind]
    assert [str(problem) for problem in parse(toml)[1]] == ["study (study.toml), " + line]


@pytest.mark.parametrize(
    "block",
    [
        '[database]\nurl_variable = "{}"\n',
        '[database]\nurl = "{}"\n',
        '[privacy]\npseudonymise = "{}"\n',
        '[tables.goals]\nsource = "{}"\n',
        '[tables.goals]\ncolumns = {{ target = "{}" }}\n',
        '[cleaning]\nstraight_lines = "{}"\n',
        '"{}" = 1\n',
        '[smallest_effects]\n"{}" = 1\n',
    ],
)
@pytest.mark.parametrize("address", ["postgresql+psycopg://me:s3cret@host/db", "redis://:s3cret@host", "pwd=s3cret;"])
def test_a_database_address_is_refused_and_never_said(block, address):
    toml = block.format(address) + TOML if block.startswith('"') else TOML + block.format(address)
    settings, found = parse(toml)
    assert any("no database address" in str(problem) for problem in found)
    assert "s3cret" not in "\n".join(map(str, found)) + repr(settings)


@pytest.mark.parametrize("block", ['[database]\nurl_variable = "{}"\n', '[tables.goals]\nquery = "{}"\n'])
def test_where_data_come_from_no_address_of_any_kind_is_said(block):
    _, found = parse(TOML + block.format("https://host/s3cret"))
    assert len(found) == 1 and "s3cret" not in str(found[0]) and "no database address" in str(found[0])


def test_what_is_put_where_a_name_of_a_variable_belongs_is_not_said():
    _, found = parse(TOML + '[privacy]\npseudonymise = "my s3cret"\n[database]\nurl_variable = "s3cret!"\n')
    assert len(found) == 2 and "s3cret" not in f"{found[0]}{found[1]}"


def test_without_a_frequency_nothing_is_said_of_periods(tmp_path):
    toml = TOML.replace("[answers]", 'frequency = "yearly"\n[answers]')
    years = "period,unit_id,score\n2026,it,ten\n"
    found = lines(write(tmp_path, toml, **{**dict.fromkeys(TABLES), "external_ratings": years}))
    assert len(found) == 2 and "study.frequency" in found[0] and "'ten'" in found[1]


def test_a_cell_already_named_is_not_a_duplicate_or_missing_too(tmp_path):
    text = "period,unit_id,output\n2026Q9,it,1\n2026Q9,it,2\n2026Q1,,1\n2026Q1,,2\n"
    assert lines(write(tmp_path, operations=text)) == [
        "operations (operations.csv), column period, 2 rows, first 2, 3: found '2026Q9', "
        "expected a quarter such as 2026Q3",
        "operations (operations.csv), column unit_id, 2 rows, first 4, 5: expected a value in each row, found none",
    ]


def test_a_damaged_workbook_of_a_table_is_refused(tmp_path):
    write(tmp_path, goals=None)
    (tmp_path / "goals.xlsx").write_bytes(b"PK")
    (tmp_path / "notes.xlsx").write_bytes(b"PK")
    assert lines(tmp_path) == ["goals (goals.xlsx): expected a workbook that a spreadsheet can open"]


def test_an_address_in_a_study_stops_it(tmp_path):
    found = lines(write(tmp_path, TOML + '[database]\nurl_variable = "postgresql://me:s3cret@host/db"\n'))
    assert found == [
        "study (study.toml), column database.url_variable: "
        "expected no database address here: url_variable names an environment variable"
    ]


def test_a_file_that_tries_to_be_toml_is_refused_with_its_line(tmp_path):
    found = lines(write(tmp_path, "contract = 1\nname = \n"))
    assert len(found) == 1 and "valid TOML" in found[0] and "line 2" in found[0]
    (tmp_path / "study.toml").write_bytes(b'contract = 1\n[study]\nname = "Caf\xe9"\n')
    assert lines(tmp_path) == ["study (study.toml), row 3: expected UTF-8 text"]


def test_a_folder_that_is_no_study_is_refused(tmp_path):
    assert "a folder with a study.toml" in lines(tmp_path / "nowhere")[0]
    assert "a folder with a study.toml" in lines(tmp_path)[0]


def test_a_named_file_must_be_there_and_inside(tmp_path):
    (tmp_path / "elsewhere.csv").write_text(TABLES["goals"])
    folder = tmp_path / "study"
    for source, expected in {
        "absent.csv": "a file of that name in the study's folder",
        "absent-*.csv": "a file of that name in the study's folder",
        "**.csv": "a file of that name in the study's folder",
        "../elsewhere.csv": "a file inside the study's folder",
        str(tmp_path / "elsewhere.csv"): "a file inside the study's folder",
        "/*.csv": "a file inside the study's folder",
        "link.csv": "a file inside the study's folder",
    }.items():
        write(folder, TOML + f'[tables.goals]\nsource = "{source}"\n')
        if source == "link.csv":
            (folder / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
        assert lines(folder) == [f"goals ({source}): expected {expected}"]


def test_two_files_for_one_table_and_a_file_nearly_named_like_one_are_refused(tmp_path):
    write(tmp_path, morale=None)
    (tmp_path / "moral.csv").write_text(TABLES["morale"])
    assert lines(tmp_path) == [
        "morale (moral.csv): expected a file such as morale.csv (or .csv.gz, .parquet, .xlsx, .ods, .sav)"
    ]
    (tmp_path / "moral.csv").rename(tmp_path / "morale.csv.gz")
    (tmp_path / "morale.csv").write_text(TABLES["morale"])
    assert lines(tmp_path) == ["morale (morale.csv, morale.csv.gz): expected one file, not several"]


def test_a_study_without_tables_or_rows_is_refused(tmp_path):
    nothing = dict.fromkeys(TABLES)
    assert "at least one table" in lines(write(tmp_path / "a", **nothing))[0]
    heads = {name: text.splitlines()[0] + "\n" for name, text in TABLES.items()}
    assert lines(write(tmp_path / "b", **heads)) == [
        "service_ratings, unit_scores, morale: expected at least one row with a period in one of these tables"
    ]


@pytest.mark.parametrize("period", ["2026Q4", "2026Q5", "last", "2026"])
def test_a_period_the_study_does_not_have_is_refused_with_those_it_has(tmp_path, period):
    with pytest.raises(StudyError) as refused:
        load(write(tmp_path), period)
    assert str(refused.value) == (
        f"study, column period: found '{period}', expected a period that the study has: 2025Q4, 2026Q1, 2026Q2"
    )


def test_an_unknown_site_is_refused_with_those_there_are(tmp_path):
    with pytest.raises(StudyError, match="found '03', expected a site that the study has: 01, 02"):
        load(write(tmp_path), site="03")
    with pytest.raises(StudyError, match="the study names none"):
        load(write(tmp_path, units="unit_id\nit\nhr\n"), site="01")


def test_all_problems_come_together_settings_tables_answers_and_period(tmp_path):
    write(
        tmp_path,
        TOML.replace("reversed", "revered"),
        units=b"",
        operations=TABLES["operations"].replace("10,5,0.5", "ten,-5,7"),
        morale=TABLES["morale"].replace("ann,10", "ann,so so"),
    )
    with pytest.raises(StudyError) as refused:
        load(tmp_path, "2030Q1")
    text = str(refused.value)
    for culprit in ("items.slow.revered", "units.csv", "'ten'", "'-5'", "'7'", "'so so'", "'2030Q1'"):
        assert culprit in text
    assert len(refused.value.problems) == 7 == len(text.splitlines())


def test_private_values_are_never_said(tmp_path):
    people = (
        "person_id,unit_id,performance,left_on\nsecret-ann,it,secret-nine,x\nsecret-ann,it,77.125,\nse\x07cret,zz,,\n"
    )
    ratings = "period,customer_unit,provider_unit,person_id,comment,fast,slow\n,it,hr,secret-bob,secret-words,x,1\n"
    short = "period,unit_id,person_id,engaged\n2026Q1,it,secret-cyd\n"
    found = lines(write(tmp_path, people=people, service_ratings=ratings, morale=short))
    text = "\n".join(found)
    assert len(found) == 9, text
    assert "secret" not in text and "77.125" not in text and "cret" not in text
    for column in ("person_id, 2 rows", "person_id, row 4", "performance, row 2", "performance, row 3"):
        assert f"{PEOPLE}, column {column}" in text
