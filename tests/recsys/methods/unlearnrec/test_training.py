"""What the encoder is trained on, and what it is chosen by."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from recsys.graph import BipartiteGraph
from recsys.joint_graph import JointGraph
from recsys.methods.unlearnrec import UnlearnRec
from recsys.methods.unlearnrec.deletion import held_out, simulated
from recsys.methods.unlearnrec.encoder import Encoder
from recsys.methods.unlearnrec.losses import own, preservation, unlearning
from recsys.methods.unlearnrec.training import EncoderTraining, pretrain
from tests.recsys.methods.unlearnrec.models import trained
from tests.unlearn.toys import tiny_recommender
from unlearn.forget import ForgetSet


def codes(graph: BipartiteGraph) -> set[int]:
    return set((graph.rows * graph.n_items + graph.cols).tolist())


def test_simulated_deletions_share_nothing_with_the_one_held_out() -> None:
    problem = trained()
    judge = held_out(problem, share=0.1, seed=4)
    drawn = list(simulated(problem, share=0.1, seed=4, count=30))
    every = codes(problem.graph)
    for deletion in (judge, *drawn):
        deleted, remaining = codes(deletion.deleted), codes(deletion.remaining.graph)
        assert not deleted & remaining
        assert deleted | remaining == every
        assert 0.06 * len(every) < len(deleted) < 0.14 * len(every)
    others = [codes(deletion.deleted) for deletion in drawn]
    assert not codes(judge.deleted) & set.union(*others)
    assert len(set.union(*others)) > 0.8 * len(every)  # and together they cover what is not held out
    assert all(one != other for one, other in pairwise(others))


def test_a_simulated_deletion_leaves_the_graph_that_a_real_one_would() -> None:
    """Of a model that uses ties: all of them, and degrees that count them."""
    problem = tiny_recommender(model="social_lightgcn")
    deletion = held_out(problem, share=0.2, seed=4)
    pairs = deletion.deleted.rows.numpy(), deletion.deleted.cols.numpy()
    ids = problem.data.users.take(pairs[0]), problem.data.items.take(pairs[1])
    real = problem.without(ForgetSet(interactions=tuple(zip(*ids, strict=True)))).graph
    assert isinstance(deletion.remaining.graph, JointGraph) and isinstance(real, JointGraph)
    assert real.n_ties > 0
    assert torch.equal(deletion.remaining.graph.values, real.values)
    assert torch.equal(deletion.remaining.graph.ends, real.ends)


def test_without_one_user_the_others_deletions_stay_what_they_were() -> None:
    problem = trained()
    gone = problem.data.users.ids[5]
    for whole, rest in zip(
        simulated(problem, share=0.1, seed=4, count=3),
        simulated(problem.without(ForgetSet(users=(gone,))), share=0.1, seed=4, count=3),
        strict=True,
    ):
        n = whole.deleted.n_items
        assert codes(rest.deleted) == {code for code in codes(whole.deleted) if code // n != 5}


def test_the_network_that_answers_is_the_best_on_the_deletion_held_out() -> None:
    """At a rate at which training overshoots, the best is neither the first nor the last."""
    problem = trained()
    unlearner = UnlearnRec(epochs=12, lr=0.05, batch_size=200, preserve=5.0)
    training = EncoderTraining(
        unlearner.unlearn, unlearner.preserve, unlearner.contrast, unlearner.temperature, unlearner.batch_size,
        unlearner.lr, unlearner.seed,
    )  # fmt: skip
    encoder = Encoder(unlearner.layers, unlearner.withdrawal, unlearner.local)
    candidates = list(pretrain(encoder, training, problem, share=unlearner.share, epochs=12))
    losses = [loss for _, loss in candidates]
    best = losses.index(min(losses))
    assert 0 < best < 12
    chosen = unlearner.prepare(problem).payload
    assert chosen.keys() == candidates[best][0].keys()
    assert all(torch.equal(chosen[name], value) for name, value in candidates[best][0].items())

    judge = held_out(problem, share=unlearner.share, seed=unlearner.seed)
    graph, records = judge.remaining.graph, training.batches(judge.remaining, 0)[0]
    table = problem.params["table"] + encoder.correction(chosen, judge.deleted, torch.cat(problem.readout()))
    loss, users, items = own(judge.remaining, {"table": table}, records, epoch=0, batch=0)
    rows, cols = graph.rows[records], graph.cols[records]
    loss = loss + 0.5 * unlearning(users, items, judge.deleted)
    loss = loss + 5 * preservation((users, items), problem.readout(), rows, cols, temperature=1.0)
    assert losses[best] == pytest.approx(float(loss), rel=1e-9)


def test_the_contrast_moves_no_row_beyond_a_step() -> None:
    """States start at zero, where a cosine has no derivative: one that blew up would freeze its row for good."""
    problem, encoder = trained(), Encoder(3, 0.1, True)
    training = EncoderTraining(
        unlearn=0.5, preserve=10.0, contrast=0.0, temperature=10.0, batch_size=1024, lr=1e-3, seed=0
    )
    without, with_contrast = (
        list(pretrain(encoder, one, problem, share=0.1, epochs=4))[-1][0]["states"]
        for one in (training, replace(training, contrast=1.0))
    )
    moved = without.norm(dim=1) > 0
    assert torch.equal(with_contrast.norm(dim=1) > 0, moved)
    assert not torch.allclose(with_contrast, without, rtol=0.0, atol=1e-5)
    ratio = with_contrast.norm(dim=1)[moved] / without.norm(dim=1)[moved]
    assert 0.3 < float(ratio.min()) < float(ratio.max()) < 3.0
