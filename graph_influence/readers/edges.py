"""Edge lists: a pair of ids on each line, perhaps with a probability, perhaps below a header.

SNAP's text (comments with #), trust files of recommenders, RecBole's .net, "u v p" files, and CSV.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from graph_influence.readers.table import EdgeTable
from unlearn.invalid import Problems
from unlearn.tables.atomic import is_atomic
from unlearn.tables.columns import same_kind, whole_or_text
from unlearn.tables.pairs import LOOKED_AT, USUAL, pairs
from unlearn.tables.text import NUMBER, fields

_NAMES = ("source", "target", "probability")
# Usual names of the column, lower case without separators.
_PROBABILITIES = ("probability", "prob", "p", "activationprob", "weight", "w")


@dataclass(frozen=True)
class Columns:
    """Names of the columns that play each part; None takes the first two, and of the others one of a usual name.

    The third has one where there is no header. `probability=False` leaves a column of probabilities alone. `header`
    says whether there are names at all; None looks.
    """

    source: str | None = None
    target: str | None = None
    probability: str | Literal[False] | None = None
    header: bool | None = None


def read_edges(lines: pd.Series[str], columns: Columns, problems: Problems) -> EdgeTable:
    """The edges of a text, `lines` without comments."""
    header = _is_header(lines, problems) if columns.header is None else columns.header
    frame = pairs(lines, _NAMES, problems, header=header)
    if len(frame.columns) < 2:
        problems.add(f"a line must have at least two fields (got `{lines.iloc[0]}`); check the separator")
        problems.fail()
    ends = (columns.source or frame.columns[0], columns.target or frame.columns[1])
    others = [str(name) for name in reversed(frame.columns) if name not in ends]
    usual = {re.sub(r"[^a-z0-9]", "", name.lower()): name for name in others}
    probability = columns.probability
    if probability is None:
        probability = next((usual[name] for name in _PROBABILITIES if name in usual), False)
    parts = (*ends, probability)
    absent = [f"`{name}`" for name in parts if name is not False and name not in frame.columns]
    if absent:
        have = ", ".join(f"`{name}`" for name in frame.columns)
        problems.add(f"columns {', '.join(absent)} must exist (got {have}); name the columns that hold them")
        problems.fail()
    ids = same_kind([whole_or_text(frame[name]).to_numpy() for name in ends])
    table = pd.DataFrame(dict(zip(_NAMES, ids, strict=False)), index=frame.index)
    if probability is not False:
        table["probability"] = frame[probability]
    return EdgeTable(table)


def _is_header(lines: pd.Series[str], problems: Problems) -> bool:
    """Whether the first line names columns: it has no numbers where others do, or usual names; ids occur again."""
    first, *rest = lines
    found = fields(first)[:2]
    if is_atomic(first) or any(NUMBER.fullmatch(field) for field in found):
        return False
    if {re.sub(r"[^a-z0-9]", "", field.lower()) for field in found} <= USUAL:
        return True
    if rest and all(NUMBER.fullmatch(field) for line in rest[:LOOKED_AT] for field in fields(line)[:2]):
        return True
    if not any(set(found) & set(fields(line)[:2]) for line in rest):
        problems.add(
            f"it must be plain whether the first line is a header (got `{first}`); pass header=True (`--header`), or "
            "header=False (`--no-header`) when it is an edge like the others"
        )
        problems.fail()
    return False
