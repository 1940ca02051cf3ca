"""The method: pre-training as preparation, one forward pass as answer, and fine-tuning where it is asked for."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch

from recsys.methods.unlearnrec.deletion import Deletion
from recsys.methods.unlearnrec.encoder import BY_NODE, Encoder
from recsys.methods.unlearnrec.training import EncoderTraining, corrected, fine_tune, pretrain
from recsys.models import ContrastiveRecommender, LinearRecommender
from recsys.problem import RecommenderProblem
from unlearn.devices import elapsed
from unlearn.forget import ForgetSet
from unlearn.invalid import require
from unlearn.methods.base import State, Unlearner, register
from unlearn.params import Params


@register
@dataclass(frozen=True, kw_only=True)
class UnlearnRec(Unlearner):
    """A network, trained on simulated deletions, answers a request with a correction of the table.

    Chen, Xia and Huang, "Pre-training for recommendation unlearning", 2025, arXiv 2505.22649. The network is
    `unlearnrec.encoder.Encoder`. With the model held fixed, Adam minimises over the network

        own + unlearn U + preserve P + contrast C,

        own: the loss that the model is trained with, of the corrected model on remaining data and graph, a mean
        U   = mean over deleted pairs of -log s(-y_ui), s the logistic function
        P   = mean over remaining pairs of the batch of (log p_ui - log p*_ui)^2, with p, p* the softmax of the scores
              over `temperature` among the items of the batch, after and before
        C   = InfoNCE between the network's states under the deletion and under 95 % of it

    on one random deletion of a share `share` of the interactions in every epoch. Of the networks after each epoch that
    one answers which has the smallest own + unlearn U + preserve P on a deletion that was held out: no interaction of
    it is in any that the network was trained on, and no real request and no test data have a say.

    The correction is added to the table and the rows of those forgotten are cleared; `fine_tune` epochs then train
    the model and the network's perceptron on, all weights halved. A whole user or item is deleted like its
    interactions: simulated deletions are of single ones.

    **What stays.** Requests compose, each starting from the table and the graph that the last one left. Of the state,
    the rows of those forgotten are cleared with every request; the perceptron and the others' rows were trained on
    data that held the forgotten, and keep what they learned from it until `prepare` is run on the result. A network
    that was trained for one table also suits the tables after it less and less.

    U has no point at which it stops: it wants deleted pairs below pairs that never were, where a retrained model scores
    them like held-out ones. Compare its `forget_auc` with the retrain's, on both sides.

    Memory: the state has n_nodes (dim + 1) + 2 (dim^2 + dim) numbers, one more table; pre-training four times as many
    and batch_size^2 scores.

    Args:
        layers: over which the network propagates along the deleted interactions.
        withdrawal: share of the withdrawn signal in the correction.
        local: only rows that lose an interaction are corrected. Fine-tuning moves all.
        batch_size: interactions a step. An objective without samples is evaluated as a whole in every step.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.

    **Differences from the paper:** `local`; as published the correction reaches every row. An average over pairs in P,
    where the paper sums. The released example has a `preserve` of 5 in these terms (0.005 for batches of 1024), at
    which utility still suffers, and the released defaults, 10 at temperature 10, let it go: 10 at temperature 1 is from
    the validation part of LastFM. A new deletion every epoch instead of every fifth, and a tenth of the epochs.
    Selection on a held-out deletion, with the untrained network among the candidates; the released training selects on
    the request that is then evaluated. C leaves out the network's first states, which both views share, and drops an
    interaction in both directions. Perceptron by Xavier's rule as released, where the paper has the identity.
    Fine-tuning takes half of the weights of pre-training. With an objective over all pairs (`whole_data`) own pulls a
    deleted pair to 0 by itself, as a pair like any other; U then pulls it on, below 0.
    """

    layers: int = 3
    withdrawal: float = 0.1
    local: bool = True
    unlearn: float = 0.5
    preserve: float = 10.0
    contrast: float = 1e-3
    temperature: float = 1.0
    share: float = 0.1
    epochs: int = 20
    batch_size: int = 1024
    lr: float = 1e-3
    fine_tune: int = 0
    seed: int = 0

    name = "unlearnrec"
    works_on = RecommenderProblem

    def __post_init__(self) -> None:
        require(
            self,
            layers=("a positive integer", self.layers >= 1),
            withdrawal=("at least 0", self.withdrawal >= 0),
            unlearn=("at least 0", self.unlearn >= 0),
            preserve=("at least 0", self.preserve >= 0),
            contrast=("at least 0", self.contrast >= 0),
            temperature=("positive", self.temperature > 0),
            share=("in (0, 0.5), so that what is held out leaves something", 0 < self.share < 0.5),
            epochs=("an integer of at least 0", self.epochs >= 0),
            batch_size=("a positive integer", self.batch_size >= 1),
            lr=("positive", self.lr > 0),
            fine_tune=("an integer of at least 0", self.fine_tune >= 0),
        )

    def _obstacle(self, problem: RecommenderProblem) -> str | None:
        if problem.graph.is_weighted:
            return "`unlearnrec` needs interactions that all count alike (got weighted ones)"
        if isinstance(problem.model, LinearRecommender | ContrastiveRecommender):
            return None
        return (
            "`unlearnrec` needs final embeddings as wide as the table, as MF, LightGCN and the contrastive models "
            f"have (got {problem.model.name})"
        )

    def prepare(self, problem: RecommenderProblem) -> State:
        self._check(problem)
        started = time.perf_counter()
        candidates = pretrain(self._encoder, self._training, problem, share=self.share, epochs=self.epochs)
        chosen = min(candidates, key=lambda candidate: candidate[1])[0]
        return State.of(chosen, seconds=elapsed(started))

    def _forget(
        self, problem: RecommenderProblem, remaining: RecommenderProblem, forget: ForgetSet, state: State | None
    ) -> tuple[RecommenderProblem, State]:
        state = state or self.prepare(problem)
        deletion = Deletion.of(problem, problem.records(forget).cpu().numpy(), remaining)
        readout = torch.cat(problem.readout())
        if self.fine_tune:
            params = fine_tune(self._encoder, self._training, deletion, state.payload, readout, epochs=self.fine_tune)
        else:
            with torch.no_grad():
                params = corrected(self._encoder, state.payload, remaining.params, deletion, readout)
        after = remaining.with_params(params)
        return after.with_params(after.settled(forget)), replace(
            state, payload=_refreshed(state.payload, remaining, forget)
        )

    @property
    def _encoder(self) -> Encoder:
        return Encoder(self.layers, self.withdrawal, self.local)

    @property
    def _training(self) -> EncoderTraining:
        return EncoderTraining(
            self.unlearn, self.preserve, self.contrast, self.temperature, self.batch_size, self.lr, self.seed
        )


def _refreshed(params: Params, remaining: RecommenderProblem, forget: ForgetSet) -> Params:
    """The network without the rows of those forgotten, or of whom nothing is left."""
    gone = remaining.idle_nodes(forget)
    return params | {name: params[name].index_fill(0, gone, 0.0) for name in BY_NODE}
