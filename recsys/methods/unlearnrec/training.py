"""How the encoder is trained before there is a request, and how the corrected table is once there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.methods.unlearnrec.deletion import Deletion, held_out, simulated
from recsys.methods.unlearnrec.encoder import PERCEPTRON, Encoder
from recsys.methods.unlearnrec.losses import contrast, own, preservation, unlearning
from recsys.problem import RecommenderProblem
from recsys.train import coupled_batches
from unlearn.methods.base import MissingRequirement
from unlearn.params import Params, differentiate, flatten, unflatten
from unlearn.solvers.adam import Adam
from unlearn.streams import uniforms

_DROPPED = 0.05  # of the deleted interactions, in the contrast's second view
_CONTRAST_TEMPERATURE = 1.0
_FINE = 0.5  # of the weights while fine-tuning: the published example has .2 of .5 and .01 of .02
Tables = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class EncoderTraining:
    """Weights of the three terms beside the model's own loss, and how Adam minimises their sum."""

    unlearn: float
    preserve: float
    contrast: float
    temperature: float
    batch_size: int
    lr: float
    seed: int

    def loss(
        self, deletion: Deletion, params: Params, before: Tables, records: Tensor, *, epoch: int, batch: int
    ) -> Tensor:
        """The model's own loss on what remains, with the deleted unlearnt and the remaining `records` preserved."""
        remaining = deletion.remaining
        value, users, items = own(remaining, params, records, epoch=epoch, batch=batch)
        pairs = remaining.graph.rows[records], remaining.graph.cols[records]
        kept = preservation((users, items), before, *pairs, temperature=self.temperature)
        return value + self.unlearn * unlearning(users, items, deletion.deleted) + self.preserve * kept

    def batches(self, problem: RecommenderProblem, epoch: int) -> list[Tensor]:
        """One epoch's interactions of the problem, a step each."""
        every = coupled_batches(problem.graph, epoch, -(-problem.n_records // self.batch_size), self.seed)
        return [records for records in every if len(records)]


def corrected(encoder: Encoder, params: Params, of_model: Params, deletion: Deletion, readout: Tensor) -> Params:
    """The model's parameters with the encoder's answer to the deletion in their table."""
    return of_model | {"table": of_model["table"] + encoder.correction(params, deletion.deleted, readout)}


def pretrain(
    encoder: Encoder, training: EncoderTraining, problem: RecommenderProblem, *, share: float, epochs: int
) -> Iterator[tuple[Params, float]]:
    """The encoder before training and after each epoch, with its loss on the deletion that it is chosen by.

    Every epoch has a simulated deletion of its own. The model is held fixed.

    Raises:
        MissingRequirement: nothing remains of the model's interactions without that deletion.
    """
    before = problem.readout()
    readout = torch.cat(before)
    params = encoder.initial(problem.params["table"], training.seed)
    adam = Adam(flatten(params), lr=training.lr)
    judge = held_out(problem, share=share, seed=training.seed)
    if not judge.remaining.n_records:
        raise MissingRequirement(
            f"`unlearnrec` needs interactions that remain when its encoder is judged by a deletion of {share:.0%} "
            f"(got {problem.n_records} in all)"
        )
    judged = training.batches(judge.remaining, 0)[0]

    def loss(found: Params, deletion: Deletion, records: Tensor, epoch: int, batch: int) -> Tensor:
        after = corrected(encoder, found, problem.params, deletion, readout)
        value = training.loss(deletion, after, before, records, epoch=epoch, batch=batch)
        return value + training.contrast * _contrast(encoder, found, deletion, records, training.seed, epoch, batch)

    def judgement(found: Params) -> float:
        with torch.no_grad():
            after = corrected(encoder, found, problem.params, judge, readout)
            return float(training.loss(judge, after, before, judged, epoch=0, batch=0))

    yield params, judgement(params)
    for epoch, deletion in enumerate(simulated(problem, share=share, seed=training.seed, count=epochs), start=1):
        for batch, records in enumerate(training.batches(deletion.remaining, epoch)):
            of_batch = partial(loss, deletion=deletion, records=records, epoch=epoch, batch=batch)
            params = _stepped(adam, of_batch, params)
        yield params, judgement(params)


def _stepped(adam: Adam, loss: Callable[[Params], Tensor], params: Params) -> Params:
    point = flatten(params)
    adam.step(point, differentiate(loss, params)[1])
    return unflatten(point, params)


def _contrast(
    encoder: Encoder, params: Params, deletion: Deletion, records: Tensor, seed: int, epoch: int, batch: int
) -> Tensor:
    """The contrast of the batch's users and items that lose something: the states of others are zero."""
    graph, of_batch = deletion.deleted, deletion.remaining.graph
    sides = [of_batch.rows[records].unique(), of_batch.cols[records].unique() + graph.n_users]
    whole, dropped = (encoder.states(params, one) for one in (graph, _thinned(graph, seed, epoch, batch)))
    return contrast(whole, dropped, sides, temperature=_CONTRAST_TEMPERATURE)


def _thinned(graph: BipartiteGraph, seed: int, epoch: int, batch: int) -> BipartiteGraph:
    """The graph without a few of its edges, the arcs of the others rescaled."""
    users, items = graph.user_keys[graph.rows.cpu().numpy()], graph.item_keys[graph.cols.cpu().numpy()]
    kept = torch.from_numpy(uniforms(seed, "unlearnrec/view", epoch, batch, users, items) >= _DROPPED)
    return replace(graph, values=graph.values * kept.to(graph.values) / (1.0 - _DROPPED))


def fine_tune(
    encoder: Encoder, training: EncoderTraining, deletion: Deletion, params: Params, readout: Tensor, *, epochs: int
) -> Params:
    """The corrected parameters of the model after training on, together with the encoder's perceptron.

    What is preserved are the scores of the old parameters on the remaining graph.
    """
    remaining = deletion.remaining
    before = remaining.readout()
    milder = replace(training, unlearn=_FINE * training.unlearn, preserve=_FINE * training.preserve)
    fixed = {name: value for name, value in params.items() if not name.startswith(PERCEPTRON)}
    x = remaining.params | {name: value for name, value in params.items() if name.startswith(PERCEPTRON)}
    adam = Adam(flatten(x), lr=training.lr)

    def moved(found: Params) -> Params:
        of_model = {name: found[name] for name in remaining.params}
        return corrected(encoder, fixed | found, of_model, deletion, readout)

    def loss(found: Params, records: Tensor, epoch: int, batch: int) -> Tensor:
        return milder.loss(deletion, moved(found), before, records, epoch=epoch, batch=batch)

    for epoch in range(1, epochs + 1):
        for batch, records in enumerate(training.batches(remaining, epoch)):
            x = _stepped(adam, partial(loss, records=records, epoch=epoch, batch=batch), x)
    with torch.no_grad():
        return moved(x)
