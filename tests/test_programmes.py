"""Programmes from a study's tables to findings: planted effects, drifts, overlaps, few units, plans, odd names."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, STUDIES
from scipy import stats

import icsat_helpers as ic
from icsat_helpers import adoption, claims, cli, effects, outlook, programmes, simulate, staggered

UNITS, PERIODS, SPREAD, NOISE = 24, 10, 0.4, 0.06


@pytest.fixture
def aggregates(tmp_path):
    """A maker of studies of unit averages: `starts` says which unit starts which programme in which period."""

    def make(starts, *, effect=0.0, drift=0.0, assigned="", n="", noise=NOISE, units=UNITS):
        rng = np.random.default_rng(8)
        score = (
            3 + rng.normal(0, SPREAD, (units, 1)) + rng.normal(0, 0.1, PERIODS) + rng.normal(0, noise, (units, PERIODS))
        )
        rows = []
        for unit, programme, start in starts:
            score[unit] += np.where(np.arange(PERIODS) >= start, effect, 0.0) + drift * np.arange(PERIODS)
            rows.append(
                {"unit_id": f"u{unit}", "programme": programme, "started": str(2000 + start), "assigned": assigned}
            )
        columns = ["unit_id", "programme", "started", "assigned"]
        pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "programmes.csv", index=False)
        lines = [
            f"{2000 + t},u{unit},internal,{score[unit, t]:.5f},{n}" for unit in range(units) for t in range(PERIODS)
        ]
        (tmp_path / "unit_scores.csv").write_text("period,unit_id,measure,value,n\n" + "\n".join(lines) + "\n")
        (tmp_path / "study.toml").write_text('contract = 1\n[study]\nname = "S"\nfrequency = "year"\n')
        return ic.load(tmp_path)

    return make


def judge(study):
    """Findings by id, as the notebook makes them."""
    found = adoption.rollouts(study)
    minimum = study.settings.minimum_group
    made = [effects.effect(each) for each in found if not adoption.shortfall(each, minimum)]
    return {finding.id: finding for finding in programmes.findings(study, found, made)}


EIGHT = [(unit, "training", 3 + unit % 4) for unit in range(8)]


# ---------------------------------------------------------------- what is found


def test_a_planted_effect_is_found_in_aggregates(aggregates):
    found = judge(aggregates(EIGHT, effect=0.3))
    part = found["H7.training"]
    assert (part.verdict, part.rung, part.n_units) == ("supported", "intervention", UNITS)
    assert part.ci_low < 0.3 < part.ci_high
    assert "changed after “training” started" in part.sentence
    assert "satisfaction of units as customers" in part.sentence
    assert part.claim == "Units with the programme “training” became more satisfied as customers."
    assert part.warnings == ("n_unknown",)
    assert part.smallest_effect == pytest.approx(0.2 * SPREAD, rel=0.4)
    assert found["H7"].estimate == pytest.approx(part.estimate)
    assert found["H7"].claim == "Units with an improvement programme became more satisfied as customers."


def test_nothing_is_found_where_nothing_is(aggregates):
    assert judge(aggregates(EIGHT))["H7.training"].verdict in ("inconclusive", "negligible")


def test_an_effect_against_the_claim_is_said_so(aggregates):
    part = judge(aggregates(EIGHT, effect=-0.3))["H7.training"]
    assert part.verdict == "contradicted"
    assert part.sentence.startswith("Against the claim, the satisfaction of units as customers changed after")


def test_raised_is_said_only_of_random_assignment(aggregates):
    sentence = judge(aggregates(EIGHT, effect=0.3, assigned="random"))["H7.training"].sentence
    assert sentence.startswith("“training” raised the satisfaction of units as customers by 0.")
    assert "raised" not in judge(aggregates(EIGHT, effect=0.3))["H7.training"].sentence


def test_a_drift_before_the_start_takes_the_verdict_away(aggregates, monkeypatch):
    study = aggregates(EIGHT, drift=0.06)
    part = judge(study)["H7.training"]
    failed = {check.name for check in part.checks if not check.passed}
    assert "pre_trend" in failed
    assert part.p_adjusted < 0.05
    assert part.ci_low > 0
    assert part.verdict == "inconclusive"
    assert "Those units were on the move before the start" in part.sentence
    honest = next(row for row in part.sensitivity if row.name.startswith("honest"))
    assert honest.ci_low < 0 < honest.ci_high
    gone_on = next(row for row in part.sensitivity if row.name.startswith("if the drift"))
    assert gone_on.ci_low < 0 < gone_on.ci_high
    monkeypatch.setattr(programmes, "_moved", lambda *_: False)
    assert judge(study)["H7.training"].verdict == "supported"


def test_a_pretended_start_shows_a_drift(aggregates):
    rows = {row.name: row for row in judge(aggregates(EIGHT, drift=0.06, noise=0.03))["H7.training"].sensitivity}
    early = rows["placebo: as if it had started 2 periods earlier"]
    assert early.ci_low > 0
    still = {row.name: row for row in judge(aggregates(EIGHT, effect=0.3))["H7.training"].sensitivity}
    assert still[early.name].ci_low < 0 < still[early.name].ci_high


def test_all_together_are_weighted_by_their_units(aggregates):
    starts = EIGHT + [(unit, "feedback", 5) for unit in range(8, 14)]
    found = judge(aggregates(starts, effect=0.3))
    parts = [found["H7.training"].estimate, found["H7.feedback"].estimate]
    assert found["H7"].estimate == pytest.approx(np.average(parts, weights=[8, 6]), abs=1e-12)
    assert found["H7.training"].p_adjusted == pytest.approx(2 * found["H7.training"].p)  # a family of two
    assert found["H7"].p_adjusted == pytest.approx(found["H7"].p)  # the only one of H1 to H7
    rows = {row.name for row in found["H7"].sensitivity}
    assert {"imputation estimator", "against units that never start it"} <= rows


def test_differences_between_programmes_are_no_noise(aggregates):
    """One programme works, the other harms; the interval of all together does not widen by that."""
    starts = EIGHT + [(unit, "feedback", 5) for unit in range(8, 16)]
    study = aggregates(starts)
    alike = judge(study)["H7"]
    for name, sign in (("training", 1.0), ("feedback", -1.0)):
        table = study.tables["programmes"].groupby("programme").get_group(name).set_index("unit_id")["started_t"]
        scores = study.tables["unit_scores"]
        after = scores["t"] >= scores["unit_id"].map(table).fillna(9999)
        study.tables["unit_scores"] = scores.assign(value=scores["value"] + sign * after)
    apart = judge(study)["H7"]
    assert apart.estimate == pytest.approx(alike.estimate, abs=1e-9)
    assert apart.ci_high - apart.ci_low == pytest.approx(alike.ci_high - alike.ci_low, abs=1e-9)


def test_another_programme_does_not_pass_for_this_one(aggregates):
    """Idle controls start feedback, which works; training, which does nothing, must not look harmful."""
    starts = [(unit, "training", 3) for unit in range(8)]
    study = aggregates(starts)
    scores = study.tables["unit_scores"]
    other = [f"u{unit}" for unit in range(8, 20)]
    scores.loc[scores["unit_id"].isin(other) & (scores["t"] >= 2004), "value"] += 0.5
    extra = pd.DataFrame({"unit_id": other, "programme": "feedback", "started_t": 2004})
    study.tables["programmes"] = pd.concat([study.tables["programmes"], extra], ignore_index=True)
    rollout = next(each for each in adoption.rollouts(study) if each.name == "training")
    assert abs(effects.effect(rollout).estimate.value) < 0.08
    leaking = staggered.group_time(rollout.outcome, rollout.start).after()[0]
    assert leaking < -0.2


def test_overlaps_are_counted_and_said(aggregates):
    starts = [*EIGHT, (0, "feedback", 3), (1, "feedback", 7), (12, "feedback", 5), (13, "feedback", 5)]
    (rollout,) = [each for each in adoption.rollouts(aggregates(starts)) if each.name == "training"]
    (check,) = [check for check in effects.checks(effects.effect(rollout)) if check.name == "overlap"]
    assert not check.passed
    assert check.detail.startswith("2 of 8 starts are in units with another programme")
    assert check.detail.endswith("1 of 8 altogether")


# ---------------------------------------------------------------- what customers say, net of who they are


def sheets(providers=8, periods=6, people=40, lenient_from=3):
    """Ratings without any change; from `lenient_from` on provider 0 is rated by lenient people only."""
    rng = np.random.default_rng(5)
    leniency = rng.normal(0, 1, people)
    rows = []
    for t in range(periods):
        for person in range(people):
            for provider in range(providers):
                if provider == 0 and t >= lenient_from and leniency[person] < 0:
                    continue
                score = 3 + 0.2 * provider + leniency[person] + rng.normal(0, 0.1)
                rows.append((f"s{provider}", t, f"p{person}", True, score))
    return pd.DataFrame(rows, columns=["unit", "t", "person", "linked", "score"])


def change_of(frame):
    wide = frame.pivot(index="unit", columns="t", values="value")
    after, before = wide[[3, 4, 5]].mean(axis=1), wide[[0, 1, 2]].mean(axis=1)
    return (after - before)["s0"] - (after - before).drop("s0").mean()


def test_a_change_of_who_answers_is_no_change_of_the_provider():
    frame = sheets()
    assert abs(change_of(adoption._provider_effects(frame))) < 0.05
    means = frame.groupby(["unit", "t"])["score"].mean().rename("value").reset_index()
    assert change_of(means) > 0.4


def test_people_who_cannot_be_followed_give_plain_means():
    frame = sheets(people=10)
    frame = frame.assign(person=frame["person"] + "-" + frame["t"].astype(str))
    means = frame.groupby(["unit", "t"])["score"].mean().to_numpy()
    assert adoption._provider_effects(frame)["value"].to_numpy() == pytest.approx(means)


def test_a_provider_is_followed_in_its_largest_component():
    one, two = sheets(people=10, lenient_from=9), sheets(people=4, lenient_from=9)
    two = two[(two["t"] < 3) & two["unit"].isin(["s0", "s9"])].assign(person="q" + two["person"], t=two["t"] + 100)
    two = pd.concat([two, two.assign(unit="s9")])
    found = adoption._provider_effects(pd.concat([one, two], ignore_index=True))
    assert found.loc[found["unit"] == "s0", "t"].max() == 5
    assert found.loc[found["unit"] == "s9", "t"].min() == 100


def test_order_of_rows_does_not_matter(tmp_path, small):
    shuffled = tmp_path / "shuffled"
    shuffled.mkdir()
    for path in small.folder.iterdir():
        if path.suffix == ".csv":
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
            table.sample(frac=1, random_state=3).to_csv(shuffled / path.name, index=False)
        else:
            (shuffled / path.name).write_bytes(path.read_bytes())
    one, two = judge(small), judge(ic.load(shuffled))
    assert one == two


# ---------------------------------------------------------------- few units


def test_few_units_are_judged_by_rearranging(aggregates):
    starts = [(unit, "training", 3 + unit) for unit in range(3)]
    part = judge(aggregates(starts, effect=0.3))["H7.training"]
    assert part.verdict == "supported"
    assert "rearranged" in part.method
    (few,) = [check for check in part.checks if check.name == "treated_units"]
    assert not few.passed
    assert "only 3 units started" in few.detail
    assert part.p == pytest.approx(round(part.p * 1000) / 1000)  # a share of 999 draws and the one seen
    assert any("wide" in row.name for row in part.sensitivity)
    six = judge(aggregates([(unit, "training", 3) for unit in range(6)], effect=0.3))["H7.training"]
    assert "Left out one unit at a time." in six.method


def test_few_units_of_several_programmes_are_rearranged_together(aggregates):
    starts = [(0, "training", 3), (1, "training", 4), (2, "feedback", 5)]
    found = judge(aggregates(starts, effect=0.4))
    assert "rearranged" in found["H7"].method
    assert found["H7"].verdict == "supported"
    parts = [found[f"H7.{name}"].estimate for name in ("training", "feedback")]
    assert found["H7"].estimate == pytest.approx(np.average(parts, weights=[2, 1]))


# ---------------------------------------------------------------- what cannot be judged, and what is planned


LATE = [(unit, "training", PERIODS - 1) for unit in range(6)]


def test_a_programme_that_has_just_started_is_planned(aggregates):
    study = aggregates(LATE, noise=0.03)
    found = judge(study)
    assert [found[name].verdict for name in ("H7", "H7.training")] == ["not_estimable"] * 2
    said = found["H7.training"].sentence
    assert said.startswith("Too early to say: “training” has just started; units with it: 6.")
    assert "against 18 units without a programme" in said
    assert re.search(r"could be seen in four cases of five from 20(09|1\d) on", said)
    assert found["H7.training"].reason in said
    assert found["H7"].sentence == said
    (question,) = [each for each in claims.questions(study) if each.id == "H7"]
    assert question.reason == "“training”: it has just started"
    noisy = judge(aggregates(LATE, noise=0.3))["H7.training"].sentence
    assert "would hardly be seen with so few" in noisy
    assert judge(aggregates([*LATE[:1], (7, "training", PERIODS - 2)]))["H7.training"].verdict != "not_estimable"


def test_the_plan_counts_in_the_surveys_own_rhythm(aggregates):
    study = aggregates([(unit, "training", 8) for unit in range(6)], noise=0.005)
    scores = study.tables["unit_scores"]
    study.tables["unit_scores"] = scores[scores["t"] % 2 == 0]  # every second year: 2000 to 2008
    assert "in four cases of five from 2010 on" in judge(study)["H7.training"].sentence


def test_the_quarter_is_when_power_reaches_four_in_five():
    """Independent noise: with the effect that `detectable` names, four estimates of five have p below .05."""
    treated, controls, k = 8, 24, 3
    (size,) = outlook.detectable(0.1, treated, controls, np.array([k]))
    rng = np.random.default_rng(12)
    start = np.repeat([2.0, np.inf], [treated, controls])
    found = 0
    for _ in range(400):
        outcome = rng.normal(0, 0.1, (treated + controls, 2 + k)) + size * (np.arange(2 + k) >= start[:, None])
        found += staggered.over_treated(staggered.group_time(outcome, start).after(), treated).p < 0.05
    assert found == pytest.approx(320, abs=3.5 * np.sqrt(400 * 0.8 * 0.2))


def test_noise_is_that_of_units_without_the_programme(aggregates):
    (rollout,) = adoption.rollouts(aggregates(EIGHT, effect=3.0, noise=0.2))
    assert outlook.noise(rollout) == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize(
    ("starts", "why"),
    [
        ([(unit, "x", 0) for unit in range(4)], "before the first measured period"),
        ([(unit, "x", 4) for unit in range(UNITS)], "no unit without a programme"),
        ([(0, "x", 4), (0, "y", 4)], "apart from other programmes"),
        ([(99, "x", 4)], "no unit with it has been measured"),
        ([(0, "x", 9)], "Too early to say"),
    ],
)
def test_what_stands_in_the_way_is_said(aggregates, starts, why):
    study = aggregates([each for each in starts if each[0] < UNITS] or EIGHT)
    if starts[0][0] >= UNITS:
        study.tables["programmes"] = study.tables["programmes"].assign(unit_id="absent", programme="x")
    found = judge(study)
    assert found["H7.x"].verdict == "not_estimable"
    assert why in found["H7.x"].sentence
    assert found["H7"].verdict == "not_estimable"
    assert "x" in found["H7"].reason


@pytest.mark.parametrize(
    ("units", "treated", "said"), [(4, 1, "only 4 units"), (12, 1, "too few to be told from chance")]
)
def test_too_few_to_compare(aggregates, units, treated, said):
    assert said in judge(aggregates([(0, "x", 4)], units=units))["H7.x"].reason


def test_an_effect_on_fewer_people_than_may_be_shown_is_not_shown(aggregates):
    study = aggregates(EIGHT, effect=0.3, n=1)
    assert "H7" in {question.id for question in claims.questions(study) if question.answerable}  # eight people
    alone = aggregates([(0, "x", 4)], effect=0.3, n=4)
    found = judge(alone)["H7.x"]
    assert (found.estimate, found.reason) == (None, "it would describe fewer than 5 people")


def test_points_of_fewer_people_than_may_be_shown_are_not_drawn(aggregates):
    effect = effects.effect(adoption.rollouts(aggregates(EIGHT, effect=0.3, n=1))[0])
    assert len(programmes.event_study(effect, 5, "year").figure.axes[0].lines) > 10
    assert len(programmes.event_study(effect, 9, "year").figure.axes[0].lines) == 3  # the base, zero, the start


@pytest.mark.parametrize("starts", [EIGHT, LATE, [(0, "x", 4)], [(unit, "x", 4) for unit in range(UNITS)]])
def test_what_is_announced_is_what_is_answered(aggregates, starts):
    study = aggregates(starts, effect=0.1)
    (question,) = [each for each in claims.questions(study) if each.id == "H7"]
    assert question.answerable == (judge(study)["H7"].verdict != "not_estimable")


def test_without_programmes_or_answers(study_of_scores, tmp_path):
    study = study_of_scores(7, 3)
    assert adoption.rollouts(study) == []
    assert list(judge(study)) == ["H7"]
    assert judge(study)["H7"].reason == "there is no table programmes, or nothing in it has started"
    assert "No programme has started" in programmes.describe([], 5).text
    assert "nothing to check" in programmes.checks_table([]).text
    assert "nothing to vary" in programmes.sensitivity_table(list(judge(study).values())).text


def test_answers_that_never_vary(aggregates):
    study = aggregates(EIGHT)
    study.tables["unit_scores"] = study.tables["unit_scores"].assign(value=3.0)
    assert "do not vary" in judge(study)["H7.training"].reason
    rounding = np.random.default_rng(0).normal(0, 1e-15, len(study.tables["unit_scores"]))
    study.tables["unit_scores"] = study.tables["unit_scores"].assign(value=3.0 + rounding)
    assert "do not vary" in judge(study)["H7.training"].reason


def test_who_had_it_from_the_first_period_on_has_no_say(aggregates):
    (rollout,) = adoption.rollouts(aggregates([*EIGHT, (20, "training", 0)]))
    assert np.isnan(rollout.outcome[rollout.units.index("u20")]).all()
    assert not rollout.controls[rollout.units.index("u20")]
    assert rollout.treated.sum() == 8


def test_what_follows_the_end_is_left_out(aggregates):
    study = aggregates(EIGHT, effect=0.3)
    study.tables["programmes"]["ended_t"] = study.tables["programmes"]["started_t"] + 1
    (rollout,) = adoption.rollouts(study)
    assert set(rollout.seen_after[rollout.treated]) == {2}


# ---------------------------------------------------------------- names


def test_any_name_is_a_part_of_h7(aggregates):
    assert claims.hypothesis("H7.training").notebook == "11-programmes"
    with pytest.raises(KeyError):
        claims.hypothesis("H3.training")
    odd = "<b>$x^{$</b> =cmd|1 مرحبا"
    study = aggregates([(unit, odd, start) for unit, _, start in EIGHT], effect=0.3)
    finding = judge(study)[f"H7.{odd}"]
    html = finding._repr_mimebundle_()["text/html"]
    assert "<b>" not in html
    assert "&lt;b&gt;$x^{$" in html
    for chart in (
        programmes.event_study(effects.effect(adoption.rollouts(study)[0]), 5, "year"),
        programmes.forest([finding]),
    ):
        assert "<svg" in chart.svg()
        assert "<b>" not in chart._repr_mimebundle_()["text/html"]


def test_a_study_may_say_what_is_small(aggregates):
    study = aggregates(EIGHT)
    settings = replace(study.settings, smallest_effects={"H7": 0.5})
    assert claims.hypothesis("H7.training", replace(study, settings=settings)).smallest_raw == 0.5
    settings = replace(study.settings, smallest_effects={"H7": 0.5, "H7.training": 0.1})
    assert claims.hypothesis("H7.training", replace(study, settings=settings)).smallest_raw == 0.1


# ---------------------------------------------------------------- the notebook


def run(folder, output):
    words = ["run", "--study", str(folder), "--output", str(output), "--notebook", "11-programmes"]
    assert cli.main(words) == 0
    (page,) = output.glob("*/11-programmes.html")
    found = json.loads((page.parent / "findings.json").read_text(encoding="utf-8"))["findings"]
    return page.read_text(encoding="utf-8"), {finding["id"]: finding for finding in found}


def test_the_example_by_the_notebook(tmp_path):
    page, found = run(ROOT / "data" / "example", tmp_path)
    truth = simulate.estimands(simulate.EFFECTS, 12)
    assert set(found) == {name for name in truth if name.startswith("H7")}
    for name, finding in found.items():
        assert finding["ci_low"] <= truth[name] <= finding["ci_high"], name
    assert found["H7"]["verdict"] == "supported"
    shown = re.findall(r"diff-diff (-?[\d.]+), with the inference below (-?[\d.]+)", page)
    assert len(shown) == 4
    assert all(one == two for one, two in shown)
    assert page.count("since the start (0 is") == 0  # labels are drawn, not written
    assert len(re.findall(r"<img alt=", page)) == 6


def test_the_notebook_shows_the_plan(tmp_path, aggregates):
    page, found = run(aggregates(LATE, noise=0.03).folder, tmp_path / "out")
    assert found["H7.training"]["reason"] in page


@pytest.mark.parametrize("name", ["bh1996", "fevs-2020-2024", "nyc-schools-2011"])
def test_real_studies_end_well(name):
    if not (STUDIES / name).is_dir():
        pytest.skip(f"the real study {name} is not on this machine")
    found = judge(ic.load(STUDIES / name))
    assert found["H7"].verdict == "not_estimable"
    assert "programmes" in found["H7"].reason


def test_the_interval_widens_with_fewer_treated():
    values = np.linspace(0, 1, 30)
    few, many = (staggered.over_treated(values, n).interval() for n in (6, 25))
    ratio = (few[1] - few[0]) / (many[1] - many[0])
    assert ratio == pytest.approx(stats.t.ppf(0.975, 5) / stats.t.ppf(0.975, 24))
