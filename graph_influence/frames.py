"""A frame with one row an arc -> arcs by rows of nodes, with every bad row noted."""

from __future__ import annotations

import numpy as np
import pandas as pd

from graph_influence.arcs import Arcs
from unlearn.invalid import Problems
from unlearn.tables.columns import id_column, id_rows, numbers
from unlearn.vocabulary import Vocabulary


def read_frame(
    frame: pd.DataFrame, source: str, target: str, probability: str | None, nodes: Vocabulary | None, problems: Problems
) -> tuple[Arcs, Vocabulary]:
    """The valid arcs of a frame, and the vocabulary of their ids in ascending order unless it is given.

    Raises: the error of `problems`, at once, when the columns are not there.
    """
    named = [name for name in (source, target, probability) if name is not None]
    absent = [f"`{name}`" for name in named if name not in frame.columns]
    if absent or not frame.columns.is_unique:
        have = ", ".join(f"`{name}`" for name in frame.columns)
        problems.add(f"columns {', '.join(absent)} must exist, each once (got {have}); name the columns that hold them")
        problems.fail()
    tails, tail_ok = id_column(frame[source], len(frame), source, problems)
    heads, head_ok = id_column(frame[target], len(frame), target, problems)
    good = tail_ok & head_ok
    if tails.dtype != heads.dtype and good.any():
        problems.add(f"`{source}` and `{target}` must be both int or both str; convert them to str first")
        problems.fail()
    ids = np.concatenate([tails[good], heads[good]])
    vocabulary = Vocabulary(np.sort(pd.unique(ids)) if len(ids) else []) if nodes is None else nodes
    remedy = "correct these arcs"
    tail_rows, head_rows = (
        id_rows(vocabulary, ids, good, frame.index, problems, f"`{name}` must be a node of the graph", remedy)
        for name, ids in ((source, tails), (target, heads))
    )
    p = np.ones(len(frame)) if probability is None else numbers(frame[probability])
    return Arcs(tail_rows, head_rows, p, frame.index).where((tail_rows >= 0) & (head_rows >= 0)), vocabulary
