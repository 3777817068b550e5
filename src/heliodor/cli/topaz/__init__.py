"""The command line of Topaz, as programs call it: names, flags and files that differ from heliodor's own.

The interface is that of Topaz 0.2.5, the version most programs are written for; flags of 0.3 are accepted.
docs/topaz.md lists every flag, and where heliodor does otherwise on purpose.
"""

from __future__ import annotations

import difflib
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = "0.2.5"  # of the interface
VERSION_VARIABLE = "HELIODOR_TOPAZ_VERSION"
CHOICE_VARIABLE = "HELIODOR_TOPAZ"

GROUPS: dict[str, dict[str, str]] = {
    "Particle picking": {
        "train": "train a network from labelled particles",
        "segment": "write score maps",
        "extract": "find particles by score and non-maximum suppression",
        "precision_recall_curve": "compare predicted particles with labels",
    },
    "Image processing": {
        "downsample": "downsample a micrograph by Fourier cropping",
        "normalize": "normalize micrographs (the same as preprocess)",
        "preprocess": "downsample and normalize micrographs",
        "denoise": "denoise micrographs",
        "denoise3d": "not provided",
    },
    "Pages in a browser": {
        "gui": "says how to open the page to label particles on",
    },
    "File utilities": {
        "convert": "convert, scale, threshold and join coordinate files",
        "split": "write one coordinate file per micrograph",
        "particle_stack": "cut particles out of micrographs into a stack",
        "train_test_split": "set labelled micrographs aside for a test",
    },
    "Deprecated": {
        "scale_coordinates": "see convert",
        "boxes_to_coordinates": "see convert",
        "star_to_coordinates": "see convert",
        "coordinates_to_star": "see convert",
        "coordinates_to_boxes": "see convert",
        "coordinates_to_eman2_json": "see convert",
        "star_particles_threshold": "see convert",
    },
}
MODULES = {"normalize": "preprocess", "denoise3d": "unavailable", "gui": "unavailable"}
"""Commands whose module has another name; deprecated ones are in `deprecated`."""


def version() -> str:
    """Return what `--version` prints: plain SemVer, or the value of HELIODOR_TOPAZ_VERSION, such as 'TOPAZ 0.2.5'."""
    return os.environ.get(VERSION_VARIABLE) or VERSION


def conflict() -> str | None:
    """Return what is wrong where topaz-em and heliodor-topaz are both installed, and no choice is made; or None."""
    from importlib import metadata

    if os.environ.get(CHOICE_VARIABLE) == "heliodor":
        return None
    try:
        other = metadata.version("topaz-em")
        metadata.version("heliodor-topaz")
    except metadata.PackageNotFoundError:
        return None
    return (
        f"topaz-em {other} and heliodor-topaz are in one environment, and both own the command and the package "
        f"'topaz'; set {CHOICE_VARIABLE}=heliodor to use heliodor's, or uninstall one (then install the other again)"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 done in part, 2 not done, 130 interrupted.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name. Default: those of the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    problem = conflict()
    if problem:
        sys.stderr.write(f"topaz: error: {problem}\n")
        return 2
    if not words or words[0] in ("-h", "--help"):
        sys.stdout.write(_overview() + "\n")
        return 0
    if words[0] in ("--version", "-v"):
        sys.stdout.write(version() + "\n")
        return 0
    known = {name for commands in GROUPS.values() for name in commands}
    if words[0] not in known:
        near = difflib.get_close_matches(words[0], sorted(known), n=1)
        hint = f"did you mean '{near[0]}'?" if near else "topaz --help lists the commands"
        sys.stderr.write(f"topaz: error: there is no command '{words[0]}'; {hint}\n")
        return 2
    return run(words[0], words[1:])


def run(command: str, words: Sequence[str]) -> int:
    """Run a command that is there."""
    from heliodor.cli import run_command

    module = "deprecated" if command in GROUPS["Deprecated"] else MODULES.get(command, command)
    return run_command(f"heliodor.cli.topaz.{module}", f"topaz {command}", words)


def _overview() -> str:
    lines = ["usage: topaz COMMAND [options]", "", "The commands of Topaz, by heliodor.", ""]
    for title, commands in GROUPS.items():
        lines.append(f"{title}:")
        lines += [f"  {name:<25} {text}" for name, text in commands.items()]
        lines.append("")
    lines += ["  topaz COMMAND --help      every option of a command", "  topaz --version"]
    return "\n".join(lines)
