"""Picking without labels, by the network that comes with heliodor."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from heliodor.cli import main
from heliodor.evaluation import evaluate
from heliodor.formats import read_picks
from heliodor.networks import NetworkSettings
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
    assert (out / "report.html").is_file()


def test_extract_without_a_model(micrographs, tmp_path, capsys):
    folder, human = micrographs
    out = tmp_path / "picks.txt"
    assert main(["extract", str(folder), "--raw", "--diameter", "120", "-o", str(out)]) == 0
    assert evaluate(read_picks(out), human, 14 / 3 * 2).overall.f1 > 0.85
    assert main(["extract", str(folder), "--raw", "-o", str(tmp_path / "x.txt")]) == 2
    assert "needs --diameter" in capsys.readouterr().err
    assert main(["extract", str(folder), "--diameter", "120", "-o", str(tmp_path / "x.txt")]) == 2
    assert "40 pixels wide" in capsys.readouterr().err


def test_what_cannot_be_done_without_labels_says_so(micrographs, tmp_path, capsys):
    folder, _ = micrographs
    words = ["pick", str(folder), "--diameter", "120", "-o", str(tmp_path / "out")]
    assert main([*words, "--model", "conv63"]) == 2
    assert "give --labels" in capsys.readouterr().err
    assert main([*words, "--no-pretrained", "--overwrite"]) == 2
    assert "give --labels" in capsys.readouterr().err
