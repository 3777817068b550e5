"""Simulated detections of which the number of particles is known."""

import numpy as np
from scipy.special import digamma, polygamma

from heliodor.picking.evidence import Evidence

MICROGRAPHS, DECOYS = 8, 24
FALSE = 300  # detections on a decoy, with scores that fall off as those of noise do


def simulated(
    particles,
    mean,
    seed,
    deviation=1.6,
    claimed=0.001,
    images=MICROGRAPHS,
    decoys=DECOYS,
    others=(0, 0.0),
    clears=1.0,
    noise=(-1.5, 0.7),
    skewness=0.0,
):
    """Detections on micrographs with so many particles each, as many others as told, and on decoys.

    `clears`: how many times as much room as usual a particle takes from false detections. `noise`: their scores.
    `skewness`: of the scores of particles and others, without its sign.
    """
    random = np.random.default_rng(seed)

    def false(number, room=1.0):
        return random.gumbel(*noise, random.poisson(FALSE * number * room))

    room = np.exp(-particles * claimed * 1.5**2 * clears)
    true = skewed(random, mean, deviation, random.poisson(particles * images), skewness)
    more = skewed(random, others[1], deviation, random.poisson(others[0] * images), skewness)
    scores = np.concatenate([true, more, false(images, room)])
    return Evidence(
        np.sort(scores)[::-1], np.sort(false(decoys))[::-1], images / decoys, images, decoys, claimed=claimed
    )


def unlike(particles, mean, seed, shares, others=(0, 0.0), other_shares=None, offsets=None, **how):
    """Detections as of `simulated`, on micrographs that differ, which each of them is known of.

    `shares`: of the particles, of each micrograph. `other_shares`: of the others. `offsets`: of their scores.
    """
    more = np.ones(len(shares)) if other_shares is None else other_shares
    higher = np.zeros(len(shares)) if offsets is None else offsets
    each = [
        simulated(
            particles * share,
            mean + up,
            [seed, k],
            images=1,
            decoys=DECOYS // MICROGRAPHS,
            others=(others[0] * beside, others[1] + up),
            **how,
        )
        for k, (share, beside, up) in enumerate(zip(shares, more, higher, strict=True))
    ]
    scores = np.concatenate([one.scores for one in each])
    best_first = np.argsort(-scores)
    decoys = np.sort(np.concatenate([one.decoys for one in each]))[::-1]
    return Evidence(
        scores[best_first],
        decoys,
        MICROGRAPHS / DECOYS,
        len(each),
        len(each) * DECOYS // MICROGRAPHS,
        claimed=each[0].claimed,
        which=np.repeat(np.arange(len(each)), [len(one.scores) for one in each])[best_first],
    )


def labelled(mean, seed, count=10, deviation=1.6, skewness=0.0):
    """Scores of labelled particles."""
    return skewed(np.random.default_rng(np.append(seed, 1)), mean, deviation, count, skewness)


def skewed(random, mean, deviation, count, skewness):
    """Draw from a normal distribution, or one with more far below the mean than far above."""
    if not skewness:
        return random.normal(mean, deviation, count)
    shape = skewness**-2
    drawn = np.log(random.gamma(shape, size=count)) - digamma(shape)
    return mean + deviation * drawn / np.sqrt(polygamma(1, shape))
