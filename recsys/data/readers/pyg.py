"""PyTorch Geometric's graphs -> interactions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from recsys.data.frames import Duplicates
from recsys.data.interactions import Interactions
from recsys.errors import InvalidInteractions
from unlearn.invalid import Problems
from unlearn.vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData


def from_edge_index(
    edge_index: torch.Tensor,
    n_users: int,
    n_items: int,
    *,
    homogeneous: bool = False,
    duplicates: Duplicates = "raise",
) -> Interactions:
    """Interactions from edges [2, E] of user rows and item rows; ids are the row numbers.

    `homogeneous` says that items are numbered after the users, as PyG's own LightGCN has them: edges may then point
    either way, and an edge that is written in both directions counts once.

    Raises:
        InvalidInteractions: listing every edge out of range or repeated, by its column.
    """
    problems = Problems("`edge_index`", InvalidInteractions)
    _check_edges(edge_index, "it", problems)
    problems.raise_any()
    frame = _edges(edge_index, ["user", "item"])
    if homogeneous:
        turned = frame["user"] >= n_users
        back = frame[turned].rename(columns={"user": "item", "item": "user"})
        forward = frame[~turned]
        mirrored = pd.MultiIndex.from_frame(back[["user", "item"]]).isin(pd.MultiIndex.from_frame(forward))
        frame = pd.concat([forward, back[~mirrored]])
        inside = frame["item"] < n_users
        problems.rows(inside.to_numpy(), frame.index, "an edge must join a user and an item", "check the numbering")
        problems.raise_any()
        frame["item"] -= n_users
    frame.attrs["source"] = "`edge_index`"
    users, items = Vocabulary(range(n_users)), Vocabulary(range(n_items))
    return Interactions.from_frame(frame, users=users, items=items, duplicates=duplicates)


def from_hetero(
    data: HeteroData,
    *,
    user: str = "user",
    item: str = "item",
    weight: str | None = None,
    time: str | None = None,
    duplicates: Duplicates = "raise",
) -> Interactions:
    """Interactions from the edges between two node types; edges among users become ties, ids are the row numbers.

    `weight` and `time` name attributes of the edges.

    Raises:
        InvalidInteractions: there is not exactly one such edge type, or listing every bad edge.
    """
    problems = Problems("this HeteroData", InvalidInteractions)
    counts: dict[str, int] = {}
    for name in (user, item):
        nodes = data[name].num_nodes if name in data.node_types else None
        if nodes is None:
            problems.add(
                f"node type `{name}` must exist and have num_nodes (got {data.node_types}); name it or set them"
            )
        else:
            counts[name] = int(nodes)
    main = [kind for kind in data.edge_types if (kind[0], kind[2]) == (user, item)]
    social = [kind for kind in data.edge_types if (kind[0], kind[2]) == (user, user)]
    if len(main) != 1:
        problems.add(f"there must be one edge type from {user} to {item} (got {main} of {data.edge_types}); keep one")
    if len(social) > 1:
        problems.add(f"there must be at most one edge type among {user} (got {social}); keep one")
    for kind in (*main, *social):
        _check_edges(data[kind].get("edge_index"), f"`edge_index` of {kind}", problems)
    if len(main) == 1:
        _check_attributes(data[main[0]], [name for name in (weight, time) if name is not None], problems)
    problems.raise_any()
    frame = _edges(data[main[0]].edge_index, ["user", "item"])
    for part, name in (("weight", weight), ("time", time)):
        if name is not None:
            frame[part] = data[main[0]][name].detach().cpu().numpy().reshape(-1)
    frame.attrs["source"] = "this HeteroData"
    return Interactions.from_frame(
        frame,
        weight=None if weight is None else "weight",
        time=None if time is None else "time",
        ties=_edges(data[social[0]].edge_index, ["source", "target"]) if social else None,
        users=Vocabulary(range(counts[user])),
        items=Vocabulary(range(counts[item])),
        duplicates=duplicates,
    )


def _check_edges(edges: Any, name: str, problems: Problems) -> None:
    if edges is None:
        problems.add(f"{name} must exist (got none); set it, `adj_t` or labels alone are not read")
    elif edges.ndim != 2 or edges.shape[0] != 2 or edges.is_floating_point():
        problems.add(f"{name} must be integer [2, E] (got {edges.dtype} {list(edges.shape)}); pass edge indices")


def _check_attributes(edges: Any, names: list[str], problems: Problems) -> None:
    if absent := [name for name in names if name not in edges]:
        problems.add(f"edge attributes {absent} must exist (got {list(edges.keys())}); name the right ones")
    problems.found += [
        f"edge attribute `{name}` must hold a number for each of {edges.num_edges} edges "
        f"(got {list(edges[name].shape)}); take one column of it"
        for name in names
        if name in edges and edges[name].numel() != edges.num_edges
    ]


def _edges(edge_index: Any, names: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(edge_index.detach().cpu().numpy().T, columns=names)
    frame.index.name = "edge"
    return frame
