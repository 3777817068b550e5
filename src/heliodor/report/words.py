"""How the report writes numbers."""

from __future__ import annotations


def number(value: float, decimals: int | None = None) -> str:
    """Return a number as people write it, with four digits or some decimals at most: 12,000 and 0.25, a true minus.

    >>> number(12000.0), number(-0.251, 1)
    ('12,000', '\N{MINUS SIGN}0.3')
    """
    rounded = value if decimals is None else round(float(value), decimals)
    text = f"{rounded:,.0f}" if abs(rounded) >= 1000 else f"{rounded:.4g}"
    return text.replace("-", "\N{MINUS SIGN}")


def several(count: int, what: str) -> str:
    """Return a number of things.

    >>> several(1, "pick"), several(1200, "micrograph")
    ('1 pick', '1,200 micrographs')
    """
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
