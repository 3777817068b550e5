"""Denoising: pieces that do not show, filters, files of Topaz, training from pairs."""

from __future__ import annotations

import re
import sys

import mrcfile
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from heliodor.cli import main
from heliodor.cli.topaz import main as topaz
from heliodor.denoise import ARCHITECTURES, Denoiser, DenoiserSettings, denoise, files, load_denoiser, save_denoiser
from heliodor.denoise.filters import cut_pixels, deconvolve, gaussian, inverse_gaussian, lowpass, noise_blur
from heliodor.denoise.images import folder_pairs, hdf_images, movie_pairs, preloaded, single_images
from heliodor.denoise.train import METHODS, DenoiseTraining, _batches, _distance, train_denoiser
from heliodor.errors import MicrographError, SettingsError, WeightsError
from heliodor.micrographs import Micrograph, read_micrograph, write_micrograph
from heliodor.networks import NetworkSettings, build, load_network, save_network
from heliodor.networks.published import FOLDER_VARIABLE
from topaz_twin import install, of_topaz

CLASSES = {
    "unet": ("topaz.denoise", "UDenoiseNet"),
    "unet-small": ("topaz.denoising.models", "UDenoiseNetSmall"),
    "unet2": ("topaz.denoise", "UDenoiseNet2"),
    "unet3": ("topaz.denoise", "UDenoiseNet3"),
    "fcnn": ("topaz.denoise", "DenoiseNet2"),
    "affine": ("topaz.filters", "AffineDenoise"),
}  # as 0.2.5 and 0.3 save them


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
@pytest.mark.parametrize("kind", ["own", "state dict", "legacy", "module"])
def test_files(tmp_path, monkeypatch, arch, kind):
    net, path = network(arch, last_kernel=3) if "unet" in arch else network(arch), tmp_path / "d.sav"
    if kind == "own":
        save_denoiser(path, net)
    elif kind == "module":
        cls = of_topaz(*CLASSES[arch])(type("Denoiser", (nn.Module,), {}))
        install(monkeypatch)
        module = cls()
        for name, part in net.named_children():
            module.add_module(name, part)
        torch.save(module, path)
    elif arch == "unet3":
        pytest.skip("a state dict does not tell it from unet")
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
    run(folder, folder / "in/001.mrc", "-o", folder / "out", "--format", "jpg")
    assert 90 < read_micrograph(folder / "out/001.jpg").pixels.mean() < 160  # normalized


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
    run(folder, folder / "stack.mrcs", "--stack", "-o", folder / "named.mrcs")  # Topaz's -o is the file
    np.testing.assert_array_equal(mrcfile.read(folder / "named.mrcs"), mrcfile.read(folder / "out/stack.mrc"))
    (folder / "tilt.st").write_bytes((folder / "stack.mrcs").read_bytes())
    run(folder, folder / "tilt.st", "--stack", "-o", folder / "out")
    np.testing.assert_array_equal(mrcfile.read(folder / "out/tilt.mrc"), mrcfile.read(folder / "out/stack.mrc"))
    run(folder, folder / "stack.mrcs", folder / "out/stack.mrc", "--stack", "-o", folder / "named.mrcs", code=2)
    assert "one file for 2 stacks" in capsys.readouterr().err
    run(folder, folder / "in/001.mrc", "--stack", "-o", folder / "out", code=2)
    assert "not an MRC stack" in capsys.readouterr().err


def test_stacks_are_found_and_get_results_of_their_own(folder, capsys):
    for name in ("d1/s.mrcs", "d2/s.mrcs"):
        (folder / name).parent.mkdir()
        mrcfile.write(folder / name, np.stack([image(40, 30)] * 2))
    run(folder, folder / "d?/*.mrcs", "--stack", "-o", folder / "out")
    assert {p.relative_to(folder).as_posix() for p in folder.glob("out/**/*.mrc")} == {"out/d1/s.mrc", "out/d2/s.mrc"}
    run(folder, folder / "d1", "--stack")
    assert (folder / "d1/s.denoised.mrc").is_file()
    write_micrograph(folder / "d2/s.tiff", Micrograph(image(40, 30), 1.0, "s"))
    run(folder, folder / "d2/s.mrcs", folder / "d2/s.tiff", code=2)
    said = capsys.readouterr().err
    assert f"{folder}/d2/s.mrcs and {folder}/d2/s.tiff would both be written to {folder}/d2/s.denoised.mrc" in said
    run(folder, folder / "d2/s.mrcs", folder / "d2/s.tiff", "--stack", code=2)
    assert "s.tiff: not an MRC stack" in capsys.readouterr().err


SIDE = 64


@pytest.fixture(scope="module")
def exposures(tmp_path_factory):
    """Two noisy images of each specimen, in folders a and b, and as movies of five frames; and the specimens."""
    folder = tmp_path_factory.mktemp("exposures")
    rng = np.random.default_rng(2)
    truth = [gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3) * 10 for _ in range(8)]
    (folder / "movies").mkdir()
    for k, clean in enumerate(truth):
        frames = (clean + 2 * rng.normal(size=(5, SIDE, SIDE))).astype(np.float32)
        for half, start in (("a", 0), ("b", 1)):
            pixels = frames[start::2].mean(axis=0)
            write_micrograph(folder / half / f"{k}.mrc", Micrograph(pixels, 1.0, str(k)))
        mrcfile.write(folder / f"movies/{k}.mrcs", frames)
    write_micrograph(folder / "a/alone.mrc", Micrograph(pixels, 1.0, "alone"))
    return folder, truth


def similarity(pixels, truth):
    return np.corrcoef(pixels.ravel(), truth.ravel())[0, 1]


@pytest.mark.parametrize("kind", ["pairs", "movies", "masked"])
def test_training_denoises(exposures, kind):
    """Noise goes, and the specimen, which both halves share, stays; or what pixels tell of their neighbours."""
    folder, truth = exposures
    images = {
        "pairs": lambda: folder_pairs([folder / "a"], [folder / "b"]),
        "movies": lambda: movie_pairs([folder / "movies"]),
        "masked": lambda: single_images([folder / "a"]),
    }[kind]()
    method = "masked" if kind == "masked" else "noise2noise"
    small = DenoiserSettings("affine", kernel=9)
    settings = DenoiseTraining(small, method, "adam", learning_rate=0.01, crop=48, epochs=12, held_out=0.2)
    *_, last = epochs = list(train_denoiser(preloaded(images), settings, torch.device("cpu")))
    assert last.validation_loss < 0.9 * epochs[0].validation_loss
    noisy = read_micrograph(folder / "a/0.mrc").pixels
    assert similarity(denoise(noisy, [last.network]), truth[0]) > 0.85 > similarity(noisy, truth[0]) + 0.1


SHORT = ["--arch", "affine", "-c", "16", "--num-epochs", "2", "--save-interval", "1", "--holdout", "0.2", "-d", "-1"]


def trained(folder, *words):
    """Train for two epochs on small squares; denoise with the last."""
    assert main(["denoise", *map(str, words), "--save-prefix", str(folder / "m"), *SHORT, "-o", str(folder / "o")]) == 0
    return read_micrograph(folder / "o/0.mrc").pixels


def test_training_from_the_command_line(exposures, tmp_path, capsys):
    folder, _ = exposures
    words = ["-a", folder / "a", "-b", folder / "b"]
    denoised = trained(tmp_path, folder / "a/0.mrc", *words)
    said = capsys.readouterr()
    assert "1 images have no partner" in said.err
    assert "training on 7, validating on 1" in said.err
    rows = [line.split("\t") for line in said.out.splitlines()]
    assert rows[0] == ["epoch", "loss_train", "loss_val"]
    assert [row[0] for row in rows[1:]] == ["1", "2"]
    assert sorted(p.name for p in tmp_path.glob("m_*")) == ["m_epoch1.sav", "m_epoch2.sav"]
    again = denoise(read_micrograph(folder / "a/0.mrc").pixels, [load_denoiser(tmp_path / "m_epoch2.sav")])
    np.testing.assert_allclose(again, denoised, atol=1e-5)
    # same seed, same result; a micrograph behind an option that takes several words; kept in memory
    np.testing.assert_array_equal(trained(tmp_path, *words, folder / "a/0.mrc", "--preload"), denoised)
    assert capsys.readouterr().out == said.out
    trained(tmp_path, folder / "a/0.mrc", "-a", folder / "a", folder / "b", "-b", folder / "b", folder / "a")
    assert "training on 13, validating on 3" in capsys.readouterr().err
    trained(tmp_path, folder / "a/0.mrc", "--movies", folder / "movies", "--criteria", "L0", "--optim", "sgd")
    trained(tmp_path, folder / "a/0.mrc", "--method", "masked", "-a", folder / "a", "--criteria", "L1")
    capsys.readouterr()
    assert main(["denoise", "--movies", str(folder / "a"), "--save-prefix", str(tmp_path / "n"), *SHORT]) == 2
    assert "a single image" in capsys.readouterr().err


def test_training_as_topaz_takes_no_notice_of_its_model(exposures, tmp_path, capsys):
    folder, _ = exposures
    words = ["-a", str(folder / "a"), "-b", str(folder / "b"), *SHORT]
    assert topaz(["denoise", *words, "-m", "no_such.sav", "--save-prefix", str(tmp_path / "m")]) == 0
    assert load_denoiser(tmp_path / "m_epoch2.sav").settings.arch == "affine"
    assert topaz(["denoise", *words]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("2\t")


@pytest.mark.parametrize("paired", [True, False])
def test_training_from_hdf(exposures, tmp_path, paired):
    h5py = pytest.importorskip("h5py")
    folder, _ = exposures
    halves = [read_micrograph(folder / half / f"{k}.mrc").pixels for k in range(8) for half in "ab"]
    with h5py.File(tmp_path / "x.hdf", "w") as file:
        file["images"] = np.stack(halves)
    images = hdf_images(tmp_path / "x.hdf", paired=paired)
    np.testing.assert_array_equal(np.concatenate([read() for read in images]), halves)
    method = "noise2noise" if paired else "masked"
    trained(tmp_path, folder / "a/0.mrc", "--hdf", tmp_path / "x.hdf", "--method", method)
    with h5py.File(tmp_path / "x.hdf", "w") as file:
        file["other"] = [1.0]
    with pytest.raises(MicrographError, match="no data set 'images'"):
        hdf_images(tmp_path / "x.hdf", paired=paired)


def test_hdf_without_h5py(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(SettingsError, match=r"pip install 'heliodor\[hdf\]'"):
        hdf_images(tmp_path / "x.hdf", paired=True)


def test_criteria_seek_mean_median_and_mode():
    """The best constant guess of skewed noise is what each is named after."""
    noise = torch.cat([torch.zeros(40), torch.linspace(1, 3, 60)])
    guesses = torch.linspace(0, 3, 301)

    def best(criterion, progress):
        distance = _distance(criterion, progress)
        return float(guesses[torch.stack([distance(guess.expand(100), noise) for guess in guesses]).argmin()])

    assert best("L2", 0) == best("L0", 0) == pytest.approx(1.2, abs=0.02)
    assert best("L1", 0) == best("L0", 0.5) == pytest.approx(float(noise.median()), abs=0.05)
    assert best("L0", 0.9) == 0


@pytest.mark.parametrize("method", METHODS)
def test_outliers_are_cut_before_training(method):
    pixels = image(64, 64)
    spot = pixels.copy()
    spot[30, 30] = 1e5
    settings = DenoiseTraining(method=method, pixel_cutoff=5, crop=64)
    batch = next(_batches([lambda: (spot, pixels)], settings, np.random.default_rng(0)))
    assert batch.targets.abs().max() < 5


def train(folder, *words):
    """Have training refused."""
    assert main(["denoise", *map(str, words), "--save-prefix", str(folder / "m"), "-d", "-1"]) == 2


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ([], "--save-prefix, or micrographs"),
        (["--save-prefix", "m", "-m", "own.sav"], "leave one of them out"),
        (["--save-prefix", "model.sav/m"], "a file stands where a folder is needed"),
        (["typo.mrc"], "no such file"),
        (["in/001.mrc", "--format", "gif"], "no format 'gif'"),
        (["in/001.mrc", "-o", "model.sav"], "a file stands where a folder is needed"),
        (["in/001.mrc", "--stack", "-o", "out"], "not an MRC stack"),
    ],
)
def test_what_cannot_be_is_told_before_training(folder, monkeypatch, capsys, words, match):
    monkeypatch.chdir(folder)
    assert main(["denoise", *words, "-a", "in", "-b", "in", "-d", "-1"]) == 2
    said = capsys.readouterr()
    assert match in said.err
    assert "epoch" not in said.out


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["--arch", "unet9"], "no denoiser 'unet9'"),
        (["--optim", "lbfgs"], "no optimizer 'lbfgs'"),
        (["--criteria", "L3"], "no criterion 'L3'"),
        (["--crop", "0"], "crop must be 1 or more"),
        (["--arch", "fcnet"], "take fcnet2"),
        (["--hdf", "x.hdf"], "give one of them"),
        (["--holdout", "1"], r"must be in \[0, 1\)"),
    ],
)
def test_training_settings_out_of_range(folder, capsys, words, match):
    train(folder, "-a", folder / "in", "-b", folder / "in", *words)
    assert re.search(match, capsys.readouterr().err)


def test_training_needs_pairs(folder, capsys):
    train(folder, "-a", folder / "in")
    assert "training needs two folders" in capsys.readouterr().err
    train(folder, "-a", folder / "in", folder / "in", "-b", folder / "in")
    assert "--dir-a names 2 folders, --dir-b 1" in capsys.readouterr().err
    train(folder, "--movies", folder / "in", "--method", "masked")
    assert "single images; give their folder" in capsys.readouterr().err
    write_micrograph(folder / "other/b.mrc", Micrograph(image(20, 20), 1.0, "b"))
    train(folder, "-a", folder / "in", "-b", folder / "other")
    assert "no image of one has the name" in capsys.readouterr().err
    write_micrograph(folder / "other/001.mrc", Micrograph(image(20, 20), 1.0, "001"))
    train(folder, "-a", folder / "in", "-b", folder / "other", "--arch", "affine")
    assert "halves of the same exposure" in capsys.readouterr().err


def test_a_rerun_skips_what_is_denoised_by_the_same_networks(dataset, tmp_path, monkeypatch, capsys):
    folder, _ = dataset
    words = ["denoise", str(folder), "-m", "none", "--gaussian", "1", "-o", str(tmp_path / "out")]
    written = []

    def interrupted(path, micrograph):
        written.append(path.name)
        if len(written) == 3:
            raise KeyboardInterrupt
        write_micrograph(path, micrograph)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_micrograph", interrupted)
        assert main(words) == 130
    assert "run the same command to go on" in capsys.readouterr().err
    assert main(words) == 0
    assert "2 micrographs are done already" in capsys.readouterr().err
    assert len(list((tmp_path / "out").glob("*.mrc"))) == 4
    assert main([*words, "--lowpass", "2"]) == 2
    assert "is of other settings (lowpass was 1, is 2.0)" in capsys.readouterr().err
    first = mrcfile.read(tmp_path / "out" / "plain.mrc")
    assert main([*words, "--lowpass", "2", "--overwrite"]) == 0
    assert not np.array_equal(mrcfile.read(tmp_path / "out" / "plain.mrc"), first)
