"""A sample of the micrographs of a run: what the network finds on them decides where to cut."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import MicrographError
from heliodor.junk.inspect import Inspector
from heliodor.picking.count import compared_score, some_of
from heliodor.picking.evidence import Evidence, Found, gather, ranked
from heliodor.picking.label_scores import label_scores
from heliodor.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from numpy.typing import NDArray

    from heliodor.junk.mask import Limits
    from heliodor.micrographs import Micrograph
    from heliodor.names import MicrographFile
    from heliodor.networks import Classifier
    from heliodor.networks.scorers import Scorer
    from heliodor.picking.count import Count
    from heliodor.picking.detect import Detector
    from heliodor.picking.load import Loader
    from heliodor.picking.run import Run
    from heliodor.picks import Picks
    from heliodor.progress import Reporter
    from heliodor.training.tiles import Example

    Views = tuple[NDArray[np.float32], NDArray[np.bool_] | None]  # pixels as networks see them, and where junk is

# Micrographs: a fiftieth of a long run, and as little of its work; chance matters less, the more there are
# (dev/LOG.md).
_FEWEST, _SHARE, _LARGEST = 16, 0.02, 32
_FEW = 4  # to look at before
DRAWN = 0xC7  # what these few are drawn by, with the seed of a run
_MOST_MORE = 3.0  # people do not label the emptiest micrographs


@dataclass(frozen=True, eq=False)
class Sample:
    """What a network finds on a sample of micrographs.

    Parameters
    ----------
    evidence : Evidence
    expected : float
        Particles on each of them, by how many are expected on the labelled ones.
    labels : (N,) array
        Scores of the labels; -inf: not found. Empty where nobody wants them.
    """

    evidence: Evidence
    expected: float
    labels: NDArray[np.float64]


def gather_sample(
    run: Run,
    network: Classifier,
    judge: Classifier,
    examples: Sequence[Example],
    micrographs: Sequence[MicrographFile],
    count: Count,
    limits: Limits | None,
    *,
    with_labels: bool,
) -> Sample:
    """Look at a sample of all micrographs, at decoys of them, and at labelled ones.

    What is nearer to the border than the margin of the run is left out, so that particles are fewer than by `count`.

    People label crowded micrographs: the sample may hold fewer. Nearly as many of the best detections on the labelled
    ones as there are particles tell a score; detections above it, less the false ones, are counted on both. A network
    that has been trained on the labelled ones finds more on them: `judge` should be one that has not.
    """
    geometry, seed, reporter = run.geometry, run.settings.seed, run.reporter
    scorer, detector = run.machine.scorer(network), geometry.searching(run.settings.margin)
    inspect = Inspector(geometry.span, limits)
    expected = count.particles * float(np.mean([detector.inside(e.pixels.shape) for e in examples]))
    known = {e.name: (e.pixels, e.junk) for e in examples}
    drawn = draw_sample(micrographs, seed, run.load, known, reporter)
    sample = {name: (m.seen, inspect.junk(m)) if m else known[name] for name, m in drawn.items()}
    chosen = some_of(examples, sample_size(len(micrographs)), seed)
    labeled = {e.name: known[e.name] for e in chosen}
    both = {**sample, **labeled} if with_labels or judge is network else sample
    looked = reporter.track(both.items(), len(both), "looking at a sample")
    found = {name: detector(scorer, *views) for name, views in looked}
    seen = found if judge is network else {}
    expected *= _relative(run.machine.scorer(judge), detector, sample, labeled, expected, seen, count.false, reporter)
    images, masks = zip(*sample.values(), strict=True)
    detections = [found[name] for name in sample]
    evidence = gather(scorer, images, detector, geometry.span, seed, detections, masks, reporter=reporter)
    wanted = chosen if with_labels else []
    labels = [label_scores(e.positives, found[e.name], geometry.match_radius) for e in wanted]
    return Sample(evidence, expected, np.concatenate([np.empty(0), *labels]))


def _relative(
    scorer: Scorer,
    detector: Detector,
    sample: dict[str, Views],
    labeled: dict[str, Views],
    expected: float,
    seen: dict[str, Found],
    false: float = 0.0,
    reporter: Reporter = SILENT,
) -> float:
    """Return how many times as many particles micrographs of the sample hold as labelled ones, at most `_MOST_MORE`.

    `seen` has what the scorer is known to find on some of them. `false` is the share of false ones among the detections
    on labelled ones that are compared; as many are expected on others.
    """
    new = {name: views for name, views in {**labeled, **sample}.items() if name not in seen}
    looked = reporter.track(new.items(), len(new), "comparing it with labelled micrographs")
    found = {name: s for name, (_, s) in seen.items()} | {name: detector(scorer, *views)[1] for name, views in looked}
    scores = ranked([found[name] for name in labeled])
    if not len(scores):
        return 1.0
    low = compared_score(scores, expected * len(labeled))
    here = sum(int((found[name] >= low).sum()) for name in sample) / len(sample)
    more = here / (int((scores >= low).sum()) / len(labeled))
    return min(max((more - false) / (1 - false), 0.0), _MOST_MORE)


def draw_few(micrographs: Sequence[MicrographFile], labels: Picks, random: np.random.Generator) -> list[MicrographFile]:
    """Draw micrographs to look at before a run begins: those with most labels, if there are any."""
    drawn = [micrographs[k] for k in random.permutation(len(micrographs))]
    count = Counter(labels.names)
    if count:
        drawn = sorted((m for m in drawn if count[m.name]), key=lambda m: -count[m.name])
    return drawn[:_FEW]


def sample_size(micrographs: int) -> int:
    """Return how many of the micrographs of a run are looked at."""
    return min(max(_FEWEST, round(_SHARE * micrographs)), _LARGEST)


def draw_sample(
    micrographs: Sequence[MicrographFile],
    seed: int,
    load: Loader,
    known: Container[str],
    reporter: Reporter,
) -> dict[str, Micrograph | None]:
    """Return a sample of micrographs by name, of all that can be read; None for `known` ones, which are not read.

    Raises
    ------
    MicrographError
        None can be read.
    """
    order = np.random.default_rng([seed, 0x5A]).permutation(len(micrographs))
    sample: dict[str, Micrograph | None] = {}
    for which in order:
        if len(sample) == sample_size(len(micrographs)):
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
