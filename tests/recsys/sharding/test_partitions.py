"""What a partition depends on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from recsys.data import Interactions, Vocabulary
from recsys.sharding import Clustered, Hashed, Partition
from recsys.sharding.clustering import fill
from tests.unlearn.toys import tiny_data
from unlearn.forget import ForgetSet

BY = ["users", "items", "interactions"]


def blocks(n_blocks: int = 3, size: int = 12, *, seed: int = 0) -> Interactions:
    """Users and items in blocks, interactions nearly all within a block."""
    generator = np.random.default_rng(seed)
    block = np.arange(n_blocks * size) % n_blocks
    chance = np.where(block[:, None] == block, 0.7, 0.03)
    users, items = np.nonzero(generator.random(chance.shape) < chance)
    return Interactions.from_frame(pd.DataFrame({"user": users, "item": items}))


@pytest.mark.parametrize("by", BY)
def test_everyone_is_in_one_shard_with_all_that_is_kept_together(by: str) -> None:
    data = tiny_data()
    for partition in (Hashed(shards=4, by=by, seed=1), Clustered(shards=4, by=by, seed=1)):
        members = partition.assign(data)
        assert members.shape == (len(data),)
        assert set(members) == {0, 1, 2, 3}
        owners = {"users": data.user_rows(), "items": data.indices, "interactions": np.arange(len(data))}[by]
        assert len(set(zip(owners, members, strict=True))) == len(set(owners))
        assert not np.array_equal(members, replace(partition, seed=2).assign(data))


@pytest.mark.parametrize("by", BY)
def test_a_hashed_shard_is_a_matter_of_the_own_id(by: str) -> None:
    """Neither who else is there nor which row one has changes it."""
    data = tiny_data()
    partition = Hashed(shards=5, by=by, seed=3)
    whole = pd.Series(partition.assign(data), index=pd.MultiIndex.from_frame(data.frame()[["user", "item"]]))
    forget = ForgetSet(users=tuple(data.users.take([0, 7])), items=tuple(data.items.take([3])))
    frame = data.without(forget).frame()
    turned = Interactions.from_frame(
        frame[["user", "item"]],
        users=Vocabulary(sorted(set(frame["user"]), reverse=True)),
        items=Vocabulary(sorted(set(frame["item"]), reverse=True)),
    )
    assert 0 < len(turned) < len(data)
    found = partition.assign(turned)
    pairs = list(turned.frame()[["user", "item"]].itertuples(index=False, name=None))
    np.testing.assert_array_equal(found, whole.loc[pairs].to_numpy())


@pytest.mark.parametrize("by", BY)
def test_clusters_put_those_alike_together(by: str) -> None:
    data = blocks()
    users, items = data.user_rows() % 3, data.indices % 3
    inside = users == items
    clustered = Clustered(shards=3, by=by, dim=4).assign(data)
    hashed = Hashed(shards=3, by=by).assign(data)

    def purity(members: np.ndarray) -> float:
        """Share of interactions within a block that are in the shard which most of that block are in."""
        counts = [np.bincount(members[inside & (users == block)], minlength=3) for block in range(3)]
        return sum(int(of.max()) for of in counts) / int(inside.sum())

    assert purity(clustered) > 0.9
    assert purity(hashed) < 0.6


@pytest.mark.parametrize("by", BY)
def test_clusters_close_when_full(by: str) -> None:
    data = tiny_data()
    members = Clustered(shards=4, by=by, slack=1.0).assign(data)
    owners = {"users": data.user_rows(), "items": data.indices, "interactions": np.arange(len(data))}[by]
    _, first = np.unique(owners, return_index=True)
    assert np.bincount(members[first]).max() <= -(-len(first) // 4)


def test_an_interaction_joins_by_the_product_of_both_ends_distances() -> None:
    """|e_u - c^U|^2 |e_i - c^I|^2: near in one end alone is near; centres are the elements drawn first."""
    generator = np.random.default_rng(0)
    users, items = generator.normal(size=(6, 2)), generator.normal(size=(5, 2))
    rows, columns = generator.integers(0, 6, 30), generator.integers(0, 5, 30)
    drawn = generator.random(30)
    first = np.argsort(drawn)[:3]
    costs = np.ones((30, 3))
    for table, of in ((users, rows), (items, columns)):
        costs *= ((table[of][:, None] - table[of[first]]) ** 2).sum(axis=2)
    found = Clustered(shards=3, rounds=0, slack=1.2)._cluster([users, items], [rows, columns], drawn)  # pyright: ignore
    np.testing.assert_array_equal(found, fill(costs, 12))


def test_only_what_is_divided_anew_is_exact() -> None:
    assert Hashed().exact
    assert Clustered().exact
    assert not Clustered(refresh=False).exact


def test_no_data_and_fewer_than_shards_are_divided_too() -> None:
    data = tiny_data()
    for partition in (Hashed(shards=50), Clustered(shards=50)):
        assert len(partition.assign(data.take(np.zeros(0, dtype=np.int64)))) == 0
        assert partition.assign(data).max() < 50


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (Hashed, {"shards": 0, "by": "taste"}),
        (Hashed, {"shards": 2.5, "seed": 0.5}),
        (Clustered, {"shards": 0, "dim": 0, "slack": 0.5, "rounds": -1}),
        (Clustered, {"shards": 2.5, "dim": 1.5, "slack": float("inf"), "rounds": 0.5}),
    ],
)
def test_arguments_are_checked_together(kind: type[Partition], arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="shards") as raised:
        kind(**arguments)
    assert all(f"`{name}` must be" in str(raised.value) for name in arguments)
