"""Pick the micrographs of a cryoSPARC job with heliodor, in an external job of cryoSPARC.

    python cryosparc_external_job.py P3 W1 J2 picked/model.safetensors

Needs cryosparc-tools, and cryoSPARC's address and login in its variables (CRYOSPARC_BASE_URL, CRYOSPARC_EMAIL,
CRYOSPARC_PASSWORD). Runs where the project's files are, without copying them.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from cryosparc.dataset import Dataset
from cryosparc.tools import CryoSPARC


def main() -> None:
    """Connect, pick, and save the picks as an output."""
    options = arguments()
    project = CryoSPARC().find_project(options.project)
    job = project.create_external_job(options.workspace, title="heliodor")
    job.add_input("exposure", name="micrographs", min=1, slots=["micrograph_blob"])
    job.connect("micrographs", options.job, options.output, slots=["micrograph_blob"])
    job.add_output("particle", name="picks", slots=["location", "pick_stats"])
    with job.run(), tempfile.TemporaryDirectory() as folder:
        exposures = job.load_input("micrographs", slots=["micrograph_blob"])
        found = pick(exposures, Path(str(project.dir)), Path(options.model).resolve(), Path(folder))
        picks = job.alloc_output("picks", found["uid"])
        for field in found.fields():
            if field in picks:
                picks[field] = found[field]
        job.log(f"{len(found)} particles on {len(exposures)} micrographs")
        job.save_output("picks", picks)


def pick(exposures: Dataset, project: Path, model: Path, folder: Path) -> Dataset:
    """Pick exposures of a project's folder; return the locations."""
    exposures.save(folder / "exposures.cs")
    paths = "".join(f"{path}\n" for path in exposures["micrograph_blob/path"])
    (folder / "micrographs.txt").write_text(paths, encoding="utf-8")
    extract = ["heliodor", "extract", "--raw", "-m", str(model), "-o", str(folder / "picks.txt")]
    subprocess.run([*extract, str(folder / "micrographs.txt")], check=True, cwd=project)
    convert = ["heliodor", "convert", str(folder / "picks.txt"), "--micrographs", str(folder / "exposures.cs")]
    subprocess.run([*convert, "-o", str(folder / "picks.cs")], check=True, cwd=project)
    return Dataset.load(folder / "picks.cs")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("project", help="such as P3")
    parser.add_argument("workspace", help="such as W1")
    parser.add_argument("job", help="whose micrographs to pick, such as J2")
    parser.add_argument("model", help="model.safetensors of a run of heliodor pick")
    parser.add_argument("--output", default="exposures", help="of that job")
    return parser.parse_args()


if __name__ == "__main__":
    main()
