"""Commands of Topaz that heliodor does not have, and what to use instead."""

from __future__ import annotations

import argparse

_ANSWERS = {
    "denoise3d": "denoising of tomograms is not provided; topaz-em has it, in an environment of its own",
    "gui": "the page to label particles on is that of another command: heliodor label MICROGRAPHS",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take whatever the command is given: the answer is the same."""
    parser.set_defaults(answer=_ANSWERS[parser.prog.split()[-1]])
    parser.parse_intermixed_args = lambda words: parser.parse_known_args(words)[0]  # type: ignore[method-assign,assignment]


def run(options: argparse.Namespace) -> int:
    """Say what to use instead."""
    from heliodor.errors import SettingsError

    raise SettingsError(options.answer)
