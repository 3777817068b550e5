"""Against topaz-em itself, where the environment variable HELIODOR_TOPAZ names its executable.

Its trained weights are found as heliodor finds them: HELIODOR_TOPAZ_WEIGHTS, or topaz-em beside heliodor.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from heliodor.cli import main
from heliodor.cli.topaz import main as own_topaz
from heliodor.denoise import load_denoiser
from heliodor.denoise.weights import DENOISERS
from heliodor.errors import WeightsError
from heliodor.formats import read_picks, write_picks
from heliodor.micrographs import Micrograph, read_micrograph, write_micrograph
from heliodor.networks import NetworkSettings, build, export_topaz, load_network
from heliodor.picking.scoring import score_map

TOPAZ = os.environ.get("HELIODOR_TOPAZ")
EXAMPLE = Path(__file__).parent.parent / "examples/apoferritin"
NAME = "May08_03.05.02"
pytestmark = pytest.mark.skipif(not TOPAZ, reason="HELIODOR_TOPAZ names no executable of topaz-em")


def topaz(*words):
    run(TOPAZ, *words)


def run(*words):
    """Run a program without our package `topaz`, which a PYTHONPATH of ours would put in the place of theirs."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Preprocessed micrographs of the example, with labels in their pixels."""
    folder = tmp_path_factory.mktemp("topaz")
    labels = read_picks(EXAMPLE / "labels.txt")
    images = [str(EXAMPLE / f"{name}.mrc") for name in labels.names]
    assert main(["preprocess", "-s", "8", "-o", str(folder / "images"), *images]) == 0
    write_picks(folder / "labels.txt", labels.scaled(1 / 8), integers=True)
    return folder


def assert_same_maps(folder: Path, model: str) -> None:
    image = folder / "images" / f"{NAME}.mrc"
    topaz("segment", "-m", model, "-d", "-1", "-o", folder / "maps", image)
    network, _ = load_network(model)
    scores = score_map(network, read_micrograph(image).pixels)
    np.testing.assert_allclose(scores, read_micrograph(folder / f"maps/{NAME}.tiff").pixels, atol=1e-4)


@pytest.mark.parametrize("model", ["resnet8_u32", "resnet8_u64", "resnet16_u32", "resnet16"])
def test_trained_networks_of_topaz_score_the_same(data, model):
    try:
        load_network(model)
    except WeightsError as error:
        pytest.skip(str(error))
    assert_same_maps(data, model)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("conv31", ["--unit-scaling", "1"]),
        ("conv63", ["--bn", "off"]),
        ("conv127", ["--autoencoder", "10"]),
        ("resnet6", ["--autoencoder", "1", "--ngf", "16"]),
        ("resnet8", ["--dropout", "0.1"]),
        ("resnet16", ["--pooling", "max"]),
    ],
)
def test_networks_that_topaz_trained_score_the_same(data, model, options):
    prefix = data / f"{model} new"
    settings = ["--units", "8", "--no-pretrained", "--epoch-size", "3", "--num-epochs", "1", "--minibatch-size", "32"]
    # Topaz's weights end in NaN after a minibatch without a label, and with a pi above 1, which 0.3 inflates sevenfold.
    settings += ["--minibatch-balance", "0.5", "-n", "10"]
    topaz(
        *("train", "--train-images", data / "images", "--train-targets", data / "labels.txt"),
        *("-m", model, *settings, *options, "-d", "-1", "--save-prefix", prefix, "-o", data / "curve.tsv"),
    )
    assert_same_maps(data, f"{prefix}_epoch1.sav")


@pytest.mark.parametrize(
    "settings",
    [
        NetworkSettings("conv31", 4),
        NetworkSettings("resnet6", 4),
        NetworkSettings("resnet8", 4),
        NetworkSettings("resnet16", 4, pooling="max"),
    ],
    ids=lambda settings: settings.model,
)
def test_exported_networks_score_the_same_there(data, settings):
    network = build(settings).train()
    with torch.no_grad():
        network(torch.randn(4, 120, 120))  # batch-norm statistics that are not the identity
    export_topaz(data / f"{settings.model}.sav", network.eval())
    assert_same_maps(data, str(data / f"{settings.model}.sav"))


@pytest.fixture(scope="module")
def picture(data) -> Path:
    """A part of a micrograph whose sides U-Nets halve without a rest; Topaz shifts pixels of others."""
    pixels = read_micrograph(EXAMPLE / f"{NAME}.mrc").pixels[:192, :256]
    write_micrograph(data / "picture.mrc", Micrograph(pixels, 1.5, "picture"))
    return data / "picture.mrc"


def of_topaz(load, *words):
    """Call `load`; where its weights are not found, skip the test."""
    try:
        return load(*words)
    except WeightsError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("model", DENOISERS)
def test_trained_denoisers_of_topaz_give_the_same(data, picture, model):
    """By its Python, since 0.3.20's command takes unet whatever --model says."""
    network = of_topaz(load_denoiser, model)
    x = torch.from_numpy(read_micrograph(picture).pixels)[None, None]
    np.save(data / "x.npy", ((x - x.mean()) / x.std()).numpy())
    there = (
        "import sys, numpy, torch; from topaz.denoising.models import load_model; "
        "network, x = load_model(sys.argv[1]), torch.from_numpy(numpy.load(sys.argv[2])); "
        "numpy.save(sys.argv[3], network(x).detach().numpy())"
    )
    run(Path(TOPAZ).parent / "python", "-c", there, model, data / "x.npy", data / "y.npy")
    with torch.no_grad():
        found = network(torch.from_numpy(np.load(data / "x.npy"))).numpy()
    np.testing.assert_allclose(found, np.load(data / "y.npy"), atol=1e-4)


@pytest.mark.parametrize("words", [["--normalize"], ["--gaussian", "1.5"], ["--pixel-cutoff", "2"]], ids=" ".join)
def test_denoise_writes_the_same(data, picture, words):
    """Away from the edges, around which it blurs with zeros. Which network it takes is said by --arch in 0.3.20."""
    of_topaz(load_denoiser, "affine")
    words = ["denoise", picture, "-d", "-1", "-s", "-1", "--arch", "affine", *words]
    topaz(*words, "-o", data / "theirs")
    assert own_topaz([*map(str, words), "-m", "affine", "-o", str(data / "ours")]) == 0
    ours, theirs = (read_micrograph(data / who / "picture.mrc").pixels for who in ("ours", "theirs"))
    inner = (slice(32, -32), slice(32, -32))
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=1e-3 * theirs.std())


@pytest.mark.parametrize(
    "words", [["-m", "resnet16", "--units", "64", "--pretrained"], ["-m", "resnet8"]], ids=" ".join
)
def test_training_starts_from_the_weights_of_topaz(data, words, capsys):
    """With no learning rate worth mentioning, what is trained scores as what it started from."""
    start = "resnet16_u64" if "resnet16" in words else "resnet8_u32"
    of_topaz(load_network, start)
    words = ["train", "--train-images", data / "images", "--train-targets", data / "labels.txt", "-n", "40", *words]
    words += [
        "--learning-rate",
        "1e-12",
        "--epoch-size",
        "3",
        "--minibatch-size",
        "32",
        "--num-epochs",
        "1",
        "-d",
        "-1",
    ]
    prefix = data / f"from {start}"
    assert own_topaz([*map(str, words), "--save-prefix", str(prefix), "-o", str(data / "curve.tsv")]) == 0
    assert f"Loading pretrained model: {start}" in capsys.readouterr().err
    pixels = read_micrograph(data / "images" / f"{NAME}.mrc").pixels
    found, wanted = (score_map(load_network(model)[0], pixels) for model in (f"{prefix}_epoch1.sav", start))
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    export = data / f"{start} back.sav"
    assert main(["export", f"{prefix}_epoch1.sav", "-o", str(export)]) == 0
    assert_same_maps(data, str(export))


def test_extract_finds_the_same_particles(data):
    """By the command, which scores in ONNX Runtime where there is no GPU."""
    of_topaz(load_network, "resnet8_u32")
    words = [
        "extract",
        data / "images" / f"{NAME}.mrc",
        "-m",
        "resnet8_u32",
        "-r",
        "5",
        "-t",
        "-4",
        "-x",
        "8",
        "-d",
        "-1",
    ]
    topaz(*words, "-o", data / "theirs.txt")
    assert own_topaz([*map(str, words), "-o", str(data / "ours.txt")]) == 0
    ours, theirs = (
        {(name, *xy): score for name, xy, score in zip(p.names.tolist(), p.xy.tolist(), p.scores, strict=True)}
        for p in (read_picks(data / "ours.txt"), read_picks(data / "theirs.txt"))
    )
    assert ours.keys() == theirs.keys()
    assert len(ours) > 10
    np.testing.assert_allclose([ours[key] for key in theirs], list(theirs.values()), atol=1e-4)
