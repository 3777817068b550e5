"""The main job: train on the labelled micrographs, then pick every micrograph."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import MicrographError, SettingsError
from heliodor.files import make_directory, write_text
from heliodor.formats import star, write_picks
from heliodor.junk.inspect import Inspector
from heliodor.micrographs import read_header
from heliodor.names import MicrographFile
from heliodor.networks.published import model_file
from heliodor.networks.scorers import Machine
from heliodor.picking import calibration, density
from heliodor.picking.conclude import cut_as_asked, start_digest
from heliodor.picking.cut import Cut, audited_cut, describe
from heliodor.picking.folder import MODEL, claim_folder, digest, given_back, load_own, remove_others, star_path
from heliodor.picking.general import check_nothing_trains, general
from heliodor.picking.geometry import Geometry, check_margin, derive_geometry
from heliodor.picking.kept import Kept
from heliodor.picking.learn import learn, trainable
from heliodor.picking.load import Loader, pixel_size_of
from heliodor.picking.prior import check_prior
from heliodor.picking.run import Run
from heliodor.picking.settings import CUTS, PickSettings
from heliodor.picking.start import settle_normalization, starting_point
from heliodor.picking.stream import stream_scores
from heliodor.picks import Picks
from heliodor.progress import SILENT, Reporter
from heliodor.record import RUN, read_record, stamp, surroundings, write_record
from heliodor.report.write import write_report
from heliodor.training.check import Marked, check_apart, named_in

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from heliodor.networks import Classifier, NetworkSettings
    from heliodor.picking.answers import Answers


_APART = "let one of them end, then start the other in a folder of its own"
_SAME = 0.2  # of the diameter: two labels nearer to each other are one particle, slender ones side by side included


@dataclass(frozen=True)
class PickResult:
    """What a run did.

    Attributes
    ----------
    picks : Picks
        Of all micrographs, in full-size pixels.
    failed : dict
        Micrograph path -> why it was skipped.
    geometry : Geometry
    threshold : float
    flags : dict
        Micrograph name -> what is wrong with it as a whole, a list of reasons; none of the good ones.
    seconds : dict
        Of training, picking, and in all.
    """

    picks: Picks
    failed: dict[str, str]
    geometry: Geometry
    threshold: float
    flags: dict[str, list[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def pick(
    micrographs: Sequence[MicrographFile],
    labels: Picks | None,
    settings: PickSettings,
    out: str | os.PathLike[str],
    *,
    negatives: Picks | None = None,
    answers: Answers | None = None,
    device: str = "auto",
    workers: int = 1,
    overwrite: bool = False,
    reporter: Reporter = SILENT,
) -> PickResult:
    """Train on the micrographs that have labels, pick every micrograph, and write the results to `out`.

    A second call with the same settings goes on where the first one stopped; with another threshold or precision, it
    takes others of the same candidates.

    Parameters
    ----------
    micrographs : sequence of MicrographFile
    labels : Picks, optional
        Centres in full-size pixels; names as in `heliodor.names.match_names`. None: the pretrained network picks.
    settings : PickSettings
    out : path
        Folder for picks.star, picks.txt, micrographs/ (a STAR file for each), candidates.star, candidates.txt,
        candidates/, model.safetensors, sample.npy, training.tsv, run.json, report.html.
    negatives : Picks, optional
        Centres that are no particles.
    answers : Answers, optional
        To "is this a particle?", about candidates that an earlier call left in `out`: the threshold follows from them,
        see `heliodor.picking.audit`, with the precision of the settings if they have one. A later call without them
        goes back to the run's own threshold.
    device : str
        See `heliodor.devices.devices_of`.
    workers : int
        Threads that read and preprocess micrographs ahead; the result does not depend on it.
    overwrite : bool
        Start afresh where `out` holds a run.
    reporter : Reporter

    Raises
    ------
    LabelError, MicrographError, SettingsError, OutputError
    """
    precision = settings.precision
    if answers is not None:
        settings = _audited(settings, Path(out), overwrite=overwrite)
    started = time.perf_counter()
    if labels is None:
        check_nothing_trains(settings)  # before an old run is removed
    settings, normalization, kind, start = _settle(settings, Path(out), reporter, labeled=labels is not None)
    marked, negative, geometry = _check(micrographs, labels, negatives, settings, kind, reporter)
    labels, negatives = marked.picks, negative.picks
    folder = make_directory(out)
    deciding = _deciding(settings, start, geometry, labels, negatives)
    claim_folder(folder, deciding, micrographs, named_in(micrographs, labels, negatives), overwrite=overwrite)
    stamps = {m.name: stamp(m.path) for m in micrographs}
    files = [{"path": str(m.path), "name": m.name, **stamps[m.name], "defocus": m.defocus} for m in micrographs]
    here = {"device": device, "workers": workers, "working_folder": str(Path.cwd())}
    record = {**surroundings(), **deciding, "settings": asdict(settings), **here, "micrographs": files}
    reporter.note(f"{len(micrographs)} micrographs, {marked}{f', {negative}' if len(negatives) else ''}")
    reporter.note(geometry.describe())

    load = Loader(geometry.pixel_size, geometry.factor, normalization, settings.pixel_size, examine=True)
    run = Run(folder, digest(deciding), settings, geometry, load, Machine(device, settings.exact), reporter)
    own = load_own(folder, run.digest, reporter if answers is None else SILENT)
    if own is None and answers is not None:
        raise SettingsError(f"{folder}: its network is of another version of heliodor; pick without --audit first")
    # A finished run stays as it is until a new cut, or answers, have been understood.
    finished = None if own is None else (own[0], cut_as_asked(run, *own))
    if answers is None:
        write_record(folder / RUN, record)
    if finished is None:
        prepare = learn if len(labels) else general
        with given_back(folder):
            network, about = prepare(run, micrographs, labels, negatives)
    else:
        reporter.note(f"the network is there already: {folder / MODEL}")
        network, about = finished
    trained = time.perf_counter()
    load = load.seen_by(about)
    # Candidates depend on the weights as well, which another processor may train otherwise, and on what they see.
    seen = {
        "whitening": load.whitening or None,
        "inverted": load.inverted or None,
        "junk_limits": about.get("junk_limits"),
    }
    run = replace(run, load=load, digest=digest({**deciding, **seen}, network))
    failed = _score_all(run, network, Inspector(geometry.span, about.get("junk_limits")), micrographs, stamps, workers)
    picked = [m for m in micrographs if str(m.path) not in failed]
    cut, audited = Cut.of_model(about, given=settings.threshold is not None), None
    if answers is not None:
        cut, audited = audited_cut(cut, _candidates(folder, picked), answers, precision)
        reporter.note(describe(audited))
    picks = _collect(run, picked, cut)
    remove_others(folder, [m.name for m in picked])
    flags = _read_flags(folder, picked, picks)
    ended = time.perf_counter()
    seconds = {"training": trained - started, "picking": ended - trained, "total": ended - started}
    result = {
        "estimates": {**about["estimates"], "threshold": cut.threshold},
        "audit": audited,
        "picks": len(picks),
        "failed": failed,
        "flags": flags,
        "inverted": load.inverted,
        "whitening": load.whitening,
        "junk_limits": about.get("junk_limits"),
        "seconds": seconds,
        **{key: about[key] for key in (calibration.KEY, density.KEY) if key in about},
        "evidence": about["evidence"],
    }
    if answers is None:
        _check_own(folder, settings)
    write_record(folder / RUN, {**record, "result": result})
    write_report(folder, answers=answers, reporter=reporter)
    return PickResult(picks, failed, geometry, cut.threshold, flags, seconds)


def _settle(
    settings: PickSettings, folder: Path, reporter: Reporter, *, labeled: bool
) -> tuple[PickSettings, str, NetworkSettings, str | None]:
    """Return the settings with what follows from the network that the run starts from, and normalization among it.

    Then the kind of the network, and a digest of it; None: it is not one that a user gives.

    Raises
    ------
    SettingsError
        Some cannot be.
    """
    if settings.start is not None and model_file(settings.start).resolve() == (folder / MODEL).resolve():
        raise SettingsError(
            f"{settings.start}: --start names the network of this very run; choose another folder with -o"
        )
    kind, start = starting_point(settings)
    trainable(settings, kind)  # before anything is written
    normalization = settle_normalization(settings, start, labeled, reporter)
    known = None if settings.start is None or start is None else start_digest(*start)
    return (
        replace(settings, model=kind.model, units=kind.units, normalization=normalization),
        normalization,
        kind,
        known,
    )


def _check(
    micrographs: Sequence[MicrographFile],
    labels: Picks | None,
    negatives: Picks | None,
    settings: PickSettings,
    kind: NetworkSettings,
    reporter: Reporter,
) -> tuple[Marked, Marked, Geometry]:
    """Check that labels and settings fit the micrographs; return labels and negatives, each once, and the geometry.

    Raises
    ------
    LabelError, MicrographError, SettingsError
    """
    marked, negative = Marked.of(labels, micrographs), Marked.of(negatives, micrographs, "negatives")
    first, pixel_size = pixel_size_of(marked.micrographs or micrographs, settings.pixel_size)
    shapes = {m.name: read_header(m.path)[0] for m in marked.micrographs or [first]}
    marked.check(shapes, reporter)
    negative.check({m.name: read_header(m.path)[0] for m in negative.micrographs}, reporter)
    check_apart(marked.picks, negative.picks)
    geometry = _geometry(settings, kind, pixel_size)
    check_margin(settings.margin, geometry, shapes.values())
    marked, negative = (one.once(_SAME * settings.diameter / pixel_size, reporter) for one in (marked, negative))
    pixels = sum(map(math.prod, shapes.values())) / geometry.factor**2
    check_prior(settings, geometry, len(marked.picks), len(shapes), round(pixels))
    return marked, negative, geometry


def _audited(settings: PickSettings, folder: Path, *, overwrite: bool) -> PickSettings:
    """Return the settings of the run that is audited, which may have had a threshold or a precision of its own."""
    if overwrite:
        raise SettingsError("--audit is about the picks that are there, and --overwrite removes them; give one of them")
    if settings.threshold is not None:
        raise SettingsError("--audit and --threshold both say where to cut; give one of them")
    old = read_record(folder / RUN)
    if "result" not in old:
        raise SettingsError(f"{folder}: holds no finished run that could have been audited; pick without --audit first")
    kept = {name: old["settings"].get(name) for name in ("threshold", "precision", "normalization")}
    return replace(settings, **kept)


def _geometry(settings: PickSettings, kind: NetworkSettings, pixel_size: float) -> Geometry:
    from heliodor.networks import Classifier

    return derive_geometry(
        settings.diameter,
        pixel_size,
        receptive_field=Classifier(replace(kind, units=1)).receptive_field,
        factor=settings.factor,
        label_radius=settings.label_radius,
        exclusion_radius=settings.exclusion_radius,
    )


def _deciding(
    settings: PickSettings, start: str | None, geometry: Geometry, labels: Picks, negatives: Picks
) -> dict[str, Any]:
    """Return what networks and candidates depend on."""

    def table(picks: Picks) -> list[list[Any]]:
        return [[name, *xy] for name, xy in zip(picks.names, picks.xy.round(3).tolist(), strict=True)]

    lists = {"labels": table(labels), "negatives": table(negatives)}
    chosen = {name: value for name, value in asdict(settings).items() if name not in CUTS}
    decided: dict[str, Any] = {"settings": chosen, "derived": asdict(geometry), "lists": lists}
    return decided if start is None else {**decided, "start": start}


def _score_all(
    run: Run,
    network: Classifier,
    inspect: Inspector,
    micrographs: Sequence[MicrographFile],
    stamps: Mapping[str, Mapping[str, int | None]],
    workers: int,
) -> dict[str, str]:
    """Find the candidates of micrographs that have none yet; return the micrographs that could not be read, and why.

    What another run found, which was still going on when this one took the folder, is found again. `stamps` are what
    told each file from others before it was read, see `heliodor.record.stamp`.
    """
    folder, reporter, detector = run.folder, run.reporter, run.geometry.searching(run.settings.margin)
    done = {m.name for m in micrographs if star_path(folder, "candidates", m.name).is_file()}
    todo = [m for m in micrographs if m.name not in done or Kept.read(folder, m.name).run != run.digest]
    if len(todo) < len(micrographs):
        reporter.note(f"{len(micrographs) - len(todo)} micrographs are picked already")
    failed: dict[str, str] = {}
    scorers = run.machine.scorers(network) if todo else []  # compiling takes a while
    scored = stream_scores(todo, run.load, scorers, workers)
    for micrograph, result in reporter.track(scored, len(todo), "picking micrographs"):
        if not isinstance(result, MicrographError) and not np.isfinite(result.scores).all():
            result = MicrographError(f"{micrograph.path}: scores are no numbers; give --exact, or leave it out")
        if isinstance(result, MicrographError):
            failed[str(micrograph.path)] = str(result)
            reporter.warn(f"skipped: {result}")
            continue
        junk, flags = inspect(result.micrograph)
        found = Picks.on(micrograph.name, *detector.maxima(result.scores, junk)).scaled(result.scale)
        area, source = detector.free(result.scores.shape, junk), str(micrograph.path.resolve())
        star_path(folder, "candidates", micrograph.name).unlink(missing_ok=True)  # of another run
        Kept(area, flags, run.digest, source, **stamps[micrograph.name]).write(folder, micrograph.name)
        # Last, since they say that this micrograph is done.
        write_text(star_path(folder, "candidates", micrograph.name), star.to_text(found, with_names=False))
    if len(failed) == len(micrographs):
        raise MicrographError(f"no micrograph could be picked: {next(iter(failed.values()))}")
    return failed


def _read_flags(folder: Path, micrographs: Sequence[MicrographFile], picks: Picks) -> dict[str, list[str]]:
    """Return what is wrong with micrographs, that they are empty included."""
    picked = set(picks.micrographs())
    flags: dict[str, list[str]] = {}
    for micrograph in micrographs:
        reasons = list(Kept.read(folder, micrograph.name).flags)
        if micrograph.name not in picked:
            reasons.append("empty: no picks")
        if reasons:
            flags[micrograph.name] = reasons
    return flags


def _check_own(folder: Path, settings: PickSettings) -> None:
    """Refuse to end a run where another call has asked for another cut meanwhile."""
    now = read_record(folder / RUN).get("settings", {})
    if any(now.get(name) != getattr(settings, name) for name in CUTS):
        raise SettingsError(f"{folder}: another run writes to this folder, too, and cuts elsewhere; {_APART}")


def _candidates(folder: Path, micrographs: Sequence[MicrographFile]) -> Picks:
    """Read the candidates of all micrographs."""
    tables = ((m.name, star.read(star_path(folder, "candidates", m.name))) for m in micrographs)
    return Picks.join([Picks.on(name, found.xy, found.scores) for name, found in tables])


def _collect(run: Run, micrographs: Sequence[MicrographFile], cut: Cut) -> Picks:
    """Write candidates with their probabilities and, of those, the picks; return the picks.

    The tables in .txt have short names, those in .star paths.

    Raises
    ------
    SettingsError
        Candidates are of another run.
    """
    folder = run.folder
    parts, picks = [], []
    for micrograph in micrographs:
        found = star.read(star_path(folder, "candidates", micrograph.name))
        kept = Kept.read(folder, micrograph.name)
        if kept.run != run.digest:
            raise SettingsError(
                f"{folder}: another run writes to this folder, too ({micrograph.name} is not of this one); {_APART}"
            )
        candidates = cut.rate(Picks.on(micrograph.name, found.xy, found.scores), kept.area)
        parts.append(candidates)
        picks.append(candidates.select(cut.keeps(candidates)))
        plain = picks[-1].without_probabilities()  # as RELION writes them
        write_text(star_path(folder, "micrographs", micrograph.name), star.to_text(plain, with_names=False))
    paths = {m.name: str(m.path) for m in micrographs}
    tables = {"candidates": Picks.join(parts), "picks": Picks.join(picks)}
    for kind, table in tables.items():
        write_picks(folder / f"{kind}.txt", table)
        write_picks(folder / f"{kind}.star", table.renamed(paths))
    return tables["picks"]
