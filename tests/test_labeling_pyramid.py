"""Levels, tiles and caches of the labelling page: against plain twins, and bounded."""

import io

import mrcfile
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from heliodor.errors import MicrographError
from heliodor.labeling.images import BoundedCache, Images
from heliodor.labeling.pyramid import TILE, Look, Pyramid, level_sigma, size_of_levels
from heliodor.names import MicrographFile


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(5, 2, shape).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(st.integers(16, 700), st.integers(16, 700))
def test_levels_are_means_of_blocks(ny, nx):
    pixels = noise((ny, nx))
    levels = Pyramid.of(pixels).levels
    sample = pixels[::7, ::7]
    for k, level in enumerate(levels):
        size = 2**k
        assert level.shape == (-(-ny // size), -(-nx // size))
        whole = pixels[: ny // size * size, : nx // size * size]
        means = whole.reshape(ny // size, size, nx // size, size).mean((1, 3))
        expected = (means - sample.mean()) / sample.std()
        assert np.allclose(level[: ny // size, : nx // size], expected, atol=5e-3)
    assert max(levels[-1].shape) <= 256
    assert len(levels) == 1 or max(levels[-2].shape) > 256


def test_tiles_join_without_seams():
    pyramid = Pyramid.of(noise((900, 1100)))
    look = Look(lowpass=12.0)
    whole = pyramid.window(0, slice(0, 900), slice(0, 1100), look)
    rows = [np.hstack([pyramid.tile(0, row, column, look) for column in range(3)]) for row in range(2)]
    assert np.abs(np.vstack(rows).astype(int) - whole.astype(int)).max() <= 1
    assert pyramid.tile(0, 2, 0, look).size == 0
    assert pyramid.tile(0, 1, 2, look).shape == (900 - TILE, 1100 - 2 * TILE)


def test_lowpass_halves_waves_of_its_length():
    x = np.arange(512)
    look = Look(low=0.0, high=100.0, lowpass=32.0)
    wave = np.sin(2 * np.pi * x / 32).astype(np.float32)
    pixels = np.tile(wave, (512, 1))
    for level in (0, 1):
        filtered = Pyramid.of(pixels)._filtered(level, slice(100, 110), slice(0, 10_000), look.lowpass)
        inner = filtered[:, 64 >> level : -64 >> level] * pixels.std()
        assert inner.max() == pytest.approx(0.5, abs=0.02)
    assert level_sigma(0, 0) == level_sigma(5, 4) == 0


def test_contrast_and_inversion():
    pyramid = Pyramid.of(noise((300, 300)))
    grey = pyramid.window(0, slice(0, 300), slice(0, 300), Look(low=10, high=90))
    assert (grey == 0).mean() == pytest.approx(0.1, abs=0.02)
    assert (grey == 255).mean() == pytest.approx(0.1, abs=0.02)
    other = pyramid.window(0, slice(0, 300), slice(0, 300), Look(low=10, high=90, inverted=True))
    assert np.array_equal(other, 255 - grey)


def test_hot_pixels_do_not_overflow():
    pixels = noise((400, 400))
    pixels[3, 3] = 1e30
    levels = Pyramid.of(pixels).levels
    assert all(np.isfinite(level).all() for level in levels)


def test_cache_is_bounded_and_keeps_what_is_used():
    made = []

    def make(key):
        made.append(key)
        return b"x" * 10

    cache = BoundedCache(30, len)
    for key in "abcabda":
        cache.get(key, lambda key=key: make(key))
    assert made == ["a", "b", "c", "d"]
    assert cache.nbytes == 30
    assert cache.peek("c") is None
    cache.get("large", lambda: b"x" * 100)
    assert cache.nbytes == 100


@pytest.fixture
def files(tmp_path):
    """The same image in three formats, a damaged file, and one that is not there."""
    pixels = noise((600, 500))
    with mrcfile.new(tmp_path / "a.mrc") as mrc:
        mrc.set_data(pixels)
        mrc.voxel_size = 1.5
    tifffile.imwrite(tmp_path / "b.tif", pixels)
    Image.fromarray(np.clip(pixels * 20, 0, 255).astype(np.uint8)).save(tmp_path / "c.png")
    (tmp_path / "d.mrc").write_bytes(b"nothing")
    paths = [tmp_path / name for name in ("a.mrc", "b.tif", "c.png", "d.mrc", "e.mrc")]
    return [MicrographFile(path, path.stem) for path in paths]


def opened(picture):
    return np.asarray(Image.open(io.BytesIO(picture)))


def test_images_of_every_format_are_alike(files):
    images = Images(files)
    look = Look(lowpass=8.0)
    tiles = [opened(images.tile(index, 1, 0, 0, look)).astype(float) for index in range(3)]
    assert tiles[0].shape == (300, 250)
    assert np.corrcoef(tiles[0].ravel(), tiles[1].ravel())[0, 1] > 0.999
    assert np.corrcoef(tiles[0].ravel(), tiles[2].ravel())[0, 1] > 0.97
    assert images.tile(0, 3, 0, 0, look) is None
    assert images.tile(0, 0, 5, 0, look) is None
    assert (images.header(0).width, images.header(0).height, images.header(0).pixel_size) == (500, 600, 1.5)
    assert images.header(1).pixel_size == 1.5  # as the first that says one
    assert Images(files[1:]).header(0).pixel_size is None
    assert max(opened(images.thumbnail(2)).shape) == 112


def test_files_that_cannot_be_read_are_remembered(files, monkeypatch):
    images = Images(files)
    for index in (3, 4):
        with pytest.raises(MicrographError, match=files[index].name):
            images.thumbnail(index)
    assert set(images.errors) == {3, 4}
    with monkeypatch.context() as patch:
        patch.setattr("heliodor.labeling.images.read_header", None)  # would be called
        with pytest.raises(MicrographError, match="d"):
            images.header(3)
    files[3].path.write_bytes(files[0].path.read_bytes())
    assert images.header(3).width == 500
    assert set(images.errors) == {4}


def test_a_file_that_changes_is_read_again(files):
    images = Images(files)
    before = opened(images.tile(0, 0, 0, 0, Look()))
    with mrcfile.open(files[0].path, mode="r+") as mrc:
        mrc.set_data(noise((600, 500), seed=1))
    assert not np.array_equal(opened(images.tile(0, 0, 0, 0, Look())), before)


def test_memory_stays_within_the_limit(files):
    images = Images(files[:3], limit=1_000_000)  # a pyramid of these takes 800,000 bytes
    for index in (0, 1, 2, 0):
        images.tile(index, 0, 0, 0, Look())
        images.thumbnail(index)
    assert images.nbytes < 1_000_000


@given(st.integers(1, 900), st.integers(1, 900))
@settings(max_examples=20, deadline=None)
def test_the_size_of_levels_is_known_before_they_are_made(ny, nx):
    assert size_of_levels(nx, ny) == Pyramid.of(noise((ny, nx))).nbytes


@pytest.mark.parametrize(("limit", "kept"), [(1_700_000, True), (1_500_000, False)])
def test_reading_ahead_does_not_push_out_what_is_looked_at(files, monkeypatch, limit, kept):
    images = Images(files, limit=limit)  # a pyramid of these takes 800,000 bytes
    images.tile(0, 0, 0, 0, Look())
    images.read_ahead(1)
    read = []
    monkeypatch.setattr("heliodor.labeling.images.read_micrograph", read.append)
    images.tile(0, 0, 0, 0, Look())
    if kept:
        images.tile(1, 0, 0, 0, Look())
    assert read == []


def test_windows_over_the_edge_are_filled_with_grey(files):
    images = Images(files)
    window = opened(images.window(0, 0, 0, 100, Look()))
    assert window.shape == (100, 100)
    assert np.abs(window[:40, :40].astype(int) - 128).max() < 12
    assert opened(images.window(0, 250, 300, 500, Look())).shape == (250, 250)
