"""From a scene to pixels: potential, contrast transfer, ice, electrons counted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import scipy.fft

from heliodor.simulation.canvas import Canvas, corners_and_rests
from heliodor.simulation.ctf import Optics, ctf, interaction, wavelength
from heliodor.simulation.detector import add_noise, blur, count_electrons, damage_pixels, noise_left, weakening
from heliodor.simulation.ice import ice_spectrum, radial, squared_frequencies, surface_spectrum, thickness_map
from heliodor.simulation.junk_drawing import draw_junk, film_potential, film_spectrum, pixel_gains
from heliodor.simulation.placement import orientations
from heliodor.simulation.scene import Scene, streams

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from heliodor.simulation.projection import Projector
    from heliodor.simulation.settings import SimulationSettings

MEAN_FREE_PATH = 3500.0  # A of ice after which 1/e of the electrons are still elastic and inside the aperture
_DARKEST = 0.02  # of the incoming beam: what the weak-phase approximation leaves below is meaningless
_FINEST = 10.0  # A: detail whose delocalization the frame around the micrograph must hold
_REFERENCES = 24  # orientations that measure the strength of the signal


def render(
    scene: Scene, projector: Projector, settings: SimulationSettings, index: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Draw a scene.

    Parameters
    ----------
    scene : Scene
    projector : Projector
        Of the particle.
    settings : SimulationSettings
    index : int
        Of the micrograph: decides the noise.

    Returns
    -------
    pixels : (ny, nx) float32 array
        Electrons counted in each pixel; protein is dark.
    kinds : (ny, nx) uint8 array
        Junk on each pixel: index of `heliodor.simulation.junk.KINDS`.
    """
    rngs = streams(settings.seed, index)
    canvas = draw(scene, projector, settings)
    relative = intensity(canvas, scene, settings, rngs["ice"])
    rows, columns = settings.shape
    window = (slice(canvas.frame, canvas.frame + rows), slice(canvas.frame, canvas.frame + columns))
    relative, kinds = relative[window], canvas.kinds[window]
    electrons = scene.dose * settings.pixel_size**2
    if settings.snr is None:
        counts = count_electrons(relative, electrons, rngs["noise"])
    else:
        variance = signal_variance(scene, projector, settings) / settings.snr / noise_left(settings.detector_mtf)
        deviation = np.sqrt(variance)
        counts = add_noise(relative, electrons, deviation, rngs["noise"])
    if settings.detector_mtf < 1:
        counts = blur(counts, settings.detector_mtf)
    xy, gains = pixel_gains(scene.junk)
    damage_pixels(counts, xy, gains)
    return counts, np.ascontiguousarray(kinds)


def draw(scene: Scene, projector: Projector, settings: SimulationSettings) -> Canvas:
    """Draw particles and junk, before the microscope."""
    size = projector.box(settings.pixel_size)
    frame = _frame(scene, size, settings)
    shape = tuple(scipy.fft.next_fast_len(n + 2 * frame, real=True) for n in settings.shape)
    canvas = Canvas.blank((shape[0], shape[1]), settings.pixel_size, frame)
    xy = np.concatenate([scene.xy, scene.outside_xy])
    angles = np.concatenate([scene.angles, scene.outside_angles])
    corners, rests = corners_and_rests(xy, size)
    for start in range(0, len(xy), 64):
        part = slice(start, start + 64)
        stamps = projector.project(angles[part], settings.pixel_size, shifts=rests[part])
        canvas.add(canvas.potential, stamps * np.float32(settings.particle_contrast), corners[part])
    draw_junk(canvas, scene.junk, projector, settings.particle_contrast)
    return canvas


def _frame(scene: Scene, size: int, settings: SimulationSettings) -> int:
    """Pixels around the micrograph whose contents reach into it: half a particle, and the delocalization."""
    finest = max(_FINEST, 2 * settings.pixel_size)
    delocalized = wavelength(scene.optics.voltage) * scene.optics.defocus_u / finest
    return size // 2 + int(np.ceil(delocalized / settings.pixel_size))


def intensity(
    canvas: Canvas, scene: Scene, settings: SimulationSettings, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Intensity in the image plane relative to the incoming beam: T (1 - 2 ctf * phase), frame included.

    The weak-phase approximation, with phases that saturate (tanh) where gold or thick crystals are not weak;
    T is what ice and junk let through.
    """
    shape = canvas.potential.shape
    thickness = thickness_map(
        settings.shape, scene.thickness, scene.gradient, scene.bowl, canvas=(shape[0], shape[1]), frame=canvas.frame
    )
    strength = np.float32(interaction(scene.optics.voltage))
    transfer = ctf(scene.optics, (shape[0], shape[1]), canvas.pixel_size)
    spectrum = scipy.fft.rfft2(np.tanh(strength * canvas.potential))
    spectrum += strength * _texture(canvas, thickness, scene, settings, rng)
    spectrum *= transfer
    if scene.optics.phase_shift and canvas.film.any():
        spectrum += _film_beside_plate(canvas, scene.optics, transfer)
    image = scipy.fft.irfft2(spectrum, s=shape)
    image *= -2
    image += 1
    image *= np.exp(-thickness / np.float32(MEAN_FREE_PATH) - canvas.absorption)
    return np.maximum(image, np.float32(_DARKEST), out=image)


def _film_beside_plate(canvas: Canvas, optics: Optics, transfer: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Take the shift of a phase plate from the mean phase of carbon film.

    A plate shifts no frequency below its cut-on, and film goes on for micrometres: what it adds to the phase on the
    whole passes beside the plate. Only its texture is shifted.

    Parameters
    ----------
    canvas : Canvas
    optics : Optics
    transfer : (ny, nx // 2 + 1) array
        Their contrast transfer, plate included.

    Returns
    -------
    (ny, nx // 2 + 1) complex64 array
        To be added to the transform of the image.
    """
    shape = canvas.film.shape
    mean = np.tanh(np.float32(interaction(optics.voltage) * film_potential()) * canvas.film)
    plain = ctf(replace(optics, phase_shift=0.0), (shape[0], shape[1]), canvas.pixel_size)
    change: NDArray[np.complex64] = scipy.fft.rfft2(mean) * (plain - transfer)
    return change


def _texture(
    canvas: Canvas, thickness: NDArray[np.float32], scene: Scene, settings: SimulationSettings, rng: np.random.Generator
) -> NDArray[np.complex64]:
    """Transform of the projected potential that ice and carbon film have by chance, in volt angstrom."""
    shape = canvas.potential.shape
    s2 = squared_frequencies((shape[0], shape[1]), canvas.pixel_size)
    white = rng.standard_normal(shape, dtype=np.float32)
    white *= np.sqrt(thickness / np.float32(scene.thickness))
    scale = np.float32(settings.ice_contrast / canvas.pixel_size)
    texture: NDArray[np.complex64] = scipy.fft.rfft2(white)
    texture *= radial(lambda s2: scale * np.sqrt(_ice_power(s2, scene)), s2)
    if canvas.film.any():
        white = rng.standard_normal(shape, dtype=np.float32) * np.sqrt(canvas.film)
        texture += scipy.fft.rfft2(white) * radial(lambda s2: scale * np.sqrt(film_spectrum(s2)), s2)
    return texture


def _ice_power(s2: NDArray[np.float32], scene: Scene) -> NDArray[np.float32]:
    return np.float32(scene.thickness) * ice_spectrum(s2, scene.dose) + surface_spectrum(s2)


def signal_variance(scene: Scene, projector: Projector, settings: SimulationSettings) -> float:
    """Variance of a noise-free particle over the disc of its diameter, relative to the incoming beam.

    The mean of 24 random orientations, after contrast transfer and detector, with what the ice takes from the beam.
    """
    box = projector.box(settings.pixel_size)
    size = scipy.fft.next_fast_len(box + 2 * (_frame(scene, box, settings) - box // 2), real=True)
    size += size % 2
    angles = orientations(np.random.default_rng(0), _REFERENCES)
    phases = interaction(scene.optics.voltage) * settings.particle_contrast
    stamps = projector.project(angles, settings.pixel_size, size=size) * np.float32(phases)
    transfer = ctf(scene.optics, (size, size), settings.pixel_size) / weakening((size, size), settings.detector_mtf)
    images = scipy.fft.irfft2(scipy.fft.rfft2(np.tanh(stamps)) * transfer, s=(size, size))
    x = np.arange(size) - size // 2
    disc = np.hypot(x, x[:, None]) <= projector.diameter / 2 / settings.pixel_size
    passed = np.exp(-scene.thickness / MEAN_FREE_PATH)
    return float(np.var(2 * passed * images[:, disc], axis=1).mean())
