"""What networks see: no background, and noise of one strength, whatever else is on a micrograph."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from heliodor.cli.topaz.scoring import score_files
from heliodor.errors import MicrographError
from heliodor.micrographs import Micrograph, write_micrograph
from heliodor.names import MicrographFile
from heliodor.networks import NetworkSettings, save_network
from heliodor.networks.pretrained import load_pretrained
from heliodor.picking.load import Loader
from heliodor.picking.scoring import score_map
from heliodor.preprocess import preprocess
from heliodor.preprocess.flatten import flatten
from heliodor.preprocess.normalize import CLIP, normalize

SIDE = 384


def noise(seed=0, shape=(SIDE, SIDE)):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def ice_noise(flat):
    """Standard deviation in a corner of plain ice."""
    return float(flat[:100, -100:].std())


def carbon(share):
    """Noise, a film of carbon on the left that is darker and noisier, and beads of gold."""
    x = np.arange(SIDE)
    film = (x < share * SIDE).astype(np.float32)
    pixels = noise() * (1 + 0.2 * film) - 3 * film
    for y in range(20, SIDE, 120):
        pixels[y : y + 10, 30:40] -= 40
    return pixels


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.6])
def test_noise_is_as_strong_beside_carbon_and_gold(share):
    assert ice_noise(flatten(carbon(share))) == pytest.approx(1, abs=0.2)
    assert abs(flatten(carbon(share))[:100, -100:].mean()) < 0.1


def test_noise_is_as_strong_where_ice_grows_thicker():
    """A mixture of Gaussians takes the slope for noise."""
    pixels = noise() + np.linspace(0, 5, SIDE, dtype=np.float32)
    assert ice_noise(normalize(pixels)[0]) < 0.9
    assert ice_noise(flatten(pixels)) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("side", [384, 415])
@pytest.mark.parametrize("steepness", [0.2, 0.5])
@pytest.mark.parametrize("turned", [False, True])
def test_noise_that_grows_across_a_micrograph_is_as_strong_everywhere(steepness, turned, side):
    """As towards the edge of the beam: with a steep ramp beneath, gold, and padding; at the borders, too."""
    along = np.linspace(-1, 1, side, dtype=np.float32)
    plain = noise(3, (side, side))
    plain[100:108, 200:208] -= 40
    pixels = plain * np.exp(steepness * along) + 6 * along
    pixels[:16] = 0
    flat = flatten(pixels.T if turned else pixels)
    flat = (flat.T if turned else flat)[120:]
    for columns in (slice(0, 24), slice(24, 120), slice(-120, -24), slice(-24, None)):
        assert flat[:, columns].std() == pytest.approx(1, abs=0.06)
        assert abs(flat[:, columns].mean()) < 0.1


@pytest.mark.parametrize("wide", [8, 24, 60])
@pytest.mark.parametrize("value", [0.0, -10.0, -30.0])
@pytest.mark.parametrize("turns", range(4))
def test_a_strip_of_padding_or_gold_at_the_border_does_no_harm_beside_it(wide, value, turns):
    """Beside dark ones the mean of the surroundings is off, by what pixels are clipped to; noise is what it was."""
    pixels = noise(5, (520, 490))
    pixels[:, :wide] = value
    beside = np.rot90(flatten(np.rot90(pixels, turns).copy()), -turns)[:, wide + 2 : wide + 18]
    assert beside.std() == pytest.approx(1, abs=0.1)
    assert beside.mean() == pytest.approx(0, abs=1.8 if value else 0.1)


def test_what_is_nearly_even_is_left_as_it_is():
    """Where ice is thicker, electrons make less noise and the ice makes more: what is left of both is no guide."""
    for ratio, left in ((1.07, 1.07), (1.4, 1.0)):
        pixels = noise(4) * np.geomspace(1, ratio, SIDE, dtype=np.float32)
        flat = flatten(pixels)
        assert flat[:, -64:].std() / flat[:, :64].std() == pytest.approx(left ** (1 - 64 / SIDE), abs=0.03)


def test_a_gradient_goes_and_particles_stay():
    y, x = np.mgrid[:SIDE, :SIDE]
    spots = np.zeros((SIDE, SIDE), np.float32)
    centres = np.random.default_rng(1).integers(10, SIDE - 10, (60, 2))
    spots[tuple(centres.T)] = -1
    particles = gaussian_filter(spots, 5)
    particles *= 2 / -particles.min()
    pixels = noise() + particles + ((x + y) / SIDE * 5).astype(np.float32)
    flat = flatten(pixels)
    blocks = gaussian_filter(flat, 40)[60:-60, 60:-60]
    assert np.abs(blocks - blocks.mean()).max() < 0.5  # of ten
    seen = (flat * -particles).sum() / (particles**2).sum()
    assert -seen == pytest.approx(1, abs=0.2)


@given(st.floats(0.1, 1000), st.floats(-1e3, 1e3), st.booleans())
def test_offset_scale_and_orientation_do_not_matter(scale, offset, turned):
    pixels = carbon(0.3)[:200]
    other = (pixels.T if turned else pixels) * np.float32(scale) + np.float32(offset)
    flat = flatten(other)
    assert np.allclose(flat.T if turned else flat, flatten(pixels), atol=max(1e-3, 1e-6 * abs(offset) / scale))


def test_what_is_flat_stays_as_it_is():
    once = flatten(carbon(0.3))
    assert np.corrcoef(once.ravel(), flatten(once).ravel())[0, 1] > 0.98


def test_what_is_flat_but_for_an_edge_is_refused_by_name():
    pixels = np.zeros((300, 300), np.float32)
    pixels[:, 128:] = 9.0
    with pytest.raises(MicrographError, match="without any noise: a damaged file; leave it out"):
        flatten(pixels)
    with pytest.raises(MicrographError, match=r"^edge: "):
        Loader(None, normalization="flat").prepare(Micrograph(pixels, 1.0, "edge"))


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (12, 700), (63, 65), (200, 40)])
def test_small_and_padded_micrographs(shape):
    for pixels in (np.zeros(shape, np.float32), noise(2, shape)):
        flat = flatten(pixels)
        assert flat.shape == shape
        assert flat.dtype == np.float32
        assert np.isfinite(flat).all()
        assert np.abs(flat).max() <= CLIP


@pytest.mark.parametrize("share", [0.3, 0.55, 0.7])
@pytest.mark.parametrize("factor", [1, 2, 3.3])
def test_padding_is_no_noise(share, factor):
    """Downsampled, it rings."""
    pixels = noise(3, (1200, 1000))
    pixels[: int(share * 1200)] = pixels.mean()
    small, _ = preprocess(Micrograph(pixels, 1.0, "m"), factor=factor, normalization="flat")
    real = small.pixels[-small.pixels.shape[0] // 5 :]
    assert real.std() == pytest.approx(1, abs=0.4)


def test_networks_see_flat_pixels_and_people_the_others(tmp_path):
    pixels = noise() + np.linspace(0, 5, SIDE, dtype=np.float32)
    path = tmp_path / "m.mrc"
    write_micrograph(path, Micrograph(pixels, 6.0, "m"))
    file = MicrographFile(path, "m")
    for factor in (0.0, 2.0):
        seen, _ = Loader(None, factor, "flat")(file)
        plain, _ = Loader(None, factor, "gmm")(file)
        assert plain.flat is None
        assert np.array_equal(seen.pixels, plain.pixels)
        assert np.array_equal(seen.seen, flatten(plain.pixels))
        assert np.array_equal(plain.seen, plain.pixels)


def test_the_command_topaz_shows_flat_pixels_to_networks_that_know_them(tmp_path):
    pixels = noise() + np.linspace(0, 5, SIDE, dtype=np.float32)
    path = tmp_path / "m.mrc"
    write_micrograph(path, Micrograph(pixels, 6.0, "m"))
    network, about = load_pretrained(NetworkSettings())
    save_network(tmp_path / "flat.safetensors", network, about)
    save_network(tmp_path / "plain.safetensors", network, {})
    maps = {}
    for name in ("flat", "plain"):
        found = score_files([MicrographFile(path, "m")], str(tmp_path / f"{name}.safetensors"), -1)
        maps[name] = next(iter(found))[1]
    assert np.allclose(maps["flat"], score_map(network, flatten(pixels)), atol=1e-3)
    assert np.allclose(maps["plain"], score_map(network, pixels), atol=1e-3)
