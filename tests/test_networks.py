from __future__ import annotations

import numpy as np
import pytest
import torch

from heliodor.errors import SettingsError, WeightsError
from heliodor.networks import ARCHITECTURES, Classifier, Decoder, NetworkSettings, load_network, save_network
from heliodor.picking.scoring import score_map


def network(model, **options):
    torch.manual_seed(0)
    net = Classifier(NetworkSettings(model=model, units=4, **options))
    net.train()
    with torch.no_grad():
        net(torch.randn(4, 140, 140))  # batch-norm statistics that are not the identity
    return net.eval()


@pytest.mark.parametrize(
    ("model", "field", "parameters"),
    [
        ("conv31", 31, 258_369),
        ("conv63", 63, 1_078_465),
        ("conv127", 127, 4_357_057),
        ("resnet8", 71, 329_249),
        ("resnet6", 71, 309_921),
        ("resnet16", 91, 458_913),
    ],
)
def test_receptive_field_and_size_are_those_of_the_published_networks(model, field, parameters):
    net = Classifier(NetworkSettings(model=model))
    assert net.receptive_field == field
    assert sum(p.numel() for p in net.parameters()) == parameters


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_receptive_field_is_what_the_output_depends_on(model):
    net = network(model, batch_norm=False)
    x = torch.randn(1, net.receptive_field, net.receptive_field, requires_grad=True)
    net(x).sum().backward()
    touched = x.grad[0].abs().sum(0).nonzero().ravel()
    assert touched.min() >= 0
    assert touched.max() <= net.receptive_field - 1
    assert net(x).shape == (1, 1, 1)


@pytest.mark.parametrize("model", ["conv31", "resnet8"])
def test_dense_scores_equal_a_sliding_window_pixel_by_pixel(model):
    net = network(model)
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(13, 17)).astype(np.float32)
    half = net.receptive_field // 2
    padded = torch.from_numpy(np.pad(pixels, half))
    windows = padded.unfold(0, net.receptive_field, 1).unfold(1, net.receptive_field, 1)
    with torch.no_grad():
        slow = net(windows.reshape(-1, net.receptive_field, net.receptive_field)).reshape(13, 17).numpy()
    np.testing.assert_allclose(score_map(net, pixels), slow, atol=2e-5)


@pytest.mark.parametrize("tile", [7, 16, 50, 1000])
def test_tiles_do_not_show_in_the_score_map(tile):
    net = network("conv31")
    pixels = np.random.default_rng(1).normal(size=(61, 50)).astype(np.float32)
    np.testing.assert_allclose(score_map(net, pixels, tile=tile), score_map(net, pixels, tile=64), atol=2e-5)


@pytest.mark.parametrize("model", ARCHITECTURES)
def test_decoder_returns_a_window_of_the_receptive_field(model):
    net = network(model)
    assert Decoder(net.latent, net.receptive_field)(torch.randn(2, net.latent)).shape == (
        2,
        net.receptive_field,
        net.receptive_field,
    )


def test_weights_round_trip(tmp_path):
    net = network("resnet8", dropout=0.1)
    save_network(tmp_path / "m.safetensors", net, {"diameter": 120.0})
    back, about = load_network(tmp_path / "m.safetensors")
    assert back.settings == net.settings
    assert about == {"diameter": 120.0}
    x = torch.randn(1, 80, 80)
    with torch.no_grad():
        assert torch.equal(net(x), back(x))


def test_weights_that_are_none(tmp_path):
    with pytest.raises(WeightsError, match="no such model file"):
        load_network(tmp_path / "missing.safetensors")
    (tmp_path / "junk.safetensors").write_bytes(b"junk" * 100)
    with pytest.raises(WeightsError, match="not a heliodor model"):
        load_network(tmp_path / "junk.safetensors")


@pytest.mark.parametrize("options", [{"model": "resnet9"}, {"units": 0}, {"dropout": 1.0}])
def test_settings_out_of_range(options):
    with pytest.raises(SettingsError):
        NetworkSettings(**options)
