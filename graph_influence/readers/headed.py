"""Edge lists below a line "n m": nodes are numbered to n, so those without edges count too.

The number of edges is taken as a hint only: published files state it wrongly.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from graph_influence.readers.edges import Columns, read_edges
from graph_influence.readers.table import EdgeTable, is_count
from unlearn.invalid import Problems
from unlearn.vocabulary import Vocabulary

_MOST = np.iinfo(np.int32).max  # nodes that a graph can number
_WRONG = 0.1  # share by which the number of edges may be wrong for a header to be known as one
_FEW = 10  # edges: so few may be as many as a number says by chance


def is_headed(lines: pd.Series[str]) -> bool:
    """Whether the first line reads as n and m, and the others as about m edges among nodes below or up to n."""
    first, *rest = lines
    header = first.split()
    if len(header) != 2 or not all(map(is_count, header)):
        return False
    n, m = map(int, header)
    if n > _MOST:  # an id, as large as some are
        return False
    if rest and len(rest[0].split()) > 2:  # "u v p" below "n m"
        return True
    if abs(len(rest) - m) > _WRONG * m:
        return False
    return all(is_count(field) and int(field) <= n for line in rest for field in line.split()[:2])


def is_edge_as_well(lines: pd.Series[str]) -> bool:
    """Whether the header of what reads as headed, all lines pairs, could be an edge between two of the nodes.

    Not where there are more edges than nodes. And hardly where neither number is an id of the others, unless they are
    few.
    """
    (n, m), *rest = (line.split() for line in lines)
    return int(m) <= int(n) and (len(rest) < _FEW or any(n in edge or m in edge for edge in rest))


def read_headed(lines: pd.Series[str], columns: Columns, problems: Problems) -> EdgeTable:
    """The edges below the header, and nodes 0 to n - 1, or 1 to n where that is how they are numbered."""
    first: str = lines.iloc[0]
    if len(first.split()) < 2 or not all(map(is_count, first.split())):
        problems.add(f'there must be a first line "n m" and edges below it (got `{first}`); name the right format')
        problems.fail()
    n = int(first.split()[0])
    if n > _MOST:
        problems.add(
            f"there must be at most {_MOST} nodes (got {n} in the first line); correct it, or name the right format"
        )
        problems.fail()
    if len(lines) == 1:
        return EdgeTable(pd.DataFrame({"source": [], "target": []}, dtype=np.int64), Vocabulary(np.arange(n)))
    table = read_edges(lines.iloc[1:], replace(columns, header=False), problems)
    ends = table.frame[["source", "target"]].to_numpy()
    if ends.dtype.kind != "i":
        problems.add("ids below a header must be whole numbers (got text); name the right format")
        problems.fail()
    start = int(bool((ends == n).any()) and not bool((ends == 0).any()))
    outside = (ends.min(axis=1) < start) | (ends.max(axis=1) >= n + start)
    required = f"ids must be from {start} to {n - 1 + start}, as the header says"
    problems.rows(outside, table.frame.index, required, "correct these lines or the header")
    return EdgeTable(table.frame.loc[~outside], Vocabulary(np.arange(start, n + start)))
