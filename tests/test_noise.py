"""Noise that is not white, as the pretrained network knows it: what is measured, what is mended, what that is worth."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

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
from heliodor.picking import learn, noise
from heliodor.picking.decoys import background_power
from heliodor.picking.evidence import Evidence
from heliodor.picking.folder import PRIOR
from heliodor.picking.geometry import derive_geometry
from heliodor.picking.load import Loader, pixel_size_of
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

    warn = note


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
    geometry = derive_geometry(settings.diameter, pixel_size_of(files, None)[1])
    load = Loader(None, geometry.factor, normalization)
    run = Run(Path(), "", settings, geometry, load, Machine("cpu", exact=False), notes)
    start = load_pretrained(NetworkSettings()) if start is None else start
    return settle_noise(run, files, labels, start).load.whitening, notes.notes


@given(st.lists(st.floats(0.9, 1.15), min_size=2, max_size=40), st.floats(1e-6, 1e6))
def test_noise_that_is_nearly_white_stays_as_it_is(powers, scale):
    assert (whitening_factors(scale * np.array(powers)) == 1).all()


@given(st.lists(st.floats(1, 10), min_size=3, max_size=40), st.floats(1e-3, 1e3))
def test_what_is_whitened_is_nearly_white_and_keeps_its_order(powers, scale):
    powers = np.array(powers)
    factors = whitening_factors(powers)
    np.testing.assert_allclose(whitening_factors(scale * powers), factors, rtol=1e-9)
    left = powers * factors**2
    assert left.max() <= 1.3**2 * left.min() * (1 + 1e-9)
    order = np.argsort(powers, kind="stable")
    assert (np.diff(left[order]) >= -1e-9 * left.max()).all()


@pytest.mark.parametrize("empty", [0.0, 1e-9, 1e-3])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.75])
def test_frequencies_without_noise_are_not_made_louder_than_others(empty, share):
    """Of micrographs that were filtered, or enlarged."""
    power = np.ones(32)
    power[round((1 - share) * 32) :] = empty
    factors = whitening_factors(power).round(4)
    assert factors.max() < 10 * factors.min()
    assert factors.min() > 0.1
    assert (power * factors**2)[-1] <= (power * factors**2)[0]


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


def test_noise_is_measured_and_comes_out_white(tmp_path):
    """Of known power, by what a run does; strength and mean are as of any flat micrograph."""
    random, k = np.random.default_rng(2), np.arange(1, 33)
    frequency = np.hypot(scipy.fft.fftfreq(400)[:, None], scipy.fft.rfftfreq(400))
    for name in "abcd":
        amplitude = np.sqrt(np.interp(64 * frequency, k, np.where(k < 12, 4.0, 1.0)))
        pixels = scipy.fft.irfft2(scipy.fft.rfft2(random.normal(size=(400, 400))) * amplitude).astype(np.float32)
        write_micrograph(tmp_path / f"{name}.mrc", Micrograph(pixels, 2.0, name))
    files = find_micrographs([str(tmp_path)])
    found = np.array(settled(files, PickSettings(diameter=40, whiten=True))[0])
    np.testing.assert_allclose(found[1:10] / found[14:30].mean(), 1.3 / 2, rtol=0.1)  # 4 comes to 1.3^2
    white = flatten(pixels, tuple(found))
    assert white.std() == pytest.approx(1, abs=0.03)
    assert abs(white.mean()) < 0.03
    power = background_power(white, np.ones_like(white))[0]
    assert power[0, 4:10].mean() == pytest.approx(1.3**2 * power[0, 16:28].mean(), rel=0.2)


def test_white_noise_is_left_alone(tmp_path):
    random = np.random.default_rng(3)
    for name in "ab":
        pixels = random.normal(10, 2, (900, 900)).astype(np.float32)
        write_micrograph(tmp_path / f"{name}.mrc", Micrograph(pixels, 2.0, name))
    for wanted in (None, True, False):
        assert settled(find_micrographs([str(tmp_path)]), PickSettings(diameter=80, whiten=wanted)) == ((), [])


def test_who_wants_micrographs_whitened_is_told_where_none_is(tmp_path):
    pixels = np.random.default_rng(3).normal(10, 2, (100, 100)).astype(np.float32)
    write_micrograph(tmp_path / "small.mrc", Micrograph(pixels, 2.0, "small"))
    files = find_micrographs([str(tmp_path)])
    whitening, said = settled(files, PickSettings(diameter=80, whiten=True))
    assert whitening == ()
    assert "--whiten: no micrograph that was looked at" in said[0]
    network, facts = load_pretrained(NetworkSettings())
    seen = network, {**facts, "whitening": (1.0,) * 32}
    for wanted in (None, False):
        assert (
            "has seen micrographs whitened; these are not"
            in settled(files, PickSettings(80, whiten=wanted), start=seen)[1][0]
        )


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


def test_who_starts_from_what_network_sees_what(cloudy, tmp_path):
    """What a run has left knows its own noise, whitened or not: other micrographs are looked at anew."""
    folder, human = cloudy
    files = find_micrographs([str(folder)])
    network, facts = load_pretrained(NetworkSettings())
    settings = PickSettings(diameter=120)
    whitening, notes = settled(files, settings, human)
    assert len(whitening) == 32
    assert "likely particles stand out" in notes[0]
    again = (network, {**facts, "whitening": [0.5] * 32})
    assert settled(files, settings, human, start=again)[0] == whitening
    assert settled(files, replace(settings, whiten=True), human)[0] == whitening
    assert settled(files, replace(settings, whiten=False), human) == ((), [])
    assert "has seen micrographs whitened" in settled(files, replace(settings, whiten=False), human, again)[1][0]
    assert "has seen micrographs whitened" in settled(files, settings, human, again, normalization="gmm")[1][0]


@pytest.mark.parametrize("words", [["--no-pretrained"], ["--normalization", "gmm"]])
def test_what_cannot_be_whitened_is_not_asked_for(cloudy, tmp_path, capsys, words):
    folder, human = cloudy
    write_picks(tmp_path / "labels.txt", human)
    call = ["pick", str(folder), "--labels", str(tmp_path / "labels.txt"), "--diameter", "120", "--whiten"]
    assert main([*call, *words, "-o", str(tmp_path / "out")]) == 2
    assert "--whiten needs a network to start from" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_crowd_is_not_taken_for_noise(monkeypatch, tmp_path):
    """Where fewer stand out so, or hardly more, micrographs stay as they are, unless somebody wants them whitened."""
    random = np.random.default_rng(6)
    for name in "ab":
        pixels = clouds((400, 400), random).astype(np.float32)
        write_micrograph(tmp_path / f"{name}.mrc", Micrograph(pixels, 2.0, name))
    files, settings = find_micrographs([str(tmp_path)]), PickSettings(diameter=40)
    for before, after, whitened in (
        (20.0, 15.0, False),
        (20.0, 24.0, False),
        (20.0, 26.0, True),
        (0.0, 0.5, False),
        (0.0, 1.5, True),
    ):
        none = Evidence(np.empty(0), np.empty(0), 1.0, 2)
        monkeypatch.setattr(noise, "gather", Mock(return_value=none))
        monkeypatch.setattr(noise, "standing_out", Mock(side_effect=[before, after]))
        assert bool(settled(files, settings)[0]) == whitened
    assert settled(files, replace(settings, whiten=True))[0]


def test_training_that_goes_on_sees_what_it_has_seen(cloudy, tmp_path, monkeypatch):
    """Though more micrographs, or another machine, would settle it otherwise."""
    folder, human = cloudy
    write_picks(tmp_path / "labels.txt", human)
    call = ["pick", str(folder), "--labels", str(tmp_path / "labels.txt"), "--diameter", "120", "--epochs", "1"]
    call += ["--epoch-size", "2", "-o", str(tmp_path / "out")]
    with monkeypatch.context() as patch:
        patch.setattr(learn, "fit", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            sys.exit(main(call))
    kept = json.loads((tmp_path / "out" / PRIOR).read_text())
    assert len(kept["whitening"]) == 32
    monkeypatch.setattr(learn, "settle_noise", lambda *_: pytest.fail("it is settled"))
    assert main(call) == 0
    assert json.loads((tmp_path / "out" / "run.json").read_text())["result"]["whitening"] == kept["whitening"]


def test_micrographs_that_cannot_be_read_or_are_too_small_are_left_to_others(cloudy, tmp_path):
    write_text(tmp_path / "broken.mrc", "no micrograph")
    pixels = np.random.default_rng(4).normal(size=(100, 100)).astype(np.float32)
    write_micrograph(tmp_path / "small.mrc", Micrograph(pixels, 2.0, "small"))
    files = find_micrographs([str(tmp_path)])
    assert settled(files, PickSettings(diameter=120)) == ((), [])
    whitening, _ = settled([*files, *find_micrographs([str(cloudy[0])])[:2]], PickSettings(diameter=120))
    assert len(whitening) == 32


def test_apoferritin_stays_as_it_is():
    """Its noise is not white, but particles are no clearer where it is made so."""
    files, settings = find_micrographs([str(EXAMPLE)]), PickSettings(diameter=120)
    assert settled(files, settings) == ((), [])
    assert settled(files, replace(settings, whiten=True))[0]


def test_labels_say_where_to_look(cloudy):
    """Whatever other micrographs there are."""
    folder, human = cloudy
    files = find_micrographs([str(folder)])
    labels, settings = human.select(human.names.astype(str) == files[0].name), PickSettings(diameter=120)
    assert settled(files, settings, labels) == settled(files[:1], settings, labels)
