"""Text with a pair of ids on each line and perhaps more, in whichever dialect."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from unlearn.invalid import Problems
from unlearn.tables.atomic import atomic, is_atomic
from unlearn.tables.text import NUMBER, delimited, fields, separator


def pairs(
    lines: pd.Series[str], names: Sequence[str], problems: Problems, *, header: bool | None = None
) -> pd.DataFrame:
    """Frame of text of a RecBole file, or of a delimited table.

    `header` says whether the first line names the columns; None reads it as names unless all of it is numbers. Columns
    without names get `names`, those beyond them their place.
    """
    first: str = lines.iloc[0]
    if is_atomic(first):
        return atomic(lines, problems)[0]
    found = fields(first)
    if header is None:
        header = not all(NUMBER.fullmatch(field) for field in found)
    named = [*names, *(f"field {place}" for place in range(len(names) + 1, len(found) + 1))][: len(found)]
    return delimited(lines, separator(first), None if header else named, problems)
