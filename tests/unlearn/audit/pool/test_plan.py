"""Plans: balanced, keyed by unit, and honest about which models are one draw."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unlearn.audit.pool import Plan

KEYS = np.random.default_rng(1).integers(1, 2**63, 200).astype(np.uint64)


def test_halves_are_complements_and_every_unit_is_in_half_of_the_models() -> None:
    plan = Plan.halves(200, 10, seed=3, unit="user", keys=KEYS)
    assert plan.unit == "user" and len(plan) == 10 and plan.member.shape == (10, 200)
    assert torch.equal(plan.member[::2], ~plan.member[1::2])
    assert plan.member.sum(0).tolist() == [5] * 200
    assert plan.blocks == (0, 0, 1, 1, 2, 2, 3, 3, 4, 4)
    assert len(set(plan.seeds)) == 10
    # Pairs differ from one another in about half of the units, and halves hold about half of them.
    assert 60 < int((plan.member[0] != plan.member[2]).sum()) < 140
    assert all(60 < int(row.sum()) < 140 for row in plan.member)


@pytest.mark.parametrize(("share", "models", "inside"), [(0.7, 10, 7), (0.25, 8, 2), (0.5, 6, 3)])
def test_other_shares_are_balanced_too(share: float, models: int, inside: int) -> None:
    plan = Plan.halves(50, models, seed=0, share=share)
    assert plan.member.sum(0).tolist() == [inside] * 50
    assert share == 0.5 or plan.blocks == tuple(range(models))


@pytest.mark.parametrize("share", [0.5, 0.7])
def test_the_lot_of_a_unit_is_its_own(share: float) -> None:
    whole = Plan.halves(200, 10, seed=3, share=share, keys=KEYS)
    order = np.random.default_rng(0).permutation(200)[:120]
    part = Plan.halves(120, 10, seed=3, share=share, keys=KEYS[order])
    assert torch.equal(part.member, whole.member[:, torch.from_numpy(order)])
    assert not torch.equal(Plan.halves(200, 10, seed=4, share=share, keys=KEYS).member, whole.member)


def test_units_that_are_always_in_leave_the_others_lots_alone() -> None:
    plain, plan = (Plan.halves(40, 6, seed=2, always=always) for always in ((), (0, 7)))
    assert bool(plan.member[:, [0, 7]].all())
    others = [i for i in range(40) if i not in (0, 7)]
    assert torch.equal(plan.member[:, others], plain.member[:, others])


@pytest.mark.parametrize(("n", "k"), [(23, 5), (10, 10)])
def test_folds_leave_every_unit_out_once(n: int, k: int) -> None:
    plan = Plan.folds(n, k, seed=1)
    out = ~plan.member
    assert out.sum(0).tolist() == [1] * n
    assert {int(size) for size in out.sum(1)} <= {n // k, -(-n // k)}
    if n == k:
        assert torch.equal(out, torch.eye(n, dtype=torch.bool))


def test_around_alternates_models_with_and_without() -> None:
    plan = Plan.around([2, 5], 8, 6, seed=0, unit="item")
    assert bool(plan.member[::2].all())
    assert (~plan.member[1::2]).nonzero()[:, 1].tolist() == [2, 5] * 3
    assert len(set(plan.seeds)) == 6 and plan.blocks == tuple(range(6))


def test_repeated_models_differ_in_their_seed_alone_and_stay_one_draw() -> None:
    once = Plan.halves(30, 4, seed=0)
    plan = once.repeated(3)
    assert torch.equal(plan.member[::3], once.member) and torch.equal(plan.member[2::3], once.member)
    assert plan.seeds[::3] == once.seeds and len(set(plan.seeds)) == 12
    assert plan.blocks == (0,) * 6 + (1,) * 6


def test_what_cannot_be_is_refused_with_all_that_is_wrong() -> None:
    with pytest.raises(ValueError, match="`share` must leave each unit out"):
        Plan.halves(10, 4, seed=0, share=1.0)
    with pytest.raises(ValueError, match=r"`models` must be even .* \(got 5\)"):
        Plan.halves(10, 5, seed=0)
    with pytest.raises(ValueError, match="`k` must be at least 2 and at most the 3 units"):
        Plan.folds(3, 4, seed=0)
    with pytest.raises(ValueError, match="`keys` must be one for each of 10 units"):
        Plan.halves(10, 4, seed=0, keys=KEYS)
    with pytest.raises(ValueError, match="`models` must be even"):
        Plan.around([0], 4, 3, seed=0)
    with pytest.raises(ValueError, match="`times` must be a positive integer"):
        Plan.halves(10, 4, seed=0).repeated(0)
    with pytest.raises(ValueError) as caught:
        Plan(torch.ones(3, 4), "record", (1, 2), (0,))
    assert all(f"`{name}`" in str(caught.value) for name in ("member", "seeds", "blocks"))
