"""Models of IMOD, where the library that reads them is installed."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from heliodor.cli import main
from heliodor.errors import FormatError, SettingsError
from heliodor.formats import read_picks, write_per_micrograph, write_picks
from heliodor.picks import Picks
from test_formats import NASTY


def test_without_the_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imodmodel", None)
    with pytest.raises(SettingsError, match=r"pip install 'heliodor\[imod\]'"):
        write_picks(tmp_path / "a.mod", Picks.on("a", [[1, 2]]))
    (tmp_path / "a.mod").write_bytes(b"IMODV1.2")
    with pytest.raises(SettingsError, match=r"pip install 'heliodor\[imod\]'"):
        read_picks(tmp_path / "a.mod")


def test_one_file_per_micrograph_there_and_back(tmp_path):
    pytest.importorskip("imodmodel")
    names = [name for name in NASTY if name not in ("?", "# hash")]
    picks = Picks(names, np.arange(2 * len(names)).reshape(-1, 2) * 1.25)
    write_per_micrograph(tmp_path, picks, format="imod")
    back = dict(read_picks(tmp_path).by_micrograph())
    assert set(back) == set(names)
    for name, part in picks.by_micrograph():
        np.testing.assert_allclose(back[name].xy, part.xy, atol=1e-4)


def test_the_centre_of_the_first_pixel_is_half_a_pixel_off(tmp_path):
    imodmodel = pytest.importorskip("imodmodel")
    write_picks(tmp_path / "a.b.mod", Picks.on("x", [[0, 0], [3.5, 7]]))
    table = imodmodel.read(tmp_path / "a.b.mod")
    assert table[["x", "y", "z"]].to_numpy().tolist() == [[0.5, 0.5, 0], [4, 7.5, 0]]
    assert main(["convert", str(tmp_path / "a.b.mod"), "-x", "2", "-o", str(tmp_path / "t.txt")]) == 0
    assert read_picks(tmp_path / "t.txt").xy.tolist() == [[0, 0], [7, 14]]
    assert set(read_picks(tmp_path / "t.txt").names) == {"a.b"}


def test_files_that_are_none(tmp_path):
    pytest.importorskip("imodmodel")
    write_picks(tmp_path / "a.mod", Picks.on("x", [[0, 0], [3.5, 7]]))
    whole = (tmp_path / "a.mod").read_bytes()
    for content in (b"", b"x" * 300, whole[:270], whole[:-4]):
        (tmp_path / "b.mod").write_bytes(content)
        with pytest.raises(FormatError, match=r"b\.mod: not a whole binary model"):
            read_picks(tmp_path / "b.mod")
    (tmp_path / "b.mod").write_bytes(whole[:250] + b"IEOF")
    with pytest.raises(FormatError, match=r"b\.mod: damaged"):
        read_picks(tmp_path / "b.mod")
    with pytest.raises(FormatError, match="belongs to one micrograph"):
        write_picks(tmp_path / "b.mod", Picks(["a", "b"], [[1, 2], [3, 4]]))
