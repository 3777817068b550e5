from __future__ import annotations

import json

import numpy as np
import pytest

from heliodor.cli import main
from heliodor.formats import write_picks
from heliodor.picks import Picks


@pytest.fixture
def tables(tmp_path):
    """Paths of picks (with one on an unlabelled micrograph) and of labels (one micrograph without picks)."""
    labels = Picks(["m", "m", "lost"], [[10, 10], [50, 50], [9, 9]])
    picks = Picks(["grid/m.mrc", "grid/m.mrc", "other.mrc"], [[11, 10], [90, 90], [1, 1]], [2.0, 1.0, 5.0])
    write_picks(tmp_path / "picks.star", picks)
    write_picks(tmp_path / "labels.txt", labels)
    return [str(tmp_path / "picks.star"), str(tmp_path / "labels.txt")]


def evaluate(*words):
    return main(["evaluate", *map(str, words)])


def test_the_table(tables, capsys):
    assert evaluate(*tables, "-r", 5, "--pixel-size", 1.5, "--per-micrograph") == 0
    out = capsys.readouterr().out
    assert " ".join(out.splitlines()[1].split()) == "all 3 2 0.500 0.333 0.400 0.333 1.00 px (1.5 A)"
    assert "\nlost" in out
    assert "best F1 on these labels: 0.500 at score 2.000" in out
    assert "1 labelled micrographs have no pick, such as 'lost': their labels count as missed" in out
    assert "1 picks on micrographs without labels, such as 'other', are ignored" in out


def test_a_threshold(tables, capsys):
    assert evaluate(*tables, "-r", 5, "-t", 1.5) == 0
    assert " ".join(capsys.readouterr().out.splitlines()[1].split()).startswith("all 3 1 1.000 0.333 0.500")


def test_json_and_sweep(tables, tmp_path, capsys):
    written = tmp_path / "new" / "result.json"
    assert evaluate(*tables, "-r", 5, "-o", written, "--sweep", tmp_path / "sweep.tsv", "--method", "optimal") == 0
    result = json.loads(written.read_text())
    assert result["overall"]["f1"] == pytest.approx(0.4)
    assert result["per_micrograph"]["lost"]["rmse"] is None
    assert result["threshold"] is None
    assert (result["method"], result["match_radius"], result["without_picks"]) == ("optimal", 5.0, ["lost"])
    assert len(result["intervals"]["average_precision"]) == 2
    assert (tmp_path / "sweep.tsv").read_text().splitlines()[1:] == [
        "2.000000\t1\t1.000000\t0.333333\t0.500000",
        "1.000000\t2\t0.500000\t0.333333\t0.400000",
    ]


def test_agreement_of_two_label_sets(tables, capsys):
    assert evaluate(tables[1], tables[1], "-r", 3, "--agreement") == 0
    assert capsys.readouterr().out == "3 pairs of 3 and 3: F1 1.000, RMSE 0.00 px\n"
    assert evaluate(*tables, "-r", 3, "--agreement") == 0
    picks, labels = capsys.readouterr().out.splitlines()[1:]
    assert picks.startswith(f"1 of 3 centres of {tables[0]} are on micrographs that only that has, such as 'other'")
    assert labels.startswith(f"1 of 3 centres of {tables[1]} are on micrographs that only that has, such as 'lost'")


def test_picks_without_scores_have_no_ranking(tables, capsys):
    assert evaluate(tables[1], tables[0], "-r", 5) == 0
    out = capsys.readouterr().out
    assert " ".join(out.splitlines()[1].split()) == "all 3 2 0.500 0.333 0.400 - 1.00 px"
    assert "picks have no scores, so no AP and no best F1: exchange the files, or compare with --agreement" in out
    assert "best F1 on" not in out
    assert "average precision" not in out


def test_the_folder_of_a_run_is_its_picks(tables, tmp_path, capsys):
    run = tmp_path / "run"
    write_picks(run / "picks.txt", Picks.on("m", [[11, 10]], [2.0]))
    write_picks(run / "candidates.txt", Picks.on("m", [[11, 10], [90, 90]], [2.0, -5.0]))
    (run / "run.json").write_text("{}")
    assert evaluate(run, tables[1], "-r", 5) == 0
    assert " ".join(capsys.readouterr().out.splitlines()[1].split()).startswith("all 3 1 1.000 0.333")


def test_micrographs_are_known_by_their_folders_and_from_before_motion_correction(tmp_path, capsys):
    picks = Picks(["g1/m", "g2/m"], [[10, 10], [50, 50]], [1, 2])
    write_picks(tmp_path / "picks.txt", picks)
    write_picks(tmp_path / "labels.txt", picks.renamed({n: f"MotionCorr/job002/{n}.mrc" for n in ("g1/m", "g2/m")}))
    assert evaluate(tmp_path / "picks.txt", tmp_path / "labels.txt", "-r", 2) == 0
    assert " ".join(capsys.readouterr().out.splitlines()[1].split()).startswith("all 2 2 1.000 1.000 1.000")
    write_picks(tmp_path / "a.txt", Picks.on("m_DW.mrc", [[10, 10]], [1]))
    write_picks(tmp_path / "b.txt", Picks.on("J2/motioncorrected/001234567890123456789_m_patch_aligned", [[10, 10]]))
    assert evaluate(tmp_path / "a.txt", tmp_path / "b.txt", "-r", 2) == 0
    out, err = capsys.readouterr()
    assert " ".join(out.splitlines()[1].split()).startswith("all 1 1 1.000 1.000 1.000")
    assert err.startswith("# 1 names in the table mean micrographs that are named otherwise after motion correction")


def test_labels_of_two_micrographs_do_not_land_on_one(tmp_path, capsys):
    write_picks(tmp_path / "picks.txt", Picks.on("m", [[10, 10]], [1]))
    write_picks(tmp_path / "labels.txt", Picks(["g1/m", "g2/m"], [[10, 10], [50, 50]]))
    assert evaluate(tmp_path / "picks.txt", tmp_path / "labels.txt", "-r", 2) == 2
    assert "the names 'g1/m' and 'g2/m' in the table would both mean 'm'" in capsys.readouterr().err


@pytest.mark.parametrize(("images", "precision"), [("target", 0.5), ("predicted", 1 / 3), ("union", 1 / 3)])
def test_topaz_form(tmp_path, capsys, images, precision):
    labels = Picks(["a", "a", "c"], [[10, 10], [40, 40], [5, 5]])
    picks = Picks(["a", "a", "b"], [[13, 10], [80, 80], [1, 1]], [2.0, 1.0, 1.0])
    write_picks(tmp_path / "labels.txt", labels)
    write_picks(tmp_path / "picks.txt", picks)
    words = ["--predicted", tmp_path / "picks.txt", "--targets", tmp_path / "labels.txt", "-r", 4]
    assert evaluate(*words, "--images", images) == 0
    first, header, *rows = capsys.readouterr().out.splitlines()
    assert first == f"# auprc={1 / 3}, mae=3.0"
    assert header == "threshold\tprecision\trecall\tf1"
    table = np.array([row.split("\t") for row in rows], float)
    f1 = 2 * precision / 3 / (precision + 1 / 3)
    np.testing.assert_allclose(table, [[2, 1, 1 / 3, 0.5], [1, precision, 1 / 3, f1]])


def test_topaz_form_excludes_the_radius_itself(tmp_path, capsys):
    write_picks(tmp_path / "p.txt", Picks.on("a", [[4, 0]], [1]))
    write_picks(tmp_path / "t.txt", Picks.on("a", [[0, 0]]))
    assert evaluate("--predicted", tmp_path / "p.txt", "--targets", tmp_path / "t.txt", "-r", 4) == 0
    assert capsys.readouterr().out.startswith("# auprc=0.0, mae=nan\n")


def test_folders_tell_equal_file_names_apart(tmp_path, capsys):
    both = Picks(["g1/m", "g2/m"], [[10, 10], [50, 50]], [1, 2])
    write_picks(tmp_path / "both.txt", both)
    assert evaluate(tmp_path / "both.txt", tmp_path / "both.txt", "-r", 2) == 0
    assert " ".join(capsys.readouterr().out.splitlines()[1].split()).startswith("all 2 2 1.000 1.000 1.000")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["PICKS"], "two files are needed"),
        (["PICKS", "LABELS", "--pixel-size", "0"], "--pixel-size must be above 0"),
        (["PICKS", "LABELS", "--agreement", "--per-micrograph"], "--per-micrograph cannot be used with --agreement"),
        (["--predicted", "LABELS"], "needs both"),
        (["--predicted", "LABELS", "--targets", "LABELS"], "have no score"),
        (["PICKS", "--predicted", "LABELS", "--targets", "LABELS"], "picks cannot be used with --predicted"),
        (["PICKS", "OTHER"], "share no micrograph: labels are of 'mm', picks of 'm'"),
    ],
)
def test_what_cannot_be_is_one_line(tables, tmp_path, capsys, words, message):
    write_picks(tmp_path / "other.txt", Picks.on("mm", [[1, 1]]))
    files = {"PICKS": tables[0], "LABELS": tables[1], "OTHER": tmp_path / "other.txt"}
    assert evaluate(*[files.get(word, word) for word in words], "-r", 5) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
