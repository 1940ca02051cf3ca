"""From Python: training keeps what it has reached, a request is served whole or not at all."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from recsys.problem import RecommenderProblem
from tests.unlearn.toys import tiny_recommender
from unlearn.forget import ForgetSet
from unlearn.interruption import Interrupted, answered, ending, undisturbed, whole_or_not_at_all
from unlearn.methods import Reconverge, Retrain, Unlearner


@pytest.fixture(autouse=True)
def _as_python_has_it() -> Iterator[None]:
    """Whatever an earlier test has left as the handler."""
    with answered():
        yield


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def swallowed() -> str:
    """As a trainer does."""
    try:
        press()
    except KeyboardInterrupt:
        return "what it has reached"
    return "the end"


def test_what_is_not_to_be_disturbed_is_ended_first() -> None:
    done: list[str] = []
    for around, heard in ((answered, KeyboardInterrupt), (ending, Interrupted)):
        with around():
            with pytest.raises(heard), undisturbed():
                done.append(swallowed())
            with undisturbed():
                done.append("undisturbed")
    assert done == ["the end", "undisturbed"] * 2


def test_what_was_swallowed_is_raised_when_the_work_ends() -> None:
    with whole_or_not_at_all():
        pass
    with pytest.raises(KeyboardInterrupt), whole_or_not_at_all():
        assert swallowed() == "what it has reached"
    assert swallowed() == "what it has reached"  # the handler from before is back


def test_a_command_ends_and_what_tells_of_an_interrupt_may_answer_it() -> None:
    with pytest.raises(Interrupted), ending():
        swallowed()
    with ending(), answered():
        assert swallowed() == "what it has reached"


@pytest.mark.parametrize("context", [ending, answered, whole_or_not_at_all])
def test_other_threads_hear_no_keyboard(context: Callable[[], Any]) -> None:
    done: list[bool] = []

    def work() -> None:
        with context():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


@pytest.mark.parametrize("unlearner", [Reconverge(accuracy=1e-6), Retrain()])
def test_a_request_is_served_whole_or_not_at_all(unlearner: Unlearner, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = tiny_recommender().fit()
    assert isinstance(problem, RecommenderProblem)
    landscape = type(problem.landscape())
    whole, seen = landscape.search, list[int]()

    def search(self: Any, *arguments: Any) -> Any:
        seen.append(len(seen))
        if len(seen) == 2:
            press()
        return whole(self, *arguments)

    monkeypatch.setattr(landscape, "search", search)
    with pytest.raises(KeyboardInterrupt):
        unlearner.forget(problem, ForgetSet(users=(problem.data.users.ids[0],)))
    assert len(seen) == 2
    kept = problem.fit()
    assert len(seen) > 2 and kept.history.residual is not None
