"""Loading networks that denoise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heliodor.denoise import Denoiser


def load_model(name: str, *_: Any, **__: Any) -> Denoiser:
    """Load a denoiser, (B, 1, h, w) to (B, 1, h, w), by its name (unet, unet-small...) or from a file, for evaluation.

    Raises
    ------
    heliodor.errors.WeightsError
        There is no such model.
    """
    from heliodor.denoise import load_denoiser

    return load_denoiser(name).eval()
