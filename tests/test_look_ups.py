"""What is found by name says in `help` how it is asked for, by an example that works."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from graph_influence.maximize import maximizer, maximizers
from graph_influence.minimize import minimizer, minimizers
from graph_influence.surrogate import surrogate, surrogates
from recsys.objectives import objective, registered
from unlearn.methods import method, methods
from unlearn.worst_case import selector, selectors

LOOK_UPS = {
    "methods": (method, methods),
    "selectors": (selector, selectors),
    "registered": (objective, registered),
    "maximizers": (maximizer, maximizers),
    "minimizers": (minimizer, minimizers),
    "surrogates": (surrogate, surrogates),
}


@pytest.mark.parametrize("names", LOOK_UPS)
def test_help_shows_an_example_and_where_the_names_are(names: str) -> None:
    ask: Callable[..., Any]
    ask, there = LOOK_UPS[names]
    said = inspect.getdoc(ask) or ""
    example = re.search(rf"`({ask.__name__}\(.*\))`", said.splitlines()[0])
    assert example is not None and f"`{names}()`" in said
    found = eval(example[1], {ask.__name__: ask})
    assert found.name in there() and f'"{found.name}"' in example[1]
    given = dict(re.findall(r"(\w+)=([\d.]+)", example[1]))
    assert {name: str(getattr(found, name)) for name in given} == given
    with pytest.raises(ValueError, match="`nothing` is no .*; there are "):
        ask("nothing")
    with pytest.raises(TypeError, match="nothing"):
        ask(found.name, nothing=1)
