from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from heliodor.picks import Picks

places = st.floats(0, 100)
tables = st.integers(0, 12).flatmap(
    lambda n: st.builds(
        Picks,
        st.lists(st.sampled_from(["001", "1", "a b", "grid1/x", "grid2/x"]), min_size=n, max_size=n),
        arrays(np.float64, (n, 2), elements=places),
        arrays(np.float64, (n,), elements=st.one_of(st.just(np.nan), st.floats(-9, 9))),
    )
)


def same(left: Picks, right: Picks) -> bool:
    return (
        left.names.tolist() == right.names.tolist()
        and np.array_equal(left.xy, right.xy)
        and np.array_equal(left.scores, right.scores, equal_nan=True)
    )


@given(tables)
def test_parts_by_micrograph_hold_every_row_once_in_order(picks):
    parts = dict(picks.by_micrograph())
    assert list(parts) == picks.micrographs()
    assert sum(map(len, parts.values())) == len(picks)
    assert all(same(part, picks.of(name)) for name, part in parts.items())


@given(tables, tables)
def test_join_puts_tables_under_one_another(first, second):
    joined = Picks.join([first, second])
    assert same(joined.select(np.arange(len(first))), first)
    assert same(joined.select(np.arange(len(first), len(joined))), second)


@given(tables, tables, st.floats(0.01, 50))
def test_subtract_is_the_set_difference_by_distance(picks, published, radius):
    def known(name, xy):
        return any(np.hypot(*(xy - other)) <= radius for other in published.of(name).xy)

    expected = [not known(name, xy) for name, xy in zip(picks.names, picks.xy, strict=True)]
    assert same(picks.subtract(published, radius), picks.select(np.array(expected, dtype=bool)))


def test_no_table_at_all_joins_to_an_empty_one():
    assert len(Picks.join([])) == 0
    assert not Picks.join([]).has_scores


def test_names_stay_text():
    assert Picks(["001", "1"], [[0, 0], [1, 1]]).of("1").xy.tolist() == [[1, 1]]


def test_above_drops_picks_without_a_score():
    picks = Picks(["a", "a", "a"], [[0, 0], [1, 1], [2, 2]], [np.nan, 0.0, 1.0])
    assert picks.above(0.0).xy.tolist() == [[2, 2]]


def test_scaled_and_renamed():
    picks = Picks.on("a", [[1, 2]]).scaled((2, 3)).renamed({"a": "b"})
    assert (picks.names.tolist(), picks.xy.tolist()) == (["b"], [[2, 6]])


@pytest.mark.parametrize(
    ("names", "xy", "scores"),
    [(["a"], [[1, 2], [3, 4]], None), (["a"], [[1, 2, 3]], None), (["a"], [[1, 2]], [1, 2])],
)
def test_lengths_that_differ_are_refused(names, xy, scores):
    with pytest.raises(ValueError, match="Picks needs names"):
        Picks(names, xy, scores)


def test_probabilities_travel_with_their_picks() -> None:
    picks = Picks(["a", "b", "a"], [[1, 2], [3, 4], [5, 6]], [1.0, 2.0, 3.0], [0.2, 0.5, 0.9])
    assert picks.of("a").probabilities.tolist() == [0.2, 0.9]
    assert picks.scaled(2).renamed({"a": "c"}).above(1.5).probabilities.tolist() == [0.5, 0.9]
    assert Picks.join([picks, Picks.on("z", [[0, 0]])]).probabilities[:3].tolist() == [0.2, 0.5, 0.9]
    assert np.isnan(picks.without_probabilities().probabilities).all()


def test_a_threshold_leaves_what_has_no_scores():
    bare = Picks.on("a", [[1, 2], [3, 4]])
    assert bare.at_least(0) is bare
    assert bare.scoreless
    mixed = Picks(["a"] * 3, np.zeros((3, 2)), [1, np.nan, -1])
    assert len(mixed.at_least(-np.inf)) == 3
    assert mixed.at_least(1).scores.tolist() == [1]
    assert not mixed.scoreless
    assert not mixed.has_scores
    assert not Picks.join([]).scoreless


def test_places_are_those_that_files_hold():
    picks = Picks(["a", "b"], [[1.00049, 2], [3, 4]])
    assert picks.places() == [("a", 1.0, 2.0), ("b", 3.0, 4.0)]
    assert Picks.join([]).places() == []
