from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliodor.errors import SettingsError
from heliodor.picking.filaments import trace_filaments


def line_map(shape, start, end, width=5.0):
    """Score 4 within `width` of a segment, -4 elsewhere."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    start, end = np.array(start, float), np.array(end, float)
    along = end - start
    t = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / (along @ along), 0, 1)
    return np.where(np.hypot(x - start[0] - t * along[0], y - start[1] - t * along[1]) < width, 4.0, -4.0)


@settings(max_examples=15, deadline=None)
@given(st.floats(0, np.pi))
def test_the_ends_of_a_straight_filament_at_any_angle(angle):
    middle, half = np.array([80.0, 80.0]), 50 * np.array([np.cos(angle), np.sin(angle)])
    found = trace_filaments(line_map((160, 160), middle - half, middle + half), 0, 8)
    assert len(found) == 1
    ends = found[0] if np.dot(found[0][1] - found[0][0], half) > 0 else found[0][::-1]
    assert np.abs(ends - [middle - half, middle + half]).max() < 8


def test_a_bent_filament_is_cut_and_crossing_ones_are_two():
    bent = np.maximum(line_map((200, 200), (20, 100), (100, 100)), line_map((200, 200), (100, 100), (170, 170)))
    pieces = trace_filaments(bent, 0, 8, 30)
    assert len(pieces) == 2
    cross = np.maximum(line_map((200, 200), (20, 100), (180, 100)), line_map((200, 200), (100, 20), (100, 180)))
    pieces = trace_filaments(cross, 0, 8, 60)
    assert np.hypot(*(pieces[:, 1] - pieces[:, 0]).T) == pytest.approx([170, 170], abs=2)


def test_gaps_up_to_the_radius_are_closed_and_short_pieces_are_none():
    gap = line_map((100, 200), (20, 50), (180, 50))
    gap[:, 98:102] = -4
    assert len(trace_filaments(gap, 0, 10)) == 1
    assert len(trace_filaments(gap, 0, 10, 300)) == 0
    assert len(trace_filaments(np.full((50, 50), -1.0), 0, 10)) == 0


def test_lengths_that_cannot_be():
    with pytest.raises(SettingsError, match="above 0"):
        trace_filaments(np.zeros((9, 9)), 0, 0)
