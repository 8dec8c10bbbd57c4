"""Change: the same people and who answered sum to the total; intervals by leaving out units."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from icsat_helpers.change import change


def period(seed, units=8, people=12, shift=0.0, answering=0.7, providers=("v",)):
    """Scores whose persons' level depends on the seed of the organisation only, not on who answers."""
    level = np.random.default_rng(1).normal(3, 0.5, (units, people))
    rng = np.random.default_rng(seed)
    rows = [
        (f"u{u}", v, f"p{u}-{i}", level[u, i] + shift + rng.normal(0, 0.1))
        for v in providers
        for u in range(units)
        for i in range(people)
        if rng.random() < answering
    ]
    return pd.DataFrame(rows, columns=["unit", "provider", "person", "score"])


def test_the_parts_sum_to_the_total_and_are_what_they_say():
    before, now = period(2), period(3, shift=0.4)
    (row,) = change(now, before).itertuples()
    both = now.merge(before, on="person", suffixes=("", "_before"))
    assert row.total == pytest.approx(now["score"].mean() - before["score"].mean(), abs=1e-12)
    assert row.same == pytest.approx((both["score"] - both["score_before"]).mean(), abs=1e-12)
    assert row.total == row.same + row.who
    assert row.same == pytest.approx(0.4, abs=0.06)  # .1 of noise, twice, over some 45 people
    assert (row.people, row.people_before, row.people_same) == (len(now), len(before), len(both))


def test_only_who_answers_can_change_a_mean():
    """The same people say the same; the satisfied ones stay away the second time."""
    before = pd.DataFrame(
        {"unit": [f"u{i % 6}" for i in range(60)], "person": range(60), "score": np.arange(60) / 20 + 1}
    )
    now = before[before["score"] < 3]
    (row,) = change(now, before).itertuples()
    assert (row.same, row.same_low, row.same_high) == (0, 0, 0)
    assert row.who == row.total < -0.4


def test_intervals_leave_out_one_unit_at_a_time():
    before, now = period(2), period(3)
    (row,) = change(now, before).itertuples()
    parts = []
    for unit in now["unit"].unique():
        (left,) = change(now[now["unit"] != unit], before[before["unit"] != unit]).itertuples()
        parts.append((left.total, left.same, left.who))
    g = len(parts)
    for k, name in enumerate(("total", "same", "who")):
        value = getattr(row, name)
        se = np.sqrt((g - 1) / g * sum((part[k] - value) ** 2 for part in parts))
        assert getattr(row, f"{name}_high") - value == pytest.approx(stats.t.ppf(0.975, g - 1) * se, abs=1e-12)
        assert value - getattr(row, f"{name}_low") == pytest.approx(stats.t.ppf(0.975, g - 1) * se, abs=1e-12)


def test_intervals_hold_the_true_change():
    """100 panels of 20 units with shocks of their own: 95% within three standard errors."""
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        person = pd.DataFrame(
            {"unit": np.repeat(np.arange(20), 8), "person": np.arange(160), "level": rng.normal(3, 0.5, 160)}
        )
        frames = []
        for shift in (0.0, 0.3):
            shock = rng.normal(shift, 0.2, 20)
            frame = person.assign(score=person["level"] + shock[person["unit"]] + rng.normal(0, 0.3, 160))
            frames.append(frame[rng.random(160) < 0.7])
        (row,) = change(frames[1], frames[0]).itertuples()
        held += row.same_low <= 0.3 <= row.same_high
    assert held >= 88


def test_providers_apart_and_all_at_once_agree():
    before, now = period(2, providers=("v", "w")), period(3, providers=("v", "w"))
    found = change(now, before, "provider").set_index("provider")
    (alone,) = change(now[now["provider"] == "w"], before[before["provider"] == "w"]).itertuples()
    for name in ("total", "same", "who", "total_low", "who_high", "people_same"):
        assert found.at["w", name] == pytest.approx(getattr(alone, name), abs=1e-12)


def test_few_units_have_no_interval_and_strangers_no_split():
    before, now = period(2, units=4), period(3, units=4)
    (row,) = change(now, before).itertuples()
    assert np.isfinite(row.total) and np.isnan(row.total_low)
    strangers = now.assign(person="new " + now["person"])
    (row,) = change(strangers, before).itertuples()
    assert row.people_same == 0 and np.isfinite(row.total) and np.isnan(row.same) and np.isnan(row.who)


def test_what_stands_in_one_period_only_has_no_change():
    before, now = period(2, providers=("v",)), period(3, providers=("v", "w"))
    assert change(now, before, "provider")["provider"].tolist() == ["v"]
    assert change(now, before.iloc[:0]).empty
    assert change(now.iloc[:0], before.iloc[:0]).empty


def test_rows_in_another_order_give_the_same_digits():
    before, now = period(2), period(3)
    one = change(now, before)
    two = change(now.sample(frac=1, random_state=1), before.sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(one, two, check_exact=False, rtol=1e-12)
