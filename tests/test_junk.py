"""Junk: masks and flags on micrographs whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from heliodor.errors import LabelError, SettingsError
from heliodor.junk.depth import standardize
from heliodor.junk.flags import area_flags
from heliodor.junk.ice import crystalline_ice
from heliodor.junk.inspect import Inspector
from heliodor.junk.mask import junk_mask, learn_limits
from heliodor.micrographs import Micrograph
from heliodor.networks import NetworkSettings
from heliodor.picking.detect import Detector
from heliodor.picking.scoring import score_map
from heliodor.simulation.load import load_particle
from heliodor.simulation.micrograph import render
from heliodor.simulation.scene import plan
from heliodor.simulation.settings import JUNK, JunkSettings, SimulationSettings
from heliodor.training.loop import train
from heliodor.training.settings import TrainingSettings
from heliodor.training.tiles import Example

DIAMETER = 20.0


def blank(shape=(240, 260), seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def lattice(shape=(240, 260), spacing=26):
    """Centres that do not touch."""
    x, y = np.meshgrid(np.arange(20, shape[1] - 10, spacing), np.arange(20, shape[0] - 10, spacing))
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(float)


def disc(pixels, x, y, radius, depth):
    rows, columns = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
    inside = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    pixels[inside] -= depth
    return inside


def with_particles(xy, depth=1.0, seed=0):
    pixels = blank(seed=seed)
    for x, y in xy:
        disc(pixels, x, y, 9, depth)
    return pixels


def values(mask, xy):
    x, y = np.rint(xy).astype(int).T
    return mask[y, x]


def labelled_limits(depth=1.0, count=20):
    xy = lattice()
    return learn_limits([(standardize(with_particles(xy, depth, seed=1), DIAMETER), xy[:count])])


@pytest.mark.parametrize("count", [3, 20, 72])
@pytest.mark.parametrize("depth", [0.3, 1.0, 5.0])
def test_no_particle_is_hidden_at_any_density_and_contrast(count, depth):
    xy = lattice()[:count]
    mask = junk_mask(standardize(with_particles(xy, depth), DIAMETER), labelled_limits(depth, 10))
    assert values(mask, xy).sum() == 0


def test_gold_ice_and_carbon_are_hidden_and_the_particles_beside_them_are_not():
    xy = lattice()
    pixels = with_particles(xy)
    film = np.zeros(pixels.shape, dtype=bool)
    film[:, 200:] = True
    pixels[film] -= 2
    gold = disc(pixels, 45, 43, 5, 12)
    ice = disc(pixels, 120, 150, 30, 5)
    junk = film | gold | ice
    rows, columns = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    from_ice = np.hypot(columns - 120, rows - 150) - 30
    from_gold = np.hypot(columns - 45, rows - 43) - 5
    free = (columns < 200 - 9) & (from_ice > 9) & (from_gold > 9)
    mask = junk_mask(standardize(pixels, DIAMETER), labelled_limits())
    assert min(mask[kind].mean() for kind in (gold, ice, film)) > 0.9
    assert mask[~junk].mean() < 0.05
    kept = xy[values(free, xy)]
    assert len(kept) > 20
    assert values(mask, kept).sum() == 0


@settings(max_examples=10, deadline=None)
@given(st.floats(-1e4, 1e4), st.floats(1e-2, 1e3))
def test_offset_and_scale_of_the_pixels_do_not_matter(offset, scale):
    pixels = with_particles(lattice()[:9]).astype(np.float64)
    disc(pixels, 45, 43, 5, 12)
    limits = labelled_limits()
    plain = junk_mask(standardize(pixels.astype(np.float32), DIAMETER), limits)
    other = junk_mask(standardize((pixels * scale + offset).astype(np.float32), DIAMETER), limits)
    assert plain.any()
    assert (plain != other).mean() < 1e-3


def test_shapes_that_are_no_multiple_of_a_block_are_whole():
    for shape in ((31, 47), (240, 261), (17, 16)):
        assert junk_mask(standardize(blank(shape), DIAMETER), (5.0,) * 4).shape == shape


def test_without_labels_there_are_no_limits():
    with pytest.raises(LabelError, match="without --junk-mask"):
        learn_limits([(standardize(blank(), DIAMETER), np.empty((0, 2)))])


@pytest.fixture(scope="module")
def balls(tmp_path_factory):
    """A particle of three balls, about 130 A across, as the tutorial on simulation makes it."""
    path = tmp_path_factory.mktemp("balls") / "balls.mrc"
    z, y, x = np.mgrid[:48, :48, :48] - 24.0
    places = ((-9, -5), (9, -5), (0, 9))
    density = sum(np.exp(-(((x - cx) / 6) ** 2 + ((y - cy) / 6) ** 2 + (z / 6) ** 2)) for cx, cy in places)
    with mrcfile.new(path) as mrc:
        mrc.set_data(density.astype(np.float32))
        mrc.voxel_size = 4.0
    return path


def simulated(path, junk, seed, count=2):
    chosen = SimulationSettings(shape=(400, 400), pixel_size=7, particles=(40, 80), dose=(10, 20), junk=junk, seed=seed)
    projector = load_particle(path, chosen.pixel_size)
    scenes = [plan(chosen, projector.diameter, k) for k in range(count)]
    return [(scene.xy, *render(scene, projector, chosen, k)) for k, scene in enumerate(scenes)]


def test_simulated_micrographs(balls):
    diameter = 140 / 7
    made = simulated(balls, JunkSettings(carbon=1, gold=6, ice_crystals=1), seed=5)
    standards = [standardize(pixels.astype(np.float32), diameter) for _, pixels, _ in made]
    limits = learn_limits([(s, xy[:10]) for s, (xy, _, _) in zip(standards, made, strict=True)])
    masks = [junk_mask(s, limits) for s in standards]
    hidden = np.concatenate([values(m, xy.clip(0, 399)) for m, (xy, _, _) in zip(masks, made, strict=True)])
    assert hidden.mean() <= 0.01
    for kind in (1, 2):  # carbon, gold
        assert np.concatenate([m[kinds == kind] for m, (_, _, kinds) in zip(masks, made, strict=True)]).mean() > 0.8


def peak(scores, x, y, height):
    rows, columns = np.ogrid[: scores.shape[0], : scores.shape[1]]
    np.maximum(scores, height - ((columns - x) ** 2 + (rows - y) ** 2) / 4, out=scores)


def test_junk_neither_is_picked_nor_suppresses_a_particle_beside_it():
    scores = np.full((60, 60), -9.0, dtype=np.float32)
    peak(scores, 20, 30, 8)  # junk, which a network likes
    peak(scores, 26, 30, 4)  # a particle nearer than the exclusion radius
    junk = np.zeros(scores.shape, dtype=bool)
    disc(junk.view(np.int8), 20, 30, 3, -1)
    detector = Detector(exclusion_radius=10, refine_radius=0, threshold=0)
    assert detector.maxima(scores)[0].tolist() == [[20, 30]]
    assert detector.maxima(scores, junk)[0].tolist() == [[26, 30]]
    assert detector.maxima(scores, np.zeros_like(junk))[0].tolist() == [[20, 30]]


def test_the_margin_counts_from_the_edge_of_the_outermost_pixels():
    scores = np.full((40, 50), -9.0, dtype=np.float32)
    for x, y in ((9, 20), (10, 8), (39, 29), (40, 12)):
        peak(scores, x, y, 5)
    found = {tuple(xy) for xy in Detector(6, 0, 0.0, margin=10.0).maxima(scores)[0].tolist()}
    assert found == {(39, 29)}
    assert len(Detector(6, 0, 0.0).maxima(scores)[0]) == 4
    with pytest.raises(SettingsError, match="margin"):
        Detector(3, 0, margin=-1.0)


@given(st.floats(0, 12), st.integers(5, 30), st.integers(5, 30), st.integers(0, 9))
def test_the_free_area_is_where_detections_can_be(margin, rows, columns, seed):
    junk = np.random.default_rng(seed).random((rows, columns)) < 0.2
    y, x = np.indices(junk.shape)
    inside = np.minimum(np.minimum(x, columns - 1 - x), np.minimum(y, rows - 1 - y)) + 0.5 >= margin
    detector = Detector(3, 0, margin=margin)
    assert detector.free(junk.shape) == inside.sum()
    assert detector.free(junk.shape, junk) == (inside & ~junk).sum()
    assert detector.inside(junk.shape) == pytest.approx(inside.mean())


def test_noise_and_covered_micrographs_are_flagged_and_good_ones_are_not():
    limits = labelled_limits()
    inspect = Inspector(DIAMETER, limits)

    def flags(pixels):
        return " ".join(inspect(Micrograph(pixels, 5.0, "m"))[1])

    good = gaussian_filter(with_particles(lattice()), 0.6)
    assert flags(good) == ""
    assert "no contrast" in flags(blank(seed=4))
    film = good.copy()
    film[:, 90:] -= 3
    assert "mostly junk" in flags(film)
    film[:, 40:90] -= 3
    assert "two levels" in flags(film)


def test_what_was_found_before_stays_in_the_flags():
    small = Micrograph(gaussian_filter(with_particles(lattice()), 0.6), 5.0, "m", ("crystalline ice",))
    assert Inspector(DIAMETER, None)(small) == (None, ("crystalline ice",))


def test_crystalline_ice_is_known_by_its_reflections():
    pixels = gaussian_filter(blank((1024, 1100)), 0.5) + 30
    y, x = np.mgrid[:1024, :1100]
    wave = np.sin(2 * np.pi / 3.67 * (0.8 * x + 0.6 * y)).astype(np.float32)
    assert crystalline_ice(pixels, 1.0) is None
    assert "spots" in crystalline_ice(pixels + 0.1 * wave, 1.0)
    assert crystalline_ice(pixels + 0.1 * wave, 1.6) is None, "beyond the Nyquist frequency"
    assert crystalline_ice((pixels + wave)[:300], 1.0) is None, "too small to tell"


def test_area_flags_need_no_mask():
    assert area_flags(standardize(gaussian_filter(with_particles(lattice()), 0.6), DIAMETER)) == []


def test_much_junk_of_the_simulation_is_not_taken_for_a_lack_of_contrast(balls):
    (_, pixels, _), *_ = simulated(balls, JUNK["much"], seed=8, count=1)
    assert not any("contrast" in reason for reason in area_flags(standardize(pixels.astype(np.float32), 20.0)))


def test_labelled_negatives_teach_junk():
    """Rings as wide and as dark as the discs that are particles: too alike for few labels, until some are negatives."""
    rng = np.random.default_rng(3)
    examples = []
    for k in range(3):
        xy = rng.permutation(lattice((200, 210)))[:36] + rng.uniform(-2, 2, (36, 2))
        pixels = rng.normal(size=(200, 210)).astype(np.float32)
        for x, y in xy:
            disc(pixels, x, y, 8, 1.2)
        for x, y in xy[18:]:
            disc(pixels, x, y, 4, -0.8)
        examples.append(Example(f"m{k}", gaussian_filter(pixels, 0.7), xy[:18], xy[18:]))
    chosen = TrainingSettings(network=NetworkSettings(units=8), epochs=6, epoch_size=35, pi=0.05, seed=1)

    def told_apart(negatives):
        """Share of pairs of a particle and a ring, neither labelled, of which the particle scores better."""
        shown = [replace(e, positives=e.positives[:6], negatives=e.negatives[:negatives]) for e in examples]
        network, _ = train(shown, chosen, device="cpu")
        scores = [score_map(network, e.pixels) for e in examples]
        discs = np.concatenate([values(s, e.positives[6:]) for s, e in zip(scores, examples, strict=True)])
        rings = np.concatenate([values(s, e.negatives[6:]) for s, e in zip(scores, examples, strict=True)])
        return (discs[:, None] > rings).mean()

    assert told_apart(6) > max(0.9, told_apart(0) + 0.05)
