"""Train the networks that come with heliodor: on simulated micrographs of many particles, truth known.

    python pretraining/pretrain.py --models MODELS --out work/ --network conv31

See README.md beside this file. What is done stays done: a second call goes on where the first one stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np

from conditions import draw
from heliodor.cli.console import PlainReporter
from heliodor.evaluation import match
from heliodor.files import atomic_path, make_directory
from heliodor.micrographs import FLAT
from heliodor.networks import Classifier, NetworkSettings, save_network
from heliodor.networks.scorers import Machine
from heliodor.picking.calibration import Calibration, calibrate_known
from heliodor.picking.detect import Detector
from heliodor.picking.geometry import NEAREST, SPAN
from heliodor.picking.scoring import score_map
from heliodor.preprocess.flatten import flatten
from heliodor.preprocess.normalize import normalize
from heliodor.progress import Reporter
from heliodor.simulation.load import load_particle
from heliodor.simulation.micrograph import render
from heliodor.simulation.projection import Projector
from heliodor.simulation.scene import plan
from heliodor.training.fit import write_table
from heliodor.training.loop import Trainer
from heliodor.training.settings import TrainingSettings
from heliodor.training.tiles import Example
from shapes import make_shape

# Entries of the Protein Data Bank (CC0), and maps simulated from PDB entries by polnet (Apache-2.0). No ferritin.
MODELS = (
    "1bxn", "1qvr", "3cf3", "3d2f", "3j9i", "4v4r_30S", "5a1a", "5gjv", "5ni1", "7cth",
    "2uv8", "4cr2", "6rd4", "6utj",
)  # fmt: skip
FORBIDDEN = ("6z6u",)  # apoferritin: real apoferritin is the test
RADIUS = 3.0  # of the disc of positive pixels
LIKELY = 0.4  # probability above which a detection is a pick
UNSEEN = 3  # micrographs of every particle that calibrate the scores


def main() -> None:
    """Simulate what is missing, then train."""
    options = _options()
    reporter = PlainReporter()
    folder = make_directory(options.out)
    cache = make_directory(folder / "micrographs")
    assert not set(MODELS) & set(FORBIDDEN)
    chosen = [name for name in MODELS if name not in options.leave_out]
    sources = [*chosen, *(f"shape{k:03d}" for k in range(options.shapes))]
    simulate_all(sources, range(options.each), options, cache, reporter)
    train(sources, options, cache, reporter)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True, help="folder(s below it) with the models, by PDB entry")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--network", default="conv31")
    parser.add_argument("--units", type=int, default=32)
    parser.add_argument("--leave-out", nargs="*", default=[], help="models that the network must not see")
    parser.add_argument("--shapes", type=int, default=40, help="random particles beside the models")
    parser.add_argument("--each", type=int, default=24, help="micrographs of every particle")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--epoch-size", type=int, default=500, help="minibatches")
    parser.add_argument(
        "--tiles", type=int, default=24, help="of 12 x 12 outputs in a minibatch, a third around particles"
    )
    parser.add_argument(
        "--aligned",
        type=float,
        default=1.0,
        help="share of the tiles that are not turned (particles lie at all angles)",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes that simulate")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


# ---------------------------------------------------------------------------------------------------- micrographs


def simulate_all(
    sources: list[str], numbers: range, options: argparse.Namespace, cache: Path, reporter: Reporter
) -> None:
    """Simulate the micrographs of these numbers of all particles, where they are not in the cache."""
    todo = [name for name in sources if not all(_path(cache, name, k).is_file() for k in numbers)]
    with ProcessPoolExecutor(options.workers) as pool:
        jobs = [pool.submit(simulate, name, options.models, numbers, cache) for name in todo]
        for job in reporter.track(jobs, len(jobs), "simulating particles"):
            job.result()


def simulate(name: str, models: Path, numbers: range, cache: Path) -> None:
    """Simulate micrographs of one particle into the cache; its name and their numbers decide all that is random."""
    projector = _projector(name, models)
    for index in numbers:
        path = _path(cache, name, index)
        if path.is_file():
            continue
        seed = int.from_bytes(hashlib.sha256(f"{name} {index}".encode()).digest()[:6], "big")
        settings = draw(projector, seed)
        scene = plan(settings, projector.diameter, 0)
        counts, _ = render(scene, projector, settings, 0)
        pixels, _ = normalize(counts, "gmm")
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, pixels=pixels.astype(np.float16), xy=scene.xy.astype(np.float32))


def _projector(name: str, models: Path) -> Projector:
    if name.startswith("shape"):
        seed = int(name.removeprefix("shape"))
        return make_shape(seed, float(np.exp(np.random.default_rng(seed).uniform(np.log(80), np.log(320)))))
    found = sorted(models.rglob(f"{name}.*"))
    if not found:
        raise SystemExit(f"{models}: no file {name}.*; see README.md for where to get it")
    finest = load_particle(found[0], 8.0).diameter / SPAN / 1.5
    return load_particle(found[0], finest)


def _path(cache: Path, name: str, index: int) -> Path:
    return cache / f"{name}_{index:03d}.npz"


def load_examples(sources: list[str], numbers: range, cache: Path) -> list[Example]:
    """Read micrographs from the cache; each particle is a source of its own and gets the same share of the tiles."""
    examples = []
    for name in sources:
        for index in numbers:
            path = _path(cache, name, index)
            with np.load(path) as data:
                pixels, xy = flatten(data["pixels"].astype(np.float32)), data["xy"].astype(np.float64)
            examples.append(Example(path.stem, pixels, xy, np.empty((0, 2)), name))
    return examples


# ------------------------------------------------------------------------------------------------------- training


def train(sources: list[str], options: argparse.Namespace, cache: Path, reporter: Reporter) -> None:
    """Train on all pixels' truth, and write the network."""
    left_out = f"-without-{'-'.join(options.leave_out)}" if options.leave_out else ""
    name = f"{options.network}_u{options.units}{left_out}"
    result, checkpoint = options.out / f"{name}.safetensors", options.out / f"{name}.checkpoint.pt"
    if result.is_file():
        reporter.note(f"trained already: {result}")
        return
    examples = load_examples(sources, range(options.each), cache)
    settings = TrainingSettings(
        network=NetworkSettings(model=options.network, units=options.units),
        method="PN",
        pi=0.1,
        label_radius=RADIUS,
        learning_rate=2e-3,
        epochs=options.epochs,
        epoch_size=options.epoch_size,
        outputs=12,
        label_tiles=options.tiles // 3,
        random_tiles=options.tiles - options.tiles // 3,
        aligned=options.aligned,
        average=0.998,
        seed=options.seed,
    )
    trainer, rows = Trainer(examples, settings, options.device), []
    if checkpoint.is_file():
        if different := trainer.load(checkpoint):
            reporter.warn(f"{checkpoint}: is of another training ({'; '.join(different)}); this one starts afresh")
        rows = json.loads(checkpoint.with_suffix(".json").read_text())[: trainer.epoch]
    while not trainer.finished:
        row = trainer.run_epoch(reporter)
        rows.append({**row, "held_out_ap": float("nan")})
        checkpoint.with_suffix(".json").write_text(json.dumps(rows))
        trainer.save(checkpoint)
        reporter.note(
            f"epoch {row['epoch']}: loss {row['loss']:.4f}, recall {row['recall']:.3f}, {row['seconds']:.0f} s"
        )
    network = trainer.result()
    calibration = calibrate_on_unseen(network, sources, options, cache, reporter)
    about = {
        "pretrained_on": sources,
        "left_out": options.leave_out,
        "normalization": FLAT,
        "span": SPAN,
        "exclusion_radius": NEAREST * SPAN / 2,
        "threshold": float(np.interp(LIKELY, calibration.probabilities, calibration.scores)),
        "training": asdict(settings),
    }
    save_network(result, network, {**about, **calibration.about()})
    write_table(options.out / f"{name}.tsv", rows)


def calibrate_on_unseen(
    network: Classifier, sources: list[str], options: argparse.Namespace, cache: Path, reporter: Reporter
) -> Calibration:
    """Learn what scores mean on micrographs that the network has not seen, of the particles that it has."""
    numbers = range(options.each, options.each + UNSEEN)
    simulate_all(sources, numbers, options, cache, reporter)
    detector = Detector(NEAREST * SPAN / 2, RADIUS)
    scorer = Machine(options.device).scorer(network)
    scores, true = [], []
    examples = load_examples(sources, numbers, cache)
    for example in reporter.track(examples, len(examples), "calibrating"):
        xy, found = detector.maxima(score_map(scorer, example.pixels))
        scores.append(found)
        true.append(match(xy, found, example.positives, SPAN / 3).hit)
    return calibrate_known(np.concatenate(scores), np.concatenate(true))


if __name__ == "__main__":
    main()
