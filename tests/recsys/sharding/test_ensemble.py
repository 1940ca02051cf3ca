"""Sharded recommenders: what forgetting leaves is what the remaining data alone would have given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from recsys.data import Interactions, ratio, synthetic
from recsys.evaluate import evaluate
from recsys.objectives import BPR, Objective, WholeData
from recsys.problem import RecommenderProblem
from recsys.sharding import Aggregation, Attention, Clustered, Hashed, Mean, Partition, ShardedRecommender
from recsys.train import TrainingOptions
from tests.unlearn.toys import tiny_data
from unlearn.forget import ForgetSet

OBJECTIVES: dict[str, tuple[Objective, TrainingOptions]] = {
    "whole_data": (WholeData(a=0.1, l2=1.0), TrainingOptions(seed=1, tolerance=1e-6, max_iterations=30)),
    "bpr": (BPR(), TrainingOptions(seed=1, epochs=3, batch_size=50, lr=0.05)),
}
PARTITIONS: dict[str, Partition] = {
    f"{kind.__name__} {by}": kind(shards=4, by=by)
    for kind in (Hashed, Clustered)
    for by in ("users", "items", "interactions")
}


def problem_of(data: Interactions, objective: str = "whole_data") -> RecommenderProblem:
    function, options = OBJECTIVES[objective]
    return RecommenderProblem.build(data, objective=function, options=options, dtype=torch.float64, dim=6)


def ensemble_of(
    data: Interactions,
    partition: Partition,
    *,
    objective: str = "whole_data",
    aggregation: Aggregation | None = None,
) -> ShardedRecommender:
    return ShardedRecommender.of(problem_of(data, objective), partition=partition, aggregation=aggregation).fit()


def mixed(data: Interactions) -> ForgetSet:
    """A user, an item and single interactions of others."""
    rows, columns = data.user_rows()[[0, 1, 120]], data.indices[[0, 1, 120]]
    pairs = tuple(zip(data.users.take(rows), data.items.take(columns), strict=True))
    return ForgetSet(users=(data.users.ids[4],), items=(data.items.ids[7],), interactions=pairs)


def assert_equal(left: ShardedRecommender, right: ShardedRecommender) -> None:
    """Bit for bit, to the last table."""
    for a, b in zip(left.factors(), right.factors(), strict=True):
        assert torch.equal(a, b)
    assert len(left.shards) == len(right.shards)
    for a, b in zip(left.shards, right.shards, strict=True):
        np.testing.assert_array_equal(a.users, b.users)
        np.testing.assert_array_equal(a.items, b.items)
        assert all(torch.equal(a.problem.params[name], b.problem.params[name]) for name in a.problem.params)
    assert all(torch.equal(left.weights[name], right.weights[name]) for name in right.weights)
    assert left.data.digest() == right.data.digest()


@pytest.mark.parametrize(
    ("partition", "objective", "aggregation"),
    [
        *((partition, "whole_data", Attention(epochs=5)) for partition in PARTITIONS),
        ("Hashed interactions", "whole_data", Mean()),
        ("Hashed users", "bpr", Mean()),
        ("Clustered items", "bpr", Attention(epochs=5)),
    ],
)
def test_forgetting_equals_never_having_known(partition: str, objective: str, aggregation: Aggregation) -> None:
    data = tiny_data()
    divided = PARTITIONS[partition]
    whole = ensemble_of(data, divided, objective=objective, aggregation=aggregation)
    forget = mixed(data)
    after = whole.forget(forget)
    scratch = ensemble_of(data.without(forget), divided, objective=objective, aggregation=aggregation)
    assert_equal(after, scratch)
    assert_equal(whole.without(forget).fit(), scratch)
    assert after.history.removed == 0
    assert not torch.equal(after.factors()[0], whole.factors()[0])


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_shards_are_those_of_data_that_have_no_row_for_the_forgotten(objective: str) -> None:
    """Not even the number of rows before the deletion reaches a shard."""
    data = tiny_data()
    after = ensemble_of(data, Hashed(shards=4), objective=objective).forget(mixed(data))
    fresh = Interactions.from_frame(after.data.frame(), time="time")
    assert fresh.n_users < data.n_users
    assert fresh.n_items < data.n_items
    other = ensemble_of(fresh, Hashed(shards=4), objective=objective)
    for ours, theirs in zip(after.shards, other.shards, strict=True):
        assert ours.trained_on == theirs.trained_on
        assert torch.equal(ours.problem.params["table"], theirs.problem.params["table"])


def test_requests_compose_and_stale_shards_are_not_taken_for_trained_ones() -> None:
    data = tiny_data()
    whole = ensemble_of(data, Hashed(shards=4))
    first, second = mixed(data), ForgetSet(users=tuple(data.users.take([9, 20])))
    scratch = ensemble_of(data.without(first | second), Hashed(shards=4))
    assert_equal(whole.forget(first).forget(second), scratch)
    assert_equal(whole.forget(second).forget(first), scratch)
    assert_equal(whole.without(first).forget(second), scratch)  # `without` keeps parameters that knew the first
    single = ForgetSet(interactions=first.interactions)  # whose users and items remain: only the digest tells
    assert_equal(whole.without(single).forget(second), ensemble_of(data.without(single | second), Hashed(shards=4)))


def test_only_the_shards_that_held_the_forgotten_are_trained() -> None:
    data = tiny_data()
    whole = ensemble_of(data, Hashed(shards=4))
    assert whole.retrained == 4
    after = whole.forget(ForgetSet(users=(data.users.ids[4],)))
    kept = [ours.problem is theirs.problem for ours, theirs in zip(after.shards, whole.shards, strict=True)]
    assert after.retrained == kept.count(False) == 1
    held = next(k for k, shard in enumerate(whole.shards) if 4 in shard.users)
    assert not kept[held]
    assert 4 not in after.shards[held].users


@pytest.mark.parametrize("partition", [Hashed(shards=4, by="items"), Clustered(shards=4, refresh=False)])
def test_nothing_of_the_forgotten_is_left(partition: Partition) -> None:
    data = tiny_data()
    forget = mixed(data)
    after = ensemble_of(data, partition).forget(forget)
    held = [after.data, *(shard.problem.data for shard in after.shards)]
    for names, side in ((forget.users, "users"), (forget.items, "items")):
        assert all(name not in getattr(part, side) for name in names for part in held)
    assert all(not part.resolve(forget, unknown="skip") for part in held)
    assert not after.factors()[0][4].any()
    assert not after.factors()[1][7].any()


def test_shares_that_stay_as_published_are_not_exact_and_say_so() -> None:
    """Where others were put tells that the forgotten were there; the shards themselves do not hold them."""
    data = tiny_data()
    forget = ForgetSet(users=tuple(data.users.take([4, 11, 23])))
    removed = len(data.positions(forget))
    published, refreshed = (Clustered(shards=4, refresh=refresh) for refresh in (False, True))
    whole = ensemble_of(data, published)
    after = whole.forget(forget)
    assert after.retrained <= 3
    assert after.history.removed == removed
    np.testing.assert_array_equal(after.members, np.delete(whole.members, data.positions(forget)))
    scratch = ensemble_of(data.without(forget), refreshed)
    assert not np.array_equal(after.members, scratch.members)
    assert_equal(ensemble_of(data, refreshed).forget(forget), scratch)
    more = ForgetSet(users=tuple(data.users.take([5])))
    assert after.forget(more).history.removed == removed + len(data.positions(more)) > removed
    assert after.fit().history.removed == 0
    assert_equal(after.fit(), scratch)


def test_another_seed_trains_otherwise_and_divides_alike() -> None:
    whole = ensemble_of(tiny_data(), Hashed(shards=4), objective="bpr")
    other = whole.fit(options=replace(whole.options, seed=whole.options.seed + 1))
    np.testing.assert_array_equal(whole.members, other.members)
    assert not torch.equal(whole.factors()[0], other.factors()[0])


@pytest.mark.parametrize("model", ["lightgcn", "simgcl"])
def test_another_seed_draws_other_negatives_and_views_as_for_a_recommender_of_one_piece(model: str) -> None:
    data, (function, options) = tiny_data(), OBJECTIVES["bpr"]
    built = RecommenderProblem.build(data, model=model, objective=function, options=options, dtype=torch.float64, dim=6)
    single, other = ShardedRecommender.of(built, partition=Hashed(shards=1)), replace(options, seed=9)
    everyone = np.arange(data.n_users)
    found, expected = (one.fit(options=other).scores(everyone) for one in (single, built))
    torch.testing.assert_close(found, expected)


def test_how_the_whole_was_trained_is_no_affair_of_a_shard() -> None:
    """Its number of batches least of all, which training fixes; the terms that hooks add are for every shard."""
    untrained = problem_of(tiny_data(), "bpr")
    trained = untrained.fit()
    assert trained.options.batches == 6

    def sharded(problem: RecommenderProblem) -> ShardedRecommender:
        return ShardedRecommender.of(problem, partition=Hashed(shards=4)).fit()

    def shrink(problem: object, params: dict[str, torch.Tensor]) -> torch.Tensor:
        return 50.0 * params["table"].square().sum()

    expected = sharded(untrained)
    assert_equal(sharded(trained), expected)
    hooked = sharded(replace(untrained, history=replace(untrained.history, hooks=(shrink,))))
    for held, free in zip(hooked.shards, expected.shards, strict=True):
        assert held.problem.params["table"].norm() < 0.9 * free.problem.params["table"].norm()


# ---- scores ----------------------------------------------------------------------------------------------------------


def test_a_single_shard_is_the_recommender_itself() -> None:
    data = tiny_data()
    assert all((degrees > 0).all() for degrees in data.degrees())
    alone = problem_of(data).fit()
    single = ensemble_of(data, Hashed(shards=1))
    everyone = np.arange(data.n_users)
    torch.testing.assert_close(single.scores(everyone), alone.scores(everyone))
    queries = torch.tensor([[3, 5], [0, 29], [39, 0]])
    torch.testing.assert_close(single.outputs(queries), alone.outputs(queries))
    histories = data.csr()
    torch.testing.assert_close(single.fold_in(histories[:4]), alone.fold_in(histories[:4]))
    of_items = csr_array(histories.T)[:4]
    torch.testing.assert_close(single.fold_in_items(of_items), alone.fold_in_items(of_items))
    ids = list(data.users.take([0, 7]))
    ours, theirs = (model.ranker().recommend(ids, k=5) for model in (single, alone))
    np.testing.assert_array_equal(ours.ids, theirs.ids)
    np.testing.assert_allclose(ours.scores, theirs.scores)


@pytest.mark.parametrize("by", ["users", "items", "interactions"])
def test_scores_and_folding_in_are_means_over_shards(by: str) -> None:
    data = tiny_data()
    ensemble = ensemble_of(data, Hashed(shards=3, by=by))
    scores = ensemble.scores(np.arange(data.n_users))
    total, held = torch.zeros_like(scores), torch.zeros(data.n_users, 1)
    histories = csr_array(data.csr()[[2, 5]])
    folded, known = torch.zeros(2, data.n_items, dtype=torch.float64), torch.zeros(2, 1)
    for shard in ensemble.shards:
        users, items = (torch.from_numpy(rows) for rows in (shard.users, shard.items))
        total[users[:, None], items] += shard.problem.scores(np.arange(len(users)))
        held[users] += 1
        mine = csr_array(histories[:, shard.items])
        for k in range(2):
            if mine[[k]].nnz:
                # One at a time: those folded in together share the graph.
                folded[k, items] += shard.problem.fold_in(csr_array(mine[[k]]))[0]
                known[k] += 1
    torch.testing.assert_close(scores, total / held)
    of_item = csr_array(data.csr().T)[[3]]
    joined, sides = torch.zeros(data.n_users, 1, dtype=torch.float64), torch.zeros(data.n_users, 1)
    for shard in ensemble.shards:
        sides[shard.users] += 1  # who is held by a shard that knows none of the item's users gets nothing from there
        if (mine := csr_array(of_item[:, shard.users])).nnz:
            joined[shard.users] += shard.problem.fold_in_items(mine)
    torch.testing.assert_close(ensemble.fold_in_items(of_item), joined / sides)
    for k in range(2):
        torch.testing.assert_close(ensemble.fold_in(csr_array(histories[[k]]))[0], folded[k] / known[k])


@pytest.mark.parametrize("aggregation", [Mean(), Attention()])
def test_nothing_left_to_learn_from_gives_zeros(aggregation: Aggregation) -> None:
    data = tiny_data()
    partition = Hashed(shards=3)
    empty = ensemble_of(data, partition, aggregation=aggregation).forget(ForgetSet(users=tuple(data.users.ids)))
    assert (len(empty.shards), empty.n_records) == (0, 0)
    assert not empty.scores(np.arange(data.n_users)).any()


def test_what_is_asked_too_early_or_given_in_vain_is_refused() -> None:
    untrained = ShardedRecommender.of(problem_of(tiny_data()))
    with pytest.raises(ValueError, match="call `fit` first"):
        untrained.factors()
    with pytest.raises(ValueError, match="each shard starts from its own seed"):
        untrained.fit({})


# ---- what the papers report ------------------------------------------------------------------------------------------


def test_more_shards_cost_accuracy_and_save_work_and_clusters_keep_more_of_it() -> None:
    """SISA's trade, and RecEraser's answer to it: similar users in one shard."""
    split = ratio(synthetic(300, 100, 6_000, seed=5, n_clusters=6, latent_dim=6), seed=0)
    train = split.refit()
    options = TrainingOptions(seed=0, tolerance=1e-4, max_iterations=40)
    problem = RecommenderProblem.build(train, objective=WholeData(a=0.1, l2=0.3), options=options, dim=16)
    forget = ForgetSet(users=(train.users.ids[8],))
    recall: list[float] = []
    work: list[int] = []
    for partition in (Hashed(shards=1), Hashed(shards=4), Hashed(shards=16), Clustered(shards=16, dim=8)):
        ensemble = ShardedRecommender.of(problem, partition=partition).fit()
        recall.append(evaluate(*ensemble.factors(), train=train, test=split.test).summary()["recall_at_20"])
        if isinstance(partition, Hashed):
            after = ensemble.forget(forget)
            known = {shard.trained_on for shard in ensemble.shards}
            work.append(sum(len(shard.problem.data) for shard in after.shards if shard.trained_on not in known))
    assert recall[0] > recall[1] > recall[2]
    assert work[0] > work[1] > work[2] > 0
    assert recall[3] > recall[2]
