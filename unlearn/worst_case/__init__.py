"""Forget sets that are hard on unlearning, and strata of what they are made of; importing registers the selectors."""

from __future__ import annotations

from unlearn.worst_case.base import Ranking, Round, Search, Selection, Selector, register, selector, selectors
from unlearn.worst_case.bilevel import Bilevel
from unlearn.worst_case.budget import Budget, Room
from unlearn.worst_case.easiest import Easiest
from unlearn.worst_case.hubs import Hubs
from unlearn.worst_case.log import record_trials
from unlearn.worst_case.max_gap import MaxGap
from unlearn.worst_case.most_memorised import MostMemorised
from unlearn.worst_case.opposing import Opposing
from unlearn.worst_case.random import Random
from unlearn.worst_case.trial import Trial, average, judged, trial
from unlearn.worst_case.upper import Judge, Upper

__all__ = [
    "Bilevel",
    "Budget",
    "Easiest",
    "Hubs",
    "Judge",
    "MaxGap",
    "MostMemorised",
    "Opposing",
    "Random",
    "Ranking",
    "Room",
    "Round",
    "Search",
    "Selection",
    "Selector",
    "Trial",
    "Upper",
    "average",
    "judged",
    "record_trials",
    "register",
    "selector",
    "selectors",
    "trial",
]
