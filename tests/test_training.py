from __future__ import annotations

from dataclasses import replace
from math import nan

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from conftest_helpers import Listener, disc_examples
from heliodor.devices import device_of
from heliodor.errors import LabelError, SettingsError
from heliodor.evaluation import match
from heliodor.networks import NetworkSettings
from heliodor.networks.scorers import Machine
from heliodor.picking.detect import Detector
from heliodor.picking.learn import _hold_out, objective_from_start
from heliodor.picking.pilots import count_by_pilots
from heliodor.picking.settings import PickSettings
from heliodor.training.fit import fit
from heliodor.training.history import read_table
from heliodor.training.labels import OUTSIDE, disc, expected_particles, label_map, pi_of_all, prior
from heliodor.training.loop import Trainer, _means, train
from heliodor.training.objectives import NEGATIVE, POSITIVE, UNLABELED
from heliodor.training.settings import TrainingSettings
from heliodor.training.splits import k_fold
from heliodor.training.tiles import Example, TileSampler

SMALL = {"network": NetworkSettings(units=8), "epochs": 3, "epoch_size": 20, "pi": 0.05}


def test_a_disc_of_radius_3_has_29_pixels():
    assert len(disc(3)) == 29


def test_label_map_equals_a_loop_over_pixels():
    positives, negatives = np.array([[3.2, 4.6], [0, 0]]), np.array([[6.0, 5.0]])
    marks = label_map((9, 12), positives, negatives, 2.0)
    for y in range(9):
        for x in range(12):
            near = [min(((np.rint(c) - (x, y)) ** 2).sum(axis=1)) <= 4 for c in (positives, negatives)]
            assert marks[y, x] == (POSITIVE if near[0] else NEGATIVE if near[1] else UNLABELED)


@given(st.floats(1, 60), st.integers(1, 5), st.integers(2, 4))
def test_prior_and_expected_particles_are_inverses(particles, micrographs, radius):
    labels = int(particles * micrographs * 0.3)
    known = (labels, micrographs, micrographs * 100_000, radius)
    if particles * micrographs - labels > 1:
        assert expected_particles(prior(particles, *known), *known) == pytest.approx(particles)


def test_more_particles_than_pixels_are_refused():
    with pytest.raises(SettingsError, match="do not fit"):
        prior(1000, 10, 1, 40_000, 3)


def sampler(example, **options):
    options = {"label_tiles": 5, "random_tiles": 7, "label_radius": 3, "outputs": 4, **options}
    return TileSampler([example], receptive_field=31, stride=4, **options)


def test_an_unturned_tile_is_a_plain_crop_with_zeros_outside():
    pixels = np.random.default_rng(0).normal(size=(60, 70)).astype(np.float32)
    example = Example("m", pixels, np.array([[30.0, 20.0]]), np.empty((0, 2)))
    cut = sampler(example, outputs=1).cut(
        np.zeros(2, np.int64), np.array([[20.0, 30.0], [2.0, 69.0]]), np.eye(2)[None].repeat(2, 0)
    )
    padded = np.pad(pixels, 15)
    np.testing.assert_allclose(cut.windows[0], padded[20:51, 30:61], atol=1e-5)
    np.testing.assert_allclose(cut.windows[1], padded[2:33, 69:100], atol=1e-5)
    assert cut.labels.ravel().tolist() == [POSITIVE, UNLABELED]


def test_labels_of_a_tile_are_those_of_its_turned_positions():
    pixels = np.zeros((80, 90), np.float32)
    example = Example("m", pixels, np.array([[40.0, 30.0]]), np.array([[60.0, 60.0]]))
    tiles = sampler(example)
    angle = 0.7
    axes = np.array([[[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]]])  # turned and mirrored
    centre = np.array([[33.0, 41.0]])
    cut = tiles.cut(np.zeros(1, np.int64), centre, axes)
    marks = label_map(pixels.shape, example.positives, example.negatives, 3)
    for i in range(4):
        for j in range(4):
            y, x = np.rint(centre[0] + axes[0] @ (4 * np.array([i - 1.5, j - 1.5]))).astype(int)
            assert cut.labels[0, i, j] == marks[y, x]


def test_label_tiles_hold_labels_and_places_outside_count_for_nothing():
    example = Example("m", np.ones((50, 50), np.float32), np.array([[1.0, 1.0]]), np.empty((0, 2)))
    batch = sampler(example).batch(0, 0)
    assert (batch.labels[:5] == POSITIVE).flatten(1).any(dim=1).all()
    assert (batch.labels[:5] == OUTSIDE).any()


def test_batches_depend_on_seed_epoch_and_index_only():
    example = disc_examples(1)[0]
    one, two = sampler(example, seed=3), sampler(example, seed=3)
    two.batch(0, 0)
    assert torch.equal(one.batch(2, 5).windows, two.batch(2, 5).windows)
    assert not torch.equal(one.batch(2, 5).windows, one.batch(2, 6).windows)


def both(window, labels):
    """A tile and its mirror image."""
    return [(window.numpy(), labels.numpy()), (window.numpy().T, labels.numpy().T)]


@pytest.mark.parametrize(("receptive_field", "outputs"), [(31, 4), (30, 3), (31, 1)])
def test_tiles_along_the_grid_are_crops_of_the_micrograph_in_one_of_eight_orientations(receptive_field, outputs):
    pixels = np.random.default_rng(0).normal(size=(150, 160)).astype(np.float32)
    example = Example("m", pixels, np.array([[70.0, 80.0]]), np.empty((0, 2)))
    shape = {"receptive_field": receptive_field, "stride": 4, "label_radius": 3, "outputs": outputs}
    tiles = TileSampler([example], **shape, label_tiles=8, random_tiles=32, aligned=1.0)
    padded = np.pad(pixels, tiles.side)
    crops = np.lib.stride_tricks.sliding_window_view(padded, (tiles.side, tiles.side))
    marks = np.pad(label_map(pixels.shape, example.positives, [], 3), tiles.side, constant_values=OUTSIDE)
    marks = np.lib.stride_tricks.sliding_window_view(marks, (tiles.side, tiles.side))
    middle = slice(receptive_field // 2, tiles.side - (receptive_field - 1) // 2, 4)
    orientations = set()
    for window, labels in zip(*vars(tiles.batch(0, 0)).values(), strict=True):
        # The brightest pixel of a tile tells where on the micrograph it is from.
        turned = [(np.rot90(w, k), np.rot90(m, k)) for w, m in both(window, labels) for k in range(4)]
        matches = [
            (k, marks[tuple(place)][middle, middle], m)
            for k, (w, m) in enumerate(turned)
            for place in np.argwhere(padded == w.max()) - np.argwhere(w == w.max())
            if np.array_equal(crops[tuple(place)], w)
        ]
        assert len(matches) == 1
        k, expected, found = matches[0]
        assert receptive_field % 2 == 0 or (expected == found).all()
        orientations.add(k)
    assert len(orientations) == 8


def test_tiles_off_the_grid_blur_the_noise_and_the_share_of_those_along_it_is_as_asked():
    pixels = np.random.default_rng(0).normal(size=(2000, 2000)).astype(np.float32)
    example = Example("m", pixels, np.array([[1000.0, 1000.0]]), np.empty((0, 2)))
    deviations = {
        share: sampler(example, random_tiles=400, aligned=share).batch(0, 0).windows[5:].std(dim=(1, 2)).numpy()
        for share in (0.0, 0.3, 1.0)
    }
    assert np.median(deviations[0.0]) < 0.8
    assert np.median(deviations[1.0]) == pytest.approx(1.0, abs=0.05)
    assert (deviations[0.3] > 0.9).mean() == pytest.approx(0.3, abs=0.07)


def test_each_source_gets_the_same_share_of_tiles():
    rng = np.random.default_rng(0)
    large = [
        Example(
            f"a{k}", rng.normal(size=(90, 90)).astype(np.float32) + 100, np.full((9, 2), 40.0), np.empty((0, 2)), "a"
        )
        for k in range(4)
    ]
    small = [
        Example("b", rng.normal(size=(60, 60)).astype(np.float32), np.array([[30.0, 30.0]]), np.empty((0, 2)), "b")
    ]
    tiles = TileSampler(
        [*large, *small], receptive_field=31, stride=4, label_radius=3, label_tiles=400, random_tiles=400
    )
    from_large = tiles.batch(0, 0).windows.amax(dim=(1, 2)) > 50
    assert 0.4 < from_large[:400].float().mean() < 0.6
    assert 0.4 < from_large[400:].float().mean() < 0.6


def test_labels_off_every_micrograph_are_refused():
    with pytest.raises(LabelError, match="no labelled particle"):
        sampler(Example("m", np.ones((50, 50), np.float32), np.array([[500.0, 500.0]]), np.empty((0, 2))))


@pytest.mark.parametrize("method", ["PN", "PU", "GE-KL", "GE-binomial"])
def test_every_objective_learns_to_find_discs(method):
    examples = disc_examples(3)
    shown = [Example(e.name, e.pixels, e.positives[:6], e.negatives) for e in examples[:2]]
    network, history = train(shown, TrainingSettings(**{**SMALL, "method": method, "epoch_size": 40}))
    xy, scores = Detector(7.0, 3.0, -50.0)(network, examples[2].pixels)
    truth = examples[2].positives
    assert match(xy[: len(truth)], scores[: len(truth)], truth, 5.0).hit.mean() > 0.8
    assert len(history) == 3


def test_autoencoder_dropout_and_l2_take_part():
    settings = TrainingSettings(
        **{**SMALL, "autoencoder": 1.0, "l2": 1e-3, "network": NetworkSettings(units=8, dropout=0.2), "epochs": 2}
    )
    _, history = train(disc_examples(1), settings)
    assert 0 < history[1]["reconstruction"] < history[0]["reconstruction"]


def test_interrupted_training_ends_like_uninterrupted(tmp_path):
    settings = TrainingSettings(**{**SMALL, "network": NetworkSettings(units=8, dropout=0.1), "autoencoder": 0.1})
    examples, detector = disc_examples(2), Detector(7.0, 3.0)
    options = {"detector": detector, "match_radius": 5.0, "validation": examples[1:]}
    whole = fit(examples[:1], settings, table=tmp_path / "whole.tsv", **options)

    class Stop(Exception):
        pass

    def stop(epoch, network):
        if epoch == 3:
            raise Stop

    files = {"table": tmp_path / "parts.tsv", "checkpoint": tmp_path / "checkpoint.pt"}
    with pytest.raises(Stop):
        fit(examples[:1], settings, **files, **options, on_epoch=stop)
    parts = fit(examples[:1], settings, **files, **options)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name
    for one, two in zip(read_table(tmp_path / "whole.tsv"), read_table(tmp_path / "parts.tsv"), strict=True):
        assert {**one, "seconds": 0} == {**two, "seconds": 0}
        assert 0 <= one["held_out_ap"] <= 1


@pytest.mark.parametrize("change", ["pi", "labels", "network"])
def test_a_checkpoint_of_another_training_is_not_gone_on_with(tmp_path, change):
    examples, listener = disc_examples(1), Listener()
    other = {"pi": 0.1, "labels": 0.05, "network": 0.05}[change]
    settings = TrainingSettings(**{**SMALL, "epochs": 2, "pi": other})
    if change == "network":
        settings = replace(settings, network=NetworkSettings(units=4))
    shown = [replace(examples[0], positives=examples[0].positives[1:])] if change == "labels" else examples
    checkpoint = tmp_path / "checkpoint.pt"

    def epoch_one(epoch, network):
        if epoch == 2:
            raise KeyboardInterrupt

    places = {"detector": Detector(7.0, 3.0), "match_radius": 5.0}
    with pytest.raises(KeyboardInterrupt):
        first = TrainingSettings(**{**SMALL, "epochs": 2})
        fit(examples, first, checkpoint=checkpoint, on_epoch=epoch_one, **places)
    fresh = fit(shown, settings, **places)
    again = fit(shown, settings, checkpoint=checkpoint, reporter=listener, **places)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in fresh.state_dict().items())
    said = {"pi": "pi was 0.05, is 0.1", "labels": "the labels differ", "network": "units was 8, is 4"}[change]
    assert len(listener.warnings) == 1
    assert said in listener.warnings[0]
    assert "starts afresh" in listener.warnings[0]


def test_of_several_devices_training_takes_the_first():
    assert Trainer(disc_examples(1), TrainingSettings(**SMALL), "cpu,meta").device == torch.device("cpu")


def test_the_count_is_found_from_few_labels():
    examples = disc_examples(3, particles=25)
    shown = [Example(e.name, e.pixels, e.positives[:8], e.negatives) for e in examples]
    count = count_by_pilots(
        shown, TrainingSettings(**SMALL), Detector(7.0, 3.0, -50.0), 5.0, 14.0, 60.0, machine=Machine("cpu")
    )
    assert 17 < count.particles < 35
    assert count.low <= count.particles <= count.high


def test_folds_are_disjoint_cover_everything_and_balance_sources():
    sources = ["a"] * 6 + ["b"] * 3
    held = [k_fold(sources, 3, fold, seed=1)[1] for fold in range(3)]
    assert sorted(row for part in held for row in part) == list(range(9))
    assert all(sorted(sources[k] for k in part) == ["a", "a", "b"] for part in held)
    with pytest.raises(SettingsError):
        k_fold(sources, 3, 3, seed=1)


@pytest.mark.parametrize("options", [{"method": "GE"}, {"pi": 0.0}, {"pi": 1.2}, {"epochs": 0}, {"l2": -1.0}])
def test_settings_out_of_range(options):
    with pytest.raises(SettingsError):
        TrainingSettings(**options)


def test_a_device_that_is_not_there():
    assert device_of("-1").type == "cpu"
    with pytest.raises(SettingsError, match="not available"):
        device_of("cuda:99")


def test_weight_of_the_penalty_shrinks_with_the_regions_of_tiles():
    settings = TrainingSettings(slack=1)
    assert settings.weight(240) == 1
    assert settings.weight(960) == 0.25
    assert TrainingSettings().weight(240) == 0.1
    assert TrainingSettings().from_start().weight(240) == 1
    assert TrainingSettings(slack=0.3).from_start().weight(240) == 0.3
    assert TrainingSettings(method="GE-KL").from_start().weight(960) == 10
    assert TrainingSettings(method="PU").from_start().weight(960) is None
    assert TrainingSettings(method="PU", pi_of_all=0.2).from_start().weight(960) == 0.2
    assert TrainingSettings(method="GE-KL").weight(960) == 10
    assert Trainer(disc_examples(1), TrainingSettings(**SMALL)).sampler.side == 43


@pytest.mark.parametrize(
    ("labels", "negatives", "given", "objective"),
    [
        (50, 0, {}, "PU"),
        (49, 0, {}, "GE-binomial"),
        (50, 1, {}, "GE-binomial"),
        (50, 0, {"slack": 1.0}, "GE-binomial"),
        (50, 0, {"method": "GE-KL"}, "GE-KL"),
        (10, 1, {"method": "PU"}, "PU"),
    ],
)
def test_with_many_labels_and_no_negatives_pretrained_networks_train_by_pu(labels, negatives, given, objective):
    pixels = np.zeros((40, 40), np.float32)
    examples = [Example("a", pixels, np.zeros((labels - 5, 2)), np.zeros((negatives, 2)))]
    examples += [Example("b", pixels, np.zeros((5, 2)), np.empty((0, 2)))]
    assert objective_from_start(examples, PickSettings(diameter=40.0, **given)) == objective


@pytest.mark.parametrize("share", [0.01, 1.5, nan])
def test_positives_of_all_are_no_fewer_than_of_the_unlabelled(share):
    with pytest.raises(SettingsError, match="pi_of_all must be in"):
        TrainingSettings(method="PU", pi=0.05, pi_of_all=share)


@given(st.integers(1, 60), st.integers(0, 300))
def test_pi_of_all_count_the_labelled_ones(particles, labels):
    known = (min(labels, 5 * particles - 1), 5, 500_000, 3.0)
    everywhere = prior(particles, 0, 5, 500_000, 3.0)
    assert pi_of_all(prior(particles, *known), known[0], 500_000, 3.0) == pytest.approx(everywhere)


def test_micrographs_without_labelled_particles_are_never_set_aside():
    none = np.empty((0, 2))
    pixels, some = np.zeros((40, 40), np.float32), np.array([[9.0, 9.0]])
    labelled = [Example(f"p{k}", pixels, some, none) for k in range(2)]
    negatives = [Example(f"n{k}", pixels, none, some) for k in range(18)]
    for seed in range(5):
        settings = PickSettings(diameter=40.0, seed=seed, held_out=0.5)
        training, validation = _hold_out([*negatives, *labelled], settings)
        assert [e.name[0] for e in validation] == ["p"]
        assert len(training) == 19
        assert _hold_out([*negatives, labelled[0]], settings) == ([*negatives, labelled[0]], [])


def test_minibatches_without_a_labelled_particle_say_nothing_about_recall():
    some = {"loss": 1.0, "recall": 0.5, "expected_precision": 0.2}
    rows = [some, {"loss": 3.0, "recall": nan, "expected_precision": nan}]
    assert _means(rows) == {"loss": 2.0, "recall": 0.5, "expected_precision": 0.2}
    assert np.isnan(_means(rows[1:])["recall"])
    assert np.isnan(_means([{**some, "loss": nan}, *rows])["loss"])
