"""IMM against the numbers of sets that its paper prescribes, with what its proof was missing."""

from __future__ import annotations

from math import ceil, log, sqrt

import pytest

from graph_influence.graph import SocialGraph
from graph_influence.maximize import Imm, bounds
from graph_influence.maximize.coverage import Greedy, greedy
from tests.graph_influence.maximize.graphs import social


@pytest.mark.parametrize("k", range(2, 12, 3))
def test_it_searches_and_ends_with_as_many_sets_as_the_paper_says(k, monkeypatch):
    """lambda' / x sets for x = n/2, n/4, ..., until they reach (1 + eps') x; then lambda* / LB."""
    graph, n, eps, seen = social(), 300, 0.3, list[tuple[int, int]]()

    def noted(sets, *given) -> Greedy:
        found = greedy(sets, *given)
        seen.append((len(sets), found.covered))
        return found

    monkeypatch.setattr("graph_influence.maximize.imm.greedy", noted)
    answer, wide = Imm(eps=eps).maximize(graph, k), sqrt(2) * eps
    exponent = bounds.imm_exponent(n, k, eps, 1 + log(2) / log(n))
    *search, (ended, _) = seen
    reached = [n * covered / sets for sets, covered in search]
    tried = [n / 2 ** (number + 1) for number in range(len(search))]
    assert [sets for sets, _ in search] == [ceil(bounds.imm_search(n, k, eps, exponent) / x) for x in tried]
    *before, last = [found >= (1 + wide) * x for found, x in zip(reached, tried, strict=True)]
    assert last and not any(before)
    enough = ceil(bounds.imm_sets(n, k, eps, exponent) / max(k, reached[-1] / (1 + wide)))
    assert ended == answer.sets == max(search[-1][0], enough)


@pytest.mark.parametrize("exponent", [0.25, 1.0, 2.0])
def test_both_phases_together_fail_as_rarely_as_promised(exponent, monkeypatch):
    given, n = list[float](), 300

    def noted(*arguments) -> float:
        given.append(arguments[-1])
        return arguments[-1] + 1

    monkeypatch.setattr(bounds, "imm_exponent", noted)
    Imm(eps=0.5, exponent=exponent).maximize(social(), 5)
    assert 2 * n ** -given[0] == pytest.approx(n**-exponent)


def test_where_nobody_activates_anybody_the_seeds_are_what_is_reached(monkeypatch):
    """The search ends at x = n / 2^(floor(log2 n) - 1), and k is all that there is to say of the best spread."""
    graph, n, k, seen = SocialGraph.from_arcs([], [], nodes=300), 300, 2, list[int]()

    def noted(sets, *given) -> Greedy:
        seen.append(len(sets))
        return greedy(sets, *given)

    monkeypatch.setattr("graph_influence.maximize.imm.greedy", noted)
    Imm(eps=0.5).maximize(graph, k)
    exponent = bounds.imm_exponent(n, k, 0.5, 1 + log(2) / log(n))
    assert seen[:-1] == [ceil(bounds.imm_search(n, k, 0.5, exponent) * 2**halvings / n) for halvings in range(1, 8)]
    assert seen[-1] == max(seen[-2], ceil(bounds.imm_sets(n, k, 0.5, exponent) / k))
