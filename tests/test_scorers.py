"""Every fast way of scoring against its slow twin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from heliodor import devices as where
from heliodor.cli import main
from heliodor.devices import devices_of, on_processors
from heliodor.errors import MicrographError, SettingsError
from heliodor.micrographs import Micrograph
from heliodor.names import MicrographFile
from heliodor.networks import ARCHITECTURES, Classifier, NetworkSettings, save_network, scorers
from heliodor.networks.scorers import OnnxScorer, TorchScorer, scorers_of_model, scorers_of_network
from heliodor.picking import stream
from heliodor.picking.scoring import score_map, score_maps
from heliodor.picking.stream import stream_scores
from heliodor.picking.suppression import non_maximum_suppression


def network(model="conv31", seed=0, **options):
    """Network whose batch norms are not the identity and whose scores are as far apart as those of a trained one."""
    torch.manual_seed(seed)
    net = Classifier(NetworkSettings(model=model, units=4, **options))
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim == 1:
                parameter.uniform_(0.5, 1.5)
        net.train()(torch.randn(4, 140, 140))
        scores = net.eval().dense(torch.randn(1, 40, 40))
        gain = 3 / scores.std()
        net.head.weight *= gain
        net.head.bias.copy_(-3 - gain * (scores.mean() - net.head.bias))
    return net.eval()


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("options", [{}, {"batch_norm": False}, {"pooling": "max"}])
@pytest.mark.parametrize("model", ARCHITECTURES)
def test_the_compiled_network_scores_like_the_plain_one(model, options):
    if "pooling" in options and model not in ("resnet8", "resnet16"):
        pytest.skip("pooling is for two networks")
    net, image = network(model, **options), pixels(45, 38)
    (fast,) = scorers_of_network(net, "cpu")
    assert isinstance(fast, OnnxScorer)
    np.testing.assert_allclose(score_map(fast, image), score_map(net, image), atol=2e-3)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(5, 60), st.integers(0, 99))
def test_no_shape_and_no_tile_shows_in_the_scores(rows, columns, tile, seed):
    net = network("resnet8")
    (fast,) = scorers_of_network(net, "cpu")
    image = pixels(rows, columns, seed=seed)
    np.testing.assert_allclose(score_map(fast, image, tile=tile), score_map(net, image), atol=2e-3)


@pytest.mark.parametrize("model", ["conv31", "resnet8", "resnet16"])
def test_fast_picks_are_the_exact_ones(model):
    image = pixels(300, 310)
    net = network(model)
    (fast,) = scorers_of_network(net, "cpu")
    exact, exact_scores = non_maximum_suppression(score_map(net, image), 8, -6)
    quick, quick_scores = non_maximum_suppression(score_map(fast, image), 8, -6)
    distance = np.hypot(*(exact[:, None] - quick[None]).transpose(2, 0, 1))
    near = distance.argmin(axis=1)
    same = (distance.min(axis=1) <= 1) & (np.abs(exact_scores - quick_scores[near]) < 0.05)
    assert len(exact) > 500
    assert same.mean() >= 0.995


class Rounds:
    """A scorer that wants several windows at once and remembers how many it got."""

    receptive_field, batch, tile = 3, 4, 10

    def __init__(self):
        self.sizes = []

    def __call__(self, windows):
        self.sizes.append(len(windows))
        return windows[:, 1:-1, 1:-1] * 2


def test_windows_of_several_micrographs_are_scored_together():
    scorer = Rounds()
    images = [pixels(20, 30, seed=k) for k in range(5)] + [pixels(8, 8)]
    for image, scores in zip(images, score_maps(scorer, images), strict=True):
        np.testing.assert_array_equal(scores, image * 2)
    assert sorted(scorer.sizes) == [1] + [2] + [4] * 7


def test_no_device_is_left_without_work(monkeypatch):
    groups = []

    def score(scorer, images, *, tile=None):
        groups.append(len(images))
        return images

    class Eight:
        batch = 8

    monkeypatch.setattr(stream, "score_maps", score)
    files = [MicrographFile(Path(f"{k}.mrc"), str(k)) for k in range(8)]
    found = stream_scores(files, lambda file: (Micrograph(pixels(8, 8), None, file.name), (1.0, 1.0)), [Eight()] * 4)
    assert len(list(found)) == 8
    assert groups == [2, 2, 2, 2]


def test_a_gpu_that_torch_cannot_use_leaves_the_fast_way(monkeypatch):
    monkeypatch.setattr(where, "_ACCELERATORS", ("/dev/null",))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert isinstance(scorers_of_network(network(), "auto")[0], OnnxScorer)


@pytest.mark.parametrize("devices", [1, 2, 3])
def test_micrographs_are_spread_over_devices_and_keep_their_order(devices):
    net = network()
    files = [MicrographFile(Path(f"{k}.mrc"), str(k)) for k in range(11)]

    def load(file):
        if file.name == "5":
            raise MicrographError("5.mrc: broken")
        return Micrograph(pixels(30, 40, seed=int(file.name)), None, file.name), (1.0, 2.0)

    scorers = [TorchScorer(net, torch.device("cpu")) for _ in range(devices)]
    for scorer in scorers:
        scorer.batch = 8
    results = list(stream_scores(files, load, scorers, 2))
    assert [file for file, _ in results] == files
    assert isinstance(results[5][1], MicrographError)
    for file, result in results[:5] + results[6:]:
        np.testing.assert_allclose(result.scores, score_map(net, pixels(30, 40, seed=int(file.name))), atol=1e-5)
        assert result.scale == (1.0, 2.0)


def test_what_is_compiled_is_kept_for_the_content_of_the_model(tmp_path, monkeypatch):
    monkeypatch.setenv("HELIODOR_CACHE", str(tmp_path / "cache"))
    model, image = tmp_path / "a.b c.safetensors", pixels(40, 40)
    maps = []
    for seed in (0, 1, 0):  # the file is replaced by another network and back
        net = network(seed=seed)
        save_network(model, net, {"threshold": 1.5})
        for _ in range(2):
            (scorer,), about = scorers_of_model(model, "cpu")
            assert about == {"threshold": 1.5}
            maps.append(score_map(scorer, image))
        np.testing.assert_allclose(maps[-1], score_map(net, image), atol=2e-3)
    kept = sorted((tmp_path / "cache").iterdir())
    assert len(kept) == 2
    kept[0].write_bytes(b"half a file")
    kept[1].write_bytes(b"")
    (scorer,), _ = scorers_of_model(model, "cpu")
    np.testing.assert_array_equal(score_map(scorer, image), maps[-1])


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HELIODOR_CACHE", str(tmp_path / "file" / "folder"))
    save_network(tmp_path / "m.safetensors", network(), {})
    assert len(scorers_of_model(tmp_path / "m.safetensors", "cpu")[0]) == 1


def test_exact_is_torch(tmp_path):
    save_network(tmp_path / "m.safetensors", network(), {})
    assert isinstance(scorers_of_model(tmp_path / "m.safetensors", "cpu", exact=True)[0][0], TorchScorer)
    assert isinstance(scorers_of_network(network(), "cpu", exact=True)[0], TorchScorer)


def test_a_machine_without_the_runtime_scores_with_torch(tmp_path, monkeypatch):
    save_network(tmp_path / "m.safetensors", network(), {"threshold": 1.5})
    monkeypatch.setattr(scorers, "_has_runtime", lambda: False)
    (scorer,), about = scorers_of_model(tmp_path / "m.safetensors", "cpu", threads=1)
    assert isinstance(scorer, TorchScorer)
    assert about == {"threshold": 1.5}


def test_names_of_devices():
    assert [on_processors(name) for name in ("cpu", "-1", "0", "cuda", "0,1")] == [True, True, False, False, False]
    assert [device.type for device in devices_of("cpu")] == ["cpu"]
    assert len(devices_of("cpu, -1")) == 2
    with pytest.raises(SettingsError, match="not available"):
        devices_of("98,99")


def test_extract_and_segment_import_only_what_they_need(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("HELIODOR_CACHE", str(tmp_path / "cache"))
    folder, _ = dataset
    model, small = tmp_path / "m.safetensors", tmp_path / "small"
    save_network(model, network(), {"exclusion_radius": 5.0})
    assert main(["preprocess", str(folder), "-s", "4", "-o", str(small)]) == 0
    for words in (["extract", "-o", str(tmp_path / "picks.txt")], ["segment", "-o", str(tmp_path / "maps")]):
        words += ["-m", str(model), "-d", "-1", "--any-pixel-size", str(small)]
        assert main(words) == 0  # compiles
        code = (
            "import sys; from heliodor.cli import main; assert main(sys.argv[1:]) == 0;"
            "heavy = {'torch', 'pandas', 'scipy', 'matplotlib', 'onnx', 'gemmi'} & set(sys.modules);"
            "assert not heavy, heavy"
        )
        subprocess.run([sys.executable, "-c", code, *words], check=True, stderr=subprocess.DEVNULL)


def test_exact_and_fast_extract_agree(dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HELIODOR_CACHE", str(tmp_path / "cache"))
    folder, _ = dataset
    save_network(tmp_path / "m.safetensors", network(), {"exclusion_radius": 5.0})
    assert main(["preprocess", str(folder), "-s", "4", "-o", str(tmp_path / "small")]) == 0
    capsys.readouterr()
    tables = []
    for more in ([], ["--exact"]):
        words = ["extract", "-m", str(tmp_path / "m.safetensors"), "-d", "-1", "--any-pixel-size", *more]
        assert main([*words, str(tmp_path / "small")]) == 0
        rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()[1:]]
        tables.append(np.array([[float(v) for v in row[1:]] for row in rows]))
    assert tables[0].shape == tables[1].shape
    np.testing.assert_allclose(tables[0][:, 2], tables[1][:, 2], atol=1e-3)
