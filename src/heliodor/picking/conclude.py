"""The end of what comes before picking: the threshold is settled, and the network is kept with all it is to know."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from heliodor.networks import save_network
from heliodor.picking.evidence import weigh
from heliodor.picking.folder import MODEL
from heliodor.picking.threshold import operating_point

if TYPE_CHECKING:
    from heliodor.junk.mask import Limits
    from heliodor.networks import Classifier
    from heliodor.picking.count import Count
    from heliodor.picking.evidence import Evidence
    from heliodor.picking.run import Run


def conclude(
    run: Run,
    network: Classifier,
    count: Count,
    evidence: Evidence,
    particles: float,
    most: float,
    limits: Limits | None,
    training: dict[str, Any] | None,
    **estimates: float,
) -> dict[str, Any]:
    """Settle the threshold, and write the network of a run; return what its file says about it.

    Parameters
    ----------
    run : Run
    network : Classifier
    count : Count
        Particles on a micrograph, to be told; a number that is hardly known is warned of.
    evidence : Evidence
        What the network finds on a sample of the micrographs.
    particles, most : float
        On each of these, within the margin: as many as there are, and as there can be.
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
    if count.doubt and run.settings.threshold is None:
        run.reporter.warn(count.doubt)
    weighed = weigh(evidence, particles, most)
    threshold, calibration, facts = operating_point(weighed, particles, run.settings, run.reporter)
    run.reporter.note(f"picks are above score {threshold:.2f}, probability {calibration([threshold])[0]:.2f}")
    about = {
        "run": run.digest,
        "geometry": asdict(run.geometry),
        "normalization": run.settings.normalization,
        "inverted": run.load.inverted,
        "margin": run.settings.margin,
        "training": training,
        "junk_limits": limits,
        "estimates": {**estimates, **count.facts(), "particles_in_sample": particles, "threshold": threshold},
        **facts,
    }
    save_network(run.folder / MODEL, network, about)
    return about
