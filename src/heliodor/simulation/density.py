"""Density maps as potentials: read, background and surroundings cleared, brought to volts."""

from __future__ import annotations

import gzip
import math
import os
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import ModelError
from heliodor.simulation.model import PROTEIN_VOLUME
from heliodor.simulation.volume import Volume, weighted_quantile

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONTRAST = 3.5  # V: mean potential of protein, 8.0 V, minus that of ice, 4.5 V
_RIGHT = 0.1  # degrees by which angles of 90 may differ
_SURROUNDINGS = 8.0  # A around the particle's envelope that are kept


def read_density(path: str | os.PathLike[str], *, voxel_size: float | None = None) -> tuple[NDArray[np.float32], float]:
    """Read an MRC map, gzip too.

    Parameters
    ----------
    path : path
    voxel_size : float, optional
        Angstrom, where the header has none or a wrong one.

    Returns
    -------
    values : (nz, ny, nx) array
        Axes z, y, x, whatever the order in the file.
    voxel_size : float

    Raises
    ------
    ModelError
        The file is missing, cannot be read, is not a volume with one voxel size, or is the same everywhere.
    """
    import mrcfile

    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: there is no such file; check the path")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with mrcfile.open(path, permissive=True) as mrc:
                if mrc.data is None:
                    raise ModelError(f"{path}: truncated or damaged; copy it again")
                raw = np.array(mrc.data)
                sizes = [float(mrc.voxel_size[axis]) for axis in "xyz"]
                angles = [float(mrc.header.cellb[key]) for key in ("alpha", "beta", "gamma")]
                axes = [int(mrc.header[key]) for key in ("mapc", "mapr", "maps")]
    except ModelError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ModelError(f"{path}: truncated or damaged; copy it again") from error
    except (ValueError, OSError) as error:
        cause = str(error).splitlines()[0]
        raise ModelError(f"{path}: not a readable MRC file ({cause}); copy it again, or give an MRC map") from error
    if raw.ndim != 3 or min(raw.shape) < 8 or raw.dtype.kind == "c":
        raise ModelError(f"{path}: of shape {raw.shape}, not a density map; give a real volume of three dimensions")
    if sorted(axes) == [1, 2, 3]:
        raw = raw.transpose([axes[::-1].index(axis) for axis in (3, 2, 1)])
    values = raw.astype(np.float32)
    if not np.isfinite(values).all() or values.min() == values.max():
        raise ModelError(f"{path}: voxels that are not finite, or all the same; give another map")
    return values, voxel_size or _one_size(path, sizes, angles)


def _one_size(path: Path, sizes: list[float], angles: list[float]) -> float:
    if not all(0 < size < math.inf for size in sizes):
        raise ModelError(f"{path}: its header has no voxel size; give it with --map-pixel-size")
    if max(sizes) > 1.01 * min(sizes):
        spelled = " x ".join(f"{size:g}" for size in sizes)
        raise ModelError(f"{path}: voxels of {spelled} A are not cubes; resample it, or give --map-pixel-size")
    if any(angles) and not all(abs(angle - 90) <= _RIGHT for angle in angles):  # all 0: the program left them out
        spelled = ", ".join(f"{angle:g}" for angle in angles)
        raise ModelError(
            f"{path}: its cell has angles of {spelled} degrees, not 90; resample it, or give --map-pixel-size if they "
            "are wrong"
        )
    return float(np.mean(sizes))


def density_potential(values: NDArray[np.float32], voxel_size: float, *, mass: float | None = None) -> Volume:
    """Turn a density in any unit into the potential of a particle in ice.

    The background (median of the outer faces) is subtracted. The envelope is where the density is above a
    threshold half-way between the mean above and the mean below it (Ridler and Calvard 1978), without small
    specks; what lies farther than 8 A from it is cleared, with a soft edge.

    Parameters
    ----------
    values : (nz, ny, nx) array
    voxel_size : float
        Angstrom.
    mass : float, optional
        Of the particle in kilodalton: the integral becomes 3.5 V times its volume. Default: the mean
        inside the envelope becomes 3.5 V.

    Raises
    ------
    ModelError
        Nothing stands out of the background, or what does is less dense than it.
    """
    from scipy.ndimage import distance_transform_edt

    # To values of about 1, so that no sum and no factor overflows; by a power of two, which rounds nothing.
    values = np.ldexp(values, -int(np.frexp(np.abs(values).max())[1]))
    density = values - np.median(_faces(values))
    envelope = _without_specks(density > _threshold(density))
    if not envelope.any():
        raise ModelError("the map holds nothing denser than its faces; give a map with light surroundings")
    if -density.min() > density.max() or _faces(envelope).mean() > 0.5:
        raise ModelError("the map is less dense in its middle than at its faces: inverted contrast; multiply it by -1")
    outside = distance_transform_edt(~envelope) * voxel_size
    density *= np.clip(1.5 - outside / _SURROUNDINGS, 0, 1) if outside.max() > 0 else 1
    total = float(density.sum(dtype=np.float64))
    inside = float(density[envelope].sum(dtype=np.float64))
    wanted = CONTRAST * (envelope.sum() if mass is None else PROTEIN_VOLUME * mass * 1e3 / voxel_size**3)
    density *= np.float32(wanted / (inside if mass is None else total))

    at = np.argwhere(density != 0)
    weight = np.maximum(density[tuple(at.T)].astype(np.float64), 0)
    centre = np.average(at, axis=0, weights=density[tuple(at.T)].astype(np.float64))[::-1].copy()
    distance = np.linalg.norm(at - centre[::-1], axis=1) * voxel_size
    diameter = 2 * weighted_quantile(distance, weight, 0.99) + voxel_size
    reach = float(distance.max()) + voxel_size
    return Volume(density, voxel_size, centre, diameter, reach, origin=centre * voxel_size)


def _faces(values: NDArray[Any]) -> NDArray[Any]:
    """Return the voxels of the six outer faces of a box, one after the other."""
    faces = [values[[0, -1]], values[:, [0, -1]], values[:, :, [0, -1]]]
    return np.concatenate([face.ravel() for face in faces])


def _without_specks(envelope: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave out pieces smaller than 2 % of the largest: noise of the surroundings."""
    from scipy.ndimage import label

    pieces, count = label(envelope)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    kept: NDArray[np.bool_] = (sizes > 0.02 * sizes.max())[pieces]
    return kept


def _threshold(density: NDArray[np.float32]) -> float:
    threshold = float(density.mean(dtype=np.float64))
    for _ in range(100):
        above = density > threshold
        if not above.any() or above.all():
            break
        new = float(density[above].mean(dtype=np.float64) + density[~above].mean(dtype=np.float64)) / 2
        if abs(new - threshold) <= 1e-6 * abs(new):
            break
        threshold = new
    return threshold
