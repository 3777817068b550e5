"""Real data for the tests of Topaz's command line: the example's apoferritin, binned further, and a network for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import mrcfile
import pytest

from heliodor.formats import read_picks, write_picks
from heliodor.micrographs import read_micrograph
from heliodor.preprocess import preprocess
from topaz_helpers import EXAMPLE, FACTOR, NAMES, topaz


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """A folder with raw/ and small/ micrographs, labels.txt of the raw and small.txt of the small ones."""
    folder = tmp_path_factory.mktemp("topaz")
    (folder / "raw").mkdir()
    (folder / "small").mkdir()
    for name in NAMES:
        shutil.copy(EXAMPLE / f"{name}.mrc", folder / "raw")
        small, _ = preprocess(read_micrograph(EXAMPLE / f"{name}.mrc"), factor=FACTOR)
        with mrcfile.new(folder / "small" / f"{name}.mrc") as mrc:
            mrc.set_data(small.pixels)
    labels = read_picks(EXAMPLE / "labels.txt")
    labels = labels.select([k for k, name in enumerate(labels.names) if name in NAMES])
    write_picks(folder / "labels.txt", labels, integers=True)
    write_picks(folder / "small.txt", labels.scaled(1 / FACTOR), integers=True)
    return folder


@pytest.fixture(scope="session")
def model(data) -> Path:
    """A network that is good enough to find something."""
    topaz(
        "train --train-images {d}/small --train-targets {d}/small.txt -n 170 -r 2 -m conv31 --units 4 "
        "--learning-rate 1e-3 --num-epochs 2 --epoch-size 400 --minibatch-size 64 -d -1 --save-prefix {d}/given/model -o {d}/given.txt",
        d=data,
    )
    return data / "given" / "model_epoch2.sav"


@pytest.fixture
def work(data, tmp_path, monkeypatch) -> Path:
    """An empty working folder with links to the data."""
    for item in data.iterdir():
        (tmp_path / item.name).symlink_to(item)
    monkeypatch.chdir(tmp_path)
    return tmp_path
