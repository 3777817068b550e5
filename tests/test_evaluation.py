from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliodor.cli import main
from heliodor.errors import LabelError, SettingsError
from heliodor.evaluation import agreement, average_precision, evaluate, match, precision_recall
from heliodor.formats import write_picks
from heliodor.picks import Picks

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


def naive(picks, labels, radius):
    """Slow twin: AP and best F1 straight from the definition."""
    hits, scores = [], []
    for name in sorted(labels.micrographs()):
        free = labels.of(name).xy.tolist()
        part = picks.of(name)
        for row in np.argsort(-part.scores, kind="stable"):
            near = [xy for xy in free if np.hypot(*(part.xy[row] - xy)) <= radius]
            if near:
                free.remove(min(near, key=lambda xy: np.hypot(*(part.xy[row] - xy))))
            hits.append(bool(near))
            scores.append(part.scores[row])
    ap, true, best = 0.0, 0, 0.0
    order = np.argsort(-np.array(scores), kind="stable").tolist()
    for k, row in enumerate(order, 1):
        true += hits[row]
        ap += hits[row] * true / k / len(labels)
        if k == len(order) or scores[order[k]] < scores[row]:  # a threshold takes all picks of a score
            best = max(best, 2 * true / (k + len(labels)))
    return ap, best


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_evaluate_equals_the_naive_scorer(seed):
    rng = np.random.default_rng(seed)
    labels = Picks(rng.choice(["a", "b", "c"], 30), rng.uniform(0, 60, (30, 2)))
    picks = Picks(rng.choice(["a", "b", "d"], 40), rng.uniform(0, 60, (40, 2)), rng.integers(0, 9, 40))
    result = evaluate(picks, labels, 9.0, bootstrap=0)
    ap, best = naive(picks, labels, 9.0)
    assert result.overall.average_precision == pytest.approx(ap, abs=1e-12)
    assert result.best_f1 == pytest.approx(best, abs=1e-12)
    assert result.without_picks == (["c"] if "c" in labels.micrographs() else [])


def test_intervals_hold_the_estimate_and_are_seeded():
    rng = np.random.default_rng(0)
    labels = Picks(np.repeat(list("abcdef"), 10), rng.uniform(0, 100, (60, 2)))
    picks = Picks(labels.names, labels.xy + rng.normal(0, 4, (60, 2)), rng.normal(size=60))
    one, two = (evaluate(picks, labels, 5.0, seed=3, bootstrap=200) for _ in range(2))
    assert one.intervals == two.intervals
    low, high = one.intervals["f1"]
    assert low < one.overall.f1 < high


def test_intervals_equal_those_of_resampled_tables():
    rng = np.random.default_rng(1)
    labels = Picks(np.repeat(list("abcd"), 8), rng.uniform(0, 60, (32, 2)))
    picks = Picks(labels.names, labels.xy + rng.normal(0, 4, (32, 2)), rng.normal(size=32))
    result = evaluate(picks, labels, 6.0, threshold=-0.2, bootstrap=40, seed=5)
    draws = np.random.default_rng(5)
    rows = []
    for _ in range(40):
        drawn = [list("abcd")[k] for k in draws.integers(0, 4, 4)]
        again = [Picks.join(Picks.on(str(k), t.of(n).xy, t.of(n).scores) for k, n in enumerate(drawn))
                 for t in (picks, labels)]  # fmt: skip
        overall = evaluate(*again, 6.0, threshold=-0.2, bootstrap=0).overall
        rows.append([overall.precision, overall.recall, overall.f1])
    low, high = np.percentile(rows, [2.5, 97.5], axis=0)
    for k, name in enumerate(("precision", "recall", "f1")):
        assert result.intervals[name] == pytest.approx((low[k], high[k]), abs=1e-12)


def test_a_score_for_some_picks_only_is_refused():
    with pytest.raises(LabelError, match="1 of 2 picks have no score"):
        evaluate(Picks.on("m", [[1, 1], [2, 2]], [0, np.nan]), Picks.on("m", [[1, 1]]), 5.0)


def test_equal_scores_rank_the_same_whatever_the_order_of_the_labels():
    labels = Picks(["b", "a"], [[0, 0], [0, 0]])
    picks = Picks(["a", "b"], [[0, 0], [90, 90]])
    scores = {evaluate(picks, labels.select(rows), 1.0, bootstrap=0).best_f1 for rows in ([0, 1], [1, 0])}
    assert len(scores) == 1


def test_agreement_with_an_empty_table_is_refused():
    with pytest.raises(LabelError, match="empty"):
        agreement(Picks.on("m", [[1, 1]]), Picks([], np.empty((0, 2))), 5.0)


@given(points, points, st.floats(0.5, 8))
@settings(max_examples=40, deadline=None)
def test_topaz_matching_equals_the_dense_assignment(a, b, radius):
    from scipy.optimize import linear_sum_assignment

    a, b = as_xy(a), as_xy(b)
    cost = np.minimum(((a[:, None] - b[None]) ** 2).sum(axis=-1) - radius**2, 0)
    found = match(a, None, b, radius, "topaz")
    assert np.nansum(found.distance**2 - radius**2) == pytest.approx(cost[linear_sum_assignment(cost)].sum(), abs=1e-9)


def test_optimal_matching_of_a_crowd_is_quick_and_exact():
    xy = np.random.default_rng(0).uniform(0, 4000, (5000, 2))
    found = match(xy + 0.25, None, xy, 10.0, "optimal")
    assert found.hit.all()
    assert np.nanmax(found.distance) <= 10.0


def test_agreement_is_the_same_from_both_sides():
    rng = np.random.default_rng(0)
    first = Picks.on("m", rng.uniform(0, 50, (20, 2)))
    second = Picks.on("m", rng.uniform(0, 50, (25, 2)))
    assert agreement(first, second, 6.0).f1 == agreement(second, first, 6.0).f1
    assert agreement(first, first, 6.0).f1 == 1.0


def test_tables_of_different_micrographs_are_refused():
    with pytest.raises(LabelError, match="share no micrograph"):
        evaluate(Picks.on("mic_1", [[1, 1]], [0]), Picks.on("mic_2", [[1, 1]]), 5.0)


def test_command_line(tmp_path, capsys):
    write_picks(tmp_path / "labels.txt", Picks.on("m", [[10, 10], [50, 50]]))
    write_picks(tmp_path / "picks.star", Picks.on("dir/m.mrc", [[11, 10], [90, 90]], [2, 1]))
    words = ["evaluate", str(tmp_path / "picks.star"), str(tmp_path / "labels.txt"), "-r", "5"]
    assert main([*words, "--sweep", str(tmp_path / "sweep.tsv")]) == 0
    assert "0.500   0.500  0.500  0.500  1.00 px" in capsys.readouterr().out
    assert (tmp_path / "sweep.tsv").read_text().splitlines()[1] == "2.000000\t1\t1.000000\t0.500000\t0.666667"


@pytest.mark.parametrize(("radius", "method"), [(-1, "greedy"), (np.nan, "greedy"), (np.inf, "optimal"), (1, "best")])
def test_match_refuses_what_cannot_be(radius, method):
    with pytest.raises(SettingsError, match=r"of match must be"):
        match(np.zeros((1, 2)), None, np.zeros((1, 2)), radius, method)
