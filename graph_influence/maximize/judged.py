"""Two independent collections of sets: seeds are chosen on one and judged on the other, until a rule is content."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray

from graph_influence.coins import purpose
from graph_influence.diffusion import Model
from graph_influence.graph import SocialGraph
from graph_influence.maximize import bounds
from graph_influence.maximize.stopping import Evidence, Rule
from graph_influence.rrsets import RRSets


class Selected(Protocol):
    """What was selected on a collection."""

    @property
    def rows(self) -> NDArray[Any]: ...

    @property
    def covered(self) -> int:
        """Sets of the collection that the rows cover."""
        ...

    @property
    def above(self) -> int:
        """Sets that no feasible rows can cover more of."""
        ...


S = TypeVar("S", bound=Selected)
_CHOOSING = 4  # sets that choose, for each that judges


@dataclass(frozen=True, slots=True, eq=False)
class Collections:
    """`selection`, on which seeds are chosen, and `judging`, which knows nothing of the choice.

    The first is four times the other. OPIM-C has them equal; of as many sets together, most of them prove as much and
    find better seeds where they choose: both the choice and the bound on the optimum suffer from the noise there.
    """

    selection: RRSets
    judging: RRSets

    @classmethod
    def draw(cls, graph: SocialGraph, model: Model, seed: int, **options: Any) -> Collections:
        """Two empty collections; `options` are those of `RRSets`."""
        return cls(*(RRSets(graph, model, seed=purpose(seed, name), **options) for name in ("selection", "judging")))

    def __len__(self) -> int:
        """Sets of both."""
        return len(self.selection) + len(self.judging)

    def copy(self) -> Collections:
        """The same sets in collections of their own."""
        return Collections(self.selection.copy(), self.judging.copy())

    def grow(self, sets: int) -> None:
        """To `sets` sets that judge."""
        self.selection.grow(_CHOOSING * sets - len(self.selection))
        self.judging.grow(sets - len(self.judging))

    def evidence(self, selected: Selected, log_inverse: float) -> Evidence:
        """What the sets of both prove, each of the two bounds failing with probability exp(-log_inverse)."""
        n = self.selection.graph.num_alive
        if not len(selected.rows):  # nobody could be selected: the empty choice is the best there is
            return Evidence(low=1.0, high=1.0, attainable=1.0)
        return Evidence(
            low=bounds.spread_below(self.judging.coverage(selected.rows), len(self.judging), n, log_inverse),
            high=bounds.spread_above(selected.above, len(self.selection), n, log_inverse),
            attainable=selected.covered / selected.above if selected.above else 1.0,  # too few sets to say
        )

    def double(self, first: int, choose: Callable[[RRSets], S], rule: Rule) -> tuple[S, float, int]:
        """Grow to `first` judging sets, then to twice as many as there are, until the rule is done.

        Returns the selection, the proven ratio and the number of looks.
        """
        sets, look = first, 1
        while True:
            self.grow(sets)
            selected = choose(self.selection)
            evidence = self.evidence(selected, rule.log_inverse(look))
            if rule.done(look, evidence):
                return selected, rule.certified(look, evidence), look
            sets, look = 2 * sets, look + 1
