"""Nothing published describes fewer people than the minimum group."""

import pandas as pd
import pytest

from icsat_helpers import disclosure


def table(*n):
    return pd.DataFrame(
        {"unit": [f"u{i}" for i in range(len(n))], "n": list(n), "mean": [3.0 + i for i in range(len(n))]}
    )


def test_a_group_of_three_is_hidden_and_said_so():
    found = disclosure.publishable(table(3, 20, 30), "n", 5, ["mean"], with_total=False)
    assert found["mean"].isna().tolist() == [True, False, False]
    assert found["n"].isna().tolist() == [True, False, False]
    assert found["shown"].tolist() == ["hidden: fewer than 5 people", "", ""]


def test_a_single_hidden_group_is_not_what_is_left_of_the_total():
    found = disclosure.publishable(table(3, 20, 30), "n", 5, ["mean"])
    assert found["mean"].isna().tolist() == [True, True, False]
    assert found["shown"].iloc[1] == "hidden: it would reveal a smaller group"


def test_hidden_groups_together_are_large_enough():
    hidden = disclosure.suppressed(pd.Series([1, 2, 20, 30]), 5)
    assert hidden.tolist() == [True, True, True, False]


@pytest.mark.parametrize("n", [(3,), (3, 4), (1, 1, 1)])
def test_where_everything_is_small_everything_is_hidden(n):
    assert disclosure.suppressed(pd.Series(n), 5).all()


def test_exactly_the_minimum_is_shown_and_empty_groups_hide_nobody():
    assert not disclosure.suppressed(pd.Series([5, 6, 0]), 5).any()


def test_the_callers_table_is_not_touched():
    given = table(3, 20)
    disclosure.publishable(given, "n", 5, ["mean"])
    assert given["mean"].notna().all()


def test_a_mean_of_which_few_were_part_is_too_coarse_to_tell_them():
    """Six people, one of them less now: from 6 m - 5 m' the one's answer is known to half the scale at best."""
    for n, few, width in ((6, 1, 4.0), (30, 4, 4.0), (100, 2, 1.0), (9, 4, 10.0)):
        step = disclosure.grain(n, few, width)
        assert n * step >= few * disclosure.NARROWEST * width - 1e-9
        assert disclosure.grain(n, 0, width) == 0


def test_a_whole_tells_of_hidden_people_at_most_half_of_what_a_few_did():
    """Of every count of hidden people, the counts that enter the whole alike leave a small group half its scale."""
    for people, minimum in ((3, 5), (5, 5), (9, 5), (17, 5), (40, 5), (333, 5), (30, 10)):
        told = {}
        for yes in range(people + 1):
            value, half = disclosure.blurred(yes / people, people, minimum)
            assert abs(value - yes / people) <= half + 1e-6
            told.setdefault(value, []).append(yes)
        few = min(people, minimum - 1)
        for yes in told.values():
            least, most = max(0, yes[0] - (people - few)), min(few, yes[-1])
            assert most - least >= few * disclosure.NARROWEST, (people, yes)
