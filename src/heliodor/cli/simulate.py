"""Simulate micrographs with known truth from an atomic model or a density map.

Two numbers after an option marked LOW [HIGH] are a range, from which each micrograph draws its own value.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
_MEANT = {"broken": "; cut by a plane near the middle: 0.3 to 0.65 of a ball are left, 0.1 to 0.8 of other shapes"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; their defaults are those of the settings."""
    from heliodor.simulation.settings import JUNK, SimulationSettings

    default = SimulationSettings()
    parser.add_argument(
        "model", help="atomic model (.pdb .pdb1 .ent .cif .mmcif) or density map (.mrc .map .ccp4), .gz too"
    )
    parser.add_argument("-o", "--output", required=True, help="folder for micrographs and their truth")
    parser.add_argument("-n", "--micrographs", type=int, default=10, metavar="N", help="how many")
    parser.add_argument(
        "--size", type=int, nargs="+", default=default.shape[::-1], metavar="PIXELS", help="columns, and rows if others"
    )
    parser.add_argument("--angpix", type=float, default=default.pixel_size, help="angstrom per pixel")
    parser.add_argument("--prefix", default=None, help="micrographs are PREFIX_0001.mrc... (default: the model's name)")
    parser.add_argument("--seed", type=int, default=default.seed, help="same seed, same micrographs")
    parser.add_argument("-t", "--num-workers", type=int, default=1, help="threads, -1: one per processor")
    parser.add_argument("--overwrite", action="store_true", help="start afresh in a folder with another run")

    source = parser.add_argument_group("the model")
    source.add_argument(
        "--assembly", default=None,
        help="biological assembly (default: the first), or 'none': the atoms as they stand, or 'models': those of all "
        "models of the file together",
    )  # fmt: skip
    source.add_argument("--mass", type=float, default=None, metavar="KDA", help="of a map's particle, for its contrast")
    source.add_argument(
        "--map-pixel-size", type=float, default=None, metavar="ANGSTROM", help="of a map, where its header is wrong"
    )

    particles = parser.add_argument_group("particles")
    _range(particles, "--particles", default.particles, "on a micrograph, 0 too", int)
    particles.add_argument(
        "--closeness", type=float, default=default.closeness, help="least distance of centres, in diameters"
    )
    particles.add_argument(
        "--margin", type=float, default=default.margin, metavar="ANGSTROM",
        help="distance of centres from the border; 0: the border cuts particles",
    )  # fmt: skip
    particles.add_argument(
        "--preferred", type=float, default=default.preferred, help="share of particles in the preferred view"
    )
    particles.add_argument(
        "--preferred-view", type=float, nargs=2, default=default.preferred_view, metavar=("ROT", "TILT"), help="degrees"
    )
    particles.add_argument(
        "--preferred-spread", type=float, default=default.preferred_spread, help="degrees around that view"
    )
    particles.add_argument(
        "--particle-contrast", type=float, default=default.particle_contrast, help="factor; 1: that of the potential"
    )

    microscope = parser.add_argument_group("microscope")
    microscope.add_argument("--voltage", type=float, default=default.voltage, help="kilovolt, 50 to 1500")
    _range(microscope, "--defocus", default.defocus, "underfocus in micrometres, at most 20")
    microscope.add_argument(
        "--astigmatism", type=float, default=default.astigmatism, help="largest difference of defocus, in angstrom"
    )
    microscope.add_argument("--cs", type=float, default=default.spherical_aberration, help="millimetres, at most 20")
    microscope.add_argument("--amplitude-contrast", type=float, default=default.amplitude_contrast, help="share")
    _range(microscope, "--phase-shift", default.phase_shift, "of a phase plate, in degrees")
    microscope.add_argument("--b-factor", type=float, default=default.b_factor, help="of the envelope, in A^2")
    _range(microscope, "--dose", default.dose, "electrons per A^2, counted with Poisson noise")
    microscope.add_argument(
        "--detector-mtf", type=float, default=default.detector_mtf, help="modulation at Nyquist; 1: no blur"
    )
    microscope.add_argument(
        "--snr",
        type=float,
        default=default.snr,
        help="Gaussian noise instead: variance of a particle over the noise's, both after the detector",
    )

    ice = parser.add_argument_group("ice")
    _range(ice, "--ice-thickness", default.ice_thickness, "angstrom")
    ice.add_argument(
        "--ice-gradient", type=float, default=default.ice_gradient, help="largest change across, as a share"
    )
    ice.add_argument(
        "--ice-contrast", type=float, default=default.ice_contrast, help="factor; 1: that of the potentials"
    )

    junk = parser.add_argument_group("junk: mean numbers on a micrograph; --carbon: share of micrographs with an edge")
    junk.add_argument("--junk", choices=tuple(JUNK), default="none", help="numbers for those not given below")
    for name in vars(JUNK["none"]):
        numbers = ", ".join(f"{getattr(settings, name):g}" for settings in JUNK.values())
        text = f"{'/'.join(JUNK)}: {numbers}{_MEANT.get(name, '')}"
        junk.add_argument(f"--{name.replace('_', '-')}", type=float, default=argparse.SUPPRESS, help=text)


def _range(
    group: argparse._ArgumentGroup, flag: str, default: tuple[float, float], text: str, kind: type = float
) -> None:
    group.add_argument(flag, type=kind, nargs="+", default=default, metavar=("LOW", "HIGH"), help=text)


def goes_on(_options: argparse.Namespace) -> bool:
    """Say whether what an interrupted call left is gone on with."""
    return True


def run(options: argparse.Namespace) -> int:
    """Simulate; return 0."""
    import dataclasses

    from heliodor.cli.console import console_reporter
    from heliodor.simulation.files import simulate_files
    from heliodor.simulation.settings import JUNK, JunkSettings, SimulationSettings

    given = {f.name: getattr(options, f.name) for f in dataclasses.fields(JunkSettings) if hasattr(options, f.name)}
    columns, rows = _pair("--size", options.size)
    settings = SimulationSettings(
        shape=(rows, columns),
        pixel_size=options.angpix,
        particles=_pair("--particles", options.particles),
        closeness=options.closeness,
        margin=options.margin,
        preferred=options.preferred,
        preferred_view=tuple(options.preferred_view),
        preferred_spread=options.preferred_spread,
        voltage=options.voltage,
        defocus=_pair("--defocus", options.defocus),
        astigmatism=options.astigmatism,
        spherical_aberration=options.cs,
        amplitude_contrast=options.amplitude_contrast,
        phase_shift=_pair("--phase-shift", options.phase_shift),
        b_factor=options.b_factor,
        ice_thickness=_pair("--ice-thickness", options.ice_thickness),
        ice_gradient=options.ice_gradient,
        ice_contrast=options.ice_contrast,
        particle_contrast=options.particle_contrast,
        dose=_pair("--dose", options.dose),
        detector_mtf=options.detector_mtf,
        snr=options.snr,
        junk=dataclasses.replace(JUNK[options.junk], **given),
        seed=options.seed,
    )
    scenes = simulate_files(
        options.model,
        options.output,
        settings,
        options.micrographs,
        assembly=options.assembly,
        mass=options.mass,
        map_pixel_size=options.map_pixel_size,
        prefix=options.prefix,
        workers=options.num_workers,
        overwrite=options.overwrite,
        reporter=console_reporter(),
    )
    particles = sum(len(scene.xy) for scene in scenes.values())
    sys.stderr.write(f"# {len(scenes)} micrographs with {particles} particles are in {options.output}\n")
    return 0


def _pair(flag: str, values: Sequence[T]) -> tuple[T, T]:
    from heliodor.errors import SettingsError

    if len(values) > 2:
        raise SettingsError(f"{flag} is one number, or two. Got {len(values)} instead.")
    return values[0], values[-1]
