"""What a format's reader hands on."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from unlearn.vocabulary import Vocabulary


def is_count(field: str) -> bool:
    """Whether it is a whole number; none that counts nodes or edges has more digits than 64 bits hold."""
    return field.isdecimal() and len(field) <= 18


@dataclass(frozen=True)
class EdgeTable:
    """A frame with columns source, target and perhaps probability, indexed by line.

    `nodes` are all there are, where the format says so.
    """

    frame: pd.DataFrame
    nodes: Vocabulary | None = None
