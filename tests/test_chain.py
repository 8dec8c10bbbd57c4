"""The chain: two equations, what travels through the middle, and what may be said of it."""

from dataclasses import asdict, replace

import numpy as np
import pytest

import icsat_helpers as ic
from icsat_helpers import chain, equations, words
from icsat_helpers.inference import slope

A, B, BESIDE = 0.5, 3.0, 4.0
ORDER = chain.ORDER


def levels(units=24, periods=9, seed=2, a=A, b=B, beside=BESIDE):
    """Internal satisfaction that lasts, morale a period after it, external score a period after both; no noise in b."""
    rng = np.random.default_rng(seed)
    internal = rng.normal(0, 0.4, (units, periods))
    for t in range(1, periods):
        internal[:, t] += 0.8 * internal[:, t - 1]
    before = np.column_stack([np.zeros(units), internal[:, :-1]])
    morale = a * before + rng.normal(0, 0.2, (units, periods)) + rng.normal(0, 1, (units, 1))
    external = b * np.column_stack([np.zeros(units), morale[:, :-1]]) + beside * before + 70
    return {"internal": internal, "morale": morale, "external": external}


def scores(found, measure, source, keep=lambda unit, t: True):
    return [
        f"{2000 + t},u{unit},{measure},{value:.9f},,{source}"
        for (unit, t), value in np.ndenumerate(found[measure])
        if keep(unit, t)
    ]


HEAD = 'contract = 1\n[study]\nname = "S"\nfrequency = "year"\n'


@pytest.fixture
def aggregates(tmp_path):
    """A maker of studies that hold unit averages only."""

    def make(found, keep=lambda unit, t: True, sources=("staff", "staff", "customers")):
        rows = [row for m, s in zip(ORDER, sources, strict=True) if m in found for row in scores(found, m, s, keep)]
        (tmp_path / "unit_scores.csv").write_text("period,unit_id,measure,value,n,source\n" + "\n".join(rows) + "\n")
        (tmp_path / "study.toml").write_text(HEAD)
        return ic.load(tmp_path)

    return make


@pytest.fixture(scope="module")
def persons(tmp_path_factory):
    """A study of persons whose lasting moods are in what they say of service and in their morale."""
    rng = np.random.default_rng(5)
    units, people, periods = 30, 10, 9
    found, folder = levels(units, periods, seed=5), tmp_path_factory.mktemp("persons")
    mood = rng.normal(0, 1.2, (units, people, periods))
    for t in range(1, periods):
        mood[:, :, t] = 0.8 * mood[:, :, t - 1] + 0.6 * mood[:, :, t]
    for table, measure, head in (
        ("service_ratings", "internal", "period,customer_unit,provider_unit,person_id,x"),
        ("morale", "morale", "period,unit_id,person_id,y"),
    ):
        rows = [head]
        for (unit, person, t), own in np.ndenumerate(mood):
            where = f"u{unit},u{(unit + 1) % units}" if measure == "internal" else f"u{unit}"
            rows.append(f"{2000 + t},{where},p{unit}-{person},{found[measure][unit, t] + own:.6f}")
        (folder / f"{table}.csv").write_text("\n".join(rows) + "\n")
    external = "\n".join(scores(found, "external", "customers"))
    (folder / "unit_scores.csv").write_text(f"period,unit_id,measure,value,n,source\n{external}\n")
    items = "".join(
        f'[items.{i}]\ntable = "{t}"\nscale = "s"\n' for i, t in (("x", "service_ratings"), ("y", "morale"))
    )
    (folder / "study.toml").write_text(HEAD + "[answer_scale]\nminimum = -50\nmaximum = 50\nfavourable = 1\n" + items)
    return ic.load(folder)


@pytest.fixture(scope="module")
def tested(persons):
    """That study, tested once."""
    return chain.tested(persons)


def test_satisfaction_is_held_in_the_second_step(aggregates):
    """Lasting satisfaction moves morale and the external score alike: without it b is not 3 but far more."""
    study = aggregates(levels())
    main = chain.tested(study).chain
    assert main.second.estimate.value == pytest.approx(B, abs=1e-6)
    assert main.second.beside[0].value == pytest.approx(BESIDE, abs=1e-6)
    step = main.steps[1]
    alone = slope(step.frame, step.outcome, step.regressors[0], weights="weight").estimate.value
    assert alone > B + 1


def test_each_outcome_is_of_the_next_period(aggregates):
    main = chain.tested(aggregates(levels())).chain
    assert main.first.estimate.value == pytest.approx(A, abs=0.1)
    assert main.product.value == pytest.approx(A * B, abs=0.3)
    assert (main.first.n_rows, main.second.n_rows, main.n_periods) == (24 * 8, 24 * 8, 9)


def test_a_missing_period_is_no_next_period(aggregates):
    study = aggregates(levels(), keep=lambda unit, t: t != 4)
    main = chain.tested(study).chain
    assert main.second.estimate.value == pytest.approx(B, abs=1e-6)
    assert set(main.steps[0].frame["t"]) == {2000, 2001, 2002, 2005, 2006, 2007}


def test_halves_free_the_steps_of_moods_and_noise(persons, tested):
    """Averages of ten people whose moods last and are in their morale too."""
    main, plain = tested.chain, equations.chain(persons, ORDER, halved=False)
    assert main.instrumented
    assert min(main.first.first_stage_f, main.second.first_stage_f) >= 10
    for found, truth in ((main.first.estimate, A), (main.second.estimate, B), (main.product, A * B)):
        low, high = found.interval()
        assert low < truth < high
    assert main.first.estimate.se < 0.1
    assert plain.second.estimate.interval()[1] < B  # noise


def test_halves_of_each_measure_are_of_the_same_people(persons, tested, monkeypatch):
    """With halves dealt out for each measure alone, a person's mood is in the outcome and in its instrument."""
    from icsat_helpers.halves import split_half_means

    main = tested.chain

    def each_alone(tables):
        renamed = [table.assign(person=f"{k}-" + table["person"]) for k, table in enumerate(tables)]
        return [split_half_means(table) for table in renamed]

    monkeypatch.setattr(equations, "joint_halves", each_alone)
    apart = equations.chain(persons, ORDER)
    assert apart.first.estimate.value > main.first.estimate.value + 2 * main.first.estimate.se


def test_the_same_unit_is_left_out_of_both_steps(tested):
    """Against fitting anew without each unit."""
    main = tested.chain
    for k, unit in enumerate(sorted(main.steps[0].frame["unit"].unique())[:3]):
        a, b = (replace(step, frame=step.frame[step.frame["unit"] != unit]).fit().estimate.value for step in main.steps)
        assert main.product.left_out[k] == pytest.approx(a * b, rel=1e-9)


def test_only_units_of_both_steps_are_used(aggregates):
    """Some units have no external customers: they belong to neither slope, else the wrong ones would be left out."""
    found = levels()
    found["external"] = found["external"][:20]
    main = chain.tested(aggregates(found)).chain
    assert main.first.n_units == main.second.n_units == 20
    assert len(main.product.left_out) == 20


def test_units_drawn_again_are_the_same_in_both_steps(tested):
    """Brute force: each step fitted to the units of one draw, standing as often as they were drawn."""
    main = tested.chain
    units = sorted(main.steps[0].frame["unit"].unique())
    counts = np.random.default_rng(20260930).multinomial(len(units), np.full(len(units), 1 / len(units)), 1999)[7]
    slopes = []
    for step in main.steps:
        times = step.frame["unit"].map(dict(zip(units, counts, strict=True)))
        drawn = step.frame[times > 0].assign(weight=lambda d, n=times: d["weight"] * n[n > 0])
        slopes.append(replace(step, frame=drawn).fit().estimate.value)
        assert step.drawn()[7] == pytest.approx(slopes[-1], rel=1e-6)
    low, high = main.drawn()
    assert low < main.product.value < high


def test_formulas_in_the_notebook_give_both_steps(tested):
    import pyfixest as pf

    main = tested.chain
    for step, found in zip(main.steps, (main.first, main.second), strict=True):
        slopes = {}
        for split in found.by_split:
            rows = step.rows(split)
            for name, formula in step.formulas.items():
                fit = pf.feols(formula, rows, weights="weight")
                rows[name] = fit.predict()
            slopes[split] = fit.coef().iloc[0]
        assert found.by_split == pytest.approx(slopes, rel=1e-6)
        assert np.mean(list(slopes.values())) == pytest.approx(found.estimate.value, rel=1e-6)


def finding(study, found=None):
    found = chain.tested(study) if found is None else found
    return chain.finding(ic.hypothesis("H5", study), study, found)


def test_the_finding_is_as_sure_as_its_weaker_step(persons, tested):
    one, main = finding(persons, tested), tested.chain
    assert one.p == max(main.first.estimate.p, main.second.estimate.p)
    assert one.smallest_effect == pytest.approx(0.01 * main.second.sd_y / main.first.sd_x)
    assert one.standardised == pytest.approx(one.estimate * main.first.sd_x / main.second.sd_y)
    assert (one.rung, one.n_periods, one.n_people, one.warnings) == ("precedence", 9, 300, ())
    assert "by way of morale, is followed by" in one.sentence


def test_averages_carry_their_warnings_and_promise_no_least(aggregates):
    """Noise in the satisfaction that is held can also make the second step too large."""
    one = finding(aggregates(levels()))
    assert one.verdict == "supported"
    assert one.warnings == ("n_unknown", "same_source", "attenuated")
    assert "by way of self-reported morale, is followed by" in one.sentence
    assert "at least" not in one.sentence


def test_two_harms_make_no_benefit(aggregates):
    study = aggregates(levels(a=-0.8, b=-3.0))
    main = chain.tested(study).chain
    assert main.product.interval()[0] > 0
    assert main.p < 0.05
    assert finding(study).verdict == "inconclusive"


def test_no_share_of_a_total_that_is_not_told_from_zero(aggregates):
    sure = chain.tested(aggregates(levels())).chain
    assert sure.share.value == pytest.approx(sure.product.value / (sure.product.value + BESIDE), rel=1e-6)
    found = levels(beside=0.0, b=0.0)
    found["external"] = found["external"] + np.random.default_rng(1).normal(0, 5, found["external"].shape)
    study = aggregates(found)
    tested = chain.tested(study)
    assert tested.chain.share is None
    assert not any("share" in row.name for row in chain.rows(study, tested))


def test_the_reversed_order_is_seen(aggregates):
    """The external score moves morale, and morale satisfaction: the chain runs backwards, and only so."""
    forward = levels(beside=0.0)
    found = {"external": forward["internal"], "morale": forward["morale"], "internal": forward["external"]}
    study = aggregates(found, sources=("a", "b", "c"))
    rows = chain.rows(study, chain.tested(study))
    back = next(row for row in rows if row.name.startswith("reversed order"))
    assert back.estimate == pytest.approx(A * B, abs=0.3)
    (check,) = chain.reversed_check(rows)
    assert (check.name, check.passed) == ("reversed_order", False)


@pytest.mark.parametrize(
    ("units", "periods", "without", "reason"),
    [
        (24, 9, "external", "no external"),
        (24, 9, "morale", "no morale"),
        (24, 3, "", "four or more periods"),
        (4, 9, "", "only 4 units"),
    ],
)
def test_what_is_missing_is_said(aggregates, units, periods, without, reason):
    found = {name: values for name, values in levels(units, periods).items() if name != without}
    study = aggregates(found)
    tested = chain.tested(study)
    one = finding(study, tested)
    assert one.verdict == "not_estimable"
    assert reason in one.reason
    assert reason in chain.describe(tested).text
    assert chain.rows(study, tested) == ()
    assert not next(q.answerable for q in ic.claims.questions(study) if q.id == "H5")


def test_five_units_and_four_periods_are_enough(aggregates):
    assert finding(aggregates(levels(units=5, periods=4))).n_units == 5


def test_constant_answers_end_in_words(aggregates):
    found = {name: np.full_like(values, 3.0) for name, values in levels().items()}
    one = finding(aggregates(found))
    assert one.verdict == "not_estimable"
    assert "does not vary" in one.reason


def test_weak_halves_give_averages_and_say_so(persons, monkeypatch):
    monkeypatch.setattr(chain, "WEAK_F", 1e9)
    tested = chain.tested(persons)
    assert tested.halves.instrumented
    assert not tested.chain.instrumented
    assert "attenuated" in finding(persons, tested).warnings
    names = [check.name for check in chain.step_checks(tested)]
    assert names[0] == "instrument, first step"
    assert len(set(names)) == 4


def test_a_weak_second_step_keeps_its_halves_and_fails_its_check(persons, monkeypatch):
    """Unit averages would give a narrow interval that does not hold the truth: simulated, in none of nine."""
    found = equations.chain(persons, ORDER)
    weak = replace(found, second=replace(found.second, first_stage_f=3.0))
    monkeypatch.setattr(chain, "chain", lambda study, order, halved: weak if halved else found)
    kept = chain.tested(persons)
    assert kept.chain is weak
    failed = [check.name for check in chain.step_checks(kept) if not check.passed]
    assert failed == ["instrument, second step"]
    assert "attenuated" not in finding(persons, kept).warnings


def test_the_chart_says_its_slopes_in_words(tested):
    main = tested.chain
    chart = chain.paths(main)
    assert words.number(main.first.estimate.value) in chart.alt
    assert chart.alt.count(" to ") == 3


def test_shuffled_rows_give_the_same_digits(persons, tested, tmp_path):
    for path in persons.folder.iterdir():
        head, *rows = path.read_text().splitlines()
        rows = rows if path.suffix == ".toml" else np.random.default_rng(1).permutation(rows).tolist()
        (tmp_path / path.name).write_text("\n".join([head, *rows]) + "\n")
    one, two = finding(persons, tested), finding(ic.load(tmp_path))
    assert ic.evidence.plain(asdict(one)) == ic.evidence.plain(asdict(two))
