"""Is the noise white, as the pretrained network knows it? If not, and more is found so, micrographs are whitened."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from heliodor.errors import MicrographError
from heliodor.micrographs import FLAT
from heliodor.picking.calibration import Calibration
from heliodor.picking.decoys import WINDOW, background_power, between, disturbed
from heliodor.picking.evidence import AROUND, gather, standing_out
from heliodor.picking.load import whitening_of
from heliodor.picking.sample import DRAWN, draw_few
from heliodor.preprocess.flatten import flatten
from heliodor.preprocess.whiten import whitening_factors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from heliodor.names import MicrographFile
    from heliodor.networks.scorers import Scorer
    from heliodor.picking.evidence import Found
    from heliodor.picking.run import Run
    from heliodor.picking.start import Start
    from heliodor.picks import Picks

_SIDE = 320  # of the middle of a micrograph, in downsampled pixels, which is enough
_ROUNDS = 2  # of telling particles from noise, which is easier when it is white
_LIKELY = 0.5  # probability above which a detection is kept out of the noise, and speaks for a view
_MORE, _SOME = 1.25, 1.0  # times as many likely particles that must stand out, and more on each: less may be chance


def settle_noise(run: Run, micrographs: Sequence[MicrographFile], labels: Picks, start: Start | None) -> Run:
    """Return the run that whitens micrographs, where their noise is not white and the network finds more so.

    The power of the noise, between what is likely a particle, is the median of a few micrographs. Crowds of particles
    that are not found are noise to it, and whitening takes from their contrast: so both views are compared by how many
    likely particles stand out from decoys.

    Parameters
    ----------
    run : Run
        With a loader for micrographs on which particles are dark.
    micrographs : sequence of MicrographFile
        Those with labels, if there are any.
    labels : Picks
    start : (Classifier, dict), optional
        The network that the run starts from. Without one nothing tells particles from noise, and nothing is whitened.
    """
    settings = run.settings
    if start is None:
        return run
    whitened = run
    if run.load.normalization == FLAT and settings.whiten is not False:
        whitened = _whitened(run, draw_few(micrographs, labels, np.random.default_rng([settings.seed, DRAWN])), start)
    if whitening_of(start[1]) and not whitened.load.whitening:
        run.reporter.warn("the network that the run starts from has seen micrographs whitened; these are not")
    return whitened


def _whitened(run: Run, micrographs: Sequence[MicrographFile], start: Start) -> Run:
    """Return the run that whitens micrographs where these show that it should."""
    images = _read(run, micrographs)
    if not images:
        if run.settings.whiten:
            run.reporter.warn("--whiten: no micrograph that was looked at can be read and is large enough; none is")
        return run
    scorer, likely = run.machine.scorer(start[0]), Calibration.of_model(start[1])
    plain = view = _View.of(run, scorer, images)
    for _ in range(_ROUNDS):
        whitening = tuple(whitening_factors(view.noise(likely)).round(4).tolist())
        if all(factor == 1 for factor in whitening):
            return run
        view = _View.of(run, scorer, images, whitening)
    if run.settings.whiten is None:
        before, after = plain.standing_out(likely), view.standing_out(likely)
        if after <= max(_MORE * before, before + _SOME):
            return run
        why = (
            f", and {after:.1f} likely particles stand out in the middle of one if it is made so, {before:.1f} as it is"
        )
    else:
        why = ""
    run.reporter.note(f"noise is not white{why}: micrographs are whitened for the network (or else give --no-whiten)")
    return replace(run, load=replace(run.load, whitening=view.whitening))


def _read(run: Run, micrographs: Sequence[MicrographFile]) -> list[NDArray[np.float32]]:
    """Return the middles of micrographs, downsampled, of those that can be read; others are named where it matters."""
    images, load = [], replace(run.load, normalization="gmm", examine=False)  # the background goes later
    for micrograph in run.reporter.track(micrographs, len(micrographs), "looking whether noise is white"):
        with contextlib.suppress(MicrographError):
            pixels = load(micrograph)[0].pixels
            rows, columns = (slice(max(n - _SIDE, 0) // 2, max(n - _SIDE, 0) // 2 + _SIDE) for n in pixels.shape)
            middle = pixels[rows, columns].copy()  # the rest need not stay in memory
            if min(middle.shape) >= WINDOW:
                flatten(middle)  # which nothing can be done with is not looked at
                images.append(middle)
    return images


@dataclass(frozen=True, eq=False)
class _View:
    """What a network sees, and finds, on some images that have been whitened."""

    run: Run
    scorer: Scorer
    whitening: tuple[float, ...]
    images: list[NDArray[np.float32]]
    found: list[Found]

    @classmethod
    def of(
        cls, run: Run, scorer: Scorer, images: Sequence[NDArray[np.float32]], whitening: tuple[float, ...] = ()
    ) -> _View:
        seen = [flatten(image, whitening) for image in images]
        return cls(run, scorer, whitening, seen, [run.geometry.detector(scorer, image) for image in seen])

    def noise(self, likely: Calibration) -> NDArray[np.float64]:
        """Return the power of the noise before it was whitened, at k / `WINDOW` cycles per pixel, k = 1, 2, ..."""
        frequency = np.fft.fftfreq(WINDOW, 1 / WINDOW)
        ring = np.rint(np.hypot(frequency[:, None], frequency)).astype(int).ravel()
        span, powers = self.run.geometry.span, []
        for image, (xy, scores) in zip(self.images, self.found, strict=True):
            mask = between(disturbed(image, span), xy[likely(scores) > _LIKELY], AROUND * span)
            powers.append(np.bincount(ring, background_power(image, mask)[0].ravel()) / np.bincount(ring))
        power: NDArray[np.float64] = np.median(powers, axis=0)[1 : WINDOW // 2 + 1]
        return power / np.square(self.whitening) if self.whitening else power

    def standing_out(self, likely: Calibration) -> float:
        """Return how many likely particles stand out from decoys, on an image.

        Less likely detections, between particles of a crowd, may stand out as well.
        """
        run, none = self.run, [None] * len(self.images)
        detector, span, seed = run.geometry.detector, run.geometry.span, run.settings.seed
        evidence = gather(self.scorer, self.images, detector, span, seed, self.found, none, each=1)
        scores, decoys = (s[likely(s) > _LIKELY] for s in (evidence.scores, evidence.decoys))
        return standing_out(replace(evidence, scores=scores, decoys=decoys, which=None))
