"""`read`: a file in any of the text formats -> a social graph."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from graph_influence.arcs import Parallel
from graph_influence.errors import InvalidGraph
from graph_influence.graph import SocialGraph
from graph_influence.readers.edges import Columns, read_edges
from graph_influence.readers.headed import is_headed, read_headed
from graph_influence.readers.metis import is_metis, read_metis
from graph_influence.readers.table import EdgeTable
from unlearn.invalid import Problems
from unlearn.tables.text import every_line

Format = Literal["edges", "headed", "metis"]


def read(
    path: str | Path,
    *,
    format: Format | None = None,
    undirected: bool = False,
    reverse: bool = False,
    parallel: Parallel = "first",
    source: str | None = None,
    target: str | None = None,
    probability: str | bool | None = None,
    header: bool | None = None,
) -> SocialGraph:
    """The graph of a text file, compressed by gzip or not; where it holds no probabilities every arc has 1.

    The format is found by content, unless named: "edges" is a pair of ids a line (SNAP, trust files, RecBole's .net,
    "u v p", CSV), "headed" the same below a line "n m", "metis" a line a node. `undirected` adds the reverse of every
    arc; `reverse` turns arcs around, for files whose arcs point at the one who influences (who trusts, follows or votes
    for whom). `source`, `target` and `probability` name columns; without names they are the first three, and
    `probability=False` leaves a third one alone. Ids that are whole numbers become int, any other id makes all of them
    str. `parallel` as in `SocialGraph.from_arcs`.

    Raises: InvalidGraph listing every problem of the file, with line numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidGraph(f"`path` must be a file that exists (got `{path}`); correct it")
    problems = Problems(path.name, InvalidGraph)
    if format is not None and format not in get_args(Format):
        known = ", ".join(get_args(Format))
        problems.add(f"`format` must be one of {known} (got {format!r}); leave it out to detect it")
        problems.fail()
    table = _read(every_line(path, problems), format, Columns(source, target, probability, header), problems)
    frame = table.frame.rename(columns={"source": "target", "target": "source"}) if reverse else table.frame
    return SocialGraph.from_frame(
        frame,
        probability="probability" if "probability" in frame else None,
        nodes=table.nodes,
        undirected=undirected,
        parallel=parallel,
        problems=problems,
    )


def _read(text: list[str], format: Format | None, columns: Columns, problems: Problems) -> EdgeTable:
    every = pd.Series(text, index=pd.RangeIndex(1, len(text) + 1, name="line"), dtype=object)
    every = every[[not line.lstrip().startswith(("#", "%")) for line in text]]
    full = np.array([bool(line.strip()) for line in every], dtype=np.bool_)
    if not full.any():
        problems.add("there must be at least one line (got none but comments); check that this is the right file")
        problems.fail()
    lines, every = every[full], every.iloc[full.argmax() :]
    format = detect(every, lines, problems) if format is None else format
    if format == "metis":
        return read_metis(every, problems)
    return (read_headed if format == "headed" else read_edges)(lines, columns, problems)


def detect(every: pd.Series[str], lines: pd.Series[str], problems: Problems) -> Format:
    """Format of a text without comments, given with and without its blank lines.

    Raises: the error of `problems` when two formats fit.
    """
    metis, headed = is_metis(every), is_headed(lines)
    if metis and headed and not any("0" in line.split()[:2] for line in lines.iloc[1:]):
        problems.add('it must be plain whether lines are edges or nodes; pass format="headed" or format="metis"')
        problems.fail()
    return "headed" if headed else "metis" if metis else "edges"
