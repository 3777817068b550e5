"""Denoise micrographs."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take whatever the command is given."""
    parser.parse_intermixed_args = lambda words: parser.parse_known_args(words)[0]  # type: ignore[method-assign,assignment]


def run(_options: argparse.Namespace) -> int:
    """Say that it is not there."""
    from heliodor.errors import SettingsError

    raise SettingsError("denoising is not provided yet")
