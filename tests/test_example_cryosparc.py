"""The external job for cryoSPARC, run with the real classes of cryosparc-tools; only its server is made up."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import mrcfile
import numpy as np
import pytest

from heliodor.formats import cs, read_picks
from heliodor.networks import NetworkSettings, build, save_network

tools = pytest.importorskip("cryosparc.tools")
from cryosparc.controllers.job import ExternalJobController  # noqa: E402
from cryosparc.controllers.project import ProjectController  # noqa: E402
from cryosparc.dataset import Dataset  # noqa: E402

ROOT = Path(__file__).parent.parent
NAMES = ["J1/motioncorrected/001_a.b.mrc", "J1/motioncorrected/002 c.mrc"]
FIELDS = [
    ("uid", "<u8"), ("location/micrograph_uid", "<u8"), ("location/exp_group_id", "<u4"),
    ("location/micrograph_path", "O"), ("location/micrograph_shape", "<u4", (2,)),
    ("location/center_x_frac", "<f4"), ("location/center_y_frac", "<f4"),
    ("pick_stats/ncc_score", "<f4"), ("pick_stats/power", "<f4"),
]  # fmt: skip


class Server:
    """What cryoSPARC would answer, and what it was told."""

    def __init__(self, folder: Path, exposures: Dataset) -> None:
        self.folder, self.exposures = folder, exposures
        self.calls: list[str] = []
        self.inputs: dict[str, object] = {}
        self.saved: Dataset | None = None
        self.api = SimpleNamespace(jobs=self, projects=self)

    # of CryoSPARC
    def find_project(self, uid):
        return ProjectController(self, uid)

    def create_external_job(self, project, workspace_uid, title, desc):
        assert (project, workspace_uid, title) == ("P3", "W1", "heliodor")
        return ExternalJobController(self, (project, "J9"))

    # of its server
    def find_one(self, project, job=None):
        spec = SimpleNamespace(
            type="snowflake",
            inputs=SimpleNamespace(root=self.inputs),
            outputs=SimpleNamespace(root={"exposures": SimpleNamespace(type="exposure")}),
        )
        return SimpleNamespace(uid=job or project, project_uid=project, spec=spec)

    def get_directory(self, *_):
        return str(self.folder)

    def add_external_input(self, project, job, name, body):
        self.inputs[name] = body
        return self.find_one(project, job)

    def get_output_fields(self, *_):
        return FIELDS

    def load_input(self, project, job, name, slots):
        assert (name, slots) == ("micrographs", ["micrograph_blob"])
        return self.exposures

    def save_output(self, project, job, name, dataset, version):
        self.saved = dataset
        return self.find_one(project, job)

    def add_event_log(self, project, job, text, type):
        self.calls.append(text)
        return SimpleNamespace(id="1")

    def __getattr__(self, name):
        def call(project, job, *words, **options):
            self.calls.append(name)
            return self.find_one(project, job)

        return call


def test_picks_are_given_back_to_cryosparc(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for name in NAMES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        with mrcfile.new(tmp_path / name) as mrc:
            mrc.set_data(rng.normal(size=(120, 200)).astype(np.float32))
            mrc.voxel_size = 2.0
    network = build(NetworkSettings("conv31", 2))
    about = {"geometry": {"pixel_size": 2.0, "factor": 2.0, "exclusion_radius": 8.0}, "threshold": -1.0}
    save_network(tmp_path / "model.safetensors", network, {**about, "normalization": "affine"})
    exposures = Dataset(
        {
            "uid": np.array([11, 22], dtype=np.uint64),
            "micrograph_blob/path": NAMES,
            "micrograph_blob/shape": np.array([[120, 200]] * 2, dtype=np.uint32),
        }
    )
    server = Server(tmp_path, exposures)
    monkeypatch.setattr(tools, "CryoSPARC", lambda: server)
    command = tmp_path / "bin" / "heliodor"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT / "src"}" exec "{sys.executable}" -m heliodor "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(sys, "argv", ["job", "P3", "W1", "J2", str(tmp_path / "model.safetensors")])
    runpy.run_path(str(ROOT / "examples/cryosparc_external_job.py"), run_name="__main__")

    picks = server.saved
    assert picks is not None
    assert len(picks) > 4
    assert set(picks["location/micrograph_path"]) == set(NAMES)
    assert set(zip(picks["location/micrograph_path"], picks["location/micrograph_uid"].tolist(), strict=True)) == set(
        zip(NAMES, [11, 22], strict=True)
    )
    assert np.unique(picks["uid"]).size == len(picks)
    assert (picks["location/micrograph_shape"] == [120, 200]).all()
    assert ((picks["location/center_x_frac"] >= 0) & (picks["location/center_x_frac"] <= 1)).all()
    assert (picks["pick_stats/ncc_score"] > -1).all()
    assert [call for call in server.calls if call.startswith("mark")] == ["mark_running", "mark_completed"]
    assert f"{len(picks)} particles on 2 micrographs" in server.calls
    picks.save(tmp_path / "given back.cs")
    assert cs.read_micrographs(tmp_path / "given back.cs")[NAMES[0]].uid == 11
    assert len(read_picks(tmp_path / "given back.cs")) == len(picks)
