"""A sample of the micrographs of a run: what the network finds on them decides where to cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import MicrographError
from heliodor.networks.scorers import scorers_of_network
from heliodor.picking.evidence import Evidence, Found, gather, ranked
from heliodor.picking.scoring import score_map

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from numpy.typing import NDArray

    from heliodor.junk.inspect import Inspector
    from heliodor.micrographs import Micrograph
    from heliodor.names import MicrographFile
    from heliodor.networks import Classifier
    from heliodor.picking.geometry import Geometry
    from heliodor.picking.load import Loader
    from heliodor.progress import Reporter
    from heliodor.training.tiles import Example

SAMPLE = 8  # micrographs
DECOYS = 3  # of each: chance changes their number of doubtful detections, which are few, by a tenth


def gather_sample(
    network: Classifier,
    examples: Sequence[Example],
    micrographs: Sequence[MicrographFile],
    expected: float,
    seed: int,
    geometry: Geometry,
    inspect: Inspector,
    load: Loader,
    device: str,
    reporter: Reporter,
) -> tuple[Evidence, float]:
    """Look at a sample of all micrographs and at decoys of them; return also the particles to expect on each of these.

    People label crowded micrographs: the sample may hold fewer. The best half of the particles on the labelled ones
    tell a score; detections above it are counted on both.
    """
    scorer, detector = scorers_of_network(network, device)[0], geometry.detector

    def look(pixels: NDArray[np.float32], junk: NDArray[np.bool_] | None) -> Found:
        return detector.maxima(score_map(scorer, pixels), junk)

    known = {e.name: (e.pixels, e.junk) for e in examples}
    drawn = draw_sample(micrographs, seed, load, known, reporter)
    sample = {name: (m.seen, inspect.junk(m)) if m else known[name] for name, m in drawn.items()}
    found = {name: look(*views) for name, views in sample.items()}
    labeled = [name for name in known if name in found] or list(known)[:SAMPLE]
    scores = ranked([(found[n] if n in found else look(*known[n]))[1] for n in labeled])
    if len(scores):
        half = scores[min(len(scores) - 1, round(expected / 2 * len(labeled)))]
        here = sum(int((s >= half).sum()) for _, s in found.values()) / len(found)
        there = int((scores >= half).sum()) / len(labeled)
        expected *= here / there
    images = [pixels for pixels, _ in sample.values()]
    detections = list(found.values())
    return gather(scorer, images, detector, geometry.span, expected, seed, detections, each=DECOYS), expected


def draw_sample(
    micrographs: Sequence[MicrographFile],
    seed: int,
    load: Loader,
    known: Container[str],
    reporter: Reporter,
) -> dict[str, Micrograph | None]:
    """Return `SAMPLE` micrographs by name, drawn from all that can be read; None for `known` ones, which are not read.

    Raises
    ------
    MicrographError
        None can be read.
    """
    order = np.random.default_rng([seed, 0x5A]).permutation(len(micrographs))
    sample: dict[str, Micrograph | None] = {}
    for which in order:
        if len(sample) == SAMPLE:
            break
        micrograph = micrographs[which]
        if micrograph.name in known:
            sample[micrograph.name] = None
            continue
        try:
            sample[micrograph.name] = load(micrograph)[0]
        except MicrographError as error:
            reporter.warn(f"not in the sample for the threshold: {error}")
    if not sample:
        raise MicrographError(f"no micrograph can be used, from {micrographs[0].path} on; see the warnings above")
    return sample
