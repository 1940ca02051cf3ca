"""Several methods, and the referee's word on which was right this time."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from statistics import NormalDist

from graph_influence.coins import purpose
from graph_influence.minimize.base import Minimizer, register
from graph_influence.minimize.diffim import DiffIMPlusPlus
from graph_influence.minimize.heuristics import SeedAdjacent
from graph_influence.minimize.referee import Referee
from graph_influence.minimize.sampled import AdvancedGreedy, GreedyReplace, ReverseSampling
from graph_influence.outbreak import Outbreak
from graph_influence.surrogate import SupercriticalWarning

# The first stands unless another is clearly better: by so many standard errors that noise alone puts any of the others
# ahead in at most one of forty cases (Bonferroni; 2.5).
PORTFOLIO = (DiffIMPlusPlus, SeedAdjacent, AdvancedGreedy, GreedyReplace, ReverseSampling)
_CLEARLY = NormalDist().inv_cdf(1 - 0.025 / (len(PORTFOLIO) - 1))


@register
@dataclass(frozen=True, kw_only=True)
class Auto(Minimizer):
    """The best of `diffim_plus_plus`, `seed_adjacent`, `advanced_greedy`, `greedy_replace` and `ris`, by a referee.

    No method is best everywhere: messages know rare large outbreaks that no sample holds, and lose their way where
    activity takes off; samples do not. So all choose, and `runs` cascades with and without each choice, over the same
    coins, decide. The coins have no part in the choices. What `diffim_plus_plus` has chosen stands unless another
    choice is better by 2.5 standard errors of the difference, which is 2 corrected for four of them: the best of
    several noisy values is often the luckiest.
    """

    name = "auto"

    runs: int = 10_000

    def _wrong(self) -> list[str]:
        return [] if self.runs >= 2 else [f"`runs` must be at least 2 (got {self.runs})"]

    def _choose(self, outbreak: Outbreak, budget: int) -> list[int]:
        referee = Referee(outbreak, runs=self.runs, seed=purpose(self.seed, "portfolio"))
        methods = [kind(model=self.model, unit=self.unit, seed=self.seed) for kind in PORTFOLIO]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SupercriticalWarning)  # that is what the referee is for
            choices = [method.choose(outbreak, budget) for method in methods]
        found = min(choices, key=lambda chosen: referee.judge(chosen).after.mean)
        lead = referee.difference(choices[0], found)
        return found if lead.mean > _CLEARLY * lead.standard_error else choices[0]
