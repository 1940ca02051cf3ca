"""Arc probabilities from logs of who did what when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graph_influence.arcs import spans
from graph_influence.graph import SocialGraph
from unlearn.invalid import InvalidInput, Problems
from unlearn.tables.columns import id_column, time_column

Estimator = Literal["bernoulli", "jaccard"]
Credit = Literal["full", "partial"]
_AT_ONCE = 2**21  # pairs of an action and an in-arc that are looked up together


class InvalidLog(InvalidInput):
    """The input cannot be read as a log of actions."""

    reads_as: ClassVar[str] = "a log of actions"


def learn_probabilities(
    graph: SocialGraph,
    log: pd.DataFrame,
    *,
    estimator: Estimator = "bernoulli",
    credit: Credit = "full",
    user: str = "user",
    item: str = "item",
    time: str = "time",
) -> SocialGraph:
    """The graph with probabilities learned from a log with one row an action: a user, an item, and when.

    When is a number or a date, as text in ISO 8601 or as pandas has it.

    Goyal, Bonchi and Lakshmanan, "Learning influence probabilities in social networks" (WSDM 2010), static models. An
    action a propagates over the arc (v, u) when both ends performed it and v did so before u: t_v(a) < t_u(a). With
    A_v the number of actions of v, and A_{v|u} the number of those that v or u performed,

        bernoulli: p(v, u) = c(v, u) / A_v,        jaccard: p(v, u) = c(v, u) / A_{v|u},

    where c(v, u) sums over the actions that propagated: 1 each under full credit; under partial credit 1 / |S|, where S
    are all the in-neighbours of u that performed the action before it did.

    A user's actions on one item count once, the first one. Users of the log who are not in the graph influence nobody;
    a node without actions, and an arc over which nothing propagated, get 0. Forgetting a user changes what is learned
    about others (their share of credit): learn again from the log that is left.

    Raises:
        InvalidLog: listing every problem with the labels of its rows.
        ValueError: another estimator or credit.

    Differences from the paper: the social graph does not change with time, so a tie counts for actions before it was
    made. The paper joins the influence of several neighbours as 1 - prod(1 - p), which is what independent cascade
    does with these p; it then applies a threshold of its own. The models in continuous or discrete time, whose p fades
    with the age of the action, are left out.
    """
    if estimator not in get_args(Estimator) or credit not in get_args(Credit):
        raise ValueError(
            f"`estimator` must be one of {', '.join(get_args(Estimator))} and `credit` one of "
            f"{', '.join(get_args(Credit))} (got {estimator!r} and {credit!r})"
        )
    actions = _actions(graph, log, {"user": user, "item": item, "time": time})
    full, partial, shared = _counts(graph, actions)
    performed = np.bincount(actions.users, minlength=graph.num_nodes)
    below = performed[graph.source].astype(np.float64)
    if estimator == "jaccard":
        below += performed[graph.target] - shared
    credits = full if credit == "full" else partial
    p = np.divide(credits, below, out=np.zeros(graph.num_arcs), where=below > 0)
    return graph.with_probability(np.minimum(p, 1.0))  # a sum of shares may round to just above


@dataclass(frozen=True)
class _Actions:
    """First actions of nodes, ordered by user and item: rows of nodes, numbers of items and times, all [a]."""

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    times: NDArray[np.float64]

    @property
    def keys(self) -> NDArray[np.int64]:
        return self.users * (int(self.items.max(initial=0)) + 1) + self.items


def _actions(graph: SocialGraph, log: pd.DataFrame, columns: dict[str, str]) -> _Actions:
    problems = Problems("this log", InvalidLog)
    absent = [f"`{name}`" for name in columns.values() if name not in log.columns]
    if absent or not len(log):
        have = f"{len(log)} rows of {', '.join(f'`{name}`' for name in log.columns)}"
        problems.add(f"columns {', '.join(columns.values())} must exist and hold actions (got {have})")
        problems.fail()
    users, user_ok = id_column(log[columns["user"]], len(log), columns["user"], problems)
    items, item_ok = id_column(log[columns["item"]], len(log), columns["item"], problems)
    times = time_column(log[columns["time"]], columns["time"], problems)
    rows = np.full(len(log), -1, dtype=np.int64)
    rows[user_ok] = graph.nodes.rows(users[user_ok], unknown="mark")
    if user_ok.all() and not (rows >= 0).any():
        problems.add("some users of the log must be nodes of the graph (got none); use the same ids in both")
    problems.raise_any()
    assert times is not None and item_ok.all()
    numbers, _ = pd.factorize(items)
    order = np.lexsort((times, numbers, rows))
    order = order[rows[order] >= 0]
    rows, numbers, times = rows[order], numbers[order].astype(np.int64), times[order]
    first = np.ones(len(rows), dtype=np.bool_)
    first[1:] = (rows[1:] != rows[:-1]) | (numbers[1:] != numbers[:-1])
    return _Actions(rows[first], numbers[first], times[first])


def _counts(
    graph: SocialGraph, actions: _Actions
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """For each arc [m]: actions that propagated, the same in partial credits, and actions of both ends in any order."""
    full, partial, shared = np.zeros(graph.num_arcs), np.zeros(graph.num_arcs), np.zeros(graph.num_arcs)
    keys, many = actions.keys, int(actions.items.max(initial=0)) + 1
    work = np.cumsum(np.diff(graph.in_ptr)[actions.users])
    cuts = np.searchsorted(work, np.arange(_AT_ONCE, work[-1] if len(work) else 0, _AT_ONCE))
    for part in np.split(np.arange(len(actions.users)), cuts):
        heads = actions.users[part]
        arcs = spans(graph.in_ptr, heads)
        event = np.repeat(part, graph.in_ptr[heads + 1] - graph.in_ptr[heads])
        arcs, event = arcs[graph.alive[arcs]], event[graph.alive[arcs]]
        wanted = graph.source[arcs].astype(np.int64) * many + actions.items[event]
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        both = keys[place] == wanted
        arcs, event, place = arcs[both], event[both], place[both]
        shared += np.bincount(arcs, minlength=graph.num_arcs)
        before = actions.times[place] < actions.times[event]
        arcs, event = arcs[before], event[before]
        full += np.bincount(arcs, minlength=graph.num_arcs)
        credits = 1.0 / np.bincount(event - part[0])[event - part[0]] if len(event) else None
        partial += np.bincount(arcs, credits, minlength=graph.num_arcs)
    return full, partial, shared
