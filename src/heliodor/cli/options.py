"""What several commands do with their options."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

    from heliodor.junk.inspect import Inspector
    from heliodor.networks.scorers import Scorer


def add_scoring_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where and how a network scores."""
    parser.add_argument(
        "-d",
        "--device",
        default="auto",
        help="auto, cpu, cuda, or numbers of GPUs with commas between them; negative: cpu; "
        "auto and cuda spread micrographs over every GPU that is visible",
    )
    parser.add_argument("-j", "--num-threads", type=int, default=0, help="processor threads; 0: those that are idle")
    add_exact_argument(parser)
    parser.add_argument(
        "--invert",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="particles are light in the micrographs (default: as in those that the model was made for)",
    )


def add_exact_argument(parser: argparse._ActionsContainer) -> None:
    """Declare that networks score the plain way."""
    parser.add_argument(
        "--exact",
        action="store_true",
        help="score with torch in float32, the plain way that the fast ones are tested by",
    )


TABLES = ("txt", "star", "csv")  # formats of picks that need nothing but centres and scores


def table_format(output: str) -> str | None:
    """Return the format of a file for picks, by its extension; None: it is that of no coordinate file.

    Raises
    ------
    SettingsError
        Such files hold more than there is to write.
    """
    from pathlib import Path

    from heliodor.errors import SettingsError
    from heliodor.formats import FORMATS

    ending = Path(output).suffix.lower()
    found = next((name for name, module in FORMATS.items() if ending in module.SUFFIXES), None)
    if found not in (None, *TABLES):
        known = ", ".join(f".{name}" for name in TABLES)
        raise SettingsError(f"{output}: picks are written to {known}; give one of these, and convert it")
    return found


def refuse_useless(options: argparse.Namespace, module: ModuleType, more: Mapping[str, object] | None = None) -> None:
    """Refuse options that would do nothing to files of the format `module`, and `more`: why, and whether it applies.

    Raises
    ------
    SettingsError
    """
    import inspect

    from heliodor.errors import SettingsError

    used = inspect.signature(module.write).parameters
    useless = {
        "--boxsize is for boxes; write box or cbox": options.boxsize and "box_size" not in used,
        "--integers is for txt, via and json; write one of them": options.integers and "integers" not in used,
        **(more or {}),
    }
    for why, applies in useless.items():
        if applies:
            raise SettingsError(f"{why}, or leave it out")


def add_junk_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the mask of junk, which is on where the model knows junk."""
    parser.add_argument(
        "--junk-mask",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="nothing on gold and lumps of ice (default: where the model says how dark particles are)",
    )


def inspector_of_options(options: argparse.Namespace, about: dict[str, Any]) -> Inspector | None:
    """Return what looks for junk; None where the options, or the model, do not ask for it."""
    from heliodor.junk.inspect import Inspector
    from heliodor.networks.pretrained import GENERAL

    wanted = about.get("junk_limits") is not None if options.junk_mask is None else options.junk_mask
    model = "the network that comes with heliodor" if options.model == str(GENERAL) else options.model
    return Inspector.of_model(about, model) if wanted else None


def scorers_of_options(options: argparse.Namespace) -> tuple[list[Scorer], dict[str, Any]]:
    """Read the model that the options name; return scorers and the facts about it."""
    from heliodor.networks.scorers import scorers_of_model

    threads = processor_threads(options.num_threads)
    return scorers_of_model(options.model, options.device, threads=threads, exact=options.exact)


def model_hash(model: str) -> str:
    """Return a name made of the content of a model's file; 'none' for none."""
    from heliodor.networks.published import model_digest

    return model if model == "none" else model_digest(model)


def processor_threads(wanted: int) -> int:
    """Return how many processor threads networks may use: `wanted`, or as many as processors are idle now if 0 or less.

    Threads that wait for one another cost far more than they bring where other programs keep the
    processors busy: on two cores, three such programs ran fifty times slower, not three times.
    """
    if wanted >= 1:
        return wanted
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, min(int(limit) if limit.isdigit() and int(limit) else free, free - int(busy)))


def set_threads(threads: int) -> None:
    """Have torch use this many processor threads; see `processor_threads`."""
    import torch

    torch.set_num_threads(processor_threads(threads))
