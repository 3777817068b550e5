"""Micrographs and labels for training, as Topaz's options name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor.cli.topaz.arguments import LOG, images, workers_of
from heliodor.cli.topaz.convert import read
from heliodor.errors import LabelError, MicrographError
from heliodor.micrographs import read_header
from heliodor.stream import stream, usable
from heliodor.training.check import check_labels, resolve_labels
from heliodor.training.splits import k_fold
from heliodor.training.tiles import Example

if TYPE_CHECKING:
    import argparse

    from numpy.typing import NDArray

    from heliodor.names import MicrographFile
    from heliodor.picking.load import Loader

# Micrographs without labels stand for what is not labelled: a part of many thousands does that as well, and fits into
# memory. 64 of 1024 x 1024 pixels hold more regions than a training draws.
MOST_UNLABELED = 64 * 1024**2


def load(
    options: argparse.Namespace, loader: Loader, failed: dict[str, str]
) -> tuple[list[Example], list[Example], float | None]:
    """Read what to train on, what to test on, and the pixel size of the former.

    Micrographs without a label count: nothing on them is labelled, which is known of the expected number of particles.
    Of these, as many are read, drawn at random, as have MOST_UNLABELED pixels.
    Those that cannot be read are warned of, and go into `failed`: path -> why.

    Raises
    ------
    LabelError, MicrographError
        No label is on a training micrograph, labels are in the wrong scale, or no micrograph can be read.
    """
    training, pixel_size = _read(options.train_images, options.train_targets, options, loader, failed, check=True)
    if options.k_fold > 1:
        labeled = [e for e in training if len(e.positives)]
        rows = k_fold([e.source for e in labeled], options.k_fold, options.fold, options.cross_validation_seed)
        held_out = {labeled[k].name for k in rows[1]}
        LOG.note(f"Fold {options.fold} of {options.k_fold}: {len(held_out)} micrographs to test on")
        return (
            [e for e in training if e.name not in held_out],
            [e for e in labeled if e.name in held_out],
            pixel_size,
        )
    if options.test_images is None:
        return training, [], pixel_size
    try:
        test, _ = _read(options.test_images, options.test_targets, options, loader, failed, check=False)
    except LabelError as error:
        LOG.warn(f"no test: {error}")
        return training, [], pixel_size
    if not any(_on(e).any() for e in test):
        LOG.warn("no test: no test label lies on its micrograph; check their scale")
        return training, [], pixel_size
    return training, test, pixel_size


def _on(example: Example) -> NDArray[np.bool_]:
    """Which labels lie on their micrograph."""
    xy = np.rint(example.positives)
    return np.asarray(((xy >= 0) & (xy < example.pixels.shape[::-1])).all(axis=1))


def _read(
    where: str, targets: str, options: argparse.Namespace, loader: Loader, failed: dict[str, str], *, check: bool
) -> tuple[list[Example], float | None]:
    files = images([where], options.image_ext)
    labels = read([targets], options.format)
    known, labeled = resolve_labels(labels, files)
    lost = set(labels.micrographs()) - {name.rsplit("/", 1)[-1] for name in known.micrographs()}
    if len(labels) > len(known):
        LOG.warn(
            f"{len(labels) - len(known)} of {len(labels)} labels are of micrographs that are not given, such as "
            f"'{min(lost or set(labels.micrographs()))}': they are left out"
        )
    names = {file.name for file in labeled}
    files = _some(files, names) if check else files
    loaded = stream(files, lambda file: loader(file)[0], workers_of(options.num_workers))
    own: dict[str, str] = {}
    read_in = list(usable(loaded, len(files), "reading", LOG, own))
    failed.update(own)
    if check:
        shapes = {m.name: m.pixels.shape for _, m in read_in if m.name in names}
        if not shapes:
            raise LabelError(f"{targets}: no micrograph that has labels can be read; see the warnings above")
        check_labels(known.select(np.isin(known.names, list(shapes))), shapes)
    none = np.empty((0, 2))
    positives = {name: part.xy for name, part in known.by_micrograph()}
    examples = [Example(m.name, m.seen, positives.get(m.name, none), none, file.source) for file, m in read_in]
    return examples, read_in[0][1].pixel_size


def _some(files: list[MicrographFile], labeled: set[str]) -> list[MicrographFile]:
    """Return the labelled micrographs and, in the same order, some of the others."""
    others = [file for file in files if file.name not in labeled]
    chosen, pixels = set(labeled), 0
    for which in np.random.default_rng(0).permutation(len(others)):
        if pixels >= MOST_UNLABELED:
            break
        chosen.add(others[which].name)
        try:
            rows, columns = read_header(others[which].path)[0]
            pixels += rows * columns
        except MicrographError:
            continue  # told when it is read
    left_out = len(files) - len(chosen)
    if left_out:
        LOG.note(f"{len(others) - left_out} of {len(others)} micrographs without labels, drawn at random, are read")
    return [file for file in files if file.name in chosen]
