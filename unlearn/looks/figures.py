"""How numbers are written."""

from __future__ import annotations

from math import floor, log10
from typing import Any

NONE = "–"


def short(value: Any) -> str:
    """Three digits after the point between .0005 and 10, else three significant ones; whole numbers in full."""
    if value is None:
        return NONE
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u2009").replace("-", "\u2212")
    if value == 0.0:
        return "0"
    size = abs(value)
    if size < 0.0005 or size >= 1e5:
        exponent = floor(log10(size))
        return f"{value / 10**exponent:.2f}e{exponent}".replace("-", "\u2212")
    digits = 3 if size < 10 else 1 if size < 1000 else 0
    return f"{value:.{digits}f}".replace("-", "\u2212")
