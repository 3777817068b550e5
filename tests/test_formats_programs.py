"""Formats of cryoSPARC, EMAN2, crYOLO and VIA: nasty names there and back, and files as these programs write them."""

from __future__ import annotations

import csv
import json

import mrcfile
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliodor.cli import main
from heliodor.errors import FormatError, SettingsError
from heliodor.formats import cs, read_picks, write_per_micrograph, write_picks
from heliodor.picks import Picks
from test_formats import NASTY, rows

FUNCTION_SCOPED = [HealthCheck.function_scoped_fixture]


def exposures(path, names, shape=(4092, 5760)):
    """Write micrographs as an `Import Micrographs` job of cryoSPARC exports them."""
    width = max(len(name.encode()) for name in names)
    columns = [("uid", "<u8"), ("micrograph_blob/path", f"S{width}"), ("micrograph_blob/shape", "<u4", (2,))]
    table = np.zeros(len(names), dtype=columns)
    table["micrograph_blob/path"] = [name.encode() for name in names]
    table["uid"] = np.arange(len(names)) + 2**60
    table["micrograph_blob/shape"] = shape
    with path.open("wb") as file:
        np.save(file, table)


@given(rows=rows)
@settings(max_examples=25, deadline=None, suppress_health_check=FUNCTION_SCOPED)
def test_cryosparc_there_and_back(tmp_path, rows):
    rows = [r for r in rows if "\0" not in r[0]]
    picks = Picks([r[0] for r in rows], [r[1:3] for r in rows], [r[3] for r in rows])
    known = {n: cs.CsMicrograph(n, k, (4092, 5760)) for k, n in enumerate(picks.micrographs())}
    write_picks(tmp_path / "x.cs", picks, micrographs=known)
    back = read_picks(tmp_path / "x.cs")
    assert back.names.tolist() == picks.names.tolist()
    np.testing.assert_allclose(back.xy, picks.xy, atol=2e-3)
    np.testing.assert_allclose(back.scores, picks.scores, atol=1e-5)


@given(rows=rows)
@settings(max_examples=25, deadline=None, suppress_health_check=FUNCTION_SCOPED)
def test_via_there_and_back(tmp_path, rows):
    picks = Picks.join(part for _, part in Picks([r[0] for r in rows], [r[1:3] for r in rows]).by_micrograph())
    write_picks(tmp_path / "x.csv", picks, format="via")
    for name in ("via", "csv"):
        back = read_picks(tmp_path / "x.csv", format=name)
        assert back.names.tolist() == picks.names.tolist()
        np.testing.assert_allclose(back.xy, picks.xy, atol=6e-4)


@pytest.mark.parametrize(("format", "options"), [("json", {}), ("cbox", {"box_size": 81})])
def test_one_file_per_micrograph_there_and_back(tmp_path, format, options):
    names = [name for name in NASTY if name not in ("?", "# hash")]
    picks = Picks(names, np.arange(2 * len(names)).reshape(-1, 2) * 1.25, np.linspace(-20, 20, len(names)))
    write_per_micrograph(tmp_path, picks, format=format, **options)
    back = dict(read_picks(tmp_path).by_micrograph())
    assert set(back) == set(names)
    for name, part in picks.by_micrograph():
        np.testing.assert_allclose(back[name].xy, part.xy, atol=1e-3)
        np.testing.assert_allclose(back[name].scores, part.scores, atol=1e-3)


def test_scores_that_are_not_there_stay_away(tmp_path):
    picks = Picks.on("m", [[10, 20]])
    write_per_micrograph(tmp_path, picks, format="json")
    write_per_micrograph(tmp_path, picks, format="cbox", box_size=8)
    assert json.loads((tmp_path / "m_info.json").read_text()) == {"boxes": [[10.0, 20.0, "manual"]]}
    assert np.isnan(read_picks(tmp_path / "m.cbox").scores).all()


def test_what_else_eman2_keeps_in_an_info_file_stays(tmp_path):
    path = tmp_path / "m_info.json"
    path.write_text('{"quality": 5, "boxes": [[1, 2, "manual"]]}')
    write_picks(path, Picks.on("m", [[3, 4]]))
    assert json.loads(path.read_text()) == {"quality": 5, "boxes": [[3.0, 4.0, "manual"]]}


def test_a_cbox_of_cryolo(tmp_path):
    (tmp_path / "mic.1.cbox").write_text(
        "data_global\n\n_cbox_format_version 1.0\n\ndata_cryolo\n\nloop_\n_CoordinateX #1\n_CoordinateY #2\n"
        "_CoordinateZ #3\n_Width #4\n_Height #5\n_Depth #6\n_EstWidth #7\n_EstHeight #8\n_Confidence #9\n"
        "_NumBoxes #10\n_Angle #11\n100.5 200.0 <NA> 80 80 <NA> 70 71 0.5 <NA> <NA>\n\n"
    )
    picks = read_picks(tmp_path / "mic.1.cbox")
    assert (picks.names.tolist(), picks.xy.tolist(), picks.scores.tolist()) == (["mic.1"], [[140.5, 240.0]], [0.0])


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a_info.json", "[1]", "not EMAN2's"),
        ("a_info.json", "{", "not readable JSON"),
        ("a_info.json", '{"boxes": [[1]]}', "a box that is not"),
        ("a.cs", "text", "not a numpy file"),
        ("a.cbox", "data_cryolo\nloop_\n_CoordinateX\n_CoordinateY\n_Width\n_Height\n1 b 3 4\n", "particle 1"),
        (
            "a.cbox",
            "data_cryolo\nloop_\n_CoordinateX\n_CoordinateY\n_CoordinateZ\n_Width\n_Height\n1 2 0 3 4\n1 2 b 3 4\n",
            "particle 2 has the _CoordinateZ 'b'",
        ),
    ],
)
def test_bad_files_are_named_with_the_cause(tmp_path, file, content, message):
    (tmp_path / file).write_text(content)
    with pytest.raises(FormatError, match=message) as caught:
        read_picks(tmp_path / file)
    assert file in str(caught.value)


def test_files_of_cryosparc_without_what_is_needed(tmp_path):
    with (tmp_path / "p.cs").open("wb") as file:
        np.save(file, np.zeros(3, dtype=[("uid", "<u8"), ("blob/path", "S9")]))
    with pytest.raises(FormatError, match="passthrough"):
        read_picks(tmp_path / "p.cs")
    (tmp_path / "s.cs").write_bytes(b"\x95CSDAT....")
    with pytest.raises(FormatError, match="compressed stream"):
        read_picks(tmp_path / "s.cs")
    with pytest.raises(FormatError, match="--micrographs"):
        write_picks(tmp_path / "x.cs", Picks.on("m", [[1, 2]]))
    with pytest.raises(SettingsError, match="--boxsize"):
        write_picks(tmp_path / "x.cbox", Picks.on("m", [[1, 2]]))


def test_convert_to_cryosparc_keeps_uids_and_paths(tmp_path):
    names = ["J1/imported/001234_mic 1.mrc", "J1/imported/001235_a.b.mrc"]
    exposures(tmp_path / "mics.cs", names)
    write_picks(tmp_path / "p.txt", Picks(["001234_mic 1", "001235_a.b"], [[576, 1023], [1, 2]], [3, -1]))
    out = tmp_path / "p.cs"
    words = ["convert", str(tmp_path / "p.txt"), "-x", "4", "--micrographs", str(tmp_path / "mics.cs")]
    assert main([*words, "-o", str(out)]) == 0
    table = np.load(out)
    assert table["location/micrograph_path"].tolist() == [n.encode() for n in names]
    assert table["location/micrograph_uid"].tolist() == [2**60, 2**60 + 1]
    assert table["location/micrograph_shape"].tolist() == [[4092, 5760]] * 2
    assert (table["location/center_x_frac"][0], table["location/center_y_frac"][0]) == pytest.approx((0.4, 1.0))
    assert len(set(table["uid"].tolist())) == 2
    # and on to RELION with the paths, turned around, from the .cs file's own knowledge
    assert main(["convert", str(out), "--invert-y", "-t", "0", "-o", str(tmp_path / "p.star")]) == 0
    picks = read_picks(tmp_path / "p.star")
    assert (picks.names.tolist(), picks.xy.round(2).tolist()) == ([names[0]], [[2304, -1]])
    assert main(["convert", str(out), "-s", "2", "-o", str(tmp_path / "half.cs")]) == 0
    assert np.load(tmp_path / "half.cs")["location/micrograph_uid"].tolist() == [2**60, 2**60 + 1]


def test_a_table_of_micrographs_that_is_not_there(tmp_path, capsys):
    write_picks(tmp_path / "p.txt", Picks.on("001", [[1, 2]]))
    words = ["convert", str(tmp_path / "p.txt"), "--micrographs", str(tmp_path / "missing.cs")]
    assert main([*words, "-o", str(tmp_path / "x.cs")]) == 2
    said = capsys.readouterr().err
    assert "missing.cs: there is no such file" in said
    assert said.count("\n") == 1


def test_convert_to_a_folder_of_cryosparc_files(tmp_path):
    names = ["J1/imported/001.mrc", "J1/imported/002.mrc"]
    exposures(tmp_path / "mics.cs", names)
    write_picks(tmp_path / "p.txt", Picks(["001", "002"], [[576, 1023], [1, 2]]))
    words = ["convert", str(tmp_path / "p.txt"), "--to", "cs", "--micrographs", str(tmp_path / "mics.cs")]
    assert main([*words, "-o", f"{tmp_path}/out/"]) == 0
    assert np.load(tmp_path / "out/002.cs")["location/micrograph_uid"].tolist() == [2**60 + 1]


def test_convert_between_any_two(tmp_path):
    image = np.random.default_rng(0).normal(size=(200, 300)).astype(np.float32)
    (tmp_path / "mics").mkdir()
    mrcfile.write(tmp_path / "mics" / "001.mrc", image)
    start = Picks(["001", "001"], [[10, 20], [30, 40]], [1.5, -0.5])
    write_picks(tmp_path / "start.txt", start)
    suffixes = {"txt": ".txt", "star": ".star", "box": ".box", "csv": ".csv", "via": ".csv", "json": "_info.json"}
    suffixes |= {"cbox": ".cbox", "cs": ".cs"}
    box, paths = ["--boxsize", "20"], ["--micrographs", str(tmp_path / "mics")]
    extra = {"box": box, "cbox": box, "star": paths, "cs": paths}
    for one, suffix in suffixes.items():
        first = tmp_path / one / f"001{suffix}"
        assert main(["convert", str(tmp_path / "start.txt"), "--to", one, *extra.get(one, []), "-o", str(first)]) == 0
        for two, other in suffixes.items():
            second = tmp_path / f"{one}-{two}" / f"001{other}"
            assert (
                main(["convert", str(first), "--from", one, "--to", two, *extra.get(two, []), "-o", str(second)]) == 0
            )
            back = read_picks(second, format=two)
            np.testing.assert_allclose(back.xy, start.xy, atol=1e-3)
            np.testing.assert_allclose(back.scores, start.scores, atol=1e-5)
            assert {name.rsplit("/", 1)[-1].removesuffix(".mrc") for name in back.names} == {"001"}


def test_via_as_topaz_writes_it(tmp_path):
    write_picks(tmp_path / "v.csv", Picks(["a.b"], [[1.4, 2.6]], [0.5]), format="via", integers=True, image_ext=".png")
    with (tmp_path / "v.csv").open() as file:
        row = next(csv.DictReader(file))
    assert (row["filename"], row["file_size"], row["region_count"]) == ("a.b.png", "-1", "1")
    assert json.loads(row["region_shape_attributes"]) == {"name": "point", "cx": 1, "cy": 3}
    assert json.loads(row["region_attributes"]) == {"score": "0.500000"}


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=5))
@settings(max_examples=20, deadline=None, suppress_health_check=FUNCTION_SCOPED)
def test_confidences_of_cryolo_are_probabilities(tmp_path, scores):
    write_picks(tmp_path / "m.cbox", Picks.on("m", np.zeros((len(scores), 2)), scores), box_size=10)
    np.testing.assert_allclose(read_picks(tmp_path / "m.cbox").scores, scores, atol=1e-3)
