"""Checks of settings that many rooms need, each with one sentence: what it is, what is allowed, what came."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliodor.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable


def check_choice(what: str, value: str, known: Iterable[str]) -> None:
    """Raise a `SettingsError` unless `value` is one of the `known` names.

    >>> check_choice("fruit", "stone", ["apple", "pear"])
    Traceback (most recent call last):
    heliodor.errors.SettingsError: there is no fruit 'stone'; choose from apple, pear
    """
    names = list(known)
    if value not in names:
        raise SettingsError(f"there is no {what} '{value}'; choose from {', '.join(names)}")


def check_least(least: float, **values: float) -> None:
    """Raise a `SettingsError` unless each value is `least` or more; a number that is none is not.

    >>> check_least(1, crop=0)
    Traceback (most recent call last):
    heliodor.errors.SettingsError: crop must be 1 or more. Got 0 instead.
    """
    for name, value in values.items():
        if not value >= least:
            raise SettingsError(f"{name} must be {least:g} or more. Got {value} instead.")


def check_share(**values: float) -> None:
    """Raise a `SettingsError` unless each value is in [0, 1)."""
    for name, value in values.items():
        if not 0 <= value < 1:
            raise SettingsError(f"{name} must be in [0, 1). Got {value} instead.")
