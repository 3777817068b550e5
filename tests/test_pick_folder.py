"""The folder of a run: what an earlier call, another run, or a person left in it."""

from __future__ import annotations

import json
import os

import pytest

from conftest_helpers import Listener
from heliodor.errors import SettingsError
from heliodor.names import MicrographFile
from heliodor.networks import Classifier, NetworkSettings, save_network
from heliodor.picking.folder import (
    CHECKPOINT,
    MODEL,
    PRIOR,
    SAMPLE,
    claim_folder,
    digest,
    given_back,
    load_own,
    remove_others,
    star_path,
)
from heliodor.picking.kept import Kept
from heliodor.progress import SILENT
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
    assert not list((folder / "candidates").rglob("*.star"))


def test_picks_of_other_micrographs_are_removed_and_what_no_run_wrote_stays(files):
    folder, micrographs = files
    own = star_path(folder, "micrographs", "mine")
    own.write_text("mine")
    claim_folder(folder, DECIDING, micrographs[1:], micrographs[1:], overwrite=False)
    assert all(star_path(folder, "micrographs", m.name).is_file() for m in micrographs)  # until the call has succeeded
    remove_others(folder, [m.name for m in micrographs[1:]])
    assert [star_path(folder, "micrographs", m.name).is_file() for m in micrographs] == [False, True, True]
    assert all(star_path(folder, "candidates", m.name).is_file() for m in micrographs)
    assert own.read_text() == "mine"


def test_a_network_of_no_known_run_is_not_taken_for_this_one(files):
    folder, micrographs = files
    (folder / RUN).unlink()
    with pytest.raises(SettingsError, match=r"model\.safetensors: would be replaced, and no run of"):
        claim_folder(folder, DECIDING, micrographs, micrographs, overwrite=False)
    claim_folder(folder, DECIDING, micrographs, micrographs, overwrite=True)
    assert not (folder / MODEL).exists()


def test_the_network_of_another_run_is_not_loaded(tmp_path):
    assert load_own(tmp_path, "this", SILENT) is None
    listener = Listener()
    save_network(tmp_path / MODEL, Classifier(NetworkSettings(units=2)), {"run": "another", "asked": {}})
    assert load_own(tmp_path, "this", listener) is None
    assert "of another run, or of another version" in listener.warnings[0]
    assert load_own(tmp_path, "another", SILENT) is not None
    save_network(tmp_path / MODEL, Classifier(NetworkSettings(units=2)), {"run": "this"})  # by an earlier version
    assert load_own(tmp_path, "this", SILENT) is None


@pytest.mark.parametrize("name", ["micrographs/a.star", "picks.star", "report.html"])
def test_what_no_run_has_left_is_not_replaced(files, tmp_path, name):
    own = tmp_path / "project" / name
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    with pytest.raises(SettingsError, match=f"{name}: would be replaced, and no run"):
        claim_folder(tmp_path / "project", DECIDING, files[1], files[1], overwrite=False)
    assert own.read_text() == "mine"
    claim_folder(tmp_path / "project", DECIDING, files[1], files[1], overwrite=True)  # as the message says


def test_a_digest_is_that_of_settings_and_weights():
    networks = [Classifier(NetworkSettings(units=2)) for _ in range(2)]
    found = [digest(DECIDING), digest({"settings": {"seed": 1}}), *(digest(DECIDING, network) for network in networks)]
    assert len(set(found)) == 4
    assert digest(DECIDING, networks[0]) == found[2]


def test_a_setting_that_a_later_version_has_and_nobody_has_made_is_no_other_run():
    assert digest({"settings": {"seed": 0, "new": None}, "start": None}) == digest({"settings": {"seed": 0}})


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


def test_a_damaged_record_is_told_and_can_be_overwritten(files):
    folder, micrographs = files
    (folder / RUN).write_text('{"settings": ')
    with pytest.raises(SettingsError, match=r"run\.json: is damaged .*--overwrite"):
        claim_folder(folder, DECIDING, micrographs, micrographs, overwrite=False)
    claim_folder(folder, DECIDING, micrographs, micrographs, overwrite=True)
    assert not (folder / RUN).exists()


def test_another_run_is_refused(files):
    folder, micrographs = files
    with pytest.raises(SettingsError, match="seed was 0, is 1"):
        claim_folder(folder, {"settings": {"seed": 1}}, micrographs, (), overwrite=False)
    assert json.loads((folder / RUN).read_text())["settings"] == {"seed": 0}


@pytest.mark.parametrize("came", [False, True])
def test_a_call_that_came_to_nothing_gives_the_folder_back(tmp_path, came):
    write_record(tmp_path / RUN, DECIDING)
    (tmp_path / SAMPLE).write_bytes(b"scores")
    if came:
        (tmp_path / PRIOR).write_text("{}")
    with pytest.raises(KeyboardInterrupt), given_back(tmp_path):
        raise KeyboardInterrupt
    assert (tmp_path / RUN).is_file() == (tmp_path / SAMPLE).is_file() == came
