"""What makes a list out of a remaining profile and candidates: by similarity, or by a language model behind a seam."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

import numpy as np

from recsys.ranking import Rows
from recsys.retrieval.evidence import Retrieved
from unlearn.forget import Id
from unlearn.invalid import require

_PROMPT = """Rate how much a user will like each candidate, from 1 (not at all) to 100 (very much).
Judge by what the user has chosen before.

Chosen before:
{profile}

Candidates:
{candidates}

Answer with one JSON object and nothing else: the number of every candidate, as a string, with its rating.
"""


class UnreadableAnswer(ValueError):
    """A language model did not answer in the form it was asked for."""


class Generator(Protocol):
    """Ranks candidates for one user: places in `retrieved.candidates`, best first, each at most once.

    Candidates that are left out are not recommended. A generator names places and not ids, so it cannot bring back an
    item that retrieval held back.
    """

    def __call__(self, retrieved: Retrieved, /) -> Rows: ...


@dataclass(frozen=True)
class ProfileSimilarity:
    """Candidates by their total cosine to the profile, sum_h cosine(c, h), in remaining data; equal ones stay in order.

    Deterministic, without parameters: which candidates there are is all that the trained model still decides.
    """

    def __call__(self, retrieved: Retrieved) -> Rows:
        total = retrieved.evidence.similarity(retrieved.candidates, retrieved.profile).sum(axis=1)
        return np.argsort(-total, kind="stable")


@dataclass(frozen=True, kw_only=True)
class PromptGenerator:
    """Candidates as a language model rates them.

    The prompt holds what `describe` says of the profile and of the candidates, which are numbered: no id leaves the
    process unless `describe` says it. Whatever `complete` keeps of a prompt is outside any suppression.

    **Differences from the paper** (CRAGRU, arXiv 2511.05494): wording; no attributes of users; when no answer can be
    read, the published code shows the candidate model's own order, here that is an error unless a fallback is named.

    Args:
        complete: prompt -> answer; errors of the client are its own and pass through.
        describe: an item's id -> what the model reads of it.
        attempts: how often to ask until an answer can be read.
        fallback: ranks in place of a model whose answers cannot be read; None raises.

    Raises:
        ValueError: `attempts` is below 1.
        UnreadableAnswer: when called, and no answer of all attempts rated every candidate once.
    """

    complete: Callable[[str], str]
    describe: Callable[[Id], str]
    attempts: int = 5
    fallback: Generator | None = None

    def __post_init__(self) -> None:
        require(self, attempts=("at least 1", self.attempts >= 1))

    def __call__(self, retrieved: Retrieved) -> Rows:
        prompt = self.prompt(retrieved)
        last = UnreadableAnswer()
        for _ in range(self.attempts):
            try:
                ratings = _ratings(self.complete(prompt), len(retrieved.candidates))
            except UnreadableAnswer as failure:
                last = failure
            else:
                return np.argsort([-rating for rating in ratings], kind="stable")
        if self.fallback is None:
            raise last
        return self.fallback(retrieved)

    def prompt(self, retrieved: Retrieved) -> str:
        """What the model is asked."""
        items = retrieved.evidence.data.items
        profile = "\n".join(f"- {self.describe(item)}" for item in items.take(retrieved.profile))
        candidates = "\n".join(
            f"{number}: {self.describe(item)}" for number, item in enumerate(items.take(retrieved.candidates), 1)
        )
        return _PROMPT.format(profile=profile or "- nothing", candidates=candidates)


def _ratings(answer: str, n_candidates: int) -> list[float]:
    """The ratings of candidates 1..n, read from the outermost braces of an answer."""
    found: dict[str, Any] = {}
    ratings: list[float] = []
    with suppress(ValueError, KeyError, TypeError):
        found = json.loads(answer[answer.index("{") : answer.rindex("}") + 1])
        ratings = [float(found[str(number)]) for number in range(1, n_candidates + 1)]
    # Nothing of the answer is quoted: it may repeat what the user has chosen.
    if len(ratings) != len(found) or not found or not all(map(isfinite, ratings)):
        raise UnreadableAnswer(
            f"an answer must be one JSON object that rates each of {n_candidates} candidates once; "
            "ask another model, or name a `fallback`"
        )
    return ratings
