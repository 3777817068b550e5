"""Reading a micrograph for a network: at the scale, and normalized in the way, that the network was trained with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from heliodor.errors import MicrographError, SettingsError
from heliodor.junk.ice import crystalline_ice
from heliodor.micrographs import FLAT, Micrograph, read_header, read_micrograph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from heliodor.names import MicrographFile

TOLERANCE = 0.03  # of the pixel size: below, a network does not notice


def normalization_of(about: dict[str, Any]) -> str:
    """Return how the micrographs were normalized that a network has seen, from the facts in its file.

    Networks of Topaz and of `heliodor train` do not say; their micrographs are preprocessed, by 'gmm' as a rule.
    """
    return str(about.get("normalization", "gmm"))


def inverted_of(about: dict[str, Any]) -> bool:
    """Return whether the particles are light in the micrographs that a network is for, from the facts in its file."""
    return bool(about.get("inverted", False))


def whitening_of(about: dict[str, Any]) -> tuple[float, ...]:
    """Return by what micrographs were whitened, see `Loader`, from the facts in a network's file."""
    return tuple(about.get("whitening", ()))


def first_of_size(files: Sequence[MicrographFile], pixel_size: float | None) -> tuple[MicrographFile, float | None]:
    """Return the first micrograph that has a header with a pixel size, and that; what is wrong with others shows later.

    Parameters
    ----------
    files : sequence of MicrographFile
    pixel_size : float, optional
        Angstrom, in the place of what headers say.

    Returns
    -------
    file : MicrographFile
        Where none has a pixel size: the first that can be read.
    pixel_size : float or None

    Raises
    ------
    MicrographError
        None can be read.
    """
    readable, wrong = None, None
    for file in files:
        try:
            own = read_header(file.path)[1]
        except MicrographError as error:
            wrong = wrong or error
            continue
        size = own if pixel_size is None else pixel_size
        if size is not None:
            return file, size
        readable = readable or file
    if readable is None:
        raise wrong or MicrographError("there is no micrograph")
    return readable, None


def pixel_size_of(files: Sequence[MicrographFile], given: float | None) -> tuple[MicrographFile, float]:
    """Return what `first_of_size` does, where a size is needed.

    Raises
    ------
    MicrographError
        None can be read, or no header has a pixel size and none is given.
    """
    first, size = first_of_size(files, given)
    if size is None:
        raise MicrographError(f"{first.path}: no pixel size in its header; give --angpix, in angstrom")
    return first, size


@dataclass(frozen=True)
class Loader:
    """Reads micrographs for one network.

    Parameters
    ----------
    pixel_size : float or None
        Angstrom per pixel that files must have; None: whatever they have.
    factor : float
        Downsample by this, and normalize; 0: the files are preprocessed already.
    normalization : {'flat', 'gmm', 'affine'}
        'flat': networks, and the search for junk, see the micrograph without its background, preprocessed or not;
        people see it normalized by 'gmm'.
    header_pixel_size : float or None
        Stands in for the pixel size of the headers, where these have none or a wrong one.
    inverted : bool
        Turn light particles dark: networks know dark ones.
    examine : bool
        Look for crystalline ice, and note it in the flags of the micrograph.
    whitening : tuple of float
        What networks see is multiplied by these, by frequency, where normalization is 'flat': see
        `heliodor.picking.noise`.
    """

    pixel_size: float | None
    factor: float = 0.0
    normalization: str = "gmm"
    header_pixel_size: float | None = None
    inverted: bool = False
    examine: bool = False
    whitening: tuple[float, ...] = ()

    @classmethod
    def of_model(
        cls,
        about: dict[str, Any],
        *,
        raw: bool,
        any_pixel_size: bool = False,
        header_pixel_size: float | None = None,
        invert: bool | None = None,
    ) -> Loader:
        """Make the loader that the facts in a model file ask for.

        Parameters
        ----------
        about : dict
            See `heliodor.networks.load_network`.
        raw : bool
            The files are of full size, not preprocessed.
        any_pixel_size : bool
            Take files whose pixel size is not the model's.
        header_pixel_size : float, optional
            See above.
        invert : bool, optional
            Particles are light in the files. Default: what they were in those that the model has been made for.

        Raises
        ------
        SettingsError
            `raw`, but the model does not say how to preprocess.
        """
        geometry = about.get("geometry")
        if raw and geometry is None:
            raise SettingsError("--raw needs a model that `heliodor pick` trained, which says how to preprocess")
        normalization = normalization_of(about)
        if geometry is None:
            wanted, factor = about.get("pixel_size"), 0.0
        else:
            wanted, factor = geometry["pixel_size"], geometry["factor"]
            wanted, factor = (wanted, factor) if raw else (wanted * factor, 0.0)
        inverted = inverted_of(about) if invert is None else invert
        size, whitening = None if any_pixel_size else wanted, whitening_of(about)
        return cls(size, factor, normalization, header_pixel_size, inverted, whitening=whitening)

    def seen_by(self, about: dict[str, Any]) -> Loader:
        """Return the loader that inverts and whitens micrographs as those that a network is for, by its facts."""
        return replace(self, inverted=inverted_of(about), whitening=whitening_of(about))

    def __call__(self, file: MicrographFile) -> tuple[Micrograph, tuple[float, float]]:
        """Return the micrograph as the network wants it, and its scale (x, y) to the pixels of the file.

        Raises
        ------
        MicrographError
            It cannot be read, or its pixel size is not the one wanted.
        """
        return self.prepare(self.read(file))

    def read(self, file: MicrographFile) -> Micrograph:
        """Return the micrograph as it is in its file, but with dark particles; errors are those of a call."""
        full = read_micrograph(file.path, pixel_size=self.header_pixel_size, name=file.name)
        if self.pixel_size and full.pixel_size and abs(full.pixel_size / self.pixel_size - 1) > TOLERANCE:
            raise MicrographError(
                f"{file.path}: {full.pixel_size:.4g} A per pixel, the network wants {self.pixel_size:.4g}; preprocess "
                "it to that, pick it in a run of its own, or mend its header"
            )
        if self.inverted:
            np.negative(full.pixels, out=full.pixels)
        return full

    def prepare(self, full: Micrograph) -> tuple[Micrograph, tuple[float, float]]:
        """Return a micrograph that has been read as the network wants it, and its scale (x, y).

        Raises
        ------
        MicrographError
            It is too small, or cannot be normalized.
        """
        if not self.factor:
            return self._flattened(full), (1.0, 1.0)
        from heliodor.preprocess import preprocess  # scipy takes a while to import

        normalization = "gmm" if self.normalization == FLAT else self.normalization
        small = self._flattened(preprocess(full, factor=self.factor, normalization=normalization)[0])
        if self.examine and full.pixel_size:
            reason = crystalline_ice(full.pixels, full.pixel_size)
            small = replace(small, flags=(reason,) if reason else ())
        (rows, columns), (m, n) = full.pixels.shape, small.pixels.shape
        return small, (columns / n, rows / m)

    def _flattened(self, micrograph: Micrograph) -> Micrograph:
        if self.normalization != FLAT:
            return micrograph
        from heliodor.preprocess.flatten import flatten

        try:
            return replace(micrograph, flat=flatten(micrograph.pixels, self.whitening))
        except MicrographError as error:
            raise MicrographError(f"{micrograph.name}: {error}") from error
