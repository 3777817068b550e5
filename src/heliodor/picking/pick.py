"""The main job: train on the labelled micrographs, then pick every micrograph."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import MicrographError, SettingsError
from heliodor.files import make_directory, write_text
from heliodor.formats import star, write_picks
from heliodor.micrographs import Micrograph, MicrographFile, read_header, read_micrograph
from heliodor.picking.detect import Detector
from heliodor.picking.geometry import Geometry, derive_geometry, most_particles, typical_particles
from heliodor.picking.overview import draw_overview
from heliodor.picking.stream import stream
from heliodor.picking.threshold import threshold_for_count
from heliodor.picks import Picks
from heliodor.preprocess import preprocess
from heliodor.progress import SILENT, Reporter
from heliodor.record import claim, surroundings, write_record
from heliodor.training.check import check_labels, resolve_labels

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from heliodor.networks import Classifier
    from heliodor.training.loop import TrainingSettings
    from heliodor.training.tiles import Example

MODEL, CHECKPOINT, TABLE, RECORD = "model.safetensors", "checkpoint.pt", "training.tsv", "run.json"


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
        Fraction of positives among the unlabelled pixels, or particles per micrograph.
    threshold : float, optional
        Picks have a score (log-odds) above it. Default: where the labelled micrographs get as many picks as
        they are expected to have particles.
    normalization : {'gmm', 'affine'}
    model, method : str
        Network and objective.
    units : int
    epochs, epoch_size : int
    autoencoder, l2, slack : float
    held_out : float
        Fraction of the labelled micrographs kept for validation, rounded down.
    seed : int
    """

    diameter: float
    pixel_size: float | None = None
    factor: float | None = None
    label_radius: float | None = None
    exclusion_radius: float | None = None
    pi: float | None = None
    expected_particles: float | None = None
    threshold: float | None = None
    normalization: str = "gmm"
    model: str = "conv31"
    method: str = "GE-binomial"
    units: int = 32
    epochs: int = 10
    epoch_size: int = 100
    autoencoder: float = 0.0
    l2: float = 0.0
    slack: float = -1.0
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pi is not None and self.expected_particles is not None:
            raise SettingsError("--pi and --expected-particles say the same thing twice; give one of them")
        if not 0 <= self.held_out < 1:
            raise SettingsError(f"--held-out must be in [0, 1). Got {self.held_out} instead.")


@dataclass(frozen=True)
class PickResult:
    """What a run did.

    Attributes
    ----------
    picks : Picks
        Of all micrographs, in full-size pixels.
    failed : dict
        Micrograph path -> why it was skipped.
    geometry : Geometry
    threshold : float
    seconds : dict
        Of training, picking, and in all.
    """

    picks: Picks
    failed: dict[str, str]
    geometry: Geometry
    threshold: float
    seconds: dict[str, float] = field(default_factory=dict)


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
        Start afresh where `out` holds a run.
    reporter : Reporter

    Raises
    ------
    LabelError, MicrographError, SettingsError, OutputError
    """
    started = time.perf_counter()
    labels, labeled = resolve_labels(labels, micrographs)
    none = Picks([], np.empty((0, 2)))
    negatives = resolve_labels(negatives, micrographs)[0] if negatives is not None else none
    check_labels(labels, {m.name: read_header(m.path)[0] for m in labeled})
    geometry = _geometry(settings, _pixel_size(labeled[0].path, settings))
    folder = make_directory(out)
    deciding = _deciding(settings, geometry, labels, negatives)
    claim(folder / RECORD, deciding, overwrite=overwrite, clear=lambda: _clear(folder))
    files = [{"path": str(m.path), "name": m.name, "bytes": _size(m.path)} for m in micrographs]
    record = {**surroundings(), **deciding, "device": device, "workers": workers, "micrographs": files}
    write_record(folder / RECORD, record)
    reporter.note(f"{len(labels)} labels on {len(labeled)} of {len(micrographs)} micrographs")
    reporter.note(geometry.describe())

    loaded = _Loader(settings, geometry)
    network, about = _network(folder, labeled, labels, negatives, loaded, device, reporter)
    trained = time.perf_counter()
    detector = replace(geometry.detector, threshold=about["threshold"])
    failed = _pick_all(folder, network, detector, micrographs, loaded, device, workers, reporter)
    picks = _collect(folder, [m for m in micrographs if str(m.path) not in failed])
    ended = time.perf_counter()
    seconds = {"training": trained - started, "picking": ended - trained, "total": ended - started}
    result = {"estimates": about["estimates"], "picks": len(picks), "failed": failed, "seconds": seconds}
    write_record(folder / RECORD, {**record, "result": result})
    shown = [m for m in micrographs if str(m.path) not in failed][:3]
    draw_overview(folder / "overview.png", [loaded(m) for m in shown], picks, labels, geometry, folder / TABLE)
    return PickResult(picks, failed, geometry, about["threshold"], seconds)


@dataclass(frozen=True)
class _Loader:
    """Reads a micrograph and makes it small and normal; gives its scale (x, y) to full-size pixels too."""

    settings: PickSettings
    geometry: Geometry

    def __call__(self, micrograph: MicrographFile) -> tuple[Micrograph, tuple[float, float]]:
        full = read_micrograph(micrograph.path, pixel_size=self.settings.pixel_size, name=micrograph.name)
        size = full.pixel_size or self.geometry.pixel_size
        if abs(size / self.geometry.pixel_size - 1) > 0.02:
            raise MicrographError(
                f"{micrograph.path}: {size:g} A per pixel, the labelled micrographs have "
                f"{self.geometry.pixel_size:g}; pick it in a run of its own, or give --angpix if the header is wrong"
            )
        small, _ = preprocess(full, factor=self.geometry.factor, normalization=self.settings.normalization)
        (rows, columns), (m, n) = full.pixels.shape, small.pixels.shape
        return small, (columns / n, rows / m)


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _pixel_size(path: Path, settings: PickSettings) -> float:
    size = settings.pixel_size or read_header(path)[1]
    if size is None:
        raise MicrographError(f"{path}: no pixel size in its header; give --angpix, in angstrom")
    return size


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


def _deciding(settings: PickSettings, geometry: Geometry, labels: Picks, negatives: Picks) -> dict[str, Any]:
    def table(picks: Picks) -> list[list[Any]]:
        return [[name, *xy] for name, xy in zip(picks.names, picks.xy.round(3).tolist(), strict=True)]

    lists = {"labels": table(labels), "negatives": table(negatives)}
    return {"settings": asdict(settings), "derived": asdict(geometry), "lists": lists}


def _clear(folder: Path) -> None:
    for name in (CHECKPOINT, MODEL, TABLE, RECORD, "picks.star", "picks.txt", "overview.png"):
        (folder / name).unlink(missing_ok=True)
    if (folder / "micrographs").is_dir():
        shutil.rmtree(folder / "micrographs")


def _network(
    folder: Path,
    labeled: Sequence[MicrographFile],
    labels: Picks,
    negatives: Picks,
    loaded: _Loader,
    device: str,
    reporter: Reporter,
) -> tuple[Classifier, dict[str, Any]]:
    """Load the network that an earlier call trained, or train it."""
    from heliodor.networks import load_network, save_network
    from heliodor.training.fit import fit

    if (folder / MODEL).is_file():
        reporter.note(f"the network is trained already: {folder / MODEL}")
        return load_network(folder / MODEL)
    settings, geometry = loaded.settings, loaded.geometry
    examples = _examples(labeled, labels, negatives, loaded, reporter)
    training, validation = _hold_out(examples, settings)
    chosen, expected = _training_settings(training, settings, geometry, device, reporter)
    reporter.note(f"training on {len(training)} micrographs, {len(validation)} held out; pi {chosen.pi:.4f}")
    network = fit(
        training,
        chosen,
        validation=validation,
        detector=geometry.detector,
        match_radius=geometry.match_radius,
        table=folder / TABLE,
        checkpoint=folder / CHECKPOINT,
        device=device,
        reporter=reporter,
    )
    threshold = settings.threshold
    if threshold is None:
        threshold = threshold_for_count([geometry.detector(network, e.pixels)[1] for e in training], expected)
    reporter.note(f"picks are above score {threshold:.2f}")
    about = {
        "geometry": asdict(geometry),
        "normalization": settings.normalization,
        "training": asdict(chosen),
        "threshold": threshold,
        "estimates": {"pi": chosen.pi, "expected_particles": expected, "threshold": threshold},
    }
    save_network(folder / MODEL, network, about)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return network, about


def _examples(
    labeled: Sequence[MicrographFile], labels: Picks, negatives: Picks, loaded: _Loader, reporter: Reporter
) -> list[Example]:
    from heliodor.training.tiles import Example

    examples = []
    for micrograph in reporter.track(labeled, len(labeled), "reading labelled micrographs"):
        small, scale = loaded(micrograph)
        positive, negative = (table.of(micrograph.name).xy / scale for table in (labels, negatives))
        examples.append(Example(micrograph.name, small.pixels, positive, negative, micrograph.source))
    return examples


def _hold_out(examples: list[Example], settings: PickSettings) -> tuple[list[Example], list[Example]]:
    count = int(len(examples) * settings.held_out)
    order = np.random.default_rng(settings.seed).permutation(len(examples))
    kept = set(order[:count].tolist())
    return [e for k, e in enumerate(examples) if k not in kept], [e for k, e in enumerate(examples) if k in kept]


def _training_settings(
    examples: Sequence[Example], settings: PickSettings, geometry: Geometry, device: str, reporter: Reporter
) -> tuple[TrainingSettings, float]:
    """Settle pi and the number of particles per micrograph: given, or estimated by a pilot run."""
    from heliodor.networks import NetworkSettings
    from heliodor.training.count import FEWEST, estimate_count
    from heliodor.training.labels import expected_particles, prior
    from heliodor.training.loop import TrainingSettings

    labels, pixels = sum(len(e.positives) for e in examples), sum(e.pixels.size for e in examples)
    known = (labels, len(examples), pixels, geometry.label_radius)
    area = pixels / len(examples) * (geometry.pixel_size * geometry.factor) ** 2
    expected = settings.expected_particles or max(
        typical_particles(area, geometry.diameter), 2 * labels / len(examples)
    )
    chosen = TrainingSettings(
        network=NetworkSettings(model=settings.model, units=settings.units),
        method=settings.method,
        pi=settings.pi or prior(expected, *known),
        slack=settings.slack,
        label_radius=geometry.label_radius,
        autoencoder=settings.autoencoder,
        l2=settings.l2,
        epochs=settings.epochs,
        epoch_size=settings.epoch_size,
        seed=settings.seed,
    )
    if settings.pi is not None:
        return chosen, expected_particles(settings.pi, *known)
    if settings.expected_particles is not None or labels < FEWEST:
        return chosen, expected
    count = estimate_count(examples, chosen, geometry.detector, geometry.match_radius, device=device)
    reporter.note(
        f"about {count.particles:.0f} particles per micrograph ({count.low:.0f} to {count.high:.0f}), "
        "from labels hidden from two pilot runs"
    )
    most = most_particles(area, geometry.diameter)
    expected = float(np.clip(np.nan_to_num(count.particles, nan=expected), labels / len(examples), most))
    return replace(chosen, pi=prior(expected, *known)), expected


def _pick_all(
    folder: Path,
    network: Classifier,
    detector: Detector,
    micrographs: Sequence[MicrographFile],
    loaded: _Loader,
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
    for micrograph, result in reporter.track(stream(todo, loaded, workers), len(todo), "picking micrographs"):
        if isinstance(result, MicrographError):
            failed[str(micrograph.path)] = str(result)
            reporter.warn(f"skipped: {result}")
            continue
        small, scale = result
        picks = Picks.on(micrograph.name, *detector(network, small.pixels)).scaled(scale)
        write_text(_star_path(folder, micrograph), star.to_text(picks, with_names=False))
    if len(failed) == len(micrographs):
        raise MicrographError(f"no micrograph could be picked: {next(iter(failed.values()))}")
    return failed


def _star_path(folder: Path, micrograph: MicrographFile) -> Path:
    return folder / "micrographs" / f"{micrograph.name}.star"


def _collect(folder: Path, micrographs: Sequence[MicrographFile]) -> Picks:
    """Join the files of the micrographs into picks.txt (short names) and picks.star (paths)."""
    parts = ((m.name, star.read(_star_path(folder, m))) for m in micrographs)
    picks = Picks.join(Picks.on(name, part.xy, part.scores) for name, part in parts)
    write_picks(folder / "picks.txt", picks)
    write_picks(folder / "picks.star", picks.renamed({m.name: str(m.path) for m in micrographs}))
    return picks
