from __future__ import annotations

import mrcfile
import numpy as np
import pytest

from heliodor.cli import main
from heliodor.micrographs import Micrograph, read_micrograph, write_micrograph


@pytest.mark.parametrize("normalization", ["gmm", "gmm-dataset", "affine"])
def test_files_carry_their_new_pixel_size(dataset, tmp_path, normalization):
    folder, _ = dataset
    words = ["preprocess", str(folder), "-s", "2.5", "--normalization", normalization, "-o", str(tmp_path / "out")]
    assert main([*words, "--format", "mrc,png,tiff", "--metadata"]) == 0
    path = tmp_path / "out" / "a.b.c.mrc"
    assert mrcfile.validate(path)
    with mrcfile.open(path) as mrc:
        assert mrc.data.shape == (96, 104)
        assert float(mrc.voxel_size.x) == pytest.approx(5.0)
        assert abs(float(np.median(mrc.data))) < 0.5
    assert len(list((tmp_path / "out").iterdir())) == 4 * 4 + 1


def test_the_result_does_not_depend_on_workers_and_reruns_skip(dataset, tmp_path, capsys):
    folder, _ = dataset
    for workers in ("1", "3"):
        assert main(["preprocess", str(folder), "-s", "2", "-t", workers, "-o", str(tmp_path / workers)]) == 0
    one, three = (tmp_path / w / "001.mrc" for w in ("1", "3"))
    assert np.array_equal(mrcfile.read(one), mrcfile.read(three))
    before = one.stat().st_mtime_ns
    assert main(["preprocess", str(folder), "-s", "2", "-o", str(tmp_path / "1")]) == 0
    assert one.stat().st_mtime_ns == before
    assert main(["preprocess", str(folder), "-s", "3", "-o", str(tmp_path / "1")]) == 2
    assert "factor was 2.0, is 3.0" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:Data array contains NaN")
def test_a_broken_micrograph_is_skipped(dataset, tmp_path, capsys):
    folder, _ = dataset
    bad = tmp_path / "bad.mrc"
    with mrcfile.new(bad) as mrc:
        mrc.set_data(np.full((64, 64), np.nan, np.float32))
    assert main(["preprocess", str(folder), str(bad), "-s", "2", "-o", str(tmp_path / "out")]) == 1
    assert "bad.mrc: pixels that are NaN" in capsys.readouterr().err
    assert main(["preprocess", str(bad), "-s", "2", "-o", str(tmp_path / "none")]) == 2
    write_micrograph(tmp_path / "small.mrc", Micrograph(np.eye(20, dtype=np.float32), 1.0, "small"))
    assert main(["preprocess", str(folder), str(tmp_path / "small.mrc"), "-s", "2", "-o", str(tmp_path / "some")]) == 1
    assert "small: downsampling 20 x 20 pixels by 2 leaves 10 x 10" in capsys.readouterr().err


def test_a_micrograph_is_never_replaced_by_its_result(tmp_path, capsys):
    pixels = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    write_micrograph(tmp_path / "x.mrc", Micrograph(pixels, 1.0, "x"))
    before = (tmp_path / "x.mrc").read_bytes()
    for more in ([], ["--overwrite"]):
        assert main(["preprocess", str(tmp_path / "x.mrc"), "-s", "2", "-o", str(tmp_path), *more]) == 2
        assert "would be replaced by its own result; choose another folder" in capsys.readouterr().err
    assert (tmp_path / "x.mrc").read_bytes() == before


def test_topaz_flags_verbose_and_workers(tmp_path, capsys):
    pixels = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    write_micrograph(tmp_path / "x.mrc", Micrograph(pixels, None, "x"))
    words = ["-v", "-t", "-1", "-s", "2", "--pixel-size", "1.5", "--format", "mrc,png", "--metadata"]
    assert main(["preprocess", *words, "-o", str(tmp_path / "out"), str(tmp_path / "x.mrc")]) == 0
    assert "processed: x" in capsys.readouterr().err
    assert read_micrograph(tmp_path / "out" / "x.mrc").pixel_size == pytest.approx(3.0)
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {"x.mrc", "x.png", "x.metadata.json"}
