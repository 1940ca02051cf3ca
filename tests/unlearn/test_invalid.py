"""Hyper-parameters that are out of range are refused together, by what each must be."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import inf, nan
from typing import Any, ClassVar, Literal, get_type_hints

import numpy as np
import pytest

from unlearn.invalid import require
from unlearn.methods import method, methods

Leaf = Literal["green", "black", "white"]


@dataclass(frozen=True, kw_only=True)
class Brew:
    leaf: Leaf = "green"
    milk: Literal["no", "yes"] = "no"
    hint: Literal["once"] = "once"
    minutes: float = 3.0
    cups: list[int] = field(default_factory=list)
    spoons: int = 1
    rest: float | None = None
    refills: int | None = None

    name: ClassVar[str] = "brew"

    def __post_init__(self) -> None:
        require(self, minutes=("positive", self.minutes > 0), cups=("not too many", len(self.cups) < 3))


def test_what_is_in_range_passes() -> None:
    assert Brew(leaf="white", milk="yes", minutes=0.5).leaf == "white"


def test_everything_that_is_out_of_range_is_listed_with_what_it_must_be() -> None:
    with pytest.raises(ValueError) as caught:
        Brew(leaf="red", milk="YES", hint="twice", minutes=-1.0, cups=[1, 2, 3])  # pyright: ignore[reportArgumentType]
    assert str(caught.value).splitlines() == [
        '`leaf` must be "green", "black" or "white" for `brew` (got \'red\')',
        '`milk` must be "no" or "yes" for `brew` (got \'YES\')',
        "`hint` must be \"once\" for `brew` (got 'twice')",
        "`minutes` must be positive for `brew` (got -1.0)",
        "`cups` must be not too many for `brew` (got [1, 2, 3])",
    ]


def test_numbers_are_of_their_kind_and_finite() -> None:
    brewed = Brew(minutes=3, spoons=np.int64(2), rest=np.float32(0.5), refills=0)  # pyright: ignore[reportArgumentType]
    assert (brewed.spoons, brewed.rest) == (2, 0.5)
    with pytest.raises(ValueError) as caught:
        Brew(minutes=inf, spoons=1.5, rest=nan, refills=2.0)  # pyright: ignore[reportArgumentType]
    assert str(caught.value).splitlines() == [
        "`minutes` must be a finite number for `brew` (got inf)",
        "`spoons` must be an integer for `brew` (got 1.5)",
        "`rest` must be a finite number or None for `brew` (got nan)",
        "`refills` must be an integer or None for `brew` (got 2.0)",
    ]
    with pytest.raises(ValueError, match="^`minutes` must be positive for `brew` .got nan.$"):  # the rule says more
        Brew(minutes=nan)


@pytest.mark.parametrize("name", methods())
def test_every_method_is_held_to_it(name: str) -> None:
    """Each hyper-parameter by itself; those of the baselines, if any, are choices and truths."""
    kind: Any = type(method(name))
    hints = get_type_hints(kind)
    for one in fields(kind):
        for number, wrong in ((int, 1.5), (float, inf)):
            if hints[one.name] in (number, number | None):
                with pytest.raises(ValueError, match=f"^`{one.name}` must be "):
                    method(name, **{one.name: wrong})


def test_a_subclass_is_held_to_its_own_choices() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Strong(Brew):
        leaf: Literal["black"] = "black"  # pyright: ignore[reportIncompatibleVariableOverride]

    with pytest.raises(ValueError, match='`leaf` must be "black" for `brew`'):
        Strong(leaf="green")  # pyright: ignore[reportArgumentType]


def test_what_is_no_dataclass_goes_by_the_rules_it_gives_and_by_its_class() -> None:
    class Kettle:
        def __init__(self, litres: float) -> None:
            self.litres = litres
            require(self, litres=("at most 2", litres <= 2))

    with pytest.raises(ValueError, match=r"^`litres` must be at most 2 for `Kettle` \(got 3\)$"):
        Kettle(3)
