from __future__ import annotations

import string

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliodor.errors import FormatError
from heliodor.formats import read_picks, write_per_micrograph, write_picks
from heliodor.picks import Picks

NASTY = [
    "001",
    "a.b.c",
    "with space",
    "it's",
    'say "x"',
    "#hash",
    "_under",
    "ünï",
    "grid1/001",
    "data_x",
    "loop_",
    "?",
]
names = st.one_of(
    st.sampled_from(NASTY),
    st.text(string.ascii_letters + string.digits + "._- '\"/#$;[]", min_size=1, max_size=12),
).filter(lambda name: name.strip() == name)
rows = st.lists(st.tuples(names, st.floats(-50, 9000), st.floats(-50, 9000), st.floats(-20, 20)), max_size=8)


@pytest.mark.parametrize("suffix", [".txt", ".star", ".csv"])
@given(rows=rows)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip_with_nasty_names(tmp_path, suffix, rows):
    picks = Picks([r[0] for r in rows], [r[1:3] for r in rows], [r[3] for r in rows])
    write_picks(tmp_path / f"x{suffix}", picks)
    back = read_picks(tmp_path / f"x{suffix}")
    assert back.names.tolist() == picks.names.tolist()
    np.testing.assert_allclose(back.xy, picks.xy, atol=6e-4)
    np.testing.assert_allclose(back.scores, picks.scores, atol=1e-5)


def test_box_holds_centres_as_corners(tmp_path):
    write_picks(tmp_path / "a.b.box", Picks.on("a.b", [[100, 50]], [1.5]), box_size=20)
    assert (tmp_path / "a.b.box").read_text() == "90\t40\t20\t20\t1.500000\n"
    back = read_picks(tmp_path / "a.b.box")
    assert (back.names.tolist(), back.xy.tolist(), back.scores.tolist()) == (["a.b"], [[100, 50]], [1.5])


def test_relion_with_an_optics_table_first(tmp_path):
    path = tmp_path / "p.star"
    path.write_text(
        "# version 30001\n\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnVoltage #2\n1 300.0\n\n"
        "data_particles\n\nloop_\n_rlnCoordinateX #1\n_rlnMicrographName #2\n_rlnCoordinateY #3\n"
        "_rlnAutopickFigureOfMerit #4\n10.5 MotionCorr/001.mrc 20 -999.0\n"
    )
    picks = read_picks(path)
    assert picks.names.tolist() == ["MotionCorr/001.mrc"]
    assert picks.xy.tolist() == [[10.5, 20]]
    assert np.isnan(picks.scores).all()


def test_a_star_without_names_belongs_to_the_micrograph_of_its_file(tmp_path):
    path = tmp_path / "mic.7_autopick.star"
    path.write_text("data_\n\nloop_ \n_rlnCoordinateX #1 \n_rlnCoordinateY #2\n1 2\n")
    assert read_picks(path).names.tolist() == ["mic.7"]


def test_y_counted_from_the_last_row(tmp_path):
    write_picks(tmp_path / "x.txt", Picks.on("m", [[3, 0]]))
    assert read_picks(tmp_path / "x.txt", y="up", height=100).xy.tolist() == [[3, 99]]


def test_names_cannot_leave_the_folder(tmp_path):
    with pytest.raises(FormatError, match="leads out"):
        write_per_micrograph(tmp_path, Picks.on("../x", [[1, 2]]), format="star")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("a.txt", "x\ty\n1\t2\n", "must name the columns"),
        ("a.txt", "image_name\tx_coord\ty_coord\nm\t1\n", "line 2"),
        ("a.txt", "image_name\tx_coord\ty_coord\nm\tone\t2\n", "not a number"),
        ("a.star", "data_\nloop_\n_a #1\n1\n", "no table has"),
        ("a.box", "1 2 three 4\n", "line 1"),
        ("a.csv", "x,y\n1,b\n", "line 2"),
        ("a.xyz", "", "no coordinate format"),
    ],
)
def test_bad_files_are_named_with_the_cause(tmp_path, file, text, message):
    (tmp_path / file).write_text(text)
    with pytest.raises(FormatError, match=message) as caught:
        read_picks(tmp_path / file)
    assert file in str(caught.value)
