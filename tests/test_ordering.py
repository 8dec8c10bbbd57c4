import numpy as np
import pandas as pd
import pytest

from icsat_helpers import ordering
from icsat_helpers.ordering import counted, order


@pytest.mark.parametrize("sizes", [(3, 4, 2), (2**30, 2**30, 3), (2**40, 2**40, 2**40), (1, 1, 1)])
@pytest.mark.parametrize("count", [0, 1, 2, 1000])
def test_rows_stand_in_the_order_of_a_stable_sort(sizes, count, monkeypatch):
    monkeypatch.setattr(ordering, "BLOCK", 64)
    random = np.random.default_rng(count)
    numbers = [random.choice(random.integers(-5, size, 4), count) for size in sizes]
    columns = [numbers[0], pd.Categorical(numbers[1]), numbers[2]]
    expected = pd.DataFrame(dict(enumerate(numbers))).sort_values([0, 1, 2], kind="stable")
    found = order(columns)
    rows = np.arange(count) if found.rows is None else found.rows
    assert rows.tolist() == expected.index.tolist()
    assert found.new.tolist() == (~expected.duplicated()).tolist()
    assert found.first.tolist() == expected.index[~expected.duplicated()].tolist()
    again = order([column[rows] for column in columns])
    assert again.rows is None and again.new.tolist() == found.new.tolist()


def test_codes_are_counted_over_blocks(monkeypatch):
    monkeypatch.setattr(ordering, "BLOCK", 3)
    codes = np.array([0, 1, -1, 1, 3, -1, 1], dtype=np.int8)
    assert counted(codes, 4).tolist() == [1, 3, 0, 1, 2] and counted(codes[:0], 1).tolist() == [0, 0]
