"""Two distributions in one environment have a package `topaz`: say so, rather than half replace one."""

from __future__ import annotations


def check_alone() -> None:
    """Stop where topaz-em is installed too, unless HELIODOR_TOPAZ chooses heliodor.

    Raises
    ------
    ImportError
        Both are there: files of the two lie in one folder, and what an import finds is a matter of chance.
    """
    from heliodor.cli.topaz import conflict

    found = conflict()
    if found:
        raise ImportError(found)
