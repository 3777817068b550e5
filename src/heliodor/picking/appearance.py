"""Do particles look as they are taken to: dark, and as wide as the user says? By a network that knows particles."""

from __future__ import annotations

import contextlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from heliodor.errors import MicrographError
from heliodor.picking.calibration import Calibration
from heliodor.picking.load import inverted_of
from heliodor.picking.scoring import score_map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from heliodor.micrographs import Micrograph
    from heliodor.names import MicrographFile
    from heliodor.networks.scorers import Machine, Scorer
    from heliodor.picking.detect import Detector
    from heliodor.picking.geometry import Geometry
    from heliodor.picking.load import Loader
    from heliodor.picking.settings import PickSettings
    from heliodor.picking.start import Start
    from heliodor.picks import Picks
    from heliodor.progress import Reporter

    Measure = Callable[[Micrograph, tuple[float, float]], "T"]  # of what a loader returns

T = TypeVar("T")
_LOOKED = 4  # micrographs
_SIDE = 256  # of the middle of a micrograph that is enough where there are no labels, in downsampled pixels
_WIDTHS = (1.0, 0.75, 4 / 3)  # of particles, over the diameter that the user gives
# How sure the difference of the mean score of labels must be, in standard deviations, which are taken for at least so
# many log-odds for each label; and how large, for another width: a person who says a fifth too much is not bothered.
_SURE, _LEAST_SPREAD, _TELLING = 3.0, 1.0, 2.0
# Without labels: scores above this are those of clear particles, of which another view must show so many times as much;
# of detections that are likely to be particles, so many times as many.
_CLEAR, _TIMES, _LIKELY, _MORE = 2.0, 2.5, 0.5, 1.25
# What must be there to say so of light particles, and of another width: noise shows some more in one than in another.
_FAINT, _PLENTY = 1.0, 20.0


class View(NamedTuple):
    """A way to look at micrographs: light particles turned dark or not, and how wide particles are taken to be."""

    inverted: bool
    width: float


class _Shown(NamedTuple):
    """What a view shows of a micrograph: scores above `_CLEAR`, less that, in all; detections that are likely."""

    clear: float
    likely: float


def _mean(shown: Sequence[_Shown]) -> _Shown:
    clear, likely = np.mean(shown, axis=0)
    return _Shown(float(clear), float(likely))


def settle_contrast(
    load: Loader,
    micrographs: Sequence[MicrographFile],
    labels: Picks,
    start: Start | None,
    settings: PickSettings,
    geometry: Geometry,
    machine: Machine,
    reporter: Reporter,
) -> Loader:
    """Return the loader that makes particles dark, and warn where they look much wider or narrower than the user says.

    Parameters
    ----------
    load : Loader
        For micrographs as they are.
    micrographs : sequence of MicrographFile
        Those with labels, if there are any.
    labels : Picks
        In full-size pixels; empty: the network must see particles by itself.
    start : (Classifier, dict), optional
        The network that the run starts from. Only that which comes with heliodor is asked: it knows no light ones.
    settings, geometry, machine, reporter
        Of the run.
    """
    facts = {} if start is None else start[1]
    if settings.invert is not None or start is None or "pretrained_on" not in facts:
        return replace(load, inverted=inverted_of(facts) if settings.invert is None else settings.invert)
    scorer, own = machine.scorer(start[0]), dict(labels.by_micrograph())
    chosen = _chosen(micrographs, {name: len(picks) for name, picks in own.items()}, settings.seed)
    looked = reporter.track(chosen, len(chosen), "looking whether particles are dark")
    if own:

        def at_labels(micrograph: Micrograph, scale: tuple[float, float]) -> NDArray[np.float32]:
            positives = own[micrograph.name].xy / scale
            return _at_labels(scorer, micrograph.seen, positives, round(geometry.label_radius))

        scores = {view: np.concatenate(parts) for view, parts in _look(load, looked, at_labels).items()}
        view = _by_labels(scores) if scores else View(False, 1.0)
    else:
        probability = Calibration.of_model(facts)

        def in_the_middle(micrograph: Micrograph, scale: tuple[float, float]) -> _Shown:
            half = round(_SIDE / 2 * load.factor / scale[0])
            return _in_the_middle(scorer, micrograph.seen, half, geometry.detector, probability)

        means = {view: _mean(parts) for view, parts in _look(load, looked, in_the_middle).items()}
        view = _by_detections(means) if means else View(False, 1.0)
    if view.inverted:
        reporter.note("particles are light: micrographs are inverted for the network (or else give --no-invert)")
    if view.width != 1:
        reporter.warn(
            f"to the pretrained network, particles look some {view.width * settings.diameter:.0f} A wide, not "
            f"{settings.diameter:g} A; check --diameter and --angpix"
        )
    return replace(load, inverted=view.inverted)


def _chosen(micrographs: Sequence[MicrographFile], labels: dict[str, int], seed: int) -> list[MicrographFile]:
    """Draw micrographs, first of those that have most labels."""
    order = np.random.default_rng([seed, 0xC7]).permutation(len(micrographs))
    return sorted((micrographs[k] for k in order), key=lambda m: -labels.get(m.name, 0))[:_LOOKED]


def _look(load: Loader, micrographs: Iterable[MicrographFile], measure: Measure[T]) -> dict[View, list[T]]:
    """Measure micrographs in all views; those that cannot be read are left out, and named where they are wanted.

    Where all are, there is no view.
    """
    views = [View(inverted, width) for width in _WIDTHS if load.factor * width >= 1 for inverted in (False, True)]
    loaders = [replace(load, factor=load.factor * width, inverted=inverted, examine=False) for inverted, width in views]
    seen: dict[View, list[T]] = {}
    for micrograph in micrographs:
        with contextlib.suppress(MicrographError):
            for view, measured in zip(views, [measure(*loader(micrograph)) for loader in loaders], strict=True):
                seen.setdefault(view, []).append(measured)
    return seen


def _at_labels(
    scorer: Scorer, pixels: NDArray[np.float32], positives: NDArray[np.float64], radius: int
) -> NDArray[np.float32]:
    """Return the highest score near each label (N,): no more than their surroundings is scored."""
    reach = radius + scorer.receptive_field // 2
    padded, side = np.pad(pixels, reach), 2 * reach + 1
    corners = np.rint(positives).astype(int)
    windows = np.stack([padded[y : y + side, x : x + side] for x, y in corners])
    return np.asarray(scorer(windows).max(axis=(1, 2)))


def _in_the_middle(
    scorer: Scorer, pixels: NDArray[np.float32], half: int, detector: Detector, probability: Calibration
) -> _Shown:
    """Look at the middle of a micrograph, `half` pixels to each side."""
    rows, columns = pixels.shape
    middle = pixels[max(rows // 2 - half, 0) : rows // 2 + half, max(columns // 2 - half, 0) : columns // 2 + half]
    scores = detector.maxima(score_map(scorer, middle))[1]
    return _Shown(float(np.maximum(scores - _CLEAR, 0).sum()), float((probability(scores) > _LIKELY).sum()))


def _by_labels(scores: dict[View, NDArray[np.float32]]) -> View:
    """Return the view in which labels score best, or a plain one where they do not by much."""

    def best(views: Iterable[View]) -> View:
        return max(views, key=lambda view: scores[view].mean())

    def surely(one: View, other: View) -> bool:
        differences = scores[one] - scores[other]
        spread = max(float(differences.std()), _LEAST_SPREAD)
        return float(differences.mean()) > _SURE * spread / math.sqrt(len(differences))

    top, upright = best(scores), best(view for view in scores if not view.inverted)
    top = top if top.inverted and surely(top, upright) else upright
    plain = View(top.inverted, 1.0)
    telling = scores[top].mean() - scores[plain].mean() > _TELLING and surely(top, plain)
    return top if telling else plain


def _by_detections(shown: dict[View, _Shown]) -> View:
    """Return the view that shows most particles, or a plain one where it does not show many more.

    Gold and lumps of ice, inverted, are like clear particles, but they are few; doubtful detections of noise are many
    in any view, and the more, the narrower particles are taken to be.
    """

    def best(views: Iterable[View]) -> View:
        return max(views, key=lambda view: shown[view].clear)

    top = best(shown)
    one, other = shown[top], shown[top._replace(inverted=not top.inverted)]
    inverted = top.inverted and one.clear > _TIMES * max(other.clear, _FAINT) and one.likely > _MORE * other.likely
    top, plain = best(view for view in shown if view.inverted == inverted), View(inverted, 1.0)
    return top if shown[top].clear > _TIMES * max(shown[plain].clear, _PLENTY) else plain
