"""From Topaz's training options to heliodor's settings: the prior, the budget, and the network to start from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from heliodor.cli.topaz.arguments import LOG
from heliodor.errors import SettingsError, WeightsError
from heliodor.networks import ARCHITECTURES, NetworkSettings, load_network
from heliodor.networks.published import DETECTORS
from heliodor.training.labels import disc, label_map
from heliodor.training.objectives import POSITIVE
from heliodor.training.settings import TrainingSettings

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from heliodor.picking.start import Start
    from heliodor.training.tiles import Example

OUTPUTS = 4  # scores along a side of a tile
REGIONS = OUTPUTS**2
LABELED, UNLABELED = 2, 6  # regions of Topaz's minibatch that a tile stands for: 16 for 8 tiles, 240 for 40
RATE = 10.0  # peak of the one-cycle schedule over Topaz's constant learning rate: minibatches are three times as large


def settings_of(options: argparse.Namespace, examples: Sequence[Example], network: NetworkSettings) -> TrainingSettings:
    """Return the settings for a training run, and log what decides it."""
    pi, observed = prior(options, examples)
    method, value = options.method, pi if options.method == "PN" else pi - observed
    LOG.note("source\tsplit\tp_observed\tnum_positive_regions\ttotal_regions")
    pixels = sum(e.pixels.size for e in examples)
    LOG.note(f"0\ttrain\t{observed:.4g}\t{round(observed * pixels)}\t{pixels}")
    LOG.note(f"With radius = {options.radius:g}")
    LOG.note(f"Setting pi = {pi:.6g}")
    if value <= 0:
        LOG.warn(f"pi = {pi:.4g} is no more than p_observed = {observed:.4g}: using PN, all else is negative")
        method, value = "PN", observed
    label_tiles, random_tiles, size = budget(
        options.minibatch_size, observed if options.natural else options.minibatch_balance, options.epoch_size
    )
    LOG.note(
        f"minibatch_size={options.minibatch_size}, epoch_size={options.epoch_size}, num_epochs={options.num_epochs}: "
        f"{size} minibatches of {label_tiles} + {random_tiles} tiles of {REGIONS} regions in an epoch"
    )
    return TrainingSettings(
        network=network,
        method=method,
        pi=value,
        slack=options.slack,
        label_radius=options.radius,
        autoencoder=options.autoencoder,
        decoder_units=options.ngf,
        l2=options.l2,
        learning_rate=RATE * options.learning_rate,
        epochs=options.num_epochs,
        epoch_size=size,
        outputs=OUTPUTS,
        label_tiles=label_tiles,
        random_tiles=random_tiles,
    )


def prior(options: argparse.Namespace, examples: Sequence[Example]) -> tuple[float, float]:
    """Return pi and the labelled fraction of all pixels, as Topaz 0.2.5 counts them: 29 pixels at radius 3.

    Raises
    ------
    SettingsError
        The expected particles do not fit on the micrographs.
    """
    pixels = sum(e.pixels.size for e in examples)
    marks = (label_map(e.pixels.shape, e.positives, e.negatives, options.radius) for e in examples)
    observed = sum(int((m == POSITIVE).sum()) for m in marks) / pixels
    if options.num_particles is None:
        return float(options.pi), observed
    LOG.note(f"Specified expected number of particle per micrograph = {options.num_particles:g}")
    pi = options.num_particles * len(disc(options.radius)) * len(examples) / pixels
    if not 0 < pi < 1:
        raise SettingsError(
            f"-n {options.num_particles:g} particles of radius {options.radius:g} do not fit on {pixels} pixels "
            f"of {len(examples)} micrographs; give fewer, or a smaller radius with -r"
        )
    return pi, observed


def budget(minibatch: int, balance: float, epoch: int) -> tuple[int, int, int]:
    """Turn Topaz's minibatches of single regions into minibatches of tiles; an epoch scores as many regions.

    Returns
    -------
    label_tiles, random_tiles, epoch_size : int

    Examples
    --------
    >>> budget(256, 0.0625, 1000)
    (8, 40, 333)
    """
    label_tiles = max(1, round(minibatch * balance / LABELED))
    random_tiles = max(1, round(minibatch * (1 - balance) / UNLABELED))
    size = round(epoch * minibatch / ((label_tiles + random_tiles) * REGIONS))
    return label_tiles, random_tiles, max(1, size)


def start(options: argparse.Namespace) -> tuple[NetworkSettings, Start | None]:
    """Return the kind of network, and the one that training starts from; None: random weights."""
    if options.model not in ARCHITECTURES:
        LOG.note(f"Loading model: {options.model}")
        given = load_network(options.model)
        return given[0].settings, given
    LOG.note(f"Loading model: {options.model}")
    settings = NetworkSettings(
        options.model, options.units, options.unit_scaling, options.bn == "on", options.dropout, options.pooling
    )
    published = f"{options.model}_u{options.units}"
    if options.pretrained is not False and published in DETECTORS and options.pooling == "none":
        try:
            given = load_network(published)
        except WeightsError as error:
            if options.pretrained:
                raise
            LOG.note(f"starting from random weights: {error}")
        else:
            LOG.note(f"Loading pretrained model: {published}")
            return replace(given[0].settings, dropout=options.dropout), given
    LOG.note(f"Model parameters: units={options.units}, dropout={options.dropout:g}, bn={options.bn}")
    return settings, None
