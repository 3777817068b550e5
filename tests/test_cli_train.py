from __future__ import annotations

import mrcfile
import numpy as np
import pytest
import tifffile

from conftest_helpers import disc_examples
from heliodor.cli import main
from heliodor.evaluation import match
from heliodor.formats import read_picks, write_picks
from heliodor.micrographs import Micrograph, write_micrograph
from heliodor.picks import Picks


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp("train")
    (place / "mics").mkdir()
    examples = disc_examples(4)
    for example in examples:
        with mrcfile.new(place / "mics" / f"{example.name}.mrc") as mrc:
            mrc.set_data(example.pixels)
            mrc.voxel_size = 6.0
    write_picks(place / "labels.txt", Picks.join(Picks.on(e.name, e.positives) for e in examples))
    words = ["train", "--train-images", str(place / "mics"), "--train-targets", str(place / "labels.txt")]
    words += ["-n", "14", "-k", "4", "--fold", "1", "--units", "8", "--num-epochs", "2", "--epoch-size", "40"]
    assert main([*words, "--save-prefix", str(place / "models" / "model")]) == 0
    return place, examples


def test_train_writes_a_model_per_epoch_and_the_curve(trained):
    place, _ = trained
    assert sorted(p.name for p in (place / "models").iterdir()) == [
        "model_epoch1.safetensors",
        "model_epoch2.safetensors",
        "model_training.tsv",
    ]
    lines = (place / "models" / "model_training.tsv").read_text().splitlines()
    assert len(lines) == 3
    assert "nan" not in lines[1]


def test_extract_from_micrographs_equals_extract_from_score_maps(trained, capsys):
    place, examples = trained
    model = str(place / "models" / "model_epoch2.safetensors")
    assert main(["segment", str(place / "mics"), "-m", model, "-o", str(place / "maps"), "--tile", "100"]) == 0
    assert tifffile.imread(place / "maps" / "m0.tiff").shape == (160, 180)
    assert (
        main(
            ["extract", str(place / "maps"), "-m", "none", "-r", "9", "-t", "-2", "-x", "4", "-o", str(place / "a.txt")]
        )
        == 0
    )
    assert (
        main(
            ["extract", str(place / "mics"), "-m", model, "-r", "9", "-t", "-2", "-x", "4", "-o", str(place / "b.txt")]
        )
        == 0
    )
    one, two = read_picks(place / "a.txt"), read_picks(place / "b.txt")
    assert list(one.names) == list(two.names)
    np.testing.assert_allclose(one.scores, two.scores, atol=1e-4)
    for name in two.micrographs():  # by place: two scores that differ by rounding alone can change their ranks
        mine, theirs = one.of(name), two.of(name)
        found = match(mine.xy, mine.scores, theirs.xy, 0.05)
        assert found.hit.all()
        np.testing.assert_allclose(mine.scores, theirs.scores[found.label], atol=1e-4)
    best = two.of("m3")
    best = best.select(np.argsort(-best.scores)[:12])
    assert match(best.xy / 4, best.scores, examples[3].positives, 5.0).hit.mean() > 0.8
    capsys.readouterr()
    assert main(["extract", str(place / "maps"), "-m", "none", "-r", "9", "--integers"]) == 0
    assert capsys.readouterr().out.startswith("image_name\tx_coord\ty_coord\tscore\nm0\t")


def test_mismatches_are_refused(trained, tmp_path, capsys):
    place, examples = trained
    model = str(place / "models" / "model_epoch2.safetensors")
    with mrcfile.new(tmp_path / "m0.mrc") as mrc:
        mrc.set_data(examples[0].pixels)
        mrc.voxel_size = 1.5
    assert main(["extract", str(tmp_path / "m0.mrc"), "-m", model]) == 2
    assert "1.5 A per pixel, the network wants 6" in capsys.readouterr().err
    assert main(["extract", str(place / "maps"), "-m", "none"]) == 2
    assert "give -r" in capsys.readouterr().err
    assert main(["segment", str(place / "mics"), "-m", model, "--raw", "-o", str(tmp_path)]) == 2
    assert "--raw needs a model" in capsys.readouterr().err


def test_negatives_on_micrographs_without_labels_count(trained, tmp_path, capsys):
    place, examples = trained
    write_picks(tmp_path / "labels.txt", Picks.on("m0", examples[0].positives))
    write_picks(tmp_path / "negatives.txt", Picks.on("m1", examples[1].positives))
    words = ["train", "--train-images", str(place / "mics"), "--train-targets", str(tmp_path / "labels.txt")]
    words += ["-n", "14", "--units", "4", "--num-epochs", "1", "--epoch-size", "5", "--save-prefix"]
    assert main([*words, str(tmp_path / "without")]) == 0
    assert main([*words, str(tmp_path / "with"), "--negatives", str(tmp_path / "negatives.txt")]) == 0
    assert "training on 2 micrographs" in capsys.readouterr().err
    one, two = (tmp_path / f"{name}_epoch1.safetensors" for name in ("without", "with"))
    assert one.read_bytes() != two.read_bytes()
    assert main([*words, str(tmp_path / "y"), "--negatives", str(tmp_path / "negatives.txt"), "-k", "2"]) == 2
    assert "--k-fold 2 needs as many labelled micrographs; there are 1" in capsys.readouterr().err
    write_picks(tmp_path / "negatives.txt", Picks([], np.empty((0, 2))))
    assert main([*words, str(tmp_path / "x"), "--negatives", str(tmp_path / "negatives.txt")]) == 2
    assert "the negatives hold no particle" in capsys.readouterr().err


def test_extract_writes_what_the_extension_says(trained, tmp_path, capsys):
    place, _ = trained
    words = ["extract", str(place / "mics"), "-m", str(place / "models" / "model_epoch2.safetensors"), "-t", "-2"]
    for name in ("a.txt", "a.star", "a.csv", "a.tab"):
        assert main([*words, "-o", str(tmp_path / name)]) == 0
    tables = [read_picks(tmp_path / name) for name in ("a.txt", "a.star", "a.csv", "a.tab")]
    assert len(tables[0]) > 5
    for table in tables[1:]:
        np.testing.assert_allclose(table.xy, tables[0].xy, atol=1e-3)
    assert tables[1].names[0] == str(place / "mics" / "m0.mrc")  # as RELION names micrographs
    capsys.readouterr()
    assert main([*words, "--format", "star"]) == 0
    assert capsys.readouterr().out == (tmp_path / "a.star").read_text()
    for more, said in (
        (["-o", str(tmp_path / "a.box")], "picks are written to .txt, .star, .csv"),
        (["--format", "csv"], "--format csv needs a file"),
        (["--suffix", "_x"], "--suffix is for the files of --per-micrograph"),
    ):
        assert main([*words, *more]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-s", "0"], "--up-scale and --down-scale must be positive"),
        (["-x", "0"], "--up-scale and --down-scale must be positive"),
        (["-o", "mics"], "mics: cannot write"),
        (["-o", "labels.txt", "--per-micrograph"], "a file stands where a folder is needed"),
    ],
)
def test_extract_refuses_before_any_work(trained, monkeypatch, capsys, words, said):
    monkeypatch.chdir(trained[0])
    assert main(["extract", "mics", "-m", "no_such_model.sav", *words]) == 2
    assert said in capsys.readouterr().err


def test_train_refuses_micrographs_of_two_pixel_sizes(trained, tmp_path, capsys):
    place, examples = trained
    other = tmp_path / "m1.mrc"
    write_micrograph(other, Micrograph(examples[1].pixels, 3.0, "m1"))
    mine, labels = str(place / "mics" / "m0.mrc"), str(place / "labels.txt")
    words = ["train", "--train-targets", labels, "-n", "14", "--save-prefix", str(tmp_path / "m")]
    for images in (
        ["--train-images", mine, str(other)],
        ["--train-images", mine, "--test-images", str(other), "--test-targets", labels],
    ):
        assert main([*words, *images]) == 2
        assert f"{other}: 3 A per pixel, {mine} has 6; preprocess both" in capsys.readouterr().err
    assert not list(tmp_path.glob("m_*"))


def test_train_says_at_once_that_it_cannot_write(trained, tmp_path, capsys):
    place, _ = trained
    words = ["train", "--train-images", str(place / "mics"), "--train-targets", str(place / "labels.txt"), "-n", "14"]
    for more in (["--save-prefix", f"{place}/labels.txt/m"], ["--save-prefix", "m", "-o", str(tmp_path)]):
        assert main([*words, *more]) == 2
        said = capsys.readouterr().err
        assert "stands where" in said
        assert "training on" not in said


def test_a_damaged_checkpoint_is_told(trained, tmp_path, capsys):
    place, _ = trained
    words = ["train", "--train-images", str(place / "mics"), "--train-targets", str(place / "labels.txt"), "-n", "14"]
    words += ["--units", "4", "--num-epochs", "1", "--epoch-size", "3", "--save-prefix", str(tmp_path / "m")]
    (tmp_path / "m_checkpoint.pt").write_bytes(b"PK\x03\x04 cut short")
    assert main(words) == 2
    assert "m_checkpoint.pt: not a readable checkpoint" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
