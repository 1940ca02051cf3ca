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
from graph_influence.readers.headed import is_edge_as_well, is_headed, read_headed
from graph_influence.readers.metis import fits_metis, is_metis, read_metis
from graph_influence.readers.table import EdgeTable
from unlearn.invalid import Problems
from unlearn.tables.text import every_line

Format = Literal["edges", "headed", "metis"]
# How text begins that says more than ties: of a symmetric matrix, for one, every tie stands there once.
_OTHERS = {
    "<": ("XML", "NetworkX", "from_networkx"),  # GraphML, GEXF
    "%%MatrixMarket": ("Matrix Market", "`scipy.io.mmread`", "from_scipy"),
}


def read(
    path: str | Path,
    *,
    format: Format | None = None,
    undirected: bool = False,
    reverse: bool = False,
    parallel: Parallel = "first",
    source: str | None = None,
    target: str | None = None,
    probability: str | Literal[False] | None = None,
    header: bool | None = None,
) -> SocialGraph:
    """The graph of a text file, compressed by gzip or not; where it holds no probabilities every arc has 1.

    The format is found by content, unless named: "edges" is a pair of ids a line (SNAP, trust files, RecBole's .net,
    "u v p", CSV), "headed" the same below a line "n m", "metis" a line a node. A small file that fits several is
    refused. `undirected` adds the reverse of every arc; `reverse` turns arcs around, for files whose arcs point at the
    one who influences (who trusts, follows or votes for whom). `source`, `target` and `probability` name columns;
    without names the first two are the ends, and probabilities are the third, below a header one that it calls so
    (probability, prob, p, weight, w); `probability=False` leaves it alone. Ids that are whole numbers become int, any
    other id makes all of them str. `parallel` as in `SocialGraph.from_arcs`.

    Raises: InvalidGraph listing every problem of the file, with line numbers.
    """
    path = Path(path)
    if not path.is_file():
        raise InvalidGraph(
            f"`{path}` must be a file that exists, and no folder or pipe; correct its name, or write a file first"
        )
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
    first = next((line.lstrip() for line in text if line.strip()), "")
    for begins, (kind, reads, takes) in _OTHERS.items():
        if first.startswith(begins):
            problems.add(
                f"it must be text with a tie or a node a line (got {kind}: `{first[:40]}`); write it as an edge list, "
                f"or read it with {reads} and give that to `{takes}`"
            )
            problems.fail()
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

    Two numbers in the first line may count what follows, or be an edge where all lines have as many fields as it.

    Raises: the error of `problems` when several formats fit.
    """
    headed, metis = is_headed(lines), is_metis(every)
    if not (headed or metis):
        return "edges"
    first: str = lines.iloc[0]
    alike = all(len(line.split()) == len(first.split()) for line in lines)
    metis = metis and (fits_metis(every) or not (headed or alike))
    edges = alike and (metis or (headed and is_edge_as_well(lines)))
    if edges + headed + metis > 1:
        meanings = ["edges where it is an edge like the others"] * edges
        meanings += ["headed where it counts nodes and edges, and edges follow"] * headed
        meanings += ["metis where it counts them, and a line a node follows"] * metis
        told = ", or ".join(meanings)
        problems.add(f"it must be plain what the first line is (got `{first}`); pass as `format` {told}")
        problems.fail()
    return "headed" if headed else "metis" if metis else "edges"
