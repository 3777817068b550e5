"""What `pick` refuses before it reads anything."""

import math

import pytest

from heliodor.errors import SettingsError
from heliodor.picking.geometry import derive_geometry
from heliodor.picking.settings import PickSettings


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"pi": 0.1, "expected_particles": 50.0}, "say the same thing twice"),
        ({"pi": 0.0}, "--pi is a fraction, between 0 and 1. Got 0 instead"),
        ({"threshold": math.nan}, "--threshold must be a score. Got nan instead"),
        ({"expected_particles": 0.0}, "--expected-particles must be above 0. Got 0 instead"),
        ({"expected_particles": -5.0}, "--expected-particles must be above 0"),
        ({"expected_particles": math.nan}, "--expected-particles must be above 0"),
        ({"start": "model.safetensors", "pretrained": False}, "--no-pretrained wants none"),
        ({"threshold": 0.0, "precision": 0.9}, "both say where to cut"),
        ({"precision": 1.0}, "--precision must be between 0 and 1"),
        ({"held_out": 1.0}, "--held-out must be"),
        ({"method": "PU", "slack": 1.0}, "--slack is the weight of a penalty, which PU has not"),
        ({"margin": -1.0}, "--margin, in angstrom, must be 0 or more"),
        ({"margin": math.nan}, "--margin, in angstrom, must be 0 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_the_reason(given, reason):
    with pytest.raises(SettingsError, match=reason):
        PickSettings(diameter=120.0, **given)


def test_maxima_that_exclude_nothing_are_a_pixel_apart():
    geometry = derive_geometry(120.0, 3.0, exclusion_radius=0.0)
    assert geometry.detections(1000.0) == derive_geometry(120.0, 3.0, exclusion_radius=1.0).detections(1000.0)
    assert 1000.0 < geometry.detections(1000.0) < 1500.0
