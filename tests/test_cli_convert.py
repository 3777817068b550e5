from __future__ import annotations

import mrcfile
import numpy as np
import pytest

from heliodor.cli import main
from heliodor.formats import read_picks, write_picks
from heliodor.picks import Picks


@pytest.fixture
def table(tmp_path):
    picks = Picks(["001", "001", "b"], [[10, 20], [30.5, 40], [5, 6]], [3.0, -1.0, 0.5])
    write_picks(tmp_path / "in.txt", picks)
    return str(tmp_path / "in.txt")


def test_scale_threshold_and_format(table, tmp_path):
    assert main(["convert", table, "-x", "4", "-s", "2", "-t", "0.5", "-o", str(tmp_path / "out.star")]) == 0
    picks = read_picks(tmp_path / "out.star")
    assert picks.names.tolist() == ["001", "b"]
    assert picks.xy.tolist() == [[20, 40], [10, 12]]


def test_standard_output_and_integers(table, capsys):
    assert main(["convert", table, "--integers"]) == 0
    assert capsys.readouterr().out.splitlines()[2] == "001\t30\t40\t-1.000000"


def test_a_folder_gets_a_file_per_micrograph(table, tmp_path):
    assert main(["convert", table, "--boxsize", "8", "-o", f"{tmp_path}/boxes/"]) == 0
    assert read_picks(tmp_path / "boxes" / "b.box").xy.tolist() == [[5, 6]]
    assert main(["split", table, "-o", f"{tmp_path}/split", "--suffix", "_picks"]) == 0
    assert sorted(p.name for p in (tmp_path / "split").iterdir()) == ["001_picks.txt", "b_picks.txt"]


def test_split_refuses_a_box_size_where_it_writes_no_boxes(table, tmp_path, capsys):
    assert main(["split", table, "-o", f"{tmp_path}/split", "--boxsize", "8"]) == 2
    assert "--boxsize is for boxes" in capsys.readouterr().err
    assert not (tmp_path / "split").exists()


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("-o o.star --height 96", "--height"),
        ("-o o.star --suffix _zz", "--suffix"),
        ("--suffix _zz", "--suffix"),
        ("-o o.star --boxsize 64", "--boxsize"),
        ("-o o.star --integers", "--integers"),
        ("-o o.star --image-ext .tif", "--image-ext"),
        ("-o o.star --micrographs . --imagedir .", "--imagedir and --micrographs"),
        ("-o o.txt --micrographs .", "--micrographs"),
        ("-o folder/ --imagedir .", "--imagedir"),
        ("-o o.txt --invert-y --height 96 --imagedir .", "--imagedir"),
    ],
)
def test_options_that_would_do_nothing_are_refused(table, tmp_path, monkeypatch, capsys, words, option):
    monkeypatch.chdir(tmp_path)
    assert main(["convert", table, *words.split()]) == 2
    said = capsys.readouterr().err
    assert f"error: {option} " in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.txt"]


def test_invert_y_by_the_heights_of_the_micrographs(table, tmp_path):
    for name, rows in (("001", 64), ("b", 80)):
        mrcfile.write(tmp_path / f"{name}.mrc", np.random.default_rng(0).normal(size=(rows, 50)).astype(np.float32))
    out = tmp_path / "out.txt"
    assert main(["convert", table, "--invert-y", "--imagedir", str(tmp_path), "-o", str(out)]) == 0
    assert read_picks(out).xy[:, 1].tolist() == [43, 23, 73]
    assert main(["convert", table, "--invert-y"]) == 2


def test_subtraction_keeps_additional_particles(table, tmp_path, capsys):
    write_picks(tmp_path / "known.txt", Picks.on("001", [[12, 20]]))
    words = ["convert", table, "--subtract", str(tmp_path / "known.txt"), "--radius", "3"]
    assert main([*words, "-o", str(tmp_path / "new.txt")]) == 0
    assert "2 of 3 are additional" in capsys.readouterr().err
    assert read_picks(tmp_path / "new.txt").xy.tolist() == [[30.5, 40], [5, 6]]
    assert main(["convert", table, "--subtract", table]) == 2


def test_boxes_of_several_micrographs_need_a_folder(table, tmp_path, capsys):
    assert main(["convert", table, "--to", "box", "--boxsize", "8", "-o", str(tmp_path / "bx")]) == 2
    assert "bx: a file of boxes belongs to one micrograph; give a folder" in capsys.readouterr().err


def test_names_from_before_motion_correction_are_told(tmp_path, capsys):
    mrcfile.write(tmp_path / "m1_DW.mrc", np.zeros((64, 50), np.float32))
    write_picks(tmp_path / "in.txt", Picks.on("001234567890123456789_m1_patch_aligned", [[1, 2]]))
    words = ["convert", str(tmp_path / "in.txt"), "--micrographs", str(tmp_path / "m1_DW.mrc")]
    assert main([*words, "-o", str(tmp_path / "out.star")]) == 0
    assert read_picks(tmp_path / "out.star").names.tolist() == [str(tmp_path / "m1_DW.mrc")]
    assert "# 1 names in the table mean micrographs that are named otherwise" in capsys.readouterr().err
