"""Scoring of micrograph files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from topaz.model.factory import Model


def score_images(
    model: Model | str | None, paths: Sequence[str], device: int = -1, batch_size: int = 1
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield each path with its score map (ny, nx): log-odds at every pixel.

    `model` is that of `load_model`, or what it takes; None or 'none': the files are score maps. `batch_size` changes
    nothing.

    Raises
    ------
    heliodor.errors.MicrographError
        A file cannot be read.
    """
    import heliodor
    from heliodor.cli.topaz.arguments import device_for
    from topaz.model.factory import load_model

    if model == "none":
        model = None
    if isinstance(model, str):
        model = load_model(model)
    network = None if model is None else model.network.to(device_for(device))
    for path in paths:
        pixels = heliodor.read_micrograph(path).pixels
        yield path, pixels if network is None else heliodor.score_map(network, pixels)
