from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from heliodor.cli import Parser, blobs
from heliodor.errors import MicrographError, OutputError, SettingsError
from heliodor.evaluation import match
from heliodor.formats import read_picks
from heliodor.micrographs import Micrograph, write_micrograph
from heliodor.picking.blobs import find_blobs, pick_blobs


def simulate(rng, shape=(240, 260), particles=12, diameter=20.0):
    """Return dark discs on noise and their centres, which do not touch."""
    centres: list[np.ndarray] = []
    while len(centres) < particles:
        xy = rng.uniform(diameter / 2, np.array(shape[::-1]) - diameter / 2)
        if all(np.hypot(*(xy - other)) > 1.2 * diameter for other in centres):
            centres.append(xy)
    y, x = np.mgrid[: shape[0], : shape[1]]
    pixels = rng.normal(0, 1, shape)
    for cx, cy in centres:
        pixels -= 1.5 * ((x - cx) ** 2 + (y - cy) ** 2 < (diameter / 2) ** 2)
    return (100 + 10 * gaussian_filter(pixels, 0.7)).astype(np.float32), np.array(centres)


def found_and_missed(xy, truth, match_radius):
    hits = int(match(xy, None, truth, match_radius, "optimal").hit.sum())
    return hits, len(truth) - hits


@pytest.mark.parametrize("method", ["disc", "log", "dog"])
@pytest.mark.parametrize("contrast", ["dark", "light"])
def test_every_particle_is_among_the_best(method, contrast):
    pixels, truth = simulate(np.random.default_rng(3))
    image = pixels if contrast == "dark" else -pixels
    found = find_blobs(image, (20, 20), method=method, contrast=contrast)
    best = found.xy[: len(truth)]
    assert found_and_missed(best, truth, 3.0) == (len(truth), 0)
    assert (np.diff(found.scores) <= 0).all()


def test_the_default_threshold_keeps_particles_and_little_else():
    pixels, truth = simulate(np.random.default_rng(4))
    found = find_blobs(pixels, (20, 20))
    assert found_and_missed(found.xy, truth, 3.0) == (len(truth), 0)
    assert len(found.xy) <= len(truth) + 3


def test_noise_alone_has_few_blobs():
    noise = np.random.default_rng(0).normal(size=(256, 256))
    assert len(find_blobs(noise, (16, 16)).xy) <= 8


def test_a_hollow_particle_is_found_at_its_centre_where_the_laplacian_sees_nothing():
    y, x = np.mgrid[:96, :96]
    distance = np.hypot(x - 50, y - 40)
    image = np.random.default_rng(1).normal(size=(96, 96))
    # A shell: dark wall around a centre like the ice, in the light fringe that defocus draws.
    image += -2.0 * ((distance > 5) & (distance < 8)) + 1.2 * ((distance >= 8) & (distance < 11))
    best = find_blobs(image, (16, 16)).xy[0]
    assert np.hypot(*(best - [50, 40])) <= 1.5


@given(st.floats(9, 30))
@settings(max_examples=15, deadline=None)
def test_the_diameter_is_told(diameter):
    y, x = np.mgrid[:128, :128]
    image = np.random.default_rng(0).normal(size=(128, 128)) - 3.0 * (np.hypot(x - 60, y - 70) < diameter / 2)
    found = find_blobs(image, (8, 32))
    assert found.diameters[0] == pytest.approx(diameter, rel=0.2)
    assert np.hypot(*(found.xy[0] - [60, 70])) <= 1.5


def test_a_particle_cut_by_the_border_is_found():
    y, x = np.mgrid[:100, :100]
    image = np.random.default_rng(2).normal(size=(100, 100)) - 2.0 * (np.hypot(x - 2, y - 50) < 8)
    assert np.hypot(*(find_blobs(image, (16, 16)).xy[0] - [2, 50])) <= 3


def test_hot_pixels_are_no_blobs_and_hide_none():
    pixels, truth = simulate(np.random.default_rng(5))
    hot = pixels.copy()
    rng = np.random.default_rng(0)
    hot[rng.integers(0, 240, 40), rng.integers(0, 260, 40)] = 1e6
    clean, spoilt = (find_blobs(image, (20, 20)) for image in (pixels, hot))
    assert found_and_missed(spoilt.xy, truth, 3.0) == (len(truth), 0)
    assert len(spoilt.xy) <= len(clean.xy) + 2


def test_a_lump_of_ice_is_left_alone_unless_asked():
    pixels, _ = simulate(np.random.default_rng(6))
    y, x = np.mgrid[:240, :260]
    lump = np.hypot(x - 200, y - 60)
    pixels[lump < 30] -= 200
    junky = find_blobs(pixels, (20, 20), threshold=0.0)
    assert np.hypot(*(junky.xy - [200, 60]).T).min() > 30
    asked = find_blobs(pixels, (20, 20), threshold=0.0, junk=math.inf)
    assert np.hypot(*(asked.xy - [200, 60]).T).min() < 30


def test_blobs_keep_their_distance():
    noise = np.random.default_rng(0).normal(size=(128, 128))
    for radius in (None, 20.0):
        xy = find_blobs(noise, (12, 12), threshold=0.0, exclusion_radius=radius).xy
        distance = np.hypot(*(xy[:, None] - xy[None]).T)
        # Each may have moved by the window of the refinement.
        assert distance[~np.eye(len(xy), dtype=bool)].min() > (radius or 6.0) - 3


@given(st.integers(-12, 12))
@settings(max_examples=10, deadline=None)
def test_grey_scale_does_not_matter(power):
    pixels = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    one, two = (find_blobs(image, (12, 12), threshold=2.0) for image in (pixels, pixels * 2.0**power))
    assert one.xy.tolist() == two.xy.tolist()
    assert one.scores.tolist() == two.scores.tolist()
    shifted = find_blobs(pixels + 100, (12, 12), threshold=2.0)
    np.testing.assert_allclose(shifted.scores[:10], one.scores[:10], rtol=0.01)


@pytest.mark.parametrize(
    ("diameters", "options", "message"),
    [
        ((20, 10), {}, "in order"),
        ((10, math.nan), {}, "in order"),
        ((10, 10), {"method": "hough"}, "disc, log, dog"),
        ((10, 10), {"contrast": "auto"}, "'dark' or 'light'"),
    ],
)
def test_settings_that_cannot_be(diameters, options, message):
    with pytest.raises(SettingsError, match=message):
        find_blobs(np.random.default_rng(0).normal(size=(64, 64)), diameters, **options)


def test_images_that_cannot_be():
    with pytest.raises(MicrographError, match="one value"):
        find_blobs(np.ones((64, 64)), (10, 10))
    for diameters, message in (((3, 10), "at least 4 px"), ((10, 40), "half the image")):
        with pytest.raises(MicrographError, match=message):
            find_blobs(np.random.default_rng(0).normal(size=(64, 64)), diameters)
    with pytest.raises(SettingsError, match=r"\(ny, nx\)"):
        find_blobs(np.ones((3, 64, 64)), (10, 10))


def test_picks_are_in_full_size_pixels():
    pixels, truth = simulate(np.random.default_rng(7), shape=(601, 523), diameter=50.0)
    picks = pick_blobs(Micrograph(pixels, 3.0, "m"), (150.0, 150.0))
    assert found_and_missed(picks.xy[: len(truth)], truth, 6.0) == (len(truth), 0)
    assert set(picks.names) == {"m"}


def test_a_pixel_size_is_needed():
    with pytest.raises(MicrographError, match="--angpix"):
        pick_blobs(Micrograph(np.zeros((64, 64), np.float32), None, "m"), (100.0, 100.0))


def run(*words):
    """Run the command as the program does, its errors left alone."""
    parser = Parser(prog="heliodor blobs")
    blobs.add_arguments(parser)
    return blobs.run(parser.parse_intermixed_args([str(word) for word in words]))


def test_command_writes_a_file_or_a_folder(dataset, tmp_path):
    folder, truth = dataset
    assert run(folder, "--diameter", 40, "-o", tmp_path / "picks.txt") == 0
    assert run(folder, "--diameter", 36, 44, "-o", tmp_path / "out", "--method", "log", "--max-picks", 12) == 0
    paths = {name: str(folder / f"{name}.mrc") for name in truth}  # what RELION calls micrographs
    for path in (tmp_path / "picks.txt", tmp_path / "out" / "picks.star"):
        picks = read_picks(path)
        for short, xy in truth.items():
            name = short if path.suffix == ".txt" else paths[short]
            assert found_and_missed(picks.of(name).xy[: len(xy)], xy, 4.0)[1] <= 1
    assert len(read_picks(tmp_path / "out" / "picks.star")) == 48
    assert sorted(p.name for p in (tmp_path / "out" / "micrographs").iterdir()) == sorted(f"{n}.star" for n in truth)


def test_command_refuses_a_file_that_needs_more_than_centres(dataset, tmp_path):
    with pytest.raises(SettingsError, match=r"p\.box: picks are written to \.txt, \.star, \.csv"):
        run(dataset[0], "--diameter", 40, "-o", tmp_path / "p.box")


def test_command_skips_a_broken_micrograph_and_says_so(dataset, tmp_path, capsys):
    folder, _ = dataset
    (tmp_path / "broken.mrc").write_bytes(b"no micrograph")
    assert run(folder / "001.mrc", tmp_path / "broken.mrc", "--diameter", 40, "-o", tmp_path / "p.star") == 1
    assert "broken.mrc" in capsys.readouterr().err
    assert set(read_picks(tmp_path / "p.star").names) == {str(folder / "001.mrc")}
    with pytest.raises(MicrographError, match=r"broken\.mrc: cannot be read"):
        run(tmp_path / "broken.mrc", "--diameter", 40, "-o", tmp_path / "q.star")
    assert not (tmp_path / "q.star").exists()


def test_command_skips_micrographs_that_cannot_be_picked_by_name(dataset, tmp_path, capsys):
    folder, _ = dataset
    few = np.zeros((200, 200), np.float32)
    few[0, 0] = 1
    noise = np.random.default_rng(0).normal(size=(200, 200)).astype(np.float32)
    for name, pixels, size in (("small", noise[:20], 2.0), ("no size", noise, None), ("one value", few, 2.5)):
        write_micrograph(tmp_path / f"{name}.mrc", Micrograph(pixels, size, name))
    assert run(tmp_path / "*.mrc", folder / "001.mrc", "--diameter", 40, "-o", tmp_path / "p.star") == 1
    said = capsys.readouterr().err
    assert re.search(f"{tmp_path}/small.mrc: diameters of .* cannot be found in 16 x 160 px", said)
    assert f"{tmp_path}/no size.mrc: its header has no pixel size" in said
    assert f"{tmp_path}/one value.mrc: more than half of the pixels have one value" in said
    assert "skipped 3 that could not be used" in said
    assert set(read_picks(tmp_path / "p.star").names) == {str(folder / "001.mrc")}


def test_command_says_at_once_that_it_cannot_write(dataset, tmp_path, capsys):
    (tmp_path / "p.star").mkdir()
    (tmp_path / "out").write_text("a file")
    for output in ("p.star", "out"):
        with pytest.raises(OutputError, match=f"{output}.*stands where"):
            run(dataset[0], "--diameter", 40, "-o", tmp_path / output)
    assert "picking" not in capsys.readouterr().err


@pytest.mark.parametrize("diameter", [("40", "50", "60"), ("50", "40"), ("0",)])
def test_command_refuses_diameters_that_make_no_sense(diameter, tmp_path):
    with pytest.raises(SettingsError, match="--diameter"):
        run(tmp_path, "--diameter", *diameter, "-o", tmp_path / "p.star")
