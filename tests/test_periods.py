"""Periods: labels, numbers, dates."""

import pandas as pd
import pytest

from icsat_helpers.periods import EXAMPLES, PARTS, period_end, period_label, period_number, period_of


@pytest.mark.parametrize(
    ("label", "frequency", "number"),
    [
        ("2026Q3", "quarter", 2026 * 4 + 2),
        ("2026", "year", 2026),
        ("2026H1", "half", 2026 * 2),
        ("2026M03", "month", 2026 * 12 + 2),
        ("2026M12", "month", 2026 * 12 + 11),
    ],
)
def test_numbers_are_those_agreed_and_labels_come_back(label, frequency, number):
    assert period_number(label, frequency) == number
    assert period_label(number, frequency) == label


@pytest.mark.parametrize("frequency", PARTS)
def test_consecutive_periods_have_consecutive_numbers_and_end_the_day_before_the_next(frequency):
    first = period_number(EXAMPLES[frequency], frequency)
    for number in range(first, first + 30):
        end = period_end(number, frequency)
        days = pd.Series([end, end + pd.Timedelta(days=1), pd.NaT])
        assert period_of(days, frequency).tolist() == [number, number + 1, pd.NA]
        assert period_number(period_label(number, frequency), frequency) == number


@pytest.mark.parametrize(
    ("label", "frequency"),
    [
        ("2026Q5", "quarter"), ("2026Q0", "quarter"), ("2026", "quarter"), ("2026q3", "quarter"),
        ("2026Q33", "quarter"), ("26Q3", "quarter"), ("0999", "year"), ("20260", "year"), ("2026H3", "half"),
        ("2026M13", "month"), ("2026M3", "month"), ("2026M00", "month"), ("", "year"), ("٢٠٢٦", "year"),
    ],
)  # fmt: skip
def test_what_is_no_period_is_refused_in_words(label, frequency):
    with pytest.raises(ValueError, match=f"is not a {frequency} such as"):
        period_number(label, frequency)
