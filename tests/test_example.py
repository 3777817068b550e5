"""The bundled example: files, labels, and that they belong together."""

from pathlib import Path

import mrcfile
import numpy as np
import pytest

from conftest_helpers import Listener
from heliodor.errors import LabelError
from heliodor.formats import read_picks
from heliodor.micrographs import read_header, read_micrograph
from heliodor.names import MicrographFile
from heliodor.picks import Picks
from heliodor.progress import SILENT, Silent
from heliodor.training.check import Marked, check_apart, check_labels

EXAMPLE = Path(__file__).parent.parent / "examples" / "apoferritin"
MICROGRAPHS = sorted(EXAMPLE.glob("*.mrc"))


@pytest.fixture(scope="module")
def labels() -> Picks:
    return read_picks(EXAMPLE / "labels.txt")


@pytest.fixture(scope="module")
def human() -> Picks:
    return read_picks(EXAMPLE / "human.txt")


@pytest.mark.parametrize("path", MICROGRAPHS, ids=lambda path: path.stem)
def test_micrograph_is_a_valid_float16_file_of_3_angstrom(path, capsys):
    assert mrcfile.validate(path), capsys.readouterr().out
    with mrcfile.open(path) as mrc:
        assert (mrc.data.shape, mrc.data.dtype) == ((600, 620), np.float16)
        assert mrc.voxel_size.x == pytest.approx(3.0)
    assert read_header(path) == ((600, 620), pytest.approx(3.0))


@pytest.mark.parametrize("path", MICROGRAPHS, ids=lambda path: path.stem)
def test_pixels_are_standardized_and_not_clipped(path):
    pixels = read_micrograph(path).pixels
    assert abs(pixels.mean()) < 0.01
    assert pixels.std() == pytest.approx(1, abs=0.01)
    assert -8 < pixels.min() < -3 < 3 < pixels.max() < 8


def test_label_sets_are_of_different_micrographs_that_are_all_there(labels, human):
    training, test = set(labels.micrographs()), set(human.micrographs())
    assert (len(labels), len(human)) == (100, 686)
    assert len(training) == len(test) == 4
    assert training.isdisjoint(test)
    assert training | test == {path.stem for path in MICROGRAPHS}


def test_labels_lie_on_their_micrographs(labels, human):
    shapes = {path.stem: read_header(path)[0] for path in MICROGRAPHS}
    for table in (labels, human):
        check_labels(table, shapes)
        assert (table.xy > -0.5).all()
        assert (table.xy < [619.5, 599.5]).all()


def test_particles_are_dark_where_people_labelled_them(labels, human):
    # A wrong scale, or y from the other edge, would leave the discs no darker than the rest.
    y, x = np.mgrid[:600, :620]
    for table in (labels, human):
        for name, part in table.by_micrograph():
            pixels = read_micrograph(EXAMPLE / f"{name}.mrc").pixels
            within = np.zeros(pixels.shape, dtype=bool)
            for cx, cy in part.xy:
                within |= (x - cx) ** 2 + (y - cy) ** 2 < 18**2
            assert pixels[within].mean() < pixels[~within].mean() - 0.12, name


def test_example_is_small():
    assert sum(path.stat().st_size for path in EXAMPLE.iterdir()) < 10e6


@pytest.mark.parametrize(("count", "refused"), [(1, False), (2, False), (3, True)])
def test_labels_in_one_corner_are_refused_where_they_cannot_be_chance(count, refused):
    names = [f"m{k}" for k in range(count)]
    picks = Picks.join([Picks.on(name, np.random.default_rng(0).uniform(0, 390, (24, 2))) for name in names])
    said = []
    reporter = Silent()
    reporter.warn = said.append
    shapes = dict.fromkeys(names, (1000, 1000))
    if refused:
        with pytest.raises(LabelError, match="multiply them by about 3"):
            check_labels(picks, shapes, reporter)
    else:
        check_labels(picks, shapes, reporter)
        assert "all" in said[0]
        assert "if they are of downsampled micrographs" in said[0]


def test_labels_of_micrographs_binned_by_two_are_told():
    """A quarter of each micrograph may be what a person's screen shows: not refused."""
    labels = Picks.join([Picks.on(f"m{k}", np.random.default_rng(k).uniform(0, 499, (24, 2))) for k in range(4)])
    listener = Listener()
    check_labels(labels, dict.fromkeys(labels.micrographs(), (1000, 1000)), listener)
    assert "multiply them by about 2" in listener.warnings[0]


def test_particles_that_two_tables_hold_are_taken_once(labels):
    listener = Listener()
    micrographs = [MicrographFile(Path(f"{name}.mrc"), name) for name in labels.micrographs()]
    twice = Picks.join([labels, labels.moved(labels.xy + 3.0), labels])
    marked = Marked.of(twice, micrographs).once(8.0, listener)
    assert np.array_equal(marked.picks.xy, labels.xy)
    assert f"{2 * len(labels)} of {3 * len(labels)} labels lie within 8 pixels of another" in listener.warnings[0]
    once = Marked.of(labels, micrographs)
    assert once.once(8.0, SILENT) is once


def test_labels_of_other_micrographs_are_counted_and_named(labels):
    others = Picks.on("elsewhere", [[1, 2], [3, 4]])
    name = labels.micrographs()[0]
    marked = Marked.of(Picks.join([labels.of(name), others]), [MicrographFile(Path(f"{name}.mrc"), name)])
    assert "(2 more are of micrographs that were not given, such as 'elsewhere')" in str(marked)


def test_labels_all_over_a_small_micrograph_are_in_no_corner_of_a_large_one():
    all_over = Picks.on("small", np.random.default_rng(0).uniform(0, 999, (25, 2)))
    labels = Picks.join([all_over, Picks.on("large", [[500, 500]])])
    check_labels(labels, {"small": (1000, 1000), "large": (4092, 5760), "other": (4092, 5760)})


def test_a_negative_that_is_a_label_is_refused(labels):
    name = labels.micrographs()[0]
    first, second = labels.of(name).xy[:2]
    check_apart(labels, Picks.on(name, [first + 5]))
    check_apart(labels, Picks.on("other", [first]))
    with pytest.raises(LabelError, match=f"{name}: the negative at .* is a label as well"):
        check_apart(labels, Picks.on(name, [first + 5, second]))
