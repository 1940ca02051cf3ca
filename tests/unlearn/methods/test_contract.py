"""The contract, for every registered method with its default hyper-parameters and in other forms."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from tests.unlearn.methods.contract import (
    CASES,
    Case,
    RefusalContract,
    UnlearnerContract,
    applicable,
    inapplicable,
)
from unlearn.forget import ForgetSet
from unlearn.methods import IAU, Retrain, State, Unlearner, method, methods

OTHER_FORMS = {
    "retrain, coupled": Retrain(coupled=True),
    "iau, calibrated": IAU(lr=0.01, steps=20, calibrate=0.5),
    "iau, sum of the touched rows": IAU(update="sgd", scale="sum", lr=0.1, lr_retain=0.01, steps=3, rows="touched"),
    "iau, adam": IAU(update="adam", lr=0.01, steps=3),
}


def make(form: str) -> Unlearner:
    return OTHER_FORMS.get(form) or method(form)


FORMS = [*methods(), *OTHER_FORMS]


class Parametrised:
    @pytest.fixture
    def unlearner(self, form: str) -> Unlearner:
        return make(form)

    @pytest.fixture
    def case(self, case_name: str) -> Case:
        return CASES[case_name]()


@pytest.mark.parametrize(("form", "case_name"), [(form, name) for form in FORMS for name in applicable(make(form))])
class TestContract(Parametrised, UnlearnerContract):
    pass


@pytest.mark.parametrize(("form", "case_name"), [(form, name) for form in FORMS for name in inapplicable(make(form))])
class TestRefusal(Parametrised, RefusalContract):
    pass


@pytest.mark.parametrize("form", FORMS)
def test_every_method_can_be_applied_to_something(form: str) -> None:
    assert applicable(make(form))


@pytest.mark.parametrize("name", methods())
def test_every_method_states_its_memory(name: str) -> None:
    assert re.search(r"\bMemory: [\w(]", inspect.getdoc(type(method(name))) or "")


def test_every_method_of_the_first_release_is_there() -> None:
    expected = {"no_op", "graph_drop", "row_drop", "retrain", "reconverge", "iau", "fine_tune", "native"}
    assert expected <= set(methods())


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="there are .*graph_drop, .*retrain, .*row_drop"):
        method("amnesia")


def test_a_method_whose_arguments_nobody_could_read_is_told_what_it_lacks() -> None:
    class Bare(Unlearner):
        name = "bare"

        def _forget(self, problem: Any, remaining: Any, forget: ForgetSet, state: State | None) -> tuple[Any, None]:
            return remaining, None

    with pytest.raises(TypeError, match="`Bare` must be a dataclass of its hyper-parameters"):
        Bare().arguments()
