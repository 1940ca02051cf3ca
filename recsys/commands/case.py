"""What one seed of an evaluation is about. Imported by the commands when they run: it loads everything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from recsys.closed_form import ClosedForm
from recsys.commands.build import build_model, described, judging_split, kept_for
from recsys.commands.options import Setup
from recsys.corruption import split_known
from recsys.problem import RecommenderProblem
from recsys.requests import drawn
from recsys.scorer import RankingScorer
from unlearn.forget import ForgetSet
from unlearn.methods.base import Unlearner


@dataclass(frozen=True, eq=False)
class Case:
    """An untrained model on its data, the requests that it is to be asked, and the held-out data to judge it by."""

    model: RecommenderProblem | ClosedForm
    requests: list[ForgetSet]
    unknown: ForgetSet | None  # the part of a corruption that its one request does not name
    scorer: RankingScorer
    settings: dict[str, Any]

    @classmethod
    def drawn(
        cls,
        setup: Setup,
        methods: Sequence[Unlearner],
        delete: str,
        seed: int,
        *,
        known: float = 1.0,
        progress: bool = False,
    ) -> Case:
        """By the seed, on one split for all seeds; training is to keep what the methods require.

        Raises:
            ValueError: the data, the model, `delete` or `known` cannot be had.
            UnknownIds: there is no user of that id.
        """
        parts = judging_split(setup)
        data, requests = drawn(delete, parts, seed=seed)
        split = [split_known(one, known, seed=seed) for one in requests]
        model = build_model(setup, data, seed=seed, progress=progress, keep=kept_for(methods))
        settings = {
            "data": "synthetic" if setup.data is None else setup.data.name,
            "delete": delete if not delete.startswith("user:") else "user",
            **described(model),
            "device": setup.device,
        }
        unknown = split[0][1] if split else None
        return cls(model, [one for one, _ in split], unknown, RankingScorer(parts.test), settings)
