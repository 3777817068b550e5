"""Counting by the scores of the network that training starts from, on real micrographs that a person labelled whole."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest_helpers import Listener
from heliodor.errors import SettingsError
from heliodor.find import find_micrographs
from heliodor.formats import read_picks
from heliodor.networks import NetworkSettings
from heliodor.networks.pretrained import load_pretrained
from heliodor.networks.scorers import Machine
from heliodor.picking.count import Count, Source, count_by_scores
from heliodor.picking.geometry import derive_geometry
from heliodor.picking.load import Loader
from heliodor.picking.prior import check_prior, settle_prior
from heliodor.picking.run import Run
from heliodor.picking.settings import PickSettings
from heliodor.training.settings import TrainingSettings
from heliodor.training.tiles import Example

EXAMPLE = Path(__file__).parent.parent / "examples" / "apoferritin"
NONE = np.empty((0, 2))
CPU = Machine("cpu")


@pytest.mark.parametrize(
    ("low", "high", "source", "told"),
    [
        (0.5, 40.0, Source.GENERAL, "next to nothing surely stands out"),
        (0.5, 40.0, Source.TYPICAL, "(0 to 40 per micrograph)"),
        (3.0, 68.0, Source.GENERAL, "(3 to 68 per micrograph)"),
        (41.0, 911.0, Source.START, "is hardly known (41 to 911 per micrograph)"),
        (20.0, 97.0, Source.TRAINED, None),
        (0.5, 4.0, Source.PILOTS, None),
        (100.0, 100.0, Source.USER, None),
    ],
)
def test_a_number_that_is_hardly_known_is_told(low, high, source, told):
    doubt = Count(low, low, high, source).doubt
    assert doubt is None if told is None else told in doubt


@pytest.fixture(scope="module")
def geometry():
    return derive_geometry(120.0, load_size())


def load_size():
    from heliodor.micrographs import read_header

    size = read_header(next(EXAMPLE.glob("*.mrc")))[1]
    assert size is not None
    return size


@pytest.fixture(scope="module")
def labelled(geometry):
    """Two micrographs, and all their particles."""
    human = read_picks(EXAMPLE / "human.txt")
    load, names = Loader(geometry.pixel_size, geometry.factor, "flat"), human.micrographs()[:2]
    examples = []
    for file in find_micrographs([str(EXAMPLE / f"{name}.mrc") for name in names]):
        micrograph, scale = load(file)
        examples.append(Example(file.name, micrograph.seen, human.of(file.name).xy / scale, NONE))
    return examples


@pytest.fixture(scope="module")
def start():
    found = load_pretrained(NetworkSettings())
    assert found is not None
    return found


def run(settings, geometry):
    return Run(Path(), "", settings, geometry, Loader(1.5, geometry.factor, "flat"), CPU)


def some(examples, which):
    return [replace(e, positives=e.positives[which(e)]) for e in examples]


def test_few_labels_count_all_particles_and_which_ones_does_not_matter(labelled, geometry, start):
    truth = np.mean([len(e.positives) for e in labelled])
    left = count_by_scores(some(labelled, lambda e: np.argsort(e.positives[:, 0])[:3]), start[0], geometry, 0, CPU)
    right = count_by_scores(some(labelled, lambda e: np.argsort(e.positives[:, 0])[-9:]), start[0], geometry, 0, CPU)
    assert left is not None
    assert left.particles == pytest.approx(truth, rel=0.2)
    assert left.low < left.particles < left.high
    assert left == right


def test_labels_that_the_network_does_not_know_are_left_to_pilots(labelled, geometry, start):
    """Labels between the particles: nothing that it has been taught to see."""
    random = np.random.default_rng(0)

    def between(example):
        xy = random.uniform(20, np.array(example.pixels.shape[::-1]) - 20, (400, 2))
        away = np.linalg.norm(xy[:, None] - example.positives, axis=2).min(axis=1) > 14
        return xy[away][:4]

    odd = [replace(e, positives=between(e)) for e in labelled]
    assert count_by_scores(odd, start[0], geometry, 0, CPU) is None
    chosen, settings = TrainingSettings(pi=0.1), PickSettings(diameter=120.0)
    few = [replace(e, positives=e.positives[:3]) for e in odd]  # too few for pilots: the guess stays
    same, count = settle_prior(run(settings, geometry), few, chosen, 55.0, start)
    assert (same, count.particles) == (chosen, 55.0)
    assert count.low < 10 < 150 < count.high


def test_what_a_person_says_is_not_counted_again(labelled, geometry, start):
    chosen = TrainingSettings(pi=0.1)
    settings = PickSettings(diameter=120.0, expected_particles=200.0)
    found = settle_prior(run(settings, geometry), labelled, chosen, 200.0, start)
    assert found == (chosen, Count.given(200.0))


@pytest.mark.parametrize(
    ("number", "labels", "told"),
    [
        ({"expected_particles": 5e3}, 100, "5000 particles on a micrograph, where no more than"),
        ({"expected_particles": 1e6}, 0, "1000000 particles on a micrograph, where no more than"),
        ({"pi": 0.99}, 100, "--pi 0.99: "),
        ({"pi": 0.1}, 0, "without --labels give --expected-particles"),
        ({"expected_particles": 49.0}, 100, "labelled micrographs have 50 labels each; give more"),
    ],
)
def test_impossible_numbers_are_refused(geometry, number, labels, told):
    with pytest.raises(SettingsError, match=re.escape(told)):
        check_prior(PickSettings(diameter=120.0, **number), geometry, labels, 2, 2 * 300 * 310)
    check_prior(PickSettings(diameter=120.0, expected_particles=171.0), geometry, 100, 2, 2 * 300 * 310)


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        (lambda xy, shape: xy, None),
        (lambda xy, shape: xy[:, ::-1], "x and y were swapped"),
        (lambda xy, shape: np.stack([xy[:, 0], shape[0] - 1 - xy[:, 1]], axis=1), "y were counted from the other side"),
        (lambda xy, shape: np.stack([shape[1] - 1 - xy[:, 0], xy[:, 1]], axis=1), "x were counted from the other side"),
        (lambda xy, shape: xy / 2, "they were multiplied by 2"),
    ],
)
def test_labels_on_mirrored_places_are_told(labelled, geometry, start, moved, said):
    listener = Listener()
    few = [replace(e, positives=moved(e.positives[::6], e.pixels.shape)) for e in labelled]
    count_by_scores(few, start[0], geometry, 0, CPU, listener)
    assert [f"if {said};" in message for message in listener.warnings] == ([] if said is None else [True])
