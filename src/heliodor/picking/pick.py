"""The main job: train on the labelled micrographs, then pick every micrograph."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor._version import __version__
from heliodor.errors import LabelError, MicrographError, SettingsError
from heliodor.files import make_directory, write_text
from heliodor.formats import star, write_picks
from heliodor.formats.star import read as read_star
from heliodor.micrographs import MicrographFile, read_header, read_micrograph
from heliodor.names import match_names
from heliodor.picking.geometry import Geometry, derive_geometry, expected_particles_start
from heliodor.picks import Picks
from heliodor.preprocess import preprocess
from heliodor.progress import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from heliodor.networks import Classifier
    from heliodor.training.loop import Trainer, TrainingSettings
    from heliodor.training.tiles import Example

CHECKPOINT = "checkpoint.pt"
MODEL = "model.safetensors"
LOWEST_SCORE = -6.0  # candidates below this log-odds (probability 0.0025) are not kept


@dataclass(frozen=True)
class PickSettings:
    """What a user may choose; None is derived from the data.

    Parameters
    ----------
    diameter : float
        Of the particle's long axis, in angstrom.
    pixel_size : float, optional
        Angstrom per full-size pixel, where headers have none or a wrong one.
    factor, label_radius, exclusion_radius : float, optional
        See `heliodor.picking.geometry`.
    pi, expected_particles : float, optional
        Fraction of positive pixels among the unlabelled, or particles per micrograph.
    normalization : {'gmm', 'affine'}
    model, method : str
        Network and objective.
    units : int
    epochs, epoch_size : int
    autoencoder, l2, slack : float
    threshold : float
        Picks have a score above this log-odds.
    held_out : float
        Fraction of the labelled micrographs kept for validation.
    seed : int
    """

    diameter: float
    pixel_size: float | None = None
    factor: float | None = None
    label_radius: float | None = None
    exclusion_radius: float | None = None
    pi: float | None = None
    expected_particles: float | None = None
    normalization: str = "gmm"
    model: str = "conv31"
    method: str = "GE-binomial"
    units: int = 32
    epochs: int = 10
    epoch_size: int = 100
    autoencoder: float = 0.0
    l2: float = 0.0
    slack: float = -1.0
    threshold: float = 0.0
    held_out: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pi is not None and self.expected_particles is not None:
            raise SettingsError("--pi and --expected-particles say the same thing twice; give one of them")
        if not 0 <= self.held_out < 1:
            raise SettingsError(f"--held-out must be in [0, 1). Got {self.held_out} instead.")


@dataclass
class PickResult:
    """What a run did.

    Attributes
    ----------
    picks : Picks
        Of all micrographs, in full-size pixels.
    failed : dict
        Micrograph path -> why it was skipped.
    geometry : Geometry
    """

    picks: Picks
    failed: dict[str, str]
    geometry: Geometry
    timings: dict[str, float] = field(default_factory=dict)


def pick(
    micrographs: Sequence[MicrographFile],
    labels: Picks,
    settings: PickSettings,
    out: str | os.PathLike[str],
    *,
    negatives: Picks | None = None,
    device: str = "auto",
    workers: int = 1,
    overwrite: bool = False,
    reporter: Reporter = SILENT,
) -> PickResult:
    """Train on the micrographs that have labels, pick every micrograph, and write the results to `out`.

    A second call with the same settings goes on where the first one stopped.

    Parameters
    ----------
    micrographs : sequence of MicrographFile
    labels : Picks
        Centres in full-size pixels; names as in `heliodor.names.match_names`.
    settings : PickSettings
    out : path
        Folder for picks.star, picks.txt, micrographs/, model.safetensors, training.tsv, run.json,
        overview.png.
    negatives : Picks, optional
        Centres that are no particles.
    device : str
        See `heliodor.training.loop.device_of`.
    workers : int
        Threads that read and preprocess micrographs ahead; the result does not depend on it.
    overwrite : bool
        Start afresh where `out` holds a run with other settings.
    reporter : Reporter

    Raises
    ------
    LabelError, MicrographError, SettingsError, OutputError
    """
    started = time.perf_counter()
    labels, labeled = _resolve(labels, micrographs)
    negatives = _resolve(negatives, micrographs)[0] if negatives is not None and len(negatives) else None
    pixel_size, shape = _pixel_size(labeled, settings)
    _check_labels(labels, labeled)
    geometry = _geometry(settings, pixel_size)
    folder = make_directory(out)
    record = _record(settings, geometry, labels, negatives, micrographs)
    _claim(folder, record, overwrite)
    _say(reporter, geometry, settings, labels, len(labeled), len(micrographs))
    timings: dict[str, float] = {}

    network = _trained(folder, labeled, labels, negatives, settings, geometry, shape, device, reporter, timings)
    before = time.perf_counter()
    failed = _pick_all(folder, network, micrographs, settings, geometry, device, workers, reporter)
    timings["picking"] = time.perf_counter() - before
    picks = _collect(folder, micrographs, failed, settings.threshold)
    timings["total"] = time.perf_counter() - started
    record["result"] = {"picks": len(picks), "failed": failed, "seconds": timings}
    record["device"], record["workers"] = device, workers
    write_text(folder / "run.json", json.dumps(record, indent=1) + "\n")
    _draw(folder, micrographs, failed, picks, labels, geometry, settings)
    return PickResult(picks, failed, geometry, timings)


def _resolve(labels: Picks, micrographs: Sequence[MicrographFile]) -> tuple[Picks, list[MicrographFile]]:
    if not len(labels):
        raise LabelError("the labels hold no particle; label some particles on some of the micrographs")
    names = match_names(labels.micrographs(), micrographs)
    known = labels.select(np.array([name in names for name in labels.names]))
    known = known.renamed(names)
    present = set(known.names)
    return known, [m for m in micrographs if m.name in present]


def _pixel_size(labeled: Sequence[MicrographFile], settings: PickSettings) -> tuple[float, tuple[int, int]]:
    first = read_micrograph(labeled[0].path)
    shape, size = first.pixels.shape, first.pixel_size
    if settings.pixel_size is not None:
        return settings.pixel_size, shape
    if size is None:
        raise MicrographError(f"{labeled[0].path}: no pixel size in its header; give --angpix, in angstrom")
    return size, shape


def _check_labels(labels: Picks, labeled: Sequence[MicrographFile]) -> None:
    """Refuse labels that cannot be in the pixels of these micrographs, before any work starts."""
    off = total = 0
    reach = np.zeros(2)
    extent = np.zeros(2)
    for micrograph in labeled:
        (rows, columns), _ = read_header(micrograph.path)
        xy = labels.of(micrograph.name).xy
        outside = ((xy < -0.5) | (xy > np.array([columns, rows]) - 0.5)).any(axis=1)
        off, total = off + int(outside.sum()), total + len(xy)
        reach, extent = np.maximum(reach, xy.max(axis=0)), np.maximum(extent, [columns, rows])
    if off > 0.1 * total:
        scale = float((extent / np.maximum(reach, 1)).min())
        swapped = bool((reach[::-1] <= extent).all())
        hint = (
            "x and y seem to be swapped"
            if swapped
            else f"they would fit if multiplied by {2.0 ** np.floor(np.log2(scale)):g} or less"
        )
        raise LabelError(
            f"{off} of {total} labels lie off their micrographs ({labeled[0].path.name} has {extent[0]:.0f} x "
            f"{extent[1]:.0f} pixels, labels reach {reach[0]:.0f}, {reach[1]:.0f}): {hint}; "
            "give them in full-size pixels"
        )
    if total >= 20 and bool((reach < 0.3 * extent).all()):
        scale = float((extent / reach).min())
        raise LabelError(
            f"all {total} labels lie in one corner (up to {reach[0]:.0f}, {reach[1]:.0f} of {extent[0]:.0f} x "
            f"{extent[1]:.0f} pixels): they seem to be in downsampled pixels; multiply them by about {scale:.1f} "
            "(heliodor convert -x)"
        )


def _geometry(settings: PickSettings, pixel_size: float) -> Geometry:
    from heliodor.networks import Classifier, NetworkSettings

    return derive_geometry(
        settings.diameter,
        pixel_size,
        receptive_field=Classifier(NetworkSettings(model=settings.model, units=1)).receptive_field,
        factor=settings.factor,
        label_radius=settings.label_radius,
        exclusion_radius=settings.exclusion_radius,
    )


def _record(
    settings: PickSettings,
    geometry: Geometry,
    labels: Picks,
    negatives: Picks | None,
    micrographs: Sequence[MicrographFile],
) -> dict[str, Any]:
    import scipy
    import torch

    def table(picks: Picks | None) -> list[list[Any]]:
        return (
            [] if picks is None else [[n, *xy] for n, xy in zip(picks.names, picks.xy.round(3).tolist(), strict=True)]
        )

    return {
        "heliodor": __version__,
        "settings": asdict(settings),
        "derived": asdict(geometry),
        "labels": table(labels),
        "negatives": table(negatives),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "torch": torch.__version__,
        },
        "machine": {"system": platform.platform(), "processors": os.cpu_count()},
        "micrographs": [
            {
                "path": str(m.path),
                "name": m.name,
                "bytes": m.path.stat().st_size if m.path.is_file() else None,
            }
            for m in micrographs
        ],
    }


_DECIDING = ("settings", "derived", "labels", "negatives")


def _claim(folder: Path, record: dict[str, Any], overwrite: bool) -> None:
    """Make the folder this run's own: go on with an equal one, refuse or clear a different one."""
    path = folder / "run.json"
    if path.is_file():
        old = json.loads(path.read_text(encoding="utf-8"))
        different = _differences(old, json.loads(json.dumps(record)))
        if different and not overwrite:
            raise SettingsError(
                f"{folder}: holds a run with other settings ({'; '.join(different)}); "
                "choose another folder with -o, or start afresh with --overwrite"
            )
        if different or overwrite:
            for name in (
                CHECKPOINT,
                MODEL,
                "training.tsv",
                "picks.star",
                "picks.txt",
                "overview.png",
                "run.json",
            ):
                (folder / name).unlink(missing_ok=True)
            shutil.rmtree(folder / "micrographs", ignore_errors=True)
    write_text(path, json.dumps(record, indent=1) + "\n")


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    found = []
    for part in _DECIDING[:2]:
        for key, value in new[part].items():
            if old.get(part, {}).get(key) != value:
                found.append(f"{key} was {old.get(part, {}).get(key)}, is {value}")
    found += [f"the {part} differ" for part in _DECIDING[2:] if old.get(part) != new[part]]
    return found


def _say(
    reporter: Reporter, g: Geometry, settings: PickSettings, labels: Picks, labeled: int, micrographs: int
) -> None:
    reporter.note(f"{len(labels)} labels on {labeled} of {micrographs} micrographs")
    reporter.note(
        f"diameter {g.diameter:g} A at {g.pixel_size:g} A per pixel: factor {g.factor:.3g} "
        f"(particle {g.span:.0f} small pixels wide), label radius {g.label_radius:g}, "
        f"exclusion radius {g.exclusion_radius:.3g} small pixels"
    )


def _load(micrograph: MicrographFile, settings: PickSettings, geometry: Geometry) -> tuple[Any, tuple[float, float]]:
    """Return the small, normalized micrograph and its scale (x, y) to full-size pixels."""
    full = read_micrograph(micrograph.path, pixel_size=settings.pixel_size, name=micrograph.name)
    small, _ = preprocess(full, factor=geometry.factor, normalization=settings.normalization)
    (rows, columns), (m, n) = full.pixels.shape, small.pixels.shape
    return small, (columns / n, rows / m)


def _examples(
    labeled: Sequence[MicrographFile],
    labels: Picks,
    negatives: Picks | None,
    settings: PickSettings,
    geometry: Geometry,
    reporter: Reporter,
) -> list[Example]:
    from heliodor.training.tiles import Example

    examples = []
    for micrograph in reporter.track(labeled, len(labeled), "reading labelled micrographs"):
        small, scale = _load(micrograph, settings, geometry)
        not_here = np.empty((0, 2))
        examples.append(
            Example(
                micrograph.name,
                small.pixels,
                labels.of(micrograph.name).xy / scale,
                not_here if negatives is None else negatives.of(micrograph.name).xy / scale,
                micrograph.source,
            )
        )
    return examples


def _trained(
    folder: Path,
    labeled: Sequence[MicrographFile],
    labels: Picks,
    negatives: Picks | None,
    settings: PickSettings,
    geometry: Geometry,
    shape: tuple[int, int],
    device: str,
    reporter: Reporter,
    timings: dict[str, float],
) -> Classifier:
    from heliodor.networks import load_network, save_network
    from heliodor.training.loop import Trainer

    if (folder / MODEL).is_file():
        reporter.note(f"the network is trained: {folder / MODEL}")
        return load_network(folder / MODEL)[0]
    before = time.perf_counter()
    examples = _examples(labeled, labels, negatives, settings, geometry, reporter)
    training, validation = _hold_out(examples, settings)
    chosen = _training_settings(settings, geometry, training, shape)
    reporter.note(f"pi starts at {chosen.pi:.4f} of the unlabelled pixels; {len(validation)} micrographs held out")
    trainer = Trainer(training, chosen, device)
    if (folder / CHECKPOINT).is_file():
        trainer.load(folder / CHECKPOINT)
        reporter.note(f"training goes on after epoch {trainer.epoch}")
    while not trainer.finished:
        row = trainer.run_epoch(reporter)
        row["held_out_ap"] = _held_out_ap(trainer, validation, geometry)
        _append_row(folder / "training.tsv", row)
        trainer.save(folder / CHECKPOINT)
        reporter.note(
            f"epoch {trainer.epoch}: loss {row['loss']:.3f}, recall {row['recall']:.2f}, "
            f"expected precision {row['expected_precision']:.2f}, held-out AP {row['held_out_ap']:.3f}"
        )
    network = trainer.result()
    about = {
        "geometry": asdict(geometry),
        "normalization": settings.normalization,
        "training": asdict(chosen),
    }
    save_network(folder / MODEL, network, about)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    timings["training"] = time.perf_counter() - before
    return network


def _hold_out(examples: list[Example], settings: PickSettings) -> tuple[list[Example], list[Example]]:
    count = int(len(examples) * settings.held_out)
    order = np.random.default_rng(settings.seed).permutation(len(examples))
    kept = set(order[:count].tolist())
    return [e for k, e in enumerate(examples) if k not in kept], [e for k, e in enumerate(examples) if k in kept]


def _training_settings(
    settings: PickSettings, geometry: Geometry, examples: Sequence[Example], shape: tuple[int, int]
) -> TrainingSettings:
    from heliodor.networks import NetworkSettings
    from heliodor.training.labels import prior
    from heliodor.training.loop import TrainingSettings

    count = sum(len(e.positives) for e in examples)
    pi = settings.pi
    if pi is None:
        expected = settings.expected_particles
        if expected is None:
            area = shape[0] * shape[1] * geometry.pixel_size**2
            expected = expected_particles_start(area, geometry.diameter, count / len(examples))
        pixels = sum(e.pixels.size for e in examples)
        pi = prior(expected, count, len(examples), pixels, geometry.label_radius)
    return TrainingSettings(
        network=NetworkSettings(model=settings.model, units=settings.units),
        method=settings.method,
        pi=pi,
        slack=settings.slack,
        label_radius=geometry.label_radius,
        autoencoder=settings.autoencoder,
        l2=settings.l2,
        epochs=settings.epochs,
        epoch_size=settings.epoch_size,
        seed=settings.seed,
    )


def _held_out_ap(trainer: Trainer, validation: Sequence[Example], geometry: Geometry) -> float:
    """AP against the labels of held-out micrographs; NaN where none are held out."""
    if not validation:
        return float("nan")
    from heliodor.evaluation import average_precision, match
    from heliodor.picking.scoring import score_map
    from heliodor.picking.suppression import non_maximum_suppression

    network = trainer.result()
    hits, scores, count = [], [], 0
    for example in validation:
        xy, found = non_maximum_suppression(score_map(network, example.pixels), geometry.exclusion_radius, LOWEST_SCORE)
        hits.append(match(xy, found, example.positives, geometry.span / 3).hit)
        scores.append(found)
        count += len(example.positives)
    return average_precision(np.concatenate(hits), np.concatenate(scores), count)


def _append_row(path: Path, row: dict[str, float]) -> None:
    text = path.read_text(encoding="utf-8") if path.is_file() else "\t".join(row) + "\n"
    write_text(path, text + "\t".join(f"{v:.6g}" for v in row.values()) + "\n")


def _pick_one(
    network: Classifier,
    small: Any,
    scale: tuple[float, float],
    geometry: Geometry,
    name: str,
    threshold: float,
) -> Picks:
    from heliodor.picking.scoring import score_map
    from heliodor.picking.suppression import non_maximum_suppression, refine

    scores = score_map(network, small.pixels)
    xy, found = non_maximum_suppression(scores, geometry.exclusion_radius, threshold)
    return Picks.on(name, refine(scores, xy, geometry.label_radius), found).scaled(scale)


def _pick_all(
    folder: Path,
    network: Classifier,
    micrographs: Sequence[MicrographFile],
    settings: PickSettings,
    geometry: Geometry,
    device: str,
    workers: int,
    reporter: Reporter,
) -> dict[str, str]:
    """Pick what has not been picked; return the micrographs that could not be, and why."""
    from heliodor.training.loop import device_of

    network = network.to(device_of(device)).eval()
    todo = [m for m in micrographs if not _star_path(folder, m).is_file()]
    if len(todo) < len(micrographs):
        reporter.note(f"{len(micrographs) - len(todo)} micrographs are picked already")
    failed: dict[str, str] = {}
    loaded = _ahead(todo, settings, geometry, workers)
    for micrograph, result in reporter.track(loaded, len(todo), "picking micrographs"):
        if isinstance(result, MicrographError):
            failed[str(micrograph.path)] = str(result)
            reporter.warn(f"skipped: {result}")
            continue
        small, scale = result
        picks = _pick_one(network, small, scale, geometry, micrograph.name, settings.threshold)
        write_text(_star_path(folder, micrograph), star.to_text(picks, with_names=False))
    if len(failed) == len(micrographs):
        raise MicrographError(f"no micrograph could be picked: {next(iter(failed.values()))}")
    return failed


def _ahead(
    todo: Sequence[MicrographFile], settings: PickSettings, geometry: Geometry, workers: int
) -> Iterator[tuple[MicrographFile, Any]]:
    """Yield each micrograph preprocessed, in order, while threads prepare the next few."""

    def load(micrograph: MicrographFile) -> Any:
        try:
            return _load(micrograph, settings, geometry)
        except MicrographError as error:
            return error

    workers = max(1, workers)
    with ThreadPoolExecutor(workers) as pool:
        waiting = [(m, pool.submit(load, m)) for m in todo[: workers + 1]]
        coming = iter(todo[workers + 1 :])
        try:
            while waiting:
                micrograph, future = waiting.pop(0)
                yield micrograph, future.result()
                following = next(coming, None)
                if following is not None:
                    waiting.append((following, pool.submit(load, following)))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _star_path(folder: Path, micrograph: MicrographFile) -> Path:
    return folder / "micrographs" / f"{micrograph.name}.star"


def _collect(folder: Path, micrographs: Sequence[MicrographFile], failed: dict[str, str], threshold: float) -> Picks:
    parts = []
    for micrograph in micrographs:
        if str(micrograph.path) not in failed:
            part = read_star(_star_path(folder, micrograph))
            parts.append(Picks.on(micrograph.name, part.xy, part.scores))
    picks = Picks.join(parts).above(threshold)
    write_picks(folder / "picks.txt", picks)
    paths = {m.name: str(m.path) for m in micrographs}
    write_picks(folder / "picks.star", picks.renamed(paths))
    return picks


def _draw(
    folder: Path,
    micrographs: Sequence[MicrographFile],
    failed: dict[str, str],
    picks: Picks,
    labels: Picks,
    geometry: Geometry,
    settings: PickSettings,
) -> None:
    from heliodor.picking.overview import draw_overview

    shown = [m for m in micrographs if str(m.path) not in failed][:3]
    images = [(m.name, *_load(m, settings, replace(geometry, factor=max(geometry.factor, 2.0)))) for m in shown]
    draw_overview(folder / "overview.png", images, picks, labels, geometry, folder / "training.tsv")
