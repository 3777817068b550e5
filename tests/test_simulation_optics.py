"""Projection, contrast transfer, ice, detector, placement: each against its slow twin or its formula."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from heliodor.simulation.ctf import Optics, ctf, interaction, wavelength
from heliodor.simulation.detector import blur, noise_left
from heliodor.simulation.ice import ice_spectrum, radial, squared_frequencies, surface_spectrum, thickness_map
from heliodor.simulation.load import load_particle
from heliodor.simulation.placement import orientations, place
from heliodor.simulation.projection import Projector, rotations
from heliodor.simulation.volume import Volume
from simulation_helpers import write_model


@pytest.fixture(scope="module")
def volume() -> Volume:
    """Smooth noise in a ball of 7 voxels, its centre of mass not on a voxel."""
    z, y, x = np.indices((18, 18, 18)) - 9
    values = gaussian_filter(np.random.default_rng(0).random((18, 18, 18)) * (x**2 + y**2 + z**2 < 49), 0.8)
    return Volume(values.astype(np.float32), 3.0, np.array([9.3, 8.8, 9.1]), 45.0, 27.0)


def test_a_projection_along_z_is_the_sum_along_z(volume):
    centred = dataclasses.replace(volume, centre=np.array([9.0, 9, 9]))
    image = Projector(centred).project(np.zeros((1, 3)), 3.0, size=18)[0]
    # The projection holds the frequencies inside the circle only.
    s = np.fft.fftfreq(18)
    summed = np.fft.ifft2(np.fft.fft2(volume.values.sum(axis=0) * 3.0) * (np.hypot(s, s[:, None]) < 0.5)).real
    assert np.abs(image - summed).max() < 0.005 * summed.max()


def slow_projection(volume: Volume, angles, size: int, pixel_size: float) -> np.ndarray:
    """The sum over all voxels of what each contributes to each frequency, in float64."""
    zyx = np.indices(volume.values.shape).reshape(3, -1)
    xyz = (zyx[::-1].T - volume.centre) * volume.voxel_size
    place = xyz @ rotations(angles)[0]  # x, y, z in the frame of the image
    s = np.fft.fftfreq(size, pixel_size)
    limit = 0.5 / max(pixel_size, volume.voxel_size)
    along = np.exp(-2j * np.pi * np.outer(s, place[:, 0]))
    across = np.exp(-2j * np.pi * np.outer(s, place[:, 1])) * volume.values.ravel()
    spectrum = (across @ along.T) * (np.hypot(s, s[:, None]) < limit)
    shift = np.exp(-2j * np.pi * s * (size // 2) * pixel_size)
    return np.fft.ifft2(spectrum * shift * shift[:, None]).real * volume.voxel_size**3 / pixel_size**2


@pytest.mark.parametrize(("angles", "pixel_size"), [((30, 70, -120), 3.0), ((-100, 140, 10), 5.2), ((5, 90, 45), 2.1)])
def test_any_projection_equals_the_sum_over_voxels(volume, angles, pixel_size):
    angles, projector = np.array([angles], float), Projector(volume)
    size = projector.box(pixel_size)
    fast, slow = projector.project(angles, pixel_size)[0], slow_projection(volume, angles, size, pixel_size)
    assert np.abs(fast - slow).max() < 0.01 * slow.max()


def test_angles_are_those_of_relion():
    """Its Euler_angles2matrix, transposed: image to volume."""
    a, b, g = np.deg2rad([20, 50, -70])
    ca, sa, cb, sb, cg, sg = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(g), np.sin(g)
    relion = np.array(
        [
            [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
            [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
            [sb * ca, sb * sa, cb],
        ]
    )
    assert np.allclose(rotations(np.array([[20, 50, -70]]))[0], relion.T)


def test_shifts_move_the_particle(volume):
    projector, angles = Projector(volume), np.array([[10.0, 20, 30]])
    still = projector.project(angles, 4.0)
    moved = projector.project(angles, 4.0, shifts=np.array([[2.0, -1.0]]))
    assert np.allclose(moved, np.roll(still, (-1, 2), (1, 2)), atol=1e-3 * still.max())


def formula(optics: Optics, shape, pixel_size: float) -> np.ndarray:
    """Rohou and Grigorieff 2015, equations 2 to 4, point by point."""
    volts = optics.voltage * 1e3
    length = 12.2642598 / math.sqrt(volts * (1 + 0.978475598e-6 * volts))
    result = np.empty((shape[0], shape[1] // 2 + 1))
    for j, sy in enumerate(np.fft.fftfreq(shape[0], pixel_size)):
        for i, sx in enumerate(np.fft.rfftfreq(shape[1], pixel_size)):
            s, angle = math.hypot(sx, sy), math.atan2(sy, sx)
            u, v = optics.defocus_u, optics.defocus_v
            defocus = 0.5 * (u + v + (u - v) * math.cos(2 * (angle - math.radians(optics.defocus_angle))))
            chi = math.pi * length * s**2 * (defocus - 0.5 * length**2 * s**2 * optics.spherical_aberration * 1e7)
            w = optics.amplitude_contrast
            chi += math.atan(w / math.sqrt(1 - w**2)) + math.radians(optics.phase_shift)
            result[j, i] = math.sin(chi) * math.exp(-optics.b_factor * s**2 / 4)
    return result


@pytest.mark.parametrize("shape", [(48, 64), (33, 31)])
def test_ctf_is_that_of_the_formula(shape):
    for optics in (
        Optics(300, 15000, 14000, 25, 2.7, 0.07, 0, 80),
        Optics(200, 8000, 8000, 0, 0.01, 0.1, 90, 0),
        Optics(100, 22000, 20000, -60, 1.4, 0.2, 0, 150),
    ):
        assert np.abs(ctf(optics, shape, 1.3) - formula(optics, shape, 1.3)).max() < 2e-4


def test_constants_of_electrons():
    assert wavelength(300) == pytest.approx(0.019687, abs=1e-6)
    assert wavelength(200) == pytest.approx(0.025079, abs=1e-6)
    assert interaction(300) == pytest.approx(6.526e-4, rel=1e-3)  # rad / (V A), Kirkland
    assert interaction(100) == pytest.approx(9.244e-4, rel=1e-3)


def test_ice_has_the_thickness_asked_for_and_a_ring():
    thickness = thickness_map((80, 100), 400, (0.4, 0.0), 0.1)
    assert thickness.mean() == pytest.approx(400, rel=0.01)
    assert thickness[:, -1].mean() - thickness[:, 0].mean() == pytest.approx(160, rel=0.01)
    s = np.linspace(0, 0.45, 400, dtype=np.float32)
    still = ice_spectrum(s**2, 1e-3)
    assert 3.7 < 1 / s[100 + still[100:].argmax()] < 4.1  # A: the first ring of amorphous ice
    moved = ice_spectrum(s**2, 40)
    assert moved[0] == pytest.approx(still[0], rel=1e-3)
    assert moved[250] < 0.2 * still[250]
    assert (np.diff(surface_spectrum(s**2)) < 0).all()


def test_ice_around_a_micrograph_changes_nothing_on_it():
    shape, canvas, frame = (80, 100), (150, 210), 40
    wide = thickness_map(shape, 400, (1.5, -0.9), 0.3, canvas=canvas, frame=frame)
    assert wide.shape == canvas
    alone = thickness_map(shape, 400, (1.5, -0.9), 0.3)
    assert np.array_equal(wide[frame : frame + 80, frame : frame + 100], alone)
    assert wide.min() == alone.min() >= 40
    assert wide.max() == alone.max()


def test_spectra_from_a_table_equal_those_computed_everywhere():
    s2 = squared_frequencies((300, 400), 1.0)
    fast, slow = radial(lambda s2: ice_spectrum(s2, 40), s2), ice_spectrum(s2, 40)
    assert np.abs(fast - slow).max() < 1e-3 * slow.max()


def test_blur_keeps_the_sum_and_halves_the_finest():
    pixels = np.random.default_rng(0).normal(10, 1, (64, 64)).astype(np.float32)
    blurred = blur(pixels, 0.5)
    assert blurred.mean() == pytest.approx(pixels.mean(), rel=1e-5)
    assert np.fft.fft2(blurred)[0, 32].real == pytest.approx(np.fft.fft2(pixels)[0, 32].real / 2, rel=1e-3)


@pytest.mark.parametrize("mtf", [1.0, 0.7, 0.3])
def test_blur_leaves_the_noise_that_it_says(mtf):
    noise = np.random.default_rng(0).normal(0, 1, (512, 300)).astype(np.float32)
    assert blur(noise, mtf).var() == pytest.approx(noise_left(mtf), rel=0.02)
    assert noise_left(1.0) == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.floats(2, 40), st.integers(0, 10**6))
def test_places_keep_their_distance(count, distance, seed):
    taken = np.array([[50.0, 40.0, 30.0]])
    low, high = (-5.0, 0.0), (120.0, 90.0)
    xy = place(np.random.default_rng(seed), count, distance, low, high, taken=taken, allowed=lambda p: p[:, 0] < 100)
    assert len(xy) <= count
    assert ((xy >= low) & (xy <= (100, 90))).all()
    assert (np.hypot(*(xy - [50, 40]).T) >= 30).all()
    gaps = np.hypot(*(xy[:, None] - xy).T)[~np.eye(len(xy), dtype=bool)]
    assert (gaps >= distance).all()


def test_places_reach_the_packing_limit_and_stop():
    xy = place(np.random.default_rng(0), 10**6, 10, (0, 0), (200, 200))
    covered = len(xy) * np.pi * 25 / 210**2
    assert 0.48 < covered < 0.56  # random sequential addition jams at 0.547


def test_orientations_are_uniform_or_preferred():
    rng = np.random.default_rng(0)
    rot, tilt, psi = orientations(rng, 20000).T
    assert abs(np.cos(np.deg2rad(tilt)).mean()) < 0.02
    assert np.cos(np.deg2rad(tilt)).std() == pytest.approx(1 / math.sqrt(3), abs=0.01)
    assert all(abs(np.exp(1j * np.deg2rad(a)).mean()) < 0.03 for a in (rot, psi))
    chosen = orientations(rng, 20000, preferred=0.7, view=(40, 60), spread=5)
    directions = rotations(chosen)[:, :, 2]
    axis = rotations(np.array([[40, 60, 0]]))[0, :, 2]
    near = np.degrees(np.arccos(np.clip(directions @ axis, -1, 1))) < 15
    assert near.mean() == pytest.approx(0.7 + 0.3 * (1 - math.cos(math.radians(15))) / 2, abs=0.02)


def test_a_fine_and_a_coarse_projection_have_the_same_mass(tmp_path):
    path, angles = write_model(tmp_path / "x.pdb"), np.array([[10.0, 50, 70]])
    masses = [load_particle(path, px).project(angles, px).sum() * px**2 for px in (3.0, 7.0)]
    assert masses[0] == pytest.approx(masses[1], rel=0.01)
