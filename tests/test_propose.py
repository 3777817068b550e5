from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliodor.errors import MicrographError, SettingsError
from heliodor.find import find_micrographs
from heliodor.networks import Classifier, NetworkSettings
from heliodor.picking.features import FeatureReader, window_features
from heliodor.picking.load import Loader
from heliodor.picking.propose import READ, propose
from heliodor.picks import Picks

NONE = Picks([], np.empty((0, 2)))


def scattered(rng: np.random.Generator, names: list[str], each: int = 30) -> Picks:
    """Detections with scores of both heaps on every micrograph, on a grid of 50 pixels."""
    xy = np.stack([50.0 * np.arange(each), np.zeros(each)], axis=1)
    scores = np.where(rng.uniform(size=each * len(names)) < 0.5, 4.0, -4.0) + rng.normal(0, 2.0, each * len(names))
    return Picks(np.repeat(np.array(names, dtype=object), each), np.tile(xy, (len(names), 1)), scores)


def test_uncertain_picks_of_many_micrographs_come_first():
    candidates = scattered(np.random.default_rng(0), ["001", "a.b.c", "with space", "x/y", "é"])
    found = propose(candidates, NONE, radius=10, threshold=1.0, picks=10).picks
    assert len({(p.name, p.xy) for p in found}) == 10
    assert np.mean([abs(p.score - 1.0) for p in found]) < 0.3 * np.mean(abs(candidates.scores - 1.0))
    assert {p.name for p in found} == set(candidates.names)
    assert max(p.value for p in found) == found[0].value <= 1
    for p in found:
        assert p.probability == pytest.approx(1 / (1 + np.exp(1.0 - p.score)))
    assert (
        found[0].reason
        == f"uncertain: {100 * found[0].probability:.0f} % particle; nothing labelled on this micrograph"
    )


def test_calibrated_probabilities_decide_where_there_are_any():
    candidates = Picks(["m"] * 3, [[0, 0], [50, 0], [100, 0]], [0.0, 5.0, 9.0], [0.01, np.nan, 0.5])
    assert [p.score for p in propose(candidates, NONE, radius=1, threshold=5.0).picks] == [5.0, 9.0, 0.0]


def test_what_has_its_answer_is_not_proposed_and_its_micrograph_comes_later():
    candidates = Picks(["m", "m", "n"], [[0, 0], [50, 0], [0, 0]], [0.0, 0.01, 0.02])
    assert [p.name for p in propose(candidates, NONE, radius=5).picks] == ["m", "n", "m"]
    labels, negatives = Picks.on("m", [[3, 0]]), Picks.on("n", [[0, 4]])
    found = propose(candidates, labels, radius=5, negatives=negatives)
    assert [(p.name, p.xy) for p in found.picks] == [("m", (50.0, 0.0))]
    assert "nothing labelled" not in found.picks[0].reason
    assert found.micrographs == []
    labels = Picks.on("m", [[900, 0], [950, 0]])
    assert [p.name for p in propose(candidates, labels, radius=5).picks] == ["n", "m", "m"]


def test_one_micrograph_full_of_doubt_does_not_take_all_proposals():
    doubt = Picks.on("doubt", np.stack([np.arange(3000) * 9.0, np.zeros(3000)], axis=1), np.zeros(3000))
    others = [Picks.on(f"{k}", [[0, 0]], [0.5]) for k in range(5)]
    found = propose(Picks.join([doubt, *others]), NONE, radius=1, picks=8).picks
    assert {p.name for p in found} == {"doubt", "0", "1", "2", "3", "4"}
    every = propose(doubt, NONE, radius=1, picks=3000).picks
    assert len({p.xy for p in every}) == 3000


def test_features_tell_alike_from_unlike():
    """Ten detections as uncertain as one another: nine look like the label, one does not."""
    candidates = Picks(["m"] * 10, np.stack([50.0 * np.arange(10), np.zeros(10)], axis=1), np.zeros(10))
    asked = []

    def features(name: str, xy: np.ndarray) -> np.ndarray:
        asked.append(name)
        looks = np.stack([1 + xy[:, 0] / 1000, np.ones(len(xy))], axis=1) if name == "m" else np.zeros((len(xy), 2))
        return np.where(xy[:, :1] == 350.0, [[0.0, 9.0]], looks)

    labels = Picks.on("other", [[5, 5]])
    first, *rest = propose(candidates, labels, radius=5, picks=4, features=features).picks
    assert first.xy == (350.0, 0.0)
    assert first.reason == "uncertain: 50 % particle; unlike what is labelled; nothing labelled on this micrograph"
    assert not any("unlike" in p.reason for p in rest)
    assert asked == ["m", "other"]
    # Without any label what was chosen first is what the others are compared with.
    found = propose(candidates, NONE, radius=5, picks=2, features=features).picks
    assert found[1].xy == (350.0, 0.0)


def test_micrographs_are_chosen_for_their_mistakes_and_for_what_is_odd():
    rng = np.random.default_rng(1)
    names = [f"{k:03}" for k in range(30)]
    parts = [Picks.on(name, rng.uniform(0, 900, (60, 2)), rng.normal(3, 1, 60)) for name in names]
    parts[3] = Picks.on("003", rng.uniform(0, 900, (60, 2)), rng.normal(0, 0.3, 60))  # all of them uncertain
    parts[5] = Picks.on("005", rng.uniform(0, 900, (400, 2)), rng.normal(3, 1, 400))  # a crowd
    candidates = Picks.join(parts)
    labels = Picks.on("010", [[1, 1]])
    found = propose(candidates, labels, radius=5, names=[*names, "empty"], micrographs=6).micrographs
    assert len({m.name for m in found}) == 6
    assert {"003", "005", "empty"} <= {m.name for m in found}
    assert "010" not in {m.name for m in found}
    reasons = {m.name: m.reason for m in found}
    assert "60 of 60 detections are uncertain" in reasons["003"]
    assert "far more particles" in reasons["005"]
    assert reasons["empty"] == "no label yet; nothing was detected"
    assert propose(candidates, labels, radius=5, micrographs=99).micrographs[0] == found[0]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_input_gives_distinct_open_candidates(data):
    size = data.draw(st.integers(0, 30))
    names = data.draw(st.lists(st.sampled_from(["a", "b", "a.b", "001"]), min_size=size, max_size=size))
    scores = data.draw(st.lists(st.floats(-50, 50), min_size=size, max_size=size))
    xy = np.array(data.draw(st.lists(st.tuples(*[st.integers(0, 3)] * 2), min_size=size, max_size=size))).reshape(-1, 2)
    candidates = Picks(names, xy * 10.0, scores)
    labels = Picks.on("a", [[0, 0], [10, 10]])
    features = data.draw(st.sampled_from([None, lambda name, at: at / 7, lambda name, at: np.zeros((len(at), 3))]))
    found = propose(candidates, labels, radius=1, picks=5, features=features)
    keys = {(n, *p) for n, p in zip(names, candidates.xy.tolist(), strict=True)}
    chosen = [(p.name, *p.xy) for p in found.picks]
    assert set(chosen) <= keys - {("a", 0, 0), ("a", 10, 10)}
    assert len(chosen) == min(5, len(candidates.subtract(labels, 1)))
    assert all(0 <= p.value <= 1 for p in found.picks)
    assert {m.name for m in found.micrographs} <= set(names) - {"a"}
    assert found == propose(candidates, labels, radius=1, picks=5, features=features)


def test_of_thousands_of_micrographs_few_are_read():
    names = [f"grid/{k:05}" for k in range(2000)]
    candidates = scattered(np.random.default_rng(2), names, 50)
    labels = candidates.select(np.arange(0, 5000, 50))
    asked: list[str] = []

    def features(name: str, xy: np.ndarray) -> np.ndarray:
        asked.append(name)
        return np.ones((len(xy), 4))

    found = propose(candidates, labels, radius=5, names=names, picks=40, micrographs=10, features=features)
    assert len(found.picks) == 40
    assert len({p.name for p in found.picks}) > 20
    assert len(asked) == len(set(asked)) <= 2 * READ


def test_features_are_what_the_score_is_made_of(dataset):
    import torch

    folder, _ = dataset
    files = find_micrographs([str(folder)])
    torch.manual_seed(0)
    network = Classifier(NetworkSettings(units=4)).eval()
    load = Loader(2.0, 1.5)
    reader = FeatureReader(network, load, files)
    small, scale = load(files[0])
    xy = np.array([[0.0, 0.0], [30.2, 51.4], [small.pixels.shape[1] - 1, small.pixels.shape[0] - 1]])
    features = reader(files[0].name, xy * scale)
    assert features.shape == (3, network.latent)
    assert features == pytest.approx(window_features(network, small.pixels, xy), abs=1e-6)
    with torch.inference_mode():
        dense = network.dense(torch.from_numpy(small.pixels[None]))[0].numpy()
        scores = network.head(torch.from_numpy(features)[:, :, None, None])[:, 0, 0, 0].numpy()
    x, y = np.rint(xy).astype(int).T
    assert scores == pytest.approx(dense[y, x], abs=1e-4)
    assert reader(files[0].name, np.empty((0, 2))).shape == (0, network.latent)


def test_errors_name_their_cause():
    with pytest.raises(SettingsError, match="scores"):
        propose(Picks(["m"], [[0, 0]]), NONE, radius=1)
    with pytest.raises(SettingsError, match="radius"):
        propose(NONE, NONE, radius=-1)
    assert propose(NONE, NONE, radius=1).picks == []
    with pytest.raises(MicrographError, match="nowhere"):
        FeatureReader(Classifier(NetworkSettings(units=1)), Loader(None), [])("nowhere", np.zeros((1, 2)))
