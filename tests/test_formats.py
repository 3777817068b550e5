from __future__ import annotations

import string
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliodor.errors import FormatError
from heliodor.formats import read_picks, write_per_micrograph, write_picks
from heliodor.picks import Picks

COORDINATES = Path(__file__).parent / "data" / "coordinates"
NASTY = [
    "001",
    "a.b.c",
    "with space",
    "it's",
    'say "x"',
    "#hash",
    "# hash",
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
        ("a.txt", "image_name\tx_coord\ty_coord\nm\tone\t2\n", "line 2: a number"),
        ("a.txt", "#a\nimage_name\tx_coord\ty_coord\n\nm\t1\t2\tmore\nm\t1\t\n", "line 5: a number"),
        ("a.txt", "image_name\tx_coord\ty_coord\nm\t1\t2\tmore\n#b\nm\t1\n", "line 4: 2 columns"),
        ("a.star", "data_\nloop_\n_a #1\n1\n", "no table has"),
        ("a.star", "data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n1 2\n3 four\n", "particle 2 .*'four'"),
        ("a.star", "data_\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n1 2\n3 nan\n", "particle 2 .*not finite"),
        ("a.box", "1 2 three 4\n", "line 1"),
        ("a.csv", "x,y\n1,b\n", "line 2: the y 'b' is not a number"),
        ("a.csv", "x;y\n1;0,5\n", "line 2: the y '0,5' is not a number"),
        ("a.csv", "picture,x,y\nm1.mrc,1,2\nm2.mrc,1,2\n", "column 'picture' may be of micrograph names.* image_id"),
        ("a.csv", "foo,bar\n", "must name columns"),
        ("a.csv", "x,y,micrograph\n1,2,m\n3,4\n", "line 3: the row ends before its micrograph"),
        ("a.xyz", "", "no coordinate format"),
    ],
)
def test_bad_files_are_named_with_the_cause(tmp_path, file, text, message):
    (tmp_path / file).write_text(text)
    with pytest.raises(FormatError, match=message) as caught:
        read_picks(tmp_path / file)
    assert file in str(caught.value)


@pytest.mark.parametrize("suffix", [".txt", ".star", ".csv"])
def test_an_empty_table_and_picks_without_scores_come_back(tmp_path, suffix):
    write_picks(tmp_path / f"none{suffix}", Picks([], np.empty((0, 2))))
    assert len(read_picks(tmp_path / f"none{suffix}")) == 0
    write_picks(tmp_path / f"some{suffix}", Picks(["a", "a"], [[1, 2], [3, 4]], [np.nan, 2.5]))
    np.testing.assert_array_equal(read_picks(tmp_path / f"some{suffix}").scores, [np.nan, 2.5])


def test_an_empty_box_file_is_an_empty_table(tmp_path):
    (tmp_path / "m.box").write_text("")
    assert len(read_picks(tmp_path / "m.box")) == 0


@pytest.mark.parametrize("size", [20, 21])
def test_box_centres_come_back_exactly_for_even_and_odd_sizes(tmp_path, size):
    write_picks(tmp_path / "m.box", Picks.on("m", [[100, 50], [3, 4]]), box_size=size)
    assert read_picks(tmp_path / "m.box").xy.tolist() == [[100, 50], [3, 4]]


@pytest.mark.parametrize(("format", "options"), [("star", {}), ("txt", {}), ("csv", {}), ("box", {"box_size": 8})])
def test_a_folder_of_one_file_per_micrograph_comes_back(tmp_path, format, options):
    picks = Picks(["001", "grid1/x", "grid2/x"], [[1, 2], [3, 4], [5, 6]])
    write_per_micrograph(tmp_path, picks, format=format, **options)
    (tmp_path / f".half.{format}").write_text("a file that is still being written")
    back = read_picks(tmp_path)
    assert (back.names.tolist(), back.xy.tolist()) == (picks.names.tolist(), picks.xy.tolist())


def test_two_names_that_would_share_a_file_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(FormatError, match="share this file"):
        write_per_micrograph(tmp_path, Picks(["x", "x.mrc"], [[1, 2], [3, 4]]), format="star")
    assert list(tmp_path.iterdir()) == []


def test_topaz_table_in_any_order_with_comments(tmp_path):
    (tmp_path / "t.txt").write_text("#by hand\nscore\ty_coord\tsource\tx_coord\timage_name\n\t2\t0\t1\t001\n")
    back = read_picks(tmp_path / "t.txt")
    assert (back.names.tolist(), back.xy.tolist()) == (["001"], [[1, 2]])
    assert np.isnan(back.scores).all()


def test_topaz_table_with_lines_of_unequal_length(tmp_path):
    lines = ["x_coord\timage_name\ty_coord\tscore", "1\ta b\t2\t3.5", "", "4\t001\t5\t\tmore", "6\tc\t7\tnan\r"]
    (tmp_path / "t.txt").write_text("\n".join(lines))
    back = read_picks(tmp_path / "t.txt")
    assert back.names.tolist() == ["a b", "001", "c"]
    assert back.xy.tolist() == [[1, 2], [4, 5], [6, 7]]
    assert back.scores[0] == 3.5
    assert np.isnan(back.scores[1:]).all()


def test_relion_writes_names_outside_ascii_without_quotes(tmp_path):
    (tmp_path / "u.star").write_text(
        "data_\nloop_\n_rlnMicrographName #1\n_rlnCoordinateX #2\n_rlnCoordinateY #3\nMotion/é.mrc 1 2\n",
        encoding="utf-8",
    )
    assert read_picks(tmp_path / "u.star").names.tolist() == ["Motion/é.mrc"]


def test_a_star_table_of_one_row_without_loop(tmp_path):
    (tmp_path / "m.star").write_text("data_\n_rlnCoordinateX 2\n_rlnCoordinateY 3\n")
    assert read_picks(tmp_path / "m.star").xy.tolist() == [[2, 3]]


def test_via_points_circles_and_rectangles(tmp_path):
    (tmp_path / "via.csv").write_text(
        "filename,region_shape_attributes,region_attributes\n"
        'a.png,"{""name"":""point"",""cx"":1,""cy"":2}","{""score"":""0.5""}"\n'
        'a.png,"{""name"":""rect"",""x"":10,""y"":20,""width"":4,""height"":6}",{}\n'
        "b.png,{},{}\n"
    )
    back = read_picks(tmp_path / "via.csv")
    assert (back.names.tolist(), back.xy.tolist()) == (["a.png", "a.png"], [[1, 2], [12, 23]])
    np.testing.assert_array_equal(back.scores, [0.5, np.nan])


def test_via_shape_that_is_no_object(tmp_path):
    (tmp_path / "via.csv").write_text('filename,region_shape_attributes\na.png,{}\na.png,"[1, 2]"\n')
    with pytest.raises(FormatError, match="line 3: not a point"):
        read_picks(tmp_path / "via.csv")


@pytest.mark.parametrize(
    ("file", "name", "count", "first"),
    [
        ("Falcon_2012_06_12-14_57_34_0.empiar_manual.star", "Falcon_2012_06_12-14_57_34_0", 612, [3822, 3477]),
        ("Falcon_2012_06_12-14_33_35_0.cryoppp.csv", "Falcon_2012_06_12-14_33_35_0", 629, [3752, 693]),
        ("topaz.Falcon_2012_06_12-15_17_31_0.box", "topaz.Falcon_2012_06_12-15_17_31_0", 732, [3312, 2328]),
        ("Ucsf_stack_1142_DW_autopick.star", "Ucsf_stack_1142_DW", 45, [839.125024, 19.979167]),
    ],
)
def test_files_of_other_programs(file, name, count, first):
    picks = read_picks(COORDINATES / file)
    assert (picks.micrographs(), len(picks), picks.xy[0].tolist()) == ([name], count, first)


@pytest.mark.parametrize(
    ("header", "centre"),
    [
        ("image_id,x,y", [10, 20]),
        ("rlnMicrographName,rlnCoordinateX,rlnCoordinateY", [10, 20]),
        ("_rlnMicrographName,_rlnCoordinateX,_rlnCoordinateY", [10, 20]),
        ("Image;X (px);Y (px)", [10, 20]),
        ("image_name,x,y,w,h", [12, 23]),  # a box's corner
        ("image_name;X;Y;Width;Height", [12, 23]),
        ("image_name,x_center,y_center,width,height", [10, 20]),
        ("image_name,X,Y,Width,Height,BX,BY", [10, 20]),  # ImageJ's centre
        ("image_name,x,y,width", [10, 20]),
    ],
)
def test_spellings_of_csv(tmp_path, header, centre):
    separator = ";" if ";" in header else ","
    row = ["m", "10", "20", "4", "6", "8", "17"][: len(header.split(separator))]
    (tmp_path / "a.csv").write_text(f"{header}\n{separator.join(row)}\n")
    picks = read_picks(tmp_path / "a.csv")
    assert (picks.names.tolist(), picks.xy.tolist()) == (["m"], [centre])


def test_a_csv_of_one_micrograph_may_have_other_columns(tmp_path):
    (tmp_path / "m.csv").write_text("number,by,x,y\n1,me,10,20\n2,me,30,40\n")
    assert read_picks(tmp_path / "m.csv").names.tolist() == ["m", "m"]


@pytest.fixture
def job(tmp_path):
    """Make a folder of RELION 4, with the list and the other files of a manual picking."""
    star = "data_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n"
    folder = tmp_path / "ManualPick" / "job004"
    (folder / "Movies").mkdir(parents=True)
    (folder / "Movies" / "a_manualpick.star").write_text(f"{star}1 2\n3 4\n")
    (folder / "Movies" / "b_manualpick.star").write_text(f"{star}5 6\n")
    rows = [f"MotionCorr/job002/{m}.mrc ManualPick/job004/Movies/{m}_manualpick.star" for m in "ab"]
    head = "data_coordinate_files\n\nloop_\n_rlnMicrographName #1\n_rlnMicrographCoordinates #2\n"
    (folder / "manualpick.star").write_text(head + "\n".join(rows) + "\n")
    (folder / "job.star").write_text("data_job\n\n_rlnJobTypeLabel relion.manualpick\n")
    (folder / "note.txt").write_text(" ++++ Executing new job on Mon\n")
    return folder


def test_a_list_of_relion_4_stands_for_the_files_that_it_names(job):
    for path in (job / "manualpick.star", job):
        picks = read_picks(path)
        assert picks.names.tolist() == ["MotionCorr/job002/a.mrc"] * 2 + ["MotionCorr/job002/b.mrc"]
        assert picks.xy.tolist() == [[1, 2], [3, 4], [5, 6]]
    (job / "manualpick.star").unlink()
    assert read_picks(job).names.tolist() == ["Movies/a", "Movies/a", "Movies/b"]


def test_a_list_of_relion_4_whose_files_are_gone(job):
    (job / "Movies" / "b_manualpick.star").unlink()
    with pytest.raises(FormatError, match=r"manualpick\.star: lists .*b_manualpick\.star, which is not there"):
        read_picks(job / "manualpick.star")


def test_a_folder_with_the_settings_of_a_job_only_is_refused(job):
    for path in [job / "manualpick.star", *job.glob("Movies/*")]:
        path.unlink()
    with pytest.raises(FormatError, match="no table has _rlnCoordinateX"):
        read_picks(job)


def test_the_folder_of_a_run_stands_for_its_picks(tmp_path):
    write_picks(tmp_path / "picks.txt", Picks.on("m", [[1, 2]], [3]))
    write_picks(tmp_path / "candidates.txt", Picks.on("m", [[1, 2], [9, 9]], [3, -5]))
    assert len(read_picks(tmp_path)) == 3
    (tmp_path / "run.json").write_text("{}")
    assert read_picks(tmp_path).xy.tolist() == [[1, 2]]


def test_files_are_the_same_bytes_each_time(tmp_path):
    picks = Picks(["b", "a"], [[1.25, 2], [3, 4]], [1, np.nan])
    for suffix in (".txt", ".star", ".csv"):
        write_picks(tmp_path / f"1{suffix}", picks)
        write_picks(tmp_path / f"2{suffix}", picks)
        assert (tmp_path / f"1{suffix}").read_bytes() == (tmp_path / f"2{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", [".txt", ".star"])
def test_probabilities_are_a_column_of_their_own(tmp_path, suffix):
    picks = Picks(["a", "b"], [[1, 2], [3, 4]], [0.5, np.nan], [0.25, np.nan])
    write_picks(tmp_path / f"p{suffix}", picks)
    back = read_picks(tmp_path / f"p{suffix}")
    assert np.allclose(back.scores, picks.scores, equal_nan=True)
    assert np.allclose(back.probabilities, picks.probabilities, equal_nan=True)
    write_picks(tmp_path / f"q{suffix}", picks.without_probabilities())
    assert "robability" not in (tmp_path / f"q{suffix}").read_text()


@pytest.mark.parametrize("format", ["star", "txt", "csv", "box"])
def test_a_micrograph_without_picks_gets_a_file_and_an_old_one_does_not_stay(tmp_path, format):
    options = {"box_size": 8} if format == "box" else {}
    write_per_micrograph(tmp_path, Picks(["a", "grid/b"], [[1, 2], [3, 4]]), format=format, **options)
    write_per_micrograph(tmp_path, Picks.on("a", [[1, 2]]), format=format, also=["a", "grid/b", "c"], **options)
    back = read_picks(tmp_path)
    assert back.names.tolist() == ["a"]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3


@pytest.mark.parametrize(
    "text",
    ["x,y,selected\n1,2,True\n3,4,False\n", "x,y,class\n1,2,good\n3,4,bad\n", "image_id,x,y\n1,1,2\n1,3,4\n"],
)
def test_columns_of_other_things_are_not_taken_for_names(tmp_path, text):
    (tmp_path / "m1.csv").write_text(text)
    assert read_picks(tmp_path / "m1.csv").micrographs() == ["m1"]


def test_an_empty_or_damaged_table_in_a_folder_is_told(tmp_path):
    write_picks(tmp_path / "a.star", Picks.on("a", [[1, 2]]))
    for name, text in (("e.csv", ""), ("b.star", "")):
        (tmp_path / name).write_text(text)
        with pytest.raises(FormatError, match=name):
            read_picks(tmp_path)
        (tmp_path / name).unlink()


def test_a_list_of_one_project_means_files_of_that_project(tmp_path, monkeypatch):
    """RELION's jobs have the same names in all projects."""
    for project, x in (("A", 1), ("B", 2)):
        job = tmp_path / project / "AutoPick" / "job011"
        (job / "Movies").mkdir(parents=True)
        write_picks(job / "Movies" / "m1_autopick.star", Picks.on("m1", [[x, x]]))
        (job / "autopick.star").write_text(
            "data_coordinate_files\nloop_\n_rlnMicrographName\n_rlnMicrographCoordinates\n"
            "MotionCorr/job002/m1.mrc AutoPick/job011/Movies/m1_autopick.star\n"
        )
    monkeypatch.chdir(tmp_path / "A")
    assert read_picks(tmp_path / "B" / "AutoPick" / "job011" / "autopick.star").xy.tolist() == [[2, 2]]
    assert read_picks(tmp_path / "B" / "AutoPick" / "job011").xy.tolist() == [[2, 2]]
