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
from heliodor.picking.sample import DRAWN, draw_few
from heliodor.picking.scoring import score_map
from heliodor.picking.start import is_pretrained
from heliodor.picking.windows import windows_around

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

    from heliodor.names import MicrographFile
    from heliodor.networks.scorers import Scorer
    from heliodor.picking.detect import Detector
    from heliodor.picking.load import Loader
    from heliodor.picking.run import Run
    from heliodor.picking.start import Start
    from heliodor.picks import Picks

    Measure = Callable[[MicrographFile, NDArray[np.float32], NDArray[np.float64]], "T"]  # what is seen, and its scale

T = TypeVar("T")
_LABELS, _ELSEWHERE = 25, 16  # of each, and places drawn at random, which labels must be better than
_SIDE = 256  # of the middle of a micrograph that is enough where there are no labels, in downsampled pixels
# Of particles, over the diameter that the user gives: the radius and its double are given in its place, too.
_WIDTHS = (1.0, 0.75, 4 / 3, 2.0, 0.5)
# By labels: how sure the difference of their mean score, over that of other places, must be, in standard deviations,
# which are taken for at least so many log-odds for each label; and how large, for light particles and for another
# width: a person who says a fifth too much is not bothered.
_SURE, _LEAST_SPREAD, _TURNED, _TELLING = 3.0, 1.0, 1.0, 2.0
# Without labels: what scores above the first of these is clear. Another view must show so many times as much of it,
# bounded for each detection where it is inverted (beads of gold that are as wide as particles look very much like light
# ones), and so many times as many detections that are likely to be particles.
_CLEAR, _CLEAREST, _TIMES, _LIKELY, _MORE = 2.0, 3.0, 2.5, 0.5, 1.25
# What a micrograph must show, to say so of light particles and of another width: chance shows some, in any view.
_SOME, _PLENTY = 5.0, 20.0


class View(NamedTuple):
    """A way to look at micrographs: light particles turned dark or not, and how wide particles are taken to be."""

    inverted: bool
    width: float


PLAIN = View(inverted=False, width=1.0)


class _Shown(NamedTuple):
    """What a view shows of a micrograph.

    How clear detections are in all, without a bound for each and with one; how many are likely to be particles.
    """

    clear: float
    bounded: float
    likely: float


def settle_appearance(run: Run, micrographs: Sequence[MicrographFile], labels: Picks, start: Start | None) -> Run:
    """Return the run in which particles are dark, and warn where they look much wider or narrower than the user says.

    Parameters
    ----------
    run : Run
        With a loader for micrographs as they are.
    micrographs : sequence of MicrographFile
        Those with labels, if there are any.
    labels : Picks
        In full-size pixels; empty: the network must see particles by itself.
    start : (Classifier, dict), optional
        The network that the run starts from. Only that which comes with heliodor is asked: it knows no light ones.
    """
    facts, settings, geometry = {} if start is None else start[1], run.settings, run.geometry
    if settings.invert is not None or not is_pretrained(start):
        return _turned(run, inverted_of(facts) if settings.invert is None else settings.invert)
    random = np.random.default_rng([settings.seed, DRAWN])
    of_name = {name: picks.xy for name, picks in labels.by_micrograph()}
    chosen, scorer = draw_few(micrographs, labels, random), run.machine.scorer(start[0])
    looked = run.reporter.track(chosen, len(chosen), "looking whether particles are dark")
    if of_name:
        view = _by_labels(_look_at_labels(run.load, looked, of_name, scorer, round(geometry.label_radius), random))
    else:
        view = _by_detections(_look_around(run.load, looked, scorer, geometry.detector, Calibration.of_model(facts)))
    if view.inverted:
        run.reporter.note("particles are light: micrographs are inverted for the network (or else give --no-invert)")
    if view.width != 1:
        run.reporter.warn(
            f"to the pretrained network, particles look more like {view.width * settings.diameter:.0f} A wide than "
            f"{settings.diameter:g} A; check --diameter and --angpix"
        )
    return _turned(run, view.inverted)


def _turned(run: Run, inverted: bool) -> Run:
    return replace(run, load=replace(run.load, inverted=inverted))


def _look_at_labels(
    load: Loader,
    micrographs: Iterable[MicrographFile],
    labels: dict[str, NDArray[np.float64]],
    scorer: Scorer,
    radius: int,
    random: np.random.Generator,
) -> dict[View, NDArray[np.float32]]:
    """Return the score near each of some labels, over that of other places of its micrograph, in all views."""
    some = {name: xy[random.permutation(len(xy))[:_LABELS]] for name, xy in labels.items()}
    anywhere = random.random((_ELSEWHERE, 2))

    def measure(file: MicrographFile, pixels: NDArray[np.float32], scale: NDArray[np.float64]) -> NDArray[np.float32]:
        places = np.concatenate([some[file.name] / scale, anywhere * pixels.shape[::-1]])
        best = _highest(scorer, pixels, places, radius)
        return best[:-_ELSEWHERE] - best[-_ELSEWHERE:].mean()

    return {view: np.concatenate(parts) for view, parts in _look(load, micrographs, _WIDTHS, measure).items()}


def _look_around(
    load: Loader, micrographs: Iterable[MicrographFile], scorer: Scorer, detector: Detector, probability: Calibration
) -> dict[View, _Shown]:
    """Return what the middle of a micrograph shows, in the mean, in all views but the narrowest.

    Twice as many pixels for each side would take longer than all else.
    """

    def measure(_: MicrographFile, pixels: NDArray[np.float32], scale: NDArray[np.float64]) -> _Shown:
        half = round(_SIDE / 2 * load.factor / scale[0])
        rows, columns = pixels.shape
        middle = pixels[max(rows // 2 - half, 0) : rows // 2 + half, max(columns // 2 - half, 0) : columns // 2 + half]
        scores = detector.maxima(score_map(scorer, middle))[1]
        clear = np.maximum(scores - _CLEAR, 0)
        likely = (probability(scores) > _LIKELY).sum()
        return _Shown(float(clear.sum()), float(np.minimum(clear, _CLEAREST).sum()), float(likely))

    seen = _look(load, micrographs, [width for width in _WIDTHS if width != min(_WIDTHS)], measure)
    return {view: _Shown(*np.mean(parts, axis=0).tolist()) for view, parts in seen.items()}


def _look(
    load: Loader, micrographs: Iterable[MicrographFile], widths: Iterable[float], measure: Measure[T]
) -> dict[View, list[T]]:
    """Measure micrographs in all views; those that cannot be read are left out, and named where they are wanted.

    So are widths that not all can be had in. Where no micrograph can be read, there is no view.
    """
    from heliodor.preprocess import preprocess  # scipy takes a while to import

    widths = [width for width in widths if load.factor * width >= 1]
    finest = load.factor * min(widths)
    seen: dict[View, list[T]] = {View(inverted, width): [] for width in widths for inverted in (False, True)}
    for micrograph in micrographs:
        with contextlib.suppress(MicrographError):
            full = load.read(micrograph)
            # Large ones are read and downsampled once: all other widths follow from the finest.
            fine = preprocess(full, factor=finest, normalization="affine")[0]
            once = np.array(full.pixels.shape[::-1]) / fine.pixels.shape[::-1]
            for width in widths:
                small, scale = replace(load, factor=load.factor * width / finest, examine=False).prepare(fine)
                for sign, inverted in ((1, False), (-1, True)):
                    measured = measure(micrograph, sign * small.seen, once * scale)
                    seen[View(inverted, width)].append(measured)
    most = len(seen[PLAIN])
    return {view: parts for view, parts in seen.items() if len(parts) == most > 0}


def _highest(
    scorer: Scorer, pixels: NDArray[np.float32], places: NDArray[np.float64], radius: int
) -> NDArray[np.float32]:
    """Return the highest score near each place (N, 2): no more than their surroundings is scored."""
    windows, rows, columns = windows_around(pixels, places, radius + scorer.receptive_field // 2)
    return np.asarray(scorer(windows[rows, columns]).max(axis=(1, 2)))


def _by_labels(scores: dict[View, NDArray[np.float32]]) -> View:
    """Return the view in which labels are best, by scores over those of other places; a plain one if not by much."""
    if not scores:
        return PLAIN

    def best(views: Iterable[View]) -> View:
        return max(views, key=lambda view: scores[view].mean())

    def better(one: View, other: View, least: float) -> bool:
        differences = scores[one] - scores[other]
        error = max(float(differences.std()), _LEAST_SPREAD) / math.sqrt(len(differences))
        return float(differences.mean()) > max(_SURE * error, least)

    top, upright = best(scores), best(view for view in scores if not view.inverted)
    top = top if top.inverted and better(top, upright, _TURNED) else upright
    plain = View(top.inverted, 1.0)
    return top if better(top, plain, _TELLING) else plain


def _by_detections(shown: dict[View, _Shown]) -> View:
    """Return the view that shows most particles, or a plain one where it does not show many more.

    Gold and lumps of ice, inverted, are like clear particles, but they are few; doubtful detections of noise are many
    in any view, and the more, the narrower particles are taken to be.
    """
    if not shown:
        return PLAIN

    def best(views: Iterable[View]) -> View:
        return max(views, key=lambda view: shown[view].clear)

    top = best(shown)
    one, other = shown[top], shown[top._replace(inverted=not top.inverted)]
    inverted = top.inverted and one.bounded > _TIMES * max(other.bounded, _SOME) and one.likely > _MORE * other.likely
    top, plain = best(view for view in shown if view.inverted == inverted), View(inverted, 1.0)
    return top if shown[top].clear > _TIMES * max(shown[plain].clear, _PLENTY) else plain
