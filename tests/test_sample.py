"""How many particles the sample for the threshold holds: beside the labelled micrographs, and after training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heliodor.names import MicrographFile
from heliodor.picking.calibration import calibrate
from heliodor.picking.count import Count, Source, count_by_labels
from heliodor.picking.detect import Detector
from heliodor.picking.evidence import weigh
from heliodor.picking.recount import count_again, describe_others
from heliodor.picking.sample import Sample, _relative, draw_sample
from heliodor.picking.threshold import choose_threshold
from heliodor.progress import SILENT
from mixture_helpers import MICROGRAPHS, labelled, simulated


class Itself:
    """A scorer whose score of a pixel is its value."""

    receptive_field, batch, tile = 1, 1, 256

    def __call__(self, windows):
        return windows


def micrograph(seed, particles, contrast=4.0):
    """Dots in rows, brighter or fainter, and a floor of false detections."""
    random = np.random.default_rng(seed)
    pixels = random.gumbel(-4, 0.5, (200, 200)).astype(np.float32)
    places = np.stack(np.meshgrid(np.arange(10, 200, 20), np.arange(10, 200, 20)), axis=-1).reshape(-1, 2)
    for y, x in random.permutation(places)[:particles]:
        pixels[y, x] = random.normal(contrast, 1)
    return pixels, None


@pytest.mark.parametrize(("here", "there"), [(20, 60), (40, 40), (0, 50), (60, 30)])
def test_the_ratio_is_that_of_particles_whatever_the_contrast(here, there):
    known = {f"k{n}": micrograph(n, there, 4.5 if n % 2 else 6.0) for n in range(4)}
    sample = {f"s{n}": micrograph(10 + n, here, 5.0) for n in range(6)}
    found = _relative(Itself(), Detector(7.0, 0.0), sample, known, float(there), {})
    assert found == pytest.approx(here / there, abs=0.1)


def test_a_poor_labelled_micrograph_in_the_sample_does_not_stand_for_all():
    known = {f"k{n}": micrograph(n, 10 if n == 0 else 50) for n in range(4)}
    sample = {"k0": known["k0"], **{f"s{n}": micrograph(10 + n, 40) for n in range(7)}}
    found = _relative(Itself(), Detector(7.0, 0.0), sample, known, 40.0, {})
    assert found == pytest.approx(290 / 8 / 40, abs=0.1)


def test_the_same_micrographs():
    known = {f"k{n}": micrograph(n, 50) for n in range(3)}
    assert _relative(Itself(), Detector(7.0, 0.0), known, known, 50.0, {}) == 1


@pytest.mark.parametrize("here", [0, 20, 40, 60])
def test_false_detections_are_not_carried_over(here):
    """Half of what is compared is false, on all micrographs alike."""
    known = {f"k{n}": micrograph(n, 80, 5.0) for n in range(6)}
    sample = {f"s{n}": micrograph(10 + n, here + 40, 5.0) for n in range(6)}
    found = _relative(Itself(), Detector(7.0, 0.0), sample, known, 80 / 0.9, {}, false=0.5)
    assert found == pytest.approx(here / 40, abs=0.15)


def test_labelled_micrographs_on_which_nothing_is_found():
    known, sample = {"k": micrograph(0, 1)}, {"s": micrograph(1, 80)}
    assert _relative(Itself(), Detector(7.0, 0.0, -2.0), sample, known, 1.0, {}) <= 3


def test_nothing_found_anywhere():
    flat = np.full((60, 60), -50.0, np.float32)
    assert _relative(Itself(), Detector(7.0, 0.0), {"s": (flat, None)}, {"k": (flat, None)}, 9.0, {}) == 1


def with_junk(particles=30, expected=75.0):
    """As many broken ones as particles, on each micrograph of a sample; labels on some of the particles."""
    return Sample(simulated(particles, 7.0, 1, others=(particles, 3.0)), expected, labelled(7.4, 1))


def test_training_tells_how_many_of_what_was_counted_are_particles():
    count, here, evidence = count_again(Count(150.0, 120.0, 190.0, Source.START), with_junk(), 2.0)
    assert here == evidence.most == pytest.approx(33, rel=0.2)
    assert count.particles == pytest.approx(2 * here)  # twice as many on labelled micrographs as in the sample
    assert count.low < count.particles <= count.high
    assert count.source is Source.TRAINED


def test_without_scores_of_labels_a_count_stays():
    count = Count(150.0, 120.0, 190.0, Source.START)
    unasked = replace(with_junk(), labels=np.empty(0))
    assert count_again(count, unasked, 2.0) == (count, 75.0, unasked.evidence)


def test_who_knows_the_number_is_told_what_else_there_is():
    told = Count(40.0, 40.0, 40.0, Source.USER)
    count, here, evidence = count_again(told, with_junk(expected=20.0), 2.0)
    assert (count, here, evidence.most) == (told, 20.0, np.inf)
    assert evidence.others.number == pytest.approx(30, rel=0.4)


@pytest.mark.parametrize("more", [1.0001, 1.05, 1.15, 1.2, 1.3, 2.0])
def test_of_two_counts_the_later_one_is_taken_if_it_is_far_lower(more):
    sample = with_junk()
    found = count_by_labels(sample.evidence, sample.labels)
    assert found is not None
    before = found.number.particles * more
    count = Count(before, 0.7 * before, 1.5 * before, Source.START)
    now, here, evidence = count_again(count, replace(sample, expected=before), 2.0)
    assert now.low < now.particles == here < now.high
    assert min(before, found.number.particles) <= here <= before
    assert evidence.most >= here
    if more < 1.18:
        assert now.source is Source.START
        assert here > 0.93 * before
        assert now.high > before
    if more < 1.1:
        assert (now.low, now.high) == pytest.approx((count.low, count.high), rel=0.05)
    if more > 1.25:
        assert now.source is Source.TRAINED
        assert here == pytest.approx(found.number.particles, rel=0.06)


def test_people_are_told_of_what_looks_like_no_labelled_particle():
    _, here, evidence = count_again(Count(150.0, 120.0, 190.0, Source.START), with_junk(), 2.0)
    said = describe_others(evidence, here)
    assert said is not None
    assert said.startswith(f"about {evidence.likely_others:.0f} detections on a micrograph")
    clean = Sample(simulated(60, 7.0, 1), 60.0, labelled(7.0, 1, 50))
    _, here, evidence = count_again(Count(60.0, 50.0, 70.0, Source.START), clean, 2.0)
    assert describe_others(evidence, here) is None


def test_who_knows_that_there_are_more_particles_gets_them():
    views = simulated(50, 7.0, 1, others=(50, 3.0))  # of which one is labelled
    both = Sample(views, 100.0, labelled(7.0, 1, 50))
    _, here, evidence = count_again(Count(100.0, 100.0, 100.0, Source.USER), both, 2.0)
    assert here == 100
    assert evidence.others.number < 10
    weighed = weigh(evidence, here)
    cut = choose_threshold(weighed, calibrate(weighed), here)
    assert 0.9 * 100 < weighed.found_above(np.array([cut]))[0] / MICROGRAPHS < 1.1 * 100


@pytest.mark.parametrize("less", [0.5, 0.8, 0.9999])
def test_a_count_that_was_low_is_raised_as_far_as_the_later_one_is_known(less):
    sample = with_junk()
    found = count_by_labels(sample.evidence, sample.labels)
    assert found is not None
    before = less * found.number.particles
    count = Count(before, before, before, Source.START)
    again, here, evidence = count_again(count, replace(sample, expected=before), 2.0)
    weights = np.array([0.1, found.error]) ** -2.0
    mean = np.average(np.log([before, found.number.particles]), weights=weights)
    assert again.particles == here == pytest.approx(np.exp(mean))
    assert here <= evidence.most == pytest.approx(found.number.particles)


def test_there_are_never_fewer_particles_than_labels():
    count, here, evidence = count_again(Count(150.0, 120.0, 190.0, Source.START), with_junk(), 100.0)
    assert count.particles == pytest.approx(100)
    assert here == evidence.most == pytest.approx(50)
    assert count.low <= count.particles < 0.9 * count.high


def test_where_nothing_is_found_nothing_changes():
    count = Count(150.0, 120.0, 190.0, Source.START)
    nothing = Sample(simulated(0, 0.0, 0), 75.0, np.full(10, -np.inf))
    assert count_again(count, nothing, 1.0) == (count, 75.0, nothing.evidence)
    none = with_junk(expected=0.0)
    assert count_again(count, none, 1.0) == (count, 0.0, none.evidence)


@pytest.mark.parametrize(("micrographs", "size"), [(3, 3), (20, 16), (800, 16), (1000, 20), (20000, 32)])
def test_long_runs_look_at_more_micrographs(micrographs, size):
    files = [MicrographFile(Path(f"{k}.mrc"), str(k)) for k in range(micrographs)]
    drawn = draw_sample(files, 0, None, {file.name for file in files}, SILENT)
    assert len(drawn) == size
