"""Rewinding to a checkpoint and replaying the rest of training."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recsys.objectives import BPR, WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions, coupled_batches
from tests.tolerances import EXACT64
from tests.unlearn.toys import tiny_data
from unlearn.forget import ForgetSet
from unlearn.history import Checkpoint
from unlearn.methods import GraphDrop, MissingRequirement, Retrain, Rewind, Unlearner
from unlearn.params import Params


def built(**options: object) -> RecommenderProblem:
    chosen = {"seed": 1, "epochs": 20, "batch_size": 150, "lr": 0.03, "checkpoint_every": 3}
    kept = TrainingOptions(**(chosen | {"keep": frozenset({"checkpoints"})} | options))
    return RecommenderProblem.build(tiny_data(), objective=BPR(), options=kept, dtype=torch.float64, dim=6)


@functools.cache
def problem() -> RecommenderProblem:
    return built().fit()


def requests() -> tuple[ForgetSet, ForgetSet]:
    frame = problem().data.frame().sample(frac=0.1, random_state=0)
    pairs = list(zip(frame["user"], frame["item"], strict=True))
    users = [user for user in problem().data.users.ids if user not in set(frame["user"])]
    return ForgetSet(interactions=tuple(pairs)), ForgetSet(users=(users[0],))


def after(unlearner: Unlearner, forget: ForgetSet, start: RecommenderProblem | None = None) -> RecommenderProblem:
    result = unlearner.forget(start or problem(), forget).problem
    assert isinstance(result, RecommenderProblem)
    return result


def table(params: Params) -> Tensor:
    return params["table"]


def test_where_training_converges_nobody_is_told_to_train_again_with_checkpoints_kept() -> None:
    why = Rewind().obstacle(RecommenderProblem.build(tiny_data(), objective=WholeData(), dim=6))
    assert why is not None and "training by samples" in why and "Train again" not in why


@pytest.mark.parametrize(("share", "index"), [(0.0, 0), (0.15, 0), (0.3, 1), (0.5, 2), (0.99, 5)])
def test_it_trains_the_rest_of_the_epochs_from_the_checkpoint_of_that_share(share: float, index: int) -> None:
    forget = requests()[0]
    checkpoint = problem().history.checkpoints[index]
    assert checkpoint.epoch == 3 * (index + 1)
    expected = replayed(problem().without(forget), checkpoint)
    torch.testing.assert_close(table(after(Rewind(share=share), forget).params), expected, **EXACT64)


def test_a_share_that_names_an_epoch_is_that_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """.58 of 50 is 29, and in floating point a little less."""
    trained, gone_back_to = built(epochs=50, batch_size=10_000, checkpoint_every=1).fit(), list[int]()
    resume = RecommenderProblem.resume

    def watched(self: RecommenderProblem, checkpoint: Checkpoint) -> RecommenderProblem:
        gone_back_to.append(checkpoint.epoch)
        return resume(self, checkpoint)

    monkeypatch.setattr(RecommenderProblem, "resume", watched)
    after(Rewind(share=0.58), requests()[0], trained)
    assert gone_back_to == [29]


def replayed(remaining: RecommenderProblem, checkpoint: Checkpoint) -> Tensor:
    """Adam written out, over the batches and the negatives that a coupled retrain has in the same epochs."""
    objective, options, state = remaining.objective_function, remaining.options, checkpoint.optimizer
    assert isinstance(objective, BPR) and state is not None and options.batches is not None
    x, mean, square, steps = table(checkpoint.params), table(state.mean), table(state.square), state.steps
    for epoch in range(checkpoint.epoch + 1, options.epochs + 1):
        for batch, records in enumerate(coupled_batches(remaining.graph, epoch, options.batches, options.seed)):
            leaf = x.clone().requires_grad_()
            users, items = remaining.embed({"table": leaf})
            losses = objective.sampled_losses(users, items, remaining.graph, records, epoch=epoch, batch=batch)
            loss = losses.sum() * options.batches + objective.l2 * leaf.square().sum()
            (gradient,) = torch.autograd.grad(loss / remaining.n_records, leaf)
            steps += 1
            mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient.square()
            root = (square / (1 - 0.999**steps)).sqrt() + 1e-8
            x = x - options.lr * mean / (1 - 0.9**steps) / root
    return x


def test_a_batch_that_lost_all_its_interactions_still_feels_the_penalty() -> None:
    """Of 900 batches most are empty: a step is taken on them, too, and it is that of the penalty."""
    trained = built(epochs=3, batches=900, checkpoint_every=1).fit()
    assert trained.options.batches == 900 > 2 * trained.n_records
    first = trained.history.checkpoints[0]
    torch.testing.assert_close(table(trained.resume(first).params), replayed(trained, first), **EXACT64)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_with_nothing_forgotten_the_replay_is_the_training_itself(share: float) -> None:
    whole = problem()
    again, _ = Rewind(share=share)._forget(whole, whole, ForgetSet(), None)
    assert torch.equal(table(again.params), table(whole.params))
    for mine, old in zip(again.history.checkpoints, whole.history.checkpoints, strict=True):
        assert mine.epoch == old.epoch
        assert torch.equal(table(mine.params), table(old.params))


def test_the_earlier_the_checkpoint_the_nearer_to_the_retrain() -> None:
    forget = requests()[0]
    target = after(Retrain(coupled=True), forget)
    scores = [
        (left @ right.T)
        for left, right in (
            one.readout()
            for one in (target, *(after(Rewind(share=s), forget) for s in (0.0, 0.5, 0.9)), after(GraphDrop(), forget))
        )
    ]
    gaps = [float((one - scores[0]).norm()) for one in scores[1:]]
    assert gaps == sorted(gaps)
    assert gaps[0] < 0.8 * gaps[-1]


def test_another_request_follows_on_the_checkpoints_of_the_replay() -> None:
    first, second = requests()
    between = after(Rewind(share=0.5), first)
    assert between.options == problem().options
    assert len(between.history.checkpoints) == len(problem().history.checkpoints)
    kept, later = between.history.checkpoints[:3], between.history.checkpoints[3:]
    for mine, old in zip(kept, problem().history.checkpoints, strict=False):
        assert torch.equal(table(mine.params), table(old.params))
    assert [one.epoch for one in between.history.checkpoints] == [3, 6, 9, 12, 15, 18]
    assert not torch.equal(table(later[0].params), table(problem().history.checkpoints[3].params))
    last = after(Rewind(share=0.7), second, between)
    row = int(problem().data.users.rows(second.users)[0])
    assert not any(table(one)[row].any() for one in (*remembered(last), last.params))
    start, state = later[0].params, later[0].optimizer
    assert state is not None
    gone = torch.tensor([row])
    start, mean, square = ({"table": table(one).index_fill(0, gone, 0.0)} for one in (start, state.mean, state.square))
    expected = replayed(
        between.without(second), replace(later[0], params=start, optimizer=replace(state, mean=mean, square=square))
    )
    torch.testing.assert_close(table(last.params), expected, **EXACT64)
    assert last.history.removed == len(first.interactions) + int(problem().records(second).numel())


def test_nothing_of_the_forgotten_user_stays_in_a_checkpoint() -> None:
    forget = requests()[1]
    row = int(problem().data.users.rows(forget.users)[0])
    assert len(remembered(problem())) == 3 * 6
    assert all(table(one)[row].any() for one in remembered(problem()))
    assert not any(table(one)[row].any() for one in remembered(after(Rewind(), forget)))


def remembered(of: RecommenderProblem) -> list[Params]:
    """Parameters and moments of all checkpoints."""
    found: list[Params] = []
    for one in of.history.checkpoints:
        assert one.optimizer is not None
        found += [one.params, one.optimizer.mean, one.optimizer.square]
    return found


def test_it_says_what_training_must_keep() -> None:
    bare = built(keep=frozenset(), epochs=4)
    with pytest.raises(MissingRequirement, match=r"`rewind` needs history.checkpoints"):
        Rewind().prepare(bare.fit())
    at_the_end = built(epochs=1).fit()
    assert at_the_end.history.checkpoints
    with pytest.raises(MissingRequirement, match=r"before the end of training \(got the first after epoch 1 of 1\)"):
        Rewind().forget(at_the_end, requests()[0])


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="`share` must be between 0 and 1"):
        Rewind(share=share)
