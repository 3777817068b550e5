"""What Topaz's callers read, read by their own code where it is installed: CCP-EM's Pipeliner, starfile, emtable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from heliodor import Picks
from heliodor.formats import read_picks, write_picks
from topaz_helpers import NAMES, SHORT, topaz

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs are not ours to mend
SCORE = "rlnAutopickFigureOfMerit"
STAR = {"rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY", SCORE}


@pytest.fixture
def scored(work):
    """Write picks.txt, with scores; labels have none, and topaz-em writes no column for them either."""
    labels = read_picks("small.txt")
    write_picks("picks.txt", Picks(labels.names, labels.xy, np.arange(len(labels), dtype=float)))


def test_pipeliner_reads_the_curve_and_finds_the_models(work):
    jobs = pytest.importorskip("pipeliner.jobs.relion.autopick_job")
    topaz(
        "train -n 170 -r 2 -o job/model_training.txt --train-images=small --test-images=small --train-targets=small.txt "
        "--test-targets=small.txt --save-prefix=job/model " + SHORT
    )
    job = jobs.RelionAutoPickTopazTrain()
    job.output_dir = "job/"
    scores = job._get_epoch_scores()
    assert scores["epoch"].tolist() == list(range(1, 11))
    job.create_post_run_output_nodes()
    kinds = {word: node.name for node in job.output_nodes for word in node.kwds}
    assert kinds["final_epoch"] == "job/model_epoch10.sav"
    assert kinds["highest_precision_epoch"] == f"job/model_epoch{scores['epoch'][scores['precision'].idxmax()]}.sav"
    assert all(Path(name).is_file() for name in kinds.values() if name.endswith(".sav"))
    assert [display.title for display in job.create_results_display()] == ["Training metrics", "Loss"]


def test_starfile_reads_what_is_written(scored):
    starfile = pytest.importorskip("starfile")
    topaz("convert -o labels.star small.txt")
    assert set(starfile.read("labels.star").columns) == STAR - {SCORE}
    topaz("convert -o p.star picks.txt")
    table = starfile.read("p.star")
    assert set(table.columns) == STAR
    assert table["rlnCoordinateX"].tolist() == read_picks("small.txt").xy[:, 0].tolist()
    assert set(table["rlnMicrographName"]) == {f"{name}.mrc" for name in NAMES}


def test_emtable_of_scipion_reads_what_is_written(scored):
    emtable = pytest.importorskip("emtable")
    topaz("convert -o labels.star small.txt")
    assert set(emtable.Table(fileName="labels.star").getColumnNames()) == STAR - {SCORE}
    topaz("convert -o p.star picks.txt")
    table = emtable.Table(fileName="p.star")
    assert set(table.getColumnNames()) == STAR
    assert [row.rlnCoordinateY for row in table] == read_picks("small.txt").xy[:, 1].tolist()
