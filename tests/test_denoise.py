"""Denoising: pieces that do not show, filters, files of Topaz, training from pairs."""

from __future__ import annotations

import re

import mrcfile
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from heliodor.cli import main
from heliodor.denoise import ARCHITECTURES, Denoiser, DenoiserSettings, denoise, load_denoiser, save_denoiser
from heliodor.denoise.filters import cut_pixels, deconvolve, gaussian, inverse_gaussian, lowpass, noise_blur
from heliodor.errors import SettingsError, WeightsError
from heliodor.micrographs import Micrograph, read_micrograph, write_micrograph
from heliodor.networks import NetworkSettings, build, load_network, save_network
from heliodor.networks.published import FOLDER_VARIABLE


def network(arch, **options):
    torch.manual_seed(1)
    options = {"features": 2} | options if arch != "affine" else options
    return Denoiser(DenoiserSettings(arch, **options)).eval()


def image(*shape):
    return np.random.default_rng(0).normal(100, 5, shape).astype(np.float32)


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize(("shape", "tile"), [((301, 261), 150), ((320, 256), 128)])
def test_pieces_do_not_show(arch, shape, tile):
    net, pixels = network(arch), image(*shape)
    whole = denoise(pixels, [net], tile=0)
    assert whole.shape == shape
    np.testing.assert_allclose(denoise(pixels, [net], tile=tile), whole, atol=1e-4)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_reach_is_as_far_as_a_pixel_is_felt(arch):
    net = network(arch)
    side = 2 * net.reach + 41
    x = torch.zeros(1, 1, side, side, requires_grad=True)
    net(x + torch.randn(side, side))[0, 0, side // 2, side // 2].backward()
    touched = (x.grad[0, 0] != 0).nonzero() - side // 2
    assert touched.abs().max() <= net.reach


def test_several_networks_are_averaged_and_units_are_kept():
    pixels, nets = image(64, 60), [network("fcnn"), network("affine")]
    alone = [denoise(pixels, [net]) for net in nets]
    np.testing.assert_allclose(denoise(pixels, nets), np.mean(alone, axis=0), rtol=1e-5)
    normalized, mean = denoise(pixels, nets, normalize=True), np.mean(alone, axis=0)
    np.testing.assert_allclose(normalized, (mean - mean.mean()) / mean.std(), atol=1e-3)
    np.testing.assert_array_equal(denoise(np.full((9, 9), 7.0), nets), np.full((9, 9), 7.0))


def test_filters():
    pixels = image(80, 90)
    assert lowpass(pixels, 1) is gaussian(pixels, 0) is inverse_gaussian(pixels, 0) is cut_pixels(pixels, 0) is pixels
    spectrum = np.abs(np.fft.fft2(lowpass(pixels, 2)))
    assert spectrum[21:60].max() < 1e-2 * spectrum[:20].max() / 100
    np.testing.assert_allclose(gaussian(pixels, 1.5), gaussian_filter(pixels, 1.5, mode="wrap"), atol=1e-2)
    np.testing.assert_allclose(inverse_gaussian(gaussian(pixels, 0.5), 0.5), pixels, atol=0.01)
    spot = pixels.copy()
    spot[3, 4] = 1e4
    assert cut_pixels(spot, 5)[3, 4] == pytest.approx(spot.mean())
    assert np.count_nonzero(cut_pixels(spot, 5) != spot) == 1


@pytest.mark.parametrize("sigma", [0.6, 1.0])
def test_deconvolution_finds_the_blur_of_the_noise(sigma):
    blurred = gaussian(image(400, 400), sigma)
    assert noise_blur(blurred) == pytest.approx(sigma, rel=0.05)
    assert noise_blur(image(400, 400)) < 0.3
    for patches in (1, 3):
        sharp = deconvolve(blurred, patches)
        assert noise_blur(sharp) < 0.6 * sigma
    with pytest.raises(SettingsError, match="--deconv-patch"):
        deconvolve(blurred, 0)


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("kind", ["own", "state dict", "legacy"])
def test_files(tmp_path, arch, kind):
    net, path = network(arch, last_kernel=3) if "unet" in arch else network(arch), tmp_path / "d.sav"
    if kind == "own":
        save_denoiser(path, net)
    else:
        torch.save(net.state_dict(), path, _use_new_zipfile_serialization=kind != "legacy")
    np.testing.assert_array_equal(denoise(image(40, 50), [net]), denoise(image(40, 50), [load_denoiser(path)]))


def test_files_that_are_no_denoisers(tmp_path, monkeypatch):
    path = tmp_path / "x.sav"
    save_network(path, build(NetworkSettings("conv31", 2)), {})
    with pytest.raises(WeightsError, match="finds particles, not one that denoises"):
        load_denoiser(path)
    save_denoiser(path, network("affine"))
    with pytest.raises(WeightsError, match="denoises, not one that finds particles"):
        load_network(path)
    torch.save({"enc1.0.weight": torch.zeros(2, 1, 7, 7, 7)}, path)
    with pytest.raises(WeightsError, match="denoiser of tomograms"):
        load_denoiser(path)
    torch.save(nn.Conv2d(1, 1, 3).state_dict(), path)
    with pytest.raises(WeightsError, match="no denoiser that is known here"):
        load_denoiser(path)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(WeightsError, match=r"has no unet_L2_v0.2.2.sav"):
        load_denoiser("unet")
    (tmp_path / "denoise").mkdir()
    torch.save(network("unet", features=3).state_dict(), tmp_path / "denoise/unet_L2_v0.2.2.sav")
    assert load_denoiser("unet").settings == DenoiserSettings("unet", 11, 3, 5)


@pytest.fixture
def folder(tmp_path):
    for name in ("001", "a.b c"):
        write_micrograph(tmp_path / f"in/{name}.mrc", Micrograph(image(70, 64), 1.5, name))
    save_denoiser(tmp_path / "model.sav", network("affine"))
    return tmp_path


def run(folder, *words, code=0):
    assert main(["denoise", *map(str, words), "-m", str(folder / "model.sav"), "-d", "-1"]) == code


def test_results_have_the_names_sizes_and_pixel_sizes_of_their_inputs(folder):
    run(folder, folder / "in", "-o", folder / "out", "--patch-size", "32", "--patch-padding", "8")
    for name in ("001", "a.b c"):
        found = read_micrograph(folder / f"out/{name}.mrc")
        assert found.pixel_size == pytest.approx(1.5)
        np.testing.assert_allclose(found.pixels, denoise(image(70, 64), [network("affine")]), rtol=1e-5)
        assert mrcfile.validate(folder / f"out/{name}.mrc")
    run(folder, folder / "in/001.mrc", "--normalize", "--format", "tiff")
    assert read_micrograph(folder / "in/001.denoised.tiff").pixels.std() == pytest.approx(1, abs=1e-3)
    run(folder, folder / "in/001.mrc", "-o", folder / "out", "--suffix", "_d", "--format", "png")
    assert (folder / "out/001_d.png").is_file()


def test_inputs_are_not_replaced(folder, capsys):
    run(folder, folder / "in/001.mrc", "-o", folder / "in", code=2)
    assert "would replace an input" in capsys.readouterr().err
    assert main(["denoise"]) == 2
    assert "give micrographs to denoise" in capsys.readouterr().err


def test_model_none_filters_only(folder):
    words = [str(folder / "in/001.mrc"), "-o", str(folder / "out"), "-m", "none", "--gaussian", "2"]
    assert main(["denoise", *words]) == 0
    np.testing.assert_allclose(read_micrograph(folder / "out/001.mrc").pixels, gaussian(image(70, 64), 2), rtol=1e-4)


def test_stacks(folder, capsys):
    with mrcfile.new(folder / "stack.mrcs") as mrc:
        mrc.set_data(np.stack([image(40, 30), 2 * image(40, 30)]))
        mrc.set_image_stack()
        mrc.voxel_size = 2.0
    run(folder, folder / "stack.mrcs", "--stack", "-o", folder / "out")
    with mrcfile.open(folder / "out/stack.mrc") as mrc:
        assert mrc.is_image_stack()
        assert mrc.voxel_size.x == pytest.approx(2.0)
        np.testing.assert_allclose(mrc.data[1], 2 * mrc.data[0], rtol=1e-4)
    assert mrcfile.validate(folder / "out/stack.mrc")
    run(folder, folder / "in/001.mrc", "--stack", "-o", folder / "out", code=2)
    assert "not a stack" in capsys.readouterr().err


def test_training_from_pairs_denoises(tmp_path, capsys):
    """Noise goes, and the specimen, which both halves share, stays."""
    rng = np.random.default_rng(2)
    truth = [gaussian_filter(rng.normal(size=(96, 96)), 4) * 10 for _ in range(8)]
    for k, clean in enumerate(truth):
        for half in "ab":
            noisy = (clean + rng.normal(size=clean.shape)).astype(np.float32)
            write_micrograph(tmp_path / half / f"{k}.mrc", Micrograph(noisy, 1.0, str(k)))
    write_micrograph(tmp_path / "a/alone.mrc", Micrograph(noisy, 1.0, "alone"))
    words = ["denoise", "-a", str(tmp_path / "a"), "-b", str(tmp_path / "b"), "--save-prefix", str(tmp_path / "m")]
    words += [
        "--arch",
        "affine",
        "--optim",
        "adam",
        "--lr",
        "0.01",
        "-c",
        "64",
        "--num-epochs",
        "25",
        "--holdout",
        "0.2",
    ]
    words += ["--save-interval", "10", "-d", "-1"]
    assert main([*words, str(tmp_path / "a/0.mrc"), "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert "1 images have no partner" in said.err
    rows = [line.split("\t") for line in said.out.splitlines()]
    assert rows[0] == ["epoch", "loss_train", "loss_val"]
    assert float(rows[-1][2]) < 0.75 * float(rows[1][2])
    assert sorted(p.name for p in tmp_path.glob("m_*")) == ["m_epoch10.sav", "m_epoch20.sav", "m_epoch25.sav"]
    noisy, clean = read_micrograph(tmp_path / "a/0.mrc").pixels, truth[0]
    denoised = read_micrograph(tmp_path / "out/0.mrc").pixels
    assert np.corrcoef(denoised.ravel(), clean.ravel())[0, 1] > np.corrcoef(noisy.ravel(), clean.ravel())[0, 1] + 0.1
    again = load_denoiser(tmp_path / "m_epoch25.sav")
    np.testing.assert_allclose(denoise(noisy, [again]), denoised, atol=1e-5)
    assert main(words) == 0  # same seed, same result
    assert capsys.readouterr().out == said.out


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--arch", "unet9"], "no denoiser 'unet9'"),
        (["--optim", "lbfgs"], "no optimizer 'lbfgs'"),
        (["--criteria", "L0"], "no criterion 'L0'"),
        (["--crop", "0"], "must be above 0"),
        (["--holdout", "1"], r"must be in \[0, 1\)"),
    ],
)
def test_training_settings_out_of_range(folder, capsys, words, match):
    both = ["-a", str(folder / "in"), "-b", str(folder / "in")]
    run(folder, *both, *words, code=2)
    assert re.search(match, capsys.readouterr().err)


def test_training_needs_pairs(folder, capsys):
    run(folder, "-a", folder / "in", code=2)
    assert "training needs two folders" in capsys.readouterr().err
    write_micrograph(folder / "other/b.mrc", Micrograph(image(20, 20), 1.0, "b"))
    run(folder, "-a", folder / "in", "-b", folder / "other", code=2)
    assert "no image of one has the name" in capsys.readouterr().err
    write_micrograph(folder / "other/001.mrc", Micrograph(image(20, 20), 1.0, "001"))
    run(folder, "-a", folder / "in", "-b", folder / "other", "--arch", "affine", code=2)
    assert "halves of the same exposure" in capsys.readouterr().err
