"""Probabilities, decoys and the cut, on detections whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.stats import skew

from conftest_helpers import Listener
from heliodor.networks import NetworkSettings
from heliodor.networks.pretrained import load_pretrained
from heliodor.networks.scorers import Machine
from heliodor.picking.calibration import Calibration, calibrate, calibrate_known
from heliodor.picking.cut import Cut
from heliodor.picking.decoys import Background, background_power, disturbed
from heliodor.picking.density import Average
from heliodor.picking.detect import Detector
from heliodor.picking.evidence import Evidence, gather, ranked, standing_out, weigh
from heliodor.picking.scoring import score_map
from heliodor.picking.threshold import choose_threshold, settle_threshold
from heliodor.picks import Picks
from mixture_helpers import MICROGRAPHS, simulated


def detections(seed, true=400, false=4000, apart=3.0):
    random = np.random.default_rng(seed)
    scores = np.concatenate([random.normal(apart, 1, true), random.normal(0, 1, false)])
    hit = np.arange(true + false) < true
    order = np.argsort(-scores)
    decoys = np.sort(random.normal(0, 1, false))[::-1]
    return scores[order], hit[order], Evidence(scores[order], decoys, 1.0, 4)


def error(p, hit):
    which = np.minimum((p * 10).astype(int), 9)
    bins = [which == k for k in range(10) if (which == k).any()]
    return sum(b.sum() * abs(p[b].mean() - hit[b].mean()) for b in bins) / len(p)


@pytest.mark.parametrize("apart", [1.5, 3.0, 6.0])
def test_probabilities_from_decoys_alone_mean_what_they_say(apart):
    scores, hit, evidence = detections(0, apart=apart)
    p = calibrate(weigh(evidence, 100))(scores)
    assert error(p, hit) < 0.02
    assert p.sum() == pytest.approx(hit.sum(), rel=0.15)


@pytest.mark.parametrize("apart", [2.0, 3.0, 6.0])
def test_the_cut_is_nearly_as_good_as_the_best(apart):
    scores, hit, evidence = detections(1, apart=apart)
    evidence = weigh(evidence, 100)
    f1 = 2 * np.cumsum(hit) / (np.arange(1, len(hit) + 1) + hit.sum())
    cut = choose_threshold(evidence, calibrate(evidence), 100)
    assert f1[(scores > cut).sum() - 1] > 0.97 * f1.max()


@pytest.mark.parametrize("seed", [0, 1, 4])
def test_doubtful_detections_are_not_particles_because_decoys_have_a_few_too_few(seed):
    random = np.random.default_rng(seed)
    scores = np.concatenate([random.normal(5, 1, 80), random.normal(0, 1.05, 4000)])
    hit = np.arange(len(scores)) < 80
    order = np.argsort(-scores)
    decoys = np.sort(random.normal(0, 1, 4000))[::-1]
    evidence = weigh(Evidence(scores[order], decoys, 1.0, 4), 20)
    p = calibrate(evidence)(scores[order])
    unbounded = calibrate(replace(evidence, most=np.inf))(scores[order])
    assert abs(p.sum() - 80) < 0.5 * abs(unbounded.sum() - 80)
    f1 = 2 * np.cumsum(hit[order]) / (np.arange(1, len(hit) + 1) + 80)
    cut = choose_threshold(evidence, calibrate(evidence), 20)
    assert f1[(scores > cut).sum() - 1] > 0.95 * f1.max()


def test_a_count_that_is_too_small_does_not_hide_particles_that_are_sure():
    scores, hit, evidence = detections(3, apart=6.0)
    p = calibrate(weigh(evidence, 60))(scores)
    assert p.sum() == pytest.approx(hit.sum(), rel=0.15)


def test_a_precision_that_is_asked_for_is_reached():
    scores, hit, evidence = detections(2)
    evidence = weigh(evidence, 100)
    kept = scores > choose_threshold(evidence, calibrate(evidence), 100, precision=0.95)
    assert hit[kept].mean() == pytest.approx(0.95, abs=0.03)


def test_where_all_particles_are_clear_a_precision_adds_nothing_that_is_surely_none():
    evidence = weigh(simulated(100, 7.0, 0), 100.0)
    calibration = calibrate(evidence)
    cut = choose_threshold(evidence, calibration, 100, precision=0.8)
    assert evidence.found_above(np.array([cut]))[0] < 1.1 * 100 * MICROGRAPHS
    assert calibration([cut])[0] > 0.1


@pytest.mark.parametrize(("micrographs", "precision"), [(1, 0.9), (2, 0.9), (4, 0.95), (8, 0.98)])
def test_few_clear_particles_are_as_sure_as_their_number_says(micrographs, precision):
    random = np.random.default_rng(micrographs)
    scores = np.concatenate([random.normal(9, 1, 20 * micrographs), random.normal(0, 1, 540 * micrographs)])
    decoys = np.sort(random.normal(0, 1, 560 * micrographs))[::-1]
    evidence = weigh(Evidence(np.sort(scores)[::-1], decoys, 1.0, micrographs, micrographs), 20)
    calibration = calibrate(evidence)
    kept = (scores > choose_threshold(evidence, calibration, 20, precision=precision)).sum()
    assert 20 * micrographs <= kept <= 23 * micrographs
    assert calibration([9.0])[0] > precision


def test_a_precision_that_nothing_reaches_is_told_and_the_surest_are_kept():
    scores, _, evidence = detections(2, apart=1.0)
    evidence, listener = weigh(evidence, 100), Listener()
    calibration = calibrate(evidence)
    threshold = settle_threshold(evidence, calibration, 100.0, 0.999, listener)
    kept = scores > threshold
    surest = calibration(scores) == calibration(scores).max()
    assert np.array_equal(kept, surest)
    assert surest.sum() > 5
    assert "no threshold has a precision of 0.999" in listener.warnings[0]
    settle_threshold(evidence, calibration, 100.0, None, listener)
    assert len(listener.warnings) == 1


def test_a_flat_curve_does_not_make_all_there_is_picks():
    scores = np.linspace(5, -5, 4000)
    evidence = Evidence(scores, scores, 1.0, 4)
    kept = (scores > choose_threshold(evidence, Calibration((-5.0, 5.0), (0.45, 0.55)), 100)).sum()
    assert kept == 480


@given(st.floats(0.2, 1.0), st.integers(0, 99))
def test_a_part_of_a_micrograph_is_judged_as_the_whole(share, seed):
    """Half of an average micrograph, because of junk, a margin or its size, holds half of the particles."""
    _, _, evidence = detections(8, true=400, false=4000, apart=2.5)
    calibration = calibrate(weigh(evidence, 100))
    whole = calibration(evidence.scores)
    average = Average.of_sample(whole, 4, area=1000.0)
    random = np.random.default_rng(seed)
    true, false = random.normal(2.5, 1, round(130 * share)), random.normal(0, 1, round(1000 * share))
    part = calibration(np.concatenate([true, false]))
    seen = average.local(part, 1000.0 * share)
    assert seen.sum() > 0.8 * part.sum()
    assert np.array_equal(average.local(part, 1000.0), average.local(part))
    if share < 0.5:
        assert average.local(part).sum() < seen.sum()


def test_where_there_is_nothing_but_noise_next_to_nothing_is_picked():
    random = np.random.default_rng(3)
    noise = np.sort(random.normal(0, 1, 4000))[::-1]
    evidence = weigh(Evidence(noise, np.sort(random.normal(0, 1, 4000))[::-1], 1.0, 4), 0.0)
    assert (noise > choose_threshold(evidence, calibrate(evidence), 1.0)).sum() < 8
    assert calibrate(evidence)(noise).mean() < 0.05


def test_an_empty_micrograph_among_full_ones_stays_empty():
    _, _, evidence = detections(8, true=400, false=4000, apart=2.5)
    calibration = calibrate(weigh(evidence, 100))
    average = Average.of_sample(calibration(evidence.scores), 4)
    random = np.random.default_rng(9)
    empty, half = random.normal(0, 1, 1000), np.concatenate([random.normal(0, 1, 1000), random.normal(2.5, 1, 50)])
    assert (calibration(empty) > 0.4).sum() > 5
    assert (average.local(calibration(empty)) > 0.4).sum() <= 1
    assert average.local(calibration(half)).sum() == pytest.approx(50, abs=20)
    full = calibration(np.concatenate([random.normal(0, 1, 1000), random.normal(2.5, 1, 130)]))
    assert average.local(full) == pytest.approx(full, rel=1e-3)
    assert not len(average.local(np.empty(0)))


def test_the_surest_are_kept_where_a_micrograph_holds_a_few_particles_less():
    """The curve is flat at its top: with 0.99 of the particles nothing is as probable as there, on any micrograph."""
    cut = Cut(3.0, Calibration((-1.0, 2.0), (0.05, 0.975)), Average(20.0, 20.0, 1.0, 0.1, 60.0), given=False)
    scores = np.array([8.0, 7.0, 6.0, 5.0, 2.9, -3.0])
    for share, kept in ((1.0, 4), (0.99, 4), (0.6, 4), (0.4, 0), (0.0, 0)):
        odds = share * 0.975 / 0.025
        p = np.where(scores >= 2, odds / (1 + odds), 0.05 * share)
        assert cut.keeps(Picks(["m"] * 6, np.zeros((6, 2)), scores, p)).sum() == kept


def test_many_detections_that_say_nothing_do_not_fill_an_empty_micrograph():
    """A small probability of each of a thousand makes as large a sum as the particles do; nor is a freak a particle."""
    bulk, clear = np.full(1000, 0.05), np.full(60, 0.7)
    average = Average.of_sample(np.concatenate([bulk, clear]), 1)
    assert average.true == pytest.approx(42)
    for freaks in ([], [0.97], [0.9, 0.6, 0.6]):
        empty = np.concatenate([bulk, freaks])
        assert (average.local(empty) > 0.4).sum() == 0
    half = np.concatenate([bulk, clear[:30]])
    assert 0.3 < average.local(half)[-1] < 0.7


def test_an_empty_micrograph_has_more_room_for_false_detections():
    _, _, evidence = detections(8, true=400, false=4000, apart=2.0)
    calibration = calibrate(weigh(evidence, 100))
    average = Average.of_sample(calibration(evidence.scores), 4, np.log(1.4))
    random = np.random.default_rng(9)
    empty = [calibration(random.normal(0, 1, 1400)) for _ in range(40)]
    found = [(average.local(p) > 0.4).sum() for p in empty]
    assert np.mean([(p > 0.4).sum() for p in empty]) > 10
    assert np.mean(found) < 3
    assert np.median(found) == 0
    full = calibration(np.concatenate([random.normal(0, 1, 1000), random.normal(2.0, 1, 130)]))
    assert average.local(full) == pytest.approx(full, rel=1e-3)


def test_somewhat_fewer_good_detections_may_be_thick_ice():
    """On which particles score less; far fewer are fewer particles."""
    _, _, evidence = detections(8, true=400, false=4000, apart=2.5)
    calibration = calibrate(weigh(evidence, 100))
    average = Average.of_sample(calibration(evidence.scores), 4)
    random = np.random.default_rng(2)
    noise = random.normal(0, 1, 1000)
    thick, few = (np.concatenate([noise, random.normal(*true)]) for true in ((2.2, 1, 100), (2.5, 1, 25)))
    assert average.local(calibration(thick)).sum() > 0.95 * calibration(thick).sum()
    assert average.local(calibration(few)).sum() < 0.8 * calibration(few).sum()


def test_average_micrographs_keep_their_picks_where_particles_hardly_differ():
    _, _, evidence = detections(8, true=1200, false=4000, apart=1.5)
    evidence = replace(evidence, claimed=0.002)
    evidence = weigh(evidence, 300)
    assert evidence.crowding < 0.5
    assert weigh(evidence, 1e6).crowding < 0.5
    calibration = calibrate(evidence)
    random = np.random.default_rng(3)
    found = calibration(evidence.scores)
    kept = {crowding: [] for crowding in (evidence.crowding, 0.0)}
    averages = {crowding: Average.of_sample(found, 4, crowding) for crowding in kept}
    for _ in range(20):
        p = calibration(np.concatenate([random.normal(0, 1, 1000), random.normal(1.5, 1, 300)]))
        for crowding, numbers in kept.items():
            numbers.append((averages[crowding].local(p) > 0.5).sum())
    assert np.mean(kept[evidence.crowding]) > 0.9 * np.mean(kept[0.0])


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_sure_particles_stay_on_a_micrograph_with_few(share):
    average = Average.of_sample(np.full(125, 0.99), 1)
    few = average.local(np.full(round(125 * share), 0.99))
    odds = share * 0.99 / 0.01
    assert few == pytest.approx(odds / (1 + odds), abs=0.02)


@pytest.mark.parametrize(("usual", "enough"), [(100, 10), (400, 23)])
def test_a_few_sure_detections_are_chance_and_some_more_are_not(usual, enough):
    """Contrast differs between micrographs: noise of an empty one may look like three of a hundred particles."""
    average = Average.of_sample(np.full(usual, 0.98), 1)
    assert not average.local(np.full(3, 0.98)).any()
    assert average.local(np.full(enough, 0.98)).any()


probability = st.floats(0.001, 0.999) | st.sampled_from([0.05, 0.2, 0.8])  # the curve is flat in places
probabilities = st.lists(probability, max_size=200).map(np.sort)


@given(probabilities, probabilities, st.integers(1, 9), st.floats(0, 0.3))
def test_probabilities_are_only_lowered_and_keep_their_order(sample, own, micrographs, crowding):
    average = Average.of_sample(sample, micrographs, crowding)
    assert Average.of_model(average.about()) == average
    local = average.local(own)
    assert ((local >= 0) & (local <= own + 1e-12)).all()
    assert (np.diff(local) >= 0).all()
    assert (np.diff(local)[np.diff(own) == 0] == 0).all()


@pytest.mark.parametrize("crowding", [0.0, 0.3])
@pytest.mark.parametrize("apart", [1.5, 2.5, 6.0])
def test_an_average_micrograph_keeps_its_probabilities(apart, crowding):
    _, _, evidence = detections(8, true=400, false=4000, apart=apart)
    sample = calibrate(weigh(evidence, 100))(evidence.scores)
    local = Average.of_sample(sample, 1, crowding).local(sample)
    assert local == pytest.approx(sample, abs=0.01)


def test_faint_particles_do_not_vanish_where_a_few_less_are_seen():
    """Of detections that are hardly likelier than not, a tenth less on a micrograph says little about their number."""
    average = Average.of_sample(np.full(400, 0.3), 1)
    fewer = average.local(np.full(360, 0.3))
    assert (fewer > 0.2).all()


@pytest.mark.parametrize("claimed", [0.0005, 0.002])
def test_particles_that_stand_out_are_counted(claimed):
    """Particles leave no room for false detections within the exclusion radius."""
    for apart, least in ((6.0, 0.95), (3.0, 0.8), (1.5, 0.3)):
        random = np.random.default_rng(4)
        noise = random.normal(0, 1, 4000)[: round(4000 * np.exp(-100 * claimed))]
        found = np.sort(np.concatenate([noise, random.normal(apart, 1, 400)]))[::-1]
        decoys = np.sort(random.normal(0, 1, 2000))[::-1]
        assert least * 100 < standing_out(Evidence(found, decoys, 2.0, 4, 2, claimed=claimed)) < 112
    assert standing_out(Evidence(np.empty(0), decoys, 2.0, 4, 2, claimed=claimed)) == 0


def test_carbon_is_disturbed_and_noise_is_not():
    random = np.random.default_rng(0)
    image = random.normal(0, 1, (300, 400)).astype(np.float32)
    assert disturbed(image, 20.0).mean() < 5e-3
    image[:, :100] -= 1.5
    assert disturbed(image, 20.0)[:, :90].mean() > 0.9
    assert disturbed(image, 20.0)[:, 110:].mean() < 0.02


def test_padding_is_not_the_measure_of_what_is_disturbed():
    image = np.random.default_rng(0).normal(0, 1, (300, 400)).astype(np.float32)
    image[:170] = 0.3
    assert disturbed(image, 20.0)[:160].all()
    assert disturbed(image, 20.0)[190:].mean() < 0.05
    assert not disturbed(np.ones((50, 50), np.float32), 20.0).any()


def drawn(pixels, xy, junk=None, radius=12.0):
    return Background.of_micrograph(pixels, xy, radius, junk).draw(np.random.default_rng(5))


@pytest.mark.parametrize("particles", [0, 40])
def test_backgrounds_have_all_of_the_power_of_noise_at_low_frequencies_too(particles):
    random = np.random.default_rng(11)
    white = random.normal(0, 1, (512, 512)).astype(np.float32)
    mask = np.ones_like(white)
    for x, y in random.uniform(12, 500, (particles, 2)).astype(int):
        mask[y - 12 : y + 12, x - 12 : x + 12] = 0
    power, mean = background_power(white, mask)
    assert mean == pytest.approx(0, abs=0.02)
    frequency = np.fft.fftfreq(len(power), 1 / len(power))
    radius = np.rint(np.hypot(*np.meshgrid(frequency, frequency))).astype(int)
    rings = np.bincount(radius.ravel(), power.ravel()) / np.bincount(radius.ravel())
    assert rings[:24] == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize("blur", [0.0, 1.0])
def test_decoys_are_as_skewed_as_the_background(blur):
    """Of 20 electrons on each pixel, some pixels with none at all, and particles between."""
    random = np.random.default_rng(12)
    counted = gaussian_filter(random.poisson(20, (512, 512)).astype(np.float32), blur, mode="wrap")
    pixels = (counted - counted.mean()) / counted.std()
    places = random.uniform(20, 492, (30, 2))
    for x, y in places.astype(int):
        pixels[y - 5 : y + 5, x - 5 : x + 5] -= 1.0
    pixels[::64, ::64] = -9
    expected = skew(counted.ravel())
    assert expected > 0.05
    assert skew(drawn(pixels, places).ravel()) == pytest.approx(expected, abs=0.03)


def test_a_decoy_of_padding_is_padding():
    assert np.array_equal(drawn(np.full((64, 80), 0.5, np.float32), np.empty((0, 2))), np.full((64, 80), 0.5))


def test_a_few_odd_pixels_on_padding_make_no_nan():
    pixels = np.zeros((128, 128), np.float32)
    pixels[5, 7] = 50
    assert np.isfinite(drawn(pixels, np.empty((0, 2)))).all()


@pytest.mark.parametrize("side", [95, 127])
def test_background_at_the_border_alone_is_found(side):
    pixels = np.random.default_rng(2).normal(0, 1, (side, side)).astype(np.float32)
    junk = np.arange(side)[:, None].repeat(side, axis=1) < side - 24
    assert drawn(pixels, np.empty((0, 2)), junk, radius=4.0).std() == pytest.approx(1, abs=0.3)


class Blur:
    """Scores how dark a place is, in standard deviations of white noise: looks at low frequencies alone."""

    receptive_field, batch, tile = 41, 1, 512

    def __call__(self, windows):
        margin, sigma = self.receptive_field // 2, 2.5
        blurred = gaussian_filter(windows, (0, sigma, sigma), truncate=4.0)[:, margin:-margin, margin:-margin]
        return (-2 * sigma * np.sqrt(np.pi) * blurred).astype(np.float32)


@pytest.mark.parametrize("particles", [0, 10, 40])
def test_decoys_are_like_the_noise_between_particles(particles):
    """Found by scores that noise reaches as well: too much kept out would make the rest fainter, and so on."""
    random, scorer, detector = np.random.default_rng(7), Blur(), Detector(9.0, -9.0)
    y, x = np.mgrid[:400, :400]
    images, noise, found = [], [], []
    for _ in range(6):
        image = random.normal(0, 1, (400, 400)).astype(np.float32)
        noise.append(detector(scorer, image)[1])
        for px, py in random.uniform(10, 390, (particles, 2)):
            image -= 2 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 16).astype(np.float32)
        images.append(image)
        found.append(detector(scorer, image))
    evidence = gather(scorer, images, detector, 20.0, 0, found, [None] * 6)
    assert evidence.images == 18  # three of each are 16 or more
    for score in (2.0, 3.0):
        number = sum(int((s > score).sum()) for s in noise) / len(noise)
        assert (evidence.decoys > score).sum() / evidence.images == pytest.approx(number, rel=0.25, abs=2)
    assert 0.8 * particles <= standing_out(evidence) < 1.5 * particles + 4  # flanks of blobs are found as well


def test_gold_does_not_make_decoys_stronger():
    """Two beads in every window of a spectrum are in its median, too."""
    random = np.random.default_rng(8)
    background = random.normal(0, 1, (256, 256)).astype(np.float32)
    pixels = background.copy()
    for x, y in random.uniform(10, 246, (40, 2)).astype(int):
        pixels[y - 3 : y + 3, x - 3 : x + 3] = -10
    marked = disturbed(pixels, 20.0)
    nothing = np.empty((0, 2))
    assert drawn(pixels, nothing).std() > 1.3
    assert drawn(pixels, nothing, marked).std() == pytest.approx(1.0, abs=0.1)
    everything = np.ones_like(marked)  # leaves no background: then junk is taken for it, and particles still are not
    assert drawn(background, nothing, everything).std() == pytest.approx(1, abs=0.1)


def test_decoys_hold_as_many_false_detections_as_noise_does():
    """Whatever looks like a particle is kept out of the decoys; where that is noise, they must not become fainter."""
    network, _ = load_pretrained(NetworkSettings())
    scorer, detector = Machine("cpu").scorer(network), Detector(9.0, 3.0)
    random = np.random.default_rng(0)
    images = [random.normal(0, 1, (400, 400)).astype(np.float32) for _ in range(6)]
    found = [detector.maxima(score_map(scorer, image)) for image in images]
    evidence = weigh(gather(scorer, images, detector, 20.0, 0, found, [None] * len(images)), 0.0)
    for quantile in (0.9, 0.98):
        score = np.quantile(evidence.scores, quantile)
        number = (evidence.scores >= score).sum()
        assert evidence.false_above(np.array([score]))[0] == pytest.approx(number, rel=0.15, abs=3 * number**0.5)
    assert standing_out(evidence) < 4


def test_room_is_that_of_what_is_searched():
    network, _ = load_pretrained(NetworkSettings())
    image = np.random.default_rng(0).normal(0, 1, (200, 200)).astype(np.float32)
    mask = np.zeros(image.shape, bool)
    mask[:, :100] = True
    detector = Detector(9.0, 3.0)
    evidence = gather(
        Machine("cpu").scorer(network), [image], detector, 20.0, 0, [(np.empty((0, 2)), np.empty(0))], [mask], each=1
    )
    assert evidence.area == 20_000
    assert evidence.claimed == pytest.approx(np.pi * 81 / 20_000)


def test_decoys_are_searched_where_micrographs_are():
    """A masked half has no detections: nor have decoys there, or false ones would be expected twice as often."""
    network, _ = load_pretrained(NetworkSettings())
    scorer, detector = Machine("cpu").scorer(network), Detector(9.0, 3.0)
    image = np.random.default_rng(0).normal(0, 1, (400, 400)).astype(np.float32)
    mask = np.zeros(image.shape, bool)
    mask[:, :200] = True
    found = [detector.maxima(score_map(scorer, image), mask)]
    evidence = gather(scorer, [image], detector, 20.0, 0, found, [mask], each=2)
    assert len(evidence.decoys) / 2 == pytest.approx(len(evidence.scores), rel=0.1)


def test_without_any_detection():
    evidence = Evidence(np.empty(0), np.empty(0), 1.0, 1)
    assert calibrate(evidence)([1.0]) == 0.5
    assert np.isfinite(choose_threshold(evidence, calibrate(evidence), 10))


@given(st.lists(st.tuples(st.floats(-9, 9), st.booleans()), min_size=1, max_size=300))
@settings(max_examples=50, deadline=None)
def test_curves_rise_and_stay_inside_zero_and_one(rows):
    scores, hit = np.array([s for s, _ in rows]), np.array([h for _, h in rows])
    curve = calibrate_known(scores, hit)
    p = curve(np.sort(scores))
    assert (np.diff(p) >= 0).all()
    assert ((p > 0) & (p < 1)).all()
    again = Calibration.of_model(curve.about())
    assert np.array_equal(again(scores), curve(scores))


def test_a_decoy_has_the_spectrum_of_the_background_and_no_particle():
    random = np.random.default_rng(4)
    y, x = np.mgrid[:256, :256]
    background = random.normal(0, 1, (256, 256)).astype(np.float32)
    places = random.uniform(10, 246, (40, 2))
    pixels = background.copy()
    for px, py in places:
        pixels -= 6 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 50).astype(np.float32)
    assert pixels.std() > 1.4
    decoy = drawn(pixels, places)
    assert decoy.std() == pytest.approx(1.0, abs=0.1)
    assert decoy.dtype == np.float32
    assert drawn(pixels, np.empty((0, 2))).std() == pytest.approx(pixels.std(), rel=0.1)
    assert np.array_equal(decoy, drawn(pixels, places))


def test_a_decoy_of_a_crowded_micrograph_still_finds_some_background():
    pixels = np.random.default_rng(6).normal(0, 1, (128, 128)).astype(np.float32)
    grid = np.stack(np.meshgrid(np.arange(5, 128, 10), np.arange(5, 128, 10)), axis=-1).reshape(-1, 2)
    assert drawn(pixels, grid, radius=9).std() == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize("seed", range(6))
def test_a_threshold_beyond_all_scores_stays_so_when_they_are_written(seed):
    """Files have six decimals: the best of what is no pick must not pass by rounding, nor the last of all fail."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 1, 50)
    noise = Evidence(ranked([scores]), ranked([random.normal(0.2, 1, 500)]), 0.1, 1)
    threshold = choose_threshold(noise, Calibration((0.0, 9.0), (0.001, 0.002)), 1.0)
    assert not (scores.round(6) > threshold).any()
    threshold = choose_threshold(noise, Calibration((0.0, 9.0), (0.9, 0.95)), 1000.0)
    assert (scores.round(6) > threshold).all()
