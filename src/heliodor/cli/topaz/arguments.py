"""What the arguments of Topaz's commands have in common."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from heliodor.cli.console import PlainReporter

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from heliodor.names import MicrographFile

_PREFERRED = (".mrc", ".mrcs", ".tiff", ".tif", ".png", ".jpg", ".jpeg")


def integer(text: str) -> int:
    """Return a whole number, also where it is written '3.0' (argparse's `type`)."""
    try:
        value = float(text)
        whole = int(value)
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from error
    if whole != value:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number")
    return whole


def add_machine(parser: argparse._ActionsContainer, *, device: int = 0, workers: bool = True) -> None:
    """Declare -d, -j and --num-workers."""
    parser.add_argument("-d", "--device", type=integer, default=device, help="GPU number; negative: the processor")
    parser.add_argument("-j", "--num-threads", type=integer, default=0, help="0: those that are idle; negative: all")
    if workers:
        parser.add_argument("--num-workers", type=integer, default=0, help="threads that read ahead; negative: all")


LOG = PlainReporter()
"""Not the reporter of a terminal: every line starts with '# ', whoever reads it."""


def device_name(number: int) -> str:
    """Name GPU `number`, or, with one loud line where it is not there, the processor."""
    from heliodor.devices import on_processors

    if number < 0:
        return "cpu"
    if not on_processors():  # torch is asked only where there may be one: RELION waits for it on every micrograph
        import torch

        if torch.cuda.is_available() and number < torch.cuda.device_count():
            return f"cuda:{number}"
    LOG.warn(
        f"GPU {number} was asked for and there is none that torch can use: RUNNING ON THE PROCESSOR, which is slower"
    )
    return "cpu"


def device_for(number: int) -> torch.device:
    """Return the device that `device_name` names."""
    import torch

    return torch.device(device_name(number))


def threads_of(number: int) -> int:
    """Return how many threads networks use; 0: those that are idle, negative: all."""
    from heliodor.cli.options import processor_threads

    return processor_threads(workers_of(number))


def use_threads(number: int) -> None:
    """Have torch use as many threads as `threads_of` says."""
    from heliodor.cli.options import set_threads

    set_threads(workers_of(number))


def workers_of(number: int) -> int:
    """Return how many threads read ahead; negative: one for each processor."""
    return number if number >= 0 else os.cpu_count() or 1


def images(paths: Sequence[str], extension: str = "") -> list[MicrographFile]:
    """Find micrographs; of one that is there in several formats, as `preprocess --format` writes them, take one.

    Parameters
    ----------
    paths : sequence of str
        Images, globs, folders, lists.
    extension : str
        In folders, only images that end in it.
    """
    from heliodor.find import find_micrographs
    from heliodor.names import stem, unique_names

    inputs = [str(Path(p) / f"*{extension}") if extension and Path(p).is_dir() else p for p in paths]
    found = find_micrographs(inputs)
    chosen: dict[str, MicrographFile] = {}
    for file in sorted(found, key=_rank):
        chosen.setdefault(stem(os.path.abspath(file.path)), file)
    if len(chosen) == len(found):
        return found
    from dataclasses import replace

    LOG.note(f"{len(found) - len(chosen)} images are there in another format too, which is used")
    kept = [file for file in found if file in chosen.values()]
    return [replace(f, name=n) for f, n in zip(kept, unique_names([f.path for f in kept]), strict=True)]


def _rank(file: MicrographFile) -> int:
    """Return how much later others are taken than the format of a file; what cannot be read is told when it is read."""
    kind = file.path.suffix.lower()
    return _PREFERRED.index(kind) if kind in _PREFERRED else len(_PREFERRED)


def paths_or_stdin(paths: Sequence[str]) -> list[str]:
    """Return the paths, or, where there is none, those that standard input lists."""
    if paths or sys.stdin is None or sys.stdin.isatty():
        return list(paths)
    return [line.strip() for line in sys.stdin if line.strip()]
