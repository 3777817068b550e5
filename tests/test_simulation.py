"""Whole micrographs: what is asked is what comes, and the truth is true."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re

import mrcfile
import numpy as np
import pytest
from PIL import Image

from heliodor import find_micrographs, read_picks
from heliodor.cli import main
from heliodor.errors import OutputError, SettingsError
from heliodor.files import atomic_path
from heliodor.formats.star import read_columns
from heliodor.names import match_names
from heliodor.record import claim
from heliodor.simulation import files
from heliodor.simulation.detector import blur
from heliodor.simulation.files import check_fit, model_name, simulate_files
from heliodor.simulation.junk import KINDS, plan_junk
from heliodor.simulation.junk_drawing import as_drawn
from heliodor.simulation.load import load_particle
from heliodor.simulation.micrograph import MEAN_FREE_PATH, draw, intensity, render, signal_variance
from heliodor.simulation.projection import Projector
from heliodor.simulation.scene import plan
from heliodor.simulation.settings import JunkSettings, SimulationSettings
from simulation_helpers import write_map, write_model

SMALL = SimulationSettings(
    shape=(150, 200), pixel_size=4.0, particles=(12, 12), defocus=(1.0, 1.5), ice_thickness=(300, 300), ice_gradient=0.0
)
JUNKY = JunkSettings(carbon=1, gold=3, ice_crystals=1, aggregates=1, broken=2, lumps=2, hot_pixels=5)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "tiny one.pdb.gz")


@pytest.fixture(scope="module")
def projector(model) -> Projector:
    return load_particle(model, SMALL.pixel_size)


def middles(image: np.ndarray, xy: np.ndarray, half: int) -> np.ndarray:
    """Centre of mass of `image` in a window around each of `xy`."""
    found = []
    for x, y in np.rint(xy).astype(int):
        window = image[y - half : y + half + 1, x - half : x + half + 1]
        at = np.arange(-half, half + 1)
        found.append([x + (window.sum(0) @ at) / window.sum(), y + (window.sum(1) @ at) / window.sum()])
    return np.array(found)


def lonely(scene, shape, half):
    """Particles whose windows hold nothing else."""
    everything = np.concatenate([scene.xy, scene.outside_xy])
    gaps = np.hypot(*(scene.xy[:, None] - everything).T).T
    apart = (np.sort(gaps, axis=1)[:, 1:] > 2 * half).all(axis=1)
    return scene.xy[apart & (scene.xy > half).all(axis=1) & (scene.xy < np.array(shape[::-1]) - half - 1).all(axis=1)]


def test_true_centres_are_the_centres_of_mass(projector):
    """Of the potential, and of a noise-free micrograph after contrast transfer."""
    settings = dataclasses.replace(
        SMALL, shape=(500, 500), closeness=2.4, ice_contrast=0.0, astigmatism=0.0, margin=60.0
    )
    scene = plan(settings, projector.diameter, 0)
    canvas = draw(scene, projector, settings)
    half = round(1.15 * projector.diameter / settings.pixel_size)
    xy = lonely(scene, settings.shape, half)
    assert len(xy) >= 5
    frame = canvas.frame
    assert np.abs(middles(canvas.potential, xy + frame, half) - frame - xy).max() < 0.05
    lost = 1 - intensity(canvas, scene, settings, np.random.default_rng(0)) / np.exp(-300 / MEAN_FREE_PATH)
    assert np.abs(middles(lost, xy + frame, half) - frame - xy).max() < 0.2


def test_particles_keep_their_distance_and_fill_the_borders(projector):
    settings = dataclasses.replace(SMALL, particles=(20, 30), closeness=1.2)
    numbers = set()
    for index in range(6):
        scene = plan(settings, projector.diameter, index)
        numbers.add(len(scene.xy))
        everything = np.concatenate([scene.xy, scene.outside_xy])
        gaps = np.hypot(*(everything[:, None] - everything).T)[~np.eye(len(everything), dtype=bool)]
        assert gaps.min() >= 1.2 * projector.diameter / settings.pixel_size
        assert ((scene.xy >= -0.5) & (scene.xy <= [199.5, 149.5])).all()
        assert not ((scene.outside_xy >= -0.5) & (scene.outside_xy < [199.5, 149.5])).all(axis=1).any()
        assert len(scene.outside_xy) > 0
    assert len(numbers) > 2
    assert min(numbers) >= 15
    assert max(numbers) <= 30
    kept = plan(dataclasses.replace(settings, margin=80.0, particles=(8, 8)), projector.diameter, 0)
    assert len(kept.outside_xy) == 0
    assert ((kept.xy >= 19.5) & (kept.xy <= [179.5, 129.5])).all()


def test_the_dose_arrives(projector):
    settings = dataclasses.replace(SMALL, particles=(0, 0), dose=(30, 30), ice_contrast=0.0)
    pixels, kinds = render(plan(settings, projector.diameter, 3), projector, settings, 3)
    wanted = 30 * 16 * np.exp(-300 / MEAN_FREE_PATH)
    assert pixels.mean() == pytest.approx(wanted, rel=0.005)
    assert pixels.var() == pytest.approx(wanted, rel=0.03)  # Poisson
    assert not kinds.any()


@pytest.mark.parametrize("mtf", [1.0, 0.4])
def test_the_signal_to_noise_ratio_is_the_one_asked_for(projector, mtf):
    settings = dataclasses.replace(
        SMALL, shape=(400, 400), snr=0.2, ice_contrast=0.0, particles=(80, 80), detector_mtf=mtf
    )
    scene = plan(settings, projector.diameter, 0)
    pixels, _ = render(scene, projector, settings, 0)
    canvas = draw(scene, projector, settings)
    clean = intensity(canvas, scene, settings, np.random.default_rng(0))[canvas.frame :, canvas.frame :][:400, :400]
    clean = blur(clean, mtf)
    noise = pixels / (scene.dose * 16) - clean
    y, x = np.indices(clean.shape)
    radius = projector.diameter / 2 / settings.pixel_size
    inside = scene.xy[(scene.xy > radius).all(axis=1) & (scene.xy < 399 - radius).all(axis=1)]
    signal = np.mean([clean[np.hypot(x - px, y - py) <= radius].var() for px, py in inside])
    assert signal / noise.var() == pytest.approx(0.2, rel=0.2)
    assert signal_variance(scene, projector, settings) / noise.var() == pytest.approx(0.2, rel=0.02)


def test_ice_and_contrast_obey_their_factors(projector):
    bare = dataclasses.replace(SMALL, particles=(0, 0))
    scene = plan(bare, projector.diameter, 0)
    canvas = draw(scene, projector, bare)
    spread = [
        intensity(canvas, scene, dataclasses.replace(bare, ice_contrast=c), np.random.default_rng(1)).std()
        for c in (0.5, 1.0)
    ]
    assert spread[1] == pytest.approx(2 * spread[0], rel=1e-3)
    doubled = dataclasses.replace(SMALL, particle_contrast=2 * SMALL.particle_contrast)
    once, twice = (draw(plan(s, 100, 0), projector, s).potential for s in (SMALL, doubled))
    assert np.allclose(twice, 2 * once, atol=1e-3 * twice.max())
    steep = dataclasses.replace(bare, ice_gradient=1.0, ice_contrast=0.0)
    scene = plan(steep, projector.diameter, 1)
    canvas = draw(scene, projector, steep)
    window = (slice(canvas.frame, canvas.frame + 150), slice(canvas.frame, canvas.frame + 200))
    thickness = -MEAN_FREE_PATH * np.log(intensity(canvas, scene, steep, np.random.default_rng(1))[window])
    assert thickness.mean() == pytest.approx(scene.thickness, rel=0.01)
    across = thickness[:, -1].mean() - thickness[:, 0].mean(), thickness[-1].mean() - thickness[0].mean()
    assert across == pytest.approx(np.array(scene.gradient) * scene.thickness, abs=0.02 * scene.thickness)
    assert np.hypot(*scene.gradient) > 0.2


def test_carbon_film_is_no_darker_under_a_phase_plate(projector):
    """It goes on for micrometres, below the frequency where a plate begins to shift phases; its texture is shifted."""
    settings = dataclasses.replace(
        SMALL, shape=(300, 300), particles=(0, 0), junk=JunkSettings(carbon=1), dose=(40, 40)
    )
    plain, plate = (
        render(plan(s, projector.diameter, 0), projector, s, 0)
        for s in (settings, dataclasses.replace(settings, phase_shift=(90, 90)))
    )
    film = plain[1] == KINDS.index("carbon")
    assert film.sum() > 1000
    assert plate[0][film].mean() == pytest.approx(plain[0][film].mean(), rel=0.02)


def test_film_shows_whatever_the_shape_of_a_micrograph():
    for shape in ((100, 300), (300, 100), (200, 200)):
        settings = SimulationSettings(shape=shape, pixel_size=12.0, junk=JunkSettings(carbon=1))
        y, x = np.indices(shape)
        for seed in range(40):
            (film,), _ = plan_junk(settings, 100.0, np.random.default_rng(seed))
            assert 0.02 < (np.hypot(x - film.x, y - film.y) * 12 > film.radius).mean() < 0.5


def test_broken_particles_are_told_by_what_is_left(projector):
    settings = dataclasses.replace(SMALL, shape=(400, 400), particles=(0, 0), junk=JunkSettings(broken=12))
    scene = plan(settings, projector.diameter, 0)
    off = []
    for item, seen in zip(scene.junk, as_drawn(scene.junk, projector, settings.pixel_size), strict=True):
        alone = draw(dataclasses.replace(scene, junk=[item]), projector, settings)
        left = alone.potential.astype(np.float64)
        y, x = np.indices(left.shape) - alone.frame
        middle = [(left * x).sum() / left.sum(), (left * y).sum() / left.sum()]
        assert [seen.x, seen.y] == pytest.approx(middle, abs=0.5)
        inside = np.hypot(x - seen.x, y - seen.y) * settings.pixel_size <= seen.radius
        assert left[inside].sum() > 0.97 * left.sum()
        assert seen.radius < 1.2 * item.radius
        off.append(np.hypot(seen.x - item.x, seen.y - item.y) * settings.pixel_size / item.radius)
    assert len(off) > 5
    assert np.median(off) > 0.1


def test_junk_of_every_kind_lies_where_the_truth_says_and_particles_do_not(projector):
    settings = dataclasses.replace(SMALL, shape=(500, 500), junk=JUNKY, particles=(40, 40))
    seen = set()
    for index in range(3):
        scene = plan(settings, projector.diameter, index)
        without = dataclasses.replace(scene, junk=[])
        pixels, kinds = render(scene, projector, settings, index)
        seen |= {KINDS[k] for k in np.unique(kinds)} | {j.kind for j in scene.junk if j.kind == "hot_pixel"}
        column, row = np.rint(scene.xy).astype(int).clip(0, 499).T
        assert (kinds[row, column] == 0).all()
        plain, _ = render(without, projector, settings, index)
        assert pixels[kinds == KINDS.index("carbon")].mean() < plain.mean()
        for item in scene.junk:
            x, y = round(item.x), round(item.y)
            if item.is_disc and 10 < x < 490 and 10 < y < 490 and item.kind != "broken":
                assert kinds[y - 1 : y + 2, x - 1 : x + 2].any()
            if item.kind == "gold" and 10 < x < 490 and 10 < y < 490:
                assert pixels[y, x] < 0.7 * np.median(pixels)
    assert seen >= set(KINDS)


def test_a_seed_and_a_number_decide_a_micrograph(model, tmp_path):
    settings = dataclasses.replace(SMALL, junk=JUNKY, seed=5)
    simulate_files(model, tmp_path / "a", settings, 4, workers=3)
    simulate_files(model, tmp_path / "b", settings, 2)
    simulate_files(model, tmp_path / "c", dataclasses.replace(settings, seed=6), 1)
    first, second, other = (tmp_path / f"{f}/micrographs/tiny one_0002.mrc" for f in "abc")
    assert first.read_bytes() == second.read_bytes()
    with mrcfile.open(first) as mrc:
        assert mrc.get_labels() == ["Simulated by heliodor"]  # no time
    one, two = (mrcfile.read(first.with_name(f"tiny one_000{k}.mrc")) for k in (1, 3))
    assert not np.array_equal(one, two)
    assert not other.exists()
    assert not np.array_equal(mrcfile.read(other.with_name("tiny one_0001.mrc")), one)


def test_a_second_run_goes_on_or_refuses(model, tmp_path, capsys):
    words = ["simulate", str(model), "-o", str(tmp_path / "x"), "--size", "120", "--angpix", "5", "--particles", "4"]
    assert main([*words, "-n", "2"]) == 0
    paths = [tmp_path / f"x/micrographs/tiny one_000{k}.mrc" for k in (1, 2, 3)]
    before = paths[0].stat().st_mtime_ns
    assert main([*words, "-n", "3"]) == 0
    assert paths[0].stat().st_mtime_ns == before
    assert paths[2].is_file()
    assert len(set(read_picks(tmp_path / "x/particles.txt").names)) == 3
    assert main([*words, "-n", "1"]) == 2
    assert "holds 3 micrographs" in capsys.readouterr().err
    assert main([*words, "-n", "1", "--seed", "1"]) == 2
    assert "seed was 0, is 1" in capsys.readouterr().err
    own = paths[0].with_name("mine.mrc")
    own.touch()
    assert main([*words, "-n", "1", "--seed", "1", "--overwrite"]) == 0
    assert not paths[1].exists()
    assert own.exists()


def test_what_is_written_can_be_read_by_the_other_commands(model, tmp_path):
    out = tmp_path / "it's a.b c"
    words = ["simulate", str(model), "-o", str(out), "-n", "3", "--size", "160", "140", "--angpix", "4.5"]
    more = ["--particles", "3", "6", "--prefix", "a.b 'c", "--junk", "some", "--carbon", "1", "--seed", "3"]
    assert main([*words, *more, "-t", "2"]) == 0
    names = [f"a.b 'c_000{k}" for k in (1, 2, 3)]
    found = find_micrographs([out / "micrographs"])
    assert [f.name for f in found] == names
    assert [f.name for f in find_micrographs([out / "micrographs.star"])] == names
    assert [f.defocus for f in find_micrographs([out / "micrographs.star"])] == [
        pytest.approx(plan(dataclasses.replace(SMALL, seed=3, defocus=(1, 2.5)), 100, k).optics.defocus_u, rel=0.02)
        for k in range(3)
    ]
    for file in found:
        assert mrcfile.validate(file.path)
        with mrcfile.open(file.path) as mrc:
            assert mrc.data.shape == (140, 160)
            assert float(mrc.voxel_size.x) == pytest.approx(4.5)
        with Image.open(out / "junk" / f"{file.name}.png") as image:
            assert KINDS.index("carbon") in np.unique(np.asarray(image))
    txt, star = read_picks(out / "particles.txt"), read_picks(out / "particles.star")
    assert np.allclose(txt.xy, star.xy)
    meant = match_names(star.micrographs(), found)
    assert [meant[name] for name in star.names] == txt.names.tolist()
    angles = read_columns(out / "particles.star", ["_rlnAngleRot", "_rlnAngleTilt", "_rlnAnglePsi", "_rlnDefocusU"])
    assert all(10000 - 150 < float(u) < 25000 + 150 for u in angles["_rlnDefocusU"])
    assert all(0 <= float(t) <= 180 for t in angles["_rlnAngleTilt"])
    lens = ["_rlnVoltage", "_rlnSphericalAberration", "_rlnAmplitudeContrast", "_rlnMicrographOriginalPixelSize"]
    for table in ("particles.star", "micrographs.star"):
        optics = read_columns(out / table, ["_rlnOpticsGroupName", "_rlnOpticsGroup", *lens], also=())
        assert [optics[tag] for tag in lens] == [["300"], ["2.7"], ["0.07"], ["4.5"]]
        assert set(read_columns(out / table, ["_rlnMicrographName", "_rlnOpticsGroup"])["_rlnOpticsGroup"]) == {"1"}
    assert "_rlnPhaseShift" not in (out / "particles.star").read_text()
    junk = read_columns(out / "junk.star", ["_rlnCoordinateX", "_heliodorJunkKind", "_heliodorJunkRadiusAngst"])
    assert "carbon" not in junk["_heliodorJunkKind"]
    assert len(read_columns(out / "junk.star", ["_heliodorHoleX", "_heliodorHoleY"])["_rlnMicrographName"]) == 3
    record = json.loads((out / "simulate.json").read_text())
    assert record["settings"]["seed"] == 3
    assert record["settings"]["junk"]["carbon"] == 1
    assert record["micrographs"] == 3
    assert record["centre"] == pytest.approx(load_particle(model, 4.5).origin, abs=0.001)


def test_the_phase_shift_of_a_plate_is_in_the_truth_of_particles(model, tmp_path):
    settings = dataclasses.replace(SMALL, particles=(2, 2), phase_shift=(80, 100))
    (scene,) = simulate_files(model, tmp_path, settings, 1).values()
    shifts = read_columns(tmp_path / "particles.star", ["_rlnCoordinateX", "_rlnPhaseShift"])["_rlnPhaseShift"]
    assert shifts == [f"{scene.optics.phase_shift:.2f}"] * 2


def test_files_that_no_run_has_left_stay(model, tmp_path, capsys):
    words = ["simulate", str(model), "-o", str(tmp_path), "--size", "120", "--angpix", "5", "--particles", "4"]
    alien = tmp_path / "micrographs/tiny one_0002.mrc"
    alien.parent.mkdir()
    alien.write_text("junk")
    assert main([*words, "-n", "2"]) == 2
    assert "tiny one_0002.mrc: would be replaced, and no run of this folder has left it" in capsys.readouterr().err
    assert main([*words, "-n", "1"]) == 0
    assert main([*words, "-n", "2"]) == 2
    assert alien.read_text() == "junk"
    assert main([*words, "-n", "2", "--overwrite"]) == 0
    assert mrcfile.read(alien).shape == (120, 120)
    (tmp_path / "simulate.json").unlink()
    assert main([*words, "-n", "2", "--seed", "1"]) == 2
    for path in (tmp_path / "micrographs").iterdir():
        path.unlink()
    assert main([*words, "-n", "2"]) == 2
    assert "would be replaced" in capsys.readouterr().err


def test_an_interrupted_run_leaves_the_truth_about_what_is_there(model, tmp_path, monkeypatch):
    def interrupted(scene, projector, settings, index):
        if index == 2:
            raise KeyboardInterrupt
        return render(scene, projector, settings, index)

    monkeypatch.setattr(files, "render", interrupted)
    with pytest.raises(KeyboardInterrupt):
        simulate_files(model, tmp_path, SMALL, 40)
    there = sorted(path.stem for path in (tmp_path / "micrographs").iterdir())
    assert there[:2] == ["tiny one_0001", "tiny one_0002"]
    assert 2 <= len(there) < 40
    assert sorted(read_picks(tmp_path / "particles.txt").micrographs()) == there
    assert [f.name for f in find_micrographs([tmp_path / "micrographs.star"])] == there
    most = int(there[-1][-4:])
    with pytest.raises(SettingsError, match=f"holds {len(there)} micrographs .* ask for {most} or more with -n"):
        simulate_files(model, tmp_path, SMALL, 1)
    monkeypatch.undo()
    assert len(simulate_files(model, tmp_path, SMALL, most)) == most


def test_micrographs_without_particles_and_maps_as_models(tmp_path):
    density = write_map(tmp_path / "m.mrc.gz")
    words = ["simulate", str(density), "-o", str(tmp_path / "x"), "-n", "2", "--size", "100", "--angpix", "6"]
    assert main([*words, "--particles", "0"]) == 0
    assert len(read_picks(tmp_path / "x/particles.txt")) == 0
    assert len(find_micrographs([tmp_path / "x/micrographs"])) == 2
    assert main([*words[:3], str(tmp_path / "y"), *words[4:], "--particles", "3", "--mass", "200", "--snr", "0.5"]) == 0
    assert len(read_picks(tmp_path / "y/particles.txt")) == 6


def test_particles_without_room_are_told(model, tmp_path, capsys):
    words = ["simulate", str(model), "-n", "1", "--angpix", "5", "-o", str(tmp_path / "x")]
    assert main([*words, "--size", "32", "--angpix", "1.5", "--particles", "1"]) == 2
    assert "the particle is" in capsys.readouterr().err
    assert main([*words, "--size", "64", "--particles", "500"]) == 2
    assert "no more than" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
    assert main([*words, "--size", "128", "--particles", "40"]) == 0
    assert "had no room for all particles" in capsys.readouterr().err
    assert main([*words[:-1], str(tmp_path / "y"), "--size", "100", "--particles", "1", "--lumps", "40"]) == 0
    assert re.search(r"no room for all junk: \d+ of \d+ lump; the truth lists", capsys.readouterr().err)
    with pytest.raises(SettingsError, match="smaller --margin"):
        check_fit(dataclasses.replace(SMALL, margin=400), 100)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--defocus", "2", "1"], "--defocus must be above 0, the lower first"),
        (["--dose", "0"], "--dose must be above 0"),
        (["--snr", "-1"], "--snr must be above 0"),
        (["--angpix", "nan"], "--angpix must be above 0"),
        (["--particles", "5", "2"], "--particles is a number, or a lowest and a highest"),
        (["--particles", "1", "2", "3"], "--particles is one number, or two"),
        (["--preferred", "1.5"], r"--preferred must be in \[0, 1\]"),
        (["--carbon", "2"], "--carbon is a share"),
        (["--gold", "-1"], "--gold must be 0 or more"),
        (["--gold", "1e20"], "--gold must be 0 or more, 10000 at most"),
        (["--dose", "1e30"], "--dose is in electrons per square angstrom"),
        (["--defocus", "15000"], "--defocus is in micrometres, 0 to 20. Got 15000"),
        (["--voltage", "300000"], "--voltage is in kilovolt, 50 to 1500"),
        (["--angpix", "1e30"], "--angpix is in angstrom, 0.01 to 1000"),
        (["--cs", "2700"], "--cs is in millimetres, 0 to 20"),
        (["--astigmatism", "60000", "--defocus", "1"], "--astigmatism 60000, in angstrom, is overfocus"),
        (["--size", "1000000"], "--size must be 32 pixels or more, 32768 at most"),
        (["--phase-shift", "90", "0"], "--phase-shift is in degrees"),
        (["--size", "8"], "--size must be 32"),
        (["--prefix", "a/b"], "--prefix is part of file names"),
        (["--prefix", "x" * 250], "--prefix makes file names of 259 bytes, and 255 is the most"),
        (["--prefix", ".."], "--prefix must not begin with a dot"),
        (["--closeness", "1e-300"], "--closeness is in particle diameters, 0.01 to 100. Got 1e-300"),
        (["--closeness", "1e200"], "--closeness is in particle diameters"),
        (["--b-factor", "1e300"], "--b-factor is in square angstrom, 0 to 1e\\+06"),
        (["--ice-thickness", "1e30"], "--ice-thickness is in angstrom, 0.01 to 10000"),
        (["--ice-thickness", "1e-50", "300"], "--ice-thickness is in angstrom, 0.01 to 10000"),
        (["--ice-gradient", "1e30"], "--ice-gradient is a share of the mean thickness, 0 to 2"),
        (["--ice-contrast", "1e30"], "--ice-contrast is a factor, 0 to 100"),
        (["--particle-contrast", "1e39"], "--particle-contrast is a factor, 0 to 100"),
        (["--snr", "1e-320"], "--snr is a ratio of variances, 1e-06 to 1e\\+12"),
        (["--detector-mtf", "1e-320"], "--detector-mtf is a share, 0.01 to 1"),
        (["--detector-mtf", "1.5"], "--detector-mtf is a share, 0.01 to 1"),
        (["--margin", "1e300"], "--margin is in angstrom"),
        (["--preferred-spread", "1e300"], "--preferred-spread is in degrees"),
        (["--snr", "1", "--particle-contrast", "0"], "--snr is about the signal .* leave out one of them"),
        (["-n", "0"], "-n must be 1 or more"),
        (["--seed", "-3"], "--seed must be 0 or more"),
    ],
)  # fmt: skip
def test_impossible_settings_are_told_in_one_line(model, tmp_path, capsys, option, message):
    assert main(["simulate", str(model), "-o", str(tmp_path / "x"), *option]) == 2
    err = capsys.readouterr().err
    assert re.search(message, err)
    assert err.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_settings_at_their_bounds_make_numbers(projector):
    low = dataclasses.replace(SMALL, ice_thickness=(0.01, 0.01), snr=1e-6, detector_mtf=0.01, dose=(1e-6, 1e-6))
    high = dataclasses.replace(
        SMALL, pixel_size=1000.0, ice_thickness=(1e4, 1e4), ice_gradient=2.0, ice_contrast=100.0, dose=(1e6, 1e6),
        particle_contrast=100.0, b_factor=1e6,
    )  # fmt: skip
    for settings in (low, high):
        assert np.isfinite(render(plan(settings, projector.diameter, 0), projector, settings, 0)[0]).all()


def words_of(model, folder, *more: str) -> list[str]:
    few = ["--size", "120", "--angpix", "5", "--particles", "4", "-n", "1"]
    return ["simulate", str(model), "-o", str(folder), *few, *more]


def one_line(capsys) -> str:
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    "name", ["particles.star", "simulate.json", "micrographs/tiny one_0001.mrc", "junk/tiny one_0001.png"]
)
@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_folders_where_files_should_go_are_told_and_nothing_is_lost(model, tmp_path, capsys, name, more):
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / "particles.txt").touch()
    assert main(words_of(model, tmp_path, *more)) == 2
    assert f"{tmp_path / name}: is a folder, and a file should go there; remove it" in one_line(capsys)
    assert (tmp_path / "particles.txt").is_file()


@pytest.mark.parametrize("name", ["micrographs", "junk"])
@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_files_where_folders_should_go_are_told(model, tmp_path, capsys, name, more):
    (tmp_path / name).touch()
    assert main(words_of(model, tmp_path, *more)) == 2
    assert f"{tmp_path / name}: is a file, and a folder should go there; remove it" in one_line(capsys)


def test_what_cannot_be_removed_is_told(tmp_path):
    def clear() -> None:
        (tmp_path / "inner").unlink()

    (tmp_path / "inner").mkdir()
    with pytest.raises(OutputError, match=r"inner: cannot write \("):
        claim(tmp_path / "record.json", {}, overwrite=True, clear=clear)


@pytest.mark.parametrize("text", ["[1,2]", "3", "null", '"abc"', "{", "[" * 100_000])
@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_damaged_records_are_told(model, tmp_path, capsys, text, more):
    (tmp_path / "simulate.json").write_text(text)
    assert main(words_of(model, tmp_path, *more)) == 2
    assert "simulate.json: is damaged (" in one_line(capsys)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"a":1}',
        '{"model":null,"settings":3}',
        '{"model":{"prefix":"x"}}',
        '{"model":{"prefix":"x"},"settings":{},"micrographs":"2"}',
        '{"model":{"prefix":"../x"},"settings":{},"micrographs":2}',
    ],
)
def test_records_of_others_are_refused_and_may_be_replaced(model, tmp_path, capsys, text):
    (tmp_path / "simulate.json").write_text(text)
    assert main(words_of(model, tmp_path)) == 2
    err = one_line(capsys)
    assert "simulate.json: was left by no run of heliodor simulate; choose another folder with -o" in err
    assert "was None" not in err
    assert main(words_of(model, tmp_path, "--overwrite")) == 0
    assert json.loads((tmp_path / "simulate.json").read_text())["micrographs"] == 1


def test_too_little_memory_is_told_in_one_line(model, tmp_path, capsys, monkeypatch):
    def too_much(*_arguments):
        raise MemoryError

    monkeypatch.setattr(files, "render", too_much)
    assert main(words_of(model, tmp_path)) == 2
    assert "heliodor: error: not enough memory; ask for smaller images" in capsys.readouterr().err


def test_a_full_disk_is_told_before_what_comes_of_it(model, tmp_path, monkeypatch):
    """The micrograph that has no room is named, not the table that has none either; nothing stays open or half."""

    def full(path, content):
        with atomic_path(path) as temporary:
            temporary.write_text(str(content[:100]))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "write_bytes", full)
    with pytest.raises(OutputError, match=r"tiny one_0001.mrc: cannot write .*free some space"):
        simulate_files(model, tmp_path / "a", SMALL, 2)
    assert not list((tmp_path / "a/micrographs").iterdir())
    assert (tmp_path / "a/particles.star").is_file()
    monkeypatch.setattr(files, "write_text", full)
    with pytest.raises(OutputError, match=r"tiny one_0001.mrc: cannot write"):
        simulate_files(model, tmp_path / "b", SMALL, 2)


def test_names_of_models():
    assert model_name("a/b.c/3j9i.pdb.gz") == "3j9i"
    assert model_name("3j9i.pdb1.gz") == "3j9i"
    assert model_name("001.MRC") == "001"
    assert model_name("x.y.cif") == "x.y"
