"""Denoising of tomograms, which is not provided."""

from __future__ import annotations

from typing import Any, NoReturn

_ANSWER = "denoising of tomograms is not provided by heliodor-topaz; topaz-em has it, in an environment of its own"


class Denoise3D:
    """Not provided: says so when it is made."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError(_ANSWER)


def denoise_tomogram_stream(*_: Any, **__: Any) -> NoReturn:
    """Say that it is not provided."""
    raise NotImplementedError(_ANSWER)
