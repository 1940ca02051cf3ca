"""The rules that join shards, against loops over nodes and shards."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from recsys.data import Interactions
from recsys.graph import BipartiteGraph
from recsys.objectives import BPR, NBPO, Objective, WholeData
from recsys.sharding.aggregation import Attention, Mean, Pieces, _initial


def pieces(rows: list[list[int]], size: int, *, seed: int = 0) -> Pieces:
    generator = torch.Generator().manual_seed(seed)
    tables = [torch.randn(len(mine), 4, dtype=torch.float64, generator=generator) for mine in rows]
    return Pieces([torch.tensor(mine) for mine in rows], tables, size)


USERS = pieces([[0, 2], [1, 2, 3]], 5)  # user 2 is in both, user 4 in none
ITEMS = pieces([[0, 1, 2], [1, 3]], 4, seed=1)


def row(of: Pieces, shard: int, node: int) -> Tensor | None:
    where = (of.rows[shard] == node).nonzero()
    return of.tables[shard][int(where)] if len(where) else None


def test_the_mean_is_over_the_shards_that_hold_the_user() -> None:
    users, items = Mean().join(USERS, "users", {}), Mean().join(ITEMS, "items", {})
    for u in range(5):
        for i in range(4):
            ends = [(row(USERS, k, u), row(ITEMS, k, i)) for k in range(2)]
            scores = [0.0 if item is None else float(user @ item) for user, item in ends if user is not None]
            assert float(users[u] @ items[i]) == pytest.approx(sum(scores) / max(len(scores), 1))


@pytest.mark.parametrize("times", [1.0, 1e3])  # at a thousand, exponentials alone are zero or infinite
def test_attention_is_a_softmax_over_the_shards_that_hold_the_node(times: float) -> None:
    generator = torch.Generator().manual_seed(2)
    shapes = {"maps": (2, 4, 4), "shifts": (2, 4), "users.map": (4, 2), "users.shift": (2,), "users.choice": (2,)}
    params = {
        name: 3.0 * torch.randn(shape, dtype=torch.float64, generator=generator) for name, shape in shapes.items()
    }
    params["users.choice"] *= times
    joined = Attention().join(USERS, "users", params)
    for u in range(5):
        held = [(k, z) for k in range(2) if (z := row(USERS, k, u)) is not None]
        mapped = [z @ params["maps"][k] + params["shifts"][k] for k, z in held]
        logits = [
            float(torch.relu(m @ params["users.map"] + params["users.shift"]) @ params["users.choice"]) for m in mapped
        ]
        weights = [np.exp(x - max(logits)) for x in logits]
        expected = sum((w / sum(weights) * m for w, m in zip(weights, mapped, strict=True)), torch.zeros(4))
        torch.testing.assert_close(joined[u], expected.double())


def graph_of(users: int, items: int, *, seed: int = 0) -> tuple[BipartiteGraph, Tensor, Tensor]:
    """Interactions that follow the signs of random factors, with these factors [users, 4] and [items, 4]."""
    generator = np.random.default_rng(seed)
    of_users, of_items = generator.normal(size=(users, 4)), generator.normal(size=(items, 4))
    rows, columns = np.nonzero(of_users @ of_items.T > 2.0)
    frame = pd.DataFrame({"user": [f"u{u:03}" for u in rows], "item": [f"i{i:03}" for i in columns]})
    data = Interactions.from_frame(frame)
    kept = np.unique(rows), np.unique(columns)
    graph = BipartiteGraph.from_interactions(data, dtype=torch.float64)
    return graph, 0.4 * torch.from_numpy(of_users[kept[0]]), 0.4 * torch.from_numpy(of_items[kept[1]])


def turned(of_users: Tensor, of_items: Tensor) -> tuple[Pieces, Pieces]:
    """Two shards by users that agree on everything but the axes."""
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3)))[0]
    n, everyone = len(of_users), torch.arange(len(of_items))
    users = Pieces([torch.arange(0, n, 2), torch.arange(1, n, 2)], [of_users[::2], of_users[1::2] @ turn], n)
    return users, Pieces([everyone, everyone], [of_items, of_items @ turn], len(of_items))


@pytest.mark.parametrize("objective", [WholeData(a=0.1, l2=0.01), BPR(l2=0.01), NBPO(l2=0.01)])
def test_attention_learns_to_bring_turned_shards_together(objective: Objective) -> None:
    graph, of_users, of_items = graph_of(60, 40)
    users, items = turned(of_users, of_items)
    rule = Attention(epochs=150)
    learned = rule.fit(users, items, graph, objective, seed=0)
    start = Attention(epochs=1, lr=1e-12).fit(users, items, graph, objective, seed=0)
    other = rule.fit(users, items, graph, objective, seed=1)
    observed = torch.zeros(graph.n_users, graph.n_items, dtype=torch.bool)
    observed[graph.rows, graph.cols] = True

    def order(params: dict[str, Tensor]) -> float:
        """How often an observed pair is above an unobserved one."""
        scores = rule.join(users, "users", params) @ rule.join(items, "items", params).T
        above, below = scores[observed], scores[~observed]
        return float((above[:, None] > below).double().mean())

    truth = of_users @ of_items.T
    best = float((truth[observed][:, None] > truth[~observed]).double().mean())
    assert order(learned) > order(start) + (best - order(start)) / 3
    assert not torch.equal(other["users.map"], learned["users.map"])
    again = rule.fit(users, items, graph, objective, seed=0)
    assert all(torch.equal(learned[name], again[name]) for name in learned)


def test_attention_takes_steps_of_adam_with_each_epoch_s_negatives_and_is_drawn_to_its_start() -> None:
    graph, of_users, of_items = graph_of(60, 40)
    users, items = turned(of_users, of_items)
    objective, epochs = BPR(l2=3.0), 4
    rule = Attention(epochs=epochs, lr=0.05)
    start = _initial(2, of_users, 7)
    leaves = {name: value.clone().requires_grad_() for name, value in start.items()}
    adam = torch.optim.Adam(list(leaves.values()), lr=rule.lr)
    everything = torch.arange(graph.n_edges)
    for epoch in range(1, epochs + 1):
        adam.zero_grad()
        joined = rule.join(users, "users", leaves), rule.join(items, "items", leaves)
        losses = objective.sampled_losses(*joined, graph, everything, epoch=epoch, batch=0)
        moved = torch.stack([(leaves[name] - value).square().sum() for name, value in start.items()]).sum()
        (losses.sum() + objective.l2 * moved).backward()  # pyright: ignore[reportUnknownMemberType]
        adam.step()
    found = rule.fit(users, items, graph, objective, seed=7)
    for name, leaf in leaves.items():
        torch.testing.assert_close(found[name], leaf.detach(), rtol=1e-7, atol=1e-9)


def test_arguments_are_checked_together() -> None:
    with pytest.raises(ValueError, match="epochs") as raised:
        Attention(epochs=0, lr=-1.0)
    assert "`lr` must be positive" in str(raised.value)
