"""Every maximiser fulfils the contract, and none is left out."""

from __future__ import annotations

import pytest

from graph_influence.maximize import maximizer, maximizers
from tests.graph_influence.maximize.contract import MaximizerContract, found, social, spread


class NotBelowDegree(MaximizerContract):
    """Of a method that is worth its time."""

    @pytest.mark.parametrize("model", ["ic", "lt"])
    def test_it_is_not_below_degree(self, model):
        ours, degree = (spread(social(), found(method, model).nodes, model) for method in (self.method, "degree"))
        assert ours.high > degree.mean


class TestOpim(NotBelowDegree):
    method = "opim"


class TestHist(NotBelowDegree):
    method = "hist"


class TestImm(NotBelowDegree):
    method = "imm"


class TestCelf(NotBelowDegree):
    method = "celf"


class TestCelfPlusPlus(NotBelowDegree):
    method = "celf++"


class TestDegreeDiscount(NotBelowDegree):
    method = "degree_discount"
    random = False


class TestDegree(MaximizerContract):
    method = "degree"
    random = False


class TestPageRank(NotBelowDegree):
    method = "pagerank"
    random = False


class TestKShell(MaximizerContract):
    method = "k_shell"
    random = False


class TestGradientGreedy(NotBelowDegree):
    method = "gradient_greedy"
    random = False


class TestGradientRelaxed(NotBelowDegree):
    method = "gradient_relaxed"
    random = False


def test_no_method_is_left_out():
    tested = {one.method for one in _leaves(MaximizerContract)}
    assert tested == set(maximizers())


def test_a_method_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(ValueError, match="`greedy` is no method of selecting seeds; there are .*opim"):
        maximizer("greedy")


def _leaves(kind):
    for one in kind.__subclasses__():
        yield from [one] if hasattr(one, "method") else _leaves(one)
