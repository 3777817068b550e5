"""Light particles, and diameters that are wrong: what the pretrained network says about micrographs before it picks."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from conftest_helpers import Listener
from heliodor.cli import main
from heliodor.find import find_micrographs
from heliodor.formats import read_picks, write_picks
from heliodor.micrographs import Micrograph, read_micrograph, write_micrograph
from heliodor.networks import NetworkSettings
from heliodor.networks.pretrained import load_pretrained
from heliodor.networks.scorers import Machine
from heliodor.picking.appearance import settle_appearance
from heliodor.picking.geometry import derive_geometry
from heliodor.picking.load import Loader
from heliodor.picking.run import Run
from heliodor.picking.settings import PickSettings
from heliodor.picks import Picks

EXAMPLE = Path(__file__).parent.parent / "examples" / "apoferritin"
NONE = Picks([], np.empty((0, 2)))


def write_noise(path, random, beads=(), radius=5):
    """Write 400 x 400 pixels of ice, with dark beads."""
    pixels = gaussian_filter(random.normal(0, 1, (400, 400)), 0.7)
    y, x = np.indices(pixels.shape)
    for cx, cy in beads:
        pixels -= 5.0 * ((x - cx) ** 2 + (y - cy) ** 2 < radius**2)
    write_micrograph(path, Micrograph(pixels.astype(np.float32), 3.0, path.stem))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two micrographs as they are, and with light particles."""
    place = tmp_path_factory.mktemp("appearance")
    for name in read_picks(EXAMPLE / "human.txt").micrographs()[:2]:
        whole = read_micrograph(EXAMPLE / f"{name}.mrc")
        small = replace(whole, pixels=whole.pixels[:400, :400])
        for kind, sign in (("dark", 1), ("light", -1)):
            (place / kind).mkdir(exist_ok=True)
            write_micrograph(place / kind / f"{name}.mrc", replace(small, pixels=sign * small.pixels))
    return {kind: place / kind for kind in ("dark", "light")}


@pytest.fixture(scope="module")
def labels():
    """Five labels on each."""
    human = read_picks(EXAMPLE / "human.txt")
    human = human.select((human.xy < 400).all(axis=1))
    names = human.micrographs()[:2]
    return Picks.join([human.select(np.flatnonzero(np.asarray(human.names) == name)[::15][:5]) for name in names])


def settle(folder, labels, diameter=120.0, start="own", **chosen):
    """Return whether micrographs are inverted, and what is said."""
    settings, geometry = PickSettings(diameter, **chosen), derive_geometry(diameter, 3.0)
    load = Loader(3.0, geometry.factor, "flat", examine=True)
    start = load_pretrained(NetworkSettings()) if start == "own" else start
    said = Listener()
    micrographs = find_micrographs([folder])
    run = Run(folder, "", settings, geometry, load, Machine("cpu"), said)
    done = settle_appearance(run, micrographs, labels, start)
    assert done == replace(run, load=replace(load, inverted=done.load.inverted))
    return done.load.inverted, said.warnings


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("kind", ["dark", "light"])
def test_the_network_sees_whether_particles_are_light(folders, labels, kind, labelled):
    assert settle(folders[kind], labels if labelled else NONE) == (kind == "light", [])


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("kind", ["dark", "light"])
@pytest.mark.parametrize(("diameter", "seen"), [(60.0, "120 A"), (85.0, "113 A"), (160.0, "120 A"), (240.0, "")])
def test_a_diameter_that_is_wrong_is_doubted(folders, labels, kind, labelled, diameter, seen):
    """The radius, too little or too much by a third, and twice as much; a hollow shell half as wide looks light."""
    inverted, [warning] = settle(folders[kind], labels if labelled else NONE, diameter)
    assert inverted == (kind == "light")
    assert f"more like {seen}" in warning
    assert f"than {diameter:g} A" in warning


@pytest.mark.parametrize("diameter", [105.0, 135.0])
def test_a_person_may_be_off_by_an_eighth(folders, labels, diameter):
    for kind in ("dark", "light"):
        for chosen in (labels, NONE):
            assert settle(folders[kind], chosen, diameter) == (kind == "light", [])


def test_who_says_so_is_believed(folders, labels):
    assert settle(folders["dark"], labels, invert=True) == (True, [])
    assert settle(folders["light"], NONE, 160.0, invert=False) == (False, [])


def test_a_network_of_the_user_is_not_asked(folders, labels):
    network, facts = load_pretrained(NetworkSettings())
    theirs = {key: value for key, value in facts.items() if key != "pretrained_on"}
    assert settle(folders["light"], labels, start=(network, theirs)) == (False, [])
    assert settle(folders["dark"], labels, start=(network, {**theirs, "inverted": True})) == (True, [])
    assert settle(folders["light"], labels, start=None) == (False, [])


@pytest.mark.parametrize("radius", [5, 17, 20, 22])
def test_noise_and_gold_are_not_light_particles(tmp_path, radius):
    """Dark beads are light ones upside down, but few; particles are some 40 pixels wide."""
    random = np.random.default_rng(radius)
    for name in "abcd":
        write_noise(tmp_path / f"{name}.mrc", random, random.uniform(0, 400, (3, 2)), radius)
    inverted, _ = settle(tmp_path, NONE)
    assert not inverted


def test_labels_anywhere_say_nothing(folders):
    """Wherever the network is asked, particles are not more light than dark."""
    names, random = read_picks(EXAMPLE / "human.txt").micrographs()[:2], np.random.default_rng(0)
    for number in (5, 300):
        anywhere = Picks.join([Picks.on(name, random.uniform(0, 400, (number, 2))) for name in names])
        assert not settle(folders["dark"], anywhere)[0]


def test_labels_at_the_border_and_beyond(folders, labels):
    """A tenth of the labels may lie off their micrographs."""
    [first, *_] = labels.micrographs()
    for kind in ("dark", "light"):
        for border in ([[399.4, 200], [430, 430]], [[200, 399.4], [-30, 50]]):
            assert settle(folders[kind], Picks.join([labels, Picks.on(first, border)])) == (kind == "light", [])
        settle(folders[kind], Picks.on(first, [[-30, 50]]))  # one that says nothing is no reason to fail


def test_micrographs_that_cannot_be_read_say_nothing(tmp_path, folders, labels):
    for name in labels.micrographs():
        (tmp_path / f"{name}.mrc").touch()
    assert settle(tmp_path, NONE) == (False, [])
    assert settle(tmp_path, labels) == (False, [])
    [path, _] = sorted(folders["light"].glob("*.mrc"))
    (tmp_path / path.name).unlink()
    (tmp_path / path.name).symlink_to(path)
    assert settle(tmp_path, NONE) == (True, [])
    assert settle(tmp_path, labels) == (True, [])


def test_picks_of_light_particles_are_those_of_dark_ones(folders, tmp_path, capsys):
    picks = {}
    for kind, folder in folders.items():
        out = tmp_path / kind
        assert main(["pick", str(folder), "--diameter", "120", "-o", str(out)]) == 0
        said = capsys.readouterr().err
        assert ("particles are light" in said) == (kind == "light")
        picks[kind] = read_picks(out / "picks.txt")
        assert json.loads((out / "run.json").read_text())["result"]["inverted"] == (kind == "light")
    assert len(picks["dark"]) > 50
    np.testing.assert_array_equal(picks["light"].xy, picks["dark"].xy)
    np.testing.assert_array_equal(picks["light"].scores, picks["dark"].scores)
    # The pictures of the report show what the network saw: dark particles.
    shown = [re.findall(r"data:image[^\"')]+", (tmp_path / kind / "report.html").read_text()) for kind in folders]
    assert shown[0] == shown[1] != []
    model = str(tmp_path / "light" / "model.safetensors")
    again = tmp_path / "again.txt"
    words = ["extract", str(folders["light"]), "--raw", "-m", model, "-o", str(again)]
    assert main(words) == 0
    np.testing.assert_allclose(read_picks(again).xy, picks["light"].xy, atol=1e-3)
    assert main(["extract", str(folders["dark"]), "--raw", "-m", model, "--no-invert", "-o", str(again)]) == 0
    np.testing.assert_allclose(read_picks(again).xy, picks["light"].xy, atol=1e-3)
    assert main(["segment", str(folders["light"]), "--raw", "-m", model, "-o", str(tmp_path / "maps")]) == 0
    for name in picks["light"].micrographs():
        scores = read_micrograph(tmp_path / "maps" / f"{name}.tiff").pixels
        assert scores.max() > 3
    assert main(["export", model, "-o", str(tmp_path / "m.sav")]) == 0
    assert "inverted: it knows dark particles" in capsys.readouterr().err


def test_training_on_light_particles_and_going_on(folders, labels, tmp_path, capsys):
    write_picks(tmp_path / "labels.txt", labels)
    words = ["--labels", str(tmp_path / "labels.txt"), "--diameter", "120", "--epochs", "1", "--epoch-size", "2"]
    picks = {}
    for kind, folder in folders.items():
        assert main(["pick", str(folder), *words, "-o", str(tmp_path / kind)]) == 0
        picks[kind] = read_picks(tmp_path / kind / "candidates.txt")
    np.testing.assert_array_equal(picks["light"].scores, picks["dark"].scores)
    capsys.readouterr()
    assert main(["pick", str(folders["light"]), *words, "-o", str(tmp_path / "light")]) == 0
    assert "the network is there already" in capsys.readouterr().err
    np.testing.assert_array_equal(read_picks(tmp_path / "light" / "candidates.txt").scores, picks["dark"].scores)
    # Another run that starts from this network knows how it saw micrographs.
    start = ["--start", str(tmp_path / "light" / "model.safetensors")]
    assert main(["pick", str(folders["light"]), *words, *start, "-o", str(tmp_path / "next")]) == 0
    assert json.loads((tmp_path / "next" / "run.json").read_text())["result"]["inverted"]


def test_next_to_nothing_to_be_seen_is_said(tmp_path, capsys):
    write_noise(tmp_path / "a.mrc", np.random.default_rng(0))
    assert main(["pick", str(tmp_path / "a.mrc"), "--diameter", "120", "-o", str(tmp_path / "out")]) == 0
    assert "next to nothing surely stands out from noise" in capsys.readouterr().err
