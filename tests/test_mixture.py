"""The number of particles from scores alone, against simulated detections of which the number is known."""

from dataclasses import replace

import numpy as np
import pytest

from heliodor.picking.calibration import calibrate
from heliodor.picking.count import Count, Source, count_by_labels
from heliodor.picking.evidence import Evidence, Others, standing_out, weigh
from heliodor.picking.mixture import POSSIBLY, Mixture, fit_mixture
from heliodor.picking.recount import count_again
from heliodor.picking.sample import Sample
from heliodor.picking.threshold import choose_threshold
from mixture_helpers import DECOYS, MICROGRAPHS, labelled, simulated


@pytest.mark.parametrize(
    ("particles", "mean"), [(10, 3.0), (30, 1.5), (30, 4.0), (100, 0.5), (100, 1.5), (100, 4.0), (300, 0.5), (300, 4.0)]
)
def test_particles_are_counted_by_their_scores(particles, mean):
    fitted = [fit_mixture(simulated(particles, mean, seed)) for seed in range(4)]
    assert np.mean([one.particles for one in fitted]) == pytest.approx(particles, rel=0.25)
    assert np.mean([one.mean for one in fitted]) == pytest.approx(mean, abs=0.6)


def test_faint_particles_are_counted_where_few_stand_out():
    counts = [fit_mixture(simulated(110, -0.6, seed)).particles for seed in range(6)]
    assert np.mean(counts) == pytest.approx(110, rel=0.3)
    assert all(50 < count < 200 for count in counts)


@pytest.mark.parametrize("mean", [0.0, 0.5, 1.0])
def test_a_crowd_leaves_little_room_for_false_detections(mean):
    """As crowded as apoferritin, two thirds of the false detections that decoys show are not there."""
    crowd = [simulated(170, mean, seed, claimed=0.0027) for seed in range(4)]
    assert np.mean([fit_mixture(one).particles for one in crowd]) == pytest.approx(170, rel=0.1)


@pytest.mark.parametrize("clears", [0.5, 1.0, 2.7])
def test_particles_may_leave_more_room_or_less(clears):
    """Where half of the false detections are missing that decoys show, that is no crowd of faint particles."""
    clear = [simulated(85, 3.5, seed, claimed=0.0016, clears=clears, noise=(-0.5, 1.1)) for seed in range(4)]
    assert np.mean([fit_mixture(one).particles for one in clear]) == pytest.approx(85, rel=0.12)


def test_scores_with_another_spread_are_counted_where_they_are_far_from_noise():
    assert fit_mixture(simulated(170, 8.5, 1, deviation=3.5)).particles == pytest.approx(170, rel=0.1)


def test_without_particles_there_are_none():
    """By chance noise may look like a few particles, no more."""
    counts, picked = [], []
    for seed in range(8):
        noise = simulated(0, 0.0, seed)
        counts.append(fit_mixture(noise).particles)
        weighed = weigh(noise, counts[-1])
        threshold = choose_threshold(weighed, calibrate(weighed), counts[-1])
        picked.append((noise.scores > threshold).sum() / MICROGRAPHS)
    assert max(counts) < 6
    assert np.median(counts) < 1
    assert max(picked) < 10
    assert np.median(picked) == 0


@pytest.mark.parametrize("images", [1, 2, 4])
def test_few_micrographs(images):
    evidence = simulated(30, 4.0, 3, images=images, decoys=8)
    assert fit_mixture(evidence).particles == pytest.approx(30, rel=0.35)


@pytest.mark.parametrize("seed", range(3))
def test_many_micrographs_alike_say_what_some_of_them_do(seed):
    """Else shapes that scores have, and normal distributions have not, would outweigh what is known beforehand."""
    some = simulated(110, -0.3, seed)
    scores, decoys = (np.repeat(values, 6) for values in (some.scores, some.decoys))
    many = Evidence(scores, decoys, some.weight, 6 * some.micrographs, 6 * some.images, claimed=some.claimed)
    assert fit_mixture(many).particles == pytest.approx(fit_mixture(some).particles, rel=0.03)
    assert fit_mixture(many).error == pytest.approx(fit_mixture(some).error, rel=0.05)


def test_nothing_found():
    nothing = Evidence(np.empty(0), np.empty(0), 1.0, MICROGRAPHS, DECOYS, claimed=0.001)
    fitted = fit_mixture(nothing)
    assert np.isfinite([fitted.particles, fitted.mean, fitted.deviation]).all()


def test_where_the_number_is_bounded_the_likeliest_is_within_the_error():
    evidence = simulated(110, -1.5, 2)
    fitted = fit_mixture(evidence, width=POSSIBLY)
    assert fitted.particles == pytest.approx(10 * standing_out(evidence))
    assert fitted.particles < 20
    assert fitted.particles * np.exp(3 * fitted.error) > 110


@pytest.mark.parametrize(("particles", "mean", "broken"), [(30, 7.0, 30), (100, 6.0, 40), (15, 7.5, 15)])
def test_labels_tell_particles_from_broken_ones(particles, mean, broken):
    seen = [simulated(particles, mean, seed, others=(broken, mean - 4)) for seed in range(4)]
    without = [fit_mixture(evidence).particles for evidence in seen]
    fitted = [fit_mixture(e, labelled(mean + 0.45, seed)).particles for seed, e in enumerate(seen)]
    assert np.mean(without) > 1.25 * particles
    assert np.mean(fitted) == pytest.approx(particles, rel=0.25)
    assert np.mean(fitted) < np.mean(without)


def counted(evidence, labels):
    again = count_by_labels(evidence, labels)
    assert again is not None
    assert again.number.low < again.number.particles <= again.number.high
    return again.number.particles


@pytest.mark.parametrize("apart", [2.5, 4.0])
def test_labels_that_are_a_fair_sample_look_like_particles_however_near_others_are(apart):
    evidence = simulated(100, 6.0, 0, others=(40, 6.0 - apart), skewness=0.3)
    fitted = [fit_mixture(evidence, labelled(6.0, seed, 100, skewness=0.3)) for seed in range(4)]
    assert np.mean([one.share for one in fitted]) > 0.96
    assert np.mean([one.corrected.particles for one in fitted]) == pytest.approx(100, rel=0.22)


@pytest.mark.parametrize("skewness", [0.0, 0.3, 0.5])
@pytest.mark.parametrize(("particles", "mean"), [(30, 6.5), (100, 5.0), (250, 4.0)])
def test_clear_particles_of_which_many_score_low_are_counted(particles, mean, skewness):
    again = [
        count_by_labels(
            simulated(particles, mean, seed, 1.8, skewness=skewness), labelled(mean, seed, 10, 1.8, skewness)
        )
        for seed in range(4)
    ]
    assert np.mean([one.number.particles for one in again]) == pytest.approx(particles, rel=0.1)
    assert np.mean([one.others.number for one in again]) < 0.12 * particles


def test_particles_of_widely_spread_scores_are_no_other_things():
    """Ten labels may happen to be of those with better scores."""
    counts = [counted(simulated(31, 6.8, seed, 2.0), labelled(8.0, seed, 10, 1.7)) for seed in range(8)]
    assert min(counts) > 0.8 * 31


@pytest.mark.parametrize("count", [10, 100])
def test_labels_tell_how_likely_a_detection_is_another_thing(count):
    found = count_by_labels(
        simulated(50, 7.0, 0, others=(30, 3.0), skewness=0.3), labelled(7.0, 3, count, skewness=0.3)
    )
    assert found is not None
    assert found.number.particles == pytest.approx(50, rel=0.2)
    assert found.others.number == pytest.approx(30, rel=0.4)
    assert found.others.mean == pytest.approx(3.0, abs=1.0)


def test_other_things_lower_probabilities_where_they_are():
    truth = simulated(50, 7.0, 0, others=(30, 3.0), skewness=0.3)
    found = count_by_labels(truth, labelled(7.0, 3, 100, skewness=0.3))
    assert found is not None
    number = found.number.particles
    known = calibrate(weigh(replace(truth, others=found.others), number))
    unknown = calibrate(weigh(truth, number))
    scores = np.array([2.0, 3.0, 9.0])
    assert (unknown(scores)[1:] > 0.9).all()
    assert (known(scores)[:2] < 0.3).all()
    assert known(scores)[2] > 0.95


def test_particles_that_labels_show_among_others_are_none_of_these():
    mixture = Mixture(50.0, 7.0, 1.6, 0.1, Others(30.0, 3.0, 1.6), share=0.8)
    assert mixture.corrected == Mixture(62.5, 7.0, 1.6, 0.1, Others(17.5, 3.0, 1.6), share=1.0)
    for share in (0.5, 0.0):  # not more than there are
        assert replace(mixture, share=share).corrected == Mixture(80.0, 7.0, 1.6, 0.1, Others(0.0, 3.0, 1.6))


@pytest.mark.parametrize("count", [10, 100, 300])
@pytest.mark.parametrize("mean", [4.0, 6.0])
def test_labels_of_the_clearest_particles_hide_few_of_the_others(mean, count):
    counts = []
    for seed in range(3):
        random = np.random.default_rng([seed, 5])
        particles = random.normal(mean, 1.6, 800)
        clearest = np.argsort(-(particles + random.normal(0, 1.6, 800)))[:160]
        counts.append(counted(simulated(100, mean, seed), particles[random.choice(clearest, count)]))
    assert 0.9 * 100 < np.mean(counts) < 1.2 * 100


@pytest.mark.parametrize(("particles", "mean"), [(30, 4.0), (100, 1.5), (100, 4.0), (300, 4.0)])
@pytest.mark.parametrize("clearer", [0.0, 0.45, 1.2])
def test_labels_of_clear_particles_hide_few_of_the_others(particles, mean, clearer):
    counts = [counted(simulated(particles, mean, seed), labelled(mean + clearer, seed)) for seed in range(4)]
    assert 0.9 * particles < np.mean(counts) < 1.3 * particles


@pytest.mark.parametrize("means", [(7.0, 3.0), (6.0, 2.0)])
def test_particles_of_two_views_that_labels_show_are_particles(means):
    counts = []
    for seed in range(6):
        evidence = simulated(50, means[0], seed, others=(50, means[1]))
        labels = np.concatenate([labelled(mean, [seed, k], 10) for k, mean in enumerate(means)])
        counts.append(counted(evidence, labels))
    assert np.mean(counts) > 0.95 * 100
    assert min(counts) > 0.8 * 100


def test_particles_of_many_scores_that_labels_show_are_particles():
    evidence = [simulated(170, 8.5, seed, deviation=3.5) for seed in range(4)]
    counts = [counted(e, labelled(8.5, seed, 20, 3.5)) for seed, e in enumerate(evidence)]
    assert np.mean(counts) > 0.9 * 170
    assert min(counts) > 0.8 * 170
    # What is made of them, after an earlier count that was right.
    before = Count(170.0, 150.0, 190.0, Source.START)
    samples = [Sample(e, 170.0, labelled(8.5, seed, 20, 3.5)) for seed, e in enumerate(evidence)]
    assert min(count_again(before, sample, 1.0)[1] for sample in samples) > 0.9 * 170


def test_two_labels_that_are_found_bound_nothing():
    evidence = simulated(30, 4.0, 0)
    assert count_by_labels(evidence, np.array([4.0, 5.0, -np.inf])) is None
    assert counted(evidence, np.array([4.0, 5.0, 4.5])) < 50
    assert count_by_labels(Evidence(evidence.scores, np.empty(0), 1.0, MICROGRAPHS), labelled(4.0, 0)) is None


@pytest.mark.parametrize(("particles", "mean"), [(110, -1.0), (60, -0.5), (46, -0.25), (100, 2.0)])
def test_the_interval_holds_the_number_of_faint_particles(particles, mean):
    counts = [Count.of_scores(simulated(particles, mean, seed), Source.START) for seed in range(10)]
    assert sum(count.low <= particles <= count.high for count in counts) >= 7
    assert all(count.low <= count.particles <= count.high for count in counts)


def test_what_is_no_noise_is_no_particle_where_labels_say_so():
    evidence = simulated(30, 7.0, 1, others=(30, 3.0))
    sure, bounded = weigh(evidence, 30.0), weigh(replace(evidence, most=33.0), 30.0)
    assert sure.most > 50
    assert bounded.most == 33.0
    assert weigh(replace(evidence, most=20.0), 30.0).most == 30.0
    cuts = [choose_threshold(e, calibrate(e), 30.0) for e in (sure, bounded)]
    assert cuts[0] < cuts[1]
