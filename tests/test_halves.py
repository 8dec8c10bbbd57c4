"""Two halves of a unit's people, net of who answered."""

import numpy as np
import pandas as pd
import pytest

from icsat_helpers import halves
from icsat_helpers.inference import slope


def answers(units=6, people=12, periods=5, answering=1.0, seed=0, noise=0.0):
    """Answers = unit-period score + person + noise; the truth is in `common`."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(units, periods))
    rows = [
        (f"u{u}", t, f"u{u}p{i}", True, common[u, t] + person + noise * rng.normal(), common[u, t])
        for u in range(units)
        for i, person in enumerate(rng.normal(0, 2, people))
        for t in range(periods)
        if rng.random() < answering
    ]
    return pd.DataFrame(rows, columns=["unit", "t", "person", "linked", "score", "common"])


def test_halves_are_disjoint_even_and_the_same_in_every_period():
    rows = answers()
    found = halves.halves_of(rows["person"], rows["unit"], 4)
    for split in found:
        each = pd.Series(split).groupby(rows["person"]).nunique()
        assert (each == 1).all()
        share = pd.Series(split).groupby(rows["unit"]).mean()
        assert (share == 0.5).all()
    first = (rows["unit"] == "u0").to_numpy()
    same = [(found[0][first] == other[first]).mean() for other in found[1:]]
    assert any(0 < share < 1 for share in same)  # other halves, not the same ones named the other way round


def test_the_order_of_rows_does_not_matter():
    rows = answers(answering=0.7, noise=0.5)
    shuffled = rows.sample(frac=1, random_state=2)
    one, two = halves.split_half_means(rows, 3), halves.split_half_means(shuffled, 3)
    keys = ["split", "unit", "t"]
    pd.testing.assert_frame_equal(
        one.sort_values(keys, ignore_index=True),
        two.sort_values(keys, ignore_index=True),
        check_exact=False,
        rtol=1e-9,
    )


def test_scores_net_of_persons_do_not_move_with_who_answered():
    """Without noise the common score's changes come back exactly, though a changing half of the people answers."""
    rows = answers(answering=0.6)
    truth = rows.drop_duplicates(["unit", "t"])[["unit", "t", "common"]]
    net = halves.split_half_means(rows, 2).merge(truth, on=["unit", "t"])
    for half in ("half_a", "half_b"):
        assert slope(net, half, "common").estimate.value == pytest.approx(1, abs=1e-8)
        assert slope(net, half, "common").estimate.se == pytest.approx(0, abs=1e-7)
    plain = halves.split_half_means(rows, 2, net=False).merge(truth, on=["unit", "t"])
    assert slope(plain, "half_a", "common").estimate.se > 0.05


def test_components_that_do_not_touch_are_blocks_of_their_own():
    early, late = answers(units=1, people=6, periods=2), answers(units=1, people=6, periods=2, seed=1)
    late = late.assign(t=late["t"] + 2, person=late["person"] + "late")
    found = halves.split_half_means(pd.concat([early, late], ignore_index=True), 1)
    assert found.groupby("block")["t"].apply(set).tolist() == [{0, 1}, {2, 3}]


def test_people_who_cannot_be_linked_get_plain_means():
    rows = answers(noise=1.0).assign(linked=False)
    rows["person"] = [f"row-{i}" for i in range(len(rows))]
    found = halves.split_half_means(rows, 1)
    total = rows.groupby(["unit", "t"])["score"].mean()
    mean = found.set_index(["unit", "t"])[["half_a", "half_b"]].mean(axis=1)
    assert np.corrcoef(total, mean.reindex(total.index))[0, 1] > 0.95


def test_halves_of_answers_do_not_depend_on_their_order():
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"unit": "a", "t": np.repeat([1, 2], 50), "score": rng.integers(0, 100, 100).astype(float)})
    one, two = halves.answer_halves(rows, 2), halves.answer_halves(rows.sample(frac=1, random_state=3), 2)
    pd.testing.assert_frame_equal(one, two)
    assert (one["half_a"] != one["half_b"]).all()


def test_a_person_stands_in_the_same_half_of_every_measure():
    rows = answers(units=3, people=9)
    other = rows[rows["person"].str[-1] != "0"].sample(frac=1, random_state=1)  # other people, another order
    rng = np.random.default_rng(4)
    mood = {person: rng.normal() for person in rows["person"].unique()}
    tables = [table.assign(score=table["person"].map(mood) * table["t"]) for table in (rows, other)]
    _, two = halves.joint_halves(tables, 3, net=False)
    alone = halves.split_half_means(tables[1], 3, net=False)
    known = dict(zip(rows["person"], halves.halves_of(rows["person"], rows["unit"], 3)[0], strict=True))
    mine = tables[1].assign(half=tables[1]["person"].map(known))
    expected = mine.pivot_table(index=["unit", "t"], columns="half", values="score").reset_index()
    found = two[two["split"] == 0].sort_values(["unit", "t"])
    np.testing.assert_allclose(found["half_a"], expected[False])
    np.testing.assert_allclose(found["half_b"], expected[True])
    assert not np.allclose(alone["half_a"], two["half_a"])  # its own assignment would be another
