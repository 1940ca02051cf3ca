"""A surrogate that learned from one graph forgets who leaves it: against a retrain, and where no set is left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graph_influence.labels import LabelledGraph, Labels
from graph_influence.standing_surrogate import Lessons, StandingSurrogate, seed_sets
from graph_influence.surrogate import surrogate
from graph_influence.surrogate_audit import SpreadErrors
from graph_influence.synthetic import power_law
from tests.graph_influence.maximize.graphs import social
from unlearn.forget import ForgetSet

FEW = Lessons(sets=6, runs=100, epochs=20)


def test_it_ends_near_a_retrain_and_not_where_it_began() -> None:
    """On a graph with hubs, errors of the spread on seed sets that nobody learned from."""
    social, errors = power_law(300, seed=1), dict[str, list[float]]()
    hub = ForgetSet(users=tuple(social.nodes.take([int(np.argmax(social.out_degree()))])))
    left = social.without(hub)
    sets = [rows[left.nodes.alive[rows]] for rows in seed_sets(left, 24, seed=99)]
    data = LabelledGraph(left, Labels.drawn(left, sets, runs=1_000, seed=99))
    number = np.cumsum(left.nodes.alive) - 1
    compact = LabelledGraph(left.compact(), replace(data.labels, sets=tuple(number[rows] for rows in sets), counts=(
        data.labels.counts[:, left.nodes.alive])))  # fmt: skip
    for seed in range(3):
        kind = surrogate("gcn", depth=3, width=8)
        own = StandingSurrogate.taught(kind, social, Lessons(sets=12, runs=1_000, epochs=150), seed=seed)
        old = own.problem.surrogate
        own.remove(hub)
        anew = own.rebuilt(left.compact()).problem.surrogate
        for name, one, on in (("no_op", old, data), ("ours", own.problem.surrogate, data), ("retrain", anew, compact)):
            errors.setdefault(name, []).append(float(SpreadErrors.of(one, on).spread.mean()))
    no_op, ours, retrain = (float(np.mean(errors[name])) for name in ("no_op", "ours", "retrain"))
    assert no_op > 2 * retrain
    assert abs(ours - retrain) < 0.3 * (no_op - retrain)


def test_where_no_seed_set_has_anybody_left_it_is_trained_anew() -> None:
    own = StandingSurrogate.taught(surrogate("gcn", depth=2, width=4), social(120), FEW)
    everybody = np.unique(np.concatenate(own.labels.sets))
    told = own.remove(ForgetSet(users=tuple(social(120).nodes.take(everybody))))
    labels, left = own.labels, own.problem.data.graph
    assert (told.method, told.sets_emptied) == ("retrain", FEW.sets)
    assert len(labels.sets) == FEW.sets and not labels.holding(~left.nodes.alive).any()
    assert np.array_equal(labels.counts, Labels.drawn(left, labels.sets, runs=FEW.runs, seed=labels.seed).counts)


def test_one_set_that_nobody_is_left_of_is_dropped() -> None:
    own = StandingSurrogate.taught(surrogate("gcn", depth=2, width=4), social(120), FEW)
    told = own.remove(ForgetSet(users=tuple(social(120).nodes.take(own.labels.sets[2]))))
    assert (told.method, told.sets_emptied) == ("reconverge", 1)
    assert own.labels.numbers.tolist() == [0, 1, 3, 4, 5] and 0 < told.labels_changed <= 5


def test_lessons_say_all_that_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"(?s)`sets` must be at least 1.*`runs`"):
        Lessons(sets=0, runs=0)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_that_nothing_can_be_drawn_by_is_named(seed: int) -> None:
    with pytest.raises(ValueError, match=rf"`seed` must be from 0 to .*\(got {seed}\)"):
        StandingSurrogate.taught(surrogate("gcn", depth=2, width=4), social(20), FEW, seed=seed)
