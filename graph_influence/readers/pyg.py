"""PyTorch Geometric's graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graph_influence.arcs import Parallel
from graph_influence.errors import InvalidGraph
from graph_influence.graph import SocialGraph
from unlearn.invalid import Problems

if TYPE_CHECKING:
    import torch
    from torch_geometric.data import Data


def from_pyg(data: Data, *, probability: str | None = None, parallel: Parallel = "first") -> SocialGraph:
    """Edges of `data`, from the first row of `edge_index` to the second; ids are the row numbers.

    PyG writes an undirected edge in both directions already. `probability` names an attribute of the edges, of shape
    [E] or [E, 1].

    Raises: InvalidGraph when an attribute is missing, or listing every bad edge.
    """
    problems = Problems("this PyG graph", InvalidGraph)
    if data.edge_index is None or data.num_nodes is None:
        problems.add(f"it must have `edge_index` and `num_nodes` (got {list(data.keys())}); set them")
    if probability is not None and probability not in data:
        problems.add(f"edge attribute `{probability}` must exist (got {list(data.keys())}); name the right one")
    problems.raise_any()
    p = None if probability is None else data[probability]
    return from_edge_index(data.edge_index, int(data.num_nodes or 0), p, parallel=parallel)  # pyright: ignore[reportArgumentType]


def from_edge_index(
    edge_index: torch.Tensor,
    num_nodes: int,
    probability: torch.Tensor | None = None,
    *,
    parallel: Parallel = "first",
) -> SocialGraph:
    """A graph from edges [2, E] of rows and perhaps their probabilities, [E] or [E, 1]; ids are the row numbers.

    Raises: InvalidGraph listing every bad edge by its column.
    """
    if edge_index.ndim != 2 or edge_index.shape[0] != 2 or edge_index.is_floating_point():
        raise InvalidGraph(f"`edge_index` must be integer [2, E] (got {edge_index.dtype} {list(edge_index.shape)})")
    tails, heads = edge_index.detach().cpu().numpy()
    p = 1.0 if probability is None else probability.detach().cpu().double().numpy().reshape(-1)
    return SocialGraph.from_arcs(tails, heads, p, nodes=num_nodes, parallel=parallel)
