"""Files of Topaz: whole modules and state dicts, in both containers of torch, and files that would do harm."""

from __future__ import annotations

import dataclasses
import io
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from heliodor.cli import main
from heliodor.errors import SettingsError, WeightsError
from heliodor.micrographs import Micrograph, read_micrograph, write_micrograph
from heliodor.networks import NetworkSettings, build, load_network, save_network
from heliodor.networks.published import DETECTORS, FOLDER_VARIABLE
from heliodor.picking.scoring import score_map
from topaz_twin import install, topaz_network

LEGACY = {"_use_new_zipfile_serialization": False}
VARIANTS = [
    ("conv31", {}),
    ("conv31", {"bn": False, "scaling": 1}),
    ("conv63", {"scaling": 3, "dropout": 0.1}),
    ("conv127", {}),
    ("resnet6", {}),
    ("resnet6", {"bn": False}),
    ("resnet8", {}),
    ("resnet8", {"bn": False}),
    ("resnet8", {"pooling": "max"}),
    ("resnet16", {}),
    ("resnet16", {"pooling": "max", "dropout": 0.3}),
]


@pytest.fixture(autouse=True)
def topaz(monkeypatch):
    install(monkeypatch)


def assert_same_scores(twin, network, shape=(9, 7)):
    """The dense map equals the twin's score of the window around each pixel."""
    pixels = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    width = network.receptive_field
    windows = torch.from_numpy(np.pad(pixels, width // 2)).unfold(0, width, 1).unfold(1, width, 1)
    with torch.no_grad():
        slow = twin(windows.reshape(-1, 1, width, width)).reshape(shape).numpy()
    np.testing.assert_allclose(score_map(network, pixels), slow, atol=1e-5)


@pytest.mark.parametrize("container", [{}, LEGACY], ids=["zip", "legacy"])
@pytest.mark.parametrize(("model", "options"), VARIANTS)
def test_a_saved_module_scores_as_its_twin(tmp_path, model, options, container):
    twin = topaz_network(model, **options)
    torch.save(twin, tmp_path / "a.b_epoch10.sav", **container)
    network, about = load_network(tmp_path / "a.b_epoch10.sav")
    assert_same_scores(twin, network)
    assert about == {}
    assert not network.training
    assert network.settings == NetworkSettings(
        model,
        4,
        options.get("scaling", 2),
        options.get("bn", True),
        options.get("dropout", 0.0),
        options.get("pooling") or "none",
    )


@pytest.mark.parametrize("container", [{}, LEGACY], ids=["zip", "legacy"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_state_dict_scores_as_its_twin(tmp_path, container, nested):
    twin = topaz_network("resnet16", bn=False)
    state = {"state_dict": twin.state_dict(), "epoch": 3} if nested else twin.state_dict()
    torch.save(state, tmp_path / "weights.sav", **container)
    assert_same_scores(twin, load_network(tmp_path / "weights.sav")[0])


def test_files_from_before_batches_were_counted(tmp_path):
    twin = topaz_network("conv31")
    torch.save({k: v for k, v in twin.state_dict().items() if "num_batches" not in k}, tmp_path / "old.sav")
    assert_same_scores(twin, load_network(tmp_path / "old.sav")[0])


def test_weights_on_another_kind_of_number(tmp_path):
    twin = topaz_network("conv31").double()
    torch.save(twin, tmp_path / "double.sav")
    assert_same_scores(twin.float(), load_network(tmp_path / "double.sav")[0])


def test_a_module_with_a_decoder(tmp_path):
    twin = topaz_network("conv31")
    twin.generative = torch.nn.Sequential(torch.nn.ConvTranspose2d(16, 8, 4), torch.nn.LeakyReLU(0.2))
    torch.save(twin, tmp_path / "auto.sav")
    assert_same_scores(twin, load_network(tmp_path / "auto.sav")[0])


def refused(path, match):
    with pytest.raises(WeightsError, match=match) as caught:
        load_network(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_networks_that_are_not_provided(tmp_path):
    path = tmp_path / "x.sav"
    torch.save(topaz_network("conv31", pooling="max"), path)
    refused(path, "MaxPool2d in this network is not provided")
    torch.save(topaz_network("resnet8", pooling="max").state_dict(), path)
    refused(path, "do not say whether the network has pooling or dropout")
    torch.save({"weight": torch.zeros(3)}, path)
    refused(path, "a network that heliodor does not know")
    twin = topaz_network("resnet8")
    twin.features.width = 73
    torch.save(twin, path)
    refused(path, "windows of 73 pixels")
    twin = topaz_network("resnet8", bn=False)
    twin.features.features[1].conv0 = torch.nn.Conv2d(4, 4, 5)
    torch.save(twin, path)
    refused(path, "do not fit resnet8 with 4 units")
    twin = topaz_network("conv31")
    twin.classifier.bias.data.fill_(torch.nan)
    torch.save(twin, path)
    refused(path, "training diverged")
    with pytest.raises(SettingsError, match="pooling is for resnet8"):
        NetworkSettings("conv31", pooling="max")


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


def malicious(marker):
    """Objects that make `marker` when they are unpickled carelessly."""
    text = f"open({str(marker)!r}, 'w').close()"
    twin = topaz_network("conv31")
    twin.note = Evil(eval, text)
    hooked = topaz_network("conv31")
    hooked.features.features[0]._forward_hooks[0] = Evil(os.system, f"touch '{marker}'")
    return {
        "system": Evil(os.system, f"touch '{marker}'"),
        "eval": Evil(eval, text),
        "open": Evil(open, str(marker), "w"),
        "subprocess": Evil(subprocess.call, ["touch", str(marker)]),
        "in a state dict": {**topaz_network("conv31").state_dict(), "features.x": Evil(exec, text)},
        "in a module": twin,
        "in a hook": hooked,
        "in a key": {Evil(eval, text): torch.zeros(2)},
    }


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle", "protocol 5"])
@pytest.mark.parametrize("kind", list(malicious("")))
def test_a_file_that_would_run_something_is_refused(tmp_path, kind, container):
    marker, path = tmp_path / "marker", tmp_path / "evil.sav"
    harm = malicious(marker)[kind]
    if container in ("zip", "legacy"):
        torch.save(harm, path, **(LEGACY if container == "legacy" else {}))
    else:
        path.write_bytes(pickle.dumps(harm, protocol=2 if container == "pickle" else 5))
    refused(path, "refused, and nothing in it was run: it asks for '")
    assert not marker.exists()
    assert main(["segment", "-m", str(path), "-o", str(tmp_path / "out"), str(path)]) == 2
    assert not marker.exists()


def test_the_files_would_do_harm_if_they_were_unpickled_carelessly(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "evil.sav"
    torch.save(malicious(marker)["in a module"], path)
    torch.load(path, weights_only=False)
    assert marker.exists()


def legacy_pickles(body: bytes) -> bytes:
    """A file of torch before 1.6 whose object is the pickle `body`."""
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})
    return b"".join(pickle.dumps(part, protocol=2) for part in head) + body + pickle.dumps([], protocol=2)


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


@pytest.mark.parametrize(
    "body",
    [
        b"\x80\x02" + name("posix", "system") + b"X\x04\x00\x00\x00true\x85R.",  # REDUCE
        b"(S'true'\niposix\nsystem\n.",  # INST
        b"\x80\x02(" + name("builtins", "exec") + b"X\x01\x00\x00\x001o.",  # OBJ
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",  # STACK_GLOBAL
        b"\x80\x04\x8c\x0etopaz.model\x8c\x0fos.path.os.name\x93.",  # attributes of attributes
        b"\x80\x02" + name("topaz.model.classifier", "LinearClassifier.__init__") + b".",
        b"\x80\x02" + name("torch", "load") + b"X\x01\x00\x00\x00x\x85R.",
        b"\x80\x02\x82\x01.",  # EXT1, a name by its number
        b"\x80\x02X\x01\x00\x00\x00xQ.",  # a persistent id that is none
        b"\x80\x02(X\x06\x00\x00\x00modulec__main__\nEvil\nNNtQ.",
    ],
)
def test_opcodes_that_reach_for_more(tmp_path, body):
    (tmp_path / "evil.sav").write_bytes(legacy_pickles(body))
    refused(tmp_path / "evil.sav", "refused|not a readable model file")


def test_a_file_cannot_change_how_the_next_is_read(tmp_path):
    """BUILD sets attributes, also of classes and functions: they must be those of this file only."""

    def build(what, attribute, value):  # (None, {attribute: value}), BUILD; POP
        return what + b"N}X\x0c\x00\x00\x00" + attribute + value + b"s\x86b0"

    spoil = build(name("topaz.model.classifier", "LinearClassifier"), b"__setstate__", name("builtins", "set"))
    spoil += build(name("torch._utils", "_rebuild_tensor_v2"), b"__defaults__", b")") + b"N"
    (tmp_path / "evil.sav").write_bytes(legacy_pickles(b"\x80\x02" + spoil + b"."))
    refused(tmp_path / "evil.sav", "holds no weights")
    twin = topaz_network("conv31")
    torch.save(twin, tmp_path / "good.sav")
    assert_same_scores(twin, load_network(tmp_path / "good.sav")[0])


def test_a_view_beyond_its_array(tmp_path):
    """A tensor that claims more numbers than the file has must not show the memory behind them."""
    path, out = tmp_path / "x.sav", tmp_path / "y.sav"
    torch.save({"w": torch.zeros(17)}, path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.namelist():
            data = old.read(entry)
            new.writestr(entry, data.replace(b"K\x11\x85", b"K\xff\x85") if entry.endswith("data.pkl") else data)
    refused(out, "not a readable model file .*out of bounds")


def test_damaged_files(tmp_path):
    path = tmp_path / "x.sav"
    for container in ({}, LEGACY):
        torch.save(topaz_network("conv31"), path, **container)
        whole = path.read_bytes()
        for cut in (12, 200, len(whole) // 2, len(whole) - 300):
            path.write_bytes(whole[:cut])
            refused(path, "not a")
    twin = topaz_network("conv31")
    twin._modules["again"] = twin
    torch.save(twin, path)
    refused(path, "contain each other without end")
    path.write_bytes(pickle.dumps([1, 2, 3], protocol=2))
    refused(path, "not one that torch.save wrote")
    with tarfile.open(path, "w") as archive:
        archive.addfile(tarfile.TarInfo("storages"), io.BytesIO())
    refused(path, "not a heliodor model")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(path, "not a readable model file")
    path.write_bytes(struct.pack("<q", 10**12) + b"{" * 50)
    refused(path, "not a heliodor model")


def pretrained(folder):
    """A folder of weights like Topaz's."""
    folder.mkdir(parents=True)
    for kind in {*DETECTORS.values()}:
        units = 3 if kind.endswith("u64") else 2
        torch.save(topaz_network(kind[:-4], units=units, bn=False).state_dict(), folder / f"{kind}.sav", **LEGACY)


@pytest.mark.parametrize("inside", ["", "detector", "pretrained/detector"])
@pytest.mark.parametrize("called", DETECTORS)
def test_names_find_the_weights_in_a_folder(tmp_path, monkeypatch, called, inside):
    pretrained(tmp_path / inside / "." if inside else tmp_path / "weights")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path if inside else tmp_path / "weights"))
    settings = load_network(called)[0].settings
    assert settings.model == called.split("_")[0]
    assert settings.units == (2 if called.endswith("u32") else 3)


def test_names_find_the_weights_of_an_installed_topaz_without_importing_it(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.delitem(sys.modules, "topaz")
    package = tmp_path / "topaz"
    pretrained(package / "pretrained" / "detector")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_network("resnet8")[0].settings.units == 3


def test_names_without_weights(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(WeightsError, match=f"not part of heliodor, and .*{tmp_path.name}.* has no resnet16_u64.sav"):
        load_network("resnet16")
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.delitem(sys.modules, "topaz")
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(WeightsError, match=r"topaz-em is not installed beside heliodor; set HELIODOR_TOPAZ_WEIGHTS"):
        load_network("resnet16")
    with pytest.raises(WeightsError, match=r"or one of resnet8, "):
        load_network("resnet17")


def test_segment_and_extract_with_a_name_and_with_a_file(tmp_path, monkeypatch, capsys):
    pretrained(tmp_path / "weights")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "weights"))
    pixels = np.random.default_rng(1).normal(size=(60, 70)).astype(np.float32)
    write_micrograph(tmp_path / "001.mrc", Micrograph(pixels, 8.0, "001"))
    twin = topaz_network("conv31")
    torch.save(twin, tmp_path / "m_epoch1.sav")
    for model in ("resnet16", str(tmp_path / "m_epoch1.sav")):
        assert main(["segment", "-m", model, "-o", str(tmp_path / "maps"), str(tmp_path / "001.mrc")]) == 0
        scores = read_micrograph(tmp_path / "maps/001.tiff").pixels
        np.testing.assert_allclose(scores, score_map(load_network(model)[0], pixels), atol=1e-6)
        assert main(["extract", "-m", model, str(tmp_path / "001.mrc")]) == 2
        assert f"{model} does not say how far particles are apart; give -r" in capsys.readouterr().err
        assert main(["extract", "-m", model, "-r", "8", "-t", "-100", str(tmp_path / "001.mrc")]) == 0
        assert len(capsys.readouterr().out.splitlines()) > 5


@pytest.mark.parametrize(("model", "options"), [v for v in VARIANTS if v[1].get("bn", True)])
@pytest.mark.parametrize("version", ["0.3", "0.2"])
def test_an_exported_network_scores_the_same_there_and_when_it_comes_back(tmp_path, model, options, version):
    torch.save(topaz_network(model, **options), tmp_path / "in.sav")
    words = ["export", str(tmp_path / "in.sav"), "-o", str(tmp_path / "out.sav"), "--topaz", version]
    assert main(words) == 0
    network, _ = load_network(tmp_path / "out.sav")
    assert network.settings == dataclasses.replace(load_network(tmp_path / "in.sav")[0].settings, dropout=0.0)
    assert_same_scores(torch.load(tmp_path / "out.sav", weights_only=False), network)


def test_export_says_what_the_file_does_not(tmp_path, capsys):
    about = {"geometry": {"pixel_size": 1.5, "factor": 8.0}, "threshold": 1.25}
    save_network(tmp_path / "m.safetensors", build(NetworkSettings("conv31", 4)), about)
    assert main(["export", str(tmp_path / "m.safetensors"), "-o", str(tmp_path / "m.sav")]) == 0
    assert "12 A per pixel" in (said := capsys.readouterr().err)
    assert "topaz extract -t 1.25" in said
    assert main(["export", str(tmp_path / "m.safetensors"), "-o", str(tmp_path / "m.pt")]) == 2
    assert "ending .sav" in capsys.readouterr().err


def test_our_own_files_may_be_called_sav(tmp_path):
    network = build(NetworkSettings("resnet8", 4)).eval()
    save_network(tmp_path / "model_epoch1.sav", network, {"pixel_size": 8.0})
    back, about = load_network(tmp_path / "model_epoch1.sav")
    assert about == {"pixel_size": 8.0}
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), back.parameters(), strict=True))
