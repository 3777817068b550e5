"""What a simulated micrograph for pretraining looks like: wide ranges, so that real data lie inside them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from heliodor.picking.geometry import SPAN
from heliodor.simulation.micrograph import signal_variance
from heliodor.simulation.scene import plan
from heliodor.simulation.settings import JunkSettings, SimulationSettings

if TYPE_CHECKING:
    from heliodor.simulation.projection import Projector

SIDE = 400  # pixels of the micrographs: 20 x 20 particles would fit
PACKED = SIDE**2 / SPAN**2 * 2 / np.sqrt(3)  # hexagonally
SNR = (0.015, 1.0)  # as of `heliodor simulate --snr`; T20S at AP 0.8 has 0.05 to 0.1, crowded apoferritin 0.3 to 0.7
DOSE = (0.3, 150.0)  # electrons per square angstrom


def draw(projector: Projector, seed: int) -> SimulationSettings:
    """Draw the conditions of one micrograph.

    Particles are about `SPAN` pixels wide, as `heliodor pick` makes them: 10 % off, as people's diameters are.
    """
    rng = np.random.default_rng([seed, 7])
    share = 0.0 if rng.random() < 0.06 else np.exp(rng.uniform(np.log(0.01), np.log(0.75)))
    many = round(share * PACKED)
    defocus = float(rng.uniform(0.4, 3.0))
    phase = float(rng.uniform(60, 110)) if rng.random() < 0.07 else 0.0
    settings = SimulationSettings(
        shape=(SIDE, SIDE),
        pixel_size=projector.diameter / SPAN * float(np.exp(rng.normal(0, 0.1))),
        particles=(many, many),
        closeness=float(rng.uniform(0.8, 1.1)),
        preferred=float(rng.choice([0.0, rng.uniform(0.3, 0.95)], p=[0.7, 0.3])),
        preferred_view=(float(rng.uniform(0, 360)), float(rng.choice([0, 90, rng.uniform(0, 180)]))),
        voltage=float(rng.choice([200.0, 300.0], p=[0.3, 0.7])),
        defocus=(defocus, defocus),
        phase_shift=(phase, phase),
        b_factor=float(rng.uniform(40, 200)),
        ice_thickness=(150.0, 900.0),
        ice_gradient=float(rng.uniform(0, 0.8)),
        ice_contrast=float(rng.uniform(0.2, 1.0)),
        particle_contrast=float(rng.uniform(0.35, 0.9)),
        junk=_junk(rng),
        seed=seed,
    )
    # The noise is that of the electrons; their number follows from the signal to noise ratio wanted.
    scene = plan(settings, projector.diameter, 0)
    wanted = float(np.exp(rng.uniform(*np.log(SNR))))
    dose = wanted / (signal_variance(scene, projector, settings) * settings.pixel_size**2)
    dose = float(np.clip(dose, *DOSE))
    return replace(settings, dose=(dose, dose))


def _junk(rng: np.random.Generator) -> JunkSettings:
    if rng.random() < 0.4:
        return JunkSettings()
    gold, crystals, heaps, broken, lumps, hot = rng.exponential([2, 0.7, 1.5, 8, 6, 10]) * (rng.random(6) < 0.6)
    return JunkSettings(0.35, gold, crystals, heaps, broken, lumps, hot)
