"""What is examined of a surrogate that learned from the graph: labels against simulation, parameters against both."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from graph_influence.coins import purpose
from graph_influence.labels import LabelledGraph, Labels
from graph_influence.standing_surrogate import StandingSurrogate, seed_sets
from graph_influence.surrogate_audit import SpreadErrors
from unlearn.forget import ForgetSet
from unlearn.target import Check

_EXCESS = 0.9  # far up: with a hub gone, what remains can be harder to fit for whoever never saw it, too
_TOLD = 0.01  # of the loss
_SETS, _RUNS = 24, 1_000
_WORSE = 2.5  # trainings that differed by their seed alone differed by up to 1.7
_ERROR = 0.1  # of a spread: what is below is no better for the purpose

NOT_COVERED = "what parameters of the surrogate may know of them without failing a check, until the next rebuild"


def examine_surrogate(after: StandingSurrogate | None, before: StandingSurrogate | None) -> Iterator[Check]:
    """The checks of the surrogate of a version, which is to replace that of the published one; each on its own graph.

    - `surrogate_missing`: that one has it and the other has not. Where neither has, nothing is checked.
    - `labels_of_the_forgotten`: seed sets that hold a row of nobody, as a seed or as one who was reached.
    - `labels_not_simulated`: seed sets, of all, whose labels are not to the bit what cascades by their own coins give
      on the version's graph. Labels that were kept, masked or drawn by other coins are found out here.
    - `surrogate_excess`: what the deletion still costs, of what it costs parameters that are not moved, which have 1.
      Both are losses on the records that stay, less what the published version has on the same ones, on its own graph
      and labels; the divisor is at least a hundredth of that, so who hardly mattered cannot be told by it. Of a
      surrogate that was trained anew there is none.
    - `surrogate_spread`: the mean relative error of the spread of 24 seed sets that nobody learned from, against 1,000
      fresh cascades each, over the larger of .1 and the error of the published version on its graph. It says that the
      surrogate is of use; what one person did to it is below that.
    """
    if after is None and before is None:
        return
    yield Check(name="surrogate_missing", value=int(after is None or before is None), high=0)
    if after is None or before is None:
        return
    problem, labels = after.problem, after.labels
    graph = problem.data.graph
    yield Check(name="labels_of_the_forgotten", value=int(labels.holding(~graph.nodes.alive).sum()), high=0)
    again = Labels.drawn(
        graph, labels.sets, runs=labels.runs, seed=labels.seed, model=labels.model, numbers=labels.numbers
    )
    yield Check(name="labels_not_simulated", value=int((again.counts != labels.counts).any(axis=1).sum()), high=0)
    if after.seed == before.seed:
        yield Check(name="surrogate_excess", value=_excess(after, before), high=_EXCESS)
    ours, theirs = _errors(after, before)
    yield Check(name="surrogate_spread", value=ours / max(theirs, _ERROR), high=_WORSE)


def _excess(after: StandingSurrogate, before: StandingSurrogate) -> float:
    nodes, left = before.problem.data.graph.nodes, after.problem.data.graph.nodes
    gone = ForgetSet(users=tuple(nodes.take(np.flatnonzero(nodes.alive & ~left.alive))))
    stay = torch.ones(before.problem.n_records, dtype=torch.bool)
    stay[before.problem.records(gone)] = False
    with torch.no_grad():
        was = float(before.problem.record_losses(before.problem.params)[stay].sum())
        kept, moved = (float(after.problem.record_losses(one.problem.params).sum()) for one in (before, after))
    return (moved - was) / max(kept - was, _TOLD * was, 1e-300)


def _errors(after: StandingSurrogate, before: StandingSurrogate) -> Iterator[float]:
    """Mean errors of both, each on its own graph, for the same people by the same coins."""
    nodes, seed = after.problem.data.graph.nodes, purpose(after.seed, "verification")
    sets = seed_sets(after.problem.data.graph, _SETS, seed)
    for one in (after, before):
        graph = one.problem.data.graph
        rows = [graph.nodes.rows([person for person in nodes.take(some) if person is not None]) for some in sets]
        labels = Labels.drawn(graph, rows, runs=_RUNS, seed=seed, model=one.labels.model)
        yield float(SpreadErrors.of(one.problem.surrogate, LabelledGraph(graph, labels)).spread.mean())
