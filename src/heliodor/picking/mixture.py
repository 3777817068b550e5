"""How many particles are there? By the scores of all that is found."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from heliodor.picking.evidence import NO_OTHERS, Others
from heliodor.picking.known import Known
from heliodor.picking.posterior import Posterior

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from heliodor.picking.evidence import Evidence

# Standard deviation of the logarithm of how many particles there are for each that stands out from noise: usually, and
# where the question is how many there may be.
LIKELY, POSSIBLY = 1.2, 1.5
# Particles for each that stands out from noise, at most: with fewer in sight, scores say nothing of how many there are.
_HIDDEN = 10.0
_STEP = 0.1  # of the logarithm of the number, to see how sure it is


@dataclass(frozen=True)
class Mixture:
    """Detections as particles and false ones.

    Parameters
    ----------
    particles : float
        On each micrograph.
    mean, deviation : float
        Of the scores of detections that are particles.
    error : float
        Standard deviation of the logarithm of `particles`, by the curvature of the posterior; more where `particles` is
        bounded, so that the likeliest number is within it.
    others : Others
        What looks like neither particles nor noise.
    share : float
        Of the labels that look like particles, and not like `others`.
    """

    particles: float
    mean: float
    deviation: float
    error: float
    others: Others = NO_OTHERS
    share: float = 1.0

    @property
    def corrected(self) -> Mixture:
        """The same where all labels are particles: as many of the others are particles as labels look like them."""
        both = self.particles + self.others.number
        particles = min(self.particles, both * self.share) / self.share if self.share else both
        return replace(self, particles=particles, others=self.others.less(particles - self.particles), share=1.0)


def fit_mixture(evidence: Evidence, labels: NDArray[np.float64] | None = None, *, width: float = LIKELY) -> Mixture:
    """Find the number of particles that makes scores and those on decoys go together best.

    The scores of particles are taken for normally distributed, with labels for skewed; false ones for distributed as on
    decoys, of which particles leave room for fewer, by about `Evidence.emptied`. Where particles stand out, their
    number is that of high scores; where they do not, it follows from how fast scores above those of decoys become
    fewer. Counts in bins are Poisson, of a large sample weighted as of a smaller one; what has the largest posterior is
    returned, with the mean number of the micrographs. Where little stands out, so that many numbers of particles with
    low scores would do, what is known beforehand decides: not many more than stand out.

    Where it is known which micrograph each detection is on, micrographs may differ (`heliodor.picking.variation`): what
    is on full ones and not on empty ones is particles, and lower scores of all that is on one are thick ice.

    Scores of labels say where those of particles are, and so which of two kinds of things that stand out are others:
    broken particles, ice. The clearer they are, the more scores are skewed.

    Parameters
    ----------
    evidence : Evidence
        With at least one decoy.
    labels : (N,) array, optional
        Scores of labelled particles, at least two, by a network that was trained on them. None: `evidence` is of one
        that has not seen labels.
    width : float
        Standard deviation of what is known beforehand of the logarithm of the number.
    """
    posterior = Posterior(evidence, Known() if labels is None else Known.of_labels(labels), width)
    top, least = min((posterior.best(start) for start in posterior.starts()), key=lambda end: end[1])
    around = [posterior.best(top, top[0] + step)[1] for step in (-_STEP, _STEP)]
    curvature = (sum(around) - 2 * least) / _STEP**2
    top = posterior.averaged(top)
    likeliest = math.exp(top[0])
    variance = 1 / curvature if curvature > 0 else math.inf
    # What is wanted is the number on these micrographs, which happen to hold more or fewer than others do.
    variance = max(variance - posterior.chance, 1 / max(likeliest * evidence.micrographs * posterior.weight, 1.0))
    error = min(math.sqrt(variance), width)
    particles = min(likeliest, _HIDDEN * posterior.visible)
    error = max(error, math.log(likeliest / max(particles, 1.0)))
    mixture = Mixture(particles, float(top[1]), math.exp(top[2]), error)
    if labels is None:
        return mixture
    others = posterior.others(top, particles)
    return replace(mixture, others=others, share=posterior.share_of_particles(top, labels))
