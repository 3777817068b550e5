"""One look at a micrograph: its junk, and what is wrong with it as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heliodor.errors import SettingsError
from heliodor.junk.depth import standardize
from heliodor.junk.flags import area_flags
from heliodor.junk.mask import junk_mask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from heliodor.junk.mask import Limits
    from heliodor.micrographs import Micrograph


@dataclass(frozen=True)
class Inspector:
    """Looks at downsampled micrographs.

    Parameters
    ----------
    diameter : float
        Of the particle, in their pixels.
    limits : tuple of float, optional
        See `heliodor.junk.mask.learn_limits`. None: junk is not looked for.
    """

    diameter: float
    limits: Limits | None

    @classmethod
    def of_model(cls, about: dict[str, Any], model: str) -> Inspector:
        """Make the inspector that the facts in a model file ask for.

        Parameters
        ----------
        about : dict
            See `heliodor.networks.load_network`.
        model : str
            What the user called it, for the message.

        Raises
        ------
        SettingsError
            The model does not say how dark a particle can be.
        """
        limits, geometry = about.get("junk_limits"), about.get("geometry")
        if limits is None or geometry is None:
            raise SettingsError(
                f"{model}: does not say how dark particles are, which --junk-mask needs; take a model that "
                "`heliodor pick` trained with --junk-mask, or leave it out"
            )
        return cls(geometry["diameter"] / geometry["pixel_size"] / geometry["factor"], tuple(limits))

    def junk(self, micrograph: Micrograph) -> NDArray[np.bool_] | None:
        """Return where junk is, (ny, nx) bool; None where it is not looked for.

        It is looked for on what the network sees: without the background, or a particle where ice is thick would be as
        dark as a lump of ice where it is thin.
        """
        return None if self.limits is None else junk_mask(standardize(micrograph.seen, self.diameter), self.limits)

    def __call__(self, micrograph: Micrograph) -> tuple[NDArray[np.bool_] | None, tuple[str, ...]]:
        """Return where junk is, (ny, nx) bool or None, and the flags of the micrograph with those found here."""
        junk = self.junk(micrograph)
        return junk, (*micrograph.flags, *area_flags(standardize(micrograph.pixels, self.diameter), junk))
