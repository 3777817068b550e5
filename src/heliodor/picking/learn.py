"""From labelled micrographs to a network that picks: estimates, training, threshold."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.junk.depth import standardize
from heliodor.junk.mask import junk_mask, learn_limits
from heliodor.networks import NetworkSettings
from heliodor.picking.appearance import settle_appearance
from heliodor.picking.conclude import conclude
from heliodor.picking.count import Source
from heliodor.picking.folder import CHECKPOINT, PRIOR, TABLE
from heliodor.picking.noise import settle_noise
from heliodor.picking.prior import first_guess, known, settle_prior
from heliodor.picking.recount import count_again, describe_others
from heliodor.picking.sample import gather_sample
from heliodor.picking.settled import Settled
from heliodor.picking.start import is_pretrained, starting_point
from heliodor.picks import Picks
from heliodor.training.check import named_in
from heliodor.training.fit import fit
from heliodor.training.labels import pi_of_all, prior
from heliodor.training.settings import TrainingSettings
from heliodor.training.splits import hold_out, without
from heliodor.training.tiles import Example

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliodor.junk.mask import Limits
    from heliodor.names import MicrographFile
    from heliodor.networks import Classifier
    from heliodor.picking.geometry import Geometry
    from heliodor.picking.run import Run
    from heliodor.picking.settings import PickSettings

# The paper's. With more than a few labels, the risk of PU teaches a network that knows particles more about junk
# (dev/LOG.md); labelled negatives would hardly count there.
METHOD, METHOD_FROM_START = "GE-binomial", "PU"
# A network knows a few labels by heart in no time. Dropout, or more of the weights that it started from, help it with
# ten labels, and do not with a hundred (dev/LOG.md).
FEW_LABELS, DROPOUT, START_SHARE = 50, 0.3, 0.5
EPOCH = 100
# From weights that know particles, fewer steps go farther (dev/LOG.md).
EPOCH_FROM_START = 40


def learn(
    run: Run, micrographs: Sequence[MicrographFile], labels: Picks, negatives: Picks
) -> tuple[Classifier, dict[str, Any]]:
    """Train the network of a run.

    Parameters
    ----------
    run : Run
        Its folder gets MODEL, TABLE and, while training goes on, PRIOR and CHECKPOINT.
    micrographs : sequence of MicrographFile
        All of the run.
    labels, negatives : Picks
        In full-size pixels.

    Returns
    -------
    network : Classifier
    about : dict
        What the model file says: geometry, normalization, training, threshold, junk_limits, estimates.
    """
    folder, reporter = run.folder, run.reporter
    kind, given = starting_point(run.settings)
    settled = Settled.read(run)
    if settled is None:
        (folder / CHECKPOINT).unlink(missing_ok=True)  # nobody knows what that has seen
        labeled = named_in(micrographs, labels)
        run = settle_noise(settle_appearance(run, labeled, labels, given), labeled, labels, given)
    else:
        run = settled.seen(run)
    examples, limits = _examples(run, named_in(micrographs, labels, negatives), labels, negatives)
    training, validation = _hold_out(examples, run.settings)
    if given is not None:
        reporter.note(f"training starts from {run.settings.start or f'the pretrained {kind.model}'}")
    start = None if given is None else given[0]
    guess = first_guess(training, run.settings, run.geometry)
    chosen = _training_settings(training, guess, run.settings, run.geometry, kind, started=start is not None)
    if settled is None:
        chosen, count = settle_prior(run, training, chosen, guess, given)
        Settled(chosen.pi, count, run.load.inverted, run.load.whitening).write(run)
    else:
        chosen, count = replace(chosen, pi=settled.pi), settled.count
    if start is not None:  # pilots have fewer labels
        chosen = replace(chosen, method=objective_from_start(training, run.settings))
    if chosen.method == "PU":
        # Where most particles are labelled, few are left among the others: weighed by these, labels would be nothing.
        number, _, pixels, radius = known(training, run.geometry)
        chosen = replace(chosen, slack=0.0, pi_of_all=pi_of_all(chosen.pi, number, pixels, radius))
    aside = f"{len(training)} micrographs, {len(validation)} held out"
    reporter.note(f"training by {chosen.method} on {aside}; pi {chosen.pi:.4f}")
    network = fit(
        training,
        chosen,
        validation=validation,
        detector=run.geometry.detector,
        match_radius=run.geometry.match_radius,
        table=folder / TABLE,
        checkpoint=folder / CHECKPOINT,
        start=start,
        device=run.machine.device,
        reporter=reporter,
    )
    sample = gather_sample(
        run,
        network,
        network if start is None else start,
        training,
        micrographs,
        count,
        limits,
        # Who knows the number of particles does not know what looks like them.
        with_labels=is_pretrained(given) and count.source in (Source.START, Source.USER),
    )
    now, here, evidence = count_again(count, sample, sum(len(e.positives) for e in training) / len(training))
    if now.source is Source.TRAINED:
        reporter.note(f"after training: {now}")
    what_else = describe_others(evidence, here)
    if what_else is not None:
        reporter.note(what_else)
    estimates = {"pi": chosen.pi, "expected_before_training": count.particles}
    about = conclude(run, network, now, evidence, here, limits, asdict(chosen), **estimates)
    for name in (CHECKPOINT, PRIOR):
        (folder / name).unlink(missing_ok=True)
    return network, about


def _hold_out(examples: list[Example], settings: PickSettings) -> tuple[list[Example], list[Example]]:
    """Set micrographs with labelled particles aside for validation; those with negatives only can tell nothing."""
    labeled = [e for e in examples if len(e.positives)]
    aside = int(len(labeled) * settings.held_out)
    if not aside:
        return examples, []
    validation = hold_out(labeled, aside, settings.seed)[1]
    return without(examples, validation), validation


def _examples(
    run: Run, labeled: Sequence[MicrographFile], labels: Picks, negatives: Picks
) -> tuple[list[Example], Limits | None]:
    """Read the labelled micrographs; learn from them what is junk, and mark it."""
    own, others = dict(labels.by_micrograph()), dict(negatives.by_micrograph())
    examples, standards, none = [], [], Picks([], np.empty((0, 2)))
    for micrograph in run.reporter.track(labeled, len(labeled), "reading labelled micrographs"):
        small, scale = run.load(micrograph)
        positive, negative = (table.get(micrograph.name, none).xy / scale for table in (own, others))
        examples.append(Example(micrograph.name, small.seen, positive, negative, micrograph.source))
        if run.settings.junk_mask:
            standards.append(standardize(small.seen, run.geometry.span))
    if not run.settings.junk_mask:
        return examples, None
    limits = learn_limits(zip(standards, (e.positives for e in examples), strict=True))
    marked = [replace(e, junk=junk_mask(s, limits)) for e, s in zip(examples, standards, strict=True)]
    share = sum(e.area for e in marked) / sum(e.pixels.size for e in marked)
    run.reporter.note(f"junk (gold, lumps of ice) covers {1 - share:.1%} of the labelled micrographs")
    return marked, limits


def trainable(settings: PickSettings, kind: NetworkSettings) -> TrainingSettings:
    """Return how to train a network of this kind, but for what labels and micrographs decide.

    Raises
    ------
    SettingsError
        One of the settings is none that training can have.
    """
    return TrainingSettings(
        network=kind if settings.dropout is None else replace(kind, dropout=settings.dropout),
        method=METHOD if settings.method is None else settings.method,
        slack=settings.slack,
        autoencoder=settings.autoencoder,
        l2=settings.l2,
        epochs=settings.epochs,
        epoch_size=EPOCH if settings.epoch_size is None else settings.epoch_size,
        seed=settings.seed,
    )


def _training_settings(
    examples: Sequence[Example],
    guess: float,
    settings: PickSettings,
    geometry: Geometry,
    kind: NetworkSettings,
    *,
    started: bool,
) -> TrainingSettings:
    """All but pi, which is a first guess."""
    few = _are_few(examples)
    chosen = replace(
        trainable(settings, kind),
        pi=prior(guess, *known(examples, geometry)) if settings.pi is None else settings.pi,
        label_radius=geometry.label_radius,
        start_share=START_SHARE if few else TrainingSettings.start_share,
    )
    if started:
        size = EPOCH_FROM_START if settings.epoch_size is None else settings.epoch_size
        return replace(chosen.from_start(), epoch_size=size)
    if few and settings.dropout is None:
        return replace(chosen, network=replace(chosen.network, dropout=DROPOUT))
    return chosen


def objective_from_start(examples: Sequence[Example], settings: PickSettings) -> str:
    """Return the objective of a training that starts from weights that know particles.

    Without a word of the user, that is PU where there are many labels, none of which is a negative.
    """
    if settings.method is not None:
        return settings.method
    if settings.slack >= 0 or _are_few(examples) or any(len(e.negatives) for e in examples):
        return METHOD
    return METHOD_FROM_START


def _are_few(examples: Sequence[Example]) -> bool:
    return sum(len(e.positives) for e in examples) < FEW_LABELS
