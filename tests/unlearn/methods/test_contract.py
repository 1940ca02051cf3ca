"""The contract, for every registered method with its default hyper-parameters and in other forms."""

from __future__ import annotations

import pytest

from tests.unlearn.methods.contract import UnlearnerContract
from unlearn.methods import IAU, Retrain, Unlearner, method, methods, register

OTHER_FORMS = {
    "retrain, coupled": Retrain(coupled=True),
    "iau, calibrated": IAU(lr=0.01, steps=20, calibrate=0.5),
    "iau, sum of the touched rows": IAU(update="sgd", scale="sum", lr=0.1, lr_retain=0.01, steps=3, rows="touched"),
    "iau, adam": IAU(update="adam", lr=0.01, steps=3),
}


@pytest.mark.parametrize("form", [*methods(), *OTHER_FORMS])
class TestContract(UnlearnerContract):
    @pytest.fixture
    def unlearner(self, form: str) -> Unlearner:
        return OTHER_FORMS.get(form) or method(form)

    def make(self) -> Unlearner:
        raise AssertionError("the fixture makes it")


def test_every_method_of_the_first_release_is_there() -> None:
    expected = {"no_op", "graph_drop", "row_drop", "retrain", "reconverge", "iau", "fine_tune"}
    assert expected <= set(methods())


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(KeyError, match="fine_tune, graph_drop"):
        method("amnesia")


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="'retrain' is registered already"):
        register(Retrain)
