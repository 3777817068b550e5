"""Noise that is not white, as the pretrained network knows it: what is measured, what is mended, what that is worth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import convolve

from heliodor.cli import main
from heliodor.evaluation import evaluate
from heliodor.files import write_text
from heliodor.find import find_micrographs
from heliodor.formats import read_picks, write_picks
from heliodor.micrographs import Micrograph, read_micrograph, write_micrograph
from heliodor.networks import NetworkSettings, load_network
from heliodor.networks.pretrained import load_pretrained
from heliodor.networks.scorers import Machine
from heliodor.picking.decoys import background_power
from heliodor.picking.geometry import derive_geometry
from heliodor.picking.load import Loader
from heliodor.picking.noise import settle_noise
from heliodor.picking.run import Run
from heliodor.picking.settings import PickSettings
from heliodor.picks import Picks
from heliodor.preprocess.flatten import flatten
from heliodor.preprocess.whiten import whiten, whitening_factors
from heliodor.progress import Silent
from heliodor.report.run import read_run

EXAMPLE = Path(__file__).parent.parent / "examples" / "apoferritin"
NONE = Picks([], np.empty((0, 2)))
SIDE = 480
CLOUDS = 1.0  # standard deviation over that of the micrograph


class Notes(Silent):
    """Keeps what users are told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def clouds(shape, random):
    """Noise ten times as strong at the scale of particles, some 80 pixels wide, as at fine ones; of variance 1."""
    frequency = np.hypot(scipy.fft.fftfreq(shape[0])[:, None], scipy.fft.rfftfreq(shape[1]))
    frequency[0, 0] = 1 / min(shape)
    noise = scipy.fft.irfft2(scipy.fft.rfft2(random.normal(size=shape)) * (0.02 + (0.003 / frequency) ** 1.2), s=shape)
    return noise / noise.std()


@pytest.fixture(scope="module")
def cloudy(tmp_path_factory):
    """Parts of two micrographs that a person labelled whole, under clouds; and the labels."""
    place, random = tmp_path_factory.mktemp("cloudy"), np.random.default_rng(5)
    human = read_picks(EXAMPLE / "human.txt")
    names = human.micrographs()[:2]
    for name in names:
        whole = read_micrograph(EXAMPLE / f"{name}.mrc")
        pixels = whole.pixels[:SIDE, :SIDE]
        pixels = pixels + CLOUDS * pixels.std() * clouds(pixels.shape, random)
        write_micrograph(place / f"{name}.mrc", replace(whole, pixels=pixels.astype(np.float32)))
    return place, human.select(np.isin(human.names.astype(str), names) & (human.xy < SIDE).all(axis=1))


def settled(files, settings, labels=NONE, start=None, normalization="flat"):
    """Return the whitening of a run, and what the user is told."""
    notes = Notes()
    geometry = derive_geometry(settings.diameter, 2.0)
    load = Loader(None, geometry.factor, normalization)
    run = Run(Path(), "", settings, geometry, load, Machine("cpu", exact=False), notes)
    start = load_pretrained(NetworkSettings()) if start is None else start
    return settle_noise(run, files, labels, start).load.whitening, notes.notes


@given(st.lists(st.floats(0.9, 1.15), min_size=2, max_size=40), st.floats(1e-6, 1e6))
def test_noise_that_is_nearly_white_stays_as_it_is(powers, scale):
    assert (whitening_factors(scale * np.array(powers)) == 1).all()


@given(st.lists(st.floats(0.01, 100), min_size=3, max_size=40), st.floats(1e-3, 1e3))
def test_what_is_whitened_is_nearly_white_and_keeps_its_order(powers, scale):
    powers = np.array(powers)
    factors = whitening_factors(powers)
    np.testing.assert_allclose(whitening_factors(scale * powers), factors, rtol=1e-9)
    left = powers * factors**2
    assert left.max() <= 1.3**2 * left.min() * (1 + 1e-9)
    order = np.argsort(powers, kind="stable")
    assert (np.diff(left[order]) >= -1e-9 * left.max()).all()


def test_no_power_at_all_is_no_reason_to_divide_by_it():
    assert np.isfinite(whitening_factors(np.array([1.0, 0.0, 1.0, 2.0]))).all()


def test_amplitudes_are_multiplied():
    """A wave within the micrograph, whose borders are mirrors to it, comes out as many times as high."""
    factors = np.linspace(2.0, 0.5, 32)
    x = np.arange(256, dtype=np.float32) + 0.5
    for k in (4, 16, 32):
        wave = np.cos(np.pi * x * 2 * k / 64)[None, :].repeat(200, 0).astype(np.float32)
        found = whiten(wave, factors)[80:120, 80:-80]
        np.testing.assert_allclose(found, factors[k - 1] * wave[80:120, 80:-80], atol=0.02)


@given(st.integers(1, 90), st.integers(1, 90))
def test_factors_of_one_change_nothing_in_any_shape(rows, columns):
    pixels = np.random.default_rng(rows).standard_normal((rows, columns), dtype=np.float32)
    np.testing.assert_allclose(whiten(pixels, np.ones(32)), pixels, atol=1e-5)


def test_whitening_is_a_small_filter_in_place():
    """By a slow twin: the filter as a kernel, convolved. What is far away does not matter, borders are mirrors."""
    factors = whitening_factors(np.linspace(3, 0.5, 32))
    pixels = np.random.default_rng(1).standard_normal((150, 131), dtype=np.float32)
    point = np.zeros((129, 129), np.float32)
    point[64, 64] = 1
    kernel = whiten(point, factors)
    slow = convolve(pixels.astype(np.float64), kernel[32:97, 32:97], mode="mirror")
    np.testing.assert_allclose(whiten(pixels, factors), slow, atol=0.01)


def test_flattened_micrographs_are_white_and_of_strength_one():
    pixels = clouds((400, 400), np.random.default_rng(2)).astype(np.float32)
    power = background_power(flatten(pixels), np.ones_like(pixels))[0]
    radial = np.array([power[0, k] + power[k, 0] for k in range(1, 33)])
    factors = tuple(whitening_factors(radial))
    white = flatten(pixels, factors)
    left = background_power(white, np.ones_like(pixels))[0]
    assert power[0, 2] > 8 * power[0, 30]
    assert left[0, 2] < 2.5 * left[0, 30]
    assert white.std() == pytest.approx(1, abs=0.1)
    assert np.array_equal(flatten(pixels), flatten(pixels, ()))


def test_white_noise_is_left_alone(tmp_path):
    """And costs no more than a look."""
    random = np.random.default_rng(3)
    for name in "ab":
        pixels = random.normal(10, 2, (900, 900)).astype(np.float32)
        write_micrograph(tmp_path / f"{name}.mrc", Micrograph(pixels, 2.0, name))
    assert settled(find_micrographs([str(tmp_path)]), PickSettings(diameter=80)) == ((), [])


def test_under_clouds_particles_are_found_again(cloudy, tmp_path):
    """Without labels, as it is and whitened; `extract` and the report see what the run saw."""
    folder, human = cloudy
    found = {}
    for option in ("--no-whiten", "--whiten"):
        out = tmp_path / option
        assert main(["pick", str(folder), "--diameter", "120", "-o", str(out), option]) == 0
        found[option] = evaluate(read_picks(out / "picks.txt"), human, 40 / 3).overall.f1
    assert found["--whiten"] > found["--no-whiten"] + 0.1
    assert found["--whiten"] > 0.65
    result = json.loads((out / "run.json").read_text())["result"]
    assert len(result["whitening"]) == 32
    assert min(result["whitening"]) < 0.7
    assert json.loads((tmp_path / "--no-whiten" / "run.json").read_text())["result"]["whitening"] == []
    assert load_network(out / "model.safetensors")[1]["whitening"] == result["whitening"]
    words = ["extract", str(folder), "--raw", "-m", str(out / "model.safetensors"), "-o", str(tmp_path / "again.txt")]
    assert main(words) == 0
    picks, again = read_picks(out / "picks.txt"), read_picks(tmp_path / "again.txt")
    np.testing.assert_allclose(again.xy, picks.xy, atol=1e-3)
    file = find_micrographs([str(folder)])[0]
    seen = Loader.of_model(load_network(out / "model.safetensors")[1], raw=True)(file)[0].seen
    np.testing.assert_array_equal(read_run(out, [file]).load(file)[0].seen, seen)


def test_a_network_that_a_run_left_is_given_what_it_knows(cloudy, tmp_path):
    """Labels or not: it has learned from whitened micrographs."""
    folder, human = cloudy
    files = find_micrographs([str(folder)])
    network, facts = load_pretrained(NetworkSettings())
    known = {name: value for name, value in facts.items() if name != "pretrained_on"}
    settings = PickSettings(diameter=120)
    assert settled(files, settings, start=(network, known))[0] == ()
    kept = (0.5,) * 32
    assert settled(files, settings, start=(network, {**known, "whitening": list(kept)}))[0] == kept
    whitening, notes = settled(files, settings, human)
    assert len(whitening) == 32
    assert "micrographs are whitened" in notes[0]
    assert settled(files, replace(settings, whiten=False), human) == ((), [])
    assert settled(files, replace(settings, normalization="gmm"), human, normalization="gmm") == ((), [])


def test_micrographs_that_cannot_be_read_or_are_too_small_are_left_to_others(cloudy, tmp_path):
    write_text(tmp_path / "broken.mrc", "no micrograph")
    pixels = np.random.default_rng(4).normal(size=(100, 100)).astype(np.float32)
    write_micrograph(tmp_path / "small.mrc", Micrograph(pixels, 2.0, "small"))
    files = find_micrographs([str(tmp_path)])
    assert settled(files, PickSettings(diameter=120)) == ((), [])
    whitening, _ = settled([*files, *find_micrographs([str(cloudy[0])])[:2]], PickSettings(diameter=120))
    assert len(whitening) == 32


def test_labels_say_where_to_look(cloudy, tmp_path):
    """The same micrographs, whatever others there are: training that was interrupted goes on with what it had seen."""
    folder, human = cloudy
    files = find_micrographs([str(folder)])
    labels = human.select(human.names.astype(str) == files[0].name)
    write_picks(tmp_path / "labels.txt", labels)
    settings = PickSettings(diameter=120)
    assert settled(files, settings, labels) == settled(files[:1], settings, labels)
