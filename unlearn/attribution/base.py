"""The contract of attribution: how much each record, or each group of records, had to do with what the model says."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor

from unlearn.forget import ForgetSet
from unlearn.params import Params
from unlearn.problem import Problem

Query: TypeAlias = Callable[[Problem, Params], Tensor]
"""(problem, params) -> values [q], differentiable in `params`: scalars of which more is better.

For a recommender the score of a pair, for a record its loss with the sign turned (`losses`).
"""

Groups: TypeAlias = Sequence[ForgetSet]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Attribution scores, positive where the record kept a query's value up: a score high, a loss low.

    They estimate query(with the record) - query(without it) where `calibrated`; otherwise their order means something
    and their size does not. `ties` are the same of every tie, where messages pass along ties and all was asked for.
    `residuals` are those of the linear equations solved for the queries, each over its right-hand side, where equations
    were solved.
    """

    values: Tensor  # [records, q] or [groups, q]
    calibrated: bool
    ties: Tensor | None = None  # [n_ties, q]
    residuals: Tensor | None = None  # [q]


class Attribution(ABC):
    """An attributor fitted on a problem, ready for any number of queries."""

    problem: Problem

    @abstractmethod
    def scores(self, queries: Query, of: Tensor | Groups | None = None) -> Scores:
        """Scores of all records (None), of the records with these indices [r], or of groups.

        A group is what a deletion request names. It has the effect of all that the request removes: of its users'
        ties, too, where messages pass along them.

        Raises:
            UnknownIds: a group names what the data does not hold.
        """


class Attributor(ABC):
    """A way to attribute: a frozen dataclass of its hyper-parameters, that is fitted on problems."""

    name: ClassVar[str]

    @abstractmethod
    def fit(self, problem: Problem) -> Attribution:
        """What can be computed before any query is known; the problem stays as it is.

        Raises:
            MissingRequirement: training did not keep what this needs.
        """


def losses(problem: Problem, records: Tensor) -> Query:
    """The losses [r] of these records of `problem` with the sign turned, so that a positive score kept a loss low.

    Taken on the data and graph of `problem` whatever is forgotten: what a query loses of its own messages is not in it.
    """

    def query(_: Problem, params: Params) -> Tensor:
        return -problem.record_losses(params, records)

    return query


def first_order(
    values: Tensor, problem: Problem, of: Tensor | Groups | None, *, calibrated: bool, residuals: Tensor | None = None
) -> Scores:
    """Scores of what was asked for by `values` [n records + n ties, q]: of a group the sum of its members'.

    Raises:
        UnknownIds: a group names what the data does not hold.
    """
    records, ties = values.split([problem.n_records, problem.n_ties])
    if of is None:
        return Scores(records, calibrated, ties if len(ties) else None, residuals)
    if isinstance(of, Tensor):
        return Scores(records[of], calibrated, residuals=residuals)
    groups = [problem.resolve(group) for group in of]
    sums = [records[problem.records(group)].sum(0) + ties[problem.ties(group)].sum(0) for group in groups]
    return Scores(torch.stack(sums) if sums else records[:0], calibrated, residuals=residuals)
