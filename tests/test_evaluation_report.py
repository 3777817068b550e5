from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliodor.errors import LabelError
from heliodor.evaluation import evaluate
from heliodor.picks import Picks


def tables(seed, labels=40, picks=60):
    rng = np.random.default_rng(seed)
    return (
        Picks(rng.choice(list("abcd"), picks), rng.uniform(0, 60, (picks, 2)), rng.normal(size=picks)),
        Picks(rng.choice(list("abcd"), labels), rng.uniform(0, 60, (labels, 2))),
    )


@given(st.integers(0, 1000), st.floats(-2, 2), st.sampled_from(["greedy", "optimal"]))
@settings(max_examples=20, deadline=None)
def test_the_numbers_at_a_threshold_hold_together(seed, threshold, method):
    picks, labels = tables(seed)
    result = evaluate(picks, labels, 8.0, method=method, threshold=threshold, bootstrap=0)
    each = result.per_micrograph.values()
    overall = result.overall
    assert overall.labels == sum(s.labels for s in each) == len(labels)
    assert overall.picks == sum(s.picks for s in each)
    assert overall.precision * overall.picks == pytest.approx(overall.recall * overall.labels)
    assert overall.f1 <= result.best_f1 + 1e-12
    assert np.isnan(overall.rmse) or overall.rmse <= 8


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_the_best_threshold_reaches_the_best_f1(seed):
    picks, labels = tables(seed)
    result = evaluate(picks, labels, 8.0, bootstrap=0)
    again = evaluate(picks, labels, 8.0, threshold=result.best_threshold, bootstrap=0)
    assert again.overall.f1 == pytest.approx(result.best_f1)


@given(st.integers(0, 1000), st.floats(0.01, 100))
@settings(max_examples=15, deadline=None)
def test_only_the_order_of_scores_and_the_ratio_of_lengths_count(seed, scale):
    picks, labels = tables(seed)
    one = evaluate(picks, labels, 8.0, bootstrap=0).overall
    scaled = Picks(picks.names, picks.xy * scale, 3 * picks.scores - 7)
    two = evaluate(scaled, labels.scaled(scale), 8.0 * scale, bootstrap=0).overall
    assert two.average_precision == pytest.approx(one.average_precision)
    assert two.rmse == pytest.approx(one.rmse * scale)


def test_picks_without_scores_are_no_ranking():
    labels, picks = Picks(["m"], [[0, 0]]), Picks(["m", "m"], [[0, 0], [50, 50]])
    result = evaluate(picks, labels, 4.0, bootstrap=0)
    assert result.overall.f1 == pytest.approx(2 / 3)
    assert np.isnan([result.best_f1, result.best_threshold, result.overall.average_precision]).all()
    with pytest.raises(LabelError, match="no scores"):
        evaluate(picks, labels, 4.0, threshold=0.5)


def test_the_macro_mean_counts_each_micrograph_once():
    labels = Picks(["big"] * 3 + ["small", "empty"], [[0, 0], [10, 0], [20, 0], [0, 0], [0, 0]])
    picks = Picks(["big"] * 3 + ["small"] * 2, [[0, 0], [10, 3], [20, 0], [0, 1], [50, 0]], [5, 4, 3, 2, 1])
    macro = evaluate(picks, labels, 4.0, bootstrap=0).macro
    assert macro["precision"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert macro["recall"] == pytest.approx((1 + 1 + 0) / 3)
    assert macro["f1"] == pytest.approx((1 + 2 / 3 + 0) / 3)
    assert macro["average_precision"] == pytest.approx((1 + 1 + 0) / 3)
    assert macro["rmse"] == pytest.approx((3**0.5 + 1) / 2)


def test_perfect_picks_are_perfect():
    _, labels = tables(0)
    overall = evaluate(Picks(labels.names, labels.xy, np.zeros(len(labels))), labels, 0.0).overall
    assert (overall.precision, overall.recall, overall.f1, overall.average_precision, overall.rmse) == (1, 1, 1, 1, 0)
