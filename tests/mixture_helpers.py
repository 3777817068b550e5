"""Simulated detections of which the number of particles is known."""

import numpy as np

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
):
    """Detections on micrographs with so many particles each, as many others as told, and on decoys.

    `clears`: how many times as much room as usual a particle takes from false detections. `noise`: their scores.
    """
    random = np.random.default_rng(seed)

    def false(number, room=1.0):
        return random.gumbel(*noise, random.poisson(FALSE * number * room))

    room = np.exp(-particles * claimed * 1.5**2 * clears)
    true = random.normal(mean, deviation, random.poisson(particles * images))
    more = random.normal(others[1], deviation, random.poisson(others[0] * images))
    scores = np.concatenate([true, more, false(images, room)])
    return Evidence(
        np.sort(scores)[::-1], np.sort(false(decoys))[::-1], images / decoys, images, decoys, claimed=claimed
    )


def labelled(mean, seed, count=10, deviation=1.6):
    """Scores of labelled particles."""
    return np.random.default_rng(np.append(seed, 1)).normal(mean, deviation, count)
