"""Score maps of many files, for the commands that need them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heliodor.cli.topaz.arguments import LOG, device_name, threads_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from heliodor.names import MicrographFile


def score_files(
    files: Sequence[MicrographFile], model: str, device: int, tile: int = 0, workers: int = 1, threads: int = 0
) -> Iterator[tuple[MicrographFile, NDArray[np.float32]]]:
    """Yield each micrograph that can be read with its score map, in order; the others are warned of.

    Parameters
    ----------
    files : sequence of MicrographFile
        Preprocessed micrographs.
    model : str
        Model file or name; 'none': the files are score maps.
    device : int
    tile : int
        Side of the pieces; 0: chosen.
    workers : int
        Threads that read ahead.
    threads : int
        Processor threads of the network; 0: those that are idle, negative: all.

    Raises
    ------
    MicrographError
        None can be read.
    WeightsError
        There is no such model.
    """
    from heliodor.networks.scorers import scorers_of_model
    from heliodor.picking.load import TOLERANCE, Loader
    from heliodor.picking.scoring import score_map
    from heliodor.stream import stream, usable

    scorer, about = None, dict[str, Any]()
    if model != "none":
        LOG.note(f"Loading model: {model}")
        name = device_name(device)
        (scorer,), about = scorers_of_model(model, name, threads=threads_of(threads), exact=name != "cpu")
    failed: dict[str, str] = {}
    warned = False
    wanted = about.get("pixel_size")
    read = stream(files, Loader.of_model(about, raw=False, any_pixel_size=True), workers)
    for file, (micrograph, _) in usable(read, len(files), "scoring", LOG, failed):
        size = micrograph.pixel_size
        if wanted and size and abs(size / wanted - 1) > TOLERANCE and not warned:
            LOG.warn(f"{file.path}: {size:.4g} A per pixel, the model was trained at {wanted:.4g}: picks will be poor")
            warned = True
        yield file, micrograph.pixels if scorer is None else score_map(scorer, micrograph.seen, tile=tile or None)
