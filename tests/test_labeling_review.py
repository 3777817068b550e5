"""Proposals, the check of picks, final picks, and training, without a browser."""

import json
import time

import numpy as np
import pytest
from PIL import Image

from heliodor import Picks, read_picks, write_picks
from heliodor.cli import main
from heliodor.cli.console import JsonReporter
from heliodor.errors import LabelError, SettingsError
from heliodor.find import find_micrographs
from heliodor.labeling.app import App
from heliodor.labeling.labels import Edit
from heliodor.picking.answers import read_answers
from labeling_helpers import half_right

DIAMETER = 40.0  # angstrom, 20 pixels


@pytest.fixture
def app(dataset, tmp_path):
    """Candidates on two micrographs, half of them right, and two labels."""
    write_picks(tmp_path / "picks.txt", half_right(dataset[1]))
    write_picks(tmp_path / "l.txt", Picks.on("001", dataset[1]["001"][[0, 11]]))  # the last is no candidate
    app = App(find_micrographs([dataset[0]]), tmp_path / "l.txt", picks=tmp_path / "picks.txt", diameter=DIAMETER)
    app._reading.join()
    yield app
    app.close()


def test_proposals_leave_out_what_is_labelled(app, dataset):
    found = app.review.propose(app.radius, 0.0)
    assert app.radius == 10
    assert len(found["picks"]) == 20
    assert all(one["reason"] for one in found["picks"] + found["micrographs"])
    labelled = dataset[1]["001"][0]
    assert all(np.hypot(*(np.array([p["x"], p["y"]]) - labelled)) > 1 for p in found["picks"] if p["index"] == 0)
    assert 0 not in [one["index"] for one in found["micrographs"]]


def test_check_of_picks(app, dataset, tmp_path):
    assert app.review.audit(0.0) == {"questions": [], "result": None}
    app.review.start_audit(0.0)
    questions = app.review.audit(0.0)["questions"]
    assert len(questions) == 24
    names = [m.name for m in app.micrographs]
    for row, one in enumerate(questions):
        right = np.hypot(*(dataset[1][names[one["index"]]] - [one["x"], one["y"]]).T).min() < 0.1
        app.review.answer(row, "yes" if right else "no")
        assert (app.review.audit(0.0)["result"] is None) == (row < 9)
    result = app.review.audit(0.0)["result"]
    assert result["best"]["f1"][0] > 0.85
    assert result["now"]["precision"][1] <= result["now"]["precision"][0] <= result["now"]["precision"][2]
    assert len(result["curve"]) > 5
    json.dumps(result, allow_nan=False)

    again = App(app.micrographs, tmp_path / "other.txt", picks=tmp_path / "picks.txt", diameter=DIAMETER)
    assert again.review.audit(0.0)["questions"] == []  # answers belong to their session
    again.close()
    assert len(read_answers(tmp_path / "l-audit.tsv").particles) >= 12

    made = app.review.label_answers(app.radius, lambda index: (260, 240))
    assert made >= 20
    assert app.review.label_answers(app.radius, lambda index: (260, 240)) == 0
    assert len(read_picks(tmp_path / "l.txt")) >= 12
    assert len(read_picks(tmp_path / "l-negatives.txt")) >= 8


def test_answers_come_back_with_their_candidates_only(app, dataset, tmp_path):
    app.review.start_audit(0.0)
    app.review.answer(3, "no")
    app.close()
    files = {"picks": tmp_path / "picks.txt"}
    same = App(app.micrographs, tmp_path / "l.txt", **files)
    same._reading.join()
    assert same.review.audit(0.0)["questions"][3]["answer"] == "no"
    same.close()
    write_picks(tmp_path / "picks.txt", Picks.on("001", dataset[1]["001"], np.arange(12.0)))
    other = App(app.micrographs, tmp_path / "l.txt", **files)
    other._reading.join()
    assert other.review.audit(0.0)["questions"] == []
    other.close()


def test_answers_become_labels_on_every_press(app):
    """Those that were given since the last press as well, and none of them twice."""
    app.review.start_audit(0.0)
    made = 0
    for row in range(24):
        app.review.answer(row, "yes" if row % 2 else "no")
        if row % 6 == 5:
            before = sum(len(app.session.picks(kind)) for kind in ("particle", "negative"))
            made = app.review.label_answers(app.radius, lambda index: (260, 240))
            after = sum(len(app.session.picks(kind)) for kind in ("particle", "negative"))
            assert made == after - before > 0
    assert app.review.label_answers(app.radius, lambda index: (260, 240)) == 0


def test_answers_about_other_picks_are_kept_when_new_ones_are_asked_about(app, dataset, tmp_path):
    app.review.start_audit(0.0)
    app.review.answer(3, "no")
    given = (tmp_path / "l-audit.tsv").read_bytes()
    app.close()
    write_picks(tmp_path / "others.txt", Picks.on("001", dataset[1]["001"], np.arange(12.0)))
    other = App(app.micrographs, tmp_path / "l.txt", picks=tmp_path / "others.txt")
    other._reading.join()
    other.review.start_audit(0.0)
    assert len(other.review.audit(0.0)["questions"]) == 12
    assert (tmp_path / "l-audit-2.tsv").read_bytes() == given
    other.review.answer(0, "yes")
    other.review.start_audit(0.0)  # about the same picks: a new check in the place of the old one
    other.close()
    assert not (tmp_path / "l-audit-3.tsv").exists()


def test_the_pixel_size_is_that_of_the_first_header_that_has_one(dataset, tmp_path):
    """Where none has, the diameter is in pixels."""
    Image.fromarray(np.zeros((240, 260), np.uint8)).save(tmp_path / "0.png")
    for inputs, size, radius in (([tmp_path / "0.png", dataset[0]], 2.0, 10.0), ([tmp_path / "0.png"], None, 20.0)):
        app = App(find_micrographs(inputs), tmp_path / "l.txt", diameter=DIAMETER)
        assert app.describe_micrograph(0)["pixel_size"] == size
        assert app.radius == radius
        app.close()


@pytest.mark.parametrize(("row", "word"), [(-1, "yes"), (24, "yes"), (0, "perhaps")])
def test_answers_to_nothing(app, row, word):
    with pytest.raises(LabelError):
        app.review.answer(row, word)
    app.review.start_audit(0.0)
    with pytest.raises(LabelError):
        app.review.answer(row, word)


def test_an_answer_is_about_the_question_that_was_asked(app):
    """Another tab may have drawn other questions."""
    app.review.start_audit(0.0)
    asked = [tuple(one[name] for name in ("index", "x", "y")) for one in app.review.audit(0.0)["questions"]]
    with pytest.raises(LabelError, match="meanwhile"):
        app.review.answer(0, "yes", asked[1])
    app.review.answer(0, "yes", asked[0])
    assert [one["answer"] for one in app.review.audit(0.0)["questions"]][:2] == ["yes", ""]


def test_final_picks(app, dataset, tmp_path):
    """Those above the threshold, without rejected ones, with the labels that no pick stands for."""
    x, y = dataset[1]["001"][1]
    words = {"do": "add", "id": "n", "x": x + 3, "y": y, "kind": "negative"}
    app.session.edit(0, -1, [Edit.of_json(words, 260, 240)])
    written = app.review.export(app.radius, 0.0)
    final = read_picks(tmp_path / "l-picks.txt")
    assert written["picks"] == len(final) == len(read_picks(tmp_path / "l-picks.star"))
    above = read_picks(tmp_path / "picks.txt").above(0.0)
    distance = np.hypot(*(above.of("001").xy - [x + 3, y]).T)
    assert len(final) == len(above) - (distance <= 20 / 3).sum() + 1
    assert np.isnan(final.scores).sum() == 1


def test_picks_without_scores_cannot_be_ranked(dataset, tmp_path):
    write_picks(tmp_path / "p.txt", Picks.on("001", np.ones((3, 2)) * 20))
    app = App(find_micrographs([dataset[0]]), tmp_path / "l.txt", picks=tmp_path / "p.txt", diameter=DIAMETER)
    app._reading.join()
    for ask in (lambda: app.review.start_audit(0.0), lambda: app.review.propose(10.0, 0.0)):
        with pytest.raises(SettingsError, match="scores"):
            ask()
    assert app.review.export(10.0, app.threshold)["picks"] == 3
    app.close()


def test_a_threshold_belongs_to_its_picks(app, dataset, tmp_path):
    app.choose_threshold(0.5)
    assert app.threshold == 0.5
    app.close()
    write_picks(tmp_path / "others.txt", Picks.on("001", dataset[1]["001"], np.arange(12.0)))
    for name, threshold in (("picks.txt", 0.5), ("others.txt", -0.01)):
        again = App(app.micrographs, tmp_path / "l.txt", picks=tmp_path / name)
        again._reading.join()
        assert again.threshold == threshold
        again.close()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--diameter", "-3"], "--diameter must be"),
        (["--angpix", "0"], "--angpix must be"),
        (["--picks", "nowhere"], "nowhere: there is no such"),
        (["--pick-options=--nonsense"], "--pick-options: error"),
        (["--pick-options=--model 'a"], "--pick-options: not words of a shell"),
        (["--labels", "l.box"], "heliodor convert"),
        (["--host", "not an address"], "--host"),
    ],
)
def test_command_line_errors_are_one_line(dataset, tmp_path, monkeypatch, capsys, words, part):
    monkeypatch.chdir(tmp_path)
    assert main(["label", str(dataset[0]), *words]) == 2
    said = capsys.readouterr().err
    assert part in said
    assert said.count("\n") == 1


def status(app):
    while app.training.status()["state"] == "running":
        time.sleep(0.05)
    return app.training.status()


def test_training_that_fails_says_why(dataset, tmp_path):
    write_picks(tmp_path / "l.txt", Picks.on("001", dataset[1]["001"]))
    app = App(find_micrographs([dataset[0]]), tmp_path / "l.txt", diameter=90_000)
    app.training.start(90_000)
    with pytest.raises(LabelError, match="going on"):
        app.training.start(40)
    said = status(app)
    assert said["state"] == "failed"
    assert said["error"]
    assert "Traceback" not in said["error"]
    app.training.start(40.0)
    app.training.cancel()
    assert app.training.status()["state"] == "cancelled"
    assert sorted(path.name for path in (tmp_path / "l-runs").iterdir()) == ["001", "002"]
    app.close()


def test_progress_as_json(capsys):
    reporter = JsonReporter()
    reporter.note("a")
    reporter.warn("b")
    assert list(reporter.track("xyz", 3, "letters")) == ["x", "y", "z"]
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[:2] == [{"note": "a"}, {"warning": "b"}]
    assert lines[-1] == {"what": "letters", "done": 3, "total": 3}
