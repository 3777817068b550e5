from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from heliodor.errors import FormatError, LabelError, OutputError, SettingsError
from heliodor.formats import read_picks
from heliodor.picking.answers import NO, OPEN, YES, Answers, read_answers, write_answers
from heliodor.picking.audit import assess, draw_sample
from heliodor.picks import Picks


def ranking(rng: np.random.Generator, size: int, curve) -> tuple[Picks, np.ndarray]:
    """Detections with scores on a few micrographs, and whether each is a particle."""
    scores = rng.normal(-1, 2.5, size)
    names = np.array(["001", "a.b.c", "with space", 'a "quote"'])[np.arange(size) % 4]
    xy = np.stack([np.arange(size) * 7.0, rng.uniform(0, 4000, size)], axis=1)
    return Picks(names, xy, scores), rng.uniform(size=size) < curve(scores)


def tell(answers: Answers, candidates: Picks, truth: np.ndarray) -> Answers:
    return Answers(answers.picks, truth[rows_of(answers.picks)].astype(int))


def rows_of(picks: Picks) -> np.ndarray:
    return np.rint(picks.xy[:, 0] / 7).astype(int)


CURVES = {
    "steep": lambda s: expit(4 * s),
    "shallow": lambda s: expit(0.6 * s),
    "a tenth of the best are false": lambda s: 0.9 * expit(3 * s),
    "nearly all are particles": lambda s: np.full(len(s), 0.98),
}


@pytest.mark.parametrize("kind", CURVES)
def test_intervals_cover_the_truth(kind):
    covered = []
    for seed in range(12):
        candidates, truth = ranking(np.random.default_rng(seed), 2000, CURVES[kind])
        answers = tell(draw_sample(candidates, threshold=0.0, seed=seed), candidates, truth)
        audit = assess(candidates, answers, seed=seed)
        for threshold in (-2.0, 0.0, 2.0):
            cut, picked = audit.at(threshold), candidates.scores > threshold
            assert cut.picks == picked.sum()
            covered.append(cut.precision.low <= truth[picked].mean() <= cut.precision.high)
            covered.append(cut.recall.low <= truth[picked].sum() / truth.sum() <= cut.recall.high)
    assert np.mean(covered) > 0.8  # of nominal 0.95, from 12 rankings; see docs/explanation.md


def test_sixty_answers_say_enough_to_choose_a_threshold():
    precisions, losses = [], []
    for seed in range(12):
        candidates, truth = ranking(np.random.default_rng(100 + seed), 2000, CURVES["steep"])
        # The present threshold is far too low.
        answers = tell(draw_sample(candidates, threshold=-1.5, seed=seed), candidates, truth)
        audit = assess(candidates, answers, seed=seed)
        picked = candidates.scores > audit.for_precision(0.9).threshold
        precisions.append(truth[picked].mean())
        picked = candidates.scores > audit.best_f1().threshold
        f1 = 2 * truth[picked].sum() / (picked.sum() + truth.sum())
        ranked = truth[np.argsort(-candidates.scores)]
        best = (2 * np.cumsum(ranked) / (np.arange(1, len(ranked) + 1) + truth.sum())).max()
        losses.append(best - f1)
    assert abs(np.mean(precisions) - 0.9) < 0.06
    assert np.mean(losses) < 0.03


def test_more_answers_say_more():
    candidates, truth = ranking(np.random.default_rng(3), 3000, CURVES["shallow"])

    def width(count: int) -> float:
        answers = tell(draw_sample(candidates, threshold=0.0, count=count, seed=3), candidates, truth)
        precision = assess(candidates, answers).at(0.0).precision
        return precision.high - precision.low

    assert width(15) > width(60) > width(400)


def test_where_all_are_answered_the_numbers_are_the_truth():
    candidates, truth = ranking(np.random.default_rng(4), 50, CURVES["shallow"])
    answers = tell(draw_sample(candidates, threshold=0.0, count=1000, seed=4), candidates, truth)
    assert len(answers) == 50
    audit = assess(candidates, answers)
    picked = candidates.scores > 0.0
    assert audit.at(0.0).precision == pytest.approx([truth[picked].mean()] * 3)
    assert audit.at(0.0).recall == pytest.approx([truth[picked].sum() / truth.sum()] * 3)
    assert audit.at(1e9).picks == 0
    assert np.isnan(audit.at(1e9).precision.middle)
    assert audit.at(-1e9).recall.middle == 1


def test_particles_without_a_detection_lower_the_recall():
    candidates, truth = ranking(np.random.default_rng(5), 1000, CURVES["steep"])
    answers = tell(draw_sample(candidates, threshold=0.0, seed=5), candidates, truth)
    among = assess(candidates, answers).at(-5.0).recall.middle
    of_all = assess(candidates, answers, found=(80, 100)).at(-5.0).recall
    assert of_all.middle == pytest.approx(0.8 * among, abs=0.03)
    assert of_all.low < 0.8 * among < of_all.high


@settings(max_examples=25, deadline=None)
@given(
    scores=st.lists(st.integers(-3, 3), min_size=1, max_size=40),
    data=st.data(),
)
def test_curves_are_sound_whatever_the_scores_and_answers(scores, data):
    """Ties, few candidates, one answer, answers that contradict the ranking."""
    size = len(scores)
    candidates = Picks(["m"] * size, np.stack([np.arange(size) * 7.0, np.zeros(size)], axis=1), scores)
    count, seed = data.draw(st.integers(1, 50)), data.draw(st.integers(0, 9))
    asked = draw_sample(candidates, threshold=0.0, count=count, seed=seed)
    assert len(asked) == min(count, size) == len({tuple(xy) for xy in asked.picks.xy.tolist()})
    given_ = np.array(data.draw(st.lists(st.sampled_from([YES, NO, OPEN]), min_size=len(asked), max_size=len(asked))))
    answers = Answers(asked.picks, given_)
    if not len(answers.particles) + len(answers.others):
        with pytest.raises(LabelError, match="no answer"):
            assess(candidates, answers)
        return
    audit = assess(candidates, answers, seed=seed)
    known = rows_of(answers.particles.select(np.ones(len(answers.particles), bool)))
    for cut in audit.curve:
        picked = candidates.scores > cut.threshold
        assert cut.picks == picked.sum() > 0
        assert 0 <= cut.precision.low <= cut.precision.middle <= cut.precision.high <= 1
        assert 0 <= cut.recall.low <= cut.recall.high <= 1
        assert cut.precision.low * cut.picks >= picked[known].sum() - 1e-9
    recalls = [cut.recall.middle for cut in audit.curve]
    assert recalls == sorted(recalls)
    sizes = [cut.picks for cut in audit.curve]
    assert sizes == sorted(set(sizes) & {int((candidates.scores >= s).sum()) for s in scores})
    assert sizes[-1] == size
    again = assess(candidates, answers, seed=seed)
    assert [c.precision for c in again.curve] == [c.precision for c in audit.curve]


def test_the_sample_is_spread_and_dense_near_the_threshold():
    candidates, _ = ranking(np.random.default_rng(6), 20000, CURVES["steep"])
    sample = draw_sample(candidates, threshold=2.5, seed=6).picks
    assert len(sample) == 60
    near = abs(sample.scores - 2.5) < 1
    assert near.sum() > 2 * 60 * (abs(candidates.scores - 2.5) < 1).mean()
    assert (sample.scores > 2.5).sum() > 15
    assert (sample.scores < np.median(candidates.scores)).sum() > 3
    # In no order of score, the same for a seed, and another for another.
    assert abs(np.corrcoef(sample.scores, np.arange(60))[0, 1]) < 0.4
    assert (draw_sample(candidates, threshold=2.5, seed=6).picks.xy == sample.xy).all()
    assert (draw_sample(candidates, threshold=2.5, seed=7).picks.xy != sample.xy).any()
    # Any threshold is in order, one that everything lies above or below too.
    assert len(draw_sample(candidates, threshold=1e6)) == len(draw_sample(candidates, threshold=-1e6)) == 60


def test_answers_come_back_from_their_file(tmp_path):
    candidates, truth = ranking(np.random.default_rng(8), 200, CURVES["steep"])
    answers = tell(draw_sample(candidates, threshold=0.0, count=20), candidates, truth).answered(3, OPEN)
    write_answers(tmp_path / "audit.tsv", answers)
    back = read_answers(tmp_path / "audit.tsv")
    assert back.given.tolist() == answers.given.tolist()
    assert back.picks.names.tolist() == answers.picks.names.tolist()
    assert back.picks.xy == pytest.approx(answers.picks.xy, abs=1e-3)
    assert back.open.tolist() == [3]
    assert len(back.particles) + len(back.others) == 19
    assert assess(candidates, back).at(0.0) == assess(candidates, answers).at(0.0)
    # A table of answers is none of labels: what was called no particle must not be learned as one.
    with pytest.raises(FormatError, match="image_name"):
        read_picks(tmp_path / "audit.tsv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line"),
        ("image_name\tx_coord\ty_coord\n", "first line"),
        ("micrograph\tx\ty\tscore\tanswer\n001\t1\t2\t3\tperhaps\n", "line 2"),
        ("micrograph\tx\ty\tscore\tanswer\n\n001\t1\t2\tno\n", "line 3"),
        ("micrograph\tx\ty\tscore\tanswer\n001\tnan\t2\t3\tno\n", "finite"),
    ],
)
def test_what_is_no_table_of_answers_is_refused(tmp_path, text, message):
    path = tmp_path / "audit.tsv"
    path.write_text(text)
    with pytest.raises(FormatError, match=message) as error:
        read_answers(path)
    assert str(path) in str(error.value)


def test_other_errors_name_their_cause(tmp_path):
    candidates, truth = ranking(np.random.default_rng(9), 100, CURVES["steep"])
    answers = tell(draw_sample(candidates, threshold=0.0, count=10), candidates, truth)
    moved = Picks(candidates.names, candidates.xy + 3, candidates.scores)
    with pytest.raises(LabelError, match="other picks"):
        assess(moved, answers)
    with pytest.raises(LabelError, match="other picks"):
        assess(candidates.renamed({"001": "002"}), answers)
    with pytest.raises(SettingsError, match="scores"):
        draw_sample(Picks(["m"], [[0, 0]]), threshold=0.0)
    for wrong in ({"level": 1.0}, {"found": (3, 2)}):
        with pytest.raises(SettingsError):
            assess(candidates, answers, **wrong)
    with pytest.raises(SettingsError):
        assess(candidates, answers).for_precision(0)
    with pytest.raises(SettingsError):
        draw_sample(candidates, threshold=0.0, count=0)
    with pytest.raises(ValueError, match="1, 0 or -1"):
        Answers(candidates, [1])
    with pytest.raises(FormatError, match="cannot read"):
        read_answers(tmp_path / "none.tsv")
    with pytest.raises(FormatError, match="tab"):
        write_answers(tmp_path / "audit.tsv", Answers(Picks(["a\tb"], [[0, 0]], [1.0])))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        write_answers(tmp_path / "file" / "audit.tsv", answers)
    assert assess(candidates, answers).for_precision(1.0, sure=0.999) is None
