"""METIS: a line "n m", then a line a node with its neighbours, numbered from 1; comments with %.

Format as in the METIS manual (Karypis, version 5.1.0, section 4.5.1). Weights of nodes and edges are no probabilities:
they are read over.
"""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from graph_influence.errors import InvalidGraph
from graph_influence.readers.table import EdgeTable, is_count
from unlearn.invalid import Problems
from unlearn.vocabulary import Vocabulary

# n, m, which weights there are, and how many of a node; a longer third number is a time, or a weight of an edge.
_HEADER = re.compile(r"\s*\d{1,18}\s+\d{1,18}(\s+[01]{1,3}(\s+\d{1,18})?)?\s*", re.ASCII)


def is_metis(lines: pd.Series[str]) -> bool:
    """Whether the first line counts the other ones, and twice the edges what stands on them."""
    header = _header(lines)
    if header is None:
        return False
    n, m, per_node, per_edge = _layout(header)
    body = _body(lines, n)
    return len(body) == n > 0 and sum(len(line.split()) - per_node for line in body) == 2 * m * per_edge


def fits_metis(lines: pd.Series[str]) -> bool:
    """Whether it reads without any problem: every neighbour is a node, and names the other in turn."""
    problems = Problems("", InvalidGraph)
    try:
        read_metis(lines, problems)
    except InvalidGraph:
        return False
    return not problems.found


def read_metis(lines: pd.Series[str], problems: Problems) -> EdgeTable:
    """Both directions of every edge; `lines` without comments, blank ones included: they are nodes without edges."""
    header = _header(lines)
    if header is None:
        problems.add(f"the first line must be n, m and perhaps two formats (got `{lines.iloc[0]}`); name the format")
        problems.fail()
    n, m, per_node, per_edge = _layout(header)
    body = _body(lines, n)
    if len(body) != n:
        problems.add(f"there must be a line for each of the {n} nodes (got {len(body)} lines); complete the file")
    rows = [line.split() for line in body]
    lengths = np.array([max(0, len(row) - per_node) for row in rows], dtype=np.int64)
    digits = np.array([all(field.isdecimal() for field in row[per_node::per_edge]) for row in rows], dtype=np.bool_)
    problems.rows(~digits, body.index, "neighbours must be whole numbers", "correct these lines")
    problems.rows(lengths % per_edge != 0, body.index, "each neighbour must have its weight", "complete these lines")
    if problems.found:
        problems.fail()
    counts = lengths // per_edge
    # A number beyond the nodes is told below, however large it is.
    neighbours = [field for row in rows for field in row[per_node::per_edge]]
    target = np.array([min(int(field), n + 1) if is_count(field) else n + 1 for field in neighbours], dtype=np.int64)
    frame = pd.DataFrame({"source": np.repeat(np.arange(1, n + 1), counts), "target": target})
    frame.index = pd.Index(np.repeat(body.index.to_numpy(), counts), name="line")
    if len(target) != 2 * m:
        problems.add(f"the edges must be {m} as the header says, named from both ends (got {len(target)} ends)")
    outside = ((target < 1) | (target > n)) if n else np.ones(len(target), dtype=np.bool_)
    problems.rows(outside, frame.index, f"neighbours must be from 1 to {n}", "correct these lines")
    there, back = (pd.Index(frame[a] * (n + 1) + frame[b]) for a, b in (("source", "target"), ("target", "source")))
    alone = ~there.isin(back) & ~outside
    problems.rows(alone, frame.index, "an edge must be named from both its ends", "correct these lines")
    return EdgeTable(frame[~outside], Vocabulary(np.arange(1, n + 1)))


def _header(lines: pd.Series[str]) -> list[str] | None:
    first: str = lines.iloc[0]
    return first.split() if _HEADER.fullmatch(first) else None


def _body(lines: pd.Series[str], n: int) -> pd.Series[str]:
    """The lines of the nodes; blank ones beyond them are the end of the file."""
    body = lines.iloc[1:]
    return body if any(line.strip() for line in body.iloc[n:]) else body.iloc[:n]


def _layout(header: list[str]) -> tuple[int, int, int, int]:
    """n, m, how many numbers stand before a node's neighbours, and how many stand for each neighbour."""
    n, m = int(header[0]), int(header[1])
    sizes, nodes, edges = (digit == "1" for digit in (header[2] if len(header) > 2 else "").zfill(3))
    return n, m, sizes + (int(header[3]) if len(header) > 3 else 1) * nodes, 1 + edges
