"""Digests are equal where content is, here and in another process, and differ wherever content does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.unlearn.toys import regression, ridge, tiny_recommender
from unlearn.digests import digest
from unlearn.forget import ForgetSet
from unlearn.history import History
from unlearn.hooks import AttachedOptions, attach, gradient_restriction


@dataclass(frozen=True)
class Point:
    x: float
    y: float


def scaled(by: float) -> Callable[[float], float]:
    return lambda value: by * value


DIFFERENT: list[Any] = [
    None,
    0,
    0.0,
    False,
    "0",
    b"0",
    (),
    [],
    {},
    (1, 2),
    (2, 1),
    ((1,), 2),
    {"a": 1},
    {"a": 2},
    frozenset({1, 2}),
    torch.tensor([1.0, 2.0]),
    torch.tensor([1.0, 2.0], dtype=torch.float64),
    torch.tensor([[1.0, 2.0]]),
    torch.tensor([1.0, 2.0], dtype=torch.bfloat16),
    np.array([1.0, 2.0]),
    Point(1.0, 2.0),
    Point(2.0, 1.0),
    Point,
    scaled(1.0),
    scaled(2.0),
    lambda value: value + 1.0,
    lambda value: value + 2.0,
    lambda value, by=2.0: value + by,
    partial(scaled, 1.0),
    partial(scaled, by=1.0),
    nn.Linear(2, 1),
    nn.ReLU(),
]


def test_different_content_has_different_digests() -> None:
    found = [digest(value) for value in DIFFERENT]
    assert len(set(found)) == len(found)
    assert digest(1, 2) != digest((1, 2), ()) and digest("a", "b") != digest("ab", "")


def test_equal_content_has_equal_digests() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest(torch.arange(6.0).view(2, 3).T) == digest(torch.arange(6.0).view(2, 3).T.contiguous())
    assert digest(scaled(1.0)) == digest(scaled(1.0)) and digest(Point(1.0, 2.0)) == digest(Point(1.0, 2.0))


def test_another_process_finds_the_same() -> None:
    values = "{'a', 'b', 'c', 'd'}, {'x': 1, 'y': (2, None)}, 0.1"
    line = f"from unlearn.digests import digest; print(digest({values}))"
    found = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True).stdout.strip()
    assert found == digest({"a", "b", "c", "d"}, {"x": 1, "y": (2, None)}, 0.1)


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="got a object"):
        digest([1, object()])
    with pytest.raises(ValueError, match="got a ndarray"):
        digest(np.array([object()]))


def test_a_recommenders_digest_is_that_of_its_training() -> None:
    problem = tiny_recommender()
    users = problem.data.users.take(range(4))
    assert problem.fit().digest() == problem.digest() == tiny_recommender().digest()
    one, two = (ForgetSet(users=tuple(part)) for part in (users[:1], users[1:]))
    assert problem.without(one).without(two).digest() == problem.without(one | two).digest()
    others = [
        problem.without(one),
        problem.without(two),
        tiny_recommender(torch.float32),
        problem.with_options(problem.options.polished()),
        problem.weighted("user", torch.linspace(0.0, 1.0, problem.data.n_users, dtype=torch.float64)),
        problem.with_params(problem.params, history=History(hooks=(gradient_restriction(0.1),))),
        problem.with_params(problem.params, history=History(hooks=(gradient_restriction(0.2),))),
    ]
    assert len({one.digest() for one in (problem, *others)}) == 8


def test_an_attached_problems_digest_is_that_of_its_training() -> None:
    x, y = regression()

    def attached(factor: float = 0.5, penalty: float = 0.1, shift: float = 0.0, background: Any = None) -> Any:
        return attach(
            nn.Linear(5, 1, bias=False).double(),
            lambda module, data: factor * (module(data[0]).squeeze(-1) - data[1]).square(),
            (x, y + shift),
            penalty=penalty,
            background=background,
        )

    problem = attached()
    assert problem.digest() == attached().digest() == problem.fit().digest()
    one, two = ForgetSet(records=(3,)), ForgetSet(records=(7, 9))
    assert problem.without(one).without(two).digest() == problem.without(one | two).digest()
    others = [
        problem.without(one),
        attached(factor=1.0),
        attached(penalty=0.2),
        attached(shift=1e-9),
        attached(background=lambda module, _: module.weight.sum() ** 2),
        problem.weighted("record", torch.linspace(0.0, 1.0, 40, dtype=torch.float64)),
        problem.with_params(problem.params, history=History(hooks=(gradient_restriction(0.1),))),
        problem.with_options(AttachedOptions(solver="adam")),
        ridge(),
    ]
    assert len({one.digest() for one in (problem, *others)}) == 10
