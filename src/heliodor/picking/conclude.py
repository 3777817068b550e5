"""The end of what comes before picking: what scores are worth, and where to cut; the network is kept with both."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import SettingsError
from heliodor.files import atomic_path
from heliodor.networks import save_network
from heliodor.picking.calibration import Calibration
from heliodor.picking.count import Count
from heliodor.picking.evidence import Evidence, weigh
from heliodor.picking.folder import ASKED, MODEL, SAMPLE, digest
from heliodor.picking.settings import CUTS
from heliodor.picking.threshold import judge, settle_threshold

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from heliodor.junk.mask import Limits
    from heliodor.networks import Classifier
    from heliodor.picking.run import Run

_CUT = (ASKED, "threshold", "threshold_given")  # facts in a model file of where to cut


def conclude(
    run: Run,
    network: Classifier,
    count: Count,
    evidence: Evidence,
    particles: float,
    limits: Limits | None,
    training: dict[str, Any] | None,
    **estimates: float,
) -> dict[str, Any]:
    """Judge scores, settle the threshold, and write the network of a run; return what its file says about it.

    Parameters
    ----------
    run : Run
    network : Classifier
    count : Count
        Particles on a micrograph, to be told; a number that is hardly known is warned of.
    evidence : Evidence
        What the network finds on a sample of the micrographs, and how many particles there can be on each.
    particles : float
        How many there are, within the margin.
    limits : Limits, optional
        How dark particles are; None: junk is not masked.
    training : dict, optional
        How the network was trained.
    **estimates
        Others than the count, for the record.

    Raises
    ------
    OutputError
        The network cannot be written.
    """
    weighed = weigh(evidence, particles)
    about = {
        "run": run.digest,
        "geometry": asdict(run.geometry),
        "normalization": run.settings.normalization,
        "inverted": run.load.inverted,
        "whitening": run.load.whitening,
        "margin": run.settings.margin,
        "training": training,
        "junk_limits": limits,
        "estimates": {**estimates, **count.facts(), "particles_in_sample": particles},
        **judge(weighed, particles),
    }
    with atomic_path(run.folder / SAMPLE) as temporary:
        np.save(temporary, weighed.scores, allow_pickle=False)
    return cut_as_asked(run, network, about)


def cut_as_asked(run: Run, network: Classifier, about: dict[str, Any]) -> dict[str, Any]:
    """Settle the threshold that the settings of a run ask for; write its network, and return what the file says then.

    An earlier call may have asked for another one: neither training nor candidates depend on it.

    Raises
    ------
    OutputError
        The network cannot be written.
    SettingsError
        The scores of the sample, which a threshold is chosen by, are not there any more.
    """
    asked = {name: getattr(run.settings, name) for name in CUTS}
    if about.get(ASKED) == asked:
        return about
    threshold, calibration = run.settings.threshold, Calibration.of_model(about)
    if threshold is None:
        count, facts = Count.of_facts(about["estimates"]), about["evidence"]
        if count.doubt:
            run.reporter.warn(count.doubt)
        sample = Evidence(_sample_scores(run.folder, facts["detections"]), np.empty(0), 0.0, facts["micrographs"])
        particles, precision = facts["particles_expected_on_each"], run.settings.precision
        threshold = settle_threshold(sample, calibration, particles, precision, run.reporter)
    run.reporter.note(f"picks are above score {threshold:.2f}, probability {calibration([threshold])[0]:.2f}")
    about = {**about, ASKED: asked, "threshold": threshold, "threshold_given": run.settings.threshold is not None}
    save_network(run.folder / MODEL, network, about)
    return about


def start_digest(network: Classifier, about: dict[str, Any]) -> str:
    """Return a name made of a network that a run starts from, and of what it says; where it cuts is left out."""
    return digest({name: fact for name, fact in about.items() if name not in _CUT}, network)


def _sample_scores(folder: Path, count: int) -> NDArray[np.float64]:
    """Read what `conclude` has kept of the sample: so many scores, best first."""
    path = folder / SAMPLE
    try:
        scores = np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
        if scores.shape != (count,) or not bool((np.diff(scores) <= 0).all()):
            raise ValueError(f"not {count} scores, best first")
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise SettingsError(
            f"{path}: cannot be read ({error}), and another threshold is chosen by what is in it; choose another "
            "folder with -o, or start afresh with --overwrite"
        ) from error
    return scores
