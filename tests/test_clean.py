"""Answers to numbers, duplicates, straight lines, and what is known at the end of a period."""

import time

import numpy as np
import pandas as pd
import pytest
from study_folder import TABLES, TOML, edited, write

from icsat_helpers import answers, labels
from icsat_helpers.clean import load
from icsat_helpers.settings import Item, Settings, fold

FIVE = "".join(
    f'[items.q{i}]\ntable = "morale"\nscale = "a"\nreversed = {"true" if i == 5 else "false"}\n' for i in range(1, 6)
)


def only(**tables):
    return {**dict.fromkeys(TABLES), **tables}


def morale(tmp_path, text, toml=TOML, **settings):
    return load(write(tmp_path, toml, **only(morale=text)), **settings)


def changes(study):
    return {(row.rule, row.column): row.rows for row in study.changes.itertuples()}


@pytest.mark.parametrize(
    ("label", "number"),
    [
        ("Strongly agree", 5), ("AGREE", 4), ("neither  agree nor disagree ", 3), ("Disagree", 2),
        ("strongly\u00a0disagree", 1), ("Very satisfied", 5), ("Dissatisfied", 2), ("Never", 1),
        ("always", 5),
        ("Tout à fait d’accord", 5), ("tout a\u0300 fait d'accord", 5), ("Pas du tout d’accord", 1),
        ("Ni d’accord ni pas d’accord", 3), ("Plutôt pas d'accord", 2), ("Très insatisfaite", 1),
        ("Parfois", 3),
        ("Stimme voll und ganz zu", 5), ("Stimme eher nicht zu", 2), ("STIMME ÜBERHAUPT NICHT ZU", 1),
        ("teils/teils", 3), ("Sehr zufrieden", 5), ("Häufig", 4), ("Nie", 1),
    ],
)  # fmt: skip
def test_labels_in_three_languages_are_numbers(label, number):
    item = Item("q", "morale", "a")
    values, how = answers.convert([label], item, Settings())
    assert values.tolist() == [number] and how.tolist() == [answers.LABEL]


def test_no_label_stands_for_two_numbers_and_each_language_has_five_of_each_kind():
    folded = [fold(label) for five in labels._FIVE_POINTS for label in five.split(";")]
    assert len(folded) == len(set(folded)) == len(labels.FIVE_POINTS)
    for five in (
        "strongly agree, agree, neither agree nor disagree, disagree, strongly disagree",
        "very satisfied, satisfied, neither satisfied nor dissatisfied, dissatisfied, very dissatisfied",
        "always, often, sometimes, rarely, never",
        "tout à fait d'accord, plutôt d'accord, ni d'accord ni pas d'accord, plutôt pas d'accord, pas du tout d'accord",
        "très satisfait, satisfait, ni satisfait ni insatisfait, insatisfait, très insatisfait",
        "toujours, souvent, parfois, rarement, jamais",
        "stimme voll und ganz zu, stimme eher zu, teils teils, stimme eher nicht zu, stimme überhaupt nicht zu",
        "sehr zufrieden, zufrieden, weder zufrieden noch unzufrieden, unzufrieden, sehr unzufrieden",
        "immer, oft, manchmal, selten, nie",
    ):
        assert [labels.FIVE_POINTS[label] for label in five.split(", ")] == [5, 4, 3, 2, 1]


def test_labels_of_the_study_come_before_those_built_in_and_may_mean_nothing():
    settings = Settings(labels={"Agree": 5.0, "Don't know": "missing", "bof": 2.0})
    values, how = answers.convert(["agree", "DON’T KNOW", "Bof", "x"], Item("q", "morale", "a"), settings)
    assert values[[0, 2]].tolist() == [5, 2] and np.isnan(values[[1, 3]]).all()
    assert how.tolist() == [answers.LABEL, answers.MISSING, answers.LABEL, answers.UNKNOWN]


def test_codes_scales_and_reversal():
    item = Item("q", "morale", "a", reversed=True, missing=(99.0, "n/a"), minimum=0, maximum=10, own_scale=True)
    texts = ["0", "10", "5", "99.0", "N/A", "11", "-1", "Strongly agree", " ", "2.5"]
    values, how = answers.convert(texts, item, Settings())
    np.testing.assert_allclose(values, [5, 1, 3, *[np.nan] * 4, 1, np.nan, 4])
    assert how.tolist() == [answers.READ] * 3 + [answers.MISSING] * 2 + [answers.OUT_OF_RANGE] * 2 + [
        answers.LABEL, answers.READ, answers.READ]  # fmt: skip


def test_each_change_is_counted_in_the_rows_that_are_kept(tmp_path):
    ratings = (
        "period,customer_unit,provider_unit,person_id,fast,slow\n"
        "2026Q1,it,hr,a,Agree,99\n2026Q1,it,hr,b,7,2\n2026Q1,it,hr,c,don’t know,\n"
        "2026Q2,it,hr,a,Agree,99\n"
    )
    study = load(write(tmp_path, **only(service_ratings=ratings)), "2026Q1")
    once = [
        ("labels", "fast"),
        ("missing_codes", "fast"),
        ("out_of_range", "fast"),
        ("missing_codes", "slow"),
    ]
    assert changes(study) == dict.fromkeys([*once, ("reversed", "slow")], 1)
    assert list(study.changes) == ["table", "rule", "column", "rows", "what"]
    table = study.table("service_ratings")
    np.testing.assert_array_equal(table["fast"], [4, np.nan, np.nan])
    np.testing.assert_array_equal(table["slow"], [np.nan, 4, np.nan])


HEAD = "period,unit_id,person_id,engaged,answered_at\n"


@pytest.mark.parametrize(
    ("rows", "answer", "counted"),
    [
        # The latest stands, wherever it is in the file, and across time zones.
        ("2026Q1,it,a,10,2026-01-03\n2026Q1,it,a,0,2026-01-02\n", 5, [1]),
        ("2026Q1,it,a,0,2026-01-02\n2026Q1,it,a,10,2026-01-03\n", 5, [1]),
        ("2026Q1,it,a,10,2026-01-03T00:30:00+01:00\n2026Q1,it,a,0,2026-01-03T00:00:00Z\n", 1, [1]),
        # A known time stands over none; a tie is a mean of those tied.
        ("2026Q1,it,a,0,\n2026Q1,it,a,10,2026-01-03\n2026Q1,it,a,0,\n", 5, [2]),
        ("2026Q1,it,a,0,2026-01-01\n2026Q1,it,a,10,2026-01-03\n2026Q1,it,a,5,2026-01-03\n", 4, [1, 1]),
        # No time at all: the mean, and a missing answer is none.
        ("2026Q1,it,a,0,\n2026Q1,it,a,10,\n2026Q1,it,a,,\n", 3, [2]),
    ],
)
def test_duplicates_are_settled_by_time_or_their_mean(tmp_path, rows, answer, counted):
    study = morale(tmp_path, HEAD + rows)
    assert study.table("morale")["engaged"].tolist() == [answer]
    assert study.changes.query("rule == 'duplicates'")["rows"].tolist() == counted


def test_duplicates_without_the_column_are_their_mean_and_others_are_left_alone(tmp_path):
    text = (
        "period,unit_id,person_id,engaged,note\n2026Q1,it,a,0,\n2026Q1,it,a,10,x\n2026Q1,it,b,10,y\n2026Q1,hr,a,5,z\n"
    )
    table = morale(tmp_path, text).table("morale")
    assert table[["unit_id", "person_id", "engaged", "note"]].to_numpy().tolist() == [
        ["hr", "a", 3, "z"], ["it", "a", 3, "x"], ["it", "b", 5, "y"]]  # fmt: skip
    assert table["t"].dtype == "int64" and table["linked"].all()


def test_one_person_may_rate_several_providers(tmp_path):
    text = "period,customer_unit,provider_unit,person_id,fast,slow\n2026Q1,it,hr,a,1,1\n2026Q1,it,it,a,5,5\n"
    assert len(load(write(tmp_path, **only(service_ratings=text))).table("service_ratings")) == 2


@pytest.mark.parametrize("head", ["period,unit_id,engaged\n", "period,unit_id,engaged,person_id\n"])
def test_rows_without_a_person_are_persons_of_their_own(tmp_path, head):
    rows = ["2026Q1,it,5", "2026Q1,it,5", "2026Q1,it,0", "2026Q2,it,5"]
    end = ["", ",\n", ", \n", ",\n", ",ann\n"] if head.endswith("person_id\n") else ["\n"] * 5
    study = morale(tmp_path, head + "".join(row + (e or ",\n") for row, e in zip(rows, end[-4:], strict=True)))
    table = study.table("morale")
    alone = table[~table["linked"]]
    assert len(table) == 4 and table["person_id"].notna().all() and alone["person_id"].is_unique
    assert len(alone) == changes(study)["no_person", "person_id"] == (3 if head.endswith("person_id\n") else 4)


@pytest.mark.parametrize(("rule", "left"), [("keep", "abcdef"), ("drop", "bcef")])
def test_straight_lines_are_counted_and_kept_unless_told_otherwise(tmp_path, rule, left):
    toml = f'contract = 1\n[study]\nname = "S"\n[cleaning]\nstraight_lines = "{rule}"\n' + FIVE
    toml += '[items.q6]\ntable = "morale"\nscale = "a"\n'
    text = (
        "period,unit_id,person_id,q1,q2,q3,q4,q5,q6\n"
        "2026Q1,it,a,4,4,4,4,4,4\n"  # straight
        "2026Q1,it,b,4,4,4,4,2,4\n"  # consistent: the fifth is worded the other way
        "2026Q1,it,c,4,4,4,4,,4\n"  # the one worded the other way is missing
        "2026Q1,it,d,4,4,4,4,4,\n"  # straight in the five answered
        "2026Q1,it,e,4,4,,4,4,\n"  # four answers are too few
        "2026Q1,it,f,5,4,4,4,4,4\n"
    )
    study = morale(tmp_path, text, toml)
    assert changes(study)["straight_lines", ""] == 2
    assert "".join(study.table("morale")["person_id"]) == left


def test_a_straight_line_needs_five_items_and_one_turned(tmp_path):
    toml = 'contract = 1\n[study]\nname = "S"\n' + FIVE
    text = "period,unit_id,person_id,q1,q2,q3,q4,q5\n2026Q1,it,a,4,4,4,4,4\n"
    for other in (
        toml.replace("reversed = true", "reversed = false"),
        toml.rsplit("[items.q1]")[0] + toml[toml.index("[items.q2]") :],
    ):
        assert ("straight_lines", "") not in changes(morale(tmp_path, text, other))


def test_nothing_later_than_the_period_remains(tmp_path):
    write(tmp_path)
    study = load(tmp_path, "2026Q1")
    for name in ("service_ratings", "morale", "external_ratings", "operations", "unit_scores"):
        assert (study.table(name)["t"] <= study.t).all() and len(study.table(name))
    assert study.table("programmes")["programme"].tolist() == ["training"]
    assert study.table("programmes")[["ended", "ended_t"]].isna().all(axis=None)
    assert len(study.table("goals")) == 1  # the target without a period stays
    people = study.table("people").set_index("person_id")
    assert people.index.tolist() == ["ann", "bob"]  # cyd is hired later
    assert people["left_on"].isna().all() and people["leave_reason"].isna().all()  # bob leaves later
    now = load(tmp_path, "2026Q2").table("people").set_index("person_id")
    assert now.loc["bob", "left_on"] == pd.Timestamp("2026-06-30") and now.loc["bob", "leave_reason"] == "voluntary"


def test_later_rows_change_nothing_about_an_earlier_period(tmp_path):
    early = {name: text for name, text in TABLES.items() if name != "goals"}
    early["service_ratings"] = "".join(TABLES["service_ratings"].splitlines(keepends=True)[:3])
    early["morale"] = "".join(TABLES["morale"].splitlines(keepends=True)[:2])
    one = load(write(tmp_path / "a", **only(**early)), "2026Q1")
    two = load(write(tmp_path / "b"), "2026Q1")
    for name in ("service_ratings", "morale", "people"):
        pd.testing.assert_frame_equal(one.table(name), two.table(name))
    assert one.changes.equals(two.changes)


def test_the_last_moment_of_a_period_belongs_to_it(tmp_path):
    people = (
        "person_id,unit_id,hired_on,left_on\nann,it,2026-03-31T17:00:00,\nbob,it,2026-04-01,\n"
        "cyd,it,,2026-03-31T17:00:00\n"
    )
    table = load(write(tmp_path, people=people), "2026Q1").table("people")
    assert table["person_id"].tolist() == ["ann", "cyd"] and table["left_on"].notna().tolist() == [
        False,
        True,
    ]


def test_the_latest_period_is_that_of_the_ratings_then_of_the_scores(tmp_path):
    scores = edited("unit_scores", "2025Q4,it,internal", "2027Q1,it,internal")
    late = "period,unit_id,person_id,engaged\n2028Q1,it,a,1\n"
    assert load(write(tmp_path / "a", morale=late, **scores)).period == "2026Q2"
    assert load(write(tmp_path / "b", morale=late, **scores), "2028Q1").period == "2028Q1"
    assert load(write(tmp_path / "c", service_ratings=None, morale=late, **scores)).period == "2027Q1"
    assert load(write(tmp_path / "d", service_ratings=None, unit_scores=None, morale=late)).period == "2028Q1"
    empty = TABLES["service_ratings"].splitlines()[0] + "\n"
    assert load(write(tmp_path / "e", service_ratings=empty, morale=late, **scores)).period == "2027Q1"


def test_a_period_may_arrive_as_a_number(tmp_path):
    toml = 'contract = 1\n[study]\nname = "S"\nfrequency = "year"\n'
    write(tmp_path, toml, **only(morale="period,unit_id\n2025,it\n2026.0,it\n"))
    assert load(tmp_path, 2025).period == load(tmp_path, "2025").period == load(tmp_path, 2025.0).period == "2025"


def test_a_site_keeps_its_customers_people_and_every_unit(tmp_path):
    study = load(write(tmp_path), site="01")
    assert study.site == "01"
    assert study.table("service_ratings")["customer_unit"].unique().tolist() == ["it"]
    assert study.table("service_ratings")["provider_unit"].unique().tolist() == ["hr"]
    for name in ("people", "external_ratings", "operations", "unit_scores"):
        assert study.table(name)["unit_id"].unique().tolist() == ["it"], name
    assert len(study.table("morale")) == 1
    assert len(study.table("units")) == 2 and len(study.table("goals")) == 2 and len(study.table("programmes")) == 2


def test_people_are_employees_unless_told_and_strangers_are_kept_and_counted(tmp_path):
    study = load(write(tmp_path, **edited("morale", "hr,bob", "hr,zoe")))
    assert study.table("people")["associate_type"].tolist() == ["employee", "employee"]
    assert changes(study)["default", "associate_type"] == 1
    assert changes(study)["not_in_people", "person_id"] == 1 and "zoe" in set(study.table("morale")["person_id"])
    study = load(write(tmp_path, people="person_id,unit_id\nann,it\n"))
    assert study.table("people")["associate_type"].tolist() == ["employee"] and "left_on" not in study.table("people")


def test_the_order_of_rows_changes_nothing(tmp_path):
    r = np.random.default_rng(3)
    n = 400
    ratings = pd.DataFrame({
        "period": r.choice(["2026Q1", "2026Q2"], n), "customer_unit": r.choice(["it", "hr"], n),
        "provider_unit": r.choice(["it", "hr"], n), "person_id": r.choice(["", "a", "b", "c"], n),
        "fast": r.choice(["1", "2", "Agree", "99", ""], n), "slow": r.choice(["1", "2", "99", ""], n),
        "comment": r.choice(["", "x", "y"], n), "answered_at": r.choice(["", "2026-01-01", "2026-01-02"], n),
    })  # fmt: skip
    external = pd.DataFrame({"period": "2026Q1", "unit_id": "it", "score": r.normal(4, 1, n)})
    orders = [np.arange(n), r.permutation(n)]
    one, two = (
        load(write(tmp_path / str(i), service_ratings=ratings.iloc[order].to_csv(index=False),
                   external_ratings=external.iloc[order].to_csv(index=False)))
        for i, order in enumerate(orders)
    )  # fmt: skip
    for name in ("service_ratings", "external_ratings", "morale"):
        pd.testing.assert_frame_equal(one.table(name), two.table(name))
    pd.testing.assert_frame_equal(one.changes, two.changes)
    assert {"duplicates", "no_person"} <= set(one.changes["rule"])


def test_forty_thousand_ratings_take_less_than_a_moment(tmp_path):
    r = np.random.default_rng(1)
    n = 40_000
    items = {f"q{i}": r.integers(1, 6, n) for i in range(1, 10)}
    people = [f"p{i}" for i in r.integers(0, 1000, n)]
    ratings = pd.DataFrame({
        "period": r.choice([f"2026Q{i}" for i in range(1, 5)], n), "customer_unit": r.choice(["it", "hr"], n),
        "provider_unit": r.choice([f"u{i}" for i in range(30)], n), "person_id": people, **items,
    })  # fmt: skip
    toml = 'contract = 1\n[study]\nname = "S"\n' + "".join(
        f'[items.q{i}]\ntable = "service_ratings"\nscale = "a"\n' for i in range(1, 10)
    )
    write(tmp_path, toml, **only(service_ratings=ratings.to_csv(index=False)))
    load(tmp_path)
    start = time.process_time()
    load(tmp_path)
    assert time.process_time() - start < 1.5  # 0.2 s on an idle machine of two cores
