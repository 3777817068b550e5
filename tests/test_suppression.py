from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from heliodor.errors import SettingsError
from heliodor.picking.refinement import refine
from heliodor.picking.suppression import non_maximum_suppression


def _reference(scores, exclusion_radius, threshold=-np.inf):
    """Slow twin: all pixels in order of score, each against every pixel of the map."""
    y, x = np.mgrid[: scores.shape[0], : scores.shape[1]]
    free = np.ones(scores.shape, dtype=bool)
    taken = []
    for place in np.argsort(-scores.ravel(), kind="stable"):
        row, column = divmod(int(place), scores.shape[1])
        if scores[row, column] > threshold and free[row, column]:
            taken.append([column, row])
            free &= (x - column) ** 2 + (y - row) ** 2 > exclusion_radius**2
    return taken


def as_lists(scores, exclusion_radius, threshold=-np.inf):
    xy, values = non_maximum_suppression(scores, exclusion_radius, threshold)
    assert values.tolist() == [scores[y, x] for x, y in xy]
    return xy.tolist()


radii = st.one_of(st.floats(0, 12), st.sampled_from([0.0, 1.0, 2**0.5, 2.0, 5.0**0.5, 3.0, 1e3, np.inf]))


@given(
    st.integers(0, 10_000), st.tuples(st.integers(0, 24), st.integers(0, 24)), radii, st.sampled_from([-np.inf, 0, 0.7])
)
@settings(max_examples=80, deadline=None)
def test_random_maps_equal_the_plain_loop(seed, shape, radius, threshold):
    scores = np.random.default_rng(seed).normal(size=shape)
    assert as_lists(scores, radius, threshold) == _reference(scores, radius, threshold)


@given(st.integers(0, 10_000), st.integers(1, 4), radii)
@settings(max_examples=60, deadline=None)
def test_ties_go_to_the_first_in_row_major_order(seed, levels, radius):
    scores = np.random.default_rng(seed).integers(0, levels, (17, 13)).astype(np.float32)
    assert as_lists(scores, radius) == _reference(scores, radius)


@pytest.mark.parametrize("sigma", [0, 2, 6])
@pytest.mark.parametrize("radius", [3.0, 7.5])
def test_maps_large_enough_to_be_sorted_in_blocks(sigma, radius):
    scores = np.random.default_rng(int(sigma)).normal(size=(120, 140)).astype(np.float32)
    scores = gaussian_filter(scores, sigma)
    assert as_lists(scores, radius) == _reference(scores, radius)
    rounded = np.round(scores / scores.std())
    assert as_lists(rounded, radius) == _reference(rounded, radius)


def test_a_plateau_larger_than_a_block():
    assert as_lists(np.zeros((90, 90)), 4.0) == _reference(np.zeros((90, 90)), 4.0)


def test_a_disc_ends_at_the_border():
    scores = np.zeros((5, 6))
    scores[2, 5] = 3
    scores[3, 0] = 2  # the next pixel in memory, at the other side of the map
    assert as_lists(scores, 2.0, 1.0) == [[5, 2], [0, 3]]


def test_the_radius_is_inclusive():
    scores = np.array([[3.0, 0.0, 2.0, 1.0]])
    assert as_lists(scores, 2.0) == [[0, 0], [3, 0]]
    assert as_lists(scores, 1.99) == [[0, 0], [2, 0]]


def test_radius_zero_keeps_every_pixel_above_the_threshold():
    assert as_lists(np.array([[1.0, 3.0], [2.0, 0.0]]), 0.0, 0.0) == [[1, 0], [0, 1], [0, 0]]


def test_forbidden_pixels_are_never_taken():
    scores = np.full((8, 8), -np.inf)
    assert as_lists(scores, 2.0) == []
    scores[4, 4] = -1e30
    assert as_lists(scores, 2.0) == [[4, 4]]


def test_no_two_centres_are_close_and_no_pixel_is_left():
    scores = np.random.default_rng(0).normal(size=(60, 70))
    xy, _ = non_maximum_suppression(scores, 6.0)
    distance = np.hypot(*(xy[:, None] - xy[None]).T)
    assert distance[~np.eye(len(xy), dtype=bool)].min() > 6
    y, x = np.mgrid[:60, :70]
    assert np.hypot(x[..., None] - xy[:, 0], y[..., None] - xy[:, 1]).min(axis=-1).max() <= 6


@pytest.mark.parametrize(
    ("scores", "radius", "message"),
    [
        (np.zeros(4), 1.0, "map"),
        (np.zeros((2, 2)), -1.0, "exclusion_radius"),
        (np.zeros((2, 2)), np.nan, "exclusion_radius"),
        (np.array([[0.0, np.nan]]), 1.0, "NaN"),
    ],
)
def test_what_cannot_be_is_refused(scores, radius, message):
    with pytest.raises(SettingsError, match=message):
        non_maximum_suppression(scores, radius)


def plateaus(rng, noise):
    """Score map with a disc of 3 px around each of 100 centres, as a trained network gives."""
    grid = np.stack(np.meshgrid(np.arange(20, 220, 20), np.arange(20, 220, 20)), axis=-1).reshape(-1, 2)
    centres = grid + rng.uniform(-3, 3, grid.shape)
    y, x = np.mgrid[:240, :240]
    distance = np.min([np.hypot(x - cx, y - cy) for cx, cy in centres], axis=0)
    texture = gaussian_filter(rng.normal(size=x.shape), 1)
    return 10 / (1 + np.exp(2 * (distance - 3))) - 5 + noise * texture / texture.std(), centres


@pytest.mark.parametrize(("noise", "allowed"), [(0.3, 0.1), (1.0, 0.27)])
@pytest.mark.parametrize("weights", ["probability", "height"])
def test_refined_centres_are_near_the_true_ones(noise, allowed, weights):
    scores, centres = plateaus(np.random.default_rng(0), noise)
    xy, _ = non_maximum_suppression(scores, 8.0, 1.0)

    def error(points):
        return np.sqrt(np.mean(np.min(np.hypot(*(points[:, None] - centres[None]).T), axis=0) ** 2))

    assert len(xy) == 100
    assert error(refine(scores, xy, 4.0, weights=weights)) < min(allowed, error(xy) / 3)


@given(st.integers(0, 10_000), st.floats(1, 6))
@settings(max_examples=30, deadline=None)
def test_a_centre_never_leaves_its_window_or_the_map(seed, window):
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 40, (23, 31))
    start = np.stack([rng.integers(0, 31, 15), rng.integers(0, 23, 15)], axis=1)
    moved = refine(scores, start, window, weights="probability" if seed % 2 else "height")
    assert np.hypot(*(moved - start).T).max() <= window + 1e-9
    assert (moved >= 0).all()
    assert (moved <= [30, 22]).all()


def test_a_flat_map_moves_no_inner_centre():
    for weights in ("probability", "height"):
        assert refine(np.full((20, 20), -300.0), [[9, 10]], weights=weights).tolist() == [[9.0, 10.0]]


def test_no_centres_give_no_centres():
    assert refine(np.zeros((9, 9)), np.empty((0, 2), int)).shape == (0, 2)


def test_refine_names_the_parameter_it_cannot_use():
    with pytest.raises(SettingsError, match="weights"):
        refine(np.zeros((9, 9)), [[1, 1]], weights="cubic")
    with pytest.raises(SettingsError, match="window_radius"):
        refine(np.zeros((9, 9)), [[1, 1]], 0.5)
    with pytest.raises(SettingsError, match="outside"):
        refine(np.zeros((9, 9)), [[9, 1]])
