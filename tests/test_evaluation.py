from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliodor.evaluation import average_precision, match, precision_recall

points = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=5, unique=True)


def as_xy(values):
    return np.array(values, dtype=float).reshape(-1, 2)


@given(points, points, st.floats(0.5, 8))
@settings(max_examples=60, deadline=None)
def test_optimal_matching_equals_trying_everything(a, b, radius):
    a, b = as_xy(a), as_xy(b)
    best = (0, 0.0)
    for size in range(min(len(a), len(b)), 0, -1):
        costs = [
            sum(((a[i] - b[j]) ** 2).sum() for i, j in zip(rows, columns, strict=True))
            for rows in itertools.combinations(range(len(a)), size)
            for columns in itertools.permutations(range(len(b)), size)
            if all(np.hypot(*(a[i] - b[j])) <= radius for i, j in zip(rows, columns, strict=True))
        ]
        if costs:
            best = (size, min(costs))
            break
    found = match(a, None, b, radius, "optimal")
    assert found.hit.sum() == best[0]
    assert np.nansum(found.distance**2) == pytest.approx(best[1], abs=1e-6)


def test_greedy_lets_the_best_score_choose_first():
    found = match(as_xy([[0, 0], [1, 0]]), np.array([0.1, 0.9]), as_xy([[0.4, 0]]), 2.0)
    assert found.label.tolist() == [-1, 0]


def test_a_label_is_found_once_only():
    found = match(np.zeros((3, 2)), np.arange(3.0), np.zeros((1, 2)), 1.0)
    assert found.hit.sum() == 1


def test_average_precision_by_hand():
    hit = np.array([True, False, True])
    assert average_precision(hit, np.array([3.0, 2.0, 1.0]), 4) == pytest.approx((1 + 2 / 3) / 4)
    curve = precision_recall(hit, np.array([1.0, 2.0, 3.0]), 4)
    assert curve.threshold.tolist() == [3, 2, 1]
    assert curve.recall.tolist() == [0.25, 0.25, 0.5]
