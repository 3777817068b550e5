"""Finished runs of known content, made without training."""

from __future__ import annotations

import json
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import mrcfile
import numpy as np

from heliodor.formats import write_picks
from heliodor.names import MicrographFile
from heliodor.picking.geometry import derive_geometry
from heliodor.picking.settings import PickSettings
from heliodor.picks import Picks
from heliodor.record import surroundings, write_record
from heliodor.training.history import write_table

DIAMETER, PIXEL_SIZE, SHAPE = 40.0, 2.0, (180, 200)
VOID = {"meta", "img", "input", "br", "hr", "link"}


def micrograph(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 10, SHAPE).astype(np.float32)


def write_micrographs(folder: Path, names: list[str]) -> list[MicrographFile]:
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for seed, name in enumerate(names):
        path = folder / f"{name}.mrc"
        with mrcfile.new(path, overwrite=True) as mrc:
            mrc.set_data(micrograph(seed))
            mrc.voxel_size = PIXEL_SIZE
        files.append(MicrographFile(path, name))
    return files


def some_picks(names: list[str], counts: list[int], seed: int = 0) -> Picks:
    """Picks at random places, scores from 1 to 9, best first on each micrograph."""
    random = np.random.default_rng(seed)
    parts = []
    for name, count in zip(names, counts, strict=True):
        xy = random.uniform(40, [SHAPE[1] - 40, SHAPE[0] - 40], (count, 2))
        parts.append(Picks.on(name, xy, np.sort(random.uniform(1, 9, count))[::-1]))
    return Picks.join(parts)


def write_run(
    folder: Path, files: list[MicrographFile], picks: Picks, labels: Picks, *, failed: dict[str, str] | None = None
) -> Path:
    """Write what `heliodor pick` leaves, as far as the report reads it."""
    geometry = derive_geometry(DIAMETER, PIXEL_SIZE)
    folder.mkdir(parents=True)
    record = {
        **surroundings(),
        "settings": asdict(PickSettings(DIAMETER, normalization="flat")),
        "derived": asdict(geometry),
        "lists": {
            "labels": [[n, *xy] for n, xy in zip(labels.names, labels.xy.tolist(), strict=True)],
            "negatives": [],
        },
        "device": "cpu",
        "workers": 1,
        "working_folder": str(Path.cwd()),
        "micrographs": [{"path": str(f.path), "name": f.name, "bytes": 1, "defocus": f.defocus} for f in files],
        "result": {
            "estimates": {"pi": 0.05, "expected_particles": 30.0, "particles_in_sample": 21.5, "threshold": 0.75},
            "picks": len(picks),
            "failed": failed or {},
            "seconds": {"training": 61.0, "picking": 2.0, "total": 63.0},
        },
    }
    write_record(folder / "run.json", record)
    write_picks(folder / "picks.txt", picks)
    rates = {"labeled_loss": 0.1, "unlabeled_loss": 0.2, "reconstruction": 0.0, "held_out_ap": float("nan")}
    rows = [
        {"epoch": e, "loss": 10.0 / e, **rates, "expected_precision": 0.1 * e, "recall": 0.2 * e, "seconds": 1.0}
        for e in (1, 2, 3)
    ]
    write_table(folder / "training.tsv", rows)
    return folder


def change_record(folder: Path, **result: object) -> None:
    record = json.loads((folder / "run.json").read_text())
    record["result"].update(result)
    write_record(folder / "run.json", record)


class Page(HTMLParser):
    """A page taken apart: its text, its attributes by tag; every element must be closed where it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def count(self, tag: str, **attributes: str) -> int:
        wanted = {key.rstrip("_"): value for key, value in attributes.items()}
        return sum(name == tag and wanted.items() <= found.items() for name, found in self.tags)
