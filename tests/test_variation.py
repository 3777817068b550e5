"""Micrographs that differ, against simulated detections of which is known what they are."""

from dataclasses import replace

import numpy as np
import pytest

from heliodor.picking.count import count_by_labels
from heliodor.picking.mixture import fit_mixture
from heliodor.picking.variation import ALIKE, PARTICLES_ONLY, USUAL
from mixture_helpers import labelled, unlike

SIXTEEN = np.ones(16)
FEW_EMPTY = np.where(np.arange(16) % 4 == 3, 0.0, 1.0)


def counted(evidence, labels):
    """Particles and others, over what was simulated on the mean micrograph; labels in the mean of four draws."""
    found = count_by_labels(evidence, labels)
    assert found is not None
    return found.number.particles, found.others.number


def counts(evidences, labels):
    return np.mean([counted(*pair) for pair in zip(evidences, labels, strict=True)], axis=0)


def test_on_empty_micrographs_broken_ones_are_seen_to_be_none():
    """Scores of both lie so near to each other that ten labels hardly tell them apart."""
    seen = [unlike(60, 6.0, seed, FEW_EMPTY, (40, 3.5), skewness=0.3) for seed in range(4)]
    labels = [labelled(6.0, seed, 10, skewness=0.3) for seed in range(4)]
    particles, others = counts(seen, labels)
    assert 45 < particles < 1.35 * 45
    assert 0.7 * 40 < others < 1.1 * 40
    blurred, _ = counts([replace(one, which=None) for one in seen], labels)
    assert blurred > 1.25 * particles


def test_a_view_that_scores_less_is_on_full_micrographs_and_not_on_empty_ones():
    """As many of one view as of the other, labels of both."""
    shares = np.array([0.0, 0.3, 0.6, 1.0, 1.0, 1.4, 1.7, 2.0] * 2)
    seen = [unlike(40, 7.0, seed, shares, (40, 4.5), shares, skewness=0.3) for seed in range(4)]
    labels = [np.append(labelled(7.0, seed, 10, skewness=0.3), labelled(4.5, seed + 9, 10)) for seed in range(4)]
    particles, _ = counts(seen, labels)
    assert particles == pytest.approx(80, rel=0.15)


@pytest.mark.parametrize("count", [10, 100])
def test_thick_ice_on_some_micrographs_is_no_other_thing(count):
    offsets = np.tile([0.4, -0.9, 0.2, 0.6, -0.6, 0.1, 0.5, -0.3], 2)
    seen = [unlike(80, 6.0, seed, SIXTEEN, offsets=offsets, skewness=0.3) for seed in range(4)]
    particles, others = counts(seen, [labelled(6.2, seed, count, skewness=0.3) for seed in range(4)])
    assert particles == pytest.approx(80, rel=0.1)
    assert others < 0.12 * 80


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_the_mean_number_is_found_whatever_the_micrographs(spread):
    random = np.random.default_rng(1)
    shares = np.clip(random.normal(1, spread, 16), 0, 3)
    seen = [unlike(50, 5.0, seed, shares, skewness=0.2) for seed in range(4)]
    particles, _ = counts(seen, [labelled(5.0, seed, 20, skewness=0.2) for seed in range(4)])
    assert particles == pytest.approx(50 * shares.mean(), rel=0.08)


def test_the_order_of_the_micrographs_does_not_matter():
    seen = unlike(50, 5.0, 0, FEW_EMPTY, (20, 2.0))
    turned = replace(seen, which=15 - seen.which)
    assert counted(turned, labelled(5.0, 0)) == pytest.approx(counted(seen, labelled(5.0, 0)), rel=1e-3)


@pytest.mark.parametrize("mean", [1.5, 4.0])
def test_without_labels_particles_on_some_micrographs_are_counted(mean):
    fitted = [fit_mixture(unlike(80, mean, seed, FEW_EMPTY)) for seed in range(6)]
    off = np.log([one.particles / 60 for one in fitted])
    assert np.abs(off).mean() < 0.15
    assert np.mean(np.abs(off) < 2 * np.array([max(one.error, 0.05) for one in fitted])) > 0.6
    assert max(one.error for one in fitted) < 0.3


@pytest.mark.parametrize("labels", [None, labelled(5.0, 0)])
def test_of_one_micrograph_the_mean_is_that_of_its_scores(labels):
    evidence = unlike(80, 5.0, 0, np.ones(1))
    alone, alike = (fit_mixture(one, labels) for one in (evidence, replace(evidence, which=None)))
    assert alone.particles == pytest.approx(alike.particles, rel=0.1)
    assert alone.mean == pytest.approx(alike.mean, abs=0.25)
    assert alone.deviation == pytest.approx(alike.deviation, rel=0.15)
    assert alone.error < 0.3


def test_a_crowd_on_one_micrograph_of_many_is_counted():
    shares = np.append(np.full(15, 0.5), 4.0)
    seen = [unlike(40, 6.0, seed, shares, skewness=0.3) for seed in range(4)]
    particles, _ = counts(seen, [labelled(6.0, seed, 20, skewness=0.3) for seed in range(4)])
    assert particles == pytest.approx(40 * shares.mean(), rel=0.12)


@pytest.mark.parametrize("claimed", [0.05, 1.0, 20.0])
def test_room_for_no_false_detection_at_all_is_no_trouble(claimed):
    evidence = unlike(40, 5.0, 0, SIXTEEN, claimed=claimed)
    with np.errstate(all="raise", under="ignore"):
        fitted = fit_mixture(evidence, labelled(5.0, 0))
    assert np.isfinite([fitted.particles, fitted.mean, fitted.error]).all()


def test_every_detection_must_be_on_a_micrograph():
    with pytest.raises(ValueError, match="micrographs are named for"):
        replace(unlike(5, 5.0, 0, SIXTEEN), scores=np.array([3.0, 2.0]))


@pytest.mark.parametrize("variation", [ALIKE, PARTICLES_ONLY, USUAL])
def test_what_is_likely_beforehand_adds_up(variation):
    weights = variation.weights(variation.likely[None])[0]
    assert weights == pytest.approx(np.exp(variation.likely))
    assert weights.sum(axis=(1, 2)) @ variation.particles[:, 0] == pytest.approx(1)
    assert weights.sum(axis=(0, 2)) @ variation.others[:, 0] == pytest.approx(1)
    assert weights.sum(axis=(0, 1)) @ variation.offsets[:, 0] == pytest.approx(0, abs=1e-12)
