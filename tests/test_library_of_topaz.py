"""Capabilities that Topaz's commands need, by themselves: rates of pixels, particles, held-out micrographs, prior."""

from __future__ import annotations

import argparse

import numpy as np
import pytest

from heliodor.cli.topaz.training import budget, prior
from heliodor.errors import LabelError, MicrographError, SettingsError
from heliodor.evaluation.pixels import pixel_rates
from heliodor.find import find_micrographs
from heliodor.names import match_names
from heliodor.particles import cut, write_stack
from heliodor.picking.radius import best_radius
from heliodor.picks import Picks
from heliodor.training.splits import hold_out
from heliodor.training.tiles import Example


def test_pixel_rates_equal_their_definitions():
    rng = np.random.default_rng(0)
    scores, positive = rng.normal(size=(20, 30)), rng.random((20, 30)) < 0.2
    p = 1 / (1 + np.exp(-scores))
    found = pixel_rates([scores[:7], scores[7:]], [positive[:7], positive[7:]])
    assert found.precision == pytest.approx(p[positive].sum() / p.sum())
    assert (found.tpr, found.fpr) == pytest.approx((p[positive].mean(), p[~positive].mean()))
    assert found.loss == pytest.approx(-np.where(positive, np.log(p), np.log(1 - p)).mean())
    order = np.argsort(-scores.ravel())
    hits = np.cumsum(positive.ravel()[order])
    at = np.flatnonzero(positive.ravel()[order])
    assert found.average_precision == pytest.approx((hits[at] / (at + 1)).mean())
    with pytest.raises(LabelError):
        pixel_rates([scores], [np.zeros_like(positive)])


def test_windows_are_centred_and_stay_within_the_array():
    pixels = np.arange(400, dtype=np.float32).reshape(20, 20)
    windows, inside = cut(pixels, [[10, 5], [1, 10], [18, 18], [4, 4]], 8)
    assert inside.tolist() == [True, False, False, True]
    assert (windows[0][4, 4], windows[1][0, 0]) == (pixels[5, 10], 0)
    assert cut(pixels, np.empty((0, 2)), 8)[0].shape == (0, 8, 8)


def test_a_stack_of_nothing_is_refused(tmp_path):
    with pytest.raises(MicrographError, match="no particle"):
        write_stack(tmp_path / "s.mrcs", [], Picks([], np.empty((0, 2))), 10)
    with pytest.raises(SettingsError, match="size"):
        write_stack(tmp_path / "s.mrcs", [], Picks([], np.empty((0, 2))), 10, resize=20)


def test_hold_out_is_decided_by_the_seed_and_keeps_the_order():
    items = list("abcdefgh")
    kept, held = hold_out(items, 3, seed=5)
    assert hold_out(items, 3, seed=5) == (kept, held)
    assert (sorted(kept + held), len(held), kept) == (items, 3, sorted(kept))
    with pytest.raises(SettingsError):
        hold_out(items, 8)


def test_the_best_radius_is_that_of_the_particles():
    y, x = np.mgrid[:90, :90]
    centres = np.array([[20.0, 20.0], [20.0, 32.0], [60.0, 60.0], [60.0, 72.0]])
    # A bump beside each bright particle scores more than the faint ones: too small a radius takes it for a particle.
    bumps = [(cx, cy, h) for (cx, cy), h in zip(centres, (5.0, 5.0, 3.0, 3.0), strict=True)]
    bumps += [(16.0, 20.0, 4.2), (16.0, 32.0, 4.4)]
    scores = -5 + sum(h * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 2) for a, b, h in bumps)
    fit = best_radius({"m": scores}, {"m": centres}, [2, 7, 30], threshold=-4, match_radius=3)
    assert (fit.radius, fit.recall, fit.labels) == (7, 1.0, 4)
    assert fit.average_precision == pytest.approx(1)
    with pytest.raises(LabelError):
        best_radius({"m": scores}, {"other": centres}, [5], threshold=0)


def test_pi_is_that_of_topaz_0_2_5():
    example = Example("m", np.zeros((100, 100), np.float32), np.array([[50.0, 50.0], [20.0, 20.0]]), np.empty((0, 2)))
    options = argparse.Namespace(num_particles=10.0, pi=None, radius=3.0)
    pi, observed = prior(options, [example, example])
    assert pi == pytest.approx(10 * 29 / 100**2)
    assert observed == pytest.approx(2 * 29 / 100**2)
    with pytest.raises(SettingsError, match="do not fit"):
        prior(argparse.Namespace(num_particles=1000.0, pi=None, radius=3.0), [example])


@pytest.mark.parametrize(("minibatch", "balance", "epoch"), [(256, 0.0625, 1000), (128, 0.0625, 5000), (64, 0.1, 1000)])
def test_an_epoch_scores_as_many_regions_as_topaz(minibatch, balance, epoch):
    label_tiles, random_tiles, size = budget(minibatch, balance, epoch)
    assert label_tiles == round(minibatch * balance / 2)
    assert size * (label_tiles + random_tiles) * 16 == pytest.approx(minibatch * epoch, rel=0.02)


def test_lists_name_micrographs(tmp_path):
    for number in (1, 2):
        (tmp_path / f"{number}.mrc").write_bytes(b"")
    (tmp_path / "list.txt").write_text(f"image_name\tpath\n000001\t{tmp_path}/1.mrc\n000002\t{tmp_path}/2.mrc\n")
    files = find_micrographs([tmp_path / "list.txt"])
    assert [file.name for file in files] == ["000001", "000002"]
    assert match_names(["000002", "1"], files) == {"000002": "000002", "1": "000001"}
