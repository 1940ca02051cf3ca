"""Methods and their arguments as somebody types them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from unlearn.methods import IAU, FineTune, Reconverge, methods
from unlearn.registry import arguments
from unlearn.specification import read, typed, unlearner, unlearners, written


class Base:
    def __init__(self, size: int, *, rate: float = 0.5, name: str = "x") -> None: ...


class Derived(Base):
    def __init__(self, size: int, *, depth: int = 2, **rest: object) -> None: ...


@dataclass(frozen=True)
class Choices:
    flag: bool = False
    mode: Literal["sign", "sgd"] = "sign"
    limit: float | None = 1.0
    place: Path | None = None
    state: dict[str, int] = field(default_factory=dict)


def test_names_and_arguments_are_told_apart() -> None:
    assert read("iau") == ("iau", {})
    assert read(" iau : lr = 2e-2:update=sgd") == ("iau", {"lr": "2e-2", "update": "sgd"})


def test_text_becomes_what_the_constructor_declares() -> None:
    assert unlearner("iau:lr=2e-2:update=sgd:steps=3:calibrate=none") == IAU(lr=0.02, update="sgd", steps=3)
    assert typed("choices", Choices, {"flag": "true", "mode": "sgd", "limit": "None"}) == {
        "flag": True, "mode": "sgd", "limit": None
    }  # fmt: skip
    assert list(arguments(Choices)) == ["flag", "mode", "limit", "place"]
    assert list(arguments(Derived)) == ["depth", "rate", "name"]  # what it passes on to its base is its own as well
    assert typed("derived", Derived, {"rate": "2", "depth": "3"}) == {"rate": 2.0, "depth": 3}


def test_a_value_in_brackets_may_hold_a_specification() -> None:
    assert read("diffim:surrogate=[gcn:path=a.b:depth=2]:steps=3") == (
        "diffim",
        {"surrogate": "gcn:path=a.b:depth=2", "steps": "3"},
    )


def test_methods_are_separated_by_commas() -> None:
    assert unlearners("reconverge, reconverge:max_iterations=4,fine_tune") == [
        Reconverge(),
        Reconverge(max_iterations=4),
        FineTune(),
    ]
    assert unlearners("fine_tune,fine_tune:epochs=10") == [FineTune()]
    everything = unlearners("all,iau:lr=0.5")
    baselines = {"no_op", "graph_drop", "row_drop", "retrain"}
    assert [one.name for one in everything[:-1]] == [name for name in methods() if name not in baselines]
    assert everything[-1] == IAU(lr=0.5)
    assert baselines < set(methods())


def test_what_is_written_of_a_method_reads_back_as_it() -> None:
    held = "masked:inner=[iau:lr=0.02:steps=3]:share=0.2"
    for specification in ("iau", "iau:lr=0.5", "reconverge:accuracy=0.1:memory=5", "neg_grad:steps=2", held):
        assert written(unlearner(specification)) == specification
    for one in unlearners("all"):
        assert unlearner(written(one)) == one


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ValueError) as caught:
        unlearners("magic,iau:lr=quick:steps=1.5:gold=1,fine_tune:epochs=0:lr=-1,iau:lr=1:lr=2:steps")
    message = str(caught.value)
    assert message.count("\n") == 7
    for part in (
        "`magic` is no unlearning method; there are",
        "`lr` must be float for `iau` (got 'quick')",
        "`steps` must be int for `iau` (got '1.5')",
        "`gold` is no argument of `iau`; there are update, scale",
        "`epochs` must be a positive integer for `fine_tune` (got 0)",
        "`lr` must be positive for `fine_tune` (got -1.0)",
        "`iau` takes arguments as iau:name=value:name=value (got 'steps'",
        "`lr` must be given once for `iau`",
    ):
        assert part in message
    with pytest.raises(ValueError, match=r"`mode` must be .*sign.*sgd.* for `choices` \(got 'adam'\)"):
        typed("choices", Choices, {"mode": "adam"})
    with pytest.raises(ValueError, match="`size` is no argument of `derived`"):
        typed("derived", Derived, {"size": "3"})


def test_a_function_takes_text_as_a_constructor_does():
    def scheme(graph: object, *, c: float = 1.0, seed: int | None = None) -> None:
        """Needs a graph, which cannot be typed."""

    assert list(arguments(scheme)) == ["c", "seed"]
    assert typed("scheme", scheme, {"c": "2", "seed": "none"}) == {"c": 2.0, "seed": None}
    with pytest.raises(ValueError, match="`graph` is no argument of `scheme`; there are c, seed"):
        typed("scheme", scheme, {"graph": "x"})
