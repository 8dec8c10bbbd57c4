"""Few treated units: rearranged starts against enumeration, and intervals against p."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from icsat_helpers import randomisation, staggered

NEVER = np.inf


@pytest.mark.parametrize("second", [4.0, 2.0])
def test_rearranging_is_enumerating(second):
    """Two of nine units: all 72 ways to place their starts are gone through, so that p is exact."""
    rng = np.random.default_rng(6)
    outcome = rng.normal(size=(9, 1)) + rng.normal(0, 0.2, (9, 6))
    start = np.array([2.0, second] + [NEVER] * 7)
    outcome += 0.6 * (np.arange(6) >= start[:, None])
    others = np.full((9, 1), NEVER)
    seen = staggered.group_time(outcome, start).after()[0]
    estimate = randomisation.randomised(seen, *randomisation.rearranged(outcome, start, others))

    def unusual(tau):
        """Exact p of a constant effect, by going through all pairs."""
        free = outcome - tau * (np.arange(6) >= start[:, None])
        values = []
        for i, j in itertools.permutations(range(9), 2):
            placed = np.full(9, NEVER)
            placed[[i, j]] = 2.0, second
            values.append(staggered.group_time(free, placed).after()[0])
        return np.mean(np.abs(values) >= abs(seen - tau) - 1e-9)

    assert estimate.p == pytest.approx(unusual(0.0), abs=1e-12)
    low, high = estimate.interval(0.9)
    assert min(map(unusual, (low + 1e-6, high - 1e-6))) > 0.1
    assert max(map(unusual, (low - 1e-6, high + 1e-6))) <= 0.1
    assert low < seen < high


def test_p_and_interval_agree():
    """Four of sixteen units: drawn at random."""
    start = np.repeat([2.0, NEVER], [4, 12])
    outcome = np.random.default_rng(4).normal(0, 0.5, (16, 8)) + 0.8 * (np.arange(8) >= start[:, None])
    seen = staggered.group_time(outcome, start).after()[0]
    drawn, carried = randomisation.rearranged(outcome, start, np.full((len(start), 1), NEVER))
    estimate = randomisation.randomised(seen, drawn, carried)
    low, high = estimate.interval(1 - estimate.p - 0.002)
    assert not low <= 0 <= high
    low, high = estimate.interval(1 - estimate.p + 0.002)
    assert low <= 0 <= high


def test_too_few_arrangements_leave_no_interval():
    outcome = np.random.default_rng(2).normal(size=(5, 4))
    start = np.array([2.0] + [NEVER] * 4)
    drawn, carried = randomisation.rearranged(outcome, start, np.full((5, 1), NEVER))
    assert randomisation.randomised(1.0, drawn, carried).interval() == (-np.inf, np.inf)
