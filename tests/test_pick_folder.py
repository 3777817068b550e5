"""The folder of a run: what an earlier call, another run, or a person left in it."""

from __future__ import annotations

import json
import os

import pytest

from heliodor.errors import SettingsError
from heliodor.names import MicrographFile
from heliodor.picking.folder import CHECKPOINT, MODEL, claim_folder, star_path
from heliodor.picking.kept import Kept
from heliodor.record import RUN, stamp, write_record

DECIDING = {"settings": {"seed": 0}}


@pytest.fixture
def files(tmp_path):
    """Three micrographs, and the folder of a run that has picked them."""
    micrographs = []
    for name in ("a", "1/b", "c"):
        path = tmp_path / "input" / f"{name}.mrc"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"pixels")
        micrographs.append(MicrographFile(path, name))
    folder = tmp_path / "out"
    for micrograph in micrographs:
        now = stamp(micrograph.path)
        Kept(1.0, (), "digest", str(micrograph.path), **now).write(folder, micrograph.name)
        for kind in ("candidates", "micrographs"):
            path = star_path(folder, kind, micrograph.name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("picks")
    (folder / MODEL).write_bytes(b"weights")
    described = [{"path": str(m.path), "name": m.name, **stamp(m.path)} for m in micrographs]
    write_record(folder / RUN, {**DECIDING, "working_folder": str(tmp_path), "micrographs": described})
    return folder, micrographs


def test_starting_afresh_removes_what_runs_write_and_nothing_else(files):
    """The folder may be the one in which a person keeps micrographs, under the very name that results have."""
    folder, micrographs = files
    own = [folder / "micrographs" / "mine.mrc", folder / "micrographs" / "mine.star", folder / "candidates.doc"]
    for path in own:
        path.write_text("mine")
    claim_folder(folder, {"settings": {"seed": 1}}, micrographs[:1], micrographs[:1], overwrite=True)
    assert all(path.read_text() == "mine" for path in own)
    left = sorted(path for path in folder.rglob("*") if path.is_file())
    assert left == sorted(own)
    assert not (folder / "candidates").exists()


def test_picks_of_micrographs_that_are_not_given_any_more_are_removed(files):
    folder, micrographs = files
    claim_folder(folder, DECIDING, micrographs[1:], micrographs[1:], overwrite=False)
    assert [star_path(folder, "micrographs", m.name).is_file() for m in micrographs] == [False, True, True]
    assert all(star_path(folder, "candidates", m.name).is_file() for m in micrographs)


def test_a_network_of_no_known_run_is_not_taken_for_this_one(files):
    folder, micrographs = files
    (folder / RUN).unlink()
    with pytest.raises(SettingsError, match=r"model\.safetensors: nothing in the folder says of which run"):
        claim_folder(folder, DECIDING, micrographs, micrographs, overwrite=False)
    claim_folder(folder, DECIDING, micrographs, micrographs, overwrite=True)
    assert not (folder / MODEL).exists()


@pytest.mark.parametrize("left", [MODEL, CHECKPOINT])
def test_training_does_not_go_on_with_a_micrograph_that_has_changed(files, left):
    folder, micrographs = files
    (folder / MODEL).rename(folder / left)
    star_path(folder, "candidates", "c").unlink()
    os.utime(micrographs[2].path, (1e9, 1e9))
    with pytest.raises(SettingsError, match=r"c\.mrc: what .* holds is of another file \(the file has changed since\)"):
        claim_folder(folder, DECIDING, micrographs, micrographs[2:], overwrite=False)
    claim_folder(folder, DECIDING, micrographs, micrographs[:1], overwrite=False)  # it has no label, and no candidates
    (folder / left).unlink()
    claim_folder(folder, DECIDING, micrographs, micrographs[2:], overwrite=False)  # nothing has been trained


def test_another_run_is_refused(files):
    folder, micrographs = files
    with pytest.raises(SettingsError, match="seed was 0, is 1"):
        claim_folder(folder, {"settings": {"seed": 1}}, micrographs, (), overwrite=False)
    assert json.loads((folder / RUN).read_text())["settings"] == {"seed": 0}


def test_a_call_that_came_to_nothing_does_not_hold_the_folder(files):
    folder, micrographs = files
    (folder / MODEL).unlink()
    for micrograph in micrographs:
        star_path(folder, "candidates", micrograph.name).unlink()
    claim_folder(folder, {"settings": {"seed": 1}}, micrographs, (), overwrite=False)
    assert not (folder / RUN).exists()
