"""Picking without labels, by the network that comes with heliodor."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from heliodor.cli import main
from heliodor.evaluation import evaluate
from heliodor.formats import read_picks, write_picks
from heliodor.micrographs import read_micrograph, write_micrograph
from heliodor.networks import NetworkSettings, load_network, save_network, scorers
from heliodor.networks.pretrained import GENERAL, load_pretrained

EXAMPLE = Path(__file__).parent.parent / "examples" / "apoferritin"


@pytest.fixture(scope="module")
def micrographs(tmp_path_factory):
    """Two micrographs that a person labelled whole."""
    folder = tmp_path_factory.mktemp("micrographs")
    human = read_picks(EXAMPLE / "human.txt")
    names = human.micrographs()[:2]
    for name in names:
        shutil.copy(EXAMPLE / f"{name}.mrc", folder)
    return folder, human.select(np.isin(human.names.astype(str), names))


def test_the_network_has_seen_no_ferritin_and_says_what_it_has_seen():
    _, facts = load_pretrained(NetworkSettings())
    assert not any("6z6u" in name or "ferritin" in name for name in facts["pretrained_on"])
    assert len(facts["pretrained_on"]) > 20
    assert GENERAL.stat().st_size < 5_000_000
    assert load_pretrained(NetworkSettings(units=17)) is None
    assert load_pretrained(NetworkSettings(dropout=0.3)) is not None


def test_apoferritin_without_labels(micrographs, tmp_path):
    folder, human = micrographs
    out = tmp_path / "out"
    assert main(["pick", str(folder), "--diameter", "120", "-o", str(out)]) == 0
    result = evaluate(read_picks(out / "picks.txt"), human, 14 / 3 * 2)
    assert result.overall.f1 > 0.9
    record = json.loads((out / "run.json").read_text())["result"]
    assert record["estimates"]["expected_particles"] == pytest.approx(len(human) / 2, rel=0.25)
    low, high = record["estimates"]["expected_particles_80"]
    assert low < record["estimates"]["expected_particles"] < high
    assert (out / "report.html").is_file()
    model = str(out / "model.safetensors")
    words = ["extract", str(folder), "--raw", "-m", model, "-o", str(tmp_path / "again.txt")]
    assert main(words) == 0
    picks, again = read_picks(out / "picks.txt"), read_picks(tmp_path / "again.txt")
    np.testing.assert_allclose(again.xy, picks.xy, atol=1e-3)
    np.testing.assert_allclose(again.probabilities, picks.probabilities, atol=1e-3)
    assert main([*words, "-t", "-6"]) == 0
    again, candidates = read_picks(tmp_path / "again.txt"), read_picks(out / "candidates.txt")
    assert len(again) > len(picks)
    np.testing.assert_allclose(again.probabilities, candidates.probabilities, atol=1e-3)
    apart = [*words[:-1], str(tmp_path / "apart"), "--per-micrograph", "--format", "star"]
    assert main(apart) == 0
    assert all("Probability" not in path.read_text() for path in (tmp_path / "apart").glob("*.star"))


def test_exact_scores_by_torch_alone_and_finds_the_same(micrographs, tmp_path, monkeypatch):
    folder, _ = micrographs
    small = tmp_path / "small"
    small.mkdir()
    for path in folder.glob("*.mrc"):
        whole = read_micrograph(path)
        write_micrograph(small / path.name, replace(whole, pixels=whole.pixels[:400, :400]))
    words = ["pick", str(small), "--diameter", "120"]
    assert main([*words, "-o", str(tmp_path / "fast")]) == 0
    monkeypatch.setattr(scorers, "OnnxScorer", None)
    assert main([*words, "--exact", "-o", str(tmp_path / "exact")]) == 0
    fast, exact = (read_picks(tmp_path / name / "candidates.txt") for name in ("fast", "exact"))
    assert len(fast) > 50
    found = dict(exact.by_micrograph())
    for name, those in fast.by_micrograph():  # scores that are nearly equal may change places
        far, which = cKDTree(found[name].xy).query(those.xy)
        assert sorted(which) == list(range(len(found[name])))
        assert far.max() < 0.01
        np.testing.assert_allclose(found[name].scores[which], those.scores, atol=1e-3)
    assert main([*words, "-o", str(tmp_path / "exact")]) == 2  # a rerun must say it again


def test_extract_without_a_model(micrographs, tmp_path, capsys):
    folder, human = micrographs
    out = tmp_path / "picks.txt"
    assert main(["extract", str(folder), "--raw", "--diameter", "120", "-o", str(out)]) == 0
    assert evaluate(read_picks(out), human, 14 / 3 * 2).overall.f1 > 0.85
    assert main(["extract", str(folder), "--raw", "-o", str(tmp_path / "x.txt")]) == 2
    assert "needs --diameter" in capsys.readouterr().err
    assert main(["extract", str(folder), "--diameter", "120", "-o", str(tmp_path / "x.txt")]) == 2
    assert "40 pixels wide" in capsys.readouterr().err
    assert main(["extract", str(folder), "--diameter", "120", "-t", "nan", "-o", str(tmp_path / "x.txt")]) == 2
    assert "--threshold must be a score" in capsys.readouterr().err


def test_what_cannot_be_done_without_labels_says_so(micrographs, tmp_path, capsys):
    folder, _ = micrographs
    words = ["pick", str(folder), "--diameter", "120", "-o", str(tmp_path / "out")]
    assert main([*words, "--model", "conv63"]) == 2
    assert "give --labels" in capsys.readouterr().err
    assert main([*words, "--no-pretrained", "--overwrite"]) == 2
    assert "give --labels" in capsys.readouterr().err
    refused = ["pick", str(folder), "--diameter", "120", "-o", str(tmp_path / "none")]
    assert main([*refused, "--labels", ""]) == 2
    assert "--labels is empty; name a file" in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "run.json").write_text("{}")
    assert main([*refused, "--epochs", "3", "--method", "PU", "--overwrite"]) == 2
    assert "nothing is trained, so --method, --epochs can do nothing" in capsys.readouterr().err
    assert (tmp_path / "none" / "run.json").read_text() == "{}"
    shutil.rmtree(tmp_path / "none")
    assert main([*refused, "--pi", "0.1"]) == 2
    assert "without --labels give --expected-particles" in capsys.readouterr().err
    assert main([*refused, "--expected-particles", "1e6"]) == 2
    assert "1000000 particles on a micrograph, where no more than" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_another_network_to_start_from(micrographs, tmp_path, capsys):
    """Without labels it picks as it is, with them it is trained further; the run has a network of its kind."""
    folder, human = micrographs
    own = tmp_path / "own.safetensors"
    network, facts = load_pretrained(NetworkSettings(model="resnet8"))
    save_network(own, network, facts)
    words = ["pick", str(folder), "--diameter", "120", "--start", str(own), "-o", str(tmp_path / "out")]
    assert main(words) == 0
    picked, _ = load_network(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(picked.parameters(), network.parameters(), strict=True))
    assert evaluate(read_picks(tmp_path / "out" / "picks.txt"), human, 14 / 3 * 2).overall.f1 > 0.7

    assert main(words) == 0  # a rerun finds the same
    save_network(own, network, {**facts, "threshold": 7.0})  # as another cut of the run that made it leaves it
    assert main(words) == 0
    facts["pretrained_on"] = []
    save_network(own, network, facts)
    capsys.readouterr()
    assert main(words) == 2  # another file of that name does not
    assert "start" in capsys.readouterr().err

    trained = [*words[:-1], str(tmp_path / "trained"), "--labels", str(tmp_path / "labels.txt")]
    write_picks(tmp_path / "labels.txt", human.select(np.arange(len(human)) < 12))
    assert main([*trained, "--epochs", "1", "--epoch-size", "2", "--expected-particles", "170"]) == 0
    further, _ = load_network(tmp_path / "trained" / "model.safetensors")
    assert further.settings.model == "resnet8"
    assert not torch.equal(next(further.parameters()), next(network.parameters()))


def test_starts_that_cannot_be_made_say_so(micrographs, tmp_path, capsys):
    folder, _ = micrographs
    own = tmp_path / "own.safetensors"
    save_network(own, *load_pretrained(NetworkSettings()))
    (tmp_path / "out").mkdir()
    shutil.copy(own, tmp_path / "out" / "model.safetensors")
    words = ["pick", str(folder), "--diameter", "120", "-o", str(tmp_path / "out"), "--start"]
    for more, said in (
        ([str(own), "--model", "resnet8"], "a conv31 with 32 units, not what"),
        ([str(own), "--units", "16"], "a conv31 with 32 units, not what"),
        ([str(own), "--no-pretrained"], "give one of them"),
        ([str(tmp_path / "out" / "model.safetensors"), "--overwrite"], "of this very run"),
        ([str(tmp_path / "none.safetensors")], "there is no such model file"),
        ([str(EXAMPLE / "labels.txt")], "labels.txt: not a heliodor model"),
    ):
        assert main([*words, *more]) == 2
        assert said in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.safetensors"]


def test_micrographs_are_normalized_as_the_network_has_seen_them(micrographs, tmp_path, capsys):
    folder, *_ = micrographs
    words = ["pick", str(folder), "--diameter", "120", "-o", str(tmp_path / "out"), "--normalization", "gmm"]
    assert main(words) == 2
    assert "normalized as 'flat', not 'gmm'" in capsys.readouterr().err


def test_files_that_cannot_be_used_do_not_end_a_run_wherever_they_stand(micrographs, tmp_path, capsys):
    folder, _ = micrographs
    small = tmp_path / "small"
    small.mkdir()
    path = min(folder.glob("*.mrc"))
    whole = read_micrograph(path)
    part = replace(whole, pixels=whole.pixels[:300, :300])
    write_micrograph(small / "m.mrc", part)
    (small / "a.mrc").touch()
    write_micrograph(small / "b.mrc", replace(part, pixel_size=None))
    for words in (["pick", str(small)], ["extract", str(small), "--raw"]):
        assert main([*words, "--diameter", "120", "-o", str(tmp_path / words[0])]) == 1
        said = capsys.readouterr().err
        assert "skipped" in said
        assert "a.mrc" in said
        assert "Traceback" not in said
    (small / "m.mrc").unlink()
    assert main(["pick", str(small), "--diameter", "120", "-o", str(tmp_path / "none")]) == 2
    assert "b.mrc: no pixel size in its header" in capsys.readouterr().err


def test_extract_refines_centres_as_the_run_did(micrographs, tmp_path):
    folder, _ = micrographs
    path = str(min(folder.glob("*.mrc")))
    words = ["--diameter", "120", "--label-radius", "1", "-o", str(tmp_path / "out")]
    assert main(["pick", path, *words]) == 0
    model = str(tmp_path / "out" / "model.safetensors")
    assert main(["extract", path, "--raw", "-m", model, "-o", str(tmp_path / "again.txt")]) == 0
    picks, again = read_picks(tmp_path / "out" / "picks.txt"), read_picks(tmp_path / "again.txt")
    np.testing.assert_allclose(again.xy, picks.xy, atol=1e-3)
