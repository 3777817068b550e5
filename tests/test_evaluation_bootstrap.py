from __future__ import annotations

import numpy as np
import pytest

from heliodor.evaluation import bootstrap, evaluate
from heliodor.evaluation.bootstrap import Ranking, intervals
from heliodor.picks import Picks


def rankings(rng, micrographs, picks):
    """Return micrographs of unequal size and quality, no two picks with one score."""
    parts = []
    for _ in range(micrographs):
        count = int(rng.integers(0, 2 * picks + 1))
        hit = rng.random(count) < rng.uniform(0.3, 0.9)
        scores = rng.normal(size=count) + hit
        parts.append(Ranking(hit, scores, np.where(hit, rng.uniform(0, 5, count), np.nan), int(hit.sum()) + 3))
    return parts


def slow(parts, threshold, count, seed):
    """Twin: draw, put together, count pick by pick. Copies of a pick share the precision behind the last."""
    draws = np.random.default_rng(seed).integers(0, len(parts), (count, len(parts)))
    rows = []
    for drawn in draws:
        sample = [parts[k] for k in drawn]
        labels = sum(p.labels for p in sample)
        table = sorted((-s, h) for p in sample for s, h in zip(p.scores, p.hit, strict=True))
        average = best = 0.0
        for score, hit in table:
            behind = [h for s, h in table if s <= score]
            average += hit * sum(behind) / len(behind) / labels
            best = max(best, 2 * sum(behind) / (len(behind) + labels))
        kept = [(h, d) for p in sample for s, h, d in zip(p.scores, p.hit, p.distance, strict=True) if s >= threshold]
        hits = sum(h for h, _ in kept)
        rmse = np.sqrt(sum(d * d for h, d in kept if h) / hits)
        rows.append([hits / len(kept), hits / labels, 2 * hits / (len(kept) + labels), average, best, rmse])
    return np.percentile(rows, [2.5, 97.5], axis=0).T


@pytest.mark.parametrize("seed", range(4))
def test_intervals_equal_the_slow_ones(seed):
    parts = rankings(np.random.default_rng(seed), 5, 8)
    fast = intervals(parts, 0.2, 30, seed)
    assert list(fast) == ["precision", "recall", "f1", "average_precision", "best_f1", "rmse"]
    np.testing.assert_allclose(list(fast.values()), slow(parts, 0.2, 30, seed), atol=1e-12)


def test_a_ranking_longer_than_the_bins_loses_nothing_that_matters(monkeypatch):
    parts = rankings(np.random.default_rng(0), 12, 200)
    whole = intervals(parts, 0.0, 200, 1)
    monkeypatch.setattr(bootstrap, "BINS", 256)
    cut = intervals(parts, 0.0, 200, 1)
    for name, bounds in whole.items():
        width = bounds[1] - bounds[0]
        np.testing.assert_allclose(cut[name], bounds, atol=0.05 * width)


def test_most_intervals_hold_the_true_value():
    rng = np.random.default_rng(0)
    inside = 0
    for trial in range(60):
        parts = []
        for quality in rng.uniform(0.4, 0.8, 40):
            hit = rng.random(30) < quality
            parts.append(Ranking(hit, rng.normal(size=30), np.where(hit, 1.0, np.nan), 30))
        low, high = intervals(parts, -np.inf, 200, trial)["precision"]
        inside += low <= 0.6 <= high
    assert inside >= 50  # 95 % of 60, less five standard deviations of chance


def test_one_micrograph_or_no_resampling_gives_no_interval():
    parts = rankings(np.random.default_rng(0), 2, 5)
    assert intervals(parts[:1], 0.0, 100, 0) == {}
    assert intervals(parts, 0.0, 0, 0) == {}


def test_no_pick_at_all():
    result = evaluate(Picks.join([]), Picks(["a", "b"], [[1, 1], [2, 2]]), 5.0)
    assert result.intervals["recall"] == (0.0, 0.0)
    assert result.intervals["average_precision"] == (0.0, 0.0)
    assert np.isnan(result.intervals["rmse"]).all()
    assert result.overall.f1 == 0


def test_resamplings_without_picks_have_no_precision():
    """Of three labelled micrographs one was picked, and nearly all its picks are particles."""
    picked = Ranking(np.arange(60) < 57, np.arange(60.0)[::-1], np.where(np.arange(60) < 57, 1.0, np.nan), 60)
    others = [Ranking(np.zeros(0, bool), np.zeros(0), np.zeros(0), 60) for _ in range(2)]
    bounds = intervals([picked, *others], 0.0, 500, 0)
    assert bounds["precision"] == pytest.approx((0.95, 0.95))
    assert bounds["recall"][0] == 0
    assert all(np.isnan(intervals(others, 0.0, 500, 0)["precision"]))
