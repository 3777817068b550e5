from __future__ import annotations

from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliodor.errors import LabelError, MicrographError
from heliodor.find import find_micrographs
from heliodor.names import MicrographFile, match_names, note_on_names, stem, unique_names


def files(*paths: str) -> list[MicrographFile]:
    names = unique_names([PurePath(p) for p in paths])
    return [MicrographFile(Path(p), n) for p, n in zip(paths, names, strict=True)]


@pytest.mark.parametrize(
    ("name", "short"),
    [("001.mrc", "001"), ("001", "001"), ("a.b.c", "a.b.c"), ("a.b.c.TIFF", "a.b.c"), ("g/x.mrcs", "g/x"), ("", "")],
)
def test_only_extensions_of_images_are_dropped(name, short):
    assert stem(name) == short


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/d/001.mrc", "/d/a.b.c.mrc"], ["001", "a.b.c"]),
        (["/d/a/1/x.mrc", "/d/a/2/x.mrc", "/d/a/2/y.mrc"], ["1/x", "2/x", "y"]),
        (["/a/1/x.mrc", "/b/1/x.mrc"], ["a/1/x", "b/1/x"]),
        (["x.mrc", "a/x.mrc"], ["x", "a/x"]),
        (["/a/x.mrc", "/a/x.tiff", "/b/x.mrc"], ["x.mrc", "x.tiff", "x"]),
        ([], []),
    ],
)
def test_names_are_as_short_as_can_be(paths, names):
    assert unique_names([PurePath(p) for p in paths]) == names


SEGMENT = st.sampled_from(["a", "b", "a.b", "1"])
PATHS = st.lists(st.tuples(SEGMENT, SEGMENT, SEGMENT, st.sampled_from([".mrc", ".tif", ""])), unique=True, max_size=12)


@given(PATHS)
def test_names_are_unique_and_every_path_means_its_own_micrograph(rows):
    paths = [f"/{a}/{b}/{c}{suffix}" for a, b, c, suffix in rows]
    micrographs = files(*paths)
    names = [m.name for m in micrographs]
    assert len(set(names)) == len(names)
    whole = {str(m.path): m.name for m in micrographs if m.path.suffix in (".mrc", ".tif")}
    assert match_names(whole, micrographs) == whole


def test_a_label_names_its_micrograph_in_many_ways():
    micrographs = files("/d/g1/001.mrc", "/d/g1/a.b.c.mrc")
    for name in ("001", "001.mrc", "001.tiff", "g1/001", "g1/001.mrc", "/d/g1/001.mrc", "MotionCorr/job002/001.mrc"):
        assert match_names([name], micrographs) == {name: "001"}
    assert match_names(["a.b.c", "a.b", "001"], micrographs) == {"a.b.c": "a.b.c", "001": "001"}
    assert match_names([], micrographs) == {}


def test_the_folder_or_the_extension_decides_between_equals():
    micrographs = files("/d/g1/x.mrc", "/d/g2/x.mrc", "/d/g2/y.mrc", "/d/g2/y.tif")
    assert match_names(["g1/x.mrc", "g2/x"], micrographs) == {"g1/x.mrc": "g1/x", "g2/x": "g2/x"}
    assert match_names(["y.tif"], micrographs) == {"y.tif": "y.tif"}
    with pytest.raises(LabelError, match=r"'x' in the table means 2 micrographs \(g1/x, g2/x\.\.\.\).*folder"):
        match_names(["x"], micrographs)
    with pytest.raises(LabelError, match="means 2 micrographs"):
        match_names(["g3/x"], micrographs)


def test_a_name_relative_to_the_working_folder_is_known_by_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert match_names([f"{tmp_path.name}/x"], [MicrographFile(Path("x.mrc"), "x")]) == {f"{tmp_path.name}/x": "x"}


def test_a_name_with_another_folder_is_another_micrograph_where_one_has_this_ones():
    """Labels of b/x must not land on a/x, for all that x.mrc is the only one of its name."""
    assert match_names(["a/x", "b/x"], files("run/a/x.mrc")) == {"a/x": "x"}
    assert match_names(["Motion/job002/x.mrc"], files("run/a/x.mrc")) == {"Motion/job002/x.mrc": "x"}  # it was moved
    assert match_names(["x", "job/x.mrc"], files("run/a/x.mrc")) == {"x": "x", "job/x.mrc": "x"}


def test_of_micrographs_that_were_moved_the_longest_common_end_of_the_paths_decides():
    table = ["MotionCorr/job002/grid1/a.mrc", "MotionCorr/job002/grid2/a.mrc"]
    both = files("/scratch/grid1/a.mrc", "/scratch/grid2/a.mrc")
    assert match_names(table, both) == {table[0]: "grid1/a", table[1]: "grid2/a"}
    assert match_names(table, files("/scratch/grid1/a.mrc")) == {table[0]: "a"}  # those of grid2 must not land on it
    with pytest.raises(LabelError, match="means 2 micrographs"):
        match_names(["MotionCorr/job002/grid3/a.mrc"], both)


def test_names_from_before_and_after_motion_correction_are_matched_where_no_others_match():
    number = "J2/motioncorrected/001234567890123456789_m1_patch_aligned_doseweighted.mrc"
    found = match_names([number, "m2_DW.mrc", "m3"], files("/d/m1.mrc", "/d/m2_aligned.mrc", "/d/m4.mrc"))
    assert found == {number: "m1", "m2_DW.mrc": "m2_aligned"}
    assert note_on_names(found).startswith("2 names in the table mean micrographs that are named otherwise")
    assert match_names(["m1", "m1_DW"], files("/d/m1_DW.mrc")) == {"m1_DW": "m1_DW"}
    assert match_names(["m1_DW", "m2_DW"], files("/d/m1_DW.mrc", "/d/m2.mrc")) == {"m1_DW": "m1_DW"}
    assert note_on_names({"job/m1_DW.mrc": "m1_DW", "y.tif": "y.tif"}) == ""
    for table, micrographs in ((["a/m1_DW", "b/m1_DW"], ["/d/m1.mrc"]), (["m1"], ["/d/m1_DW.mrc", "/d/m1_noDW.mrc"])):
        with pytest.raises(LabelError, match="no name in the table"):
            match_names(table, files(*micrographs))
        assert match_names(table, files(*micrographs), needed=False) == {}


def test_no_match_at_all_names_the_nearest():
    with pytest.raises(LabelError, match=r"'May08_O1\.mrc' is not among them, the nearest are 'May08_01'") as caught:
        match_names(["May08_O1.mrc"], files("/d/May08_01.mrc", "/d/zzz.mrc"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["/tmp/x", "../x", "a/../../x"])
def test_a_list_cannot_name_a_micrograph_out_of_the_folder_of_results(tmp_path, name):
    for file in "xy":
        (tmp_path / f"{file}.mrc").touch()
    table = tmp_path / "list.txt"
    table.write_text(f"image_name\tpath\n{name}\tx.mrc\ny\ty.mrc\n")
    with pytest.raises(MicrographError, match=r"x\.mrc: the name that a list gives it, .* leads out"):
        find_micrographs([table])


def test_of_a_micrograph_and_its_picture_in_a_folder_the_micrograph_is_taken(tmp_path):
    for file in ("x.png", "x.mrc", "y.png", "z.tif", "z.jpg", ".x.mrc"):
        (tmp_path / file).touch()
    assert [m.path.name for m in find_micrographs([tmp_path])] == ["x.mrc", "y.png", "z.tif"]
    assert [m.name for m in find_micrographs([tmp_path])] == ["x", "y", "z"]
    assert len(find_micrographs([str(tmp_path / "x.*")])) == 2  # who names them means them
