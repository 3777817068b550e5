from __future__ import annotations

import json
import os
import shutil

import mrcfile
import numpy as np
import pytest

from heliodor.cli import main
from heliodor.micrographs import Micrograph, read_micrograph, write_micrograph
from heliodor.preprocess import files


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


def test_another_file_of_the_same_name_is_refused_and_a_changed_one_is_done_again(dataset, tmp_path, capsys):
    folder, _ = dataset
    words = ["-s", "4", "-o", str(tmp_path / "out")]
    source, result = tmp_path / "one" / "001.mrc", tmp_path / "out" / "001.mrc"
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        shutil.copy2(folder / "001.mrc", tmp_path / place / "001.mrc")
    os.utime(tmp_path / "two" / "001.mrc", (1e9, 1e9))
    assert main(["preprocess", str(source), *words]) == 0
    first = mrcfile.read(result)
    assert main(["preprocess", str(tmp_path / "two" / "001.mrc"), *words]) == 2
    assert f"is of {source}" in capsys.readouterr().err
    assert np.array_equal(mrcfile.read(result), first)
    shutil.copy2(folder / "plain.mrc", source)
    os.utime(source, (2e9, 2e9))
    assert main(["preprocess", str(source), *words]) == 0
    assert not np.array_equal(mrcfile.read(result), first)
    moved = tmp_path / "moved.d" / "001.mrc"
    moved.parent.mkdir()
    source.rename(moved)
    before = result.stat().st_mtime_ns
    assert main(["preprocess", str(moved), *words]) == 0  # the same file
    assert result.stat().st_mtime_ns == before
    shutil.copy2(folder / "001.mrc", tmp_path / "out" / "plain.mrc")
    assert main(["preprocess", str(folder / "plain.mrc"), *words]) == 2
    assert "is there already, and" in capsys.readouterr().err


def test_interrupted_overwriting_leaves_no_mixture(dataset, tmp_path, monkeypatch, capsys):
    many = tmp_path / "many"
    many.mkdir()
    for k in range(9):  # more than are read ahead
        shutil.copy(dataset[0] / "plain.mrc", many / f"m{k}.mrc")
    words = ["preprocess", str(many), "-t", "1", "-o", str(tmp_path / "out")]
    assert main([*words, "-s", "4"]) == 0
    written = []

    def interrupted(path, micrograph):
        written.append(path)
        if len(written) >= 3:
            raise KeyboardInterrupt
        write_micrograph(path, micrograph)

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_micrograph", interrupted)
        assert main([*words, "-s", "2", "--overwrite"]) == 130
    assert "run the same command without --overwrite to go on" in capsys.readouterr().err
    assert main([*words, "-s", "2"]) == 0
    assert "2 micrographs are done already" in capsys.readouterr().err
    assert {mrcfile.read(path).shape for path in (tmp_path / "out").glob("*.mrc")} == {(120, 130)}


def test_what_a_crash_left_half_done_and_what_is_missing_is_done(dataset, tmp_path):
    folder, _ = dataset
    words = ["preprocess", str(folder), "-s", "4", "-o", str(tmp_path / "out")]
    assert main(words) == 0
    record, result = tmp_path / "out" / files.RECORD, tmp_path / "out" / "001.mrc"
    whole = mrcfile.read(result)
    lines = [line for line in record.read_text().splitlines() if '"001.mrc"' not in line or '"whole": false' in line]
    record.write_text("\n".join(lines) + '\n{"results": ["pla')  # and a line was being written
    result.write_bytes(b"")
    assert main([*words, "--metadata"]) == 0
    assert np.array_equal(mrcfile.read(result), whole)
    assert len(list((tmp_path / "out").glob("*.metadata.json"))) == 4


def test_results_of_two_formats_are_each_known_by_their_own_settings(dataset, tmp_path, capsys):
    words = ["preprocess", str(dataset[0] / "plain.mrc"), "-o", str(tmp_path / "out")]
    assert main([*words, "-s", "4"]) == 0
    assert main([*words, "-s", "2", "--format", "tiff"]) == 0
    assert main([*words, "-s", "2"]) == 2
    assert "plain.mrc: is of other settings (factor was 4, is 2.0)" in capsys.readouterr().err.replace("4.0,", "4,")
    before = (tmp_path / "out" / "plain.mrc").stat().st_mtime_ns
    assert main([*words, "-s", "4"]) == 0
    assert (tmp_path / "out" / "plain.mrc").stat().st_mtime_ns == before


def test_a_file_that_is_replaced_while_it_is_read_is_done_again(dataset, tmp_path, monkeypatch):
    source, result = tmp_path / "plain.mrc", tmp_path / "out" / "plain.mrc"
    shutil.copy(dataset[0] / "plain.mrc", source)
    words = ["preprocess", str(source), "-s", "4", "-o", str(tmp_path / "out")]

    def replaced(path, **options):
        found = read_micrograph(path, **options)
        shutil.copy(dataset[0] / "001.mrc", source)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(files, "read_micrograph", replaced)
        assert main(words) == 0
    first = mrcfile.read(result)
    assert main(words) == 0
    assert not np.array_equal(mrcfile.read(result), first)


def test_a_mixture_for_a_data_set_is_not_that_of_another(dataset, tmp_path, capsys):
    words = ["--normalization", "gmm-dataset", "-s", "4", "-o", str(tmp_path / "out")]
    files = sorted(str(path) for path in dataset[0].glob("*.mrc"))
    assert main(["preprocess", *files[:2], *words]) == 0
    assert main(["preprocess", *files[:2], *words]) == 0
    assert "2 micrographs are done already" in capsys.readouterr().err
    assert main(["preprocess", *files, *words]) == 2
    assert "is of other settings (the micrographs of the data set differ)" in capsys.readouterr().err
    assert main(["preprocess", *files, *words, "--overwrite"]) == 0


def test_what_the_mixture_of_a_data_set_cannot_scale_is_skipped_by_name(dataset, tmp_path, capsys):
    centred = np.random.default_rng(0).normal(-0.5, 1, (128, 128)).astype(np.float32)
    write_micrograph(tmp_path / "centred.mrc", Micrograph(centred, 2.0, "centred"))
    words = ["--normalization", "gmm-dataset", "-s", "2", "--metadata", "-o", str(tmp_path / "out")]
    assert main(["preprocess", str(dataset[0]), str(tmp_path / "centred.mrc"), *words]) == 1
    assert "centred: normalization 'gmm-dataset' scales pixel values" in capsys.readouterr().err
    made = sorted((tmp_path / "out").glob("*.metadata.json"))
    assert len(made) == 4
    assert set(json.loads(made[0].read_text())) == {"scale", "rho", "means", "sds"}
